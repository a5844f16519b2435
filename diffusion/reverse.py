r"""The reverse diffusion as an ordinary SDE with additive noise.

With ``rho = alpha^2/sigma^2`` as time and ``Z = rho x / alpha`` as state, the reverse-time SDE of every
process ``x_t = alpha x_0 + sigma eps`` is one and the same equation,

.. math:: dZ = \hat x_0(\rho, Z)\,d\rho + dW_\rho, \qquad Z_0 = 0,

with unit noise and the denoiser as drift.  So a sampler is a tableau for additive noise; Euler's
method in this clock is DDPM with the exact posterior mean.  Time must be rho: a method that takes
sigma or t as the clock of its Brownian motion gives its stages the wrong correlations.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from diffusion.predictions import to_x0
from diffusion.processes import Process
from sdeint import SDE

__all__ = ["Model", "NoiseClock"]

#: A network: (x, t) -> prediction, with x (batch, *event) and t (batch,) times of the process.
Model = Callable[[Tensor, Tensor], Tensor]


class NoiseClock:
    """The reverse diffusion of a model in the noise clock.

    Parameters
    ----------
    model : callable (x, t) -> prediction
        `x` has shape (batch, *event) and `t` shape (batch,), in x's dtype.
    process : Process
    prediction : str
        What the model predicts; a name in `diffusion.predictions`.
    """

    def __init__(self, model: Model, process: Process, prediction: str) -> None:
        self.model, self.process, self.prediction = model, process, prediction

    def x0(self, rho: Tensor, z: Tensor) -> Tensor:
        """The denoised state: the drift."""
        t = self.process.t_of_rho(rho)
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        x = z * (alpha / rho.to(torch.float64)).to(z.dtype)
        output = self.model(x, t.to(x.dtype).expand(x.shape[0]))
        return to_x0(output, x, alpha, sigma, self.prediction)

    def sde(self, event_dims: int) -> SDE:
        """The equation, for `sdeint.solve`; its time is rho."""
        return SDE(self.x0, lambda rho, z: 1.0, noise="additive", event_dims=event_dims)

    def to_state(self, rho: float, z: Tensor) -> Tensor:
        """x from Z."""
        return z * (float(self.process.alpha(self.process.t_of_rho(rho))) / rho)
