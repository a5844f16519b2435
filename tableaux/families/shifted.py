"""Foster and co-authors' shifted methods: the noise enters through its increment and its area.

Each is a Runge-Kutta method for the ODE that drives a path of few pieces in place of the Brownian
one, the pieces having the increment W and the space-time area H of the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Tableau

#: Entries as text, ints or exact numbers.
Row = Sequence[Any]

_FOSTER = "Foster, dos Reis and Strange, SIAM J. Numer. Anal. (2024), arXiv:2210.17543"


@method("SEA")
def shifted_euler(name: str) -> Tableau:
    """X+ = X + f(X + g W/2 + g H) h + g W."""
    return Tableau.additive(
        name,
        A=[[0]],
        b=[1],
        stages={"I_k": ["1/2"], "H_k": [1]},
        outputs={"I_k": 1},
        orders={"additive": (1, 1)},
        citation=f"{_FOSTER}, equation (5.8)",
        advice="One evaluation a step, and a smaller error than Euler at the same cost.",
    )


@method("ShARK")
def shark(name: str) -> Tableau:
    """Two drift evaluations, strong order 3/2, with an embedded error estimate."""
    return Tableau.additive(
        name,
        A=[[0, 0], ["5/6", 0]],
        b=["2/5", "3/5"],
        stages={"I_k": [0, "5/6"], "H_k": [1, 1]},
        outputs={"I_k": 1},
        embedded=[1, 0],
        orders={"additive": (1, 1), "constant": ("3/2", 2), "martingale": ("3/2", 2)},
        citation=f"{_FOSTER}, equation (6.1)",
        advice="The default for additive noise that does not depend on time.",
    )


def _driven(
    name: str,
    nodes: Row,
    A: Sequence[Row],
    B: dict[str, Sequence[Row]],
    b: Row,
    beta: dict[str, Row],
    embedded: tuple[Row, Row] | None = None,
    **about: Any,
) -> Tableau:
    """Stages at which drift and diffusion are both evaluated.

    ``H_i = X + h sum_j A_ij f_j + sum_j sum_v B[v]_ij g_j RV_v``, and likewise ``X+`` by `b` and
    `beta`; `embedded` are the weights of f h and of g W.
    """
    sources = [("drift", "h", A), *(("diffusion", label, rows) for label, rows in B.items())]
    second: tuple[Output, ...] = ()
    if embedded is not None:
        second = (
            Output("drift", "h", tuple(embedded[0])),
            Output("diffusion", "I_k", tuple(embedded[1])),
        )
    return Tableau(
        name,
        (Block("drift", "drift", tuple(nodes)), Block("diffusion", "diffusion", tuple(nodes))),
        tuple(
            Coupling(target, source, label, tuple(map(tuple, rows)))
            for target in ("drift", "diffusion")
            for source, label, rows in sources
        ),
        (
            Output("drift", "h", tuple(b)),
            *(Output("diffusion", label, tuple(row)) for label, row in beta.items()),
        ),
        embedded=second,
        calculus="stratonovich",
        **about,
    )


@method("SPaRK")
def spark(name: str) -> Tableau:
    """The splitting path: three evaluations and an embedded error estimate.

    The embedded output is of strong order 1 for additive noise.  In the other classes it has the
    orders of the output itself, so there the difference has the size of the error, not a larger one.
    """
    outer, inner = "1/2 - sqrt(3)/6", "sqrt(3)/3"
    return _driven(
        name,
        [0, "1/2", 1],
        [[0, 0, 0], ["1/2", 0, 0], [0, 1, 0]],
        {
            "I_k": [[0, 0, 0], ["1/2", 0, 0], [0, 1, 0]],
            "H_k": [[0, 0, 0], ["sqrt(3)", 0, 0], [0, 0, 0]],
        },
        [outer, inner, outer],
        {"I_k": [outer, inner, outer], "H_k": [1, 0, -1]},
        embedded=(["1/2", 0, "1/2"], ["1/2", 0, "1/2"]),
        orders={"general": ("1/2", 1), "commutative": (1, 1), "additive": ("3/2", 2)},
        citation="Foster and Jelincic, arXiv:2311.14201 (2023), definition 1.6",
        advice="Stratonovich noise of any kind where an error estimate is needed.",
    )


@method("GeneralShARK")
def general_shark(name: str) -> Tableau:
    """ShARK for noise of any kind: two drift evaluations and three of the diffusion."""
    return _driven(
        name,
        [0, 0, "5/6"],
        [[0, 0, 0], [0, 0, 0], [0, "5/6", 0]],
        {
            "I_k": [[0, 0, 0], [0, 0, 0], [0, "5/6", 0]],
            "H_k": [[0, 0, 0], [1, 0, 0], [1, 0, 0]],
        },
        [0, "2/5", "3/5"],
        {"I_k": [0, "2/5", "3/5"], "H_k": [0, "6/5", "-6/5"]},
        orders={"general": ("1/2", 1), "commutative": (1, 1), "additive": ("3/2", 2)},
        citation=f"{_FOSTER}, equation (6.1)",
        advice="As SPaRK, with one drift evaluation less and no error estimate.",
    )


@method("SlowRK")
def slow_rk(name: str) -> Tableau:
    """Strang splitting with RK4 for the noise: two drift evaluations and five of the diffusion."""
    return Tableau(
        name,
        (
            Block("drift", "drift", (0, "3/4")),
            Block("diffusion", "diffusion", ("1/2", "1/2", "1/2", "1/2", 1)),
        ),
        (
            Coupling("drift", "drift", "h", ((0, 0), ("3/4", 0))),
            Coupling("drift", "diffusion", "I_k", ((0, 0, 0, 0, 0), (0, 0, "3/4", 0, 0))),
            Coupling("drift", "diffusion", "H_k", ((0, 0, 0, 0, 0), (0, 0, "3/2", 0, 0))),
            Coupling("diffusion", "drift", "h", (*(("1/2", 0),) * 4, (1, 0))),
            Coupling(
                "diffusion",
                "diffusion",
                "I_k",
                (
                    (0, 0, 0, 0, 0),
                    ("1/2", 0, 0, 0, 0),
                    (0, "1/2", 0, 0, 0),
                    (0, 0, 1, 0, 0),
                    (0, "1/2", 0, 0, 0),
                ),
            ),
        ),
        (
            Output("drift", "h", ("1/3", "2/3")),
            Output("diffusion", "I_k", ("1/6", "1/3", "1/3", "1/6", 0)),
            Output("diffusion", "H_k", (0, 0, 2, 0, -2)),
        ),
        calculus="stratonovich",
        orders={"general": ("1/2", 1), "commutative": ("3/2", 2)},
        citation=f"{_FOSTER}, equation (6.2)",
        advice="Strong order 3/2 for commutative Stratonovich noise.",
    )
