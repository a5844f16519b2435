"""Stratonovich methods of Burrage and Burrage's class: J_k, and J_k0/h, inside the stages."""

from __future__ import annotations

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Tableau


@method("PL")
def platen_stratonovich(name: str) -> Tableau:
    """``X+ = X + f h + (g(X) + g(X + f h + g W)) W/2``: EulerHeun with the drift in the stage."""
    return Tableau.shared(
        name,
        A=[[0, 0], [1, 0]],
        b=[1, 0],
        beta=["1/2", "1/2"],
        calculus="stratonovich",
        orders={"general": ("1/2", 1), "commutative": (1, 1)},
        citation="Platen; Burrage and Burrage, Appl. Numer. Math. 22 (1996) 81-101",
        advice="As EulerHeun, where drift and diffusion are evaluated together.",
    )


@method("R2")
def r2(name: str) -> Tableau:
    """Ralston's two stages for drift and diffusion: least principal error with J_k alone."""
    return Tableau.shared(
        name,
        A=[[0, 0], ["2/3", 0]],
        b=["1/4", "3/4"],
        calculus="stratonovich",
        orders={"general": ("1/2", 1), "commutative": (1, 1), "none": (2, 2)},
        citation="Burrage and Burrage, Appl. Numer. Math. 22 (1996) 81-101",
        advice="The most accurate two shared stages where the noise commutes.",
    )


@method("SRSC1")
def srsc1(name: str) -> Tableau:
    """Strong order 3/2 and weak order 2 for commutative noise: 2 drift and 5 diffusion evaluations.

    The classical Runge-Kutta method in W, with its inner stages at ``X + 3/4 f h``, is right for all
    that the noise does alone; the second stage of SRA1, with g taken half of W on, for what the noise
    does to the drift; and ``(g(X) - g(X + f h)) H`` for what the drift does to the noise.  That
    difference is taken where W is not felt, so that it spoils nothing else.  It is designed here: of
    the methods of order 3/2 in the literature, E1 among them, no coefficients could be consulted.
    """
    zero = (0, 0, 0, 0, 0)
    return Tableau(
        name,
        (
            Block("drift", "drift", (0, "3/4")),
            Block("noise", "diffusion", (0, "3/4", "3/4", 0, 1)),
        ),
        (
            Coupling("drift", "drift", "h", ((0, 0), ("3/4", 0))),
            Coupling("drift", "noise", "I_k0/h", (zero, (0, "3/2", 0, 0, 0))),
            Coupling("noise", "drift", "h", ((0, 0), ("3/4", 0), ("3/4", 0), (0, 0), (1, 0))),
            Coupling(
                "noise",
                "noise",
                "I_k",
                (zero, ("1/2", 0, 0, 0, 0), (0, "1/2", 0, 0, 0), (0, 0, 1, 0, 0), zero),
            ),
        ),
        (
            Output("drift", "h", ("1/3", "2/3")),
            Output("noise", "I_k", ("1/6", "1/3", "1/3", "1/6", 0)),
            Output("noise", "H_k", (1, 0, 0, 0, -1)),
        ),
        calculus="stratonovich",
        noise="commutative",
        orders={"commutative": ("3/2", 2)},
        citation="this library, docs/theory.md; class of Burrage and Burrage, "
        "SIAM J. Numer. Anal. 38 (2000) 1626-1646",
        advice="Paths and expectations under commutative Stratonovich noise of any number of channels.",
    )
