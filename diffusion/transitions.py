"""How likely the steps of a run are: the densities that reinforcement learning of samplers needs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffusion.reverse import Model
from diffusion.sampling import Trajectory
from sdeint import ProblemError
from sdeint.asking import Asking
from sdeint.brownian.grid_path import VARIANCE

__all__ = ["transition_log_probabilities"]

#: Parts of the noise of a step that are rounding: then the stages have taken it all.
_NOTHING = 1e-9


def transition_log_probabilities(model: Model, run: Trajectory) -> Tensor:
    r"""Log-densities of the transitions of a run, under any model.

    The noise W of a step enters its value and, for most methods, its stages too. What is given here is
    the density of the next state given the states before and the noise of the stages, which does not
    depend on the model: a Gaussian about the step without the rest of the noise. (Euler's method has
    no such stages, and these are its transition densities.) So the sum over steps is the log-density
    of the path up to a term without the model, and ratios of two models are those of path densities.

    Parameters
    ----------
    model : callable (x, t) -> prediction
        The model that drew the run, or another; the result is differentiable in its parameters.
    run : Trajectory
        As `diffusion.trajectory` returned it.

    Returns
    -------
    tensor (steps, items)
        Of the noisy states ``x``, in nats. The final denoising is no transition.

    Raises
    ------
    ProblemError
        If the transitions have no density: for eta = 0, for discrete noise, and for methods whose
        stages take all of the step's noise; or if the noise was the drift.

    References
    ----------
    Black, Janner, Du, Kostrikov, Levine, Training diffusion models with reinforcement learning,
    ICLR 2024 (arXiv 2305.13301): the use of those of DDPM.
    """
    plan = run.plan
    if len(run.x) != len(plan.times):
        raise ProblemError(
            "the run has not kept all of its states: make it by diffusion.trajectory"
        )
    if plan.drift != "x0":
        raise ProblemError("the noise was the drift: densities are those of runs with drift='x0'")
    clock = plan.clock(model)
    grid = clock.of(plan.times)
    widths = torch.diff(clock.noise(grid))
    if not bool((widths > 0).all()):
        raise ProblemError("where eta = 0 a step is deterministic: its transition has no density")
    scale = grid / plan.process.alpha(plan.times)
    states = [x * float(factor) for x, factor in zip(run.x, scale)]
    asking = Asking(states[0], grid, method=plan.method, path=clock.driver(plan.path))
    rows = []
    for n, after in enumerate(states[1:]):
        rest, variance = _rest(asking)
        variance = variance * float(widths[n])
        while asking.step == n:
            asking.answer(clock.drift(asking.time, asking.state))
        # What the model makes of the same noise misses the state by this much.
        residual = (rest + (after - asking.y)).flatten(1)
        asking.put(after)
        log = -(residual**2).sum(1) / (2 * variance)
        size = math.log(2 * math.pi * variance) / 2 - math.log(float(scale[n + 1]))
        rows.append(log - residual.shape[1] * size)
    return torch.stack(rows)


def _rest(asking: Asking) -> tuple[Tensor, float]:
    """The noise of a step that its stages leave, and its variance for a step of one."""
    names, stages, output = asking.gains()
    strangers = [name for name in names if name not in ("W", "H", "K")]
    if strangers:
        raise ProblemError(f"the noise of this method is discrete ({strangers[0]}): no density")
    variances = torch.tensor([VARIANCE[name] for name in names], dtype=torch.float64)
    weighted = stages * variances
    predictor = weighted @ output @ torch.linalg.pinv(weighted @ stages.mT, hermitian=True)
    rest = output - predictor @ stages
    variance = float((rest**2 * variances).sum())
    if variance <= _NOTHING * float((output**2 * variances).sum()):
        raise ProblemError(
            "the stages of this method take all of the step's noise: no density is left"
        )
    parts = [asking.noise[name] * float(factor) for name, factor in zip(names, rest)]
    return torch.stack(parts).sum(0), variance
