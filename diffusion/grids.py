"""Time grids: where along a process the steps of a sampler lie.

Each grid takes a process, a number of steps and a range of ``lambda = log(alpha / sigma)``, and
returns ``steps + 1`` strictly decreasing float64 times, from noise to data. The range is in lambda
and not in t because the same range then means the same noise levels for every process; its two
ends are the first and the last time of every grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from diffusion.processes import Process
from tableaux.errors import unknown

LambdaRange = tuple[float, float]
Grid = Callable[[Process, int, LambdaRange], Tensor]

# sigma / alpha from 164 down to 0.01, clipped to what the process reaches (VP: lambda >= -5.03).
_DEFAULT_RANGE = (-5.1, 4.6)


def uniform_lambda(process: Process, steps: int, lambda_range: LambdaRange) -> Tensor:
    """Equal steps in lambda: the usual choice for exponential integrators (DPM-Solver)."""
    return process.t_of_lambda(_line(*lambda_range, steps))


def uniform_t(process: Process, steps: int, lambda_range: LambdaRange) -> Tensor:
    """Equal steps in time, as in DDPM and score_sde."""
    return _line(*_ends(process, lambda_range), steps)


def quadratic(process: Process, steps: int, lambda_range: LambdaRange) -> Tensor:
    """Equal steps in the square root of time, as in DDIM (arXiv 2010.02502, appendix D.2)."""
    first, last = _ends(process, lambda_range)
    return _line(first**0.5, last**0.5, steps) ** 2


def karras(
    process: Process, steps: int, lambda_range: LambdaRange, *, power: float = 7.0
) -> Tensor:
    """Equal steps in ``(sigma / alpha)**(1 / power)``, as in EDM (arXiv 2206.00364, eq. 5)."""
    low, high = lambda_range
    roots = _line(math.exp(-low / power), math.exp(-high / power), steps)
    return process.t_of_lambda(-power * torch.log(roots))


grids: Mapping[str, Grid] = {
    "uniform_lambda": uniform_lambda,
    "uniform_t": uniform_t,
    "quadratic": quadratic,
    "karras": karras,
}


def time_grid(
    grid: str | Grid,
    process: Process,
    steps: int,
    lambda_range: LambdaRange | None = None,
) -> Tensor:
    """The times of `steps` steps, from noise to data.

    Parameters
    ----------
    grid : str or callable
        A name in `grids`, or a function with their signature.
    process : Process
        The forward process.
    steps : int
        Number of steps, at least one.
    lambda_range : (float, float), optional
        Lambda at the first time and at the last, increasing. By default -5.1 to 4.6, as far as
        the process reaches.

    Returns
    -------
    Tensor
        Shape ``(steps + 1,)``, float64, strictly decreasing.

    Raises
    ------
    ValueError
        For an unknown grid, fewer than one step, a range that is empty or beyond the process,
        or a grid that does not decrease.
    """
    if isinstance(grid, str):
        if grid not in grids:
            raise ValueError(unknown("time grid", grid, grids))
        grid = grids[grid]
    if steps < 1:
        raise ValueError(f"a time grid needs at least one step, not {steps}")
    if lambda_range is None:
        lowest, highest = float(process.lambda_(process.T)), float(process.lambda_(0.0))
        lambda_range = max(_DEFAULT_RANGE[0], lowest), min(_DEFAULT_RANGE[1], highest)
    low, high = lambda_range
    if not low < high:
        raise ValueError(f"lambda_range = ({low:g}, {high:g}) must increase: from noise to data")
    times = grid(process, steps, (low, high))
    # Whatever rounding did inside, the ends are exactly those that were asked for.
    times[0], times[-1] = process.t_of_lambda(low), process.t_of_lambda(high)
    if times.shape != (steps + 1,) or not bool((times[1:] < times[:-1]).all()):
        raise ValueError(f"the grid is not {steps + 1} strictly decreasing times: {times.tolist()}")
    return times


def _ends(process: Process, lambda_range: LambdaRange) -> tuple[float, float]:
    low, high = lambda_range
    return float(process.t_of_lambda(low)), float(process.t_of_lambda(high))


def _line(first: float, last: float, steps: int) -> Tensor:
    return torch.linspace(first, last, steps + 1, dtype=torch.float64)
