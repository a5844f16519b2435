"""Fixed-step solution of an SDE by any tableau."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch

from sdeint.brownian import BrownianPath, GridPath, TreePath
from sdeint.brownian.path import Steps
from sdeint.checks import Layout, check_method, checked_drift, examine
from sdeint.choosing import choose
from sdeint.errors import NonFiniteError, ProblemError, StageError
from sdeint.lowering import Program, lower, lower_first
from sdeint.newton import Newton, NoConvergence
from sdeint.problem import SDE
from sdeint.progress import track
from sdeint.solution import Solution, Stats
from sdeint.stepping import Stepper
from sdeint.timeline import Timeline, plan
from tableaux import PRIMITIVES, Tableau, TableauError, catalogue

__all__ = ["resolve_method", "solve"]

Tensor = torch.Tensor


def solve(
    sde: SDE,
    y0: Tensor,
    t: Any,
    *,
    method: str | Tableau = "EM",
    steps: int | None = None,
    seed: int | Tensor = 0,
    path: str | BrownianPath = "grid",
    save_at: Any = None,
    first_path: int = 0,
    purpose: str = "paths",
    newton: Newton | None = None,
    progress: bool = False,
) -> Solution:
    r"""Solve an SDE along Brownian paths, with fixed steps.

    Parameters
    ----------
    sde : SDE
    y0 : tensor (\*batch, \*event)
        Initial values, one for each path; floating-point of any precision, on any device.  The
        noise of a state in half precision is drawn in float32.
    t : sequence of float or tensor
        The times to return, the first being that of `y0`; increasing or decreasing.  On a decreasing
        grid the Brownian path runs backwards: a Stratonovich method retraces its path, and an Ito
        integral is a backward Ito integral.
    method : str or Tableau
        A name of `tableaux.catalogue`, or any tableau; ``"auto"`` picks one by noise class, calculus
        and purpose, and the solution's ``stats`` say which and why.
    steps : int, optional
        Number of uniform steps from ``t[0]`` to ``t[-1]``; times in between that fall into a step
        divide it.  Without it, `t` itself is the grid of steps.
    seed : int or int64 tensor
        Seed of the paths; a tensor of shape `batch` gives each item its own.
    path : {"grid", "tree"} or BrownianPath
        ``"grid"``: cheapest; another grid is another path.  ``"tree"``: one path for every grid.
        Or a path of your own, whose batch and channels must fit.
    save_at : optional
        ``None``: at `t`; ``"end"``; ``"all"`` steps; or a sequence of times, which are landed on.
    first_path : int
        Index of the first path of the batch, so that a part of a batch reproduces that part.
    purpose : {"paths", "moments"}
        What ``"auto"`` picks a method for: each path, or expectations only.
    newton : Newton, optional
        How the stages of an implicit method are solved.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Solution
        ``.t`` (T,), ``.y`` (T, \*y0.shape) and ``.stats``.

    Raises
    ------
    ProblemError
        If the problem, the method, the times or the path do not fit together.
    NonFiniteError
        If a path becomes NaN or infinite, with time, step and path index.
    StageError
        If the stages of an implicit method are not solved on a path.

    Examples
    --------
    >>> import torch, sdeint
    >>> sde = sdeint.SDE(lambda t, y: -y, lambda t, y: 0.5 + 0 * y, noise="additive")
    >>> solution = sdeint.solve(sde, torch.ones(1000, 1), [0.0, 1.0], method="SRA1", steps=20)
    >>> solution
    Solution(t=0..1 (2 times), y=(2, 1000, 1) float32, SRA1: 20 steps, 40 f and 40 g evaluations)
    """
    if not isinstance(y0, torch.Tensor):
        raise ProblemError(f"y0 must be a tensor, got {type(y0).__name__}")
    chosen = ""
    if isinstance(method, str) and method == "auto":
        choice = choose(sde, purpose=purpose, discrete=path == "grid")
        method, chosen = choice.method, choice.reason
    tableau = resolve_method(method)
    check_method(sde, tableau)
    timeline = plan(t, steps, save_at)
    clock = y0.dtype if y0.dtype in (torch.float32, torch.float64) else torch.float32
    layout = examine(sde, y0, timeline.grid[0].detach().to(y0.device, clock))
    layout = _with_channel_axis(layout, tableau)
    driver = _driver(path, sde, layout, y0, clock, timeline, seed, first_path)
    run = _Run(sde, layout, tableau, timeline, driver, clock, newton)
    return run(y0, progress, chosen)


def resolve_method(method: str | Tableau) -> Tableau:
    """The tableau that a method argument means."""
    if isinstance(method, Tableau):
        return method
    if not isinstance(method, str):
        raise ProblemError(
            f"method must be a name or a Tableau, got {type(method).__name__}; names are "
            + ", ".join(catalogue)
        )
    try:
        return catalogue[method]
    except TableauError as error:
        raise ProblemError(str(error)) from None


def _with_channel_axis(layout: Layout, tableau: Tableau) -> Layout:
    """Give elementwise noise its channel axis where a method needs to tell channels apart.

    Elementwise noise lets all channels share one stage, because channel k sees component k only.
    A drift that is evaluated at the stage of each channel mixes components, so it must see them all.
    A single channel has no others to be told from.
    """
    mixes = any(
        b.replication == "pair" or (b.replication == "channel" and b.colour == "drift")
        for b in tableau.blocks
    )
    if layout.matrix or not mixes or math.prod(layout.channels) == 1:
        return layout
    if len(layout.channels) != 1:
        raise ProblemError(
            f"method {tableau.name!r} needs a stage for each channel; it runs on states with one "
            f"event axis, not on noise of shape {layout.channels}"
        )
    g = layout.g
    return Layout(True, layout.channels, lambda t, y: torch.diag_embed(g(t, y).expand(y.shape)))


def _driver(
    path: str | BrownianPath,
    sde: SDE,
    layout: Layout,
    y0: Tensor,
    clock: torch.dtype,
    timeline: Timeline,
    seed: int | Tensor,
    first_path: int,
) -> BrownianPath:
    """The Brownian path that drives the solve."""
    batch = tuple(y0.shape[: y0.ndim - sde.event_dims])
    if isinstance(path, BrownianPath):
        if (path.batch, path.channels) != (batch, layout.channels):
            raise ProblemError(
                f"the path has batch {path.batch} and channels {path.channels}, but y0 and g need "
                f"batch {batch} and channels {layout.channels}"
            )
        if path.device != y0.device or path.dtype != clock:
            raise ProblemError(
                f"the path gives {path.dtype} on {path.device}, but y0 is {y0.dtype} on {y0.device}"
                + (f", whose noise is {clock}" if clock != y0.dtype else "")
            )
        return path
    options: dict[str, Any] = {"dtype": clock, "device": y0.device, "first_path": first_path}
    if path == "grid":
        return GridPath(seed, batch, layout.channels, **options)
    if path == "tree":
        if timeline.grid.requires_grad:
            raise ProblemError(
                "a tree path is a fixed function of time and has no derivative in it; "
                "use path='grid' for gradients with respect to times"
            )
        ends = sorted((float(timeline.grid[0]), float(timeline.grid[-1])))
        return TreePath(seed, batch, layout.channels, t0=ends[0], t1=ends[1], **options)
    raise ProblemError(f"path must be 'grid', 'tree' or a BrownianPath, got {path!r}")


class _Run:
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
    ) -> None:
        self.sde, self.tableau, self.timeline, self.path = sde, tableau, timeline, path
        self.clock = clock
        self.channels = math.prod(layout.channels) if layout.matrix else 0
        kinds = {
            "matrix": layout.matrix,
            "additive": sde.noise == "additive",
            "silent": sde.noise == "none",
        }
        self.program = lower(tableau, **kinds)
        self.first = lower_first(tableau, **kinds)
        grid = timeline.grid.detach()
        self.sign = 1.0 if bool(grid[1] > grid[0]) else -1.0
        self.stepper, self.starter = (
            Stepper(
                program,
                f,
                layout.g,
                channels=self.channels,
                sign=self.sign,
                event_dims=sde.event_dims,
                newton=newton,
            )
            for program, f in ((self.program, sde.f), (self.first, checked_drift(sde.f)))
        )
        self.needs = tuple(sorted(self.program.primitives | self.first.primitives))
        widths = torch.diff(timeline.grid).abs()
        plain = widths.detach().tolist()
        self.widths: Sequence[Any] = widths.unbind() if widths.requires_grad else plain
        self._times_key: tuple[int, int, int] | None = None
        self._times_table: list[tuple[Tensor, ...]] = []
        self.ratios = [1.0, *(b / a for a, b in pairwise(plain))]

    def __call__(self, y0: Tensor, progress: bool, chosen: str) -> Solution:
        timeline, steps = self.timeline, self.timeline.steps
        saved = set(timeline.saved)
        kept: list[Tensor] = [y0] if 0 in saved else []
        variables = self.path.on(timeline.grid)
        block = max(1, min(steps, self.path.block_length()))
        y, memory = y0, list[Tensor]()
        with track(steps, self.tableau.name, progress) as advance:
            for first in range(0, steps, block):
                count = min(block, steps - first)
                noise = self.drawn(variables, first, count, y0.dtype)
                before = (y, memory)
                for n in range(first, first + count):
                    y, memory = self.step(y, memory, n, noise, n - first, first, count)
                    if n + 1 in saved:
                        kept.append(y)
                # One look at the device for a whole block: NaN and infinity stay where they are.
                if not bool(torch.isfinite(y.detach()).all()):
                    self.report(*before, first, count, noise)
                advance(count)
        times = timeline.grid[list(timeline.saved)]
        return Solution(times, torch.stack(kept), self.stats(chosen))

    def drawn(
        self, variables: Steps, first: int, count: int, dtype: torch.dtype
    ) -> dict[str, Tensor]:
        """The random variables of a block of steps, in the precision of the state."""
        noise = variables.draw(first, count, self.needs) if self.needs else {}
        if dtype != self.clock:
            noise = {name: values.to(dtype) for name, values in noise.items()}
        return noise

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
        stepper = self.starter if n == 0 else self.stepper
        times = self.times(first, count, stepper.program)[offset]
        try:
            return stepper(
                y,
                times,
                self.widths[n],
                self.ratios[n],
                {name: values[offset] for name, values in noise.items()},
                memory,
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
            table = torch.stack(rows, dim=1).to(self.path.device, self.clock)
            self._times_key = key
            self._times_table = [row.unbind() for row in table.unbind()]
        return self._times_table

    def report(
        self, y: Tensor, memory: list[Tensor], first: int, count: int, noise: dict[str, Tensor]
    ) -> None:
        """Repeat a block in which a path was lost, step by step, and say where it was."""
        with torch.no_grad():
            for n in range(first, first + count):
                y, memory = self.step(y, memory, n, noise, n - first, first, count)
                bad = ~torch.isfinite(y)
                if bool(bad.any()):
                    axes = y.ndim - self.sde.event_dims
                    paths = bad.flatten(axes).any(-1) if self.sde.event_dims else bad
                    indices = [tuple(i) for i in torch.nonzero(paths)[:16].tolist()]
                    time = float(self.timeline.grid[n + 1])
                    raise NonFiniteError(time, n, indices, int(paths.sum()))
        raise NonFiniteError(  # pragma: no cover - a field that is not a function of its arguments
            float(self.timeline.grid[first + count]), first + count - 1, [()], 1
        )

    def stats(self, chosen: str) -> Stats:
        steps, channels = self.timeline.steps, max(1, self.channels)

        def evaluations(drift: bool) -> int:
            fixed = self.first.count(drift=drift, channels=channels)
            fixed += (steps - 1) * self.program.count(drift=drift, channels=channels)
            return fixed + sum(s.solving[drift] for s in (self.stepper, self.starter))

        width = math.prod(self.path.channels)
        drawn = {0: 1, 1: width, 2: width * (width - 1) // 2}
        return Stats(
            self.tableau.name,
            steps,
            evaluations(True),
            evaluations(False),
            steps * sum(drawn[PRIMITIVES[name].indices] for name in self.needs),
            self.stepper.iterations + self.starter.iterations,
            chosen,
        )
