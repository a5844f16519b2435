r"""The reverse diffusions as ordinary SDEs with additive noise.

With ``rho = alpha^2/sigma^2`` as time and ``Z = rho x / alpha`` as state, the reverse-time SDE of every
process ``x_t = alpha x_0 + sigma eps`` is one and the same equation,

.. math:: dZ = \hat x_0(\rho, Z)\,d\rho + dW_\rho, \qquad Z_0 = 0,

with unit noise and the denoiser as drift.  So a sampler is a tableau for additive noise; Euler's
method in this clock is DDPM with the exact posterior mean.  Time must be rho: a method that takes
sigma or t as the clock of its Brownian motion gives its stages the wrong correlations.

That is one of a family with the same marginals: of stochasticity eta, with eta times its noise and
the drift that balances it (0: the probability-flow ODE). There the same removal of the linear part
gives ``R = rho^((1 + eta^2)/2)`` as time and ``Z = R x / alpha``,

.. math:: dZ = \hat x_0\,dR + dM_R, \qquad M_R = W(\rho^{\eta^2}),

a Brownian motion at another speed: increments are exact, whatever eta.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion.corrections import Correction
from diffusion.predictions import to_x0
from diffusion.processes import Process
from sdeint import SDE
from sdeint.brownian import BrownianPath, TimedPath

__all__ = ["Evaluated", "Model", "NoiseClock"]

#: A network: (x, t) -> prediction, with x (batch, *event) and t (batch,) times of the process.
Model = Callable[[Tensor, Tensor], Tensor]

# rho is rounded to float32 where the state is: by this part, and no more, it may leave the process.
_ROUNDING = 2.0**-22
# Below, neighbouring values of rho^(eta^2) are equal in floating point.
_LEAST_ETA = 1e-5


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
    """The reverse diffusion of a model in the noise clock R; with eta = 1, R is rho.

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
    eta : float
        Stochasticity: 0 is the probability-flow ODE, 1 the reverse SDE, more has more noise.

    Attributes
    ----------
    evaluations : int
        How often the model was called.

    Raises
    ------
    ValueError
        If eta is negative, infinite or NaN, or so small that its noise is rounding.
    """

    def __init__(
        self,
        model: Model,
        process: Process,
        prediction: str,
        *,
        corrections: Sequence[Correction] = (),
        callback: Callable[[Evaluated], None] | None = None,
        eta: float = 1.0,
    ) -> None:
        if not (eta == 0 or _LEAST_ETA <= eta < math.inf):
            raise ValueError(
                f"eta = {eta} must be 0, which is the ODE, or lie in [{_LEAST_ETA:g}, infinity)"
            )
        self.model, self.process, self.prediction = model, process, prediction
        self.corrections, self.callback = tuple(corrections), callback
        self.eta, self._power = eta, (1 + eta**2) / 2
        self.evaluations = 0
        self._ends = float(process.rho(process.T)), float(process.rho(0.0))

    def of(self, t: float | Tensor) -> Tensor:
        """The clock R at a time of the process."""
        return self.process.rho(t) ** self._power

    def noise(self, clock: Tensor) -> Tensor:
        """The variance of Z's noise until R: the time of its Brownian motion; constant for eta = 0."""
        return clock ** (self.eta**2 / self._power)

    def x0(self, clock: Tensor, z: Tensor) -> Tensor:
        """The denoised state: the drift."""
        # On the CPU: one wait for the device, instead of one for each check of a time.
        t = self.time(clock.cpu())
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        x = z * (alpha / clock.to(t)).to(z)
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

    def time(self, clock: Tensor) -> Tensor:
        """The process's time, float64; a clock that left the process by rounding is at its end."""
        rho = clock.to(torch.float64) ** (1 / self._power)
        low, high = self._ends
        inside = rho.clamp(low, high)
        return self.process.t_of_rho(
            torch.where((rho - inside).abs() <= _ROUNDING * inside, inside, rho)
        )

    def sde(self, event_dims: int) -> SDE:
        """The equation, for `sdeint.solve`; its time is R, and its path one of `driver`'s."""
        if self.eta == 0:
            return SDE(self.x0, noise="none", event_dims=event_dims)
        return SDE(self.x0, lambda clock, z: 1.0, noise="additive", event_dims=event_dims)

    def driver(self, path: BrownianPath) -> BrownianPath | None:
        """The noise, from a path whose clock is that of `noise`; none for the ODE."""
        if self.eta == 0:
            return None
        return path if self.eta == 1 else TimedPath(path, self.noise)

    def to_state(self, clock: float, z: Tensor) -> Tensor:
        """x from Z."""
        t = self.time(torch.tensor(clock, dtype=torch.float64))
        return z * (float(self.process.alpha(t)) / clock)

    def from_state(self, t: float, x: Tensor) -> Tensor:
        """Z from x."""
        return x * (float(self.of(t)) / float(self.process.alpha(t)))
