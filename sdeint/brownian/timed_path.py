"""Brownian motion that is run at another speed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sdeint.brownian.grid_path import unit_steps
from sdeint.brownian.path import UNIFORM, BrownianPath, Steps

__all__ = ["TimedPath"]


class TimedPath(BrownianPath):
    """The martingale ``M(t) = W(clock(t))``: a path whose increments have variance d clock, not dt.

    Driven by it, ``dX = f dt + dM`` is an SDE with additive noise of intensity ``sqrt(clock')`` whose
    increments are exact at any step, which those of a coefficient g(t) at nodes are not. Within
    a step the intensity is taken as constant: H is that of the clock. The true area differs by a
    relative ``O(h)``, so that methods keep weak order 2 and strong order 3/2, not more.

    Parameters
    ----------
    path : BrownianPath
        Queried at clock(t).
    clock : callable
        Of float64 tensors; nowhere decreasing. Steps in which it stands still have no noise.

    Examples
    --------
    >>> import torch
    >>> from sdeint.brownian import GridPath, TimedPath
    >>> path = GridPath(0, (3,), (1,))
    >>> slow, t = TimedPath(path, lambda t: t / 4), torch.tensor([0.0, 1.0])
    >>> torch.equal(slow.on(t).draw(0, 1, ["W"])["W"], path.on(t / 4).draw(0, 1, ["W"])["W"])
    True
    """

    def __init__(self, path: BrownianPath, clock: Callable[[Tensor], Tensor]) -> None:
        self.path, self.clock = path, clock
        self.batch, self.channels = path.batch, path.channels
        self.dtype, self.device = path.dtype, path.device
        self.seed, self.first_path = path.seed, path.first_path

    def on(self, grid: Tensor) -> Steps:
        """The steps of ``grid``: those of the path on ``clock(grid)``."""
        times = self.clock(grid.to(device="cpu", dtype=torch.float64))
        moves = torch.diff(times) != 0
        if bool(moves.all()):
            return self.path.on(times)
        return _WithPauses(self.path, times, moves)


class _WithPauses:
    """The steps of a path on the distinct ones of some times; in between it stands still."""

    def __init__(self, path: BrownianPath, times: Tensor, moves: Tensor) -> None:
        self.path, self.moves = path, moves
        #: How many steps with noise lie before each time.
        self.before = [0, *torch.cumsum(moves, 0).tolist()]
        distinct = torch.cat([times[:1], times[1:][moves]])
        self.steps = path.on(distinct) if len(distinct) > 1 else None

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        nodes = {
            name: unit_steps(self.path, name, first, count) for name in names if name in UNIFORM
        }
        return {**self._noise(first, count, [n for n in names if n not in nodes]), **nodes}

    def _noise(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        path, moves = self.path, self.moves[first : first + count]
        shape = (count, *path.batch, *path.channels)
        zero = torch.zeros(shape, dtype=path.dtype, device=path.device)
        start, stop = self.before[first], self.before[first + count]
        if self.steps is None or start == stop:
            return dict.fromkeys(names, zero)
        drawn = self.steps.draw(start, stop - start, names)
        where = torch.nonzero(moves).flatten().to(path.device)
        return {name: zero.index_copy(0, where, value) for name, value in drawn.items()}
