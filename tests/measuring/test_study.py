"""The study of samplers runs, and its report says what was measured."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from benchmarks.study import schedulers, tuning
from benchmarks.study.common_path import CommonPath
from benchmarks.study.gaussian import law_of
from benchmarks.study.limit import Estimate, Limit, ahead
from benchmarks.study.measures import Judge, quantiles
from benchmarks.study.parts import Found, _standing
from benchmarks.study.problems import mixtures
from benchmarks.study.rates import slope
from benchmarks.study.tables import errors
from diffusion import VP, GaussianMixture, sample
from diffusion.metrics import w1
from tableaux import catalogue


def test_the_quick_study_goes_on_where_it_was_and_writes_its_report(tmp_path, monkeypatch):
    from benchmarks.study import __main__ as study

    # One of a kind is enough to see that the sections fit together.
    monkeypatch.setattr("benchmarks.study.contenders.OURS", (("NoiseAdams", True),))
    monkeypatch.setattr("benchmarks.study.contenders.PUBLISHED", ("EM",))
    monkeypatch.setattr("benchmarks.study.contenders.FLOW", ("HeunEDM",))
    monkeypatch.setattr(schedulers, "available", list)
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "0.json").write_text(json.dumps(Found(["kept from before"]).plain()))
    arguments = ["--quick", "--processes", "1", "--out", str(tmp_path), "--kept", str(kept)]
    study.main(arguments)
    text = (tmp_path / "study.md").read_text()
    for title in (
        "Mixtures",
        "kept from before",
        "Wrong scores",
        "The grid of Karras",
        "Gaussian data",
        "Digits",
        "parts of the error",
        "rates",
    ):
        assert title in text
    assert not kept.exists()
    assert (tmp_path / "images" / "study.png").stat().st_size > 1000
    assert (tmp_path / "images" / "study_rates.png").stat().st_size > 1000


def test_a_choice_of_parameters_rests_on_errors_over_those_of_one_method():
    equal = replace(catalogue["NoiseAdams"], name="the same")
    found = tuning.over_adams([equal, catalogue["EM"]], (8, 12), share=1 / 64)
    assert found["the same"] == [1.0, 1.0]
    assert min(found["EM"]) > 2


def test_what_chooses_methods_does_not_judge_them():
    judged = [problem.data for problem in mixtures()]
    for problem, _ in tuning.training():
        assert not any(torch.equal(problem.data.means, data.means) for data in judged)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_the_distance_from_a_limit_is_that_of_the_laws(shift):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(16 * 500, 1, generator=generator, dtype=torch.float64)
    found = Limit(x).of(x + shift)
    # Of N(0, 1) and N(shift, 1): 2 (E|x - y + shift| - E|x - y|), with x - y ~ N(0, 2).
    exact = 2 * shift * math.erf(shift / 2) + 4 * (math.exp(-(shift**2) / 4) - 1) / math.pi**0.5
    assert found.squared == pytest.approx(exact, abs=5.5 * found.error + 2e-4 * exact + 1e-12)


def test_of_two_sets_of_the_same_law_the_squared_distance_has_mean_zero():
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(20, 2, 16 * 40, 3, generator=generator, dtype=torch.float64)
    squares = torch.tensor([Limit(a).of(b).squared for a, b in x])
    assert abs(float(squares.mean())) < 5 * float(squares.std()) / 20**0.5
    # Without the groups it would be 2/n times the integral of F (1 - F), and positive.
    assert float(squares.mean()) < 4 / (3.14**0.5 * 640) / 4


def test_the_jackknife_leaves_out_a_group():
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(2, 16 * 20, 2, generator=generator, dtype=torch.float64)
    limit = Limit(x)
    gaps = limit.gaps(y)
    found = limit.levels.estimate(gaps)
    for group in (0, 7):
        rest = torch.cat([gaps[:group], gaps[group + 1 :]])
        assert found.without[group] == pytest.approx(limit.levels.estimate(rest).squared)


def test_only_more_than_the_noise_of_the_difference_is_ahead():
    one = Estimate(1.0, (0.9, 1.1, 1.0, 1.0))
    assert ahead(one, Estimate(1.1, (1.0, 1.2, 1.1, 1.1)))  # the noise is common
    assert not ahead(one, Estimate(1.1, (1.2, 1.0, 1.1, 1.1)))
    assert ahead(one, Estimate(math.inf, (math.inf,) * 4))
    assert not ahead(Estimate(math.inf, (math.inf,) * 4), one)


def test_a_cell_is_lost_to_any_one_that_is_ahead():
    one, near, far = (Estimate(v, (v,) * 4) for v in (2.0, 1.0, 3.0))
    assert _standing(one, {"a": far}) == "won"
    assert _standing(one, {"a": far, "b": near}) == "lost"
    assert _standing(one, {"a": far, "b": Estimate(2.5, (1.0, 2.0, 3.0, 4.0))}) == "level"


def test_a_shift_has_its_sliced_distance():
    judge = Judge(GaussianMixture([1.0], [[0.0] * 3], 1.0))
    x = judge.data.sample(20_000, seed=1)
    shift = torch.tensor([2.0, 0.0, 0.0], dtype=torch.float64)
    expected = float((shift @ judge.axes).square().mean().sqrt())
    assert judge.wasserstein(x + shift) == pytest.approx(expected, abs=0.03)


def test_a_common_path_adds_up_and_has_the_laws_of_brownian_motion():
    times = torch.tensor([1.0, 1.5, 3.0, 4.0, 8.0], dtype=torch.float64)
    path = CommonPath(times, 1, (20_000,), (1,))
    fine = path.on(times).draw(0, 4, ["W", "H"])
    coarse = path.on(times[[0, 3, 4]]).draw(0, 2, ["W", "H"])
    torch.testing.assert_close(coarse["W"][0], fine["W"][:3].sum(0))
    h = times.diff()
    for name, share in (("W", 1.0), ("H", 1 / 12)):
        for step in range(4):
            expected = share * float(h[step])
            variance = float(fine[name][step].double().square().mean())
            assert variance == pytest.approx(expected, rel=5.5 * (2 / 20_000) ** 0.5)
    # A join as `sdeint` makes it: (h1 H1 + h2 H2)/h + (h2 W1 - h1 W2)/(2h).
    two = path.on(times[[0, 1, 2]]).draw(0, 2, ["W", "H"])
    joined = path.on(times[[0, 2]]).draw(0, 1, ["H"])["H"][0]
    (w1_, w2_), (a, b) = two["W"], two["H"]
    expected_h = (0.5 * a + 1.5 * b) / 2 + (1.5 * w1_ - 0.5 * w2_) / 4
    torch.testing.assert_close(joined, expected_h, atol=1e-5, rtol=1e-5)


def test_a_grid_beside_the_times_of_a_common_path_has_steps_of_its_own_law():
    times = torch.logspace(0, 2, 30, dtype=torch.float64)
    path = CommonPath(times, 1, (20_000,), (1,))
    grid = torch.tensor([1.1, 3.0, 20.0, 90.0], dtype=torch.float64)
    drawn = path.on(grid).draw(0, 3, ["W"])["W"].double()
    for w, h in zip(drawn, grid.diff()):
        assert float(w.square().mean()) == pytest.approx(float(h), rel=5.5 * (2 / 20_000) ** 0.5)
    fine = torch.linspace(1, 1.2, 9, dtype=torch.float64)
    for w in path.on(fine).draw(0, 8, ["W"])["W"].double():
        assert float(w.square().mean()) == pytest.approx(0.025, rel=5.5 * (2 / 20_000) ** 0.5)


def test_the_noise_in_sigma_is_a_brownian_motion_in_sigma():
    levels = torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64)
    times = (1 / levels**2).sort().values
    noise = schedulers._InSigma(CommonPath(times, 1, (20_000,), (1,)))
    half, whole = noise(levels[0], levels[1]), noise(levels[0], levels[2])
    for normal in (half, whole):
        assert float(normal.square().mean()) == pytest.approx(1, rel=5.5 * (2 / 20_000) ** 0.5)
    # W(3 to 1) and W(3 to 0.5) have covariance 2, and variances 2 and 2.5.
    assert float((half * whole).mean()) == pytest.approx((2 / 2.5) ** 0.5, abs=0.04)


def test_gaussian_laws_are_those_of_many_samples():
    data = GaussianMixture([1.0], [[0.0]], 0.5)
    x = sample(data.model(VP(), "x0"), (20_000, 1), prediction="x0", method="EM", nfe=6)
    # 5.5 standard errors of a variance.
    expected = law_of("EM", 6, 0.5)
    assert float(x.var()) == pytest.approx(expected, rel=5.5 * (2 / 20_000) ** 0.5)


def test_quantiles_are_closer_to_a_mixture_than_its_samples():
    data = mixtures()[0].data
    points, fine = quantiles(data, 500), quantiles(data, 5000)
    assert w1(points, fine) < w1(data.sample(500, seed=1), fine) / 4


def test_marginals_of_a_mixture_are_those_of_its_samples():
    problem = mixtures()[3]
    judge = Judge(problem.data)
    x = problem.data.sample(20_000, seed=1)
    assert judge.wasserstein(x) < 0.1 < judge.wasserstein(x + 0.5)


def test_the_least_error_of_the_ranked_is_in_bold():
    text = errors({"a": {8: 0.5}, "b": {8: 0.2}, "c": {8: 0.1}}, (8, 16), ["a", "b"])
    assert "| b | **0.2000** | - |" in text
    assert "| c | 0.1000 | - |" in text


def test_slopes_are_powers():
    assert slope((1, 2, 4), (3.0, 12.0, 48.0)) == pytest.approx(2)


def test_the_multistep_scheduler_of_diffusers_is_our_tableau_at_order_one():
    diffusers = pytest.importorskip("diffusers")
    problem = mixtures()[0]
    draw = schedulers._multistep(diffusers, "sde-dpmsolver++", 1)
    theirs = draw(problem.request(4000, 12, 1))
    ours = sample(problem.denoiser, (4000, 1), prediction="x0", method="EM", nfe=12)
    true = quantiles(problem.data, 4000)
    # Equal steps and other noise: the distances are 0.43, with a sampling noise of 0.03 each.
    assert w1(theirs, true) == pytest.approx(w1(ours, true), abs=0.12)
    assert w1(theirs, true) > 0.3
