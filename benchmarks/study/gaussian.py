"""Gaussian data: every sampler is affine in its noises, and its law is propagated without sampling."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from diffusion import VP, GaussianMixture, NoiseClock
from diffusion.budget import steps_for
from diffusion.grids import time_grid
from sdeint import solve
from sdeint.brownian.grid_path import VARIANCE
from sdeint.testing import Impulses
from tableaux import Tableau

__all__ = ["law_of", "laws"]

_NAMES = ("W", "H", "K")


def law_of(method: str | Tableau, nfe: int, variance: float, *, fitted: float = 0.0) -> float:
    """Variance of what a sampler makes of a coordinate of Gaussian data.

    Parameters
    ----------
    method : str or Tableau
    nfe : int
        Evaluations, the last of which denoises.
    variance : float
        Of the data.
    fitted : float
        The variance that the sampler takes the data to have; 0 for none.
    """
    process = VP()
    data = GaussianMixture([1.0], [[0.0]], variance)
    times = time_grid("uniform_lambda", process, steps_for(method, nfe))
    clock = NoiseClock(data.model(process, "x0"), process, "x0", variance=fitted)
    grid = clock.of(times)
    path = Impulses(len(times) - 1, _NAMES)
    z = torch.zeros(*path.batch, 1, dtype=torch.float64)
    z[1] = 1.0
    z = solve(clock.sde(1), z, grid, method=method, path=path, save_at="end", compile=False).y[-1]
    end = clock.x0(grid[-1], z)[:, 0]
    h = torch.diff(grid)
    noises = torch.cat([grid[:1], *(VARIANCE[name] * h for name in _NAMES)])
    gains = end[1:] - end[0]
    return float((gains**2 * noises).sum())


def laws(
    contenders: Sequence[tuple[str, str, bool]], budgets: Sequence[int], variance: float
) -> Iterator[tuple[str, dict[int, tuple[float, float]]]]:
    """(W2, KL) between the law of a coordinate and the data, by name and number of evaluations.

    KL is of the sampler's law from the data's.
    """
    for label, method, fitted in contenders:
        row = {}
        for nfe in budgets:
            got = law_of(method, nfe, variance, fitted=variance if fitted else 0.0)
            ratio = got / variance
            kl = (ratio - 1 - math.log(ratio)) / 2 if ratio > 0 else math.inf
            row[nfe] = (abs(math.sqrt(got) - math.sqrt(variance)), kl)
        yield label, row
