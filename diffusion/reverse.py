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

a Brownian motion at another speed: increments are exact, whatever eta, which may also depend on the
noise level (`diffusion.stochasticity`).

Gaussian data of variance s^2 have the linear denoiser ``s^2 rho/(1 + s^2 rho) x/alpha``. With that as the
linear part, solved exactly, the equation keeps its form: with ``q = rho/(1 + s^2 rho)`` for rho in R and Z,

.. math:: dZ = \bigl(\hat x_0 + s^2 \rho\,(\hat x_0 - x/\alpha)\bigr)\,dR + dM_R,

whose drift is zero on such data and, for eta = 1, still a martingale on all: every method keeps its order.
It is the Foellmer process, Brownian motion conditioned on its end.  The time q ends at 1/s^2, and the
drift's slope along any direction in which the data vary less than s^2 lies between 0 and the one
that a step to the end would cancel: nothing is stiff.
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
from diffusion.stochasticity import Eta, clocks_of
from sdeint import SDE
from sdeint.brownian import BrownianPath, TimedPath

__all__ = ["Evaluated", "Model", "NoiseClock"]

#: A network: (x, t) -> prediction, with x (batch, *event) and t (batch,) times of the process.
Model = Callable[[Tensor, Tensor], Tensor]

# rho, or a lambda up to 16, is rounded to float32 where the state is: by this part, and no more, it
# may leave the process.
_ROUNDING = 2.0**-18


@dataclass(frozen=True)
class Evaluated:
    """One evaluation of a model, as a callback sees it; its tensors are not copies.

    Attributes
    ----------
    number : int
        1 for the first evaluation of a run.
    t : float or tensor (batch,)
        Time of the process; one an item where the method draws its times.
    x : tensor (batch, *event)
        The noisy state at which the model was evaluated: the value or a stage of a step.
    x0 : tensor (batch, *event)
        The denoised state, corrections included: a preview of the result.
    """

    number: int
    t: float | Tensor
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
    eta : float, (float, float, float) or callable
        Stochasticity: 0 is the probability-flow ODE, 1 the reverse SDE, more has more noise;
        (eta, low, high) and a function of the level as for `diffusion.sample`.
    variance : float
        Of a coordinate of Gaussian data, whose denoiser is the linear part that is solved exactly;
        with 0 there is none.  That of the data, if it is known.

    Attributes
    ----------
    evaluations : int
        How often the model was called.

    Raises
    ------
    ValueError
        If eta is none, see `diffusion.stochasticity`; if the variance is negative, infinite or NaN.
    """

    def __init__(
        self,
        model: Model,
        process: Process,
        prediction: str,
        *,
        corrections: Sequence[Correction] = (),
        callback: Callable[[Evaluated], None] | None = None,
        eta: Eta = 1.0,
        variance: float = 0.0,
    ) -> None:
        if not 0 <= variance < math.inf:
            raise ValueError(f"variance = {variance} must be that of the data, or 0")
        self.model, self.process, self.prediction = model, process, prediction
        self.corrections, self.callback = tuple(corrections), callback
        self.variance = variance
        self.stochasticity = clocks_of(eta, variance)
        self.evaluations = 0
        ends = process.rho(torch.tensor([process.T, 0.0], dtype=torch.float64))
        self._ends = tuple(float(q) for q in self._fitted(ends))

    def of(self, t: float | Tensor) -> Tensor:
        """The clock R at a time of the process."""
        return self.stochasticity.of(self._fitted(self.process.rho(t)))

    def _fitted(self, rho: Tensor) -> Tensor:
        """q, also for an infinite rho."""
        return 1 / (1 / rho + self.variance) if self.variance else rho

    def noise(self, clock: Tensor) -> Tensor:
        """The variance of Z's noise until R: the time of its Brownian motion; constant for eta = 0."""
        return self.stochasticity.noise(clock)

    def drift(self, clock: Tensor, z: Tensor) -> Tensor:
        """The drift, by one evaluation of the model."""
        return self.drift_of(clock, z, self.x0(clock, z))

    def drift_of(self, clock: Tensor, z: Tensor, x0: Tensor) -> Tensor:
        """A denoised state, and how far it is from that of the Gaussian model."""
        if not self.variance:
            return x0
        t = self.time(clock.cpu())
        slope = self.variance * self.process.rho(t)
        return x0 + slope.to(z) * (x0 - z / clock.to(z))

    def x0(self, clock: Tensor, z: Tensor) -> Tensor:
        """The denoised state."""
        # On the CPU: one wait for the device, instead of one for each check of a time.
        t = self.time(clock.cpu())
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        x = z * (alpha / clock.to(t)).to(z)
        # One time for all items, or, at random nodes, one for each.
        output = self.model(x, t.to(x).flatten().expand(x.shape[0]))
        x0 = self.corrected(to_x0(output, x, alpha, sigma, self.prediction), t)
        self.evaluations += 1
        if self.callback is not None:
            seen = float(t) if t.ndim == 0 else t.flatten()
            self.callback(Evaluated(self.evaluations, seen, x, x0))
        return x0

    def corrected(self, x0: Tensor, t: Tensor) -> Tensor:
        """A denoised state after all corrections."""
        for correction in self.corrections:
            x0 = correction(x0, t)
        return x0

    def time(self, clock: Tensor) -> Tensor:
        """The process's time, float64; a clock that left the process by rounding is at its end."""
        q = self.stochasticity.back(clock.to(torch.float64))
        low, high = self._ends
        inside = q.clamp(low, high)
        q = torch.where((q - inside).abs() <= _ROUNDING * inside, inside, q)
        return self.process.t_of_rho(1 / (1 / q - self.variance) if self.variance else q)

    def sde(self, event_dims: int) -> SDE:
        """The equation, for `sdeint.solve`; its time is R, and its path one of `driver`'s."""
        if self.stochasticity.silent:
            return SDE(self.drift, noise="none", event_dims=event_dims)
        return SDE(self.drift, lambda clock, z: 1.0, noise="additive", event_dims=event_dims)

    def driver(self, path: BrownianPath) -> BrownianPath | None:
        """The noise, from a path whose clock is that of `noise`; none for the ODE."""
        if self.stochasticity.silent:
            return None
        return path if self.stochasticity.own else TimedPath(path, self.noise)

    def to_state(self, clock: float, z: Tensor) -> Tensor:
        """x from Z."""
        t = self.time(torch.tensor(clock, dtype=torch.float64))
        return z * (float(self.process.alpha(t)) / clock)

    def from_state(self, t: float, x: Tensor) -> Tensor:
        """Z from x."""
        return x * (float(self.of(t)) / float(self.process.alpha(t)))
