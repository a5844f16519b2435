"""What multilevel Monte Carlo says: a value, its errors, and what every level contributed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Level", "LevelsEstimate"]


@dataclass(frozen=True)
class Level:
    """What was found on one level.

    Attributes
    ----------
    steps : int
        Of the fine solution.
    paths : int
    mean, error : float
        Of the correction P_l - P_(l-1) (of P_0 on level 0), and its standard error.
    variance : float
        Of the correction on one path.
    plain : float
        Variance of P_l itself.
    cost : float
        Evaluations of f and g for one path, the coarse solution's included.
    """

    steps: int
    paths: int
    mean: float
    error: float
    variance: float
    plain: float
    cost: float


@dataclass(frozen=True)
class LevelsEstimate:
    """A multilevel estimate.

    Attributes
    ----------
    mean : float
    error : float
        Standard error of the mean, from the sampling.
    bias : float
        Estimated distance of the finest level from the limit.
    eps : float
        Root mean square error asked for: `error` and `bias` together keep to it if `met`.
    met : bool
    levels : tuple of Level
    method : str
    refinement : int
        Ratio of steps from one level to the next.
    weak_order : float
        The order that the bias is extrapolated with.
    seconds : float
        Wall clock of this call; the only field that differs from run to run.
    """

    mean: float
    error: float
    bias: float
    eps: float
    met: bool
    levels: tuple[Level, ...]
    method: str
    refinement: int
    weak_order: float
    seconds: float = field(compare=False)

    @property
    def cost(self) -> float:
        """Evaluations of f and g, of all paths."""
        return sum(level.paths * level.cost for level in self.levels)

    @property
    def plain_cost(self) -> float:
        """The same for plain Monte Carlo with the finest level's steps and the same error."""
        finest = self.levels[-1]
        share = 1 / (1 + 1 / self.refinement) if len(self.levels) > 1 else 1.0
        return finest.plain / self.error**2 * finest.cost * share

    @property
    def alpha(self) -> float | None:
        """Measured order of the means: |E (P_l - P_(l-1))| ~ h^alpha; None with too few levels."""
        return self._rate([(abs(x.mean), x.error / max(abs(x.mean), 1e-300)) for x in self.levels])

    @property
    def beta(self) -> float | None:
        """Measured order of the variances: Var (P_l - P_(l-1)) ~ h^beta."""
        return self._rate([(x.variance, math.sqrt(2 / max(x.paths - 1, 1))) for x in self.levels])

    @property
    def gamma(self) -> float | None:
        """Measured growth of the cost of a path: C_l ~ h^-gamma."""
        rate = self._rate([(x.cost, 1e-3) for x in self.levels])
        return None if rate is None else -rate

    @property
    def complexity(self) -> float | None:
        """Exponent k of cost ~ eps^-k that the rates amount to (without logarithms).

        Giles 2008: 2 if beta >= gamma, else 2 + (gamma - beta)/alpha.
        """
        if self.alpha is None or self.beta is None or self.gamma is None or self.alpha <= 0:
            return None
        return 2 + max(0.0, (self.gamma - self.beta) / self.alpha)

    def _rate(self, points: Sequence[tuple[float, float]]) -> float | None:
        """Slope of logarithms against that of h over levels 1, 2, ..., weighted by their errors."""
        rows = [
            (level, math.log(value), 1 / max(error, 1e-3) ** 2)
            for level, (value, error) in enumerate(points)
            if level > 0 and value > 0 and error < 0.5
        ]
        if len(rows) < 2:
            return None
        x, y, w = (np.asarray(column) for column in zip(*rows))
        x = -x * math.log(self.refinement)
        dx = x - np.average(x, weights=w)
        return float((w * dx * y).sum() / (w * dx**2).sum())

    def __str__(self) -> str:
        lines = [
            f"multilevel {self.method}: {self.mean:.6g}, standard error {self.error:.2g}, bias "
            f"{self.bias:.2g}, asked for {self.eps:g}" + ("" if self.met else " (not met)"),
            f"{'level':>5}  {'steps':>6}  {'paths':>10}  {'mean':>11}  {'variance':>10}  {'cost':>8}",
        ]
        for i, x in enumerate(self.levels):
            lines.append(
                f"{i:>5}  {x.steps:>6}  {x.paths:>10}  {x.mean:>11.3e}  {x.variance:>10.3e}  "
                f"{x.cost:>8g}"
            )
        rates = {"alpha": self.alpha, "beta": self.beta, "gamma": self.gamma}
        shown = ", ".join(f"{n} {v:.2f}" if v is not None else f"{n} -" for n, v in rates.items())
        power = self.complexity
        lines.append(shown + ("" if power is None else f"; cost ~ eps^-{power:.2f}"))
        return "\n".join(lines)
