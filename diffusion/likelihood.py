"""Log-likelihoods of data, by the probability-flow ODE."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from diffusion.budget import steps_for
from diffusion.grids import Grid, LambdaRange, Times, time_grid
from diffusion.predictions import check_prediction
from diffusion.processes import VP, Process
from diffusion.reverse import Model, NoiseClock
from sdeint import SDE, GridPath, ProblemError, solve
from tableaux import Tableau

__all__ = ["log_likelihood"]


def log_likelihood(
    model: Model,
    data: Tensor,
    *,
    process: Process | None = None,
    prediction: str = "epsilon",
    method: str | Tableau = "RK4",
    nfe: int = 128,
    grid: str | Grid | Times = "uniform_lambda",
    lambda_range: LambdaRange | None = None,
    divergence: str = "exact",
    probes: int = 1,
    seed: int = 0,
    first_item: int = 0,
    progress: bool = False,
) -> Tensor:
    r"""Log-density of data under a model.

    The flow ``dZ = x0hat dR``, ``R = alpha/sigma``, carries ``Z = x/sigma`` from the data to noise,
    where it is taken as standard normal; the density changes by the divergence of x0hat on the way.

    Parameters
    ----------
    model : callable (x, t) -> prediction
        Differentiable in `x`; an item's output must depend on that item only.
    data : tensor (items, \*event)
        Clean data. What is returned is the density of data blurred with noise of the standard
        deviation ``sigma/alpha`` at the last time, 0.01 by default: at the data themselves a
        density need not exist.
    process, prediction, method, grid, lambda_range, progress
        As for `diffusion.sample`; without noise the method is a Runge-Kutta method.
    nfe : int
        Evaluations of the model, at most. Each is differentiated as often as `divergence` says.
    divergence : {"exact", "hutchinson"}
        The trace of the Jacobian: exactly, by as many derivatives as an item has numbers; or
        estimated without bias by `probes` random vectors of signs, the same for the whole flow.
    probes : int
    seed, first_item : int
        Of the random vectors of item ``first_item + i``.

    Returns
    -------
    tensor (items,)
        In nats. Divide by ``-log(2) * event.numel()`` for bits a dimension.

    Raises
    ------
    ProblemError, ValueError
        As `diffusion.sample`; if `divergence` is unknown or `probes` not positive.

    References
    ----------
    Song et al., ICLR 2021 (arXiv 2011.13456), section 4.3; Grathwohl et al., FFJORD, ICLR 2019
    (arXiv 1810.01367).
    """
    process = VP() if process is None else process
    check_prediction(prediction)
    steps = len(grid) - 1 if not (isinstance(grid, str) or callable(grid)) else 0
    allowed = steps_for(method, nfe, denoise=False)
    if steps > allowed:
        raise ProblemError(f"the grid has {steps} steps, but nfe={nfe} allows {allowed}")
    times = time_grid(grid, process, steps or allowed, lambda_range).flip(0)
    clock = NoiseClock(model, process, prediction, eta=0.0)
    trace = _trace(data, divergence, probes, seed, first_item)
    shape, width = data.shape, math.prod(data.shape[1:])

    def augmented(r: Tensor, state: Tensor) -> Tensor:
        with torch.enable_grad():
            z = state[:, :width].detach().requires_grad_()
            x0 = clock.x0(r, z.reshape(shape)).reshape(z.shape)
            slope = trace(x0, z)
        return torch.cat([x0.detach(), slope[:, None]], 1)

    r = clock.of(times)
    z = float(r[0]) * data.detach().reshape(len(data), width)
    state = torch.cat([z, torch.zeros_like(z[:, :1])], 1)
    options: dict[str, Any] = {"compile": False, "save_at": "end", "progress": progress}
    with torch.no_grad():
        end = solve(SDE(augmented), state, r, method=method, **options).y[-1]
    noise, change = end[:, :width], end[:, width]
    normal = -(noise**2).sum(1) / 2 - width * math.log(2 * math.pi) / 2
    return normal + change + width * math.log(float(r[0]))


def _trace(
    data: Tensor, divergence: str, probes: int, seed: int, first_item: int
) -> Callable[[Tensor, Tensor], Tensor]:
    """A function (output, input) -> trace of the Jacobian of each item, (items,)."""
    width = math.prod(data.shape[1:])
    if divergence == "exact":
        vectors = torch.eye(width, dtype=data.dtype, device=data.device)
        share = 1.0
    elif divergence == "hutchinson":
        if isinstance(probes, bool) or not isinstance(probes, int) or probes < 1:
            raise ProblemError(f"probes must be a positive int, got {probes!r}")
        path = GridPath(
            seed,
            (len(data),),
            (width,),
            dtype=data.dtype,
            device=data.device,
            first_path=first_item,
        )
        times = torch.arange(probes + 1, dtype=torch.float64)
        vectors = path.on(times).draw(0, probes, ["sign"])["sign"]
        share = 1 / probes
    else:
        raise ProblemError(f"divergence must be 'exact' or 'hutchinson', got {divergence!r}")

    def trace(output: Tensor, state: Tensor) -> Tensor:
        total = output.new_zeros(len(output))
        for i, vector in enumerate(vectors):
            (product,) = torch.autograd.grad(
                (output * vector).sum(), state, retain_graph=i + 1 < len(vectors)
            )
            total += (product * vector).sum(1)
        return total * share

    return trace
