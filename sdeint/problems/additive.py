"""Problems with additive noise: the diffusion depends on time alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sdeint.problems.closed_form import Functional, PathValues, Problem, Time, named


def fading(alpha: float = 0.8, beta: float = 1.2, x0: float = 1.0) -> Problem:
    """Linear drift and fading noise: ``X(t) = (x0 + beta (t + alpha W(t))) / sqrt(1 + t)``.

    ``dX = (beta/sqrt(1+t) - X/(2(1+t))) dt + alpha beta/sqrt(1+t) dW``; both calculi coincide.
    """

    def drift(t: Time, y: Tensor) -> Tensor:
        return beta * (1 + t) ** -0.5 - y / (2 * (1 + t))

    def diffusion(t: Time, y: Tensor) -> Tensor:
        return torch.ones_like(y) * (alpha * beta * (1 + t) ** -0.5)

    return Problem(
        name="fading",
        noise="additive",
        y0=(x0,),
        channels=1,
        drifts={"ito": drift, "stratonovich": drift},
        diffusion=diffusion,
        solution=lambda t, p: (x0 + beta * (t + alpha * p.W)) / math.sqrt(1 + t),
        functionals=named(
            Functional("mean", lambda y: y[..., 0], lambda t: (x0 + beta * t) / math.sqrt(1 + t)),
            Functional(
                "second moment",
                lambda y: y[..., 0] ** 2,
                lambda t: ((x0 + beta * t) ** 2 + (alpha * beta) ** 2 * t) / (1 + t),
            ),
        ),
        citation="Kloeden and Platen, Numerical Solution of SDEs (1992), section 4.4; "
        "used by Roessler, SIAM J. Numer. Anal. 48 (2010)",
    )


def growth(sigma: float = 0.8, v0: float = 0.2, x0: float = 1.0) -> Problem:
    """A quantity that grows at a Brownian rate: ``dX = V X dt``, ``dV = sigma dW``.

    ``X(t) = x0 exp(v0 t + sigma int_0^t W ds)``, ``V(t) = v0 + sigma W(t)``: a nonlinear drift
    whose strong solution needs the time integral of the path, hence a test of the (W, H) pair. d =
    2, m = 1.
    """

    def drift(t: Time, y: Tensor) -> Tensor:
        x, v = y[..., 0], y[..., 1]
        return torch.stack((x * v, torch.zeros_like(v)), -1)

    def diffusion(t: Time, y: Tensor) -> Tensor:
        zero = torch.zeros_like(y[..., :1])
        return torch.stack((zero, zero + sigma), -2)

    def solution(t: float, p: PathValues) -> Tensor:
        x = x0 * torch.exp(v0 * t + sigma * p.integral[..., 0])
        return torch.stack((x, v0 + sigma * p.W[..., 0]), -1)

    return Problem(
        name="growth",
        noise="additive",
        y0=(x0, v0),
        channels=1,
        drifts={"ito": drift, "stratonovich": drift},
        diffusion=diffusion,
        solution=solution,
        functionals=named(
            Functional(
                "mean", lambda y: y[..., 0], lambda t: x0 * math.exp(v0 * t + sigma**2 * t**3 / 6)
            ),
            Functional(
                "second moment",
                lambda y: y[..., 0] ** 2,
                lambda t: x0**2 * math.exp(2 * v0 * t + 2 * sigma**2 * t**3 / 3),
            ),
        ),
        citation="elementary: the log-rate is integrated Brownian motion, N(0, t^3/3)",
    )


def swirl(noise: float = 1.0, pulse: float = 0.0) -> Problem:
    """Nonlinear drift in the plane under correlated additive noise; no closed form.

    ``dX_1 = (sin X_2 - X_1) dt + ...``, ``dX_2 = (cos(2 X_1 + pulse t) - X_2/2) dt + ...`` with the
    matrix ``noise (1 + pulse sin(3 t)/2) [[1, 0.3], [-0.4, 0.8]]``. With ``pulse = 0`` nothing depends
    on time; in the library that is "swirl", and ``pulse = 1`` is "pulsed swirl". The strong error
    is measured against a fine reference.
    """
    mixing = ((noise, 0.3 * noise), (-0.4 * noise, 0.8 * noise))

    def drift(t: Time, y: Tensor) -> Tensor:
        a, b = y[..., 0], y[..., 1]
        return torch.stack((torch.sin(b) - a, torch.cos(2 * a + pulse * t) - b / 2), -1)

    def diffusion(t: Time, y: Tensor) -> Tensor:
        size = 1 + pulse * torch.sin(3 * torch.as_tensor(t, dtype=y.dtype, device=y.device)) / 2
        return (y.new_tensor(mixing) * size).expand(*y.shape[:-1], 2, 2)

    return Problem(
        name="pulsed swirl" if pulse else "swirl",
        noise="additive",
        y0=(0.5, -0.25),
        channels=2,
        drifts={"ito": drift, "stratonovich": drift},
        diffusion=diffusion,
        citation="made for this library: smooth, bounded derivatives of every order",
    )


def ornstein_uhlenbeck(
    rate: float = 1.5, level: float = 0.5, sigma: float = 0.8, x0: float = 2.0
) -> Problem:
    """``dX = rate (level - X) dt + sigma dW``: Gaussian, with exact moments.

    Mean ``level + (x0 - level) e^(-rate t)``, variance ``sigma^2 (1 - e^(-2 rate t)) / (2 rate)``.
    The strong solution is an exponential functional of the path, so W and its time integral do not
    give it.
    """

    def drift(t: Time, y: Tensor) -> Tensor:
        return rate * (level - y)

    def mean(t: float) -> float:
        return level + (x0 - level) * math.exp(-rate * t)

    def variance(t: float) -> float:
        return -(sigma**2) * math.expm1(-2 * rate * t) / (2 * rate)

    return Problem(
        name="ornstein-uhlenbeck",
        noise="additive",
        y0=(x0,),
        channels=1,
        drifts={"ito": drift, "stratonovich": drift},
        diffusion=lambda t, y: torch.full_like(y, sigma),
        functionals=named(
            Functional("mean", lambda y: y[..., 0], mean),
            Functional(
                "second moment", lambda y: y[..., 0] ** 2, lambda t: mean(t) ** 2 + variance(t)
            ),
        ),
        citation="Uhlenbeck and Ornstein, Phys. Rev. 36 (1930)",
    )


def denoiser(a: float = 1.0, s: float = 0.25) -> Problem:
    """The reverse SDE of a diffusion model in the noise clock, for data from two Gaussians on a
    line.

    Data ``x0 = +-a + s xi``. ``Z(t) = t x0 + W(t)`` solves ``dZ = f(t, Z) dt + dW`` in law, f the
    posterior mean of x0: with ``q = 1 + t s^2`` it is ``f(t, z) = (s^2 z + a tanh(a z / q)) / q``.
    The drift is a martingale along the process: ``f_t + f f_z + f_zz/2 = 0``. d = 1, interval (0,
    2).
    """
    power2 = a**2 + s**2
    power4 = a**4 + 6 * a**2 * s**2 + 3 * s**4

    def drift(t: Time, y: Tensor) -> Tensor:
        q = 1 + t * s**2
        return (s**2 * y + a * torch.tanh(a * y / q)) / q

    return Problem(
        name="denoiser",
        noise="additive",
        y0=(0.0,),
        channels=1,
        interval=(0.0, 2.0),
        drifts={"ito": drift, "stratonovich": drift},
        diffusion=lambda t, y: torch.ones_like(y),
        functionals=named(
            Functional("second moment", lambda y: y[..., 0] ** 2, lambda t: t**2 * power2 + t),
            Functional(
                "fourth moment",
                lambda y: y[..., 0] ** 4,
                lambda t: t**4 * power4 + 6 * t**3 * power2 + 3 * t**2,
            ),
        ),
        citation="Eldan and others' stochastic localisation; Montanari, arXiv:2305.10690",
    )
