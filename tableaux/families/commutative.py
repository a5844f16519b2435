"""Strong order 1 for commutative noise, where the Levy areas drop out.

With ``g_l' g_k = g_k' g_l`` only ``(I_kl + I_lk)/2 = (W_k W_l - delta_kl h)/2`` is needed, a function
of the increments.  In the Stratonovich calculus `EulerHeun` has strong order 1 then, at two
evaluations of g for any number of channels.
"""

from __future__ import annotations

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Tableau


@method("MilsteinCommutative")
def milstein_commutative(name: str) -> Tableau:
    """X+ = X + f h + sum_l g_l W_l + g_l(X + sum_k g_k (W_k W_l - delta_kl h)/2) - g_l(X), Ito.

    One evaluation of each column beside that of all at X: the step of the difference is of the size
    h, that of the correction itself, so that the difference's error is of order 2.  A forward
    difference with a step of the size sqrt(h) would have a bias of order 3/2, where I_kl meets itself,
    and strong order 1/2.  The small step costs no digits: the difference is rounded as the state is.
    """
    return Tableau(
        name,
        (
            Block("drift", "drift", (0,)),
            Block("noise", "diffusion", (0, 0), "channel"),
        ),
        (Coupling("noise", "noise", "I_(kl)", ((0, 0), (1, 0))),),
        (
            Output("drift", "h", (1,)),
            Output("noise", "I_k", (1, 0)),
            Output("noise", "1", (-1, 1)),
        ),
        noise="commutative",
        orders={"commutative": (1, 1)},
        citation="this library, docs/theory.md; one difference a channel as in von Hallern and "
        "Roessler, Lecture Notes in Comput. Sci. Eng. 129 (2019)",
        advice="Cheapest strong order 1 for commutative Ito noise: two evaluations of each column.",
    )


@method("HeunCommutative")
def heun_commutative(name: str) -> Tableau:
    """Heun's rule for the Ito diffusion, less its drift: ``sum_l (g_l(X + h g_l) - g_l(X))/2``.

    ``X+ = X + f h + sum_l W_l (g_l(X) + g_l(X + f h + sum_k g_k W_k))/2 - that``.
    """
    return Tableau(
        name,
        (
            Block("drift", "drift", (0,)),
            Block("noise", "diffusion", (0, 1)),
            Block("own", "diffusion", (0, 0), "channel"),
        ),
        (
            Coupling("noise", "drift", "h", ((0,), (1,))),
            Coupling("noise", "noise", "I_k", ((0, 0), (1, 0))),
            Coupling("own", "noise", "h", ((0, 0), (1, 0)), "own"),
        ),
        (
            Output("drift", "h", (1,)),
            Output("noise", "I_k", ("1/2", "1/2")),
            Output("own", "1", ("1/2", "-1/2")),
        ),
        noise="commutative",
        orders={"commutative": (1, 1)},
        citation="after Leonhard and Roessler, SIAM J. Numer. Anal. 56 (2018) 2585-2622",
        advice="As MilsteinCommutative, without an m x m array: for very many channels.",
    )


@method("RKMilCommute")
def rk_milstein_commutative(name: str) -> Tableau:
    """X+ = X + f h + sum_l g_l W_l + sum_kl (g_l(X + f h + g_k sqrt(h)) - g_l(X)) I_(kl)/sqrt(h), Ito.

    All columns at m states.  Its Stratonovich form in other libraries has the same forward difference
    and strong order 1/2.
    """
    return forward_milstein(
        name,
        "I_kk/sqrt(h)",
        "I_(kl)/sqrt(h)",
        noise="commutative",
        orders={"commutative": (1, 1)},
        citation="Kloeden and Platen, Numerical Solution of SDEs (1992), section 11.1",
        advice="For comparison with SciML; MilsteinCommutative needs m columns where this takes m^2.",
    )


def forward_milstein(name: str, own: str, mixed: str, **about: object) -> Tableau:
    """Milstein's method with a forward difference of every column along every other."""
    return Tableau(
        name,
        (
            Block("drift", "drift", (0,)),
            Block("noise", "diffusion", (0, 1), "channel"),
            Block("mixed", "diffusion", (0, 1), "pair"),
        ),
        (
            Coupling("noise", "drift", "h", ((0,), (1,))),
            Coupling("noise", "noise", "sqrt(h)", ((0, 0), (1, 0)), "own"),
            Coupling("mixed", "drift", "h", ((0,), (1,))),
            Coupling("mixed", "noise", "sqrt(h)", ((0, 0), (1, 0)), "partner"),
        ),
        (
            Output("drift", "h", (1,)),
            Output("noise", "I_k", (1, 0)),
            Output("noise", own, (-1, 1)),
            Output("mixed", mixed, (-1, 1)),
        ),
        **about,  # type: ignore[arg-type]
    )
