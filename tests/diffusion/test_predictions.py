"""Predictions: every conversion agrees with the definitions, and round trips."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffusion import VE, VP, Flow, SubVP, compose, convert, from_x0, predictions, to_x0

DEFINITIONS = {
    "x0": lambda x0, eps, a, s: x0,
    "epsilon": lambda x0, eps, a, s: eps,
    "v": lambda x0, eps, a, s: a * eps - s * x0,
    "flow": lambda x0, eps, a, s: eps - x0,
    "score": lambda x0, eps, a, s: -eps / s,
}
PAIRS = list(itertools.product(DEFINITIONS, DEFINITIONS))


def test_every_prediction_has_a_definition_here() -> None:
    assert set(predictions) == set(DEFINITIONS)


@pytest.mark.parametrize(("source", "target"), PAIRS)
@given(t=st.floats(0.01, 0.99), seed=st.integers(0, 1000))
def test_conversion_agrees_with_the_definitions(
    source: str, target: str, t: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    x0, eps = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    for process in (VP(), SubVP(), VE(), Flow()):
        alpha, sigma = process.alpha(t), process.sigma(t)
        x = alpha * x0 + sigma * eps
        given_ = DEFINITIONS[source](x0, eps, alpha, sigma)
        wanted = DEFINITIONS[target](x0, eps, alpha, sigma)
        found = convert(given_, x, alpha, sigma, source=source, target=target)
        # conditioning: at worst (sigma / alpha) from epsilon or (1 / sigma^2) into score
        scale = 1 + float(sigma / alpha) + float(1 / sigma) ** 2
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14 * scale * 10)
        torch.testing.assert_close(compose(x0, eps, alpha, sigma, target), wanted)


@pytest.mark.parametrize("prediction", predictions)
def test_to_x0_and_back(prediction: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x, output = torch.randn(2, 4, 2, generator=generator, dtype=torch.float64)
    x0 = to_x0(output, x, 0.6, 0.8, prediction)
    torch.testing.assert_close(from_x0(x0, x, 0.6, 0.8, prediction), output, rtol=1e-13, atol=1e-14)


def test_v_is_well_conditioned_where_epsilon_is_not() -> None:
    # float32 outputs at nearly pure noise: v gives x0 to rounding, epsilon loses sigma/alpha
    generator = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 1000, generator=generator, dtype=torch.float64)
    alpha, sigma = VP().alpha(1.0), VP().sigma(1.0)
    x = alpha * x0 + sigma * eps
    error = {}
    for name in ("v", "epsilon", "flow"):
        output = compose(x0, eps, alpha, sigma, name)
        found = to_x0(output.float(), x.float(), alpha, sigma, name)
        error[name] = float((found - x0).abs().max())
    assert error["v"] < 1e-6
    assert error["flow"] < 1e-6
    assert error["epsilon"] > 1e-6


def test_x0_from_score_is_tweedie() -> None:
    x, score = torch.tensor([2.0]), torch.tensor([-0.5])
    torch.testing.assert_close(to_x0(score, x, 0.5, 2.0, "score"), (x + 4.0 * score) / 0.5)


def test_a_noise_level_for_each_item_and_the_dtype_of_x() -> None:
    x, output = torch.randn(2, 3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    t = torch.tensor([0.1, 0.5, 0.9]).view(-1, 1, 1, 1)
    process = VP()
    together = to_x0(output, x, process.alpha(t), process.sigma(t), "epsilon")
    assert together.dtype == torch.float32
    for i in range(3):
        alone = to_x0(output[i], x[i], process.alpha(t[i]), process.sigma(t[i]), "epsilon")
        torch.testing.assert_close(alone, together[i], rtol=0, atol=0)


def test_unknown_names_are_refused_with_near_ones() -> None:
    x = torch.zeros(1)
    with pytest.raises(ValueError, match=r"unknown prediction 'epsilom'; did you mean 'epsilon'\?"):
        to_x0(x, x, 1.0, 1.0, "epsilom")
    with pytest.raises(ValueError, match="known are 'x0', 'epsilon', 'v', 'flow', 'score'"):
        from_x0(x, x, 1.0, 1.0, "qq")


def test_a_prediction_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2,\) but x has \(3,\)"):
        to_x0(torch.zeros(2), torch.zeros(3), 1.0, 1.0, "v")
