"""Weak order 3 for additive noise, solved from our conditions (tests/order/test_weak_three.py).

The stages are shifted by Gaussian functionals N_i of the path.  With output weights alpha > 0 and
the row sums c, the conditions make ``E N_i^2 = E N_i W = c_i h``: each N_i has the law of W(c_i h), and
only the covariances ``S_ij`` of different stages and the matrix A are left, with

    alpha^T A c = 1/6,   sum alpha_i A_ij S_ij = 1/6,   alpha^T S alpha = 1/3.

Three stages force S to be the covariance of W at the nodes, and then no nodes satisfy the last
condition.  A fourth stage does, and so does the mixture of two three-stage methods by one random sign.
"""

from __future__ import annotations

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Tableau

_OURS = "this library, docs/theory.md"
_NONE = (0, 0)
# int s dW needs a second evaluation of g, here at 2/3, the Radau node; for constant g it drops out.
_NODES = (0, "2/3")
_INCREMENT = ("1/4", "3/4")


@method("W3A4")
def w3a4(name: str) -> Tableau:
    """Strong order 3/2 and weak order 3 with four drift evaluations; Simpson's weights.

    ``H_2, H_3 = X + h f_1/2 + g (W/2 + 3 H/2 +- 3 sqrt(5) K)``, ``H_4 = X + h (f_2 + f_3 - f_1) + g W`` and
    ``X+ = X + h (f_1 + 2 f_2 + 2 f_3 + f_4)/6 + g W``, with the space-time areas H and K of the path.
    """
    return Tableau(
        name,
        (Block("drift", "drift", (0, "1/2", "1/2", 1)), Block("noise", "diffusion", _NODES)),
        (
            Coupling(
                "drift",
                "drift",
                "h",
                ((0, 0, 0, 0), ("1/2", 0, 0, 0), ("1/2", 0, 0, 0), (-1, 1, 1, 0)),
            ),
            Coupling("drift", "noise", "I_k", (_NONE, ("1/2", 0), ("1/2", 0), ("-1/2", "3/2"))),
            Coupling("drift", "noise", "H_k", (_NONE, ("3/2", 0), ("3/2", 0), _NONE)),
            Coupling(
                "drift",
                "noise",
                "K_k",
                (_NONE, ("3*sqrt(5)", 0), ("-3*sqrt(5)", 0), _NONE),
            ),
        ),
        (
            Output("drift", "h", ("1/6", "1/3", "1/3", "1/6")),
            Output("noise", "I_k", _INCREMENT),
            Output("noise", "H_k", ("3/2", "-3/2")),
        ),
        noise="additive",
        orders={"additive": ("3/2", 3)},
        citation=_OURS,
        advice="Additive noise, for expectations to weak order 3 and paths to 3/2 alike.",
    )


@method("W3A3")
def w3a3(name: str) -> Tableau:
    """Weak order 3 with three drift evaluations, the fewest: f' f' f takes three.

    Ralston's nodes 0, 1/2, 3/4 and weights 2/9, 1/3, 4/9, mixed of two methods by one sign eta:

        eta = 1:   H_2 = X + h f_1/2 + g (W/2 + H + 2 sqrt(30) K),   H_3 = X + h (3 f_2/2 - 3 f_1/4) + g M
        eta = -1:  H_2 = X + h f_1/2 + g (W/2 + 6 sqrt(5) K),        H_3 = X + 3 h f_1/4 + g M

    with M = 3 W/4 + 3 H/2.  Without noise a step is still random: it has order 3 in the mean only.
    """
    both, half = "(sqrt(30) + 3*sqrt(5))", "(sqrt(30) - 3*sqrt(5))"
    return Tableau(
        name,
        (Block("drift", "drift", (0, "1/2", "3/4")), Block("noise", "diffusion", _NODES)),
        (
            Coupling("drift", "drift", "h", ((0, 0, 0), ("1/2", 0, 0), (0, "3/4", 0))),
            Coupling("drift", "drift", "eta*h", ((0, 0, 0), (0, 0, 0), ("-3/4", "3/4", 0))),
            Coupling("drift", "noise", "I_k", (_NONE, ("1/2", 0), ("3/16", "9/16"))),
            Coupling("drift", "noise", "H_k", (_NONE, ("1/2", 0), ("3/8", "9/8"))),
            Coupling("drift", "noise", "eta*H_k", (_NONE, ("1/2", 0), _NONE)),
            Coupling("drift", "noise", "K_k", (_NONE, (both, 0), _NONE)),
            Coupling("drift", "noise", "eta*K_k", (_NONE, (half, 0), _NONE)),
        ),
        (
            Output("drift", "h", ("2/9", "1/3", "4/9")),
            Output("noise", "I_k", _INCREMENT),
            Output("noise", "H_k", ("5/4", "-5/4")),
            Output("noise", "eta*H_k", ("1/4", "-1/4")),
            Output("noise", "K_k", (f"{both}/2", f"-{both}/2")),
            Output("noise", "eta*K_k", (f"{half}/2", f"-{half}/2")),
        ),
        noise="additive",
        orders={"additive": (None, 3), "none": (None, 3)},
        citation=_OURS,
        advice="Expectations under additive noise: weak order 3 at three drift evaluations.",
    )
