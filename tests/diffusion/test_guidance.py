"""Guidance and wrappers: exact laws on Gaussian mixtures, and how often networks are called."""

from __future__ import annotations

import math

import pytest
import torch

import diffusion
from diffusion import (
    EDM,
    VE,
    VP,
    ClassifierFree,
    ClassifierGuided,
    CosineVP,
    Denoiser,
    DiscreteVP,
    Flow,
    GaussianMixture,
    InDtype,
    Labelled,
    edm_denoiser,
    sample,
    trajectory,
)

BOTH = GaussianMixture([0.3, 0.7], [[-1.0, 0.5], [1.5, 0.0]], [0.2, 0.4])
ONE = GaussianMixture([1.0], [[-1.0, 0.5]], [0.2])
DISCRETE = DiscreteVP.from_betas(torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64))
X = torch.randn(64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
T = torch.linspace(0.02, 0.95, 64, dtype=torch.float64)


def conditional(process, prediction, calls=None):
    """A network with a condition: 1 asks for component 0 alone, 0 for everything."""

    def network(x, t, condition):
        if calls is not None:
            calls.append(tuple(x.shape))
        given = ONE.model(process, prediction)(x, t)
        return torch.where(condition[:, None] == 1, given, BOTH.model(process, prediction)(x, t))

    return network


@pytest.mark.parametrize("prediction", diffusion.predictions)
def test_classifier_free_guidance_tilts_the_score_whatever_the_network_predicts(prediction):
    process = VP()
    ones, zeros = torch.ones(64), torch.zeros(1)
    guided = ClassifierFree(conditional(process, prediction), ones, zeros, 2.5)
    a, s = process.alpha(T)[:, None], process.sigma(T)[:, None]
    got = diffusion.convert(guided(X, T), X, a, s, source=prediction, target="score")
    wanted = BOTH.score(X, a, s) + 2.5 * (ONE.score(X, a, s) - BOTH.score(X, a, s))
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("scale", "batch"), [(0.0, 6), (1.0, 3), (3.0, 6)])
def test_classifier_free_guidance_calls_the_network_once_an_evaluation(scale, batch):
    calls = []
    network = conditional(VP(), "epsilon", calls)
    model = ClassifierFree(network, torch.ones(3), torch.zeros(1), scale)
    run = trajectory(model, (3, 2), nfe=9)
    assert len(calls) == run.evaluations == 9
    assert set(calls) == {(batch, 2)}
    if scale == 1:
        assert torch.equal(run.final, sample(ONE.model(VP(), "epsilon"), (3, 2), nfe=9))


@pytest.mark.parametrize("process", [VP(), VE(), CosineVP(), Flow(), EDM(0.01, 1.0)], ids=repr)
@pytest.mark.parametrize("prediction", diffusion.predictions)
def test_a_perfect_classifier_turns_the_mixture_into_its_component(process, prediction):
    def log_probability(x, t):
        a, s = process.alpha(t)[:, None], process.sigma(t)[:, None]
        return math.log(0.3) + ONE.log_density(x, a, s) - BOTH.log_density(x, a, s)

    guided = ClassifierGuided(BOTH.model(process, prediction), log_probability, process, prediction)
    with torch.no_grad():
        torch.testing.assert_close(
            guided(X, T), ONE.model(process, prediction)(X, T), rtol=1e-8, atol=1e-8
        )


@pytest.mark.parametrize("prediction", diffusion.predictions)
def test_classifier_guidance_adds_the_gradient_times_its_scale_to_the_score(prediction):
    process, centre = VP(), torch.tensor([0.5, -1.0], dtype=torch.float64)

    def log_probability(x, t):
        return -((x - centre) ** 2).sum(1) / 2

    guided = ClassifierGuided(
        BOTH.model(process, prediction), log_probability, process, prediction, scale=2.5
    )
    a, s = process.alpha(T)[:, None], process.sigma(T)[:, None]
    got = diffusion.convert(guided(X, T), X, a, s, source=prediction, target="score")
    torch.testing.assert_close(got, BOTH.score(X, a, s) + 2.5 * (centre - X), rtol=1e-9, atol=1e-9)
    assert not X.requires_grad


def test_classifier_guidance_samples_the_component():
    def log_probability(x, t):
        a, s = VP().alpha(t)[:, None], VP().sigma(t)[:, None]
        return ONE.log_density(x, a, s) - BOTH.log_density(x, a, s)

    model = ClassifierGuided(BOTH.model(VP(), "epsilon"), log_probability, VP(), "epsilon")
    x = sample(model, (500, 2), nfe=33, seed=1, dtype=torch.float64)
    own = sample(ONE.model(VP(), "epsilon"), (500, 2), nfe=33, seed=1, dtype=torch.float64)
    torch.testing.assert_close(x, own, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("process", [VP(), DISCRETE, CosineVP(), Flow(), VE(), EDM()], ids=repr)
def test_a_k_diffusion_denoiser_is_a_model_of_every_process(process):
    def denoise(x, sigma):
        assert sigma.shape == x.shape[:1]
        assert sigma.dtype == x.dtype
        return BOTH.x0hat(x, 1.0, sigma[:, None])

    model = Denoiser(denoise, process)
    torch.testing.assert_close(model(X, T), BOTH.model(process, "x0")(X, T), rtol=1e-9, atol=1e-9)
    options = {"process": process, "nfe": 9, "seed": 2, "dtype": torch.float64}
    torch.testing.assert_close(
        sample(model, (5, 2), prediction="x0", **options),
        sample(BOTH.model(process, "x0"), (5, 2), prediction="x0", **options),
        rtol=1e-7,
        atol=1e-7,
    )


def test_edm_preconditioning_inverts_its_training_target():
    # The raw network that EDM trains has the target (x0 - c_skip x) / c_out at c_in x, log(sigma)/4.
    data = 0.7

    def raw(scaled, noise):
        sigma = torch.exp(4 * noise)[:, None]
        total = sigma**2 + data**2
        x = scaled * total.sqrt()
        skip, out = data**2 / total, sigma * data / total.sqrt()
        return (BOTH.x0hat(x, 1.0, sigma) - skip * x) / out

    sigma = torch.logspace(-2.5, 1.9, 64, dtype=torch.float64)
    got = edm_denoiser(raw, sigma_data=data)(X, sigma)
    torch.testing.assert_close(got, BOTH.x0hat(X, 1.0, sigma[:, None]), rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="sigma_data must be positive"):
        edm_denoiser(raw, sigma_data=0.0)


def test_a_last_time_that_rounding_moved_beyond_the_process_is_its_end():
    process, x = EDM(0.01, 0.1), torch.ones(3, 2)
    t = torch.full((3,), 0.1)
    assert float(t[0].double()) > process.T
    guided = ClassifierGuided(
        lambda x, t: torch.zeros_like(x), lambda x, t: x.sum(1), process, "x0"
    )
    torch.testing.assert_close(guided(x, t), torch.full_like(x, 0.01))
    asked = Denoiser(lambda x, sigma: x * sigma[:, None], process)
    torch.testing.assert_close(asked(x, t), torch.full_like(x, 0.1))
    for nearest in (True, False):
        labels = Labelled(lambda x, label: label, DISCRETE, nearest=nearest)
        assert labels(x, torch.full((3,), 1 + 2.0**-23)).tolist() == [999] * 3


def test_labels_of_tables_begin_at_zero():
    seen = Labelled(lambda x, label: label, DISCRETE, nearest=True)
    assert seen(X[:3], torch.tensor([1e-6, 4e-4, 1.6e-3])).tolist() == [0, 0, 1]


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_labels_have_single_precision_beside_a_state_in_half(half):
    # 999.5 is 1000 in bfloat16
    labels = torch.tensor([998.5, 500.25, 0.125])
    seen = Labelled(lambda x, label: label, DISCRETE)(
        torch.zeros(3, 2, dtype=half), DISCRETE.t_of_label(labels).float()
    )
    assert seen.dtype == torch.float32
    torch.testing.assert_close(seen, labels, rtol=0, atol=2e-4)


@pytest.mark.parametrize("grid", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("nearest", [True, False])
def test_a_discrete_network_sees_its_own_labels(grid, nearest):
    seen = []

    def network(x, label):
        assert label.shape == x.shape[:1]
        seen.append(float(label[0]))
        assert label.dtype == (torch.int64 if nearest else torch.float32)
        return torch.zeros_like(x)

    model = Labelled(network, DISCRETE, nearest=nearest)
    sample(model, (2, 2), process=DISCRETE, method="EM", nfe=10, grid=grid)
    times = diffusion.time_grid(grid, DISCRETE, 9)
    assert seen == pytest.approx(DISCRETE.label(times).tolist(), abs=0 if nearest else 1e-2)


def test_a_discrete_network_of_exact_scores_samples_like_a_continuous_one():
    def network(x, label):
        return BOTH.model(DISCRETE, "epsilon")(x, DISCRETE.t_of_label(label))

    options = {"process": DISCRETE, "nfe": 17, "seed": 3, "dtype": torch.float64}
    torch.testing.assert_close(
        sample(Labelled(network, DISCRETE), (9, 2), **options),
        sample(BOTH.model(DISCRETE, "epsilon"), (9, 2), **options),
        rtol=1e-6,
        atol=1e-6,
    )


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("state", [torch.float32, torch.float64])
def test_a_network_in_half_precision_has_a_state_in_full(half, state):
    linear = torch.nn.Linear(2, 2, dtype=half)
    torch.nn.init.constant_(linear.weight, 0.1)
    torch.nn.init.constant_(linear.bias, 0.0)
    seen = set()

    def network(x, t):
        seen.add((x.dtype, t.dtype))
        with torch.no_grad():
            return linear(x)

    x = sample(InDtype(network, half), (50, 2), prediction="v", nfe=17, dtype=state)
    assert seen == {(half, torch.float32)}
    assert x.dtype == state
    assert InDtype(network, half)(x, torch.ones(50)).dtype == state
    # Only the network's own output is rounded: had the state been in half precision, its 16
    # increments, and the coefficients alpha/rho at both ends, would have been too.
    exact = sample(
        lambda x, t: 0.1 * x.sum(1, keepdim=True).expand_as(x),
        (50, 2),
        prediction="v",
        nfe=17,
        dtype=torch.float64,
    )
    error = float((x.double() - exact).abs().mean())
    assert error < 2 * torch.finfo(half).eps
