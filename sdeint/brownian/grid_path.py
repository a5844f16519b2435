"""Brownian increments of the steps of a given grid: the cheapest path."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sdeint.brownian.counters import TAGS
from sdeint.brownian.normals import standard_normals, words
from sdeint.brownian.path import BrownianPath, checked_block, checked_grid

# The nearest 32 bits come to 1/6: P(theta > 0) = THIRD / 2**32 = 1/6 + 7.8e-11, and the variance of
# theta is h (1 + 4.7e-10).
SIXTH = round(2**32 / 6)


class GridPath(BrownianPath):
    """The variables of each step drawn for that step: O(1) work, but another grid is another path.

    Step n means the n-th step counted from the earliest time, so that a grid and the same grid
    reversed see the same path, forwards and backwards. For the parameters see `BrownianPath`.
    """

    def on(self, grid: Tensor) -> GridSteps:
        """The steps of ``grid``, a 1-D float64 tensor of N + 1 times, monotone either way.

        If the grid requires gradients, the variables have the gradients of their scale
        ``sqrt(|h|)`` in it.
        """
        return GridSteps(self, grid)


class GridSteps:
    """The variables of the steps of one grid; made by `GridPath.on`."""

    def __init__(self, path: GridPath, grid: Tensor) -> None:
        self.path = path
        grid, self.decreasing = checked_grid(grid)
        self.count = len(grid) - 1
        self._width = torch.diff(grid).abs().to(path.device)

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        """The named variables of the steps first, ..., first + count - 1.

        Parameters
        ----------
        first, count : int
            Which steps; any division of the grid into calls gives the same bits.
        names : sequence of str
            W: increment, N(0, |h|). H: space-time area, N(0, |h|/12). K: space-time-time area,
            N(0, |h|/720). theta: three-point, +-sqrt(3 |h|) with probability 1/6 each, else 0.
            sign: two-point, +-1. eta: two-point, +-1, one for each step and path.

        Returns
        -------
        dict of str to Tensor
            (count, *batch, *channels); eta has channels of size 1. On a decreasing grid the
            variables are those of the reversed path: W changes its sign, H does not.

        Raises
        ------
        ValueError
            If the steps lie outside the grid, or a name is unknown.
        NotImplementedError
            For A, the Levy area.
        """
        checked_block(first, count, self.count, names)
        return {name: self._variable(name, first, count) for name in names}

    def _variable(self, name: str, first: int, count: int) -> Tensor:
        path = self.path
        if name == "A":
            raise NotImplementedError(
                "Levy areas (A) are not available yet: a method that is strong for general noise "
                "needs them. For commutative, diagonal, scalar or additive noise choose a method "
                "without A; for weak results on general noise choose a weak method."
            )
        if name in ("theta", "sign", "eta"):
            return self._discrete(name, first, count)
        standard = path._shaped(self._in_order(self._standard(name, first, count)))
        return standard * self._scale(name, first, count, standard.ndim)

    def _scale(self, name: str, first: int, count: int, ndim: int) -> Tensor:
        width = self._width[first : first + count]
        scale = torch.sqrt(
            width * {"W": 1.0, "H": 1.0 / 12.0, "K": 1.0 / 720.0, "theta": 3.0}[name]
        )
        if name == "W" and self.decreasing:
            scale = -scale
        return scale.to(self.path.dtype).view(-1, *(1,) * (ndim - 1))

    def _standard(self, name: str, first: int, count: int) -> Tensor:
        """Standard normals of the steps, in the order of time."""
        place, skip = self._places(first, count)
        path = self.path
        normals = standard_normals(path._lanes, place, TAGS[name], path.dtype)
        return normals.flatten(0, 1)[skip : skip + count]

    def _discrete(self, name: str, first: int, count: int) -> Tensor:
        path = self.path
        place, skip = self._places(first, count)
        lanes = path._shared_lane if name == "eta" else path._lanes
        word = self._in_order(words(lanes, place, TAGS[name]).flatten(0, 1)[skip : skip + count])
        if name == "theta":
            positive, negative = word < SIXTH, word >= (1 << 32) - SIXTH
            standard = path._shaped(positive.to(path.dtype) - negative.to(path.dtype))
            return standard * self._scale(name, first, count, standard.ndim)
        value = (1 - (word >> 31) * 2).to(path.dtype)
        if name == "eta":
            return value.reshape(count, *path.batch, *(1 for _ in path.channels))
        return path._shaped(value)

    def _places(self, first: int, count: int) -> tuple[Tensor, int]:
        """The generator's places that cover the steps, and how many of their steps come before."""
        if self.decreasing:
            first = self.count - first - count
        start, stop = first // 4, -(-(first + count) // 4)
        return torch.arange(start, stop, device=self.path.device), first - 4 * start

    def _in_order(self, steps: Tensor) -> Tensor:
        return steps.flip(0) if self.decreasing else steps
