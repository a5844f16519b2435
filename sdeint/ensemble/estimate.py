"""What an ensemble says: an expectation with its standard error, and more where it was asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdeint.ensemble.statistics import Statistics

__all__ = ["Estimate", "Histogram", "estimate_from"]


@dataclass(frozen=True, eq=False)
class Histogram:
    r"""How the values of a functional are distributed over bins.

    Attributes
    ----------
    edges : tensor (bins + 1,)
        Bin i is [edges[i], edges[i + 1]); the last one holds its upper edge too.
    counts : tensor (\*shape, bins)
        int64.
    below, above : tensor (\*shape)
        Values outside the edges, int64.
    density : tensor (\*shape, bins)
        Share of all values in the bin over its width: one over the unit of the values.
    errors : tensor (\*shape, bins)
        Standard errors of `density`.
    """

    edges: Tensor
    counts: Tensor
    below: Tensor
    above: Tensor
    density: Tensor
    errors: Tensor


@dataclass(frozen=True, eq=False)
class Estimate:
    r"""A Monte Carlo estimate; all tensors are float64 on the CPU, of the functional's shape.

    Attributes
    ----------
    name : str
        Of the functional.
    mean, error : tensor
        The mean over the paths, and its standard error; with antithetic paths, from the spread of
        the pairs' averages.
    variance, variance_error : tensor
        Of the value on one path, without bias, and its standard error (NaN for fewer than 3 paths).
    minimum, maximum : tensor
    covariance, covariance_error : tensor (k, k) or None
        Of the k components, flattened, and its standard errors.
    quantiles, quantile_errors : dict of float to tensor
        By level. The error is half the distance between the quantiles one standard deviation of
        the rank above and below, and half the width of the sketch's bin; infinite where the sample
        does not reach that far.
    histogram : Histogram or None
    paths : int
        Paths solved; mirror images count.
    confidence : float
        Of `interval`.
    met : bool
        Whether the tolerance was met; True if none was asked for.
    method : str
    steps : int
    antithetic : bool
    """

    name: str
    mean: Tensor
    error: Tensor
    variance: Tensor
    variance_error: Tensor
    minimum: Tensor
    maximum: Tensor
    covariance: Tensor | None
    covariance_error: Tensor | None
    quantiles: Mapping[float, Tensor]
    quantile_errors: Mapping[float, Tensor]
    histogram: Histogram | None
    paths: int
    confidence: float
    met: bool
    method: str
    steps: int
    antithetic: bool

    @property
    def interval(self) -> tuple[Tensor, Tensor]:
        """Confidence interval of the mean (Student); of the sampling alone, not of the step size."""
        from sdeint.convergence.fitting import student

        units = self.paths // 2 if self.antithetic else self.paths
        half = student(self.confidence, units - 1) * self.error
        return self.mean - half, self.mean + half

    @property
    def reduction(self) -> Tensor:
        """How many times as many independent paths would give the same error: 1 without pairs."""
        return self.variance / (self.paths * self.error**2)

    def __repr__(self) -> str:
        shape = tuple(self.mean.shape)
        if shape:
            value = f"shape={shape}"
        else:
            value = f"{float(self.mean):.6g} +- {float(self.error):.2g}"
        kind = " in antithetic pairs" if self.antithetic else ""
        short = "" if self.met else ", tolerance not met"
        return (
            f"Estimate({self.name}: {value}, {self.paths} paths{kind}, {self.method}: "
            f"{self.steps} steps{short})"
        )


def estimate_from(
    name: str,
    statistics: Statistics,
    *,
    levels: Sequence[float],
    confidence: float,
    met: bool,
    method: str,
    steps: int,
) -> Estimate:
    """The estimate that statistics amount to."""
    plan, moments = statistics.plan, statistics.moments

    def shaped(values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(np.array(values, dtype=np.float64)).reshape(plan.shape)

    quantiles = {q: _quantile(statistics, q) for q in levels}
    return Estimate(
        name=name,
        mean=shaped(moments.mean()),
        error=shaped(moments.error()),
        variance=shaped(moments.variance()),
        variance_error=shaped(moments.variance_error()),
        minimum=shaped(moments.least),
        maximum=shaped(moments.greatest),
        covariance=torch.from_numpy(moments.covariance_matrix()) if plan.covariance else None,
        covariance_error=torch.from_numpy(moments.covariance_error()) if plan.covariance else None,
        quantiles={q: shaped(values) for q, (values, _) in quantiles.items()},
        quantile_errors={q: shaped(errors) for q, (_, errors) in quantiles.items()},
        histogram=_histogram(statistics) if plan.edges else None,
        paths=plan.size * moments.count,
        confidence=confidence,
        met=met,
        method=method,
        steps=steps,
        antithetic=plan.size == 2,
    )


def _quantile(
    statistics: Statistics, level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A quantile of every component, and its standard error."""
    moments = statistics.moments
    n = statistics.plan.size * moments.count
    # Pairs count once: their ranks vary at most as much as if their paths were copies of each other.
    spread = math.sqrt(level * (1 - level) / moments.count)
    values, errors = [], []
    for sketch, least, greatest in zip(statistics.sketches, moments.least, moments.greatest):
        here = sketch.at(level * n)
        values.append(min(max(here.value, least), greatest))
        if level - spread < 0 or level + spread > 1:
            errors.append(math.inf)
            continue
        below, above = sketch.at((level - spread) * n), sketch.at((level + spread) * n)
        width = min(here.high, greatest) - max(here.low, least)
        errors.append(math.hypot((above.value - below.value) / 2, width / 2))
    return np.asarray(values), np.asarray(errors)


def _histogram(statistics: Statistics) -> Histogram:
    plan, units = statistics.plan, statistics.moments.count
    edges = np.asarray(plan.edges)
    widths = np.diff(edges)
    counts, both = statistics.counts[:, 1:-1], statistics.both[:, 1:-1]
    share = counts / (plan.size * units)
    # The mean over units of the squared share of the unit's paths in the bin.
    squares = (counts + 2 * both) / (plan.size**2 * units)
    errors = np.sqrt(np.maximum(squares - share**2, 0.0) / (units - 1))

    def shaped(values: NDArray[np.generic], *more: int) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).reshape((*plan.shape, *more))

    bins = len(widths)
    return Histogram(
        edges=torch.from_numpy(edges),
        counts=shaped(counts, bins),
        below=shaped(statistics.counts[:, 0]),
        above=shaped(statistics.counts[:, -1]),
        density=shaped(share / widths, bins),
        errors=shaped(errors / widths, bins),
    )
