"""One or two stages that drift and diffusion share: Euler, Heun, midpoint."""

from __future__ import annotations

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Tableau


@method("EM")
def euler_maruyama(name: str) -> Tableau:
    """X+ = X + f h + g W."""
    return Tableau.shared(
        name,
        A=[[0]],
        b=[1],
        orders={"general": ("1/2", 1), "additive": (1, 1)},
        citation="Maruyama, Rend. Circ. Mat. Palermo 4 (1955) 48-90",
        advice="Cheapest step for any Ito SDE; additive noise deserves SEA or SRA1 instead.",
    )


@method("EulerHeun")
def euler_heun(name: str) -> Tableau:
    """Heun's rule for the diffusion only: one drift evaluation, Stratonovich."""
    return Tableau(
        name,
        (
            Block("drift", "drift", (0,)),
            Block("diffusion", "diffusion", (0, 1)),
        ),
        (Coupling("diffusion", "diffusion", "I_k", ((0, 0), (1, 0))),),
        (
            Output("drift", "h", (1,)),
            Output("diffusion", "I_k", ("1/2", "1/2")),
        ),
        calculus="stratonovich",
        orders={"general": ("1/2", 1), "commutative": (1, 1)},
        citation="Kloeden and Platen, Numerical Solution of SDEs (1992), section 11.1",
        advice="Cheapest step for a Stratonovich SDE with an expensive drift.",
    )


@method("Heun")
def stochastic_heun(name: str) -> Tableau:
    """Heun's rule for drift and diffusion, Stratonovich."""
    return Tableau.shared(
        name,
        A=[[0, 0], [1, 0]],
        b=["1/2", "1/2"],
        calculus="stratonovich",
        orders={"general": ("1/2", 1), "commutative": (1, 1), "additive": (1, 2)},
        citation="Rumelin, SIAM J. Numer. Anal. 19 (1982) 604-613",
        advice="Robust Stratonovich default; second order in the drift when the noise is small.",
    )


@method("Midpoint")
def stratonovich_midpoint(name: str) -> Tableau:
    """The explicit midpoint rule for drift and diffusion, Stratonovich."""
    return Tableau.shared(
        name,
        A=[[0, 0], ["1/2", 0]],
        b=[0, 1],
        calculus="stratonovich",
        orders={"general": ("1/2", 1), "commutative": (1, 1), "none": (2, 2)},
        citation="Kloeden and Platen, Numerical Solution of SDEs (1992), section 11.1",
        advice="As Heun, with a smaller error constant where the fields are nearly linear.",
    )
