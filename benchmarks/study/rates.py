"""The rates of the two seed papers, on Gaussian data in d dimensions, without sampling error.

Training-free stochastic Runge-Kutta (arXiv 2410.04760) proves KL <= eps^2 in about d^(3/2)/eps
evaluations: sqrt(KL) ~ d^(3/2)/N.  The accelerated sampler of 2410.23285 proves TV <= eps in about
d^(5/4)/sqrt(eps): TV ~ d^(5/2)/N^2.  Both are reconstructions here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.special import gammainc

from benchmarks.study.gaussian import law_of

__all__ = ["SEEDS", "error", "slope"]

#: Name, method, measure, proved power of N and of d.
SEEDS = (
    ("score difference (2410.04760, rec.)", "ScoreDifference", "sqrt KL", -1.0, 1.5),
    ("overshoot (2410.23285, rec.)", "Overshoot", "TV", -2.0, 2.5),
)
# Coordinates differ, as those of data do: no variance is the sampler's favourite.
_VARIANCES = (0.1, 0.25, 0.5, 1.0)


def error(method: str, measure: str, nfe: int, d: int) -> float:
    """Error on d coordinates, which take four variances in turn (one for TV, whose law is then known)."""
    if measure == "TV":
        got = law_of(method, nfe, 0.5)
        return _tv_of_spheres(0.5, got, d)
    ratios = [law_of(method, nfe, v) / v for v in _VARIANCES]
    kl = [(r - 1 - math.log(r)) / 2 for r in ratios]
    return math.sqrt(sum(kl[i % len(kl)] for i in range(d)))


def _tv_of_spheres(a: float, b: float, d: int) -> float:
    """Total variation between N(0, a) and N(0, b) in d dimensions: they cross on one sphere."""
    low, high = sorted((a, b))
    if high - low < 1e-15 * high:
        return 0.0
    radius2 = d * math.log(high / low) / (1 / low - 1 / high)
    return float(gammainc(d / 2, radius2 / (2 * low)) - gammainc(d / 2, radius2 / (2 * high)))


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Power of x in y, by least squares of logarithms."""
    u, v = [math.log(a) for a in x], [math.log(a) for a in y]
    mean_u, mean_v = sum(u) / len(u), sum(v) / len(v)
    above = sum((a - mean_u) * (b - mean_v) for a, b in zip(u, v))
    return above / sum((a - mean_u) ** 2 for a in u)
