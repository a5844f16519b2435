"""Strong order 1 for diagonal noise with a difference in place of the derivative."""

from __future__ import annotations

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Tableau


def _derivative_free(name: str, double_integral: str, calculus: str) -> Tableau:
    # X+ = X + f h + g W + (g(X + f h + g sqrt(h)) - g(X)) I_kk / sqrt(h)
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
            Output("diffusion", double_integral, (-1, 1)),
        ),
        calculus=calculus,
        noise="diagonal",
        orders={"diagonal": (1, 1)},
        citation="Kloeden and Platen, Numerical Solution of SDEs (1992), section 11.1",
        advice="Strong order 1 at two diffusion evaluations; SRIW1 repays its four.",
    )


@method("DFMilstein")
def derivative_free_milstein_ito(name: str) -> Tableau:
    """Derivative-free Milstein, Ito."""
    return _derivative_free(name, "I_kk/sqrt(h)", "ito")


@method("DFMilsteinStratonovich")
def derivative_free_milstein_stratonovich(name: str) -> Tableau:
    """Derivative-free Milstein, Stratonovich."""
    return _derivative_free(name, "J_kk/sqrt(h)", "stratonovich")
