"""Multilevel Monte Carlo: the right value, the cost that theory says, the rates that it measures."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from sdeint import SDE, ProblemError, expect, multilevel, problems
from sdeint.ensemble.corrections import Corrections
from sdeint.ensemble.levels import Level, LevelsEstimate
from sdeint.ensemble.telescoping import Ladder
from tests.ensemble.problems import CALL, DIGITAL, GBM, ONE, call, digital, first

T = [0.0, 1.0]


def slope(eps, cost):
    x = torch.log(torch.tensor(eps, dtype=torch.float64))
    y = torch.log(torch.tensor(cost, dtype=torch.float64))
    x = x - x.mean()
    return float((x * y).sum() / (x * x).sum())


def test_the_european_option_costs_eps_to_the_minus_two_with_a_milstein_method():
    eps = [2e-3, 1e-3, 5e-4, 2.5e-4]
    found = [multilevel(GBM, ONE, T, call, e, method="DFMilstein", seed=1) for e in eps]
    for e, r in zip(eps, found):
        assert r.met
        assert abs(r.mean - CALL) < 5.5 * r.error + e / 2
        assert r.error**2 + r.bias**2 <= 1.05 * e**2
    # Pilots cost more than their share while eps is large, so the exponent comes from below.
    assert -2.1 < slope(eps, [r.cost for r in found]) < -1.2
    finest = found[-1]
    assert finest.beta == pytest.approx(1.5, abs=0.5)  # towards 2 as h -> 0
    assert finest.gamma == pytest.approx(1.0, abs=0.01)
    assert finest.complexity == 2.0
    assert finest.plain_cost > 20 * finest.cost


def test_the_root_mean_square_error_is_what_was_asked_for():
    # With a noise of 0.87 eps and a bias of 0.5 eps the mean square of 24 exceeds (1.75 eps)^2 with
    # probability 3e-7; below (eps/4)^2 the run would have done much more than was asked for.
    eps, seeds = 4e-3, 24
    squares = [
        (multilevel(GBM, ONE, T, call, eps, method="DFMilstein", seed=s, pilot=300).mean - CALL)
        ** 2
        for s in range(seeds)
    ]
    assert 0.25 * eps < math.sqrt(sum(squares) / seeds) < 1.75 * eps


def test_the_digital_option_pays_for_its_jump_less_with_a_method_of_higher_strong_order():
    euler, milstein, high = (
        multilevel(GBM, ONE, T, digital, 2e-3, method=m, seed=2)
        for m in ("EM", "DFMilstein", "SRID1")
    )
    for r in (euler, milstein, high):
        assert abs(r.mean - DIGITAL) < 5.5 * r.error + 1e-3
        assert len(r.levels) >= 3
    assert high.cost < milstein.cost < euler.cost
    # Var ~ the strong error, h^(1/2) for Euler, not its square: the corrections are mostly zero.
    assert 0.1 < euler.beta < 0.8


@pytest.mark.parametrize("name", ["SRID1", "EM"])
def test_corrections_telescope_to_the_finest_level(name):
    options = {"method": name, "seed": 4, "min_levels": 3, "max_levels": 3}
    r = multilevel(GBM, ONE, T, call, 3e-3, **options)
    assert [x.steps for x in r.levels] == [1, 2, 4]
    plain = expect(GBM, ONE, T, call, paths=60_000, steps=4, method=name, seed=99)
    assert abs(r.mean - float(plain.mean)) < 5.5 * math.hypot(r.error, float(plain.error))
    # Level 0 is the plain estimate of the coarsest steps.
    assert r.levels[0].variance == r.levels[0].plain


@pytest.mark.parametrize(("name", "method"), [("pair", "SRI1"), ("triple", "SRI1")])
def test_levels_of_general_noise_share_their_levy_areas(name, method):
    problem = problems.library[name]
    functional = problem.functional()
    t = problem.interval
    exact = functional.exact(t[1] - t[0])
    y0 = problem.start(1)[0]
    r = multilevel(
        problem.sde(), y0, t, functional, 0.02 * exact, method=method, steps=8, pilot=400
    )
    assert abs(r.mean - exact) < 5.5 * r.error + 0.01 * exact
    # On a path of its own each, the two would differ by the functional's own variance.
    assert r.levels[-1].variance < r.levels[-1].plain / 20
    variances = [x.variance for x in r.levels[1:]]
    assert variances == sorted(variances, reverse=True)


def ladder(order, refinement, eps=0.1):
    corrections = Corrections(None, 1, refinement)
    return Ladder(corrections, order, eps, 10, 2, 9, 10**12, 100)


def levels(means=(1.0,) * 5, variances=(1.0,) * 5, paths=(10**6,) * 5, refinement=2):
    return [
        Level(refinement**i, n, m, (v / n) ** 0.5, v, 1.0, float(refinement**i))
        for i, (m, v, n) in enumerate(zip(means, variances, paths))
    ]


def test_paths_are_shared_out_for_the_least_cost_of_the_variance_that_eps_leaves():
    given = levels(variances=(4.0, 0.5, 0.02))
    counts = ladder(1.0, 2)._optimal(given)
    # rounded up, by at most one path each
    variance = sum(x.variance / n for x, n in zip(given, counts))
    assert 0.99 * 0.75 * 0.1**2 < variance <= 0.75 * 0.1**2
    # Lagrange: the last path of each level gains the same variance for its cost
    gains = [x.variance / (n**2 * x.cost) for x, n in zip(given, counts)]
    assert gains == pytest.approx([gains[0]] * 3, rel=0.1)


@pytest.mark.parametrize("order", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("refinement", [2, 4])
def test_the_bias_of_a_geometric_series_is_its_rest(order, refinement):
    q = refinement**-order
    means = [100.0, *(-3 * q**i for i in range(1, 5))]  # that of level 0 is no correction
    rest = 3 * q**5 / (1 - q)
    found = ladder(order, refinement)._bias(levels(means))
    assert found == pytest.approx(rest, rel=1e-12)
    # Where the last corrections vanish by chance, the one before them tells.
    for lucky in ([4], [3, 4]):
        some = [0.0 if i in lucky else mean for i, mean in enumerate(means)]
        assert ladder(order, refinement)._bias(levels(some)) == pytest.approx(rest, rel=1e-12)
    assert ladder(order, refinement)._bias(levels([*means[:2], 0.0, 0.0, 0.0])) == 0.0


def test_variances_of_few_paths_are_not_believed_to_vanish():
    variances, paths = (1.0, 0.5, 0.0, 1e-9, 0.0), (10**6, 10, 10, 10, 10**6)
    found = ladder(0.5, 4)._variances(levels(variances=variances, paths=paths))
    assert found == [1.0, 0.5, 0.5 / 4, 0.5 / 16, 0.0]


@pytest.mark.parametrize(("beta", "power"), [(2.0, 2.0), (0.5, 2 + 0.5 / 1.5)])
def test_rates_of_exact_powers_are_their_exponents(beta, power):
    steps = range(5)
    # Level 0 is no correction, and counts for nothing.
    means = [9.0, *(3.0 ** (-1.5 * i) for i in steps[1:])]
    variances = [8.0, *(3.0 ** (-beta * i) for i in steps[1:])]
    given = levels(means, variances, refinement=3)
    found = LevelsEstimate(0.0, 0.02, 0.0, 0.1, True, tuple(given), "", 3, 1.0, 0.0)
    assert (found.alpha, found.beta, found.gamma) == pytest.approx((1.5, beta, 1.0))
    assert found.complexity == pytest.approx(power)
    assert replace(found, levels=found.levels[:3]).alpha == pytest.approx(1.5)
    assert replace(found, levels=found.levels[:2]).alpha is None
    assert found.cost == sum(10**6 * 3**i for i in steps)
    # Of the evaluations on a path of the finest level, 81 on both grids, 3/4 are on the fine one.
    assert found.plain_cost == pytest.approx(1.0 / 0.02**2 * 81 * 3 / 4)


def test_threads_and_the_size_of_chunks_change_nothing_in_the_levels():
    options = {"method": "DFMilstein", "seed": 3}
    one = multilevel(GBM, ONE, T, call, 2e-3, chunk=500, **options)
    with ThreadPoolExecutor(3) as pool:
        assert multilevel(GBM, ONE, T, call, 2e-3, chunk=500, executor=pool, **options) == one
    assert multilevel(GBM, ONE, T, call, 2e-3, chunk=333, **options) == one
    assert multilevel(GBM, ONE, T, call, 2e-3, **options) == one


def test_a_limit_of_levels_or_paths_is_kept_and_reported():
    few = multilevel(GBM, ONE, T, call, 1e-5, method="EM", max_levels=3, max_paths=2000)
    assert not few.met
    assert len(few.levels) == 3
    assert max(x.paths for x in few.levels) == 2000
    assert "not met" in str(few)


def test_the_table_shows_levels_and_rates():
    text = str(multilevel(GBM, ONE, T, call, 2e-3, method="DFMilstein"))
    assert "level" in text
    assert "beta" in text
    assert "asked for 0.002" in text


def refused(message, sde=GBM, y0=ONE, t=T, functional=call, eps=1e-2, **options):
    with pytest.raises(ProblemError, match=message):
        multilevel(sde, y0, t, functional, eps, **options)


def test_wrong_requests_are_refused():
    refused("'RI6' draws the discrete variables .* which make no path for two levels", method="RI6")
    refused("eps must be a positive number", eps=0.0)
    refused("refinement must be an int of at least 2", refinement=1)
    refused("max_levels must be an int of at least 3", max_levels=2)
    refused("at most 32", max_levels=40)
    refused("t must be a start and an end, got 3 times", t=[0.0, 0.5, 1.0])
    refused("one number for each path", functional=lambda y: y)
    refused("takes one functional", functional={"a": call, "b": call})
    refused("y0 has shape", y0=torch.ones(5, 1))
    refused("weak_order must be a positive number", weak_order=-1)
    refused("unknown argument 'antithetic'", antithetic=True)


def test_auto_takes_a_method_whose_variables_are_functionals_of_the_path():
    assert multilevel(GBM, ONE, T, first, 1e-2).met
    additive = SDE(lambda t, y: -y, lambda t, y: 0.5, noise="additive")
    assert multilevel(additive, ONE, T, first, 1e-2).mean == pytest.approx(math.exp(-1), abs=0.06)
