"""The schedulers of diffusers, fed a denoiser at exactly the noise level that they mean.

A pipeline rounds that level to one of 1000 training times; here it is given as it is, so that what is
compared is the method alone.  The grid is uniform in lambda over the range that our own samplers
use, or the scheduler's default where it has no such option.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.study.requests import Draw, Request
from sdeint.brownian import BrownianPath


def available() -> list[tuple[str, bool, Draw]]:
    """(name, whether it is free of noise, how it draws); none if diffusers is not installed."""
    try:
        import diffusers
    except ImportError:
        return []
    return [
        ("DDPM", False, _ddpm(diffusers)),
        ("DPMSolverMultistep sde", False, _multistep(diffusers, "sde-dpmsolver++", 2)),
        ("DPMSolverSDE", False, _midpoint(diffusers)),
        ("SASolver", False, _stochastic_adams(diffusers)),
        ("EDM 2M sde", False, _edm(diffusers)),
        ("DPMSolverMultistep ode", True, _multistep(diffusers, "dpmsolver++", 2)),
    ]


def _denoised(request: Request, x: Tensor, level: float) -> tuple[Tensor, float]:
    """x0hat and sigma of a variance-preserving x at sigma/alpha = level.

    The discrete schedule begins 3 % above the noisiest level of the continuous one, and is held to it.
    """
    process = request.process
    highest = math.exp(-float(process.lambda_(process.T)) - 1e-9)
    t = process.t_of_lambda(-math.log(min(level, highest)))
    sigma = level / math.sqrt(1 + level**2)
    return request.denoiser(x, t.to(x).expand(len(x))), sigma


def _epsilon(request: Request, x: Tensor, level: float) -> Tensor:
    x0, sigma = _denoised(request, x, level)
    return (x - math.sqrt(1 - sigma**2) * x0) / sigma


def _noise(request: Request) -> tuple[torch.Generator, Tensor]:
    # Not the seed of the path, whose first step would then be the start again.
    generator = torch.Generator().manual_seed(request.seed + 1_000_000)
    return generator, torch.randn(request.shape, generator=generator)


def _of_path(request: Request, levels: list[float]) -> Iterator[Tensor]:
    """The normals of steps between noise levels, from the path that all samplers have.

    After the last level nothing is random, whatever a scheduler draws.
    """
    assert request.path is not None
    rho = 1 / torch.tensor(levels, dtype=torch.float64) ** 2
    drawn = request.path.on(rho).draw(0, len(rho) - 1, ["W"])["W"]
    for w, h in zip(drawn, rho.diff()):
        yield w / math.sqrt(float(h))
    yield torch.zeros(request.shape)


def _run(
    scheduler: Any,
    request: Request,
    level: Callable[[int, Any], float],
    output: Callable[[Request, Tensor, float], Tensor] = _epsilon,
) -> Tensor:
    """All steps of a scheduler that evaluates once in each.

    Parameters
    ----------
    scheduler
    request : Request
    level : callable (step, timestep) -> sigma/alpha
    output : callable (request, x, level) -> what the scheduler takes the network to return
    """
    scheduler.set_timesteps(request.nfe)
    generator, x = _noise(request)
    x = x * scheduler.init_noise_sigma
    levels = [level(i, t) for i, t in enumerate(scheduler.timesteps)]
    module = sys.modules[type(scheduler).__module__]
    normals = None if request.path is None else _of_path(request, levels)
    given = nullcontext() if normals is None else _drawing(module, normals)
    with given:
        for at, t in zip(levels, scheduler.timesteps):
            x = scheduler.step(output(request, x, at), t, x, generator=generator).prev_sample
    return x


class _InSigma:
    """A Brownian motion with sigma as time, for steps of two halves, from the normals of a path.

    Called with the begin and the middle of a step, then with its begin and end, it gives normalised
    increments.
    """

    def __init__(self, path: BrownianPath) -> None:
        self.path = path
        self._half: tuple[Tensor, Tensor] | None = None

    def __call__(self, begin: Tensor, end: Tensor) -> Tensor:
        if self._half is None:
            first = self._normal(begin, end)
            self._half = (end, first)
            return first
        middle, first = self._half
        self._half = None
        share = float((begin - middle) / (begin - end))
        return math.sqrt(share) * first + math.sqrt(1 - share) * self._normal(middle, end)

    def _normal(self, begin: Tensor, end: Tensor) -> Tensor:
        rho = 1 / torch.stack([begin, end]).double() ** 2
        w = self.path.on(rho).draw(0, 1, ["W"])["W"][0]
        return w / math.sqrt(float(rho[1] - rho[0]))


def _drawing(module: Any, normals: Iterator[Tensor]) -> Any:
    """While it lasts, a scheduler's module takes these normals."""
    return patch.object(module, "randn_tensor", lambda *args, **options: next(normals))


def _ddpm(diffusers: Any) -> Draw:
    def draw(request: Request) -> Tensor:
        scheduler = diffusers.DDPMScheduler(timestep_spacing="trailing", clip_sample=False)

        def level(i: int, t: Any) -> float:
            share = float(scheduler.alphas_cumprod[t])
            return math.sqrt((1 - share) / share)

        return _run(scheduler, request, level)

    return draw


def _multistep(diffusers: Any, algorithm: str, order: int) -> Draw:
    def draw(request: Request) -> Tensor:
        scheduler = diffusers.DPMSolverMultistepScheduler(
            algorithm_type=algorithm, solver_order=order, use_lu_lambdas=True
        )
        return _run(scheduler, request, lambda i, t: float(scheduler.sigmas[i]))

    return draw


def _stochastic_adams(diffusers: Any) -> Draw:
    def draw(request: Request) -> Tensor:
        scheduler = diffusers.SASolverScheduler(
            use_exponential_sigmas=True, tau_func=lambda t: 1.0, lower_order_final=True
        )
        return _run(scheduler, request, lambda i, t: float(scheduler.sigmas[i]))

    return draw


def _midpoint(diffusers: Any) -> Draw:
    """Two evaluations a step but the last; its Brownian motion has sigma as time."""

    def draw(request: Request) -> Tensor:
        scheduler = diffusers.DPMSolverSDEScheduler(
            beta_start=1e-4,
            beta_end=0.02,
            beta_schedule="linear",
            use_exponential_sigmas=True,
            noise_sampler_seed=request.seed,
        )
        scheduler.set_timesteps((request.nfe + 1) // 2)
        if request.path is not None:
            scheduler.noise_sampler = _InSigma(request.path)
        logs = torch.log(((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod) ** 0.5)
        _, x = _noise(request)
        x = x * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            low = min(int(t), len(logs) - 2)
            part = float(t) - low
            level = math.exp((1 - part) * float(logs[low]) + part * float(logs[low + 1]))
            scaled = scheduler.scale_model_input(x, t)
            x = scheduler.step(_epsilon(request, scaled, level), t, x).prev_sample
        return x

    return draw


def _edm(diffusers: Any) -> Draw:
    def draw(request: Request) -> Tensor:
        process = request.process
        scheduler = diffusers.EDMDPMSolverMultistepScheduler(
            sigma_min=0.01,
            sigma_max=math.exp(-float(process.lambda_(process.T))),
            sigma_schedule="exponential",
            algorithm_type="sde-dpmsolver++",
        )

        def preconditioned(request: Request, x: Tensor, level: float) -> Tensor:
            """What a preconditioned network would return, for the scheduler to undo."""
            x0, _ = _denoised(request, x / math.sqrt(1 + level**2), level)
            sigma, zero = torch.tensor(level), torch.zeros_like(x)
            skip = scheduler.precondition_outputs(x, zero, sigma)
            gain = scheduler.precondition_outputs(zero, torch.ones_like(x), sigma)
            return (x0 - skip) / gain

        return _run(scheduler, request, lambda i, t: float(scheduler.sigmas[i]), preconditioned)

    return draw
