"""What every study does first: settle the problem, the method and the interval, and solve."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from sdeint.brownian import BrownianPath, GridPath, NestedPath, TreePath
from sdeint.checks import examine
from sdeint.convergence.fitting import Fit
from sdeint.convergence.study import Study
from sdeint.errors import ProblemError
from sdeint.problem import SDE, SemilinearSDE
from sdeint.problems import PathValues, Problem
from sdeint.solving import resolve_method, solve
from tableaux import Tableau, variables

CHUNK = 1 << 14
ROUNDING = 64.0  # an error of so many units in the last place is rounding, not discretisation


@dataclass(frozen=True)
class Setting:
    """The problem, the method and the interval of one study."""

    sde: SDE
    tableau: Tableau
    name: str
    problem: Problem | None  # None: no closed form applies
    start: Tensor
    t: tuple[float, float]
    channels: tuple[int, ...]

    @classmethod
    def of(
        cls,
        problem: Problem | SDE,
        method: str | Tableau,
        y0: Tensor | None,
        t: tuple[float, float] | None,
        dtype: torch.dtype,
        device: torch.device | str,
    ) -> Setting:
        tableau = resolve_method(method)
        if isinstance(problem, Problem):
            sde, name = problem.sde(tableau.calculus), problem.name
            known = problem if y0 is None and t is None else None
            y0 = torch.tensor(problem.y0, dtype=dtype) if y0 is None else y0
            t = problem.interval if t is None else t
        elif isinstance(problem, SDE):
            if y0 is None or t is None:
                raise ProblemError("a study of an SDE needs y0 (one path's start) and t=(t0, t1)")
            sde, name, known = problem, "an SDE", None
        else:
            raise ProblemError(
                f"problem must be an sdeint.SDE or a Problem, got {type(problem).__name__}"
            )
        if not isinstance(sde, SemilinearSDE):
            tableau = tableau.without_linear_part
        if y0.ndim != sde.event_dims:
            raise ProblemError(
                f"y0 is the start of one path, with event_dims={sde.event_dims} axes, but has "
                f"shape {tuple(y0.shape)}; `paths` says how many there are"
            )
        t = (float(t[0]), float(t[1]))
        if not (math.isfinite(t[0]) and math.isfinite(t[1]) and t[0] != t[1]):
            raise ProblemError(f"t must be two different finite times, got {t}")
        start = y0.to(dtype=dtype, device=device)
        channels = examine(sde, start, torch.tensor(t[0], dtype=dtype, device=device)).channels
        return cls(sde, tableau, name, known, start, t, channels)

    @property
    def length(self) -> float:
        return abs(self.t[1] - self.t[0])

    def tree(self, seed: int, first: int, count: int) -> TreePath:
        low, high = sorted(self.t)
        return TreePath(seed, (count,), self.channels, t0=low, t1=high, **self._options(first))

    def grid(self, seed: int, first: int, count: int) -> GridPath:
        return GridPath(seed, (count,), self.channels, **self._options(first))

    def nested(self, seed: int, first: int, count: int, numbers: Iterable[int]) -> NestedPath:
        """The path of the union of uniform grids in these numbers of steps: it has K and A too."""
        common = math.lcm(*numbers)
        places = sorted({i * (common // n) for n in numbers for i in range(n + 1)})
        # Shares of the interval: as floats they differ even where `common` is beyond any float.
        share = torch.tensor([float(Fraction(i, common)) for i in places], dtype=torch.float64)
        grid = self.t[0] + (self.t[1] - self.t[0]) * share
        # All grids share the areas of the fine steps, whose law has the right moments with any
        # number of terms: one term is enough, and several times cheaper than its accuracy's many.
        finest = float(torch.diff(grid).abs().min())
        options = self._options(first)
        fine = GridPath(seed, (count,), self.channels, accuracy=finest**-0.5, **options)
        return NestedPath(fine, grid)

    def _options(self, first: int) -> dict[str, Any]:
        return {"dtype": self.start.dtype, "device": self.start.device, "first_path": first}

    def closed_form(self, path: BrownianPath) -> Tensor:
        """The exact end values on these paths, (count, d)."""
        assert self.problem is not None
        assert self.problem.solution is not None
        drawn = path.on(torch.tensor(self.t, dtype=torch.float64)).draw(0, 1, ("W", "H"))
        W, H = drawn["W"][0], drawn["H"][0]
        values = PathValues(W, self.length * (W / 2 + H))
        return self.problem.solution(self.length, values)

    def solve(
        self,
        tableau: Tableau,
        n: int,
        path: BrownianPath,
        count: int,
        start: Tensor | None = None,
        backward: bool = False,
    ) -> Tensor:
        if start is None:
            start = self.start.expand(count, *self.start.shape)
        t = self.t[::-1] if backward else self.t
        return solve(self.sde, start, t, method=tableau, steps=n, path=path, save_at="end").y[-1]


class Solved:
    """End values on one batch of paths by method and number of steps, each solved once."""

    def __init__(
        self,
        setting: Setting,
        path: BrownianPath,
        count: int,
        backward: bool,
        advance: Callable[[int], None],
    ) -> None:
        self.setting, self.path, self.count, self.backward = setting, path, count, backward
        self.advance = advance
        self.start = setting.closed_form(path) if backward else None
        self.known: dict[tuple[str, int], Tensor] = {}

    def __call__(self, tableau: Tableau, n: int) -> Tensor:
        key = (tableau.name, n)
        if key not in self.known:
            self.known[key] = self.setting.solve(
                tableau, n, self.path, self.count, self.start, self.backward
            )
            self.advance(self.count * n)
        return self.known[key]


def primitives(tableau: Tableau) -> frozenset[str]:
    """The primitives of every random variable that a method's steps and its start use."""
    labels = {c.label for c in tableau.couplings} | {o.label for o in tableau.outputs}
    own = frozenset().union(*(variables[label].primitives for label in labels))
    return own if tableau.start is None else own | primitives(tableau.start)


def study(
    *,
    kind: str,
    setting: Setting,
    what: str,
    levels: tuple[int, ...],
    h: list[float],
    errors: Tensor,
    lower: Tensor,
    upper: Tensor,
    fit: Fit,
    confidence: float,
    paths: int,
) -> Study:
    return Study(
        kind=kind,
        method=setting.tableau.name,
        problem=setting.name,
        what=what,
        steps=levels,
        h=tuple(h),
        errors=tuple(errors.tolist()),
        lower=tuple(lower.tolist()),
        upper=tuple(upper.tolist()),
        flags=tuple(fit.flags),
        order=fit.order,
        order_interval=fit.interval,
        confidence=confidence,
        paths=paths,
        note=fit.note,
    )


def checked_steps(steps: Sequence[int]) -> tuple[int, ...]:
    levels = tuple(steps)
    whole = all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in levels)
    if not levels or not whole or any(b <= a for a, b in pairwise(levels)):
        raise ProblemError(f"steps must be increasing positive integers, got {levels}")
    return levels


def check_sample(paths: int, seed: int, confidence: float, chunk: int) -> None:
    if isinstance(paths, bool) or not isinstance(paths, int) or paths < 2:
        raise ProblemError(f"paths must be an integer of at least 2, got {paths!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ProblemError(f"seed must be a non-negative integer, got {seed!r}")
    if not 0 < confidence < 1:
        raise ProblemError(f"confidence must lie strictly between 0 and 1, got {confidence!r}")
    if not isinstance(chunk, int) or chunk < 1:
        raise ProblemError(f"chunk must be a positive integer, got {chunk!r}")


def chunks(paths: int, chunk: int) -> Iterator[tuple[int, int]]:
    for first in range(0, paths, chunk):
        yield first, min(chunk, paths - first)
