"""Samplers are tableaux: their orders on Gaussian data without any sampling error, and their manners."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

import diffusion
import tableaux
from diffusion import VP, Flow, GaussianMixture, NoiseClock, sample, trajectory
from diffusion.budget import steps_for
from sdeint import GridPath, ProblemError, solve
from sdeint.testing import Impulses

DISCRETE = diffusion.DiscreteVP.from_betas(torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64))
MIXTURE = GaussianMixture([0.3, 0.5, 0.2], [[-1.5], [0.2], [2.0]], [0.09, 0.04, 0.16])


def propagated(method, variance, mean, rho, eta=1.0):
    """Mean and variance of Z at the end, exactly: the engine's final value is affine in all noises."""
    steps = len(rho) - 1
    data = GaussianMixture([1.0], [[mean]], variance)
    clock = NoiseClock(data.model(VP(), "x0"), VP(), "x0", eta=eta)
    path = clock.driver(Impulses(steps, ("W", "H", "K"))) or "grid"
    z0 = torch.zeros(2 + 3 * steps, 1, dtype=torch.float64)
    z0[1] = 1.0
    times = clock.of(VP().t_of_rho(rho))
    end = solve(clock.sde(1), z0, times, method=method, path=path, save_at="end").y[-1, :, 0]
    offset, gains = end[0], end[1:] - end[0]
    spread = clock.noise(times)
    h = torch.diff(spread)
    start = float(times[0])
    variances = torch.cat(
        [
            torch.tensor([start**2 * variance + float(spread[0])], dtype=torch.float64),
            h,
            h / 12,
            h / 720,
        ]
    )
    return float(offset + gains[0] * start * mean), float((gains**2 * variances).sum())


def errors(method, levels, variance=0.7, mean=0.4, ends=(0.4, 2.5), eta=1.0):
    power = (1 + eta**2) / 2
    end, noise = ends[1] ** power, ends[1] ** eta**2
    rows = []
    for steps in levels:
        rho = torch.logspace(*(math.log10(e) for e in ends), steps + 1, dtype=torch.float64)
        got_mean, got_variance = propagated(method, variance, mean, rho, eta)
        rows.append((abs(got_mean - end * mean), abs(got_variance - (end**2 * variance + noise))))
    return rows


#: Weak orders on Gaussian data.  The drift is a martingale along the process, so that methods of
#: weak order 1 for any additive noise show 2 here; the one-stage method shows 3 because the
#: posterior variance of Gaussian data does not depend on the state.
OBSERVED = {
    "EM": 1,
    "SEA": 2,
    "ScoreDifference": 2,
    "OneStage": 3,
    "OneStageStored": 2,
    "TwoStep": 2,
    "DPMSolver2M": 2,
    "DPMSolver2MHeun": 2,
    "DPMSolver3M": 2,
    "DPMSolver2S": 2,
    "RES2S": 2,
    "RES3S": 2,
    "SEEDS3": 2,
    "UniPC2": 2,
    "SASolver": 2,
    "SASolver3": 2,
    "ERSDE2": 2,
    "ERSDE3": 2,
    "AB2": 2,
    "AB3": 2,
    "AcceleratedDDPM": 2,
    "Overshoot": 1,
    "SRA1": 2,
    "SRA2": 2,
    "SRA3": 2,
    "SOSRA": 2,
    "ShARK": 2,
}


#: Where terms of the next order still matter at these steps: at variance 2 their sign is the other.
SETTLING = ("AB3", "DPMSolver3M", "SASolver", "SASolver3", "UniPC2")


@pytest.mark.parametrize(
    ("name", "variance"),
    [(n, v) for n in sorted(OBSERVED) for v in (0.2, 2.0) if v < 1 or n not in SETTLING],
)
def test_samplers_have_their_weak_order_on_gaussian_data_to_rounding(name, variance):
    coarse, fine = (errors(name, (n,), variance=variance)[0] for n in (64, 128))
    observed = math.log2(coarse[1] / fine[1])
    assert observed == pytest.approx(OBSERVED[name], abs=0.25 if name in SETTLING else 0.06)


@pytest.mark.parametrize("name", sorted(OBSERVED))
def test_the_mean_of_gaussian_data_is_exact_at_any_step(name):
    # The denoiser is affine and a martingale: a consistent method cannot miss its mean.
    assert errors(name, (3,))[0][0] < 1e-13


@pytest.mark.parametrize(("name", "order"), [("EM", 1), ("SRA1", 2), ("SRA3", 2)])
@pytest.mark.parametrize("eta", [0.0, 0.4, 2.0])
def test_methods_keep_their_order_at_any_stochasticity(name, order, eta):
    # Without noise, SRA3 is Kutta's method of order 3.
    coarse, fine = (errors(name, (n,), eta=eta)[0] for n in (64, 128))
    observed = math.log2(coarse[1] / fine[1])
    assert observed == pytest.approx(3 if eta == 0 and name == "SRA3" else order, abs=0.08)
    assert fine[0] < 1e-12


def test_a_method_for_martingales_has_order_one_elsewhere():
    # what the documentation warns of
    coarse, fine = (errors("OneStage", (n,), eta=0.4)[0] for n in (64, 128))
    assert math.log2(coarse[1] / fine[1]) == pytest.approx(1, abs=0.08)


def test_without_stochasticity_a_sample_is_its_initial_noise_carried_along_the_flow():
    data, process = GaussianMixture([1.0], [[0.4]], 0.7), VP()
    run = trajectory(
        data.model(process, "epsilon"),
        (50, 1),
        method="SRA3",
        nfe=300,
        eta=0.0,
        denoise=False,
        dtype=torch.float64,
    )
    alpha, sigma = process.alpha(run.t)[:, None, None], process.sigma(run.t)[:, None, None]
    standard = (run.x - 0.4 * alpha) / torch.sqrt(0.7 * alpha**2 + sigma**2)
    torch.testing.assert_close(standard, standard[:1].expand_as(standard), rtol=0, atol=2e-4)
    assert float(standard[0].std()) > 0.7


def test_euler_without_stochasticity_is_ddim():
    # Song, Meng and Ermon, eq. 12 with sigma = 0
    model, process = MIXTURE.model(VP(), "epsilon"), VP()
    options = {"method": "EM", "grid": [0.8, 0.5, 0.2], "nfe": 3, "dtype": torch.float64}
    run = trajectory(model, (20, 1), eta=0.0, **options)
    alpha, sigma = process.alpha(run.t), process.sigma(run.t)
    for n in range(2):
        epsilon = model(run.x[n], run.t[n].expand(20))
        x0 = (run.x[n] - sigma[n] * epsilon) / alpha[n]
        torch.testing.assert_close(run.x[n + 1], alpha[n + 1] * x0 + sigma[n + 1] * epsilon)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.7])
@pytest.mark.parametrize("path", ["grid", "tree"])
def test_every_stochasticity_samples_the_same_data(eta, path):
    x = sample(
        MIXTURE.model(VP(), "epsilon"),
        (4000, 1),
        method="SRA1",
        nfe=129,
        seed=8,
        eta=eta,
        path=path,
        lambda_range=(-3.5, 4.0),
        dtype=torch.float64,
    )
    # as above: within 5.5 standard errors
    second = x**2
    exact = float(MIXTURE.covariance()[0, 0] + MIXTURE.mean()[0] ** 2)
    assert abs(float(x.mean() - MIXTURE.mean()[0])) < 5.5 * float(x.std()) / 4000**0.5
    assert abs(float(second.mean()) - exact) < 5.5 * float(second.std()) / 4000**0.5 + 0.02


def test_noise_of_any_stochasticity_is_one_path_on_a_tree():
    model = MIXTURE.model(VP(), "epsilon")

    def draw(nfe, eta):
        options = {"method": "SRA1", "path": "tree", "seed": 2, "dtype": torch.float64}
        return sample(model, (200, 1), nfe=nfe, eta=eta, **options)

    for eta in (0.0, 0.5):
        fine = draw(513, eta)
        near, far = (float((draw(n, eta) - fine).abs().mean()) for n in (129, 33))
        assert near < far / 3


@pytest.mark.parametrize("eta", [-0.1, math.nan, math.inf, 1e-7])
def test_stochasticity_that_is_none_is_refused(eta):
    with pytest.raises(ValueError, match=r"eta = .* must be 0, which is the ODE, or lie in"):
        sample(MIXTURE.model(VP(), "epsilon"), (2, 1), eta=eta)


def test_stochasticity_beyond_the_precision_is_refused():
    model = MIXTURE.model(VP(), "epsilon")
    with pytest.raises(ProblemError, match=r"eta = 5 is too large for torch.float32: the clock"):
        sample(model, (2, 1), eta=5.0, method="EM")
    assert bool(
        torch.isfinite(sample(model, (2, 1), eta=5.0, method="EM", dtype=torch.float64)).all()
    )


@pytest.mark.parametrize("clock_of", [lambda rho: -(rho**-0.5), torch.log], ids=["sigma", "lambda"])
def test_a_method_in_another_clock_than_rho_loses_the_order(clock_of):
    # The trap: within a step the noise is Brownian motion in sigma, scaled to the right increment.
    # Then E[M(rho) W] is not rho - rho_0, and the mean of M over the step, which is W/2 + H, has the
    # wrong correlation with W.
    def wrong(steps, trapped):
        rho = torch.logspace(math.log10(0.4), math.log10(2.5), steps + 1, dtype=torch.float64)
        h = torch.diff(rho)
        nodes, weights = (torch.tensor(v) for v in np.polynomial.legendre.leggauss(12))
        inside = clock_of(rho[:-1, None] + h[:, None] * (nodes + 1) / 2)
        ends = clock_of(rho)
        share = ((inside - ends[:-1, None]) / torch.diff(ends)[:, None] * weights / 2).sum(1)

        class WrongClock(Impulses):
            def draw(self, first, count, names):
                drawn = super().draw(first, count, names)
                lean = (share - 0.5)[first : first + count, None, None]
                return {**drawn, "H": drawn["H"] + trapped * lean * drawn["W"]}

        data = GaussianMixture([1.0], [[0.0]], 0.7)
        clock = NoiseClock(data.model(VP(), "x0"), VP(), "x0")
        path = WrongClock(steps, ("W", "H"))
        z0 = torch.zeros(*path.batch, 1, dtype=torch.float64)
        z0[1] = 1.0
        end = solve(clock.sde(1), z0, rho, method="OneStage", path=path, save_at="end").y[-1, :, 0]
        gains = end[1:] - end[0]
        start = torch.tensor([0.4**2 * 0.7 + 0.4], dtype=torch.float64)
        variances = torch.cat([start, h, h / 12])
        return abs(float((gains**2 * variances).sum()) - (2.5**2 * 0.7 + 2.5))

    assert math.log2(wrong(64, 0.0) / wrong(128, 0.0)) > 2.9
    assert math.log2(wrong(64, 1.0) / wrong(128, 1.0)) < 2.1


def test_a_stage_with_noise_of_its_own_loses_the_order():
    # The trap: stage noise of the right variance, h/3, that is not that of the step's path.
    right = tableaux.catalogue["OneStage"]
    apart = dataclasses.replace(
        right,
        name="stage noise of its own",
        couplings=(right.couplings[0], tableaux.Coupling("stage", "noise", "H_k", ((2,),))),
        orders={},
    )
    assert tableaux.order(right, noise="martingale").by_noise["martingale"].weak == 2
    assert tableaux.order(apart, noise="martingale").by_noise["martingale"].weak == 1
    coarse, fine = (errors(apart, (n,))[0] for n in (64, 128))
    assert math.log2(coarse[1] / fine[1]) == pytest.approx(1, abs=0.06)


def test_euler_in_the_noise_clock_is_ddpm_with_the_exact_posterior_mean():
    # One step from t to s: the posterior q(x_s | x_t, x0hat) of Ho, Jain and Abbeel, eqs. (6)-(7).
    process = VP()
    data = GaussianMixture([1.0], [[0.3]], 0.5)
    clock = NoiseClock(data.model(process, "x0"), process, "x0")
    times = torch.tensor([0.6, 0.5], dtype=torch.float64)
    rho, alpha, sigma = process.rho(times), process.alpha(times), process.sigma(times)
    x = torch.tensor([[0.7], [0.7]], dtype=torch.float64)

    class Unit(GridPath):
        def on(self, grid):
            return self

        def draw(self, first, count, names):
            return {"W": torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)}

    path = Unit(0, (2,), (1,), dtype=torch.float64)
    z = solve(clock.sde(1), rho[0] / alpha[0] * x, rho, method="EM", path=path, save_at="end").y[-1]
    stepped = alpha[1] / rho[1] * z
    x0 = data.x0hat(x[:1], alpha[0], sigma[0])[0]
    ratio = alpha[0] / alpha[1]
    noise = sigma[0] ** 2 - ratio**2 * sigma[1] ** 2
    mean = (ratio * sigma[1] ** 2 * x[0] + alpha[1] * noise * x0) / sigma[0] ** 2
    spread = torch.sqrt(noise) * sigma[1] / sigma[0]
    torch.testing.assert_close(stepped[0], mean, rtol=1e-12, atol=1e-12)
    gain = (stepped[1] - stepped[0]) * torch.sqrt(rho[1] - rho[0])
    torch.testing.assert_close(gain, spread.reshape(1), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("prediction", diffusion.predictions)
@pytest.mark.parametrize(
    "process",
    [
        VP(),
        diffusion.VE(),
        diffusion.SubVP(),
        Flow(),
        diffusion.EDM(),
        diffusion.CosineVP(),
        DISCRETE,
    ],
    ids=lambda p: type(p).__name__,
)
def test_every_process_and_prediction_samples_the_same_data(process, prediction):
    x = sample(
        MIXTURE.model(process, prediction),
        (4000, 1),
        process=process,
        prediction=prediction,
        method="OneStage",
        nfe=64,
        seed=3,
        lambda_range=(-3.5, 4.0),
        dtype=torch.float64,
    )
    # Both moments within 5.5 standard errors: false-alarm probability below 1e-6 for all together,
    # given that the seed is fixed and the bias of 32 steps is far smaller.
    second = x**2
    exact = float(MIXTURE.covariance()[0, 0] + MIXTURE.mean()[0] ** 2)
    assert abs(float(x.mean() - MIXTURE.mean()[0])) < 5.5 * float(x.std()) / 4000**0.5
    assert abs(float(second.mean()) - exact) < 5.5 * float(second.std()) / 4000**0.5 + 0.02


@pytest.mark.parametrize("method", ["EM", "OneStageStored", "RandomMidpoint"])
@pytest.mark.parametrize("path", ["grid", "tree"])
def test_an_item_does_not_depend_on_its_batch(method, path):
    model = MIXTURE.model(VP(), "epsilon")
    options = {"method": method, "nfe": 8, "path": path}
    whole = sample(model, (6, 1), seed=5, **options)
    parts = [
        sample(model, (b - a, 1), seed=5, first_item=a, **options) for a, b in ((0, 2), (2, 6))
    ]
    assert torch.equal(torch.cat(parts), whole)
    seeds = [11, 7, 300]
    own = sample(model, (3, 1), seed=seeds, **options)
    alone = [sample(model, (1, 1), seed=[s], **options) for s in seeds]
    assert torch.equal(torch.cat(alone), own)
    assert len(set(own.flatten().tolist())) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("process", [VP(), DISCRETE], ids=lambda p: type(p).__name__)
@pytest.mark.parametrize("path", ["grid", "tree"])
def test_a_sample_does_not_depend_on_its_device(path, process):
    options = {"process": process, "prediction": "x0", "path": path, "seed": [3, 9, 4], "nfe": 12}
    cpu, cuda = (
        sample(lambda x, t: torch.tanh(x), (3, 2), device=device, dtype=torch.float64, **options)
        for device in ("cpu", "cuda")
    )
    torch.testing.assert_close(cuda.cpu(), cpu, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("eta", [1.0, 0.5, (0.8, 0.1, 3.0)])
@pytest.mark.parametrize("variance", [0.0, 2.0])
def test_on_a_tree_every_grid_sees_the_same_noise_to_rounding(variance, eta):
    # On Gaussian data of the clock's own variance Z is noise alone, over eight orders of magnitude.
    def model(x, t):
        return variance / (variance + 1 / VP().rho(t[0])) * x / VP().alpha(t[0])

    def run(nfe):
        options = {"prediction": "x0", "method": "EM", "path": "tree", "dtype": torch.float64}
        return trajectory(model, (3, 1), nfe=nfe, eta=eta, variance=variance, **options).x

    torch.testing.assert_close(run(17)[::2], run(9), rtol=1e-6, atol=1e-9)


def test_on_a_tree_more_evaluations_refine_the_same_sample():
    model = MIXTURE.model(VP(), "epsilon")

    def draw(nfe, path):
        return sample(
            model, (200, 1), method="OneStage", nfe=nfe, seed=2, path=path, dtype=torch.float64
        )

    fine = draw(513, "tree")
    distances = [float((draw(n, "tree") - fine).abs().mean()) for n in (33, 129)]
    assert distances[1] < distances[0] / 3
    assert float((draw(129, "grid") - fine).abs().mean()) > 10 * distances[1]


@pytest.mark.parametrize("nfe", [3, 4, 5, 8, 17, 32])
@pytest.mark.parametrize("method", sorted(OBSERVED))
@pytest.mark.parametrize("denoise", [True, False])
def test_no_sampler_evaluates_the_network_more_often_than_it_says(method, nfe, denoise):
    calls = []

    def model(x, t):
        calls.append(tuple(t.shape))
        return torch.zeros_like(x)

    if nfe - denoise < (3 if method in ("SRA3", "SOSRA", "RES3S", "SEEDS3") else 2):
        pytest.skip("too few for a step of this method")
    run = trajectory(model, (2, 1, 4, 4), method=method, nfe=nfe, denoise=denoise)
    assert len(calls) == run.evaluations <= nfe
    two = ("ScoreDifference", "OneStage", "SRA1", "SRA2", "ShARK", "DPMSolver2S", "RES2S")
    three = ("SRA3", "SOSRA", "RES3S", "SEEDS3")
    each = 2 if method in two else 3 if method in three else 1
    assert run.evaluations > nfe - each
    assert set(calls) == {(2,)}
    assert run.x.shape == (len(run.t), 2, 1, 4, 4)
    assert len(run.t) == steps_for(method, nfe, denoise=denoise) + 1


def test_a_trajectory_ends_in_the_sample():
    model = MIXTURE.model(VP(), "epsilon")
    run = trajectory(model, (5, 1), nfe=12, seed=4, denoise=False)
    assert torch.equal(run.x[-1], run.final)
    assert torch.equal(run.final, sample(model, (5, 1), nfe=12, seed=4, denoise=False))
    assert bool((torch.diff(run.t) < 0).all())


def test_wrong_requests_are_refused():
    model = MIXTURE.model(VP(), "epsilon")
    for message, options in (
        ("nfe=2 is too few for 'SRA3': the first step takes 3", {"nfe": 2, "method": "SRA3"}),
        ("nfe must be a positive int", {"nfe": 0}),
        ("unknown method 'SRA'; did you mean", {"method": "SRA"}),
        ("path must be", {"path": "line"}),
        ("one int for each of the 3 items", {"seed": [1, 2]}),
        ("first_item numbers the items", {"seed": [1, 2, 3], "first_item": 1}),
        (r"shape must be \(items", {"shape": (0, 1)}),
    ):
        options = {"shape": (3, 1), **options}
        with pytest.raises(ProblemError, match=message):
            sample(model, options.pop("shape"), **options)
    with pytest.raises(ValueError, match="did you mean 'epsilon'"):
        sample(model, (3, 1), prediction="epsilom")
    with pytest.raises(ValueError, match="did you mean 'uniform_lambda'"):
        sample(model, (3, 1), grid="uniform_lamda")


@pytest.mark.parametrize("path", ["grid", "tree"])
@pytest.mark.parametrize("seed", [3, list(range(4000))])
def test_the_initial_noise_is_independent_of_the_noise_of_the_steps(path, seed):
    # With a denoiser that is zero, Z is Brownian motion in rho: W(rho_0), then its increments.
    run = trajectory(
        lambda x, t: torch.zeros_like(x),
        (4000, 1),
        prediction="x0",
        method="SRA1",
        nfe=9,
        seed=seed,
        path=path,
        denoise=False,
        dtype=torch.float64,
    )
    process = VP()
    rho = process.rho(run.t)
    z = run.x[..., 0] * (rho / process.alpha(run.t)).unsqueeze(-1)
    standard = torch.cat(
        [z[:1] / rho[0].sqrt(), torch.diff(z, dim=0) / torch.diff(rho).sqrt()[:, None]]
    )
    covariance = standard @ standard.T / 4000
    # Entries have standard errors up to sqrt(2/4000); 6 of them is a false alarm below 1e-7.
    off = covariance - torch.eye(len(rho), dtype=torch.float64)
    assert float(off.abs().max()) < 6 * (2 / 4000) ** 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "process",
    [VP(0.1, b) for b in (7.0, 11.0, 20.0, 23.0)] + [DISCRETE, diffusion.EDM(0.002, 80.1)],
)
def test_a_run_may_begin_at_the_very_end_of_a_process(process, dtype):
    # The first rho is that of the last time of the process: rounded to float32 it may lie beyond.
    low, high = float(process.lambda_(process.T)), 3.0
    model = MIXTURE.model(VP(), "x0")
    x = sample(
        lambda x, t: model(x, torch.full_like(t, 0.5)),
        (3, 1),
        process=process,
        prediction="x0",
        lambda_range=(low, high),
        nfe=6,
        dtype=dtype,
    )
    assert bool(torch.isfinite(x).all())


@pytest.mark.parametrize("name", [*diffusion.grids, *diffusion.spacings])
@pytest.mark.parametrize(
    "process", [VP(), DISCRETE, diffusion.EDM()], ids=lambda p: type(p).__name__
)
def test_every_grid_drives_every_process(name, process):
    run = trajectory(
        MIXTURE.model(process, "x0"), (4, 1), process=process, prediction="x0", grid=name, nfe=11
    )
    assert run.evaluations == 11
    assert len(run.t) == steps_for("TwoStep", 11) + 1
    assert bool(torch.isfinite(run.final).all())


def test_explicit_times_keep_to_nfe():
    model = MIXTURE.model(VP(), "epsilon")
    times = [0.99, 0.7, 0.3, 0.01]
    run = trajectory(model, (2, 1), grid=times, nfe=9, method="SRA1")
    assert run.t.tolist() == times
    assert run.evaluations == 7
    with pytest.raises(ProblemError, match="the grid has 3 steps, but nfe=6 allows 'SRA1' 2"):
        sample(model, (2, 1), grid=times, nfe=6, method="SRA1")


@pytest.mark.parametrize("process", [VP(), Flow(), diffusion.EDM()], ids=repr)
def test_image_to_image_begins_at_the_noisy_data(process):
    data = MIXTURE.sample(3000, seed=4)
    begin = 0.25 if process.T == 1 else 0.8
    run = trajectory(
        MIXTURE.model(process, "x0"),
        (3000, 1),
        process=process,
        prediction="x0",
        nfe=33,
        seed=6,
        start=data,
        start_time=begin,
        dtype=torch.float64,
    )
    alpha, sigma = float(process.alpha(begin)), float(process.sigma(begin))
    assert float(run.t[0]) == pytest.approx(begin, rel=1e-12)
    noise = (run.x[0] - alpha * data) / sigma
    # mean and variance of 3000 standard normals within 5.5 standard errors
    assert abs(float(noise.mean())) < 5.5 / 3000**0.5
    assert abs(float(noise.var()) - 1) < 5.5 * (2 / 3000) ** 0.5
    # Noising the data and denoising them leaves their law: of the second moment, as above.
    second, exact = run.final**2, float(MIXTURE.covariance()[0, 0] + MIXTURE.mean()[0] ** 2)
    assert abs(float(second.mean()) - exact) < 5.5 * float(second.std()) / 3000**0.5 + 0.02
    kept = torch.corrcoef(torch.stack([run.final[:, 0], data[:, 0].double()]))[0, 1]
    assert 0.5 < float(kept) < 0.999


def test_less_noise_keeps_more_of_the_start():
    model = MIXTURE.model(VP(), "epsilon")
    data = torch.full((1,), 0.2)
    distances = [
        float((sample(model, (500, 1), nfe=17, start=data, start_time=t) - data).abs().mean())
        for t in (0.9, 0.4, 0.1, 0.02)
    ]
    assert distances == sorted(distances, reverse=True)
    part = {"nfe": 17, "start": data, "start_time": 0.4}
    whole = sample(model, (5, 1), seed=3, **part)
    assert torch.equal(whole[2:], sample(model, (3, 1), seed=3, first_item=2, **part))
    with pytest.raises(ProblemError, match="give the clean ones as start"):
        sample(model, (3, 1), start_time=0.5)
    with pytest.raises(ProblemError, match=r"of an item, \(1,\); got \(2,\)"):
        sample(model, (3, 1), start=torch.zeros(2))


@pytest.mark.parametrize("method", ["EM", "SRA1", "SRA3", "OneStage", "TwoStep"])
@pytest.mark.parametrize("denoise", [True, False])
def test_callbacks_preview_every_evaluation_and_cost_none(method, denoise):
    calls, seen = [], []
    exact = MIXTURE.model(VP(), "epsilon")

    def model(x, t):
        calls.append((x, float(t[0])))
        return exact(x, t)

    options = {"method": method, "nfe": 16, "denoise": denoise, "seed": 2}
    run = trajectory(model, (5, 1), callback=seen.append, **options)
    assert len(calls) == len(seen) == run.evaluations <= 16
    assert [e.number for e in seen] == list(range(1, len(seen) + 1))
    assert all(torch.equal(e.x, x) and e.t == pytest.approx(t) for e, (x, t) in zip(seen, calls))
    assert torch.equal(run.final, sample(exact, (5, 1), **options))
    if denoise:
        assert torch.equal(seen[-1].x0, run.final)
    # previews approach the result
    gaps = [float((e.x0 - run.final).abs().mean()) for e in seen]
    assert gaps[-2] < gaps[0]


def test_a_path_of_ones_own_is_the_noise_of_the_steps():
    model, options = MIXTURE.model(VP(), "x0"), {"prediction": "x0", "nfe": 6, "seed": 4}
    own = sample(model, (5, 1), path=GridPath(4, (5,), (1,)), **options)
    assert torch.equal(own, sample(model, (5, 1), **options))
    other = sample(model, (5, 1), path=GridPath(5, (5,), (1,)), **options)
    assert not torch.equal(own, other)
    with pytest.raises(ProblemError, match="batch"):
        sample(model, (5, 1), path=GridPath(4, (6,), (1,)), **options)
