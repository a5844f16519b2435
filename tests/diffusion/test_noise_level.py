"""The flow with the noise as drift, and churn: what EDM and DEIS print, in x, against `sample`."""

from __future__ import annotations

import math

import pytest
import torch

from diffusion import EDM, VP, Churn, GaussianMixture, NoiseClock, NoiseLevel, sample, trajectory
from sdeint import GridPath, ProblemError, solve
from tableaux import Tableau

MIXTURE = GaussianMixture([0.3, 0.5, 0.2], [[-1.5], [0.2], [2.0]], [0.09, 0.04, 0.16])
HEUN = Tableau.rk("Heun in sigma", A=[[0, 0], [1, 0]], b=["1/2", "1/2"], orders={"none": (2, 2)})
F64 = torch.float64
TIMES = torch.tensor([20.0, 9.0, 4.0, 2.5, 1.0, 0.4, 0.1], dtype=torch.float64)


def drawn(method, process=None, **options):
    process = process or EDM()
    model = MIXTURE.model(process, "x0")
    options = {"nfe": 40, "eta": 0.0, "grid": TIMES, "seed": 3, **options}
    return trajectory(
        model,
        (4, 1),
        process=process,
        prediction="x0",
        method=method,
        dtype=torch.float64,
        **options,
    )


def x0(x, sigma):
    return MIXTURE.x0hat(x, torch.ones((), dtype=F64), torch.tensor(sigma, dtype=F64))


@pytest.mark.parametrize("process", [EDM(), VP()], ids=repr)
def test_eulers_method_does_not_care_what_its_drift_is(process):
    grid = TIMES if isinstance(process, EDM) else [0.9, 0.6, 0.35, 0.2, 0.05]
    noise, data = (drawn("EM", process, grid=grid, drift=drift) for drift in ("epsilon", "x0"))
    torch.testing.assert_close(noise.x, data.x, rtol=1e-9, atol=1e-9)
    assert noise.evaluations == data.evaluations


def test_heuns_method_for_the_noise_is_that_of_edm_for_the_data():
    torch.testing.assert_close(
        drawn(HEUN, drift="epsilon").final, drawn("HeunEDM").final, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("amount", [1.2, 3.0])  # below the largest gamma, and cut to it
@pytest.mark.parametrize("method", ["HeunEDM", HEUN], ids=["data", "noise"])
def test_churn_is_algorithm_2_of_edm(method, amount):
    churn = Churn(amount, low=1.0, high=4.0, noise=1.1)
    run = drawn(method, churn=churn, drift="epsilon" if method is HEUN else "x0")
    numbers = torch.arange(len(TIMES), dtype=torch.float64)
    normals = GridPath(3, (4,), (1,), dtype=torch.float64).on(numbers).draw(0, 6, ["W"])["W"]
    x, moved = run.x[0], 0
    for n, (here, there) in enumerate(zip(TIMES.tolist(), TIMES.tolist()[1:])):
        gamma = min(amount / 6, math.sqrt(2) - 1) if 1.0 <= here <= 4.0 else 0.0
        moved += gamma > 0
        begin = here * (1 + gamma)
        x = x + math.sqrt(begin**2 - here**2) * 1.1 * normals[n]
        d = (x - x0(x, begin)) / begin
        ahead = x + (there - begin) * d
        x = x + (there - begin) * (d + (ahead - x0(ahead, there)) / there) / 2
        torch.testing.assert_close(run.x[n + 1], x, rtol=1e-9, atol=1e-9)
    assert moved == 3
    assert run.evaluations == 13


@pytest.mark.parametrize("last", [20.0, 1.9])  # back from its clock, 1.9 is more than itself
def test_churn_does_not_go_back_beyond_the_process(last):
    process, grid = EDM(0.002, last), last / 20 * TIMES
    churned = drawn("HeunEDM", process, grid=grid, churn=Churn(6.0, noise=1.1))
    plain = drawn("HeunEDM", process, grid=grid)
    # At the highest level there is nowhere to go back to; afterwards there is.
    torch.testing.assert_close(churned.x[1], plain.x[1], rtol=1e-12, atol=1e-12)
    assert float((churned.x[2] - plain.x[2]).abs().min()) > 1e-3


def test_without_amount_there_is_no_churn_and_with_it_the_data_stay():
    torch.testing.assert_close(
        drawn("HeunEDM", churn=Churn(0.0)).x, drawn("HeunEDM").x, rtol=1e-12, atol=1e-12
    )
    model = MIXTURE.model(EDM(), "x0")
    options = {"process": EDM(), "prediction": "x0", "eta": 0.0, "nfe": 121, "grid": "edm"}
    x = sample(model, (4000, 1), method="HeunEDM", churn=Churn(20.0, 0.05, 50.0), **options)
    # Five standard errors of the mean and of the variance of 4000.
    assert float(x.mean()) == pytest.approx(float(MIXTURE.mean()), abs=0.1)
    assert float(x.var()) == pytest.approx(float(MIXTURE.covariance()), rel=0.1)


def test_a_churned_item_does_not_depend_on_its_batch():
    model = MIXTURE.model(VP(), "epsilon")
    options = {"method": "HeunEDM", "nfe": 9, "eta": 0.0, "churn": Churn(2.0)}
    whole = sample(model, (5, 1), seed=2, **options)
    part = sample(model, (3, 1), seed=2, first_item=2, **options)
    assert torch.equal(whole[2:], part)


def printed(start, variances):
    """The deterministic sampler of arXiv:2403.03852 in x, for alpha_t of the steps, variance-preserving."""
    x, alpha = start, torch.sqrt(1 - variances)

    def score(n, x):
        sigma2 = variances[n]
        return (alpha[n] * MIXTURE.x0hat(x, alpha[n], sigma2.sqrt()) - x) / sigma2

    for n in range(1, len(variances) - 1):
        a, before = (alpha[n] / alpha[n + 1]) ** 2, (alpha[n - 1] / alpha[n]) ** 2
        s = score(n, x)
        back = before.sqrt() * (x - (1 - before) / 2 * s)
        change = s - before.sqrt() * score(n - 1, back)
        x = (x + (1 - a) / 2 * s + (1 - a) ** 2 / (4 * (1 - before)) * change) / a.sqrt()
    return x


def test_the_accelerated_ode_sampler_is_the_printed_one_but_for_factors_near_one():
    def ends(level, steps):
        levels = level * torch.linspace(1.0, 0.7, steps + 1, dtype=F64)
        alpha = 1 / torch.sqrt(1 + levels**2)
        start = torch.linspace(-2, 2, 5, dtype=F64)[:, None]
        sde = NoiseLevel(flow(VP())).sde(1)
        first = solve(sde, start, levels[:2], method=HEUN).y[-1]
        variances = levels**2 / (1 + levels**2)
        x = printed(first * alpha[1], variances) / alpha[-1]
        return solve(sde, start, levels, method="AcceleratedODE").y[-1], x

    ours, theirs = ends(0.02, 6)  # of single steps alpha_t is 1 - 4e-5
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    gaps = [float((a - b).norm()) for a, b in (ends(1.5, 40), ends(1.5, 80))]
    assert math.log2(gaps[0] / gaps[1]) == pytest.approx(2, abs=0.2)


def flow(process):
    return NoiseClock(MIXTURE.model(process, "x0"), process, "x0", eta=0.0)


def test_random_times_go_on_where_the_noise_pauses():
    model = MIXTURE.model(VP(), "epsilon")
    options = {"method": "RandomMidpoint", "nfe": 21, "dtype": F64}
    times = []
    x = sample(
        model, (3, 1), eta=(1.0, 0.3, 2.0), callback=lambda e: times.append(e.t), seed=1, **options
    )
    assert bool(torch.isfinite(x).all())
    drawn = [t for t in times if isinstance(t, torch.Tensor)]
    assert len(drawn) == 10
    assert all(len(set(t.tolist())) == 3 for t in drawn)


@pytest.mark.parametrize(
    ("method", "order"),
    [("DEIS(1)", 1), ("DEIS(2)", 2), ("DEIS", 2), ("AB2", 2), ("AcceleratedODE", 2)],
)
def test_methods_keep_their_order_with_the_noise_as_drift(method, order):
    clock = flow(EDM())
    start = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]

    def end(name, steps):
        levels = torch.linspace(math.log(2.5), math.log(0.4), steps + 1, dtype=torch.float64).exp()
        return solve(NoiseLevel(clock).sde(1), start, levels, method=name).y[-1]

    exact = end("RK4", 200)
    coarse, fine = (float((end(method, n) - exact).norm()) for n in (80, 160))
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.2)


def test_what_has_no_meaning_is_refused():
    with pytest.raises(ValueError, match="drift must be 'x0' or 'epsilon', got 'v'"):
        drawn("EM", drift="v")
    with pytest.raises(ValueError, match="take eta = 0 and variance = 0"):
        drawn("EM", drift="epsilon", eta=1.0)
    with pytest.raises(ProblemError, match="churn is for the probability flow"):
        drawn("EM", churn=Churn(1.0), eta=1.0)
    with pytest.raises(ProblemError, match="'DPMSolver2M' cannot be churned"):
        drawn("DPMSolver2M", churn=Churn(1.0))
    with pytest.raises(ValueError, match="levels must satisfy"):
        Churn(1.0, low=2.0, high=1.0)
    with pytest.raises(ValueError, match="finite and not negative"):
        Churn(-1.0)
    with pytest.raises(ValueError, match="finite and not negative"):
        Churn(1.0, noise=-1.0)
