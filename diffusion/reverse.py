r"""The reverse diffusion as an ordinary SDE with additive noise.

With ``rho = alpha^2/sigma^2`` as time and ``Z = rho x / alpha`` as state, the reverse-time SDE of every
process ``x_t = alpha x_0 + sigma eps`` is one and the same equation,

.. math:: dZ = \hat x_0(\rho, Z)\,d\rho + dW_\rho, \qquad Z_0 = 0,

with unit noise and the denoiser as drift.  So a sampler is a tableau for additive noise; Euler's
method in this clock is DDPM with the exact posterior mean.  Time must be rho: a method that takes
sigma or t as the clock of its Brownian motion gives its stages the wrong correlations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion.corrections import Correction
from diffusion.predictions import to_x0
from diffusion.processes import Process
from sdeint import SDE

__all__ = ["Evaluated", "Model", "NoiseClock"]

#: A network: (x, t) -> prediction, with x (batch, *event) and t (batch,) times of the process.
Model = Callable[[Tensor, Tensor], Tensor]

# rho is rounded to float32 where the state is: by this part, and no more, it may leave the process.
_ROUNDING = 2.0**-22


@dataclass(frozen=True)
class Evaluated:
    """One evaluation of a model, as a callback sees it; its tensors are not copies.

    Attributes
    ----------
    number : int
        1 for the first evaluation of a run.
    t : float
        Time of the process.
    x : tensor (batch, *event)
        The noisy state at which the model was evaluated: the value or a stage of a step.
    x0 : tensor (batch, *event)
        The denoised state, corrections included: a preview of the result.
    """

    number: int
    t: float
    x: Tensor
    x0: Tensor


class NoiseClock:
    """The reverse diffusion of a model in the noise clock.

    Parameters
    ----------
    model : callable (x, t) -> prediction
        `x` has shape (batch, *event) and `t` shape (batch,), in x's dtype.
    process : Process
    prediction : str
        What the model predicts; a name in `diffusion.predictions`.
    corrections : sequence of callables (x0, t) -> x0
        Applied to the denoised state in this order; see `diffusion.corrections`.
    callback : callable (Evaluated) -> None, optional
        Called after each evaluation.

    Attributes
    ----------
    evaluations : int
        How often the model was called.
    """

    def __init__(
        self,
        model: Model,
        process: Process,
        prediction: str,
        *,
        corrections: Sequence[Correction] = (),
        callback: Callable[[Evaluated], None] | None = None,
    ) -> None:
        self.model, self.process, self.prediction = model, process, prediction
        self.corrections, self.callback = tuple(corrections), callback
        self.evaluations = 0
        self._ends = float(process.rho(process.T)), float(process.rho(0.0))

    def x0(self, rho: Tensor, z: Tensor) -> Tensor:
        """The denoised state: the drift."""
        t = self.time(rho.cpu())  # one wait for the device, instead of one for each check of a time
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        x = z * (alpha / rho.to(t)).to(z)
        output = self.model(x, t.to(x).expand(x.shape[0]))
        x0 = self.corrected(to_x0(output, x, alpha, sigma, self.prediction), t)
        self.evaluations += 1
        if self.callback is not None:
            self.callback(Evaluated(self.evaluations, float(t), x, x0))
        return x0

    def corrected(self, x0: Tensor, t: Tensor) -> Tensor:
        """A denoised state after all corrections."""
        for correction in self.corrections:
            x0 = correction(x0, t)
        return x0

    def time(self, rho: Tensor) -> Tensor:
        """The process's time, float64; a clock that left the process by rounding is at its end."""
        rho = rho.to(torch.float64)
        low, high = self._ends
        inside = rho.clamp(low, high)
        return self.process.t_of_rho(
            torch.where((rho - inside).abs() <= _ROUNDING * inside, inside, rho)
        )

    def sde(self, event_dims: int) -> SDE:
        """The equation, for `sdeint.solve`; its time is rho."""
        return SDE(self.x0, lambda rho, z: 1.0, noise="additive", event_dims=event_dims)

    def to_state(self, rho: float, z: Tensor) -> Tensor:
        """x from Z."""
        return z * (float(self.process.alpha(self.process.t_of_rho(rho))) / rho)
