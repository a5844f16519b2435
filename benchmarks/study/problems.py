"""What is sampled: mixtures whose score is exact, one of them with an error of known size, and digits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.study.requests import Denoiser, Request
from diffusion import VP, GaussianMixture, Process
from sdeint.brownian import BrownianPath


@dataclass(frozen=True, eq=False)
class Target:
    """A denoiser that samplers are given.

    Attributes
    ----------
    name, what : str
    event : tuple of int
        Shape of a sample.
    denoiser : callable (x, t) -> x0hat
    variance : float
        Of a coordinate of the data, on average.
    process : Process
    """

    name: str
    what: str
    event: tuple[int, ...]
    denoiser: Denoiser
    variance: float
    process: Process

    def request(self, items: int, nfe: int, seed: int, path: BrownianPath | None = None) -> Request:
        """What is asked of a contender."""
        shape = (items, *self.event)
        return Request(self.denoiser, self.process, shape, self.variance, nfe, seed, path)


@dataclass(frozen=True, eq=False)
class Problem(Target):
    """A target whose data are known.

    Attributes
    ----------
    data : GaussianMixture
    """

    data: GaussianMixture


def exact(name: str, what: str, data: GaussianMixture) -> Problem:
    """A problem with the exact denoiser."""
    process = VP()
    variance = float(data.covariance().diagonal().mean())
    return Problem(name, what, (data.d,), data.model(process, "x0"), variance, process, data)


def with_error(problem: Problem, size: float) -> Problem:
    """The same with an error of the score of a known size, smooth in the state.

    The error of the denoiser is ``size sin(3 x + 1)`` times the posterior variance ``1/(rho + 1/s^2)``
    of Gaussian data and sqrt(1 + rho): that of the score is then at most `size` in units of its own.
    """

    def denoiser(x: Tensor, t: Tensor) -> Tensor:
        alpha, rho = (
            part(t).unsqueeze(-1) for part in (problem.process.alpha, problem.process.rho)
        )
        scale = size * torch.sqrt(1 + rho) / (rho + 1 / problem.variance)
        return problem.denoiser(x, t) + scale.to(x) * torch.sin(3 * x / alpha.to(x) + 1)

    return Problem(
        f"{problem.name}, score error {size:g}",
        f"{problem.what}; the score is wrong by up to {size:g} of its size",
        problem.event,
        denoiser,
        problem.variance,
        problem.process,
        problem.data,
    )


def normal(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def uniform(seed: int, low: float, high: float, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)


def mixtures() -> list[Problem]:
    """One to 64 dimensions; modes apart and modes that overlap.

    Only the first two were used to choose methods of ours; the 16-dimensional one used then is not here.
    """
    circle = [[2 * math.cos(a), 2 * math.sin(a)] for a in torch.linspace(0, 5.5, 7).tolist()]
    return [
        exact(
            "1-d, apart",
            "modes at -3, -1, 0.5, 2.5 with variances 0.04, 0.25, 0.01, 0.09",
            GaussianMixture([0.25] * 4, [[-3.0], [-1.0], [0.5], [2.5]], [0.04, 0.25, 0.01, 0.09]),
        ),
        exact(
            "1-d, overlapping",
            "modes at -1 and 1 with variance 0.5",
            GaussianMixture([0.5, 0.5], [[-1.0], [1.0]], 0.5),
        ),
        exact(
            "1-d, unequal",
            "modes at -2, 0, 0.7 with weights 0.1, 0.3, 0.6 and variances 0.02, 0.3, 0.05",
            GaussianMixture([0.1, 0.3, 0.6], [[-2.0], [0.0], [0.7]], [0.02, 0.3, 0.05]),
        ),
        exact(
            "2-d, circle",
            "seven modes on a circle of radius 2, variance 0.03",
            GaussianMixture([1 / 7] * 7, circle, 0.03),
        ),
        exact(
            "2-d, overlapping",
            "five modes with variances of 0.2 to 0.8",
            GaussianMixture([0.2] * 5, normal(21, 5, 2), uniform(22, 0.2, 0.8, 5, 2)),
        ),
        exact(
            "16-d, apart",
            "eight modes with variances of 0.01 to 0.3, another for each coordinate",
            GaussianMixture([1 / 8] * 8, normal(31, 8, 16), uniform(32, 0.01, 0.3, 8, 16)),
        ),
        exact(
            "16-d, overlapping",
            "four modes with variances of 0.2 to 0.8",
            GaussianMixture([0.25] * 4, 0.5 * normal(33, 4, 16), uniform(34, 0.2, 0.8, 4, 16)),
        ),
        exact(
            "64-d, apart",
            "six modes with variances of 0.01 to 0.3",
            GaussianMixture([1 / 6] * 6, normal(41, 6, 64), uniform(42, 0.01, 0.3, 6, 64)),
        ),
    ]
