"""Drawing samples from a diffusion model with any tableau for additive noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from diffusion.budget import steps_on
from diffusion.churn import Churn
from diffusion.corrections import Correction
from diffusion.grids import Grid, LambdaRange, Times, time_grid
from diffusion.items import Items, items_of
from diffusion.plan import Plan
from diffusion.predictions import check_prediction
from diffusion.processes import VP, Process
from diffusion.reverse import Evaluated, Model, NoiseClock
from diffusion.running import run
from diffusion.stochasticity import Eta
from sdeint import ProblemError
from sdeint.brownian import BrownianPath
from sdeint.solving import resolve_method
from tableaux import Tableau
from tableaux.errors import unknown

__all__ = ["Trajectory", "sample", "trajectory"]


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
        `NoiseClock.noise` as time (lambda, in `diffusion.log_snr`), ``shape[:1]`` as batch and
        ``shape[1:]`` as channels; the seed is then that of the initial noise alone.
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
        What a method takes for its drift: the denoised state, in the noise clock; or the noise. Without
        stochasticity that is in the clock sigma/alpha (`diffusion.noise_level`): so the methods of
        Adams in that clock or its logarithm are those of DEIS.  Exponential methods take the linear
        part apart, in lambda and at any number eta (`diffusion.log_snr`): so SEEDS2Noise is SEEDS-2.
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
    items = items_of(shape, seed, first_item, dtype, device)
    process = VP() if process is None else process
    check_prediction(prediction)
    tableau = resolve_method(method)
    if start_time is not None and start is None:
        raise ProblemError("start_time is the time of noisy data: give the clean ones as start")
    steps = steps_on(grid, tableau, nfe, denoise=denoise)
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
    noise = clock.noise(clock_times)
    driver = items.driver(path, (float(noise[0]), float(noise[-1])), clock.stochasticity.silent)
    plan = Plan(
        process,
        prediction,
        tableau,
        times,
        eta,
        variance,
        tuple(corrections),
        driver,
        drift,
        churn,
    )
    if start is None:  # the clock's Gaussian model is Brownian motion until the first time
        z = items.initial(float(noise[0]))
    else:
        z = _noised(clock, float(clock_times[0]), times[0], items, start)
    with torch.no_grad():
        at, values = run(plan, clock, z, items, save_at, progress)
        final = _final(clock, float(clock_times[-1]), values[-1], denoise)
    states = [clock.to_state(float(r), z) for r, z in zip(at, values)]
    kept = times if save_at is None else times[-1:]
    return Trajectory(kept, torch.stack(states), final, clock.evaluations, plan)


def _noised(clock: NoiseClock, r: float, t: Tensor, items: Items, start: Tensor) -> Tensor:
    """Z of data that are known, at a time: R x0 and noise."""
    z = items.initial(r**2 / float(clock.process.rho(t)))
    return z + r * _checked_start(start, items.shape).to(z)


def _final(clock: NoiseClock, last: float, z: Tensor, denoise: bool) -> Tensor:
    """The result, from Z at the last time of the clock."""
    if not denoise:
        return clock.to_state(last, z)
    # The time as the steps see it: a 0-dimensional tensor of the state's dtype.
    return clock.x0(torch.tensor(last, dtype=z.dtype, device=z.device), z)


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


def _checked_start(start: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tuple(start.shape) not in (shape, shape[1:]):
        raise ProblemError(
            f"start must have the shape of the batch, {shape}, or of an item, {shape[1:]}; got "
            f"{tuple(start.shape)}"
        )
    return start
