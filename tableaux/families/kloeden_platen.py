"""Kloeden and Platen's explicit strong schemes of order 3/2.

Those of order 1 are DFMilstein (11.1.3), RKMilGeneral (11.1.7) and PL.  Order 3/2 for general noise
(11.2.7) needs triple integrals over mixed channels, which no step can draw.
"""

from __future__ import annotations

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Tableau

_BOOK = "Kloeden and Platen, Numerical Solution of SDEs (1992), section 11.2"


@method("KP15")
def kloeden_platen_scalar(name: str) -> Tableau:
    """Scalar noise, Ito: 3 drift and 5 diffusion evaluations, at ``U+- = X + f h +- g sqrt(h)``.

    ``X+ = X + g W + (f(U+) - f(U-)) I_k0/(2 sqrt(h)) + (f(U+) + 2 f + f(U-)) h/4
    + (g(U+) - g(U-)) I_kk/(2 sqrt(h)) + (g(U+) - 2 g + g(U-)) I_0k/(2 h)
    + (g(V+) - g(V-) - g(U+) + g(U-)) I_kkk/(2 h)``, ``V+- = U+ +- g(U+) sqrt(h)``.
    """
    return Tableau(
        name,
        (
            Block("drift", "drift", (0,)),
            Block("side", "drift", (1, 1), "channel"),
            Block("noise", "diffusion", (0, 1, 1, 1, 1), "channel"),
        ),
        (
            Coupling("side", "drift", "h", ((1,), (1,))),
            Coupling("side", "noise", "sqrt(h)", ((1, 0, 0, 0, 0), (-1, 0, 0, 0, 0)), "own"),
            Coupling("noise", "drift", "h", ((0,), (1,), (1,), (1,), (1,))),
            Coupling(
                "noise",
                "noise",
                "sqrt(h)",
                (
                    (0, 0, 0, 0, 0),
                    (1, 0, 0, 0, 0),
                    (-1, 0, 0, 0, 0),
                    (1, 1, 0, 0, 0),
                    (1, -1, 0, 0, 0),
                ),
                "own",
            ),
        ),
        (
            Output("drift", "h", ("1/2",)),
            Output("side", "h", ("1/4", "1/4")),
            Output("side", "I_k0/sqrt(h)", ("1/2", "-1/2")),
            Output("noise", "I_k", (1, 0, 0, 0, 0)),
            Output("noise", "I_kk/sqrt(h)", (0, "1/2", "-1/2", 0, 0)),
            Output("noise", "I_0k/h", (-1, "1/2", "1/2", 0, 0)),
            Output("noise", "I_kkk/h", (0, "-1/2", "1/2", "1/2", "-1/2")),
        ),
        noise="scalar",
        orders={"scalar": ("3/2", 2)},
        citation=f"{_BOOK}, equation (2.1)",
        advice="For comparison; SRIW1 has its strong order at fewer evaluations, SRID1 both.",
    )


@method("KP15Additive")
def kloeden_platen_additive(name: str) -> Tableau:
    """Additive noise: 2 drift evaluations and 2 a channel, at ``U+-_k = X +- g_k sqrt(h)``.

    ``X+ = X + (f(X) + f(X + f h)) h/2 + sum_k (f(U+_k) - f(U-_k)) I_k0/(2 sqrt(h))
    + (f(U+_k) - 2 f + f(U-_k)) h/4 + g_k W_k + (g_k(t + h) - g_k(t)) I_0k/h``.
    The book's ``U+-_k`` also hold f h/m; here the drift has a stage of its own, so that no
    coefficient depends on the number m of channels.
    """
    return Tableau(
        name,
        (
            Block("drift", "drift", (0, 1)),
            Block("side", "drift", (0, 0, 0), "channel"),
            Block("noise", "diffusion", (0, 1)),
        ),
        (
            Coupling("drift", "drift", "h", ((0, 0), (1, 0))),
            Coupling("side", "noise", "sqrt(h)", ((0, 0), (1, 0), (-1, 0)), "own"),
        ),
        (
            Output("drift", "h", ("1/2", "1/2")),
            Output("side", "h", ("-1/2", "1/4", "1/4")),
            Output("side", "I_k0/sqrt(h)", (0, "1/2", "-1/2")),
            Output("noise", "I_k", (1, 0)),
            Output("noise", "I_0k/h", (-1, 1)),
        ),
        noise="additive",
        orders={"additive": ("3/2", 2)},
        citation=f"{_BOOK}, with a stage of its own for the drift",
        advice="For comparison; SRA1 has its orders at two drift evaluations.",
    )
