"""The semilinear problems are what they say; exact noise keeps stationary laws at any step size."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.exponential import variance_gap
from sdeint import GridPath, NestedPath, ProblemError, solve
from sdeint.problems import (
    allen_cahn,
    burgers,
    gallery,
    heat,
    heat_covariance,
    langevin,
    neuron,
)
from sdeint.problems.semilinear import Modes, Semilinear

F64 = torch.float64
FIELDS = [heat, allen_cahn, burgers]


@pytest.mark.parametrize("method", ["ExponentialEM", "SETDRK2"])
@pytest.mark.parametrize("h", [1e-6, 1e-3, 0.1, 1.0, 1e3])
@pytest.mark.parametrize("roughness", [None, 1.0])
def test_a_step_keeps_the_stationary_variance_of_every_mode_to_rounding(
    method: str, h: float, roughness: float | None
) -> None:
    """No sampling: the variances of what a step adds up, each of its variables alone."""
    assert variance_gap(heat(1024, roughness=roughness), method, h) < 1e-14


def test_the_covariance_of_the_heat_equation_is_the_sum_over_its_modes() -> None:
    problem = heat(4096, diffusivity=0.3, decay=2.0, noise=0.7)
    assert problem.modes is not None
    assert problem.variance is not None
    variance = problem.variance  # constant, alternating, then a pair a frequency
    power = torch.cat((variance[:1], variance[2::2], variance[1:2]))
    covariance = torch.fft.irfft(power.to(torch.complex128), n=4096)
    exact = heat_covariance(problem.modes.places(), diffusivity=0.3, decay=2.0, noise=0.7)
    # What is missing are the frequencies beyond 2048: at most the integral of noise^2/(2 pi nu k^2).
    missing = 0.7**2 / (2 * math.pi * 0.3 * 2048)
    gap = (exact - covariance).abs()
    assert float(gap.max()) < 1.01 * missing
    assert float(gap[1:].max()) < 0.2 * missing


@pytest.mark.parametrize("make", FIELDS)
def test_the_modes_of_the_drift_are_those_of_the_field_equation(make) -> None:
    points = 64
    problem: Semilinear = make(points)
    modes = problem.modes
    assert modes is not None
    x = modes.places()
    u = 0.4 * torch.cos(2 * x) + 0.3 * torch.sin(x)
    du = -0.8 * torch.sin(2 * x) + 0.3 * torch.cos(x)
    d2u = -1.6 * torch.cos(2 * x) - 0.3 * torch.sin(x)
    drift = modes.field(problem.sde.f(torch.tensor(0.0), modes.of(u)))
    expected = {
        "heat": d2u - u,
        "allen-cahn": 0.1 * d2u + u - u**3,
        "burgers": 0.05 * d2u - u * du,
    }[problem.name]
    torch.testing.assert_close(drift, expected, rtol=0, atol=1e-12)


def test_modes_are_orthonormal_and_undone() -> None:
    modes = Modes(16, 3.0)
    basis = modes.of(torch.eye(16, dtype=F64))
    torch.testing.assert_close(basis @ basis.mT, torch.eye(16, dtype=F64), rtol=0, atol=1e-14)
    torch.testing.assert_close(modes.field(basis), torch.eye(16, dtype=F64), rtol=0, atol=1e-14)
    second = modes.field(torch.eye(16, dtype=F64) * -(modes.wave**2))
    x = modes.places()
    k = 2 * math.pi / 3.0 * 2
    wave = torch.cos(k * x)
    torch.testing.assert_close(second.mT @ basis.mT @ wave, -(k**2) * wave, rtol=0, atol=1e-11)


def test_langevin_samples_its_density_with_steps_a_thousand_times_the_stiff_time() -> None:
    """False alarm: eight variances, each off by six standard deviations: 2e-8."""
    problem = langevin(8, stiffest=1e5)
    assert problem.variance is not None
    paths = 10_000
    end = solve(
        problem.sde, problem.start(paths), [0.0, 6.0], method="SETDRK2", steps=60, seed=2
    ).y[-1]
    gap = (end.square().mean(0) / problem.variance - 1).abs()
    assert float(gap.max()) < 6 * math.sqrt(2 / paths)


@pytest.mark.parametrize(
    ("make", "points", "roughness"), [(allen_cahn, 1024, None), (burgers, 256, 1.0)]
)
def test_fields_converge_on_one_path(make, points: int, roughness: float | None) -> None:
    """In 5 and 20 steps, where an explicit method needs thousands.

    With so many modes the noise's roughness in space decides about the order, not the method's.
    """
    problem: Semilinear = make(points, roughness=roughness)
    grid = torch.linspace(0, 1, 81, dtype=F64)
    path = NestedPath(GridPath(1, (2,), (points,), dtype=F64), grid)

    def end(steps: int) -> Tensor:
        return solve(
            problem.sde, problem.start(2), [0.0, 1.0], method="SETDRK2", steps=steps, path=path
        ).y[-1]

    exact = end(80)
    errors = [float((end(n) - exact).square().sum(-1).mean().sqrt()) for n in (5, 20)]
    assert math.log2(errors[0] / errors[1]) / 2 > (0.7 if roughness is None else 1.0)


@pytest.mark.parametrize("stiffest", [1.0, 1e4])
def test_setdrk2d_beats_the_other_exponential_methods_on_langevin_dynamics(stiffest: float) -> None:
    problem = langevin(4, stiffest=stiffest, bumps=2.0)
    path = NestedPath(GridPath(5, (400,), (4,), dtype=F64), torch.linspace(0, 2, 65, dtype=F64))

    def end(method: str, steps: int) -> Tensor:
        y0 = problem.start(400)
        return solve(problem.sde, y0, [0.0, 2.0], method=method, steps=steps, path=path).y[-1]

    exact = end("SETDRK2D", 64)
    error = {
        name: float((end(name, 8) - exact).square().sum(-1).mean().sqrt())
        for name in ("SETDRK2D", "SETDRK2", "LawsonSRA1", "ExponentialEM", "LordTambue")
    }
    best = error.pop("SETDRK2D")
    assert best < 0.8 * min(error.values())


def test_a_nerve_fibre_rests_and_a_pulse_runs_around_it() -> None:
    problem = neuron(128, noise=0.0)
    modes = problem.modes
    assert modes is not None
    flat = torch.ones(128, dtype=F64)
    rest = torch.cat((modes.of(-1.1994 * flat), modes.of(-0.6243 * flat)))
    assert float(problem.sde.f(torch.tensor(0.0), rest).abs().max()) < 2e-3
    y = solve(problem.sde, problem.y0, [0.0, 20.0, 30.0], method="auto", steps=60).y[:, :128]
    tops = modes.field(y)[1:].argmax(-1) / 128 * modes.length
    assert bool((modes.field(y).amax(-1) > 1.0).all())
    assert 5.0 < float(tops[1] - tops[0]) < 12.0


def test_the_reverse_vp_equation_samples_its_mixture() -> None:
    """False alarm: two means and two variances off by six standard errors and 2 %: < 1e-8."""
    means = torch.tensor([[-1.0, 0.5], [1.0, -0.5]], dtype=F64)
    count = 4000
    x = gallery.reverse_samples(means, count, 60)
    right = x[:, 0] > 0
    share = float(right.double().mean())
    assert abs(share - 0.5) < 6 * 0.5 / math.sqrt(count)
    for mean, part in zip(means, (x[~right], x[right])):
        gap = (part.mean(0) - mean).abs()
        assert float(gap.max()) < 6 * 0.1 / math.sqrt(count / 2.2) + 2e-3
        assert float((part.var(0) / 0.01 - 1).abs().max()) < 6 * math.sqrt(2.2 * 2 / count) + 0.05


@pytest.mark.parametrize("name", gallery.PICTURES)
def test_pictures_are_small_and_show_something(name: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    gallery.PICTURES[name](8).savefig(path, dpi=gallery.DPI)
    assert 5_000 < path.stat().st_size < 60_000


def test_refused() -> None:
    with pytest.raises(ProblemError, match="even number"):
        allen_cahn(7)
    with pytest.raises(ProblemError, match="temperature"):
        langevin(temperature=0.0)
