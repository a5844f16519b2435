"""The error of a sampler in its parts: initial, discretisation, score and truncation."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.study.common_path import CommonPath, of_all
from benchmarks.study.contenders import Contender
from benchmarks.study.limit import Limit
from benchmarks.study.problems import Problem, with_error

__all__ = ["parts"]


def parts(
    problem: Problem, items: int, budget: int, fine: int, size: float, sampler: Contender
) -> dict[str, float]:
    """Sliced energy distances between laws that differ in one thing, on equal paths.

    Parameters
    ----------
    problem : Problem
        With the exact denoiser.
    items : int
    budget : int
        Evaluations of the sampler whose discretisation is measured.
    fine : int
        Evaluations of its limit.
    size : float
        Of the score's error, see `with_error`.
    sampler : Contender
        Of the catalogue.
    """
    data = problem.data.sample(items, seed=20_001, dtype=torch.float32)
    wrong = with_error(problem, size)
    times = of_all([sampler.times(problem, nfe) for nfe in (budget, fine)])
    path = CommonPath(times, 5, (items,), problem.event)

    def draw(which: Problem, nfe: int, start: Tensor | None = None) -> Tensor:
        return sampler.draw(replace(which.request(items, nfe, 5, path), start=start))

    from_data, from_noise = draw(problem, fine, data), draw(problem, fine)
    exact, ideal = Limit(data), Limit(from_noise)
    return {
        "truncation: exact up to the last time, then denoised": exact.of(from_data).distance,
        "initial: from noise alone against from noisy data": ideal.of(from_data).distance,
        f"discretisation: {budget} evaluations against {fine}": ideal.of(
            draw(problem, budget)
        ).distance,
        f"score: wrong by {size:g} against exact": ideal.of(draw(wrong, fine)).distance,
        "all together": exact.of(draw(wrong, budget)).distance,
    }
