"""Milstein's method, strong order 1, with differences in place of the derivatives."""

from __future__ import annotations

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.commutative import forward_milstein
from tableaux.families.entries import method
from tableaux.tableau import Tableau

_KLOEDEN_PLATEN = "Kloeden and Platen, Numerical Solution of SDEs (1992), section 11.1"


@method("DFMilstein")
def derivative_free_milstein_ito(name: str) -> Tableau:
    """X+ = X + f h + g W + (g(X + f h + g sqrt(h)) - g(X)) I_kk / sqrt(h).

    SciML's RKMil in the Ito calculus is this method.
    """
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
    it (RKMil of SciML, torchsde), the strong and the weak order are 1/2: J_kk has the mean h/2, which
    turns the difference's error sqrt(h) g'' g g / 2, and any drift in the stage, into a local bias
    of order 3/2.
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


@method("RKMilGeneral")
def rk_milstein_general(name: str) -> Tableau:
    """X+ = X + f h + sum_l g_l W_l + sum_kl (g_l(X + f h + g_k sqrt(h)) - g_l(X)) I_kl/sqrt(h), Ito.

    The Stratonovich form that is printed beside it, with J_kl for I_kl, has strong order 1/2: J_kk has
    the mean h/2, and the forward difference turns it into a local bias of order 3/2.
    """
    return forward_milstein(
        name,
        "I_kk/sqrt(h)",
        "I_kl/sqrt(h)",
        orders={"general": (1, 1)},
        citation=f"{_KLOEDEN_PLATEN}, equation (1.7)",
        advice="For comparison; MilsteinGeneral needs m columns where this takes m^2.",
    )


def _milstein_general(name: str, calculus: str, label: str, advice: str) -> Tableau:
    return Tableau(
        name,
        (
            Block("drift", "drift", (0,)),
            Block("noise", "diffusion", (0, 0), "channel"),
        ),
        (Coupling("noise", "noise", label, ((0, 0), (1, 0))),),
        (
            Output("drift", "h", (1,)),
            Output("noise", "I_k", (1, 0)),
            Output("noise", "1", (-1, 1)),
        ),
        calculus=calculus,
        orders={"general": (1, 1)},
        citation="von Hallern and Roessler, Lecture Notes in Comput. Sci. Eng. 129 (2019): the DFM "
        "scheme, without its semigroup",
        advice=advice,
    )


@method("MilsteinGeneral")
def milstein_general(name: str) -> Tableau:
    """X+ = X + f h + sum_l g_l W_l + g_l(X + sum_k g_k I_kl) - g_l(X), Ito.

    The difference's step has the size h of the correction itself, so that one evaluation of each
    column will do: its error is of order 2.
    """
    advice = "Cheapest strong order 1 for general Ito noise: two evaluations of each column."
    return _milstein_general(name, "ito", "I_kl", advice)


@method("MilsteinGeneralStratonovich")
def milstein_general_stratonovich(name: str) -> Tableau:
    """X+ = X + f h + sum_l g_l W_l + g_l(X + sum_k g_k J_kl) - g_l(X), Stratonovich."""
    advice = "Cheapest strong order 1 for general Stratonovich noise: two of each column."
    return _milstein_general(name, "stratonovich", "J_kl", advice)
