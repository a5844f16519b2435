r"""Adams methods for the reverse diffusion, with a stage that the noise has displaced.

For ``dZ = f d rho + dW`` with f a martingale along the process, the exact step from Z is ``h X + W``
with X drawn from the posterior of the data, of which f, f' and f'' are mean, covariance and third
cumulant.  So up to third order a method must reproduce three cumulants of a step, and no more:
mean ``h f``, covariance ``h + h^2 f'`` and third cumulant ``h^3 f''``.

Let a stage stand at ``Z + c h F + xi`` and at the time c h, with Var xi = c h, so that it has the law
of the process there, and Cov(xi, W) = k h.  What it tells about f is, to first order in f, what the
process knows at the time k h: k is its *place* in the step, and c only has a second-order effect.
Stages of earlier steps have places too, before the step.  So the cumulants say:

- the output weights are those of the quadrature of [0, 1] at the places, exact for polynomials of
  degree 2 (covariance to first order in f, third cumulant);
- the predicted drift F extrapolates stored values to the place c/2 (mean);
- and ``c = k - 1/2 + sqrt(6)/6`` for equal steps (covariance, to second order in f).

With the first two alone, the least noise is ``c = k^2``, xi = k W.  That is what is here: with the third
as well, k = 0.898..., the weak order is 3 at equal steps (tests/order/test_adams.py proves it), but the entries
are nested roots and the error at few evaluations is larger.
"""

from __future__ import annotations

from typing import Any

import sympy

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import STEP_RATIOS, Tableau

_OURS = "this library, docs/diffusion.md"
_NOISE = Block("noise", "diffusion", (0,))


def _quadrature(places: list[Any]) -> list[Any]:
    """Weights of the places that integrate polynomials over [0, 1]."""
    weights = []
    s = sympy.Symbol("s")
    for i, place in enumerate(places):
        basis = sympy.prod(
            [(s - other) / (place - other) for j, other in enumerate(places) if j != i]
        )
        weights.append(sympy.factor(sympy.integrate(sympy.expand(basis), (s, 0, 1))))
    return weights


def _adams(
    name: str, place: Any, before: tuple[Any, ...], start: Tableau | None, **facts: Any
) -> Tableau:
    """The method with a stage at `place`, with the least noise, and stored ones at the places `before`."""
    node = place**2
    stored = [Block(f"before {i}", "drift", (node,), remembers="stage", lag=i) for i in range(1, 3)]
    stored = stored[: len(before)]
    if len(before) == 2:
        # The drift at the place c/2, by the line through the two before.
        far = sympy.factor((node / 2 - before[0]) / (before[1] - before[0]))
        shares = [sympy.factor(1 - far), far]
    else:
        shares = [sympy.Integer(1)] * len(before)
    couplings = [Coupling("stage", "noise", "I_k", ((place,),))] if place else []
    couplings += [
        Coupling("stage", block.name, "h", ((node * share,),))
        for block, share in zip(stored, shares)
    ]
    weights = _quadrature([place, *before]) if before else [sympy.Integer(1)]
    outputs = [
        Output(block, "h", (weight,))
        for block, weight in zip(["stage", *(b.name for b in stored)], weights)
    ]
    return Tableau(
        name,
        (Block("stage", "drift", (node,)), *stored, _NOISE),
        tuple(couplings),
        (*outputs, Output("noise", "I_k", (1,))),
        noise="additive",
        start=start,
        citation=_OURS,
        **facts,
    )


def _one_before(place: Any) -> Any:
    """Where the stage of the step before lies, in units of this step from its begin."""
    return (place - 1) / STEP_RATIOS[0]


def _two_before(place: Any) -> Any:
    return ((place - 1) / STEP_RATIOS[1] - 1) / STEP_RATIOS[0]


def displaced_adams(name: str, place: Any, **facts: Any) -> Tableau:
    """The method with a stage at `place`; the first step is Euler's."""
    start = sympy.Integer(0)
    first = _adams(f"{name}, first step", start, (), None)
    second = _adams(f"{name}, second step", place, (_one_before(start),), first)
    return _adams(name, place, (_one_before(place), _two_before(place)), second, **facts)


@method("NoiseAdams")
def noise_adams(name: str) -> Tableau:
    """One evaluation, at ``Z + 9/25 h F + 3/5 W``; the first step is Euler's.

    Mean and third cumulant of a step are right to third order for any step ratio, its covariance to
    second: weak order 2, and nearly 3 where f is nearly linear with the slope of the clock's variance.
    On mixtures the places from 3/5 to 2/3 are level (``python -m benchmarks.study.tuning``).
    """
    return displaced_adams(
        name,
        sympy.Rational(3, 5),
        orders={"additive": (1, 1), "martingale": (1, 2)},
        advice="One evaluation a step: the best sampler here if the data's variance is given; without, "
        "take TwoStep.",
    )
