r"""How far the law of samples is from the law that they tend to, with little noise and no bias.

The distance is the sliced energy distance, the root of :math:`2 \int (F - G)^2` of the distribution
functions along a direction, on average over directions; on the line it is the energy distance.

Samples come in pairs: those of a sampler, and the limit for many evaluations on the same paths.  The
difference of their empirical distribution functions is zero but where a path crossed a level, so that
its noise falls with the error itself.  It is linear in the samples: with m independent groups the
products of two different groups, averaged, have exactly the square of the distance as mean, where
distances between sets of samples have a floor.  W2 is no such square, and its floor falls as n^(-1/4)
where modes are apart; so it is not what samplers are ranked by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion.metrics import random_axes

__all__ = ["Estimate", "Limit"]

_DIRECTIONS = 32
_QUANTILES = 256
# Levels beyond the quantiles, for samplers that leave the data: over as many standard deviations.
_FAR = torch.linspace(-12, 12, 97, dtype=torch.float64)


@dataclass(frozen=True)
class Estimate:
    """A squared distance, and what it is without each of the groups.

    Attributes
    ----------
    squared : float
        Without bias, so that it can be negative; infinite for samples that are not finite.
    without : tuple of float
    floor : float
        What the standard error would be at the limit, from products of two groups about their mean.
    """

    squared: float
    without: tuple[float, ...]
    floor: float = 0.0

    @property
    def distance(self) -> float:
        return math.sqrt(max(self.squared, 0.0))

    @property
    def error(self) -> float:
        """Standard error of the square, by the jackknife."""
        return _jackknife(self.without)

    def lead(self, other: Estimate) -> float:
        """By how many standard errors of the difference this one is the nearer; of the same groups.

        Where the square of a noisy sampler comes out near zero by chance, the jackknife sees nearly no
        noise, and the sampler would seem to be ahead of a quiet one at the same distance.  So each one's
        standard error is also taken at the distance of the quieter one, and that of the difference is
        no less than the difference of the two.
        """
        gap = other.squared - self.squared if self.squared != other.squared else 0.0
        if gap == 0 or math.isinf(gap):
            return gap
        noise = _jackknife([a - b for a, b in zip(self.without, other.without, strict=True)])
        quiet = max(0.0, min(self, other, key=lambda one: one.floor).squared)
        noise = max(noise, abs(self._error_at(quiet) - other._error_at(quiet)))
        return gap / noise if noise else math.copysign(math.inf, gap)

    def _error_at(self, squared: float) -> float:
        """A bound of the standard error at another squared distance.

        Of m groups of covariance S, the mean u, the variance is 2 tr(S S)/m^2 + 4 u S u/m, and the greatest
        eigenvalue of S is at most the root of tr(S S).
        """
        return math.sqrt(self.floor * (self.floor + math.sqrt(8) * squared))


def _jackknife(without: list[float] | tuple[float, ...]) -> float:
    m = len(without)
    mean = math.fsum(without) / m
    return math.sqrt((m - 1) / m * math.fsum((value - mean) ** 2 for value in without))


class Limit:
    """What samplers tend to, on the paths of some samples.

    Parameters
    ----------
    samples : tensor (n, *event)
        Of the limit.
    groups : int
        Successive samples, as many in each.
    levels : Levels, optional
        Where distribution functions are compared; by default at quantiles of these samples.
    """

    def __init__(self, samples: Tensor, groups: int = 16, levels: Levels | None = None) -> None:
        self.groups = groups
        self.levels = Levels.of(samples) if levels is None else levels
        self.functions = self.levels.functions(samples, groups)

    def gaps(self, samples: Tensor) -> Tensor:
        """By how much the distribution functions of samples on the same paths, in the same order,
        are above: (groups, directions, levels); infinite for samples that are not finite.
        """
        if not bool(torch.isfinite(samples).all()):
            return torch.full_like(self.functions, math.inf)
        return self.levels.functions(samples, self.groups) - self.functions

    def of(self, samples: Tensor) -> Estimate:
        """The distance of samples on the same paths, in the same order."""
        return self.levels.estimate(self.gaps(samples))


@dataclass(frozen=True, eq=False)
class Levels:
    """Directions, and levels along each.

    Attributes
    ----------
    axes : tensor (d, directions)
    at, widths : tensor (directions, levels)
        The levels, and their weights in an integral.
    """

    axes: Tensor
    at: Tensor
    widths: Tensor

    @classmethod
    def of(cls, samples: Tensor) -> Levels:
        """Levels at the quantiles of samples, and beyond."""
        flat = samples.double().flatten(1)
        d = flat.shape[1]
        axes = random_axes(d, _DIRECTIONS if d > 1 else 1)
        along = flat @ axes
        shares = (torch.arange(_QUANTILES, dtype=torch.float64) + 0.5) / _QUANTILES
        near = torch.quantile(along, shares, dim=0)
        far = along.mean(0) + _FAR[:, None] * along.std(0)
        at = torch.cat([near, far]).sort(0).values.mT.contiguous()
        widths = torch.zeros_like(at)
        widths[:, 1:] += at.diff(dim=1) / 2
        widths[:, :-1] += at.diff(dim=1) / 2
        return cls(axes, at, widths)

    def functions(self, samples: Tensor, groups: int) -> Tensor:
        """Empirical distribution functions (groups, directions, levels)."""
        along = samples.double().flatten(1) @ self.axes
        ordered = along.reshape(groups, -1, along.shape[1]).mT.contiguous().sort(-1).values
        below = torch.searchsorted(ordered, self.at.expand(groups, -1, -1).contiguous(), right=True)
        # In float32, which is exact for groups of 2^k samples, since there can be many.
        return below.float() / ordered.shape[-1]

    def estimate(self, gaps: Tensor) -> Estimate:
        """The distance, from the gaps (groups, directions, levels) of any number of groups."""
        m = len(gaps)
        if not bool(torch.isfinite(gaps).all()):
            return Estimate(math.inf, (math.inf,) * m)
        weighted = (gaps * (2 * self.widths / len(self.widths)).sqrt()).flatten(1)
        products = weighted @ weighted.mT
        own, row = products.diagonal(), products.sum(1)
        pairs = products.sum() - own.sum()
        without = (pairs - 2 * (row - own)) / ((m - 1) * (m - 2))
        means = row / m
        centred = products - means - means[:, None] + means.mean()
        apart = centred.square().sum() - centred.diagonal().square().sum()
        floor = math.sqrt(2 * max(float(apart), 0.0)) / (m * (m - 1))
        return Estimate(float(pairs / (m * (m - 1))), tuple(without.tolist()), floor)
