"""From errors with sampling noise to an order with an interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import mpmath
import torch
from torch import Tensor

BLOCKS = 128
MISFIT = 0.01  # a line is contradicted by its points below this probability
# Expected relative deviations from the power law at the coarsest step in use: of the terms in h, h^2 and h^3.
CURVATURE = (1 / 2, 1 / 8, 1 / 32)


@dataclass(frozen=True)
class Jackknife:
    """A statistic, its standard errors, and its values with one block left out, (blocks,
    levels)."""

    value: Tensor
    errors: Tensor
    left_out: Tensor


class Blocks:
    """Sums of per-path values in interleaved blocks: all that is kept of any number of paths."""

    def __init__(self, levels: int, paths: int) -> None:
        self.blocks = min(BLOCKS, paths)
        self.sums = torch.zeros(self.blocks, levels, dtype=torch.float64)
        self.counts = torch.bincount(torch.arange(paths) % self.blocks, minlength=self.blocks)

    def add(self, level: int, first: int, values: Tensor) -> None:
        """Add the values of the paths first, first + 1, ... at one step size."""
        where = (torch.arange(len(values)) + first) % self.blocks
        self.sums[:, level].index_add_(0, where, values.detach().double().cpu())

    def jackknife(self, of: Callable[[Tensor], Tensor], *, floor: float) -> Jackknife:
        """A statistic of the mean, with means below `floor` raised to it."""
        total, paths = self.sums.sum(0), self.counts.sum()
        left = (total - self.sums) / (paths - self.counts)[:, None]
        value = of((total / paths).clamp_min(floor))
        left_out = of(left.clamp_min(floor))
        variance = (self.blocks - 1) * left_out.var(0, correction=0)
        return Jackknife(value, variance.sqrt(), left_out)


@dataclass(frozen=True)
class Fit:
    order: float | None
    interval: tuple[float, float] | None
    flags: list[str]
    note: str


@dataclass(frozen=True)
class _Line:
    """A weighted least-squares line: slope, its standard error, and how well the points lie on
    it."""

    slope: float
    error: float
    misfit: float  # probability of a worse fit
    excess: float  # Birge ratio: residuals over their expected size


def fit(
    h: Sequence[float], logs: Tensor, left_out: Tensor, flags: list[str], confidence: float
) -> Fit:
    """The order from log errors and their jackknife values."""
    flags = list(flags)
    use = [j for j, flag in enumerate(flags) if not flag]
    blocks = len(left_out)
    if len(use) < 3:
        return Fit(None, None, flags, _too_few(flags))
    spread = left_out[:, use] - left_out[:, use].mean(0)
    if float(spread.abs().max()) * math.sqrt(blocks) < 1e-9:
        # every path has the same error: nothing random is left
        return fit_exact(h, logs, flags)
    while True:
        x = torch.tensor([h[j] for j in use], dtype=torch.float64)
        line = _line(x, logs[use], left_out[:, use])
        note = _dropped(flags)
        if line.misfit >= MISFIT:
            break
        if len(use) == 3:
            line = replace(line, error=line.error * max(1.0, line.excess))
            note = "three finest points, not on a line: interval widened by their scatter"
            break
        flags[use.pop(0)] = "coarse"
    half = student(confidence, blocks - 1) * line.error
    return Fit(line.slope, (line.slope - half, line.slope + half), flags, note)


def _line(h: Tensor, logs: Tensor, left_out: Tensor) -> _Line:
    X = torch.stack((torch.ones_like(h), torch.log(h)), 1)
    blocks, points = left_out.shape
    deviations = left_out - left_out.mean(0)
    sampled = (blocks - 1) / blocks * deviations.T @ deviations
    # The law wanted is the one for h -> 0. Finite steps bend it: log error = log C + p log h + a x
    # + b x^2 + c x^3, x = h/h_max, and a line whose bend is ignored claims far more precision than it has.
    x = h / h.max()
    bends = torch.stack([size * x**k for k, size in enumerate(CURVATURE, 1)], 1)
    covariance = sampled + bends @ bends.T
    # The full covariance makes use of what step sizes on common paths have in common. The small diagonal
    # keeps it regular where they have nearly everything in common.
    floor = torch.diag(1e-6 * sampled.diagonal() + 1e-18)
    weights = torch.linalg.inv(covariance + floor)
    solve_for = torch.linalg.solve(X.T @ weights @ X, X.T @ weights)
    slope = float(solve_for[1] @ logs)
    error = float((solve_for[1] @ covariance @ solve_for[1]).sqrt())
    freedom = points - 2
    off = torch.eye(points, dtype=X.dtype) - X @ solve_for
    values, vectors = torch.linalg.eigh(off @ covariance @ off.T)
    along = (vectors.T @ (off @ logs))[-freedom:]
    square = float((along**2 / values[-freedom:].clamp_min(1e-30)).sum())
    # Hotelling's T^2: the covariance is itself estimated from the blocks.
    other = blocks - freedom
    misfit = (
        _f_tail(square * other / ((blocks - 1) * freedom), freedom, other) if other > 0 else 1.0
    )
    return _Line(slope, error, misfit, math.sqrt(square / freedom))


def fit_exact(h: Sequence[float], logs: Tensor, flags: list[str]) -> Fit:
    """The order from errors without noise: the finest slope, extrapolated to h = 0."""
    use = [j for j, flag in enumerate(flags) if not flag]
    if len(use) < 3:
        return Fit(None, None, list(flags), _too_few(flags))
    ratios = [h[a] / h[b] for a, b in pairwise(use)]
    slopes = [
        float(logs[a] - logs[b]) / math.log(ratio) for (a, b), ratio in zip(pairwise(use), ratios)
    ]
    last, change = slopes[-1], slopes[-1] - slopes[-2]
    decay = 1 / ratios[-2]  # the slope of a pair is order + constant * h, in general
    if len(slopes) > 2 and math.isclose(max(ratios[-3:]), min(ratios[-3:]), rel_tol=1e-6):
        # On a geometric grid the next term may have any power of h: it shows in the slopes
        # themselves.
        before = slopes[-2] - slopes[-3]
        seen = change / before if before else 0.0
        decay = seen if 0.0 < seen < 0.9 else decay
    order = last + change * decay / (1 - decay)
    half = abs(order - last)
    return Fit(order, (order - half, order + half), list(flags), "extrapolated to h = 0")


def _too_few(flags: Sequence[str]) -> str:
    why = sorted({flag for flag in flags if flag})
    left = sum(not flag for flag in flags)
    reason = f" (the others: {', '.join(why)})" if why else ""
    return f"{left} usable points, and an order needs 3{reason}"


def _dropped(flags: Sequence[str]) -> str:
    count = sum(flag == "coarse" for flag in flags)
    return f"without {count} coarse point{'s' * (count > 1)}" if count else ""


@lru_cache(maxsize=64)
def student(confidence: float, freedom: int) -> float:
    """Two-sided quantile of Student's t: P(|T| <= q) = confidence."""
    tail = mpmath.mpf(1) - mpmath.mpf(confidence)
    low, high = -10.0, 30.0  # logarithms
    for _ in range(60):
        middle = (low + high) / 2
        square = mpmath.exp(2 * middle)
        x = freedom / (freedom + square)
        over = mpmath.betainc(mpmath.mpf(freedom) / 2, 0.5, 0, x, regularized=True)
        low, high = (middle, high) if over > tail else (low, middle)
    return math.exp(low)


def _f_tail(value: float, upper: int, lower: int) -> float:
    """P(F > value) for the F distribution."""
    x = lower / (lower + upper * value)
    return float(
        mpmath.betainc(mpmath.mpf(lower) / 2, mpmath.mpf(upper) / 2, 0, x, regularized=True)
    )
