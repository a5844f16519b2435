"""Exponential methods: a field at equal error, what a step costs, and stationary variances."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

import sdeint
from benchmarks.peers import torchsde_problem
from benchmarks.timing import median_seconds, table
from sdeint import GridPath, NestedPath
from sdeint.problems import allen_cahn, heat
from sdeint.problems.semilinear import Semilinear
from tableaux import Tableau
from tableaux.families.stabilised import sk_srock

__all__ = ["cost", "field", "variances"]

Tensor = torch.Tensor
F64 = torch.float64
MODES, FIELDS, END = 1024, 4, 0.25
#: Steps of the finest grid, on which Euler is just stable, and of the reference.
FINE, REFERENCE = 4096, 256


def field() -> str:
    """Allen-Cahn, 1024 modes, white noise, four fields to t = 0.25, float64, eager: equal error.

    The root mean square error of the field is that on one Brownian path against 256 steps of
    SETDRK2. Each explicit method takes as many steps, doubled, as it needs for the error of 16
    steps of SETDRK2; those that do not get there stop at 4096 steps or 8192 evaluations of N.
    torchsde's Euler steps are those of EM, on its own path.
    """
    problem = allen_cahn(MODES)
    grid = torch.linspace(0.0, END, FINE + 1, dtype=F64)
    path = NestedPath(GridPath(1, (FIELDS,), (MODES,), dtype=F64), grid)
    exact = _end(problem, "SETDRK2", REFERENCE, path)
    assert exact is not None
    rows: list[tuple[str, int, float, float]] = []

    def error(end: Tensor | None) -> float:
        return math.inf if end is None else float((end - exact).square().mean().sqrt())

    def add(name: str, method: str | Tableau, steps: int, found: float) -> None:
        work = partial(_end, problem, method, steps)
        rows.append((f"sdeint {name}", steps, found, median_seconds(work, 3)))

    for name in ("SETDRK2D", "SETDRK2", "LawsonSRA1", "LordTambue"):
        add(name, name, 16, error(_end(problem, name, 16, path)))
    goal = rows[1][2]
    explicit: dict[str, tuple[str | Tableau, int, int]] = {
        "EM": ("EM", FINE, 1),
        "SRA1": ("SRA1", FINE // 2, 2),
    }
    for stages in (5, 10, 20):
        # Stable up to about 2 s^2; the fastest mode decays at 0.1 (MODES/2)^2.
        least = 0.1 * (MODES / 2) ** 2 * END / (1.8 * stages**2)
        start = 1 << max(0, math.ceil(math.log2(least)))
        tableau = sk_srock(f"SKSROCK{stages}", stages)
        explicit[f"SKSROCK, {stages} stages"] = (tableau, start, stages)
    for name, (method, start, evaluations) in explicit.items():
        steps, found = start, math.inf
        while True:
            found = error(_end(problem, method, steps, path))
            if found <= goal or steps >= FINE or steps * evaluations >= 2 * FINE:
                break
            steps *= 2
        add(name, method, steps, found)
    seconds = median_seconds(partial(_torchsde, problem, FINE), 1)
    rows.append(("torchsde euler", FINE, next(r[2] for r in rows if r[0] == "sdeint EM"), seconds))
    ours = rows[1][3]
    return table(
        ("method", "steps", "error", "seconds", "over SETDRK2"),
        [(n, str(s), f"{e:.1e}", f"{t:.3f}", f"{t / ours:.1f}") for n, s, e, t in rows],
    )


def cost() -> str:
    """Allen-Cahn, 1024 modes, 64 fields, float64: a step against its evaluations of N.

    An evaluation of N is two transforms and what is between them, eager; the random numbers of a
    step come on top of it. A normal of `torch.randn` takes 0.3 to 0.6 of what 64 x 1024 of N do.
    """
    problem = allen_cahn(MODES)
    sde, v, t = problem.sde, problem.start(64).clone(), torch.tensor(0.0)
    rows = []
    with torch.inference_mode():
        f = _repeated(lambda: sde.rest(t, v), 50)
        rows.append(("an evaluation of N", "", f"{1e6 * f:.0f}", "1.00"))
        for name, evaluations in (("LordTambue", 1), ("ExponentialEM", 1), ("SETDRK2", 2)):
            for compile in (False, True):

                def run(steps: int, name: str = name, compile: bool = compile) -> object:
                    return sdeint.solve(
                        sde, v, [0.0, 0.01 * steps], method=name, steps=steps, save_at="end",
                        compile=compile,
                    )  # fmt: skip

                short, long = (_repeated(partial(run, n), 1) for n in (12, 112))
                step = (long - short) / 100
                rows.append(
                    (name, "compiled" if compile else "eager", f"{1e6 * step:.0f}",
                     f"{step / (evaluations * f):.2f}")
                )  # fmt: skip
    return table(("work", "", "microseconds a step", "over its evaluations of N"), rows)


def variances() -> str:
    """The heat equation, 1024 modes: how far a step takes a mode off its stationary variance.

    The largest relative gap of all modes; no sampling: the variances that the random variables of
    one step add to the state, each of them alone.
    """
    problem = heat(MODES)
    rows = []
    for method in ("ExponentialEM", "SETDRK2", "SETDRK2D", "LordTambue", "EM"):
        gaps = [_gap(problem, method, h) for h in (1e-6, 1e-3, 1.0, 1e3)]
        rows.append((method, *(f"{gap:.1e}" for gap in gaps)))
    return table(("method", "h = 1e-6", "1e-3", "1", "1e3"), rows)


class _Units(GridPath):
    """Each variable of a step alone, with its standard deviation: item 1 + i has the i-th."""

    NAMES = ("W", "H", "E normal", "F normal")

    def __init__(self, modes: int, h: float) -> None:
        super().__init__(0, (1 + len(self.NAMES),), (modes,), dtype=F64)
        self.sizes = dict(zip(self.NAMES, (math.sqrt(h), math.sqrt(h / 12), 1.0, 1.0)))

    def on(self, grid: Tensor) -> Any:
        return self

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        drawn = {}
        for i, name in enumerate(self.NAMES):
            value = torch.zeros(count, *self.batch, *self.channels, dtype=F64)
            value[:, 1 + i] = self.sizes[name]
            drawn[name] = value
        return {name: drawn[name] for name in names}


def _gap(problem: Semilinear, method: str, h: float) -> float:
    assert problem.variance is not None
    y0 = torch.zeros(5, MODES, dtype=F64)
    y0[0] = problem.variance.sqrt()
    path = _Units(MODES, h)
    end = sdeint.solve(problem.sde, y0, [0.0, h], method=method, steps=1, path=path).y[-1]
    return float((end.square().sum(0) / problem.variance - 1).abs().max())


def _end(
    problem: Semilinear, method: str | Tableau, steps: int, path: NestedPath | None = None
) -> Tensor | None:
    """The field at the end; None if it was lost."""
    y0 = problem.start(FIELDS)
    options: dict[str, Any] = {"method": method, "steps": steps, "save_at": "end", "compile": False}
    with torch.inference_mode():
        try:
            return sdeint.solve(
                problem.sde, y0, [0.0, END], path="grid" if path is None else path, **options
            ).y[-1]
        except sdeint.NonFiniteError:
            return None


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


def _repeated(work: Any, count: int) -> float:
    def several() -> None:
        for _ in range(count):
            work()

    return median_seconds(several, 5) / count
