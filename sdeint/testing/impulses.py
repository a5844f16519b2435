"""Each random variable of a grid alone, so that a linear solve can be read term by term."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sdeint.brownian import GridPath

__all__ = ["Impulses"]


class Impulses(GridPath):
    """Path 2 + i of the batch is struck by the i-th noise variable of the grid alone, of size one.

    Paths 0 and 1 have none.  A method's end value is affine in the state and the noise of a linear
    equation with additive noise, so one solve tells all its gains: its law without sampling.

    Parameters
    ----------
    steps : int
    names : sequence of str
        The variables, as `GridPath` names them; numbered name by name, within a name step by step.
    channels : tuple of int
        Of the noise of a path; all are struck at once.
    """

    def __init__(self, steps: int, names: Sequence[str], channels: tuple[int, ...] = (1,)) -> None:
        self.names, self.steps = tuple(names), steps
        batch = (2 + len(self.names) * steps,)
        super().__init__(0, batch, channels, dtype=torch.float64)

    def on(self, grid: Tensor) -> Any:
        """The steps of any grid of as many steps."""
        return self

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        """The named variables of the steps first, ..., first + count - 1: ones and zeros."""
        out = {}
        step = torch.arange(self.steps)
        for name in names:
            unit = torch.zeros(self.steps, *self.batch, *self.channels, dtype=torch.float64)
            unit[step, 2 + self.names.index(name) * self.steps + step] = 1.0
            out[name] = unit[first : first + count]
        return out
