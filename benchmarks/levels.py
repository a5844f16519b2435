"""Multilevel Monte Carlo on Black-Scholes options, and the same work on one process and two."""

from __future__ import annotations

import math
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

import sdeint
from benchmarks.timing import table

__all__ = ["levels", "processes"]

Tensor = torch.Tensor
RATE, SIGMA = 0.05, 0.2


def drift(t: Tensor, y: Tensor) -> Tensor:
    return RATE * y


def noise(t: Tensor, y: Tensor) -> Tensor:
    return SIGMA * y


def european(y: Tensor) -> Tensor:
    return (y[:, 0] - 1).clamp_min(0) * math.exp(-RATE)


def digital(y: Tensor) -> Tensor:
    return (y[:, 0] > 1).to(y) * math.exp(-RATE)


def levels() -> str:
    """Cost over accuracy: steps of all levels at two accuracies eight times apart."""
    sde, y0 = sdeint.SDE(drift, noise), torch.ones(1, dtype=torch.float64)
    rows = []
    for name, functional, smooth in (("European", european, None), ("digital", digital, 0.5)):
        for method in ("EM", "DFMilstein"):
            costs, plain = [], []
            for eps in (4e-3, 5e-4):
                found = sdeint.multilevel(
                    *(sde, y0, [0.0, 1.0], functional, eps), method=method, weak_order=smooth
                )
                costs.append(found.cost)
                plain.append(found.plain_cost)
            exponent = math.log(costs[1] / costs[0]) / math.log(8)
            rows.append((name, method, f"{exponent:.2f}", f"{plain[1] / costs[1]:.1f}"))
    head = ("option", "method", "k in cost ~ eps^-k", "plain Monte Carlo over it, eps = 0.0005")
    return table(head, rows)


def processes() -> str:
    """An ensemble of 400000 paths and 200 steps by `sdeint.expect`, eager, one thread a process."""
    sde, y0 = sdeint.SDE(drift, noise), torch.ones(1)
    seconds = []
    for workers in (1, 2):
        context = get_context("spawn")
        with ProcessPoolExecutor(workers, context, _one_thread) as pool:
            for paths in (40_000, 400_000):  # the first starts the workers
                began = time.perf_counter()
                sdeint.expect(
                    *(sde, y0, [0.0, 1.0], european),
                    method="SRIW1",
                    steps=200,
                    paths=paths,
                    chunk=20_000,
                    executor=pool,
                    compile=False,
                )
                last = time.perf_counter() - began
        seconds.append(last)
    rows = [(str(n), f"{s:.2f}", f"{seconds[0] / s:.2f}") for n, s in zip((1, 2), seconds)]
    return table(("processes", "s", "times as fast"), rows)


def _one_thread() -> None:
    torch.set_num_threads(1)
