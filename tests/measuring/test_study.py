"""The study of samplers runs, and its report says what was measured."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from benchmarks.study import schedulers, tuning
from benchmarks.study.common_path import CommonPath
from benchmarks.study.comparison import Comparison, compare
from benchmarks.study.contenders import Contender, limit
from benchmarks.study.gaussian import law_of
from benchmarks.study.limit import Estimate, Levels, Limit
from benchmarks.study.measures import Judge, quantiles
from benchmarks.study.parts import Found
from benchmarks.study.problems import mixtures
from benchmarks.study.race import LOOKS, Race
from benchmarks.study.rates import slope
from benchmarks.study.tables import errors
from diffusion import VP, GaussianMixture, sample
from diffusion.metrics import w1
from sdeint.brownian.chen import join_runs
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


def test_leads_are_in_standard_errors_of_the_difference():
    one = Estimate(1.0, (0.9, 1.1, 1.0, 1.0))
    assert one.lead(Estimate(1.1, (1.0, 1.2, 1.1, 1.1))) > 1e6  # the noise is common
    # Differences of 0.3, -0.1, 0.1, 0.1 have the variance 3/4 of 0.08.
    assert one.lead(Estimate(1.1, (1.2, 1.0, 1.1, 1.1))) == pytest.approx(0.1 / 0.06**0.5)
    assert Estimate(1.1, (1.2, 1.0, 1.1, 1.1)).lead(one) == pytest.approx(-0.1 / 0.06**0.5)
    assert one.lead(one) == 0
    # At the limit standard errors of 1 and 0.7, at a square of 1 of (1 + 8^(1/2))^(1/2) and less.
    noisy = Estimate(1.6, one.without, floor=1.0)
    error = (1 + 8**0.5) ** 0.5 - (0.7 * (0.7 + 8**0.5)) ** 0.5
    assert replace(one, floor=0.7).lead(noisy) == pytest.approx(0.6 / error)
    nowhere = Estimate(math.inf, (math.inf,) * 4)
    assert one.lead(nowhere) == math.inf == -nowhere.lead(one)
    assert Estimate(-1.0, one.without).lead(nowhere) == math.inf
    assert nowhere.lead(nowhere) == 0


def test_noise_does_not_put_a_sampler_ahead_of_a_quiet_one_of_the_same_distance():
    generator = torch.Generator().manual_seed(8)
    one = torch.ones(1, 1, dtype=torch.float64)
    levels = Levels(one, one, one)
    lost, tries = 0, 300
    for _ in range(tries):
        # Groups whose distribution functions are 0.3 off, and their noise.
        noise = torch.randn(2, 32, 1, 1, generator=generator, dtype=torch.float64)
        quiet, noisy = 0.3 + 0.05 * noise[0], 0.3 + noise[1]
        lost += levels.estimate(quiet).lead(levels.estimate(noisy)) < -3.5
    # By the jackknife alone it was one in ten.
    assert lost <= 0.005 * tries


def leading(lead: float) -> dict[str, Estimate]:
    """Of "us" and of "them", so that we are ahead by as many standard errors."""
    return {"us": Estimate(0.0, (0.0, 0.0)), "them": Estimate(lead, (lead - 1, lead + 1))}


def run_races(drift: float, races: int) -> list[str]:
    """How races end in which the lead at the first look has the mean `drift` and the variance 1."""
    generator = torch.Generator().manual_seed(6)
    normals = torch.randn(races, LOOKS, generator=generator, dtype=torch.float64)
    samples = 2 ** torch.arange(LOOKS)
    parts = samples.diff(prepend=torch.zeros(1, dtype=torch.long)).double()
    sums = (drift * parts + normals * parts.sqrt()).cumsum(1)
    ended = []
    for leads in (sums / samples.sqrt()).tolist():
        race = Race(["us"], ["them"])
        race.look(race.pairs, leading(leads[0]))
        for look, lead in enumerate(leads[1:], 1):
            race.look(race.contested(LOOKS - look), leading(lead))
        ended.append(race.standing("us"))
    return ended


def test_equal_samplers_are_told_apart_as_rarely_as_by_three_standard_errors_once():
    races = 20_000
    ended = run_races(0.0, races)
    # Gaussian leads: at most 5 x 0.00023 to either side, whatever is given up; 5 deviations more.
    for decided in ("won", "lost"):
        assert ended.count(decided) < 0.0012 * races + 5 * (0.0012 * races) ** 0.5
    assert ended.count("won") > 0


def test_a_race_finds_what_its_first_look_does_not_see():
    ended = run_races(1.5, 500)
    # The last look would see it in 99 % of all races, were none given up; the first sees it in 2 %.
    assert ended.count("won") > 0.95 * 500
    assert ended.count("lost") == 0


def test_a_race_is_lost_to_any_one_that_is_ahead_and_won_against_all_only():
    race = Race(["us"], ["near", "far"])
    for near, standing, open_ in ((-9.0, "lost", []), (0.0, "level", ["near"]), (9.0, "won", [])):
        race.look([("us", "far")], {"us": leading(0)["us"], "far": leading(9.0)["them"]})
        race.look([("us", "near")], {"us": leading(0)["us"], "near": leading(near)["them"]})
        assert race.standing("us") == standing
        assert [rival for _, rival in race.contested(4)] == open_


def test_a_race_that_more_samples_will_hardly_win_is_given_up():
    race = Race(["us"], ["them"])
    race.look(race.pairs, leading(0.0))
    # Four looks multiply a lead by 4: 3.5/4 - 2 is negative, 3.5/sqrt 2 - 2 is not.
    assert race.contested(4) == race.pairs
    assert race.contested(1) == []


def race_of_shifts(allowance: float) -> tuple[dict[str, list[int]], Comparison]:
    """Of samplers that are beside their limit by a shift: the seeds of each, and what was found."""
    problem, fine, seeds = mixtures()[0], 16, {}

    def beside(name: str, kind: str, shift: float) -> Contender:
        def draw(request):
            seeds.setdefault(name, []).append(request.seed)
            return limit("plain").draw(replace(request, nfe=fine)) + shift

        return Contender(name, kind, draw)

    samplers = [
        beside("us", "ours", 0.1),
        beside("equal", "published", 0.1),
        beside("far", "published", 0.5),
    ]
    found = compare(problem, samplers, (8,), 64, fine, lambda nfe: ["us"], allowance)
    return seeds, found


def test_a_race_draws_new_samples_of_those_only_that_it_has_to_tell_apart():
    seeds, found = race_of_shifts(100.0)
    # An equal one is given up after three rounds: 1, 1, 2 and 4 chunks.
    assert seeds == {"us": [*range(3, 11)], "equal": [*range(3, 11)], "far": [3]}
    groups = {name: len(row[8].without) for name, row in found.errors.items()}
    assert groups == {"us": 256, "equal": 256, "far": 32}
    assert found.samples == {8: 512}
    assert found.races[8].standing("us") == "level"
    assert found.races[8].leads["us", "far"] > 3.5


def test_a_race_costs_no_more_than_its_allowance():
    # At first three samplers of 8 evaluations and a limit of 16; a round of one chunk has two.
    assert race_of_shifts(31.9 / 40)[0]["us"] == [3]
    assert race_of_shifts(32.1 / 40)[0]["us"] == [3, 4]
    assert race_of_shifts(95.9 / 40)[0]["us"] == [3, 4]


def test_a_shift_has_its_sliced_distance():
    judge = Judge(GaussianMixture([1.0], [[0.0] * 3], 1.0))
    x = judge.data.sample(20_000, seed=1)
    shift = torch.tensor([2.0, 0.0, 0.0], dtype=torch.float64)
    expected = float((shift @ judge.axes).square().mean().sqrt())
    assert judge.wasserstein(x + shift) == pytest.approx(expected, abs=0.03)


def test_a_common_path_adds_up_and_has_the_laws_of_brownian_motion():
    times = torch.tensor([1.0, 1.5, 3.0, 4.0, 8.0], dtype=torch.float64)
    names = ["W", "H", "K"]
    path = CommonPath(times, 1, (20_000,), (1,))
    fine = path.on(times).draw(0, 4, names)
    coarse = path.on(times[[0, 3, 4]]).draw(0, 2, names)
    h = times.diff()
    for name, share in (("W", 1.0), ("H", 1 / 12), ("K", 1 / 720)):
        for step in range(4):
            expected = share * float(h[step])
            variance = float(fine[name][step].double().square().mean())
            assert variance == pytest.approx(expected, rel=5.5 * (2 / 20_000) ** 0.5)
    # Uncorrelated, also from step to step.
    every = torch.cat([fine[name][..., 0] for name in names])
    correlations = torch.corrcoef(every) - torch.eye(len(every))
    assert float(correlations.abs().max()) < 5.5 / 20_000**0.5
    # As `sdeint` joins steps.
    runs = torch.tensor([3, 1])
    joined, _ = join_runs(fine, h, runs)
    for name in names:
        torch.testing.assert_close(coarse[name], joined[name].float(), atol=3e-5, rtol=1e-4)


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
