"""Platen's explicit weak second-order methods, Ito."""

from __future__ import annotations

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Tableau

_KLOEDEN_PLATEN = "Kloeden and Platen, Numerical Solution of SDEs (1992), section 15.1"


@method("PL1WM")
def pl1wm(name: str) -> Tableau:
    """Two drift evaluations; every column near every other's direction.

    ``X+ = X + (f + f(Y)) h/2
    + sum_k (g_k(R+_k) + g_k(R-_k) + 2 g_k) theta_k/4 + (g_k(R+_k) - g_k(R-_k)) I_kk/(2 sqrt(h))
    + sum_(r != k) (g_k(U+_r) + g_k(U-_r) - 2 g_k) theta_k/4
    + (g_k(U+_r) - g_k(U-_r)) I_rk/(2 sqrt(h))``
    with ``Y = X + f h + sum g_k theta_k``, ``R+-_k = X + f h +- g_k sqrt(h)``,
    ``U+-_r = X +- g_r sqrt(h)``, and I_rk = (theta_r theta_k + V_rk)/2.  In the book V_rk is an
    independent two-point variable for each pair; a product of two signs has the same order.
    """
    return Tableau(
        name,
        (
            Block("drift", "drift", (0, 1)),
            Block("own", "diffusion", (0, 1, 1), "channel"),
            Block("mixed", "diffusion", (0, 0, 0), "pair"),
        ),
        (
            Coupling("drift", "drift", "h", ((0, 0), (1, 0))),
            Coupling("drift", "own", "theta_k", ((0, 0, 0), (1, 0, 0))),
            Coupling("own", "drift", "h", ((0, 0), (1, 0), (1, 0))),
            Coupling("own", "own", "sqrt(h)", ((0, 0, 0), (1, 0, 0), (-1, 0, 0)), "own"),
            Coupling("mixed", "own", "sqrt(h)", ((0, 0, 0), (1, 0, 0), (-1, 0, 0)), "partner"),
        ),
        (
            Output("drift", "h", ("1/2", "1/2")),
            Output("own", "theta_k", ("1/2", "1/4", "1/4")),
            Output("own", "theta_kk/sqrt(h)", (0, "1/2", "-1/2")),
            Output("mixed", "theta_k", ("-1/2", "1/4", "1/4")),
            Output("mixed", "I^_kl/sqrt(h)", (0, "1/2", "-1/2")),
        ),
        orders={"general": (None, 2)},
        citation=_KLOEDEN_PLATEN,
        advice="The classic for expectations; RI6 mixes the channels at a lower cost.",
    )


@method("PL1WMA")
def pl1wma(name: str) -> Tableau:
    """X+ = X + (f + f(X + f h + g theta)) h/2 + g theta, for constant g."""
    return Tableau(
        name,
        (Block("drift", "drift", (0, 1)), Block("noise", "diffusion", (0,))),
        (
            Coupling("drift", "drift", "h", ((0, 0), (1, 0))),
            Coupling("drift", "noise", "theta_k", ((0,), (1,))),
        ),
        (Output("drift", "h", ("1/2", "1/2")), Output("noise", "theta_k", (1,))),
        noise="additive",
        orders={"additive": (None, 1), "constant": (None, 2), "martingale": (None, 2)},
        citation=_KLOEDEN_PLATEN,
        advice="Expectations under constant noise with the fewest random bits.",
    )
