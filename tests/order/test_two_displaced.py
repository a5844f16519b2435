"""Two displaced stages: weak order 3 for every place, bridge and step ratio; none without memory."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from tableaux import Block, Coupling, Output, Tableau, catalogue, order
from tableaux.design import entry_conditions
from tableaux.families.two_displaced import two_displaced
from tableaux.prover import Prover

METHOD = catalogue["NoiseRK3"]
FRACTIONS = st.fractions(Fraction(1, 10), Fraction(3, 10), max_denominator=12)
BRIDGES = st.fractions(-1, Fraction(3, 2), max_denominator=8)
SQUARES = st.fractions(Fraction(1, 2), 2, max_denominator=4).map(lambda x: x * x)


def failing(tableau: Tableau, upto: int, *ratios: Fraction) -> set[str]:
    """Weak conditions for one channel, up to an order, that do not hold."""
    prover = Prover(tableau, "martingale", channels=1, ratios=ratios or (Fraction(1),))
    return {
        str(failure.combination.forest)
        for order in range(1, upto + 1)
        for failure, _ in prover.mean_failures(Fraction(order), "weak")
    }


@settings(max_examples=15, deadline=None)
@given(FRACTIONS, BRIDGES, SQUARES, SQUARES)
def test_every_place_and_bridge_gives_weak_order_three_at_every_ratio(
    place: Fraction, bridge: Fraction, ratio: Fraction, before: Fraction
) -> None:
    method = two_displaced("member", sympy.Rational(place), sympy.Rational(bridge))
    assert not failing(method, 3, ratio, before)


@settings(max_examples=5, deadline=None)
@given(FRACTIONS, BRIDGES)
def test_the_first_step_has_weak_order_two_and_so_the_local_error_of_an_order_three(
    place: Fraction, bridge: Fraction
) -> None:
    method = two_displaced("member", sympy.Rational(place), sympy.Rational(bridge))
    assert method.start is not None
    assert not failing(method.start, 2)
    assert failing(method.start, 3)


def test_the_entry_is_as_printed() -> None:
    assert METHOD.blocks[0].nodes == (sympy.Rational(43, 256), sympy.Rational(25, 36))
    (weights,) = (o.weights for o in METHOD.outputs if o.source == "stage")
    assert weights == (sympy.Rational(4, 7), sympy.Rational(3, 7))
    noise = {c.label: c.matrix for c in METHOD.couplings if c.source == "noise"}
    # W/4 + 9/8 H and 5/6 W, with H = I_k0/h - I_k/2.
    assert noise["I_k0/h"] == ((sympy.Rational(9, 8),), (0,))
    assert noise["I_k"] == ((sympy.Rational(-5, 16),), (sympy.Rational(5, 6),))


def changed(*parts: int) -> Tableau:
    """The method with 1/7 more of the last entry of one coupling, and less of that of the next."""
    couplings, amount = list(METHOD.couplings), Fraction(1, 7)
    for part in parts:
        *rows, (*entries, first, last) = couplings[part].matrix
        row = (*entries, first + amount, last)
        couplings[part] = replace(couplings[part], matrix=(*rows, row))
        amount = -amount
    return replace(METHOD, couplings=couplings, orders={})


@pytest.mark.parametrize("part", [0, 3])
def test_a_changed_coefficient_leaves_order_one(part: int) -> None:
    method = changed(part)
    assert not failing(method, 1)
    assert failing(method, 2)


def test_only_order_three_sees_which_stage_a_drift_comes_from() -> None:
    method = changed(0, 3)
    assert not failing(method, 2)
    assert failing(method, 3) == {"([1, [1]_0]_0,)", "(1, [[1]_0]_0)"}


def test_coefficients_of_equal_steps_lose_the_order_at_others() -> None:
    stored, *others = METHOD.couplings
    rows = tuple(tuple(entry.subs("r", 1) for entry in row) for row in stored.matrix)
    fixed = replace(METHOD, couplings=(replace(stored, matrix=rows), *others), orders={})
    find = {"noise": "martingale", "max_strong": 1, "max_weak": 3}
    assert order(fixed, ratios=[1], **find).weak == 3
    assert order(fixed, ratios=[4], **find).weak == 2


def test_a_start_of_order_one_leaves_order_two() -> None:
    find = {"noise": "martingale", "max_strong": 1, "max_weak": 3}
    proved = order(METHOD, **find).by_noise["martingale"]
    assert (proved.weak, proved.weak_capped) == (3, False)
    assert METHOD.start is not None
    # Without the mean of the drift, as if Euler's method had made the stages.
    own = METHOD.start.couplings[0]
    none = replace(own, matrix=tuple((0,) for _ in own.matrix))
    start = replace(METHOD.start, couplings=(none, *METHOD.start.couplings[1:]))
    left = order(replace(METHOD, start=start, orders={}), **find).by_noise["martingale"]
    assert (left.weak, left.weak_capped) == (2, False)
    assert "first step" in left.note
    assert left.failing[0].order == 2


def test_two_evaluations_without_memory_have_no_weak_order_three() -> None:
    # With drifts and noises of any size; a third noise changes nothing (docs/theory.md).
    family = Tableau(
        "two stages",
        (Block("stage", "drift", ("c1", "c2")), Block("noise", "diffusion", (0,))),
        (
            Coupling("stage", "stage", "h", ((0, 0), ("a", 0))),
            Coupling("stage", "noise", "I_k", (("p1",), ("p2",))),
            Coupling("stage", "noise", "I_k0/h", (("y1",), ("y2",))),
        ),
        (Output("stage", "h", ("1 - b", "b")), Output("noise", "I_k", (1,))),
        noise="additive",
    )
    conditions = entry_conditions(family, "weak", Fraction(3), "martingale", 1)
    symbols = sorted(family.free_symbols, key=str)
    basis = sympy.groebner(conditions, *symbols, order="grevlex")
    # The first stage can have no noise: its variance p1^2 + p1 y1 + y1^2/3 vanishes ...
    p, y = sympy.symbols("p1 y1")
    assert basis.contains(3 * p**2 + 3 * p * y + y**2)
    # ... and then there is nothing real left.
    still = [condition.subs({p: 0, y: 0}) for condition in conditions]
    left = [symbol for symbol in symbols if symbol not in (p, y)]
    assert sympy.groebner(still, *left, order="grevlex").contains(3 * sympy.Symbol("y2") ** 2 + 16)
