"""Work against precision: what an error costs, with ours compiled and torchsde side by side."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

import sdeint
from benchmarks.peers import torchsde_problem
from benchmarks.timing import table
from sdeint import problems
from sdeint.problems import PathValues, Problem

__all__ = ["PLOT", "strong", "weak"]

Tensor = torch.Tensor
PLOT = Path(__file__).with_name("precision.png")
PATHS = 20_000
STEPS = (4, 8, 16, 32, 64, 128, 256)
PEER_STEPS = (4, 8, 16, 32, 64)
#: Of the mean error, relative to the mean size of the exact values.
GOAL = 0.01

Run = Callable[[int], tuple[float, float]]


def strong() -> str:
    """Seconds for 20000 paths at a mean path error of 1 %, interpolated; float64.

    The error is that of the end value against the closed form, each side on its own Brownian paths.
    """
    cases = (
        (problems.gbm(), "diagonal", ("EM", "DFMilstein", "SRIW1"), ("euler", "milstein", "srk")),
        (problems.bounded(), "diagonal", ("EM", "DFMilstein", "SRIW1"), ("euler", "srk")),
        (problems.hyperbolic(), "diagonal", ("EM", "DFMilstein", "SRIW1"), ("euler", "srk")),
        (problems.fading(), "additive", ("EM", "SRA1"), ("euler", "srk")),
    )
    rows, curves = [], {}
    for problem, noise, ours, theirs in cases:
        found = {
            f"sdeint {m}": _curve(partial(_ours, problem, problem.sde(), m), STEPS) for m in ours
        }
        found |= {
            f"torchsde {m}": _curve(partial(_torchsde, problem, m, noise), PEER_STEPS)
            for m in theirs
        }
        curves[problem.name] = found
        rows += _rows(problem.name, found)
    _plot(curves)
    return table(("problem", "method", "seconds at 1 %", "Euler's time over it"), rows)


def weak() -> str:
    """Seconds for 10^5 paths at a bias of 1 % of the second moment; compiled, float64.

    The bias is known without sampling error: moments of the scheme, propagated exactly.
    """
    rows = []
    for problem in (problems.gbm(mu=1.5, sigma=0.5), problems.pair()):
        found = {}
        for method in ("EM", "W2F1" if problem.noise == "diagonal" else "RI6"):
            study = sdeint.convergence.moments(problem, method, steps=(2, 4, 8, 16, 32, 64, 128))
            paths = 100_000
            y0 = problem.start(paths)
            work = partial(sdeint.solve, problem.sde(), y0, list(problem.interval), method=method)
            with torch.no_grad():
                work(steps=16, compile=True)
                began = time.perf_counter()
                work(steps=64, compile=True)
                step = (time.perf_counter() - began) / 64
            assert problem.linear is not None
            duration = problem.interval[1] - problem.interval[0]
            size = float(problem.linear.second(problem.start(1)[0], duration).abs().max())
            found[f"sdeint {method}"] = [
                (float(e) / size, n * step) for n, e in zip(study.steps, study.errors)
            ]
        rows += _rows(problem.name, found)
    return table(("problem", "method", "seconds at 1 %", "Euler's time over it"), rows)


def _curve(run: Run, steps: tuple[int, ...]) -> list[tuple[float, float]]:
    run(8)
    return [min((run(n) for _ in range(2)), key=lambda pair: pair[1]) for n in steps]


def _rows(problem: str, found: dict[str, list[tuple[float, float]]]) -> list[tuple[str, ...]]:
    at = {name: _seconds_at(GOAL, curve) for name, curve in found.items()}
    euler = at["sdeint EM"]
    return [(problem, name, f"{s:.4f}", f"{euler / s:.1f}") for name, s in at.items()]


def _seconds_at(goal: float, curve: list[tuple[float, float]]) -> float:
    """Time at an error, on the line through the two points next to it, both logarithmic."""
    points = sorted((math.log(e), math.log(s)) for e, s in curve if e > 0)
    target = math.log(goal)
    i = min(max(sum(e < target for e, _ in points), 1), len(points) - 1)
    (e0, s0), (e1, s1) = points[i - 1], points[i]
    return math.exp(s0 + (s1 - s0) * (target - e0) / (e1 - e0))


def _ours(problem: Problem, sde: sdeint.SDE, method: str, steps: int) -> tuple[float, float]:
    y0 = problem.start(PATHS)
    grid = torch.linspace(*problem.interval, steps + 1, dtype=torch.float64)
    path = sdeint.GridPath(1, (PATHS,), (problem.channels,), dtype=torch.float64)
    work = partial(sdeint.solve, sde, y0, grid, method=method, path=path, save_at="end")
    with torch.no_grad():
        work(compile=steps >= 8)
        began = time.perf_counter()
        end = work(compile=steps >= 8).y[-1]
        seconds = time.perf_counter() - began
    w = path.on(grid).draw(0, steps, ["W"])["W"].sum(0)
    return _error(problem, end, w), seconds


def _torchsde(problem: Problem, method: str, noise: str, steps: int) -> tuple[float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchsde
    t0, t1 = problem.interval
    sde: Any = problem.sde()
    peer = torchsde_problem(sde.f, lambda t, y: sde.g(t, y) + 0 * y, "diagonal")
    y0, times = problem.start(PATHS), torch.tensor([t0, t1], dtype=torch.float64)
    area = {"levy_area_approximation": "space-time"} if method == "srk" else {}
    began = time.perf_counter()
    bm = torchsde.BrownianInterval(
        t0, t1, size=(PATHS, problem.channels), dtype=torch.float64, entropy=1, **area
    )
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        end = torchsde.sdeint(peer, y0, times, bm=bm, method=method, dt=(t1 - t0) / steps)[-1]
    seconds = time.perf_counter() - began
    w = bm(t0, t1)
    return _error(problem, end, w[0] if isinstance(w, tuple) else w), seconds


def _error(problem: Problem, end: Tensor, w: Tensor) -> float:
    assert problem.solution is not None
    t0, t1 = problem.interval
    exact = problem.solution(t1 - t0, PathValues(w, torch.zeros_like(w)))
    return float((end - exact).abs().mean() / exact.abs().mean())


def _plot(curves: dict[str, dict[str, list[tuple[float, float]]]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(4 * len(curves), 4), sharey=True)
    for axis, (name, found) in zip(axes, curves.items()):
        for label, curve in found.items():
            style = "--o" if label.startswith("torchsde") else "-o"
            axis.loglog(*zip(*[(s, e) for e, s in curve]), style, label=label, markersize=3)
        axis.set_title(name)
        axis.set_xlabel("seconds, 20000 paths")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    axes[0].set_ylabel("mean relative error of the end value")
    figure.tight_layout()
    figure.savefig(PLOT, dpi=110)
    plt.close(figure)
