"""Strong order 1 for diagonal noise with a difference in place of the derivative."""

from __future__ import annotations

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Tableau

_KLOEDEN_PLATEN = "Kloeden and Platen, Numerical Solution of SDEs (1992), section 11.1"


@method("DFMilstein")
def derivative_free_milstein_ito(name: str) -> Tableau:
    """X+ = X + f h + g W + (g(X + f h + g sqrt(h)) - g(X)) I_kk / sqrt(h)."""
    return Tableau(
        name,
        (
            Block("drift", "drift", (0,)),
            Block("diffusion", "diffusion", (0, 1), "channel"),
        ),
        (
            Coupling("diffusion", "drift", "h", ((0,), (1,))),
            Coupling("diffusion", "diffusion", "sqrt(h)", ((0, 0), (1, 0)), "own"),
        ),
        (
            Output("drift", "h", (1,)),
            Output("diffusion", "I_k", (1, 0)),
            Output("diffusion", "I_kk/sqrt(h)", (-1, 1)),
        ),
        noise="diagonal",
        orders={"diagonal": (1, 1)},
        citation=_KLOEDEN_PLATEN,
        advice="Strong order 1 at two diffusion evaluations; SRIW1 repays its four.",
    )


@method("DFMilsteinStratonovich")
def derivative_free_milstein_stratonovich(name: str) -> Tableau:
    """X+ = X + f h + g W + (g(X + g sqrt(h)) - g(X - g sqrt(h))) J_kk / (2 sqrt(h)).

    The difference must be central.  With the forward one of the Ito form, as other libraries have
    it, the strong and the weak order are 1/2: J_kk has the mean h/2, which turns the difference's
    error sqrt(h) g'' g g / 2, and any drift in the stage, into a local bias of order 3/2.
    """
    return Tableau(
        name,
        (
            Block("drift", "drift", (0,)),
            Block("diffusion", "diffusion", (0, 0, 0), "channel"),
        ),
        (Coupling("diffusion", "diffusion", "sqrt(h)", ((0, 0, 0), (1, 0, 0), (-1, 0, 0)), "own"),),
        (
            Output("drift", "h", (1,)),
            Output("diffusion", "I_k", (1, 0, 0)),
            Output("diffusion", "J_kk/sqrt(h)", (0, "1/2", "-1/2")),
        ),
        calculus="stratonovich",
        noise="diagonal",
        orders={"diagonal": (1, 1)},
        citation=f"{_KLOEDEN_PLATEN}, with the difference made central",
        advice="Strong order 1 for an expensive drift; Heun needs one evaluation of g less.",
    )
