"""Foster and co-authors' shifted methods: additive noise through the increment and its area."""

from __future__ import annotations

from tableaux.families.entries import method
from tableaux.tableau import Tableau

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
