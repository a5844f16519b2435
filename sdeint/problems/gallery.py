"""Pictures of the semilinear problems: ``python -m sdeint.problems.gallery docs/images``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sdeint.problems.semilinear import (
    Semilinear,
    allen_cahn,
    burgers,
    heat,
    heat_covariance,
    langevin,
    neuron,
    reverse_vp,
)
from sdeint.solving import solve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DPI", "PICTURES", "main"]


def _figure(columns: int, rows: int = 1) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * columns, 2.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, [axis for row in axes for axis in row]


def _profiles(axis: Axes, problem: Semilinear, title: str, times: list[float], steps: int) -> None:
    """A field at some times, one path."""
    assert problem.modes is not None
    points = problem.modes.points
    solution = solve(
        problem.sde, problem.start(1), times, method="auto", steps=steps, seed=3, compile=False
    )
    x = problem.modes.places()
    for t, y in zip(solution.t.tolist(), solution.y[:, 0, :points]):
        axis.plot(x, problem.modes.field(y), linewidth=0.6, label=f"t = {t:g}")
    axis.set_title(title, fontsize=9)
    axis.legend(fontsize=6)


def fields(size: int = 1) -> Figure:
    """Allen-Cahn and Burgers, white and coloured noise, on 256 and 1024 modes."""
    figure, axes = _figure(2, 2)
    cases: tuple[tuple[Callable[..., Semilinear], int, float | None], ...] = (
        (allen_cahn, 1024, None),
        (allen_cahn, 256, 1.0),
        (burgers, 256, None),
        (burgers, 1024, 1.0),
    )
    for axis, (make, points, roughness) in zip(axes, cases):
        problem = make(points // size, roughness=roughness)
        kind = "white" if roughness is None else "coloured"
        title = f"{problem.name}, {points // size} modes, {kind} noise"
        _profiles(axis, problem, title, [0.0, problem.end / 4, problem.end], 200 // size)
    return figure


def covariance(size: int = 1) -> Figure:
    """The heat equation: its exact covariance, and that of fields after steps of size 1."""
    problem, paths = heat(256), 4000 // size
    assert problem.modes is not None
    end = solve(problem.sde, problem.start(paths), [0.0, 8.0], method="ExponentialEM", steps=8).y[
        -1
    ]
    u = problem.modes.field(end)
    x = problem.modes.places()
    found = (torch.fft.rfft(u).abs() ** 2).mean(0)
    figure, axes = _figure(1)
    axes[0].plot(x, torch.fft.irfft(found.to(torch.complex128), n=256) / 256, label="8 steps of 1")
    axes[0].plot(x, heat_covariance(x), "--", label="exact")
    axes[0].set_xlabel("distance")
    axes[0].set_title(f"heat equation, covariance of {paths} fields", fontsize=9)
    axes[0].legend(fontsize=7)
    return figure


def particles(size: int = 1) -> Figure:
    """A nerve pulse; variances of stiff Langevin dynamics; samples of the reverse VP equation."""
    figure, axes = _figure(3)
    _profiles(axes[0], neuron(256 // size), "voltage of a nerve fibre", [0.0, 20.0, 40.0], 200)
    problem, paths = langevin(16), 8000 // size
    assert problem.variance is not None
    end = solve(problem.sde, problem.start(paths), [0.0, 6.0], method="auto", steps=60).y[-1]
    K = torch.logspace(0.0, 4.0, 16)
    axes[1].loglog(K, problem.variance, label="exact")
    axes[1].loglog(K, end.square().mean(0), "o", markersize=3, label="60 steps, h K up to 1000")
    axes[1].set_xlabel("stiffness")
    axes[1].set_title("Langevin dynamics, variances", fontsize=9)
    axes[1].legend(fontsize=7)
    angle = torch.arange(8) * (torch.pi / 4)
    samples = reverse_samples(torch.stack((angle.cos(), angle.sin()), -1), 1500 // size, 60)
    axes[2].plot(*samples.T, ".", markersize=1)
    axes[2].set_aspect("equal")
    axes[2].set_title("reverse VP equation, 60 steps", fontsize=9)
    return figure


def reverse_samples(means: Tensor, count: int, steps: int, seed: int = 1) -> Tensor:
    """Samples of a mixture by the reverse VP equation, (count, d)."""
    problem = reverse_vp(means, 0.1)
    generator = torch.Generator().manual_seed(seed)
    y0 = torch.randn(count, means.shape[1], generator=generator, dtype=torch.float64)
    grid = torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64) ** 2
    return solve(problem.sde, y0, grid, method="auto", save_at="end", seed=seed).y[-1]


#: So that a picture stays below 60 kB.
DPI = 64

PICTURES: Mapping[str, Callable[[int], Figure]] = MappingProxyType(
    {"fields": fields, "covariance": covariance, "particles": particles}
)


def main(out: str | Path, size: int = 1) -> list[Path]:
    """Write all pictures to a folder.

    Parameters
    ----------
    out : str or Path
    size : int
        1; larger for quicker and coarser pictures.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, make in PICTURES.items():
        paths.append(folder / f"semilinear-{name}.png")
        make(size).savefig(paths[-1], dpi=DPI)
    return paths


if __name__ == "__main__":
    print(*main(sys.argv[1] if len(sys.argv) > 1 else "docs/images"), sep="\n")
