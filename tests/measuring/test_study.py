"""The study of samplers runs, and its report says what was measured."""

from __future__ import annotations

import pytest

from benchmarks.study import schedulers
from benchmarks.study.gaussian import law_of
from benchmarks.study.measures import quantiles
from benchmarks.study.problems import mixtures
from benchmarks.study.rates import slope
from benchmarks.study.tables import errors
from diffusion import VP, GaussianMixture, sample
from diffusion.metrics import w1


def test_the_quick_study_writes_its_report(tmp_path, monkeypatch):
    from benchmarks.study import __main__ as study

    # One of a kind is enough to see that the sections fit together.
    monkeypatch.setattr("benchmarks.study.contenders.PUBLISHED", ("EM",))
    monkeypatch.setattr("benchmarks.study.contenders.FLOW", ("HeunEDM",))
    monkeypatch.setattr("benchmarks.study.__main__.PUBLISHED", ("EM",))
    monkeypatch.setattr(schedulers, "available", list)
    study.main(["--quick", "--out", str(tmp_path)])
    text = (tmp_path / "study.md").read_text()
    for title in (
        "Mixtures",
        "Another grid",
        "Gaussian data",
        "Digits",
        "parts of the error",
        "rates",
    ):
        assert title in text
    assert (tmp_path / "images" / "study.png").stat().st_size > 1000
    assert (tmp_path / "images" / "study_rates.png").stat().st_size > 1000


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
