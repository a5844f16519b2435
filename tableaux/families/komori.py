"""Komori: weak second-order methods, Stratonovich.

For one channel all three are the same method: the classical method of order 4 for the drift and
another one of order 4, with the nodes 0, 2/3, 1/3, 1, for the noise.  They differ in how channels that
do not commute are mixed.
"""

from __future__ import annotations

from collections.abc import Sequence

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Orders, Tableau

_NONCOMMUTATIVE = "Komori, J. Comput. Appl. Math. 206 (2007) 158-173"
_COMMUTATIVE = "Komori, J. Comput. Appl. Math. 203 (2007) 57-79"
_SUPPLEMENT = "Komori and Burrage, J. Comput. Appl. Math. 235 (2011) 5326-5329"


def _form(
    name: str,
    citation: str,
    advice: str,
    orders: Orders,
    noise: str = "general",
    blocks: Sequence[Block] = (),
    couplings: Sequence[Coupling] = (),
    outputs: Sequence[Output] = (),
) -> Tableau:
    """The stages for the drift and for each channel, with what mixes the channels.

    The papers leave explicit time to an added component of X, whose stages would lie at 2 h and -2 h;
    the nodes 0, 0, 1, 1 of the noise stages satisfy the same conditions inside the step.
    """
    mixed = ((0, 0, 0, 0), (0, 0, 0, 0), ("1/4", "3/4", 0, 0), ("1/4", "3/4", 0, 0))
    own = ((0, 0, 0, 0), ("2/3", 0, 0, 0), ("1/12", "1/4", 0, 0), ("-5/4", "1/4", 2, 0))
    return Tableau(
        name,
        (
            Block("drift", "drift", (0, "1/2", "1/2", 1)),
            Block("own", "diffusion", (0, 0, 1, 1), "channel"),
            *blocks,
        ),
        (
            Coupling(
                "drift",
                "drift",
                "h",
                ((0, 0, 0, 0), ("1/2", 0, 0, 0), (0, "1/2", 0, 0), (0, 0, 1, 0)),
            ),
            Coupling(
                "drift",
                "own",
                "theta_k",
                ((0, 0, 0, 0), (1, 0, 0, 0), ("-9/8", "9/8", 0, 0), (1, 0, 0, 0)),
            ),
            Coupling(
                "own",
                "drift",
                "h",
                ((0, 0, 0, 0), (2, 0, 0, 0), (0, 0, 0, 0), (-2, 0, 0, 0)),
            ),
            Coupling("own", "own", "theta_k", own, "own"),
            Coupling("own", "own", "theta_k", mixed, "other"),
            *couplings,
        ),
        (
            Output("drift", "h", ("1/6", "1/3", "1/3", "1/6")),
            Output("own", "theta_k", ("1/8", "3/8", "3/8", "1/8")),
            *outputs,
        ),
        calculus="stratonovich",
        noise=noise,
        orders=orders,
        citation=citation,
        advice=advice,
    )


@method("NON")
def non(name: str) -> Tableau:
    """Channels are mixed pair by pair: ``sign_l sqrt(h) (g_l - g_l(X + theta_k g_k))/2`` and
    ``theta_k (g_k(X + z) - g_k(X - z))/2`` with ``z = sign_l sqrt(h) g_l/2``, summed over k < l.

    The two-point variable of a pair must be that of its later channel l.  With that of k, as another
    library draws it, the pairs (1, 2) and (1, 3) have the same, their areas are correlated, and the
    weak order is 1 for three channels.
    """
    unit = ((0, 0, 0, 0), (1, 0, 0, 0))
    half = (("1/2", 0, 0, 0), ("-1/2", 0, 0, 0))
    return _form(
        name,
        citation=_NONCOMMUTATIVE,
        advice="RS2 and NON2 mix the channels at a lower cost.",
        orders={"general": (None, 2), "none": (4, 4)},
        blocks=(
            Block("later", "diffusion", (0, 0), "pair"),
            Block("earlier", "diffusion", (0, 0), "pair"),
        ),
        couplings=(
            Coupling("later", "own", "theta_k", unit, "partner"),
            Coupling("earlier", "own", "sign_k*sqrt(h)", half, "partner"),
        ),
        outputs=(
            Output("later", "sign_k*sqrt(h)", ("1/2", "-1/2"), "less"),
            Output("earlier", "theta_k", ("1/2", "-1/2"), "greater"),
        ),
    )


@method("NON2")
def non2(name: str) -> Tableau:
    """Channels are mixed by ``(g_k(X + z_k) - g_k(X - z_k)) sqrt(h)`` with
    ``z_k = sum_(l != k) g_l eta_lk / 4``, eta_lk antisymmetric.
    """
    quarter = (("1/4", 0, 0, 0), ("-1/4", 0, 0, 0))
    return _form(
        name,
        citation=_SUPPLEMENT,
        advice="Expectations under small Stratonovich noise: order 4 without noise.",
        orders={"general": (None, 2), "none": (4, 4)},
        blocks=(Block("mixed", "diffusion", (0, 0), "channel"),),
        couplings=(Coupling("mixed", "own", "theta_k*sign_l", quarter, "other"),),
        outputs=(Output("mixed", "sqrt(h)", (1, -1)),),
    )


@method("COM")
def com(name: str) -> Tableau:
    """For commutative noise, which needs no mixing."""
    return _form(
        name,
        citation=_COMMUTATIVE,
        advice="As NON2 for commutative, diagonal or scalar noise.",
        orders={"commutative": (None, 2), "none": (4, 4)},
        noise="commutative",
    )
