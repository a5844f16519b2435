r"""The reverse diffusions with the noise as drift, for exponential methods: the linear part in lambda.

In ``lambda = log(alpha/sigma)`` as time and ``y = x/sigma`` as state, the reverse diffusion of
stochasticity eta of every process is

.. math:: dy = (y - (1 + \eta^2)\,\hat\epsilon)\,d\lambda + \eta\sqrt2\,dW_\lambda,

an equation with the linear part 1 and constant noise.  It is that of `diffusion.reverse` in other
variables, ``Z = R e^{-lambda} y``; what a method holds constant, linear, ... within a step is the noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from diffusion.reverse import NoiseClock
from diffusion.stochasticity import Constant
from sdeint import SemilinearSDE

__all__ = ["LogSNR"]


class LogSNR:
    """The diffusion of a noise clock, in lambda and y.

    Parameters
    ----------
    clock : NoiseClock
        With an eta that is a number, and without a data variance; it evaluates the model.

    Raises
    ------
    ValueError
        If the clock has another eta, or a variance.
    """

    def __init__(self, clock: NoiseClock) -> None:
        if not isinstance(clock.stochasticity, Constant) or clock.variance:
            raise ValueError(
                "with the noise as drift of an exponential method, the noise of a step and its weight "
                "are constant: take one number for eta, and variance = 0"
            )
        self.clock, self._eta = clock, clock.stochasticity.eta

    def entered(self, times: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Lambda at times of the clock, and y from Z at the first of them."""
        q = self.clock.stochasticity.back(times)
        return torch.log(q) / 2, z * float(torch.sqrt(q[0]) / times[0])

    def left(self, lambdas: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Times of the clock, and Z there from y."""
        q = torch.exp(2 * lambdas.double())
        times = self.clock.stochasticity.of(q)
        scale = (times / torch.sqrt(q)).reshape(-1, *(1,) * (y.ndim - 1))
        return times, y * scale.to(y)

    def drift(self, lam: Tensor, y: Tensor) -> Tensor:
        """All but the linear part: a multiple of the noise that the model finds in y."""
        q = torch.exp(2 * lam.to(torch.float64))
        clock, root = self.clock.stochasticity.of(q), torch.sqrt(q)
        x0 = self.clock.x0(clock, y * (clock / root).to(y))
        return (1 + self._eta**2) * (root.to(y) * x0 - y)

    def sde(self, event_dims: int) -> SemilinearSDE:
        """The equation, for `sdeint.solve`; the time of its noise is lambda."""
        if self._eta == 0:
            return SemilinearSDE(1.0, self.drift, noise="none", event_dims=event_dims)
        size = math.sqrt(2) * self._eta
        return SemilinearSDE(
            1.0, self.drift, lambda lam, y: size, noise="additive", event_dims=event_dims
        )
