"""Adams methods with a displaced stage: what the conditions say of them."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
import sympy

from benchmarks.study.gaussian import law_of
from tableaux import Output, Tableau, catalogue, order
from tableaux.families.adams import displaced_adams
from tableaux.memory import MemoryTables
from tableaux.prover import Prover

METHOD = catalogue["NoiseAdams"]


def residuals(tableau: Tableau, channels: int = 1) -> list[tuple[str, sympy.Expr]]:
    """What is left of the conditions of orders 1 to 3, for so many channels, at equal steps.

    Those of half orders hold by symmetry: an odd number of noises has no mean.
    """
    prover = Prover(tableau, "martingale", channels=channels, ratios=(Fraction(1),))
    return [
        (str(failure.combination.forest), failure.residual)
        for order in (1, 2, 3)
        for failure, _ in prover.mean_failures(Fraction(order), "weak")
    ]


def test_of_all_conditions_of_order_three_only_that_of_the_covariance_fails() -> None:
    # Mean and third cumulant of a step are right.  Their conditions are combinations of trees whose
    # own means are wrong at lower order: they hold over one common window of steps only.
    found = dict(residuals(METHOD))
    assert found == {"(1, [[1]_0]_0)": sympy.Rational(-743, 15000)}


PLACE = sympy.Symbol("k")
COVARIANCE = sympy.Poly(12 * (PLACE**2 - PLACE) ** 2 + 12 * (PLACE**2 - PLACE) + 1, PLACE)


def at_place(place: sympy.Expr) -> Tableau:
    return displaced_adams("member", place)


@pytest.mark.parametrize("channels", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_place_of_order_three_is_a_root_of_one_polynomial(channels: int) -> None:
    found = residuals(at_place(PLACE), channels)
    assert {f for f, _ in found} == {f"({i}, [[{i}]_0]_0)" for i in range(1, channels + 1)}
    assert all(24 * residual == COVARIANCE.as_expr().expand() for _, residual in found)
    # Its roots in (0, 1): c = k^2 is then k - 1/2 + sqrt(6)/6.
    root = sympy.Rational(1, 2) + sympy.sqrt(sympy.sqrt(6) / 6 - sympy.Rational(1, 4))
    assert COVARIANCE.eval(root).equals(0)


def test_exact_values_before_the_step_would_give_another_place(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(MemoryTables, "numerical", lambda self, forests: 0)
    found = residuals(at_place(PLACE))
    assert found
    assert all(sympy.rem(sympy.Poly(r, PLACE), COVARIANCE) for _, r in found)


@pytest.mark.parametrize(("place", "order"), [("3/5", 2), ("0.8981825287", 3), ("0.1018174713", 3)])
def test_the_order_that_is_proved_is_that_of_the_law_on_gaussian_data(
    place: str, order: int
) -> None:
    # In steps of equal ratio; the law without sampling.
    exact = law_of("NoiseAdams", 8, 0.5, fitted=0.5)
    errors = [abs(law_of(at_place(sympy.Rational(place)), n, 0.5) - exact) for n in (513, 1025)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)


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


@pytest.mark.parametrize("ratio", [Fraction(1), Fraction(9, 4)])
def test_the_second_step_knows_that_the_first_is_eulers(ratio: Fraction) -> None:
    second = METHOD.start
    assert second is not None
    first = second.start
    assert first is not None
    assert first.start is None
    assert not first.couplings
    assert {o.source: o.weights for o in first.outputs} == {"stage": (1,), "noise": (1,)}
    found = {o.source: o.weights[0].subs({"r": ratio}) for o in second.outputs}
    # Its own stage stands where those of all steps do, Euler's at the begin of the step before.
    places = {"stage": Fraction(3, 5), "before 1": -1 / ratio}
    for degree in range(2):
        assert sum(found[s] * p**degree for s, p in places.items()) == Fraction(1, degree + 1)
    into = {(c.source, c.label): c.matrix for c in second.couplings}
    nine = sympy.Rational(9, 25)
    assert into == {("noise", "I_k"): ((sympy.Rational(3, 5),),), ("before 1", "h"): ((nine,),)}
