"""Churn as EDM prints it: noise is added at the beginning of a step, which then starts further back.

A step from the noise level ``u = sigma/alpha`` first goes up to ``(1 + gamma) u`` by adding noise, and
from there along the probability flow, by any one-step tableau.  Other than `eta`, whose noise is part of
the equation that a tableau solves, this is a composition of exact noising and a step without noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Churn", "churned"]


@dataclass(frozen=True)
class Churn:
    """How much noise is added, where.

    Parameters
    ----------
    amount : float
        S_churn: gamma is ``amount/steps``, at most ``sqrt(2) - 1``.
    low, high : float
        S_tmin and S_tmax: the levels sigma/alpha between which there is churn.
    noise : float
        S_noise: the standard deviation of the added noise, in units of what the level asks for.

    References
    ----------
    Karras, Aittala, Aila and Laine, arXiv:2206.00364, algorithm 2.
    """

    amount: float
    low: float = 0.0
    high: float = math.inf
    noise: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.amount < math.inf and 0 <= self.noise < math.inf):
            raise ValueError(f"amount and noise must be finite and not negative: {self}")
        if not 0 <= self.low <= self.high:
            raise ValueError(f"the levels must satisfy 0 <= low <= high: {self}")

    def level(self, level: float, steps: int) -> float:
        """The level that a step begins at, after its noise."""
        inside = self.low <= level <= self.high
        return level * (1 + min(self.amount / steps, math.sqrt(2) - 1) * inside)


def churned(
    z: Tensor,
    times: Tensor,
    churn: Churn,
    normals: Tensor,
    most: float,
    step: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """The values of a run with churn.

    Parameters
    ----------
    z : tensor (batch, *event)
        ``Z = x/sigma`` at the first time.
    times : tensor (steps + 1,), float64
        The clock alpha/sigma of the flow.
    churn : Churn
    normals : tensor (steps, batch, *event)
        Standard normals.
    most : float
        The highest level of the process, beyond which there is no going back.
    step : callable (z, times of one step) -> z

    Returns
    -------
    tensor (steps + 1, batch, *event)
    """
    values, steps = [z], len(times) - 1
    for n, normal in enumerate(normals):
        here = 1 / float(times[n])
        above = max(here, min(churn.level(here, steps), most))
        added = churn.noise * math.sqrt(above**2 - here**2)
        moved = (values[-1] * here + added * normal) / above
        begin = torch.tensor([1 / above, float(times[n + 1])], dtype=torch.float64)
        values.append(step(moved, begin))
    return torch.stack(values)
