"""Transition densities of runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal

from diffusion import VP, GaussianMixture, sample, trajectory, transition_log_probabilities
from sdeint import ProblemError

MIXTURE = GaussianMixture([0.3, 0.7], [[-1.0, 0.5], [1.5, 0.0]], [0.2, 0.4])
MODEL = MIXTURE.model(VP(), "x0")
METHODS = ["EM", "SRA1", "OneStage", "OneStageStored", "TwoStep"]


def tilted(x, t):
    """Another model."""
    return MODEL(x, t) + 0.02 * torch.sin(3 * x)


def drawn(method, items=50, nfe=9, eta=1.0, model=MODEL):
    return trajectory(
        model,
        (items, 2),
        prediction="x0",
        method=method,
        nfe=nfe,
        seed=4,
        eta=eta,
        lambda_range=(-2.0, 2.0),
        dtype=torch.float64,
    )


def test_those_of_euler_are_the_posteriors_of_ddpm():
    process = VP()
    run = drawn("EM")
    alpha, sigma = process.alpha(run.t), process.sigma(run.t)
    got = transition_log_probabilities(MODEL, run)
    assert got.shape == (len(run.t) - 1, 50)
    for n in range(len(run.t) - 1):
        # Ho, Jain and Abbeel, eqs. 6-7, between any two times
        ratio = alpha[n] / alpha[n + 1]
        noise = sigma[n] ** 2 - ratio**2 * sigma[n + 1] ** 2
        x0 = MODEL(run.x[n], run.t[n].expand(50))
        mean = (ratio * sigma[n + 1] ** 2 * run.x[n] + alpha[n + 1] * noise * x0) / sigma[n] ** 2
        law = Normal(mean, torch.sqrt(noise) * sigma[n + 1] / sigma[n])
        torch.testing.assert_close(got[n], law.log_prob(run.x[n + 1]).sum(1), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("eta", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("method", [*METHODS, "SEEDS3"])
def test_likelihood_ratios_of_runs_have_mean_one(method, eta):
    # of any other model to the one that drew them; 6 standard errors are a false alarm below 1e-8
    run = drawn(method, items=2000, eta=eta)
    logs = transition_log_probabilities(tilted, run) - transition_log_probabilities(MODEL, run)
    ratio = logs.sum(0).exp()
    assert 0.03 < float(ratio.std()) < 1
    assert abs(float(ratio.mean()) - 1) < 6 * float(ratio.std()) / 2000**0.5


@pytest.mark.parametrize("eta", [0.5, 1.0])
@pytest.mark.parametrize("method", ["SRA1", "OneStage", "TwoStep"])
def test_the_noise_that_a_stage_has_seen_is_known(method, eta):
    # Given W/2 + H, the rest of W is W/4 - 3/2 H, of a fourth of its variance. A constant denoiser
    # shifts Z by the step times its value.
    def constant(value):
        return lambda x, t: torch.full_like(x, value)

    run = drawn(method, model=constant(0.3), eta=eta)
    clock = run.plan.clock(MODEL)
    grid = clock.of(run.t)
    noise = clock.driver(run.plan.path).on(grid).draw(0, len(grid) - 1, ["W", "H"])
    rest = noise["W"] / 4 - 1.5 * noise["H"]
    h, widths = torch.diff(grid)[:, None, None], torch.diff(clock.noise(grid))[:, None, None]
    to_x = (grid / VP().alpha(run.t)).log()[1:, None]
    for value in (0.3, 0.5):
        law = Normal((value - 0.3) * h, torch.sqrt(widths / 4))
        expected = law.log_prob(rest).sum(2) + 2 * to_x
        got = transition_log_probabilities(constant(value), run)
        torch.testing.assert_close(got, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_those_of_differences(method):
    run = drawn(method, items=3)

    def total(shift):
        model = lambda x, t: MODEL(x, t) + shift * torch.cos(x)  # noqa: E731
        return transition_log_probabilities(model, run).sum()

    shift = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(total(shift), shift)
    difference = (total(0.1 + 1e-5) - total(0.1 - 1e-5)) / 2e-5
    assert float(gradient) == pytest.approx(float(difference), rel=1e-6)


def test_retracing_costs_the_evaluations_of_the_run():
    calls = []

    def counted(x, t):
        calls.append(1)
        return MODEL(x, t)

    run = drawn("TwoStep")
    transition_log_probabilities(counted, run)
    assert len(calls) == run.evaluations - 1  # without the final denoising


def test_what_has_no_density_is_refused():
    with pytest.raises(ProblemError, match="where eta = 0 a step is deterministic"):
        transition_log_probabilities(MODEL, drawn("EM", eta=0.0))
    with pytest.raises(
        ProblemError, match="the stages of this method take all of the step's noise"
    ):
        transition_log_probabilities(MODEL, drawn("ShARK"))
    run = drawn("EM")
    with pytest.raises(ProblemError, match="the run has not kept all of its states"):
        transition_log_probabilities(MODEL, replace(run, x=run.x[::2]))
    with pytest.raises(ProblemError, match="the noise of this method is discrete"):
        transition_log_probabilities(MODEL, drawn("W2F1", nfe=17))
    assert sample(MODEL, (2, 2), prediction="x0", nfe=9).shape == (2, 2)
