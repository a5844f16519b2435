r"""Two evaluations a step for the reverse diffusion, of weak order 3.

As for the methods of `tableaux.families.adams`, a step of ``dZ = f d rho + dW`` with f a martingale must
have the mean h f, the covariance h + h^2 f' and the third cumulant h^3 f''.  Stage i stands at the
time c_i h and is displaced by a noise of variance c_i h whose covariance with W is k_i h, its *place*,
and with the other stage's noise s h; its drift is D_i, a combination of stages here and of the step
before, whose places lie before the step.  The conditions of order 3 are then

- third cumulant: the output weights are a quadrature of degree 2 at the places, which for two stages
  has one free place;
- mean: each D_i extrapolates f to c_i/2, in places as stage i sees them: ``sum_j a_ij s_ij = c_i^2/2`` with
  ``sum_j a_ij = c_i`` and, for a stored stage j, its place for s_ij;
- covariance, to second order in f: ``sum_i b_i (sum_j a_ij k_j - c_i k_i) + (1/2) sum_ij b_i b_j s_ij = 0``.

What the stored stages contribute to the last two is one and the same number, their moment, so that the
coefficient of the first stage in the second follows from both and is the same for all step ratios: weak
order 3 at any ratio.  Without memory there is no solution (docs/theory.md).
"""

from __future__ import annotations

from typing import Any

import sympy

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import STEP_RATIOS, Tableau

_HALF, _THIRD = sympy.Rational(1, 2), sympy.Rational(1, 3)


def two_displaced(name: str, place: Any, bridge: Any, **facts: Any) -> Tableau:
    """The method whose first stage has the noise ``place W + bridge H``; the second has no H.

    The first step has one evaluation more, at its beginning, in place of the stored ones.
    """
    other = (_THIRD - place / 2) / (_HALF - place)
    weight = (_HALF - place) / (other - place)
    weights = (1 - weight, weight)
    places = (place, other)
    # Var H = h/12.
    nodes = (place**2 + bridge**2 / 12, other**2)
    common = place * other
    squares = weights[0] ** 2 * nodes[0] + weights[1] ** 2 * nodes[1]
    spread = squares + 2 * weights[0] * weights[1] * common
    needed = sum(b * c * (k - c / 2) for b, c, k in zip(weights, nodes, places)) - spread / 2
    inner = sympy.factor(needed / (weight * (place - common)))

    noise = (
        # H = I_k0/h - I_k/2.
        Coupling("stage", "noise", "I_k", ((place - bridge / 2,), (other,))),
        Coupling("stage", "noise", "I_k0/h", ((bridge,), (0,))),
        Coupling("stage", "stage", "h", ((0, 0), (inner, 0))),
    )
    outputs = (Output("stage", "h", weights), Output("noise", "I_k", (1,)))
    stage, unit = Block("stage", "drift", nodes), Block("noise", "diffusion", (0,))
    first = Tableau(
        f"{name}, first step",
        (Block("here", "drift", (0,)), stage, unit),
        (Coupling("stage", "here", "h", ((nodes[0],), (nodes[1] - inner,))), *noise),
        outputs,
        noise="additive",
    )
    before = tuple((where - 1) / STEP_RATIOS[0] for where in places)
    stored = (
        _line(nodes[0], nodes[0] ** 2 / 2, before),
        _line(nodes[1] - inner, nodes[1] ** 2 / 2 - inner * common, before),
    )
    return Tableau(
        name,
        (stage, Block("before", "drift", nodes, remembers="stage"), unit),
        (Coupling("stage", "before", "h", stored), *noise),
        outputs,
        noise="additive",
        start=first,
        **facts,
    )


def _line(total: Any, moment: Any, places: tuple[Any, Any]) -> tuple[Any, Any]:
    """Coefficients with this sum and this sum of products with the places."""
    far = sympy.factor((moment - total * places[0]) / (places[1] - places[0]))
    return sympy.factor(total - far), far


@method("NoiseRK3")
def noise_rk3(name: str) -> Tableau:
    """Stages displaced by ``W/4 + (9/8) H`` and ``5 W/6``; the first step has three evaluations.

    ``Z+ = Z + (h/7) (4 f(t + 43 h/256, Z_1) + 3 f(t + 25 h/36, Z_2)) + W``.  The place 1/4 and the bridge 9/8
    are those of the least errors on mixtures in 1, 4 and 16 dimensions that are not in the study, from
    12 to 64 evaluations (``python -m benchmarks.study.tuning``).
    """
    return two_displaced(
        name,
        sympy.Rational(1, 4),
        sympy.Rational(9, 8),
        orders={"additive": (1, 1), "martingale": (1, 3)},
        citation="this library, docs/theory.md",
        advice="Two evaluations a step and weak order 3: level with NoiseAdams from about 24 evaluations on, "
        "if the data's variance is given.",
    )
