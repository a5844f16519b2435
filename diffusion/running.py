"""The ways of running a plan: in the noise clock, with the noise as drift, or churned."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from diffusion.churn import churned
from diffusion.items import Items
from diffusion.log_snr import LogSNR
from diffusion.noise_level import NoiseLevel
from diffusion.plan import Plan
from diffusion.reverse import NoiseClock
from sdeint import ProblemError, TreePath, solve

__all__ = ["run"]


def run(
    plan: Plan, clock: NoiseClock, z: Tensor, items: Items, save_at: str | None, progress: bool
) -> tuple[Tensor, Tensor]:
    """Times of the clock, and Z there.

    Parameters
    ----------
    plan : Plan
    clock : NoiseClock
        The plan's, with a model.
    z : tensor (items, *event)
        Z at the first time.
    items : Items
        Whose noise the churn is.
    save_at : {"end", None}
        At the end only, or at all times.
    progress : bool

    Raises
    ------
    ProblemError, ValueError
        If drift, churn, method and stochasticity do not go together.
    """
    times = clock.of(plan.times)
    if plan.churn is None:
        return _solved(plan, clock, z, times, save_at, progress)
    _check_churn(plan, clock)
    values = churned(
        z,
        times,
        plan.churn,
        items.normals(len(times) - 1),
        float(plan.process.rho(plan.process.T)) ** -0.5,
        lambda z, t: _solved(plan, clock, z, t, "end", False)[1][-1],
    )
    return (times, values) if save_at is None else (times[-1:], values[-1:])


def _solved(
    plan: Plan, clock: NoiseClock, z: Tensor, times: Tensor, save_at: str | None, progress: bool
) -> tuple[Tensor, Tensor]:
    """The same without churn, from Z at the first of `times`, which are the clock's."""
    # A model is called, never traced.
    options: dict[str, Any] = {"save_at": save_at, "progress": progress, "compile": False}
    options |= {"method": plan.method, "path": plan.path}
    dims = z.ndim - 1
    if plan.drift == "x0":
        options |= {"path": clock.driver(plan.path) or plan.path}
        solution = solve(clock.sde(dims), z, times, **options)
        return solution.t, solution.y
    form = _noise_as_drift(plan, clock)
    at, start = form.entered(times, z)
    solution = solve(form.sde(dims), start, at, **options)
    return form.left(solution.t, solution.y)


def _noise_as_drift(plan: Plan, clock: NoiseClock) -> NoiseLevel | LogSNR:
    """The equation for the noise: with a linear part where the method treats it apart."""
    if plan.drift != "epsilon":
        raise ValueError(f"drift must be 'x0' or 'epsilon', got {plan.drift!r}")
    if not plan.method.exponential:
        return NoiseLevel(clock)
    if isinstance(plan.path, TreePath):
        raise ProblemError(
            f"the noise of {plan.method.name!r} belongs to steps in lambda, for which there is no tree: "
            "take path='grid'"
        )
    return LogSNR(clock)


def _check_churn(plan: Plan, clock: NoiseClock) -> None:
    if not clock.stochasticity.silent or clock.variance:
        raise ProblemError("churn is for the probability flow: take eta = 0 and variance = 0")
    if plan.method.start is not None or plan.method.random_nodes:
        raise ProblemError(
            f"method {plan.method.name!r} cannot be churned: each step begins anew, so take a method "
            "without memory and random nodes"
        )
