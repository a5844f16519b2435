"""Brownian motion that is run at another speed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sdeint.brownian.path import BrownianPath, Steps

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
        Increasing, of float64 tensors.

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
        return self.path.on(self.clock(grid.to(device="cpu", dtype=torch.float64)))
