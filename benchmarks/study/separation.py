"""The error of a sampler in its parts: initial, discretisation, score and truncation."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.study.measures import Judge
from benchmarks.study.problems import Problem, with_error
from diffusion import sample

__all__ = ["parts"]

_FINE = 256


def parts(problem: Problem, items: int, budget: int, size: float, method: str) -> dict[str, float]:
    """Distances between laws that differ in one thing; sampling noise included in each.

    Parameters
    ----------
    problem : Problem
        With the exact denoiser.
    items : int
    budget : int
        Evaluations of the sampler whose discretisation is measured.
    size : float
        Of the score's error, see `with_error`.
    method : str
        Of the catalogue; fitted to the variance.
    """
    data = problem.data.sample(items, seed=20_001, dtype=torch.float32)
    wrong = with_error(problem, size)

    def draw(which: Problem, nfe: int, start: Tensor | None) -> Tensor:
        return sample(
            which.denoiser,
            tuple(data.shape),
            process=which.process,
            prediction="x0",
            method=method,
            nfe=nfe,
            variance=which.variance,
            start=start,
            seed=5,
        )

    from_data, from_noise = draw(problem, _FINE, data), draw(problem, _FINE, None)
    judge = Judge.of(problem.data, items)

    def between(x: Tensor, y: Tensor) -> float:
        return Judge(problem.data, y.double()).distance(x.double())

    return {
        "sampling noise alone": judge.floor(items)[0],
        "truncation: exact up to the last time, then denoised": judge.distance(from_data),
        "initial: from noise alone against from noisy data": between(from_noise, from_data),
        f"discretisation: {budget} evaluations against {_FINE}": between(
            draw(problem, budget, None), from_noise
        ),
        f"score: wrong by {size:g} against exact": between(draw(wrong, _FINE, None), from_noise),
        "all together": judge.distance(draw(wrong, budget, None)),
    }
