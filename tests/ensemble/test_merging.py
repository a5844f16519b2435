"""Statistics are functions of the sample: any split, merged in any order, gives the same bits."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdeint.ensemble.exact_sums import ExactSums
from sdeint.ensemble.moments import Moments
from sdeint.ensemble.quantile_sketch import QuantileSketch
from sdeint.ensemble.statistics import Plan, Statistics

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANY = st.lists(FINITE, min_size=1, max_size=40)


def exact(sums):
    integers, exponent = sums.integers()
    return [Fraction(int(x)) * Fraction(2) ** exponent for x in integers]


@given(ANY)
def test_a_sum_of_any_floats_is_the_sum_of_the_rational_numbers_that_they_are(values):
    sums = ExactSums((1,))
    sums.add(np.array(values)[:, None])
    assert exact(sums) == [sum(map(Fraction, values))]


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=30))
def test_a_sum_of_products_does_not_round_overflow_or_underflow(pairs):
    sums = ExactSums((1,))
    a, b = (np.array(side)[:, None] for side in zip(*pairs))
    sums.add_products(a, b)
    assert exact(sums) == [sum(Fraction(x) * Fraction(y) for x, y in pairs)]


@given(st.lists(ANY, min_size=1, max_size=6), st.randoms())
def test_exact_sums_merge_associatively_and_commutatively(parts, random):
    each = []
    for part in parts:
        each.append(ExactSums((1,)))
        each[-1].add(np.array(part)[:, None])
    while len(each) > 1:
        random.shuffle(each)
        each[0].merge(each.pop())
    assert exact(each[0]) == [sum(Fraction(x) for part in parts for x in part)]


def test_sums_of_many_numbers_of_all_sizes_keep_every_bit():
    sums, total = ExactSums((2,)), [0, 0]
    generator = np.random.default_rng(0)
    for _ in range(20):
        size = 2.0 ** generator.integers(-60, 60, (5000, 2))
        values = generator.standard_normal((5000, 2)) * size
        sums.add(values)
        for row in (0, 1):
            total[row] += sum(map(Fraction, values[:, row].tolist()))
    assert exact(sums) == total


def test_a_limb_has_room_for_more_paths_than_a_group_can_have():
    sums = ExactSums((1,))
    sums.add(np.full((1 << 10, 1), 2.0**24 - 1))  # the largest piece
    for _ in range(29):
        sums.merge(sums)
    assert exact(sums) == [(2**24 - 1) * 2**39]


def cuts(count):
    return st.lists(st.integers(1, count - 1), max_size=5).map(
        lambda c: [0, *sorted(set(c)), count]
    )


@st.composite
def split_samples(draw):
    size, columns = draw(st.sampled_from([1, 2])), draw(st.integers(1, 3))
    count = draw(st.integers(2, 150))
    seed = draw(st.integers(0, 2**32))
    generator = np.random.default_rng(seed)
    scale = 10.0 ** draw(st.integers(-150, 150))
    shift = draw(st.sampled_from([0.0, 1e6]))
    values = scale * (generator.standard_normal((size, count, columns)) + shift)
    return values, draw(cuts(count)), draw(st.randoms())


@given(split_samples())
def test_every_statistic_has_the_same_bits_for_any_split_merged_in_any_order(sample):
    values, bounds, random = sample
    size, count, columns = values.shape
    scale = float(np.abs(values).max())
    plan = Plan((columns,), size, True, True, (-scale, 0.0, scale / 2))

    def of(a, b):
        statistics = Statistics(plan)
        statistics.add(7 + a, values[:, a:b])
        return statistics

    whole = of(0, count)
    parts = [of(a, b) for a, b in pairwise(bounds)]
    while len(parts) > 1:
        random.shuffle(parts)
        parts[0].merge(parts.pop())
    for name in ("mean", "error", "variance", "variance_error", "covariance_matrix"):
        one, two = getattr(whole.moments, name)(), getattr(parts[0].moments, name)()
        np.testing.assert_array_equal(one, two, err_msg=name)
    np.testing.assert_array_equal(whole.counts, parts[0].counts)
    np.testing.assert_array_equal(whole.both, parts[0].both)
    for one, two in zip(whole.sketches, parts[0].sketches):
        assert one.shift == two.shift
        np.testing.assert_array_equal(one.keys, two.keys)
        np.testing.assert_array_equal(one.counts, two.counts)


@given(st.lists(ANY, min_size=1, max_size=6), st.integers(4, 16), st.randoms())
def test_a_quantile_sketch_is_a_function_of_the_sample(parts, capacity, random):
    whole = QuantileSketch(capacity)
    whole.add(np.array([x for part in parts for x in part]))
    each = []
    for part in parts:
        each.append(QuantileSketch(capacity))
        each[-1].add(np.array(part))
    while len(each) > 1:
        random.shuffle(each)
        each[0].merge(each.pop())
    assert each[0].shift == whole.shift
    assert len(whole.keys) <= capacity
    np.testing.assert_array_equal(each[0].keys, whole.keys)
    np.testing.assert_array_equal(each[0].counts, whole.counts)


@given(ANY, st.floats(0.01, 0.99))
def test_a_quantile_of_few_values_is_one_of_them_and_has_its_rank(values, level):
    sketch = QuantileSketch()
    sketch.add(np.array(values))
    rank = level * len(values)
    assert sketch.at(rank).value == sorted(values)[max(math.ceil(rank), 1) - 1]


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_a_quantile_of_many_values_is_within_a_bin_of_the_sample_quantile(shift):
    values = np.random.default_rng(1).standard_normal(400_000) + shift
    sketch = QuantileSketch(4096)
    for part in np.array_split(values, 9):
        sketch.add(part)
    for level in (0.01, 0.3, 0.5, 0.9):
        found = sketch.at(level * len(values))
        true = np.quantile(values, level)
        assert found.low <= true <= np.nextafter(found.high, np.inf)
        assert found.high - found.low < 0.02
        assert abs(found.value - true) < 0.01


def test_a_variance_does_not_cancel_far_from_zero():
    values = 1e9 + np.random.default_rng(2).standard_normal(10_000)
    moments = Moments(1)
    moments.add(0, values.reshape(1, -1, 1))
    centred = values - 1e9  # exact
    assert moments.variance()[0] == pytest.approx(centred.var(ddof=1), rel=1e-13)
    assert moments.mean()[0] == float(sum(map(Fraction, values.tolist())) / 10_000)


def test_a_state_that_went_through_a_file_is_the_same_state():
    values = np.random.default_rng(3).standard_normal((2, 90, 2))
    plan = Plan((2,), 2, True, True, (-1.0, 1.0))
    statistics = Statistics(plan)
    statistics.add(0, values)
    again = Statistics.restored(plan, statistics.arrays())
    again.merge(Statistics.restored(plan, statistics.arrays()))
    statistics.merge(statistics)
    for name, array in statistics.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name], err_msg=name)


def test_the_variance_from_pairs_has_no_bias_however_few_they_are():
    # Pairs of copies: the variance is that of one number of each, and 3 pairs are few.
    values = np.random.default_rng(5).standard_normal((1, 3, 1))
    moments = Moments(1, 2)
    moments.add(0, np.concatenate([values, values]))
    assert moments.variance()[0] == pytest.approx(values.var(ddof=1), rel=1e-13)
    # Mirrored ones: the mean is 0 exactly, and the variance is the mean square.
    moments = Moments(1, 2)
    moments.add(0, np.concatenate([values, -values]))
    assert moments.variance()[0] == pytest.approx((values**2).mean(), rel=1e-13)


def test_standard_errors_match_the_spread_over_many_samples():
    # 400 samples of 640 units; each ratio of variances below is known to 5 standard deviations (1e-6).
    generator = np.random.default_rng(4)
    found = []
    for _ in range(400):
        z = generator.standard_normal((640, 2))
        x = np.stack([z[:, 0], 0.5 * z[:, 0] + z[:, 1] ** 2], -1)
        mirrored = np.stack([-z[:, 0], -0.5 * z[:, 0] + z[:, 1] ** 2], -1)
        for values in (x[None], np.stack([x, mirrored])):
            m = Moments(2, len(values), True)
            m.add(0, values)
            found.append(
                np.concatenate(
                    [
                        m.mean(),
                        m.covariance_matrix().reshape(-1),
                        m.error(),
                        m.covariance_error().reshape(-1),
                    ]
                )
            )
    for some in (np.array(found[0::2]), np.array(found[1::2])):
        values, errors = some[:, :6], some[:, 6:]
        spread = values.std(0, ddof=1)
        # A mean that mirrored paths make exact has no error at all.
        ratio = np.sqrt((errors**2).mean(0)) / np.maximum(spread, 1e-12)
        assert ((ratio > 0.8) & (ratio < 1.25) | (spread < 1e-12)).all(), ratio
        truth = np.array([0, 1, 1, 0.5, 0.5, 2.25])
        assert (abs(values.mean(0) - truth) < 5.5 * spread / 20 + 1e-12).all()
