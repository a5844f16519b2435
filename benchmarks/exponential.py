"""Exponential methods: a field at equal error, what a step costs, and stationary variances."""

from __future__ import annotations

import math
import warnings
from functools import partial
from typing import Any

import torch

import sdeint
from benchmarks.peers import torchsde_problem
from benchmarks.timing import median_seconds, medians, table
from sdeint import GridPath, NestedPath
from sdeint.brownian.grid_path import unit_variables
from sdeint.problems import allen_cahn, heat
from sdeint.problems.semilinear import Semilinear
from sdeint.testing.impulses import Impulses
from tableaux import Tableau
from tableaux.families.stabilised import sk_srock

__all__ = ["cost", "field", "variance_gap", "variances"]

Tensor = torch.Tensor
F64 = torch.float64
MODES, FIELDS, END = 1024, 4, 0.25
#: Steps on which Euler is just stable, and of the reference.
FINE, REFERENCE = 4096, 512


def field() -> str:
    """Allen-Cahn, 1024 modes, white noise, four fields to t = 0.25, float64: equal error.

    The root mean square error of the field is that on one Brownian path of 16384 steps, against 512
    steps of SETDRK2D. The explicit methods are given the fewest steps on which they are stable, and
    more where these would help. The last column is a method's time over that
    of the fastest exponential one whose error is no larger. Exponential methods are eager: their
    first steps are, and they need no more. Their first solve also makes what the equation keeps for
    the others, the law of the noise and the phi functions of its modes. torchsde's steps are those
    of EM, on its own path.
    """
    problem = allen_cahn(MODES)
    grid = torch.linspace(0.0, END, 4 * FINE + 1, dtype=F64)
    path = NestedPath(GridPath(1, (FIELDS,), (MODES,), dtype=F64), grid)
    exact = _end(problem, "SETDRK2D", REFERENCE, path)

    def error(method: str | Tableau, steps: int) -> float:
        return float((_end(problem, method, steps, path) - exact).square().mean().sqrt())

    rows: list[tuple[str, str, int, float, float]] = []
    for name, steps in (
        ("SETDRK2D", 1), ("SETDRK2D", 16), ("SETDRK2", 16), ("ExponentialEM", 2),
        ("ExponentialEM", 16), ("LordTambue", 16), ("LawsonSRA1", 16),
    ):  # fmt: skip
        found = error(name, steps)
        first, again = medians(
            lambda: _end(allen_cahn(MODES), name, steps),  # noqa: B023
            partial(_end, problem, name, steps),
        )
        rows.append((name, "eager, first solve", steps, found, first))
        rows.append((name, "eager", steps, found, again))
    ours = len(rows)
    explicit: list[tuple[str, str | Tableau, int]] = [
        ("EM", "EM", FINE), ("EM", "EM", 4 * FINE),
        ("SRA1", "SRA1", FINE), ("SRA1", "SRA1", 2 * FINE),
    ]  # fmt: skip
    for stages in (5, 10, 20):
        steps = 1 << int(math.log2(2 * FINE / stages))
        explicit.append((f"SKSROCK, {stages} stages", sk_srock(f"SKSROCK{stages}", stages), steps))
    for label, method, steps in explicit:
        found = error(method, steps)
        for compile in (False, True) if label in ("EM", "SRA1") else (False,):
            seconds = median_seconds(partial(_end, problem, method, steps, None, compile), 1)
            rows.append((label, "compiled" if compile else "eager", steps, found, seconds))
    euler = next(found for label, _, _, found, _ in rows if label == "EM")
    seconds = median_seconds(partial(_torchsde, problem, FINE), 1)
    rows.append(("torchsde euler", "eager", FINE, euler, seconds))

    def over(found: float, seconds: float) -> str:
        times = [t for _, form, _, e, t in rows[:ours] if e <= found and form == "eager"]
        return f"{seconds / min(times):.1f}" if times else "-"

    return table(
        ("method", "form", "steps", "error", "seconds", "over an exponential method"),
        [(m, form, str(n), f"{e:.1e}", f"{t:.4f}", over(e, t)) for m, form, n, e, t in rows],
    )


def cost() -> str:
    """Allen-Cahn, 1024 modes, 64 fields, float64: a step against what it cannot do without.

    An evaluation of N is two transforms and what is between them. A step needs some, and normals:
    one a mode for LordTambue, three for ExponentialEM (W, H and what they leave open of the noise of
    the mode), four for SETDRK2. Both are measured alone in the same form, eager or compiled, and set
    against the step.
    """
    problem = allen_cahn(MODES)
    sde, v, t = problem.sde, problem.start(64).clone(), torch.tensor(0.0)
    path = GridPath(0, (64,), (MODES,), dtype=F64)
    drawn = path.on(torch.linspace(0.0, 1.0, 17, dtype=F64))
    lanes, place = path._lanes.traceable(), torch.arange(4)
    traced = torch.compile(lambda: unit_variables("W", lanes, lanes, place, F64))
    rest = torch.compile(sde.rest)
    rows = []
    with torch.inference_mode():
        for compile, form in ((False, "eager"), (True, "compiled")):
            N = partial(rest if compile else sde.rest, t, v)
            normals = traced if compile else partial(drawn.draw, 0, 16, ("W",))
            for name, evaluations, variables in (
                ("LordTambue", 1, 1), ("ExponentialEM", 1, 3), ("SETDRK2", 2, 4),
            ):  # fmt: skip
                run = partial(sdeint.solve, sde, v, method=name, save_at="end", compile=compile)
                short, long, f, z = medians(
                    partial(run, t=[0.0, 6e-4], steps=12),
                    partial(run, t=[0.0, 3.8e-3], steps=76),
                    lambda: [N() for _ in range(16)],  # noqa: B023
                    normals,
                )
                step, f, z = (long - short) / 64, evaluations * f / 16, variables * z / 16
                rows.append(
                    (name, form, *(f"{1e6 * x:.0f}" for x in (step, f, z)), f"{step / f:.2f}",
                     f"{step / (f + z):.2f}")
                )  # fmt: skip
    return table(
        ("method", "form", "step, us", "its N", "its normals", "over N", "over N and normals"), rows
    )


def variances() -> str:
    """The heat equation, 1024 modes: how far a step takes a mode off its stationary variance.

    The largest relative gap of all modes; no sampling: the variances that the random variables of
    one step add to the state, each of them alone.
    """
    problem = heat(MODES)
    rows = []
    for method in ("ExponentialEM", "SETDRK2", "SETDRK2D", "LordTambue", "EM"):
        gaps = [variance_gap(problem, method, h) for h in (1e-6, 1e-3, 1.0, 1e3)]
        rows.append((method, *(f"{gap:.1e}" for gap in gaps)))
    return table(("method", "h = 1e-6", "1e-3", "1", "1e3"), rows)


def variance_gap(problem: Semilinear, method: str | Tableau, h: float) -> float:
    """How far one step takes a mode off its stationary variance: the largest relative gap."""
    assert problem.variance is not None
    sizes = {"W": h, "H": h / 12, "normal 0": 1.0, "normal 1": 1.0}
    channels = tuple(problem.variance.shape)
    y0 = torch.zeros(2 + len(sizes), *channels, dtype=F64)
    y0[0] = problem.variance.sqrt()
    path = Impulses(1, tuple(sizes), channels)
    end = sdeint.solve(problem.sde, y0, [0.0, h], method=method, steps=1, path=path).y[-1]
    weights = torch.tensor([1.0, 0.0, *sizes.values()], dtype=F64)
    return float((weights @ end.square() / problem.variance - 1).abs().max())


def _end(
    problem: Semilinear,
    method: str | Tableau,
    steps: int,
    path: NestedPath | None = None,
    compile: bool = False,
) -> Tensor:
    """The field at the end."""
    options: dict[str, Any] = {"method": method, "steps": steps, "save_at": "end"}
    with torch.inference_mode():
        return sdeint.solve(
            problem.sde, problem.start(FIELDS), [0.0, END], path="grid" if path is None else path,
            compile=compile, **options,
        ).y[-1]  # fmt: skip


def _torchsde(problem: Semilinear, steps: int) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchsde
    sde = problem.sde
    y0 = problem.start(FIELDS).clone()
    peer = torchsde_problem(sde.f, lambda t, y: sde.g(t, y).expand(y.shape), "diagonal")
    times = torch.tensor([0.0, END], dtype=F64)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bm = torchsde.BrownianInterval(0.0, END, size=tuple(y0.shape), dtype=F64, entropy=1)
        end: Tensor = torchsde.sdeint(peer, y0, times, bm=bm, method="euler", dt=END / steps)[-1]
    return end
