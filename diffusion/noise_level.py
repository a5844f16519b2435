r"""The probability flow with the noise as its drift: for samplers that predict the noise.

In ``u = sigma/alpha`` as time and ``X = x/alpha`` as state, the probability-flow ODE of every process is

.. math:: dX = \hat\epsilon\,du, \qquad \hat\epsilon = (X - \hat x_0)/u,

with time that decreases.  It is the flow of `diffusion.reverse` in other variables, ``Z = X/u`` and
``R = 1/u``: Euler's method is the same in both, others differ by what they hold constant, linear, ...
within a step, the denoised state there and the noise here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion.reverse import NoiseClock
from sdeint import SDE

__all__ = ["NoiseLevel"]


class NoiseLevel:
    """The flow of a noise clock with eta = 0, in u and X.

    Parameters
    ----------
    clock : NoiseClock
        Without a data variance; it evaluates the model.

    Raises
    ------
    ValueError
        If the clock is not that of the flow, or has a variance.
    """

    def __init__(self, clock: NoiseClock) -> None:
        if not clock.stochasticity.silent or clock.variance:
            raise ValueError(
                "without an exponential method the noise is the drift of the probability flow only: "
                "take eta = 0 and variance = 0, or a method such as SEEDS2Noise"
            )
        self.clock = clock

    def entered(self, times: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """u at times of the clock, and X from Z at the first of them."""
        return 1 / times, z / float(times[0])

    def left(self, levels: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Times of the clock, and Z there from X."""
        return 1 / levels, torch.stack([x / float(u) for x, u in zip(states, levels)])

    def drift(self, level: Tensor, state: Tensor) -> Tensor:
        """The noise that the model finds in X."""
        here = level.to(state)
        x0 = self.clock.x0(1 / level.to(torch.float64), state / here)
        return (state - x0) / here

    def sde(self, event_dims: int) -> SDE:
        """The equation, for `sdeint.solve` on a decreasing grid."""
        return SDE(self.drift, noise="none", event_dims=event_dims)
