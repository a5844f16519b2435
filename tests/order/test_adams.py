"""Adams methods with a displaced stage: what the conditions say of them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from tableaux import Output, Tableau, catalogue, order

METHOD = catalogue["NoiseAdams"]


def test_of_all_conditions_of_order_three_only_those_of_the_covariance_fail() -> None:
    # Mean and third cumulant of a step are right.  Their conditions are combinations of trees whose
    # own means are wrong at lower order: they hold over one common window of steps only.
    verdict = order(METHOD, noise="martingale", max_strong=1, max_weak=3, ratios=[1]).by_noise[
        "martingale"
    ]
    assert verdict.weak == 2
    failing = {f.combination.forest for f in verdict.failing if f.combination.channels == 1}
    assert {str(forest) for forest in failing} == {"(1, [[1]_0]_0)", "([1]_0, [1]_0)"}


def with_outputs(weights: dict[str, object]) -> Tableau:
    outputs = [
        Output(o.source, o.label, (weights[o.source],)) if o.source in weights else o
        for o in METHOD.outputs
    ]
    return replace(METHOD, outputs=outputs, orders={})


def test_weights_for_equal_steps_lose_the_order_at_any_other_ratio() -> None:
    at_one = {o.source: o.weights[0].subs({"r": 1, "r_2": 1}) for o in METHOD.outputs}
    fixed = with_outputs({k: v for k, v in at_one.items() if k != "noise"})
    find = {"noise": "martingale", "max_strong": 1, "max_weak": 2}
    assert order(fixed, ratios=[1], **find).weak == 2
    assert order(fixed, ratios=[4], **find).weak == 1


@pytest.mark.parametrize("ratio", [Fraction(1), Fraction(9, 4)])
def test_the_weights_are_a_quadrature_of_degree_two_at_the_places(ratio: Fraction) -> None:
    place = Fraction(3, 5)
    one = (place - 1) / ratio
    two = ((place - 1) / ratio - 1) / ratio
    values = {"r": ratio, "r_2": ratio}
    found = {o.source: o.weights[0].subs(values) for o in METHOD.outputs}
    for degree in range(3):
        total = sum(
            found[source] * where**degree
            for source, where in (("stage", place), ("before 1", one), ("before 2", two))
        )
        assert total == Fraction(1, degree + 1)
