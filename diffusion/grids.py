"""Time grids: where along a process the steps of a sampler lie.

Each grid takes a process, a number of steps and a range of ``lambda = log(alpha / sigma)``, and
returns ``steps + 1`` strictly decreasing float64 times, from noise to data. The range is in lambda
and not in t because the same range then means the same noise levels for every process; its two
ends are the first and the last time of every grid. Only the grids of `diffusion.spacings` and
explicit times have ends of their own.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from diffusion.processes import Process
from diffusion.spacings import spacings
from tableaux.errors import unknown

LambdaRange = tuple[float, float]
Grid = Callable[[Process, int, LambdaRange], Tensor]
Times = Sequence[float] | Tensor

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
    """Equal steps in ``(sigma / alpha)**(1 / power)`` (Karras et al., arXiv 2206.00364, eq. 5)."""
    low, high = lambda_range
    roots = _line(math.exp(-low / power), math.exp(-high / power), steps)
    return process.t_of_lambda(-power * torch.log(roots))


def edm(process: Process, steps: int, lambda_range: LambdaRange) -> Tensor:
    """The grid `karras` on EDM's own range: ``sigma / alpha`` from 80 to 0.002 unless told otherwise.

    EDM's further step to sigma = 0 is the final denoising evaluation.
    """
    return karras(process, steps, lambda_range)


def beta(
    process: Process, steps: int, lambda_range: LambdaRange, *, a: float = 0.6, b: float = 0.6
) -> Tensor:
    """Quantiles of a beta distribution in time: small steps at both ends (arXiv 2407.12173)."""
    from scipy.special import betaincinv  # slow to import, and needed only here

    first, last = _ends(process, lambda_range)
    quantiles = torch.from_numpy(betaincinv(a, b, _line(1.0, 0.0, steps).numpy()))
    return last + (first - last) * quantiles


grids: Mapping[str, Grid] = {
    "uniform_lambda": uniform_lambda,
    "uniform_t": uniform_t,
    "quadratic": quadratic,
    "karras": karras,
    "edm": edm,
    "beta": beta,
}

#: Ranges of the grids that come with one of their own.
_OWN_RANGES = {"edm": (-math.log(80.0), -math.log(0.002))}


def time_grid(
    grid: str | Grid | Times,
    process: Process,
    steps: int,
    lambda_range: LambdaRange | None = None,
    first_time: float | None = None,
) -> Tensor:
    """The times of `steps` steps, from noise to data.

    Parameters
    ----------
    grid : str, callable or times
        A name in `grids` or in `spacings`, with numbers for its own parameters where they are to be
        others, as in ``"karras(5)"``; a function with the signature of the former; or the ``steps +
        1`` times themselves, decreasing.
    process : Process
        The forward process.
    steps : int
        Number of steps, at least one.
    lambda_range : (float, float), optional
        Lambda at the first time and at the last, increasing. By default -5.1 to 4.6 (EDM's grid
        -4.38 to 6.21), as far as the process's network was trained. Spacings and explicit times
        have their own ends.
    first_time : float, optional
        The first time, instead of the lower end of the range.

    Returns
    -------
    Tensor
        Shape ``(steps + 1,)``, float64, strictly decreasing.

    Raises
    ------
    ValueError
        For an unknown grid, fewer than one step, a range that is empty or beyond the process, a
        range beside a grid that has its own ends, or a grid that does not decrease.
    """
    if steps < 1:
        raise ValueError(f"a time grid needs at least one step, not {steps}")
    name, parameters = _read(grid) if isinstance(grid, str) else ("", {})
    if name not in grids and not callable(grid):
        if lambda_range is not None or first_time is not None:
            own = f"grids such as {grid!r} have" if name else "explicit times have"
            raise ValueError(f"{own} ends of their own: leave out lambda_range and first_time")
        if name:
            times = spacings[name](process, steps, **parameters)
        else:
            times = torch.as_tensor(grid, dtype=torch.float64).clone()
        return _checked(times, process, steps)
    if lambda_range is None:
        lambda_range = _default_range(process, name)
    low, high = lambda_range
    if first_time is not None:
        low = float(process.lambda_(first_time))
    if not low < high:
        raise ValueError(f"lambda_range = ({low:g}, {high:g}) must increase: from noise to data")
    made: Callable[..., Tensor] = grid if callable(grid) else grids[name]
    times = made(process, steps, (low, high), **parameters)
    # Whatever rounding did inside, the ends are exactly those that were asked for.
    times[0], times[-1] = process.t_of_lambda(low), process.t_of_lambda(high)
    return _checked(times, process, steps)


def _read(text: str) -> tuple[str, dict[str, float]]:
    """The name of a grid or spacing, and its parameters that are given in brackets, in their order."""
    found = re.fullmatch(r"(\w+)(?:\(([^()]*)\))?", text)
    name, numbers = found.groups() if found else (text, None)
    if name not in grids and name not in spacings:
        raise ValueError(unknown("time grid", name, [*grids, *spacings]))
    function = grids[name] if name in grids else spacings[name]
    parameters = inspect.signature(function).parameters.values()
    own = [p.name for p in parameters if p.kind == p.KEYWORD_ONLY]
    try:
        values = [float(number) for number in numbers.split(",")] if numbers else []
    except ValueError:
        values = [math.nan]
    if len(values) > len(own) or not all(map(math.isfinite, values)):
        takes = f"numbers for {', '.join(own)}" if own else "no numbers"
        raise ValueError(f"the grid {name!r} takes {takes}, not ({numbers})")
    return name, dict(zip(own, values))


def _default_range(process: Process, name: str) -> LambdaRange:
    low, high = _OWN_RANGES.get(name, _DEFAULT_RANGE)
    first, last = process.trained
    return max(low, float(process.lambda_(last))), min(high, float(process.lambda_(first)))


def _checked(times: Tensor, process: Process, steps: int) -> Tensor:
    if times.shape != (steps + 1,) or not bool((times[1:] < times[:-1]).all()):
        raise ValueError(f"the grid is not {steps + 1} strictly decreasing times: {times.tolist()}")
    first, last = float(times[0]), float(times[-1])
    within = 0 <= last < first <= process.T
    if not within or not (float(process.sigma(last)) > 0 and float(process.alpha(first)) > 0):
        raise ValueError(
            f"the times {first:g} to {last:g} must lie in [0, {process.T:g}] of {process}, begin where "
            "something of the data is left, and end where there is noise"
        )
    return times


def _ends(process: Process, lambda_range: LambdaRange) -> tuple[float, float]:
    low, high = lambda_range
    return float(process.t_of_lambda(low)), float(process.t_of_lambda(high))


def _line(first: float, last: float, steps: int) -> Tensor:
    return torch.linspace(first, last, steps + 1, dtype=torch.float64)
