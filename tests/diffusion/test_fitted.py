"""The clock fitted to Gaussian data of a variance: what it promises, for any method and stochasticity."""

from __future__ import annotations

import math

import pytest
import torch

from diffusion import VP, Flow, GaussianMixture, NoiseClock, data_variance, sample, trajectory
from diffusion.metrics import w1
from diffusion.transitions import transition_log_probabilities
from sdeint import solve
from sdeint.testing import Impulses


def law(method, data, variance, times, eta=1.0):
    """Mean gain and variance of x at the end, exactly: the final value is affine in all noises."""
    process = VP()
    clock = NoiseClock(data.model(process, "x0"), process, "x0", variance=variance, eta=eta)
    grid = clock.of(times)
    path = Impulses(len(times) - 1, ("W", "H"))
    z = torch.zeros(*path.batch, 1, dtype=torch.float64)
    z[1] = 1.0
    options = {"save_at": "end", "compile": False, "path": clock.driver(path) or "grid"}
    z = solve(clock.sde(1), z, grid, method=method, **options).y[-1]
    end = clock.to_state(float(grid[-1]), z)[:, 0]
    spread = clock.noise(grid)
    noises = torch.cat([spread[:1], torch.diff(spread), torch.diff(spread) / 12])
    gains = end[1:] - end[0]
    return float((gains**2 * noises).sum()), float(end[0])


TIMES = VP().t_of_lambda(torch.tensor([-4.0, -1.0, 0.5, 2.0, 3.0], dtype=torch.float64))


@pytest.mark.parametrize("name", ["EM", "SRA1", "OneStage", "TwoStep", "NoiseAdams"])
def test_gaussian_data_of_that_variance_are_exact_in_four_steps_of_any_method(name):
    got, mean = law(name, GaussianMixture([1.0], [[0.3]], 0.7), 0.7, TIMES)
    alpha, sigma = VP().alpha(TIMES[-1]), VP().sigma(TIMES[-1])
    assert got == pytest.approx(float(0.7 * alpha**2 + sigma**2), rel=1e-10)
    # The start alone knows nothing of the mean: it is 0.3 less what the first time leaves out.
    share = float(1 / (1 + 0.7 * VP().rho(TIMES[0])))
    left = share / float(1 / (1 + 0.7 * VP().rho(TIMES[-1])))
    assert 0 < mean < 0.3 * float(alpha) < mean + left


def test_without_a_variance_that_is_not_so():
    got, _ = law("EM", GaussianMixture([1.0], [[0.3]], 0.7), 0.0, TIMES)
    assert abs(got - 0.7) > 0.1


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.5])
def test_other_stochasticities_are_exact_on_gaussian_data_as_well(eta):
    data = GaussianMixture([1.0], [[0.0]], 0.4)
    x = sample(
        data.model(VP(), "x0"), (4000, 1), prediction="x0", method="EM", nfe=4, eta=eta,
        variance=0.4, dtype=torch.float64, denoise=False, seed=5,
    )  # fmt: skip
    # 5.5 standard errors of a variance of 4000 samples.
    assert float(x.var()) == pytest.approx(0.4, rel=5.5 * math.sqrt(2 / 4000))


@pytest.mark.parametrize("process", [VP(), Flow()], ids=str)
def test_the_fit_changes_steps_and_not_what_they_tend_to(process):
    data = GaussianMixture([0.4, 0.6], [[-1.0], [0.8]], [0.1, 0.05])

    def draw(variance):
        return sample(
            data.model(process, "x0"), (2000, 1), process=process, prediction="x0", nfe=60,
            method="OneStageStored", variance=variance, dtype=torch.float64, lambda_range=(-3.0, 3.0),
        )  # fmt: skip

    fitted, plain = draw(0.5).sort(0).values, draw(0.0).sort(0).values
    # Two sets of 2000 independent samples, whose mean distance is about 0.03.
    assert float((fitted - plain).abs().mean()) < 0.12


def test_known_data_are_where_they_belong_at_the_first_time():
    data = torch.full((20_000, 1), 2.0)
    for variance in (0.0, 0.3, 4.0):
        run = trajectory(
            lambda x, t: torch.zeros_like(x), data.shape, prediction="x0", method="EM", nfe=3,
            start=data, variance=variance, lambda_range=(-0.5, 2.0), seed=1,
        )  # fmt: skip
        alpha, sigma = (float(f(run.t[0])) for f in (VP().alpha, VP().sigma))
        assert float(run.x[0].mean()) == pytest.approx(2 * alpha, abs=5.5 * sigma / 20_000**0.5)
        assert float(run.x[0].std()) == pytest.approx(sigma, rel=5.5 / 40_000**0.5)


def test_single_precision_loses_nothing_at_the_clocks_end():
    # Near 1/s^2 the clock's own rounding is large in rho; the state does not feel it.
    data = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.01)
    path = {"method": "NoiseAdams", "nfe": 40, "variance": 1.01, "seed": 2, "prediction": "x0"}

    def draw(dtype):
        return sample(data.model(VP(), "x0"), (300, 1), dtype=dtype, **path).double()

    close = (draw(torch.float32) - draw(torch.float64)).abs()
    assert float(close.median()) < 2e-4


@pytest.mark.parametrize("variance", [-1.0, math.inf, math.nan])
def test_a_variance_that_is_none_is_refused(variance):
    with pytest.raises(ValueError, match="must be that of the data"):
        NoiseClock(lambda x, t: x, VP(), "x0", variance=variance)


def test_the_variance_of_data_is_that_of_their_coordinates_whatever_the_batches():
    data = torch.randn(50, 3, 2, generator=torch.Generator().manual_seed(0)) + 100.0
    data[:, 0] *= 2.0
    exact = float(data.double().var(0).mean())
    assert data_variance(data) == pytest.approx(exact, rel=1e-12)
    assert data_variance(data.split(7)) == pytest.approx(exact, rel=1e-12)
    assert data_variance([data[:0], data]) == pytest.approx(exact, rel=1e-12)
    for few in (data[:1], data[:0]):
        with pytest.raises(ValueError, match="takes two items or more"):
            data_variance(few)


# ------------------------------------------------------------------ the method made for it


def gaussian_error(name, steps):
    """Error of the variance on Gaussian data of variance 1/2, where the clock was told 1."""
    data, process = GaussianMixture([1.0], [[0.0]], 0.5), VP()
    times = process.t_of_lambda(torch.linspace(-0.5, 0.5, steps + 1, dtype=torch.float64))
    clock = NoiseClock(data.model(process, "x0"), process, "x0", variance=1.0)
    grid, path = clock.of(times), Impulses(steps, ("W", "H"))
    z = torch.zeros(*path.batch, 1, dtype=torch.float64)
    z[1] = 1.0
    z = solve(clock.sde(1), z, grid, method=name, path=path, save_at="end", compile=False).y[-1]
    end = clock.to_state(float(grid[-1]), z)[:, 0]
    start = float(grid[0]) ** 2 * (0.5 + 1 / float(process.rho(times[0])))
    h = torch.diff(grid)
    noises = torch.cat([torch.tensor([start], dtype=torch.float64), h, h / 12])
    alpha, sigma = float(process.alpha(times[-1])), float(process.sigma(times[-1]))
    got = float(((end[1:] - end[0]) ** 2 * noises).sum())
    return abs(got - (0.5 * alpha**2 + sigma**2))


@pytest.mark.parametrize(("name", "order"), [("EM", 1), ("NoiseAdams", 2), ("OneStage", 3)])
def test_orders_are_those_of_the_plain_clock_where_the_variance_is_wrong(name, order):
    coarse, fine = (gaussian_error(name, n) for n in (40, 80))
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.2)


def test_noise_adams_is_far_ahead_of_the_usual_sampler_at_twelve_evaluations():
    # Sampling noise of W1 with 4000 samples is about 0.02.
    data = GaussianMixture([0.25] * 4, [[-3.0], [-1.0], [0.5], [2.5]], [0.04, 0.25, 0.01, 0.09])
    true = data.sample(4000, seed=1)

    def distance(method, variance):
        x = sample(
            data.model(VP(), "x0"), (4000, 1), prediction="x0", method=method, nfe=12,
            variance=variance,
        )  # fmt: skip
        return w1(x, true)

    assert distance("NoiseAdams", float(data.covariance())) < 0.08
    assert distance("TwoStep", 0.0) > 0.08
    assert distance("EM", 0.0) > 0.3


def test_transition_densities_are_those_of_the_fitted_step():
    # Euler's method: given the state, the next one is normal around the drift's step.
    process, variance = VP(), 0.6
    model = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.1).model(process, "x0")
    options = {"prediction": "x0", "method": "EM", "nfe": 5, "dtype": torch.float64}
    run = trajectory(model, (3, 1), variance=variance, **options)
    clock = NoiseClock(model, process, "x0", variance=variance)
    grid = clock.of(run.t)
    scale = grid / process.alpha(run.t)
    for n, got in enumerate(transition_log_probabilities(model, run)):
        y, h = run.x[n] * scale[n], grid[n + 1] - grid[n]
        mean = (y + h * clock.drift(grid[n], y)) / scale[n + 1]
        normal = torch.distributions.Normal(mean, h.sqrt() / scale[n + 1])
        torch.testing.assert_close(got, normal.log_prob(run.x[n + 1])[:, 0])
