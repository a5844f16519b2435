"""Exponential methods with the noise as drift: what SEEDS and DPM-Solver print, in x, against `sample`."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from diffusion import (
    VP,
    Churn,
    Flow,
    GaussianMixture,
    LogSNR,
    NoiseClock,
    sample,
    trajectory,
    transition_log_probabilities,
)
from sdeint import GridPath, ProblemError, solve
from sdeint.linear import conditional_functionals
from sdeint.testing import Impulses

F64 = torch.float64
MIXTURE = GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.2, 0.1])
PARTS = {"ExponentialEM": (), "SEEDS2Noise": ("1/2",), "SEEDS3Noise": ("1/3", "2/3")}
LAMBDAS = torch.tensor([-1.0, -0.3, 0.1, 0.9, 1.4], dtype=F64)


def drawn(method: str, process=None, **options):
    process = process or VP()
    given = {"nfe": 40, "grid": process.t_of_lambda(LAMBDAS), "seed": 5, "dtype": F64, **options}
    model = MIXTURE.model(process, "epsilon")
    return trajectory(model, (6, 1), process=process, method=method, drift="epsilon", **given)


def printed(process, x: Tensor, lam: float, h: float, eta: float, noise: list[Tensor]) -> Tensor:
    """A step of x: the noise of its parts and of the whole, the parts equal and as many as stages."""
    weight, stages = 1 + eta**2, len(noise)

    def level(share: float) -> tuple[Tensor, Tensor]:
        t = process.t_of_lambda(torch.tensor(lam + share * h, dtype=F64))
        return process.alpha(t), process.sigma(t)

    def eps(x: Tensor, share: float) -> Tensor:
        alpha, sigma = level(share)
        return (x - alpha * MIXTURE.x0hat(x, alpha, sigma)) / sigma

    first = eps(x, 0.0)

    def held(share: float, noise: Tensor) -> Tensor:
        (alpha, sigma), before = level(share), level(0.0)[0]
        return x * alpha / before + sigma * (
            eta * math.sqrt(2) * noise - weight * math.expm1(share * h) * first
        )

    if stages == 1:
        return held(1.0, noise[0])
    middle = eps(held(1 / stages, noise[0]), 1 / stages) - first
    if stages == 2:
        return held(1.0, noise[1]) - weight * level(1.0)[1] * math.expm1(h) * middle
    slope = 2 * (math.expm1(2 * h / 3) / (2 * h / 3) - 1)
    last = eps(held(2 / 3, noise[1]) - weight * level(2 / 3)[1] * slope * middle, 2 / 3) - first
    return held(1.0, noise[2]) - weight * level(1.0)[1] * 1.5 * (math.expm1(h) / h - 1) * last


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("method", PARTS)
def test_runs_are_the_printed_updates_on_the_noise_of_one_path(method: str, eta: float) -> None:
    process = Flow()
    run = drawn(method, process, eta=eta)
    names = ["phi_0", *(f"phi_0@{part}" for part in PARTS[method])]
    fresh = [f"normal {i}" for i in range(len(names))]
    path = GridPath(5, (6,), (1,), dtype=F64).on(LAMBDAS).draw(0, 4, ["W", "H", *fresh])
    x = run.x[0]
    for n, (lam, after) in enumerate(zip(LAMBDAS.tolist(), LAMBDAS.tolist()[1:])):
        regression, root = conditional_functionals(1.0, after - lam, names)
        known = torch.stack([path["W"][n], path["H"][n]], dim=-1)
        rest = torch.stack([path[k][n] for k in fresh], dim=-1)[..., : root.shape[-1]]
        whole, *parts = (known @ regression.mT + rest @ root.mT).unbind(-1)
        x = printed(process, x, lam, after - lam, eta, [*parts, whole])
        torch.testing.assert_close(run.x[n + 1], x, rtol=1e-10, atol=1e-10)
    assert run.evaluations == 4 * len(names) + 1


@pytest.mark.parametrize(
    ("method", "eta", "order"),
    [
        ("SEEDS2Noise", 1.0, 2),
        ("SEEDS3Noise", 1.0, 2),
        ("SEEDS2Noise", 0.5, 2),
        ("SEEDS2Noise", 0.0, 2),
        ("SEEDS3Noise", 0.0, 3),
    ],
)
def test_the_variance_of_gaussian_data_is_met_to_the_order(method, eta, order):
    # Exactly: y at the end is affine in y at the beginning and in all noises.
    data, process = GaussianMixture([1.0], [[0.0]], 2.0), VP()
    names = ("W", "H", *(f"normal {i}" for i in range(1 + len(PARTS[method]))))

    def error(steps: int) -> float:
        lam = torch.linspace(-1.0, 1.5, steps + 1, dtype=F64)
        path = Impulses(steps, names)
        y = torch.zeros(*path.batch, 1, dtype=F64)
        y[1] = 1.0
        sde = LogSNR(NoiseClock(data.model(process, "x0"), process, "x0", eta=eta)).sde(1)
        end = solve(sde, y, lam, method=method, path=path, save_at="end").y[-1, :, 0]
        h = 2.5 / steps
        sizes = {"W": h, "H": h / 12}
        spread = torch.tensor([sizes.get(name, 1.0) for name in names], dtype=F64)
        noises = torch.cat([torch.ones(1, dtype=F64), spread.repeat_interleave(steps)])
        noises[0] = 2.0 * math.exp(-2.0) + 1
        got = float(((end[1:] - end[0]) ** 2 * noises).sum())
        return abs(got - (2.0 * math.exp(3.0) + 1))

    observed = math.log2(error(40) / error(80))
    assert observed == pytest.approx(order, abs=0.15)


def test_without_noise_eulers_exponential_method_is_ddim():
    model = MIXTURE.model(VP(), "epsilon")
    options = {"grid": VP().t_of_lambda(LAMBDAS), "nfe": 5, "dtype": F64, "eta": 0.0, "seed": 5}
    torch.testing.assert_close(
        drawn("ExponentialEM", eta=0.0, nfe=5).final,
        sample(model, (6, 1), method="EM", **options),
        rtol=1e-10,
        atol=1e-10,
    )


@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_runs_begin_with_the_noise_that_those_with_the_data_as_drift_begin_with(eta):
    noise, data = (
        trajectory(
            MIXTURE.model(VP(), "epsilon"),
            (6, 1),
            method=method,
            drift=drift,
            eta=eta,
            nfe=2,
            seed=5,
        )
        for method, drift in (("ExponentialEM", "epsilon"), ("EM", "x0"))
    )
    torch.testing.assert_close(noise.x[0], data.x[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", ["SEEDS2Noise", "SEEDS3Noise"])
def test_an_item_does_not_depend_on_its_batch_up_to_the_last_time_of_the_process(method):
    # In float32, in which the first lambda may lie before the process's.
    model = MIXTURE.model(VP(), "epsilon")
    options = {"method": method, "nfe": 13, "drift": "epsilon"}
    whole = sample(model, (5, 1), seed=2, **options)
    assert torch.equal(whole[2:], sample(model, (3, 1), seed=2, first_item=2, **options))
    assert torch.equal(whole[:1], sample(model, (1, 1), seed=[2], **options))
    exact = sample(model, (5, 1), seed=2, **options, dtype=F64)
    torch.testing.assert_close(whole.double(), exact, rtol=1e-3, atol=1e-3)


def test_each_step_may_be_churned():
    churned = drawn("SEEDS2Noise", eta=0.0, churn=Churn(1.0))
    assert churned.evaluations == 9
    assert not torch.allclose(churned.final, drawn("SEEDS2Noise", eta=0.0).final)
    same = drawn("SEEDS2Noise", eta=0.0, churn=Churn(0.0))
    torch.testing.assert_close(same.x, drawn("SEEDS2Noise", eta=0.0).x, rtol=1e-12, atol=1e-12)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="take one number for eta, and variance = 0"):
        drawn("SEEDS2Noise", eta=(1.0, 0.1, 2.0))
    with pytest.raises(ValueError, match="take one number for eta, and variance = 0"):
        drawn("SEEDS2Noise", variance=0.5)
    with pytest.raises(ValueError, match="or a method such as SEEDS2Noise"):
        drawn("SRA1")
    with pytest.raises(ProblemError, match="there is no tree: take path='grid'"):
        drawn("SEEDS2Noise", path="tree")
    with pytest.raises(ProblemError, match="runs with drift='x0'"):
        transition_log_probabilities(MIXTURE.model(VP(), "epsilon"), drawn("SEEDS2Noise"))
