"""One Brownian motion for all samplers of a comparison, kept where any of them looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from sdeint.brownian import BrownianPath, GridPath
from sdeint.brownian.path import Steps

__all__ = ["CommonPath", "of_all"]

# Variables of the common motion.
_COMMON = ("W", "H", "K")


class CommonPath(BrownianPath):
    """A batch of Brownian motions, and their integrals, stored at given times.

    A tree answers for any times, at some ten times the cost of a sampler's own work; here the times
    are known beforehand.  A grid with other times takes the stored ones nearest to its own (no two
    the same) and scales what it finds, so that each step has variables of exactly its own law.  Variables
    other than W, H and K, which few samplers need, are each sampler's own.

    Parameters
    ----------
    times : tensor (n,)
        Increasing, float64.
    seed : int
    batch, channels : sequence of int
    """

    def __init__(
        self, times: Tensor, seed: int, batch: Sequence[int], channels: Sequence[int]
    ) -> None:
        super().__init__(seed, batch, channels, dtype=torch.float32)
        self.times = times
        self.own = GridPath(seed, batch, channels, dtype=self.dtype)
        generator = torch.Generator().manual_seed(seed)
        shape = (len(times) - 1, *self.batch, *self.channels)
        h = times.diff().float().view(-1, *(1,) * (len(shape) - 1))
        w = torch.randn(shape, generator=generator).mul_(h.sqrt())
        # The integral over a step is h (W_s + W/2 + H), with Var H = h/12.
        area = torch.randn(shape, generator=generator).mul_((h / 12).sqrt()).add_(w, alpha=0.5)
        self.value = _from_zero(w)
        self.integral = _from_zero(area.add_(self.value[:-1]).mul_(h))

    @cached_property
    def moment(self) -> Tensor:
        """The integral of t W, for samplers that take K."""
        generator = torch.Generator().manual_seed(-self.seed - 1)
        w = self.value.diff(dim=0)
        shape = (-1, *(1,) * (w.ndim - 1))
        h, begin = (t.float().view(shape) for t in (self.times.diff(), self.times[:-1]))
        k = torch.randn(w.shape, generator=generator).mul_((h / 720).sqrt())
        area = self.integral.diff(dim=0)
        return _from_zero((h / 2 + begin) * area - h**2 * (k - w / 12))

    def on(self, grid: Tensor) -> Steps:
        """The steps of an increasing grid.

        Where it is finer than the stored times they are those of a path of its own: a comparison then
        has more noise, and no bias.
        """
        grid = grid.double()
        place = _nearest(self.times, grid)
        if bool((place.diff() < 1).any()):
            return self.own.on(grid)
        return CommonSteps(self, grid, place)


class CommonSteps:
    """The variables of the steps of one grid."""

    def __init__(self, path: CommonPath, grid: Tensor, place: Tensor) -> None:
        self.path, self.place = path, place
        self.h = path.times[place].diff()
        self.scale = (grid.diff() / self.h).sqrt()
        self.own = path.own.on(grid)

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        """The named variables of the steps first, ..., first + count - 1."""
        places = self.place[first : first + count + 1]
        shape = (-1, *(1,) * (self.path.value.ndim - 1))
        scale = self.scale[first : first + count].float().view(shape)
        value = self.path.value[places]
        drawn = {"W": value.diff(dim=0)}
        if "H" in names:
            h = self.h[first : first + count].float().view(shape)
            mean = self.path.integral[places].diff(dim=0) / h
            drawn["H"] = mean - (value[1:] + value[:-1]) / 2
        if "K" in names:
            h, begin = (
                t[first : first + count].float().view(shape)
                for t in (self.h, self.path.times[self.place])
            )
            area, moment = (v[places].diff(dim=0) for v in (self.path.integral, self.path.moment))
            drawn["K"] = ((h / 2 + begin) * area - moment) / h**2 + drawn["W"] / 12
        others = self.own.draw(first, count, [name for name in names if name not in _COMMON])
        return {name: scale * value for name, value in drawn.items()} | others


def _from_zero(steps: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(steps[:1]), steps.cumsum_(0)])


def _nearest(times: Tensor, grid: Tensor) -> Tensor:
    """Nearest in ratio, since the times of a reverse diffusion span many decades."""
    right = torch.searchsorted(times, grid).clamp(1, len(times) - 1)
    middle = (times[right - 1] * times[right]).sqrt()
    return torch.where(grid < middle, right - 1, right)


def of_all(grids: Sequence[Tensor]) -> Tensor:
    """The times of all grids, each once; what rounding alone tells apart is one."""
    times = torch.cat(list(grids)).unique()
    apart = torch.cat([torch.ones(1, dtype=torch.bool), times.diff() > 1e-9 * times[1:]])
    return times[apart]
