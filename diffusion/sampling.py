"""Drawing samples from a diffusion model with any tableau for additive noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from diffusion.churn import Churn, churned
from diffusion.corrections import Correction
from diffusion.grids import Grid, LambdaRange, Times, time_grid
from diffusion.noise_level import NoiseLevel
from diffusion.plan import Plan
from diffusion.predictions import check_prediction
from diffusion.processes import VP, Process
from diffusion.reverse import Evaluated, Model, NoiseClock
from diffusion.stochasticity import Eta
from sdeint import GridPath, ProblemError, TreePath, solve
from sdeint.brownian import BrownianPath, logarithmic
from sdeint.lowering import lower, lower_starts
from sdeint.solving import resolve_method
from tableaux import Tableau
from tableaux.errors import unknown

__all__ = ["Trajectory", "sample", "steps_for", "trajectory"]

#: Path index of the initial noise of item 0; the items' own paths lie below it.
_INITIAL = 1 << 39


@dataclass(frozen=True)
class Trajectory:
    r"""A sampling run, step by step.

    Attributes
    ----------
    t : tensor (steps + 1,)
        Times of the process, decreasing.
    x : tensor (steps + 1, \*shape)
        The noisy states at those times.
    final : tensor of shape `shape`
        What `sample` returns.
    evaluations : int
        How often the model was called on the batch.
    plan : Plan
        What `transition_log_probabilities` needs to retrace the run with any model.
    """

    t: Tensor
    x: Tensor
    final: Tensor
    evaluations: int
    plan: Plan = field(repr=False)


def sample(
    model: Model,
    shape: Sequence[int],
    *,
    process: Process | None = None,
    prediction: str = "epsilon",
    method: str | Tableau = "TwoStep",
    nfe: int = 32,
    seed: int | Sequence[int] | Tensor = 0,
    first_item: int = 0,
    grid: str | Grid | Times = "uniform_lambda",
    lambda_range: LambdaRange | None = None,
    path: str | BrownianPath = "grid",
    eta: Eta = 1.0,
    variance: float = 0.0,
    drift: str = "x0",
    churn: Churn | None = None,
    denoise: bool = True,
    start: Tensor | None = None,
    start_time: float | None = None,
    corrections: Sequence[Correction] = (),
    callback: Callable[[Evaluated], None] | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> Tensor:
    r"""Sample a diffusion model.

    Parameters
    ----------
    model : callable (x, t) -> prediction
        `x` has shape `shape` and `t` shape (shape[0],), both of `dtype`.
    shape : sequence of int
        (items, \*event).
    process : Process
        The forward process that the model was trained for; by default `VP`.
    prediction : {"epsilon", "x0", "v", "score", "flow"}
        What the model returns.
    method : str or Tableau
        Any explicit tableau for additive noise; it runs in the noise clock (`diffusion.reverse`).
    nfe : int
        Evaluations of the model, at most: the number of steps is the largest that keeps to it.
    seed : int, or a sequence of one int an item
        With an int, item i is path i of that seed; with one an item, an item depends on its own
        seed only.  Either way an item's sample does not depend on the batch that it is in.
    first_item : int
        Index of the first item, so that a part of a batch reproduces that part.
    grid : str, callable or times
        Name of a grid of `diffusion.grids` or `diffusion.spacings`, a function like the former, or
        the times themselves, decreasing.
    lambda_range : (float, float), optional
        From which to which log(alpha/sigma); by default -5.1 to 4.6 as far as the process goes.
    path : {"grid", "tree"} or BrownianPath
        ``"tree"``: the same Brownian path for every number of steps, so that more evaluations
        refine the same sample; ``"grid"`` is cheaper. A path of one's own has the clock of
        `NoiseClock.noise` as time, ``shape[:1]`` as batch and ``shape[1:]`` as channels; the seed
        is then that of the initial noise alone.
    eta : float, (float, float, float) or callable
        Stochasticity: 1 is the reverse SDE, 0 the probability-flow ODE, and more than 1 churns more;
        the law of the samples is the same, their errors are not.  ``(eta, low, high)`` is eta where
        ``low <= sigma/alpha <= high``, as EDM's S_tmin and S_tmax, and 0 elsewhere; a function takes
        sigma/alpha, a float64 tensor (n,), and returns eta, at least 0.  Methods whose order rests on the
        martingale property of the reverse SDE, such as TwoStep, have order 1 elsewhere: take SRA1.
    variance : float
        Of a coordinate of the data: sampling then starts from, and at any step size is exact on,
        Gaussian data of this variance, whatever the method; other data gain as well
        (docs/diffusion.md).  0, the default, claims nothing about the data.
    drift : {"x0", "epsilon"}
        What a method takes for its drift: the denoised state, in the noise clock; or, without
        stochasticity, the noise, in the clock sigma/alpha (`diffusion.noise_level`): so the methods of
        Adams in that clock or its logarithm are those of DEIS.
    churn : Churn, optional
        Noise that is added at the beginning of steps of the probability flow, as EDM does; with a method
        without memory and eta = 0 (`diffusion.churn`).
    denoise : bool
        End with one evaluation that removes the noise that is left at the last time.
    start : tensor, optional
        Clean data, of the shape of an item or of the batch, that the first time is a noisy version
        of (image to image), instead of noise alone.
    start_time : float, optional
        The first time, where there is a `start`: the earlier, the more of it is kept.
    corrections : sequence of callables (x0, t) -> x0
        Applied to each denoised state: thresholds, inpainting; see `diffusion.corrections`.
    callback : callable (Evaluated) -> None, optional
        Called after each evaluation with the denoised state, a preview that costs none.
    dtype, device : optional
        Of the state.
    progress : bool
        Show a progress bar.

    Returns
    -------
    tensor of shape `shape`

    Raises
    ------
    ProblemError
        If the method does not fit additive noise, `nfe` is too small for one step, or `eta` too
        large for the state's precision.
    ValueError
        If the process, prediction, grid, eta, variance or drift is none.
    """
    return _draw(
        model,
        shape,
        process=process,
        prediction=prediction,
        method=method,
        nfe=nfe,
        seed=seed,
        first_item=first_item,
        grid=grid,
        lambda_range=lambda_range,
        path=path,
        eta=eta,
        variance=variance,
        drift=drift,
        churn=churn,
        denoise=denoise,
        start=start,
        start_time=start_time,
        corrections=corrections,
        callback=callback,
        dtype=dtype,
        device=device,
        progress=progress,
    ).final


def trajectory(model: Model, shape: Sequence[int], **options: Any) -> Trajectory:
    """Sample a diffusion model and keep every step; takes what `sample` takes."""
    chosen = {**(sample.__kwdefaults__ or {}), **options}
    strangers = set(options) - set(sample.__kwdefaults__ or {})
    if strangers:
        raise TypeError(unknown("option", min(strangers), chosen))
    return _draw(model, shape, save_at=None, **chosen)


def _draw(
    model: Model,
    shape: Sequence[int],
    *,
    process: Process | None,
    prediction: str,
    method: str | Tableau,
    nfe: int,
    seed: int | Sequence[int] | Tensor,
    first_item: int,
    grid: str | Grid | Times,
    lambda_range: LambdaRange | None,
    path: str | BrownianPath,
    eta: Eta,
    variance: float,
    drift: str,
    churn: Churn | None,
    denoise: bool,
    start: Tensor | None,
    start_time: float | None,
    corrections: Sequence[Correction],
    callback: Callable[[Evaluated], None] | None,
    dtype: torch.dtype,
    device: torch.device | str | None,
    progress: bool,
    save_at: str | None = "end",
) -> Trajectory:
    shape = _checked_shape(shape)
    process = VP() if process is None else process
    check_prediction(prediction)
    tableau = resolve_method(method)
    if start_time is not None and start is None:
        raise ProblemError("start_time is the time of noisy data: give the clean ones as start")
    steps = _steps(tableau, nfe, denoise, grid)
    times = time_grid(grid, process, steps, lambda_range, start_time)
    clock = NoiseClock(
        model,
        process,
        prediction,
        corrections=corrections,
        callback=callback,
        eta=eta,
        variance=variance,
    )
    clock_times = _checked_clock(clock, times, dtype)
    spread = clock.noise(clock_times)
    batch, event = shape[:1], shape[1:]
    identity = _identity(seed, first_item, shape[0])
    options: dict[str, Any] = {**identity, "dtype": dtype, "device": device}
    driver: BrownianPath
    ends = float(spread[0]), float(spread[-1])
    if isinstance(path, BrownianPath):
        driver = path
    elif path not in ("grid", "tree"):
        raise ProblemError(f"path must be 'grid', 'tree' or a BrownianPath, got {path!r}")
    elif path == "tree" and ends[0] < ends[1]:
        warp = logarithmic(*ends)
        driver = TreePath(batch=batch, channels=event, t0=ends[0], t1=ends[1], warp=warp, **options)
    else:
        # Without noise there are random nodes at most, one for all components of an item.
        channels = (1,) * len(event) if clock.stochasticity.silent else event
        driver = GridPath(batch=batch, channels=channels, **options)

    # Up to the first time the samples are those of the clock's Gaussian model, Brownian motion; or Z =
    # R x0 + noise, for data x0 that are known.
    initial = GridPath(
        batch=batch,
        channels=event,
        **{**options, "path_index": identity["path_index"] + _INITIAL},
    )
    known = float(clock_times[0]) ** 2 / float(process.rho(times[0]))
    until = torch.tensor([0.0, float(spread[0]) if start is None else known], dtype=torch.float64)
    z = initial.on(until).draw(0, 1, ["W"])["W"][0]
    if start is not None:
        z = z + float(clock_times[0]) * _checked_start(start, shape).to(z)
    with torch.no_grad():
        if churn is None:
            at, values = _solved(clock, drift, tableau, z, clock_times, driver, save_at, progress)
        else:
            _check_churn(tableau, clock)
            unit = GridPath(batch=batch, channels=event, **options)
            numbers = torch.arange(steps + 1, dtype=torch.float64)
            at, values = (
                clock_times,
                churned(
                    z,
                    clock_times,
                    churn,
                    unit.on(numbers).draw(0, steps, ["W"])["W"],
                    float(process.rho(process.T)) ** -0.5,
                    lambda z, t: _solved(clock, drift, tableau, z, t, driver, "end", False)[1][-1],
                ),
            )
            if save_at is not None:
                at, values = at[-1:], values[-1:]
        last = float(clock_times[-1])
        z = values[-1]
        if denoise:
            # The time as the steps see it: a 0-dimensional tensor of the state's dtype.
            final = clock.x0(torch.tensor(last, dtype=z.dtype, device=z.device), z)
        else:
            final = clock.to_state(last, z)
    states = [clock.to_state(float(r), z) for r, z in zip(at, values)]
    kept = times if save_at is None else times[-1:]
    plan = Plan(process, prediction, tableau, times, eta, variance, tuple(corrections), driver)
    return Trajectory(kept, torch.stack(states), final, clock.evaluations, plan)


def _solved(
    clock: NoiseClock,
    drift: str,
    tableau: Tableau,
    z: Tensor,
    times: Tensor,
    driver: BrownianPath,
    save_at: str | None,
    progress: bool,
) -> tuple[Tensor, Tensor]:
    """Times of the clock and the values of Z there, from Z at the first of `times`."""
    if drift not in ("x0", "epsilon"):
        raise ValueError(f"drift must be 'x0' or 'epsilon', got {drift!r}")
    options: dict[str, Any] = {"method": tableau, "save_at": save_at, "progress": progress}
    options |= {"path": clock.driver(driver) or driver}
    options |= {"compile": False}  # a model is called, never traced
    if drift == "x0":
        solution = solve(clock.sde(z.ndim - 1), z, times, **options)
        return solution.t, solution.y
    level, start = NoiseLevel(clock), z / float(times[0])
    solution = solve(level.sde(z.ndim - 1), start, 1 / times, **options)
    found = [x / float(u) for x, u in zip(solution.y, solution.t)]
    return 1 / solution.t, torch.stack(found)


def _check_churn(tableau: Tableau, clock: NoiseClock) -> None:
    if not clock.stochasticity.silent or clock.variance:
        raise ProblemError("churn is for the probability flow: take eta = 0 and variance = 0")
    if tableau.start is not None or tableau.random_nodes:
        raise ProblemError(
            f"method {tableau.name!r} cannot be churned: each step begins anew, so take a method "
            "without memory and random nodes"
        )


def _checked_clock(clock: NoiseClock, times: Tensor, dtype: torch.dtype) -> Tensor:
    """The clock at all times, which the state's precision must hold."""
    grid = clock.of(times)
    first, last = (float(grid[i].to(dtype)) for i in (0, -1))
    limit = torch.finfo(dtype).max ** 0.5
    if not 1 / limit < first < last < limit:
        raise ProblemError(
            f"eta = {clock.stochasticity} is too large for {dtype}: the clock of the samples would run from "
            f"{float(grid[0]):.3g} to {float(grid[-1]):.3g}"
        )
    return grid


def steps_for(method: str | Tableau, nfe: int, *, denoise: bool = True) -> int:
    """How many steps a method can take with `nfe` evaluations of the model.

    Raises
    ------
    ProblemError
        If not even one step fits.
    """
    tableau = resolve_method(method)
    if isinstance(nfe, bool) or not isinstance(nfe, int) or nfe < 1:
        raise ProblemError(f"nfe must be a positive int, got {nfe!r}")
    each = lower(tableau, matrix=False, additive=True).count(drift=True)
    starts = lower_starts(tableau, matrix=False, additive=True)
    counts = [program.count(drift=True) for program in starts]
    first = (*counts, each)[0]
    left, steps = nfe - int(denoise), 0
    while left >= (cost := counts[steps] if steps < len(counts) else each):
        left, steps = left - cost, steps + 1
    if steps < 1:
        raise ProblemError(
            f"nfe={nfe} is too few for {tableau.name!r}: the first step takes {first} evaluations"
            + (" and the final denoising one" if denoise else "")
        )
    return steps


def _steps(tableau: Tableau, nfe: int, denoise: bool, grid: str | Grid | Times) -> int:
    """The most steps that `nfe` allows; those of explicit times, if they are not more."""
    steps = steps_for(tableau, nfe, denoise=denoise)
    if isinstance(grid, str) or callable(grid):
        return steps
    if len(grid) - 1 > steps:
        raise ProblemError(
            f"the grid has {len(grid) - 1} steps, but nfe={nfe} allows {tableau.name!r} {steps}"
        )
    return len(grid) - 1


def _checked_start(start: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tuple(start.shape) not in (shape, shape[1:]):
        raise ProblemError(
            f"start must have the shape of the batch, {shape}, or of an item, {shape[1:]}; got "
            f"{tuple(start.shape)}"
        )
    return start


def _checked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    result = tuple(shape)
    if len(result) < 1 or any(not isinstance(n, int) or n < 1 for n in result):
        raise ProblemError(f"shape must be (items, *event) of positive ints, got {shape!r}")
    return result


def _identity(seed: int | Sequence[int] | Tensor, first_item: int, items: int) -> dict[str, Any]:
    """Seed and path index of each item."""
    if isinstance(seed, int):
        index = torch.arange(first_item, first_item + items, dtype=torch.int64)
        return {"seed": seed, "path_index": index}
    seeds = torch.as_tensor(seed, dtype=torch.int64)
    if tuple(seeds.shape) != (items,):
        raise ProblemError(
            f"seed must be an int or one int for each of the {items} items, got shape "
            f"{tuple(seeds.shape)}"
        )
    if first_item:
        raise ProblemError("first_item numbers the items of one seed; with a seed an item, drop it")
    return {"seed": seeds, "path_index": torch.zeros(items, dtype=torch.int64)}
