"""Gaussian mixtures: score, denoiser and moments against autograd, quadrature and samples."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffusion import VE, VP, Flow, GaussianMixture, convert, predictions


def mixture(kind: str, k: int, d: int, seed: int) -> GaussianMixture:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(k, generator=generator, dtype=torch.float64) + 0.1
    means = 2 * torch.randn(k, d, generator=generator, dtype=torch.float64)
    root = torch.randn(k, d, d, generator=generator, dtype=torch.float64)
    variances = 0.05 + torch.rand(k, d, generator=generator, dtype=torch.float64)
    covariances = {
        "one": torch.tensor(0.3),
        "isotropic": variances[:, 0],
        "diagonal": variances,
        "full": root @ root.mT / d + 0.05 * torch.eye(d),
    }[kind]
    return GaussianMixture(weights / weights.sum(), means, covariances)


kinds = st.sampled_from(["one", "isotropic", "diagonal", "full"])
levels = st.sampled_from([(1.0, 0.0), (0.9, 0.3), (0.1, 0.99), (1.0, 50.0), (0.0, 1.0)])


def states(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(*shape, generator=generator, dtype=torch.float64)


@settings(max_examples=60, deadline=None)
@given(kind=kinds, k=st.integers(1, 4), d=st.integers(1, 5), seed=st.integers(0, 99), level=levels)
def test_score_is_the_gradient_of_the_log_density(kind, k, d, seed, level) -> None:  # type: ignore[no-untyped-def]
    data = mixture(kind, k, d, seed)
    x = states(seed, 3, 2, d).requires_grad_()
    (gradient,) = torch.autograd.grad(data.log_density(x, *level).sum(), x)
    torch.testing.assert_close(data.score(x.detach(), *level), gradient, rtol=1e-9, atol=1e-11)


@settings(max_examples=60, deadline=None)
@given(kind=kinds, k=st.integers(1, 4), d=st.integers(1, 5), seed=st.integers(0, 99), level=levels)
def test_density_is_that_of_torch_distributions(kind, k, d, seed, level) -> None:  # type: ignore[no-untyped-def]
    data = mixture(kind, k, d, seed)
    noised = data.noised(*level)
    full = noised.covariances
    if full.ndim < 2:
        full = full.expand(k)[:, None, None] * torch.eye(d)
    elif full.ndim == 2:
        full = torch.diag_embed(full)
    reference = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(data.weights),
        torch.distributions.MultivariateNormal(noised.means, full),
    )
    x = states(seed, 4, d)
    torch.testing.assert_close(data.log_density(x, *level), reference.log_prob(x))
    torch.testing.assert_close(noised.log_density(x), reference.log_prob(x))


@pytest.mark.parametrize("level", [(0.9, 0.3), (0.3, 0.9), (1.0, 3.0), (1.0, 0.05)])
def test_denoiser_is_the_posterior_mean_by_quadrature(level: tuple[float, float]) -> None:
    alpha, sigma = level
    data = GaussianMixture([0.2, 0.5, 0.3], [[-2.0], [0.1], [1.5]], [0.04, 0.3, 0.1])
    # the trapezium rule converges beyond all orders for these integrands
    x0 = torch.linspace(-9, 9, 20001, dtype=torch.float64)
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    joint = data.log_density(x0[:, None]) - (x[:, None] - alpha * x0) ** 2 / (2 * sigma**2)
    posterior = joint.softmax(-1)
    torch.testing.assert_close(
        data.x0hat(x[:, None], alpha, sigma)[:, 0], posterior @ x0, rtol=1e-9, atol=1e-11
    )


@settings(max_examples=60, deadline=None)
@given(kind=kinds, k=st.integers(1, 4), d=st.integers(1, 5), seed=st.integers(0, 99))
def test_denoiser_and_score_obey_tweedie(kind: str, k: int, d: int, seed: int) -> None:
    data, x = mixture(kind, k, d, seed), states(seed, 5, d)
    alpha, sigma = 0.7, 0.6
    expected = (x + sigma**2 * data.score(x, alpha, sigma)) / alpha
    torch.testing.assert_close(data.x0hat(x, alpha, sigma), expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("kind", ["one", "isotropic", "diagonal", "full"])
def test_denoiser_at_both_ends(kind: str) -> None:
    data, x = mixture(kind, 3, 4, 0), states(1, 5, 4)
    torch.testing.assert_close(data.x0hat(x, 0.0, 1.0), data.mean().expand(5, 4))
    torch.testing.assert_close(data.x0hat(x, 0.5, 0.0), x / 0.5)


def test_a_single_gaussian_denoises_linearly() -> None:
    data = GaussianMixture([1.0], [[1.0, -1.0]], [[[2.0, 0.5], [0.5, 1.0]]])
    x, alpha, sigma = states(0, 6, 2), 0.8, 0.6
    c = data.covariances[0]
    gain = alpha * c @ torch.linalg.inv(alpha**2 * c + sigma**2 * torch.eye(2))
    expected = data.means[0] + (x - alpha * data.means[0]) @ gain.mT
    torch.testing.assert_close(data.x0hat(x, alpha, sigma), expected)
    torch.testing.assert_close(data.mean(), data.means[0])
    torch.testing.assert_close(data.covariance(), c)


def test_far_away_states_stay_finite() -> None:
    # every component's density underflows there, and only its logarithm does not
    data = GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 1e-4)
    x = torch.tensor([[1e4], [-1e4]], dtype=torch.float32)
    torch.testing.assert_close(data.x0hat(x, 1.0, 1e-3), x, rtol=0.02, atol=0)
    assert torch.isfinite(data.log_density(x)).all()


@pytest.mark.parametrize("kind", ["one", "isotropic", "diagonal", "full"])
def test_samples_have_the_exact_moments(kind: str) -> None:
    # Normal deviations: |z| < 6 fails falsely with probability below 2e-9 for each entry; the
    # standard error of a second moment is estimated from the samples themselves.
    data = mixture(kind, 3, 3, 5)
    x = data.sample(100_000, seed=0)
    n = len(x)
    z = (x.mean(0) - data.mean()) / (x.std(0) / n**0.5)
    assert z.abs().max() < 6
    centred = x - data.mean()
    products = centred[:, :, None] * centred[:, None, :]
    z = (products.mean(0) - data.covariance()) / (products.std(0) / n**0.5)
    assert z.abs().max() < 6


def test_sampling_is_a_function_of_the_seed() -> None:
    data = mixture("full", 3, 2, 0)
    assert torch.equal(data.sample(10, seed=1), data.sample(10, seed=1))
    assert not torch.equal(data.sample(10, seed=1), data.sample(10, seed=2))
    assert data.sample(3, seed=0, dtype=torch.float32).dtype == torch.float32


def test_moments_after_noising() -> None:
    data = mixture("full", 3, 4, 2)
    noised = data.noised(0.5, 2.0)
    torch.testing.assert_close(noised.mean(), 0.5 * data.mean())
    expected = 0.25 * data.covariance() + 4 * torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(noised.covariance(), expected)


def test_distribution_function_integrates_the_density() -> None:
    data = GaussianMixture([0.3, 0.7], [[-1.0], [2.0]], [0.5, 0.1])
    x = torch.linspace(-6, 6, 41, dtype=torch.float64).requires_grad_()
    (slope,) = torch.autograd.grad(data.cdf(x, 0.8, 0.4).sum(), x)
    torch.testing.assert_close(slope, data.log_density(x.detach()[:, None], 0.8, 0.4).exp())
    assert float(data.cdf(torch.tensor(-40.0))) == 0
    assert float(data.cdf(torch.tensor(40.0))) == 1
    with pytest.raises(ValueError, match="needs d = 1"):
        mixture("full", 2, 2, 0).cdf(x)


@pytest.mark.parametrize("prediction", predictions)
def test_a_mixture_is_a_model(prediction: str) -> None:
    data, x = mixture("diagonal", 3, 2, 1), states(0, 7, 2)
    for process in (VP(), VE(), Flow()):
        model = data.model(process, prediction)
        assert (model.process, model.prediction) == (process, prediction)
        alpha, sigma = process.alpha(0.4), process.sigma(0.4)
        x0 = data.x0hat(x, alpha, sigma)
        expected = convert(x0, x, alpha, sigma, source="x0", target=prediction)
        torch.testing.assert_close(model(x, 0.4), expected, rtol=1e-6, atol=1e-8)
        times = torch.linspace(0.1, 0.9, 7)
        rows = torch.cat([model(x[i : i + 1], times[i]) for i in range(7)])
        torch.testing.assert_close(model(x, times), rows)
        same = torch.tensor(0.4, dtype=torch.float64).expand(7)
        torch.testing.assert_close(model(x, same), model(x, 0.4), rtol=0, atol=0)


def test_a_model_is_exact_where_nothing_of_the_data_is_left() -> None:
    data, x = mixture("full", 2, 3, 1), states(0, 4, 3)
    epsilon = data.model(Flow(), "epsilon")(x, 1.0)
    torch.testing.assert_close(epsilon, x)
    torch.testing.assert_close(data.model(Flow(), "flow")(x, 1.0), x - data.mean())


@pytest.mark.parametrize("kind", ["one", "isotropic", "diagonal", "full"])
def test_results_follow_the_dtype_of_the_state(kind: str) -> None:
    data, x = mixture(kind, 3, 3, 4), states(2, 2, 5, 3)
    for function in (data.score, data.x0hat, data.log_density):
        single = function(x.float(), 0.7, 0.7)
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), function(x, 0.7, 0.7), rtol=1e-4, atol=1e-4)


def test_wrong_states_are_refused() -> None:
    data = mixture("full", 2, 3, 0)
    with pytest.raises(ValueError, match=r"x has shape \(5, 2\); its last axis must be d = 3"):
        data.score(torch.zeros(5, 2))
    with pytest.raises(ValueError, match="floating-point"):
        data.score(torch.zeros(5, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="last axis of one"):
        data.score(torch.zeros(5, 3), torch.ones(5), 1.0)
    with pytest.raises(ValueError, match="unknown prediction"):
        data.model(VP(), "noise")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.6], [[0.0], [1.0]], 1.0), "sum to 1"),
        (([1.5, -0.5], [[0.0], [1.0]], 1.0), "must be positive"),
        (([1.0], [0.0], 1.0), r"must have shapes \(k,\) and \(k, d\)"),
        (([1.0], [[0.0, 0.0]], [1.0, 2.0]), r"covariances have shape \(2,\)"),
        (([1.0], [[0.0]], [-1.0]), "variance is negative"),
        (([1.0], [[0.0]], [math.nan]), "negative or NaN"),
        (([1.0], [[0.0, 0.0]], [[[1.0, 0.5], [0.0, 1.0]]]), "not symmetric"),
        (([1.0], [[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]]), "negative eigenvalue -1"),
    ],
)
def test_nonsense_mixtures_are_refused(arguments, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        GaussianMixture(*arguments)


@pytest.mark.parametrize("kind", ["isotropic", "diagonal"])
@pytest.mark.parametrize("level", [(1.0, 0.0), (0.999, 0.01), (0.5, 0.8), (0.0, 1.0)])
def test_single_precision_denoises_as_double_does(kind: str, level: tuple[float, float]) -> None:
    data = mixture(kind, 3, 4, 5)
    x = level[0] * data.sample(50, 1) + level[1] * torch.randn(50, 4, dtype=torch.float64)
    exact = data.x0hat(x.float().double(), *level)
    torch.testing.assert_close(data.x0hat(x.float(), *level).double(), exact, atol=2e-6, rtol=2e-6)


def test_one_time_for_all_items_is_that_number() -> None:
    model = mixture("diagonal", 3, 4, 5).model(VP(), "x0")
    x = torch.randn(6, 4)
    t = torch.tensor(0.3)
    assert torch.equal(model(x, t.expand(6)), model(x, float(t)))
