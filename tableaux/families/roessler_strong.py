"""Roessler's strong order 1 for general noise: two differences a channel, whatever their number.

The correction ``sum_kl g_l' g_k I_kl`` is m^2 derivatives, but for each l one derivative of g_l along
``sum_k g_k I_kl``: a central difference of g_l needs 2 evaluations of that column.
"""

from __future__ import annotations

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Orders, Tableau

_ROESSLER = "Roessler, SIAM J. Numer. Anal. 48(3) (2010) 922-952, section 6"
_ORDERS: Orders = {"general": (1, 1)}
_ORDERS_TWO: Orders = {"general": (1, 1), "none": (2, 2)}


def _one_drift(name: str, calculus: str, label: str, advice: str) -> Tableau:
    return Tableau(
        name,
        (
            Block("drift", "drift", (0,)),
            Block("noise", "diffusion", (0, 0, 0), "channel"),
        ),
        (Coupling("noise", "noise", label, ((0, 0, 0), (1, 0, 0), (-1, 0, 0))),),
        (
            Output("drift", "h", (1,)),
            Output("noise", "I_k", (1, 0, 0)),
            Output("noise", "sqrt(h)", (0, "1/2", "-1/2")),
        ),
        calculus=calculus,
        orders=_ORDERS,
        citation=_ROESSLER,
        advice=advice,
    )


def _two_drifts(name: str, calculus: str, label: str, advice: str) -> Tableau:
    return Tableau(
        name,
        (
            Block("drift", "drift", (0, 1)),
            Block("noise", "diffusion", (0, 1, 1), "channel"),
        ),
        (
            Coupling("drift", "drift", "h", ((0, 0), (1, 0))),
            Coupling("noise", "drift", "h", ((0, 0), (1, 0), (1, 0))),
            Coupling("noise", "noise", label, ((0, 0, 0), (1, 0, 0), (-1, 0, 0))),
        ),
        (
            Output("drift", "h", ("1/2", "1/2")),
            Output("noise", "I_k", (1, 0, 0)),
            Output("noise", "sqrt(h)", (0, "1/2", "-1/2")),
        ),
        calculus=calculus,
        orders=_ORDERS_TWO,
        citation=_ROESSLER,
        advice=advice,
    )


@method("SRI1")
def sri1(name: str) -> Tableau:
    """X+ = X + f h + sum_l g_l W_l + sqrt(h) (g_l(H_l) - g_l(H'_l))/2, Ito.

    ``H_l, H'_l = X +- sum_k g_k I_kl / sqrt(h)``.
    """
    advice = "Paths under any Ito noise; MilsteinGeneral needs one column a channel less."
    return _one_drift(name, "ito", "I_kl/sqrt(h)", advice)


@method("SRI2")
def sri2(name: str) -> Tableau:
    """SRI1 with Heun's rule for the drift, order 2 without noise, and stages at ``X + f h``."""
    advice = "Paths under any Ito noise that is small: order 2 in the drift."
    return _two_drifts(name, "ito", "I_kl/sqrt(h)", advice)


@method("SRS1")
def srs1(name: str) -> Tableau:
    """SRI1 with the Stratonovich integrals."""
    advice = "Paths under any Stratonovich noise; MilsteinGeneralStratonovich is cheaper."
    return _one_drift(name, "stratonovich", "J_kl/sqrt(h)", advice)


@method("SRS2")
def srs2(name: str) -> Tableau:
    """SRI2 with the Stratonovich integrals."""
    advice = "Paths under any Stratonovich noise that is small: order 2 in the drift."
    return _two_drifts(name, "stratonovich", "J_kl/sqrt(h)", advice)
