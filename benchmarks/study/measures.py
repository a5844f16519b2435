"""How far samples are from a mixture, in the measures of the study."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from diffusion import GaussianMixture
from diffusion.metrics import (
    bin_masses,
    energy_distance,
    grid_kl,
    mmd,
    random_axes,
    sliced_w2,
    total_variation,
    w1,
)

__all__ = ["Judge", "quantiles"]

_BINS = 64
_DIRECTIONS = 16
_QUANTILES = 4096
# Pairs grow with the square.
_PAIRED = 2000


def quantiles(data: GaussianMixture, n: int) -> Tensor:
    """The points (n, 1) at which the distribution function of a mixture on the line is (i + 1/2)/n."""
    centre, spread = float(data.mean()), math.sqrt(float(data.covariance()))
    grid = torch.linspace(centre - 8 * spread, centre + 8 * spread, 200_001, dtype=torch.float64)
    masses = data.cdf(grid)
    levels = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    right = torch.searchsorted(masses, levels).clamp(1, len(grid) - 1)
    part = (levels - masses[right - 1]) / (masses[right] - masses[right - 1])
    return (grid[right - 1] + part * (grid[right] - grid[right - 1])).unsqueeze(1)


@dataclass(frozen=True, eq=False)
class Judge:
    """Compares samples with the data.

    Attributes
    ----------
    data : GaussianMixture
    """

    data: GaussianMixture

    @cached_property
    def axes(self) -> Tensor:
        """Directions (d, directions)."""
        return random_axes(self.data.d, _DIRECTIONS if self.data.d > 1 else 1)

    @cached_property
    def marginals(self) -> Tensor:
        """Exact quantiles of the data along the directions, (directions, quantiles)."""
        points = [quantiles(self.data.along(axis), _QUANTILES)[:, 0] for axis in self.axes.mT]
        return torch.stack(points)

    def wasserstein(self, x: Tensor) -> float:
        """W1 on the line, sliced W2 otherwise: to the exact marginals, so that they have no noise."""
        along = (x.double() @ self.axes).mT
        if self.data.d == 1:
            return w1(along.mT, self.marginals.mT)
        squares = [
            sliced_w2(a[:, None], b[:, None], directions=1) ** 2
            for a, b in zip(along, self.marginals)
        ]
        return math.sqrt(math.fsum(squares) / len(squares))

    def measures(self, x: Tensor) -> dict[str, float]:
        """All measures, of finite samples."""
        found = {"W1" if self.data.d == 1 else "sliced W2": self.wasserstein(x)}
        if self.data.d == 1:
            edges = quantiles(self.data, _BINS + 1)[:, 0]
            edges[0], edges[-1] = edges[0] - 1, edges[-1] + 1
            masses = bin_masses(x[:, 0], edges)
            exact = self.data.cdf(edges).diff()
            found["TV"] = total_variation(masses, exact)
            found["KL"] = grid_kl(masses, exact)
        few, true = x[:_PAIRED].double(), self.data.sample(_PAIRED, seed=10_002)
        found["energy distance"] = energy_distance(few, true)
        width = math.sqrt(2 * float(self.data.covariance().diagonal().sum()))
        found["MMD^2"] = mmd(few, true, bandwidth=width)
        shares = self.data.responsibilities(x.double()).mean(0)
        found["mode weights"] = float((shares - self.data.weights).abs().sum() / 2)
        return found
