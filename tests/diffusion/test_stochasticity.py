"""Noise that depends on the noise level: the marginals are those of the data, whatever eta is."""

from __future__ import annotations

import json
import math

import pytest
import torch
from click.testing import CliRunner

from diffusion import VP, Flow, GaussianMixture, NoiseClock, sample, trajectory
from diffusion.recorded import Request
from diffusion.stochasticity import clocks_of
from diffusion.transitions import transition_log_probabilities
from sdeint import ProblemError, solve
from sdeint.cli import main
from sdeint.testing import Impulses

DATA = GaussianMixture([1.0], [[0.0]], 0.7)
MIXTURE = GaussianMixture([0.4, 0.6], [[-1.0], [0.8]], [0.1, 0.05])
ETAS = {
    "rising": lambda s: s / (1 + s),
    "wave": lambda s: 1 + torch.sin(2 * torch.log(s)),
    "between": (1.5, 0.1, 2.0),
    "below": (0.8, 0.0, 1.0),
    "above": (1.2, 0.5, math.inf),
}


def error(eta, method, steps, variance=0.0, ends=(-1.0, 1.5)):
    """Of the variance of Gaussian data, exactly: the final value is affine in all noises."""
    process = VP()
    times = process.t_of_lambda(torch.linspace(*ends, steps + 1, dtype=torch.float64))
    clock = NoiseClock(DATA.model(process, "x0"), process, "x0", eta=eta, variance=variance)
    grid = clock.of(times)
    widths = torch.diff(clock.noise(grid))
    widths = widths[widths > 0]
    path = Impulses(len(widths), ("W", "H"))
    z = torch.zeros(*path.batch, 1, dtype=torch.float64)
    z[1] = 1.0
    options = {"method": method, "path": clock.driver(path), "save_at": "end", "compile": False}
    end = clock.to_state(float(grid[-1]), solve(clock.sde(1), z, grid, **options).y[-1])[:, 0]
    start = float(grid[0]) ** 2 * (0.7 + 1 / float(process.rho(times[0])))
    noises = torch.cat([torch.tensor([start], dtype=torch.float64), widths, widths / 12])
    alpha, sigma = float(process.alpha(times[-1])), float(process.sigma(times[-1]))
    got = float(((end[1:] - end[0]) ** 2 * noises).sum())
    return abs(got - (0.7 * alpha**2 + sigma**2))


@pytest.mark.parametrize("name", ETAS)
@pytest.mark.parametrize("method", ["EM", "SRA1", "TwoStep"])
def test_with_the_datas_variance_four_steps_are_exact_for_any_eta(name, method):
    assert error(ETAS[name], method, 4, variance=0.7, ends=(-4.0, 3.0)) < 1e-12


@pytest.mark.parametrize("name", ["rising", "wave"])
def test_marginals_are_met_to_order_two_for_any_eta(name):
    coarse, fine = (error(ETAS[name], "SRA1", n) for n in (40, 80))
    assert math.log2(coarse / fine) == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize("name", ["between", "below", "above"])
def test_marginals_are_met_where_eta_jumps(name):
    coarse, fine = (error(ETAS[name], "SRA1", n) for n in (40, 160))
    assert fine < coarse / 6
    assert fine < 3e-4


@pytest.mark.parametrize("variance", [0.0, 0.3, 4.0])
@pytest.mark.parametrize("eta", [*ETAS.values(), 0.0, 1.0, 0.4])
def test_the_clock_has_an_inverse_and_its_noise_is_its_square_over_q(eta, variance):
    clocks = clocks_of(eta, variance)
    levels = torch.logspace(2, -2.5, 300, dtype=torch.float64)
    q = 1 / (levels**2 + variance)
    r = clocks.of(q)
    assert bool((torch.diff(r) > 0).all())
    torch.testing.assert_close(clocks.back(r), q, rtol=1e-12, atol=0)
    ratio = clocks.noise(r) * q / r**2
    torch.testing.assert_close(ratio, torch.full_like(ratio, float(ratio[0])), rtol=1e-11, atol=0)


@pytest.mark.parametrize("variance", [0.0, 4.0])
@pytest.mark.parametrize("name", ETAS)
def test_noise_grows_by_eta_squared_where_eta_is_looked_for(name, variance):
    levels = torch.logspace(1, -2, 400, dtype=torch.float64)
    between = (levels[1:] * levels[:-1]).sqrt()
    eta = ETAS[name]
    if callable(eta):
        exact = eta(between)
    else:
        size, low, high = eta
        exact = torch.where((between > low) & (between < high), size, 0.0)
    q = 1 / (levels**2 + variance)
    clocks = clocks_of(eta, variance)
    got = torch.diff(torch.log(clocks.noise(clocks.of(q)))) / torch.diff(torch.log(q))
    # all but the two of them in which eta jumps
    assert int(((got - exact**2).abs() > 0.02).sum()) <= (0 if callable(eta) else 2)


@pytest.mark.parametrize("eta", [0.4, 1.0])
def test_a_function_that_is_constant_has_the_clock_of_the_constant(eta):
    q = torch.logspace(-3, 3, 50, dtype=torch.float64)
    for same in (lambda s: eta + 0 * s, (eta, 1e-5, 1e5)):
        got = clocks_of(same, 0.0).of(q)
        torch.testing.assert_close(got, clocks_of(eta, 0.0).of(q), rtol=1e-11, atol=0)


def test_the_smallest_eta_has_its_noise():
    q = torch.logspace(-3, 3, 50, dtype=torch.float64)
    for eta in (1e-5, lambda s: 1e-5):
        clocks = clocks_of(eta, 0.0)
        torch.testing.assert_close(
            torch.log(clocks.noise(clocks.of(q))), 1e-10 * torch.log(q), rtol=1e-4, atol=1e-14
        )


def test_an_eta_that_is_too_large_is_named_by_its_largest_value():
    with pytest.raises(ProblemError, match=r"eta = 40 is too large for torch\.float32"):
        sample(MIXTURE.model(VP(), "epsilon"), (2, 1), nfe=5, method="EM", eta=(40.0, 0.1, 10.0))


def test_a_function_that_nearly_vanishes_is_zero_there():
    q = torch.logspace(-3, 3, 50, dtype=torch.float64)
    nearly, zero = (
        clocks_of(lambda s, low=low: torch.where(s > 1, 0.7, low), 0.0) for low in (1e-7, 0.0)
    )
    assert torch.equal(nearly.of(q), zero.of(q))
    levels = nearly.noise(nearly.of(q[q > 1.1]))
    assert bool((levels == levels[0]).all())


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_a_function_and_an_interval_that_are_constant_are_that_constant(eta):
    def draw(eta):
        options = {"method": "SRA1", "nfe": 9, "dtype": torch.float64, "variance": 0.5, "seed": 3}
        return sample(MIXTURE.model(VP(), "epsilon"), (20, 1), eta=eta, **options)

    torch.testing.assert_close(draw(lambda s: eta + 0 * s), draw(eta), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(draw(lambda s: eta), draw(eta), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(draw((eta, 1e-5, 1e5)), draw(eta), rtol=1e-9, atol=1e-9)
    assert torch.equal(draw((eta, 0.0, math.inf)), draw(eta))
    assert torch.equal(draw([eta, 0.0, math.inf]), draw(eta))


@pytest.mark.parametrize("path", ["grid", "tree"])
def test_where_eta_is_zero_a_step_is_that_of_the_flow(path):
    # DDIM, by Song, Meng and Ermon's eq. 12 with sigma = 0
    model, process = MIXTURE.model(VP(), "epsilon"), VP()
    run = trajectory(
        model, (20, 1), eta=(1.3, 0.2, 1.0), method="EM", nfe=13, dtype=torch.float64, path=path
    )
    alpha, sigma = process.alpha(run.t), process.sigma(run.t)
    level = sigma / alpha
    gaps = []
    for n in range(len(run.t) - 1):
        epsilon = model(run.x[n], run.t[n].expand(20))
        x0 = (run.x[n] - sigma[n] * epsilon) / alpha[n]
        gaps.append(float((run.x[n + 1] - alpha[n + 1] * x0 - sigma[n + 1] * epsilon).abs().max()))
    noisy = (level[:-1] > 0.2) & (level[1:] < 1.0)
    assert 2 < int(noisy.sum()) < 8
    for gap, noise in zip(gaps, noisy):
        assert gap > 1e-3 if noise else gap < 1e-12


def test_an_interval_beyond_the_grid_is_the_ode_on_either_path():
    def draw(eta, path):
        options = {"method": "SRA1", "nfe": 9, "dtype": torch.float64, "path": path}
        return sample(MIXTURE.model(Flow(), "flow"), (9, 1), process=Flow(), prediction="flow",
                      eta=eta, **options)  # fmt: skip

    for path in ("grid", "tree"):
        torch.testing.assert_close(draw((0.7, 500.0, 900.0), path), draw(0.0, path))


def test_noise_between_levels_is_one_path_on_a_tree():
    def draw(nfe):
        options = {"method": "SRA1", "path": "tree", "seed": 2, "dtype": torch.float64}
        model = MIXTURE.model(VP(), "epsilon")
        return sample(model, (200, 1), nfe=nfe, eta=(0.8, 0.1, 3.0), **options)

    fine = draw(513)
    near, far = (float((draw(n) - fine).abs().mean()) for n in (129, 33))
    assert near < far / 3


def test_steps_without_noise_have_no_density():
    model = MIXTURE.model(VP(), "epsilon")
    run = trajectory(model, (2, 1), eta=(1.0, 0.1, 2.0), method="EM", nfe=9)
    with pytest.raises(ProblemError, match="where eta = 0 a step is deterministic"):
        transition_log_probabilities(model, run)


@pytest.mark.parametrize(
    ("eta", "message"),
    [
        ((1.0, 2.0), r"must be one number, or \(eta, low, high\)"),
        ((1.0, 2.0, 1.0), "with 0 <= low < high"),
        ((-1.0, 1.0, 2.0), "eta = -1.0 must be 0"),
        (lambda s: s - 1, r"eta = -.* must be 0, which is the ODE"),
        (lambda s: s / 0, "eta = inf must be 0"),
        (1e-6, "eta = 1e-06 must be 0"),
        ((math.inf, 0.1, 1.0), "eta = inf must be 0"),
    ],
)
def test_an_eta_that_is_none_is_refused(eta, message):
    with pytest.raises(ValueError, match=message):
        clocks_of(eta, 0.0)


def test_an_interval_is_kept_in_the_record_of_a_run(tmp_path):
    def run(*arguments, code=0):
        result = CliRunner().invoke(main, ["sample", *map(str, arguments)])
        assert result.exit_code == code, result.output
        return result.output

    few = ("--items", 2, "--nfe", 5, "--method", "SRA1")
    run(*few, "--eta", "0.7,0.1,10", "--out", tmp_path / "a")
    assert Request.read(tmp_path / "a" / "record.json").eta == [0.7, 0.1, 10.0]
    run("--record", tmp_path / "a" / "record.json", "--out", tmp_path / "b")
    first, second = (json.loads((tmp_path / d / "record.json").read_text()) for d in "ab")
    assert first == second
    assert "is no number and not ETA,LOW,HIGH" in run(*few, "--eta", "much", code=2)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0, 2.0, *ETAS])
def test_a_clock_has_the_same_bits_alone_and_among_others(eta):
    clocks = clocks_of(ETAS.get(eta, eta), 0.0)
    q = torch.logspace(-3, 3, 101, dtype=torch.float64)
    for function, values in ((clocks.of, q), (clocks.back, clocks.of(q)), (clocks.noise, q)):
        assert torch.equal(function(values), torch.stack([function(one) for one in values]))
