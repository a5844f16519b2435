"""Tocino and Vigo-Aguiar: weak second-order methods with Gaussian increments, Ito.

``X+ = X + (a1 f + a2 f_2) h + c1 g W + (l1 W + l2 sqrt(h) + l3 W^2/sqrt(h)) g_2
+ (m1 W + m2 sqrt(h) + m3 W^2/sqrt(h)) g_3``, with f_2 at ``X + p f h + (n1 W + n2 W^3/h) g`` and g_2 and
g_3 at ``X + q f h +- shift g``.  The powers of W are written in I_kk and I_kkk below.

Family B is known to us from another library only.  As it stands there its weak order is 1, not 2: with
shifts by W^2 the square of what stands for I_kk has the mean 7/6 h^2, not h^2/2, whatever the weights.
For linear problems the first moment converges with order 2 all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tableaux.blocks import Block, Coupling, Output
from tableaux.exact import Vector
from tableaux.families.entries import method
from tableaux.tableau import Orders, Tableau

_PAPER = "Tocino and Vigo-Aguiar, SIAM J. Sci. Comput. 24 (2002) 507-523"


def _form(
    name: str,
    *,
    node: Any,
    alpha: Vector,
    drift_noise: Mapping[str, Any],
    noise_node: Any,
    shift: tuple[str, Any],
    weights: Mapping[str, Vector],
    orders: Orders,
    advice: str,
) -> Tableau:
    label, size = shift
    return Tableau(
        name,
        (
            Block("drift", "drift", (0, node)),
            Block("diffusion", "diffusion", (0, noise_node, noise_node), "channel"),
        ),
        (
            Coupling("drift", "drift", "h", ((0, 0), (node, 0))),
            *(
                Coupling("drift", "diffusion", noise, ((0, 0, 0), (weight, 0, 0)))
                for noise, weight in drift_noise.items()
            ),
            Coupling("diffusion", "drift", "h", ((0, 0), (noise_node, 0), (noise_node, 0))),
            Coupling(
                "diffusion",
                "diffusion",
                label,
                ((0, 0, 0), (size, 0, 0), (f"-({size})", 0, 0)),
                "own",
            ),
        ),
        (
            Output("drift", "h", alpha),
            *(Output("diffusion", noise, weight) for noise, weight in weights.items()),
        ),
        noise="diagonal",
        orders=orders,
        citation=_PAPER,
        advice=advice,
    )


# l1 = m1 = c1/2 = 1/4; the rest is I_kk (g_2 - g_3)/(2 sqrt(h)): shifts of +-sqrt(h).
_A: dict[str, Any] = {
    "noise_node": 1,
    "shift": ("sqrt(h)", 1),
    "weights": {"I_k": ("1/2", "1/4", "1/4"), "I_kk/sqrt(h)": (0, "1/2", "-1/2")},
    "orders": {"diagonal": (1, 2)},
}
# Shifts of -/+ W^2/(6 sqrt(h)), and (3 sqrt(h) - W^2/sqrt(h))/2 = sqrt(h) - I_kk/sqrt(h).
_B: dict[str, Any] = {
    "noise_node": "5/12",
    "shift": ("J_kk/sqrt(h)", "-1/3"),
    "weights": {
        "I_k": ("-1/5", "3/5", "3/5"),
        "I_kk/sqrt(h)": (0, -1, 1),
        "sqrt(h)": (0, 1, -1),
    },
    "orders": {"diagonal": ("1/2", 1), "additive": (1, 2)},
}
_IMPROVED: dict[str, Any] = {"node": 1, "alpha": ("1/2", "1/2"), "drift_noise": {"I_k": 1}}
# n1 W + n2 W^3/h with n1 = (2 - sqrt(6))/4 and n2 = sqrt(6)/12.
_MODIFIED: dict[str, Any] = {
    "node": "1/2",
    "alpha": (0, 1),
    "drift_noise": {"I_k": "1/2", "I_kkk/h": "sqrt(6)/2"},
}


@method("SIEA")
def siea(name: str) -> Tableau:
    """The improved Euler method for the drift, noise stages at X + f h +- g sqrt(h)."""
    return _form(name, **_IMPROVED, **_A, advice="Paths and expectations of diagonal noise.")


@method("SIEB")
def sieb(name: str) -> Tableau:
    """The improved Euler method for the drift, noise stages at X + 5/12 f h -+ g W^2/(6 sqrt(h))."""
    return _form(
        name,
        **_IMPROVED,
        **_B,
        advice="For comparison: SIEA has the order that this one should have.",
    )


@method("SMEA")
def smea(name: str) -> Tableau:
    """The modified Euler method (midpoint) for the drift, noise stages as SIEA."""
    return _form(name, **_MODIFIED, **_A, advice="As SIEA, with the midpoint rule for the drift.")


@method("SMEB")
def smeb(name: str) -> Tableau:
    """The modified Euler method (midpoint) for the drift, noise stages as SIEB."""
    return _form(
        name,
        **_MODIFIED,
        **_B,
        advice="For comparison: SMEA has the order that this one should have.",
    )
