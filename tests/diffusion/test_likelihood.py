"""Log-likelihoods by the probability-flow ODE, against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

import diffusion
from diffusion import EDM, VE, VP, Flow, GaussianMixture, log_likelihood, time_grid
from sdeint import ProblemError

DATA = GaussianMixture([0.3, 0.7], [[-1.0, 0.5], [1.5, 0.0]], [0.2, 0.4])
X = DATA.sample(40, seed=1).double()
#: Nearly nothing of the data left at the first time, so that the law there is normal.
RANGE = (-8.0, 3.0)


@pytest.mark.parametrize(
    ("process", "prediction"),
    [(EDM(0.002, 5000.0), "x0"), (Flow(), "flow"), (Flow(), "v"), (VE(0.01, 5000.0), "epsilon")],
    ids=repr,
)
def test_it_is_the_density_of_blurred_data(process, prediction):
    got = log_likelihood(
        DATA.model(process, prediction),
        X,
        process=process,
        prediction=prediction,
        lambda_range=RANGE,
        nfe=160,
    )
    exact = DATA.log_density(X, 1.0, math.exp(-3.0))
    torch.testing.assert_close(got, exact, rtol=0, atol=2e-3)


def test_the_default_is_good_to_a_hundredth():
    got = log_likelihood(DATA.model(VP(), "epsilon"), X)
    torch.testing.assert_close(got, DATA.log_density(X, 1.0, math.exp(-4.6)), rtol=0, atol=0.02)


def test_errors_fall_with_the_order_of_the_method():
    model, exact = DATA.model(Flow(), "x0"), DATA.log_density(X, 1.0, math.exp(-3.0))
    options = {"process": Flow(), "prediction": "x0", "lambda_range": (-9.0, 3.0)}
    coarse, fine = (
        float((log_likelihood(model, X, nfe=n, **options) - exact).abs().mean()) for n in (60, 120)
    )
    assert fine < coarse / 8


def test_random_signs_are_exact_where_the_jacobian_is_diagonal():
    one = GaussianMixture([1.0], [[0.3, -0.2]], 0.5)
    options = {"process": VP(), "nfe": 64}
    model = one.model(VP(), "epsilon")
    torch.testing.assert_close(
        log_likelihood(model, X, divergence="hutchinson", **options),
        log_likelihood(model, X, **options),
        rtol=1e-9,
        atol=1e-9,
    )


def test_random_signs_are_unbiased():
    data = GaussianMixture([0.5, 0.5], [[-1.0, -1.0], [1.0, 1.0]], [0.2, 0.4])
    x = torch.tensor([[0.2, -0.1]], dtype=torch.float64).expand(600, 2)
    model = data.model(VP(), "epsilon")
    exact = float(log_likelihood(model, x[:1], nfe=40)[0])
    single = log_likelihood(model, x, nfe=40, divergence="hutchinson", seed=3)
    assert float(single.std()) > 0.05
    assert abs(float(single.mean()) - exact) < 6 * float(single.std()) / 600**0.5
    many = log_likelihood(model, x, nfe=40, divergence="hutchinson", probes=4, seed=3)
    assert float(many.std()) == pytest.approx(float(single.std()) / 2, rel=0.2)
    assert not torch.equal(
        log_likelihood(model, x[:9], nfe=8, divergence="hutchinson", seed=3),
        log_likelihood(model, x[:9], nfe=8, divergence="hutchinson", seed=4),
    )


@pytest.mark.parametrize("divergence", ["exact", "hutchinson"])
def test_an_item_does_not_depend_on_its_batch_and_the_model_is_called_as_said(divergence):
    calls = []
    exact = DATA.model(VP(), "epsilon")

    def model(x, t):
        calls.append(x.shape)
        return exact(x, t)

    options = {"nfe": 20, "divergence": divergence}
    images = X[:6].reshape(6, 1, 2, 1)
    whole = log_likelihood(lambda x, t: model(x.flatten(1), t).reshape(x.shape), images, **options)
    assert len(calls) == 20  # five steps of four
    assert whole.shape == (6,)
    part = log_likelihood(model, X[2:6], first_item=2, **options)
    torch.testing.assert_close(part, whole[2:], rtol=1e-12, atol=1e-12)


def test_explicit_times_are_those_of_the_flow():
    model, times = DATA.model(VP(), "epsilon"), time_grid("uniform_lambda", VP(), 5)
    for nfe in (20, 40):  # as many as they take, and more
        got = log_likelihood(model, X, grid=times, nfe=nfe)
        assert torch.equal(got, log_likelihood(model, X, nfe=20))


def test_single_precision_is_enough():
    model = DATA.model(VP(), "epsilon")
    single = log_likelihood(model, X.float(), nfe=64)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), log_likelihood(model, X, nfe=64), rtol=0, atol=2e-3)


def test_wrong_requests_are_refused():
    model = DATA.model(VP(), "epsilon")
    with pytest.raises(ProblemError, match="divergence must be 'exact' or 'hutchinson'"):
        log_likelihood(model, X, divergence="trace")
    with pytest.raises(ProblemError, match="probes must be a positive int"):
        log_likelihood(model, X, divergence="hutchinson", probes=0)
    with pytest.raises(ProblemError, match="probes must be a positive int, got True"):
        log_likelihood(model, X, divergence="hutchinson", probes=True)
    with pytest.raises(ProblemError, match="the grid has 3 steps, but nfe=9 allows 2"):
        log_likelihood(model, X, grid=[0.9, 0.5, 0.3, 0.1], nfe=9)
    with pytest.raises(ValueError, match="unknown prediction"):
        log_likelihood(model, X, prediction="noise")
    assert diffusion.log_likelihood is log_likelihood
