"""One solve: the steps of a program along a grid and a path, eager or in compiled chunks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import Any, NoReturn

import torch

from sdeint.brownian import BrownianPath
from sdeint.brownian.path import Steps
from sdeint.checks import Layout, checked_drift
from sdeint.compiling import is_compiler_error, why_not, worth_compiling
from sdeint.errors import NonFiniteError, ProblemError, StageError
from sdeint.fused import FusedSteps
from sdeint.linear.flow import Flow
from sdeint.linear.noise import drawn_for, modes, steps_of
from sdeint.lowering import Program, Ratios, StepNumbers, lower, lower_starts
from sdeint.newton import Newton, NoConvergence
from sdeint.problem import SDE, Field, SemilinearSDE
from sdeint.progress import track
from sdeint.solution import Solution, Stats
from sdeint.stepping import Stepper
from sdeint.timeline import Timeline
from tableaux import PRIMITIVES, Tableau
from tableaux.tableau import STEP_RATIOS, STEP_SYMBOLS

__all__ = ["Run"]

Tensor = torch.Tensor


class Run:
    """One solve: programs, grid and path, ready to go through the steps."""

    def __init__(
        self,
        sde: SDE,
        layout: Layout,
        tableau: Tableau,
        timeline: Timeline,
        path: BrownianPath,
        clock: torch.dtype,
        newton: Newton | None,
        flow: Flow | None = None,
    ) -> None:
        self.flow = flow
        self.sde, self.tableau, self.timeline, self.path = sde, tableau, timeline, path
        self.layout, self.clock = layout, clock
        self.channels = math.prod(layout.channels) if layout.matrix else 0
        kinds = {
            "matrix": layout.matrix,
            "additive": sde.noise == "additive",
            "silent": sde.noise == "none",
        }
        self.program = lower(tableau, **kinds)
        self.first = lower_starts(tableau, **kinds)
        grid = timeline.grid.detach()
        self.sign = 1.0 if bool(grid[1] > grid[0]) else -1.0
        self.drift = drift = (
            sde.rest if flow is not None and isinstance(sde, SemilinearSDE) else sde.f
        )

        def stepper(program: Program, f: Field) -> Stepper:
            return Stepper(
                program,
                f,
                layout.g,
                channels=self.channels,
                sign=self.sign,
                event_dims=sde.event_dims,
                newton=newton,
                flow=flow,
            )

        self.stepper = stepper(self.program, drift)
        programs = self.first or (self.program,)
        # What f returns is looked at in the first step.
        self.starters = [stepper(programs[0], checked_drift(drift))]
        self.starters += [stepper(program, drift) for program in programs[1:]]
        used = (program.primitives for program in (self.program, *programs))
        self.primitives = frozenset().union(*used)
        widths = torch.diff(timeline.grid).abs()
        plain = widths.detach().tolist()
        plain = plain if flow is None else _same(plain, grid)
        self.spans: Sequence[Any] = widths.unbind() if widths.requires_grad else plain
        self.sizes = [] if flow is None else [self.sign * h for h in plain]
        self.needs = drawn_for(self.primitives, flow, self.sizes)
        self.starts: Sequence[Any] = grid[:-1].tolist()
        if flow is not None and widths.requires_grad:
            self.starts = timeline.grid[:-1].unbind()
        self.variables = self.steps()
        self._times_key: tuple[int, int, int] | None = None
        self._times_table: list[tuple[Tensor, ...]] = []
        self.ratios = [StepNumbers(1.0).ratios] * len(plain)
        if any(STEP_SYMBOLS & method.free_symbols for method in (tableau, *tableau.starts)):
            self.ratios = _ratios(plain, grid)
            if timeline.grid.requires_grad and (tableau.relative or not timeline.even):
                raise ProblemError(
                    f"method {tableau.name!r} has coefficients that depend on the steps, which carry "
                    "no gradient; detach the times, or take a method without memory"
                )
        if tableau.relative and not bool((grid[:-1] > 0).all()):
            raise ProblemError(
                f"method {tableau.name!r} takes its steps relative to their times, which must be "
                f"positive; the interval begins at {float(grid[0]):g}"
            )

    def __call__(self, y0: Tensor, compile: bool | str, progress: bool, chosen: str) -> Solution:
        timeline = self.timeline
        saved = set(timeline.saved)
        kept: list[Tensor] = [y0] if 0 in saved else []
        fused = self.fused(y0, compile)
        y, memory = y0, list[Tensor]()
        with track(timeline.steps, self.tableau.name, progress) as advance:
            for first, count, in_chunks in self.pieces(fused):
                before = (y, memory)
                values: list[Tensor] | None = None
                if in_chunks and fused is not None:
                    try:
                        y, memory, values = fused.advance(y, memory, first, count, saved)
                    except Exception as error:
                        if not is_compiler_error(error):
                            raise
                        if compile is True:
                            raise ProblemError(_cannot_trace(error)) from error
                        warnings.warn(_cannot_trace(error) + "; its steps are eager", stacklevel=3)
                        fused = None
                if values is None:
                    y, memory, values = self.eager(y, memory, first, count, saved)
                kept += values
                # One look at the device for a whole piece: NaN and infinity stay where they are.
                if not bool(torch.isfinite(y.detach()).all()):
                    self.report(*before, y, first, count)
                advance(count)
        times = timeline.grid[list(timeline.saved)]
        return Solution(times, torch.stack(kept), self.stats(chosen, fused is not None))

    def steps(self) -> Steps:
        """The random variables of all steps."""
        if self.flow is None or not modes(self.primitives):
            return self.path.on(self.timeline.grid)
        return steps_of(
            self.path, self.timeline.grid, self.flow, self.sizes, self.primitives, self.channels > 0
        )

    def fused(self, y0: Tensor, compile: bool | str) -> FusedSteps | None:
        """The compiled form of the steps, if it is wanted and possible."""
        if compile not in (True, False, "auto"):
            raise ProblemError(f"compile must be True, False or 'auto', got {compile!r}")
        sizes = [] if self.flow is None else list(zip(self.spans, self.ratios))
        reason = why_not(self.program, self.timeline, self.flow, sizes)
        if compile is True and reason:
            raise ProblemError(f"compile=True, but {reason}; take compile=False or 'auto'")
        steps = self.timeline.steps
        if compile is False or reason:
            return None
        if compile == "auto" and not worth_compiling(self.program, y0.numel(), steps):
            return None
        return FusedSteps(self, y0)

    def pieces(self, fused: FusedSteps | None) -> Iterator[tuple[int, int, bool]]:
        """Ranges (first, count) of steps, and whether they are whole chunks.

        The first step is eager: it starts methods with memory, and looks at what f returns.
        """
        steps = self.timeline.steps
        start = stop = steps
        if fused is not None:
            start, stop = fused.range
        block = max(1, min(steps, self.path.block_length()))
        for first in range(0, start, block):
            yield first, min(block, start - first), False
        if fused is not None:
            for first in range(start, stop, fused.block):
                yield first, min(fused.block, stop - first), True
        for first in range(stop, steps, block):
            yield first, min(block, steps - first), False

    def eager(
        self, y: Tensor, memory: list[Tensor], first: int, count: int, saved: Collection[int]
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Some steps, one by one; also the values to be kept."""
        kept = []
        block = max(1, min(count, self.path.block_length()))
        for start in range(first, first + count, block):
            size = min(block, first + count - start)
            noise = self.drawn(start, size, y.dtype)
            for n in range(start, start + size):
                y, memory = self.step(y, memory, n, noise, n - start, start, size)
                if n + 1 in saved:
                    kept.append(y)
        return y, memory, kept

    def drawn(
        self, first: int, count: int, dtype: torch.dtype, names: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        """The random variables of a block of steps, in the precision of the state."""
        names = self.needs if names is None else names
        noise = self.variables.draw(first, count, names) if names else {}
        if dtype != self.clock:
            noise = {name: values.to(dtype) for name, values in noise.items()}
        return noise

    def stepper_of(self, n: int) -> Stepper:
        """What does step n: the first ones of a method with memory are those of other methods."""
        return self.starters[n] if n < len(self.starters) else self.stepper

    def step(
        self,
        y: Tensor,
        memory: list[Tensor],
        n: int,
        noise: dict[str, Tensor],
        offset: int,
        first: int,
        count: int,
    ) -> tuple[Tensor, list[Tensor]]:
        """Step n, the one at `offset` in the block of `noise`."""
        stepper = self.stepper_of(n)
        times = self.times(first, count, stepper.program)[offset]
        try:
            return stepper(
                y,
                times,
                StepNumbers(self.spans[n], self.ratios[n]),
                {name: values[offset] for name, values in noise.items()},
                memory,
                self.starts[n],
            )
        except NoConvergence as failure:
            failed = failure.failed
            if self.sde.event_dims == 0 and failed.ndim < y.ndim:
                failed = failed.reshape(y.shape)
            indices = [tuple(i) for i in torch.nonzero(failed)[:16].tolist()]
            time, count = float(self.timeline.grid[n]), int(failed.sum())
            raise StageError(time, n, indices, count, failure.iterations) from None

    def times(self, first: int, count: int, program: Program) -> Sequence[Sequence[Tensor]]:
        """The time of every evaluation of a block of steps: made in one go, moved in one go."""
        key = (first, count, id(program))
        if self._times_key != key:
            table = self.node_times(first, count, program).to(self.path.device, self.clock)
            self._times_key = key
            self._times_table = [row.unbind() for row in table.unbind()]
        return self._times_table

    def node_times(self, first: int, count: int, program: Program) -> Tensor:
        """Times of the evaluations of some steps: (count, evaluations), float64."""
        grid = self.timeline.grid[first : first + count + 1]
        widths = torch.diff(grid)
        rows = []
        for evaluation in program.evaluations:
            node = evaluation.node
            if callable(node):
                ratios = self.ratios[first : first + count]
                nodes = torch.tensor([node(r) for r in ratios], dtype=torch.float64)
                rows.append(grid[:-1] + nodes * widths)
            else:
                rows.append(grid[:-1] + node * widths)
        return torch.stack(rows, dim=1)

    def report(
        self, y: Tensor, memory: list[Tensor], end: Tensor, first: int, count: int
    ) -> NoReturn:
        """Repeat steps in which a path was lost, one by one, and say where it was."""
        with torch.no_grad():
            for n in range(first, first + count):
                y, memory = self.step(y, memory, n, self.drawn(n, 1, y.dtype), 0, n, 1)
                if not bool(torch.isfinite(y).all()):
                    self.lost(y, n)
        # Compiled or eager, a path at the edge of overflow may be lost in one and not in the other.
        self.lost(end, first + count - 1)

    def lost(self, y: Tensor, n: int) -> NoReturn:
        """Name the paths that are not finite after step n."""
        bad = ~torch.isfinite(y)
        paths = bad.flatten(y.ndim - self.sde.event_dims).any(-1) if self.sde.event_dims else bad
        indices = [tuple(i) for i in torch.nonzero(paths)[:16].tolist()]
        raise NonFiniteError(float(self.timeline.grid[n + 1]), n, indices, int(paths.sum()))

    def stats(self, chosen: str, compiled: bool) -> Stats:
        steps, channels = self.timeline.steps, max(1, self.channels)

        def evaluations(drift: bool) -> int:
            counts = [p.count(drift=drift, channels=channels) for p in self.first[:steps]]
            each = self.program.count(drift=drift, channels=channels)
            fixed = sum(counts) + (steps - len(counts)) * each
            return fixed + sum(s.solving[drift] for s in (self.stepper, *self.starters))

        width = math.prod(self.path.channels)
        drawn = {0: 1, 1: width, 2: width * (width - 1) // 2}
        return Stats(
            self.tableau.name,
            steps,
            evaluations(True),
            evaluations(False),
            steps * sum(drawn[PRIMITIVES[n].indices if n in PRIMITIVES else 1] for n in self.needs),
            sum(s.iterations for s in (self.stepper, *self.starters)),
            chosen,
            compiled,
        )


def _cannot_trace(error: Exception) -> str:
    """In one line, from an error of many."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"the steps cannot be compiled: {lines[0].strip()}"


def _ratios(widths: list[float], grid: Tensor) -> list[Ratios]:
    """What coefficients depend on, for each step; 1 for what lies before the first one."""
    relative = (torch.diff(grid) / grid[:-1]).tolist()
    known = len(STEP_RATIOS)
    ratios = [*(1.0,) * known, *(b / a for a, b in pairwise(widths))]
    return [(w, *reversed(ratios[n : n + known])) for n, w in enumerate(relative)]


def _same(widths: list[float], grid: Tensor) -> list[float]:
    """Steps whose sizes differ by the rounding of the grid's times only have one size.

    So phi functions are computed once for all of them.
    """
    slack = 4.0 * torch.finfo(torch.float64).eps * float(grid.abs().max())
    found = widths[:1]
    for width in widths[1:]:
        found.append(found[-1] if abs(width - found[-1]) <= slack else width)
    return found
