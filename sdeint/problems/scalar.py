"""Problems in one dimension with one Brownian motion."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sdeint.problems.closed_form import Functional, LinearFields, PathValues, Problem, Time, named


def gbm(mu: float = 0.5, sigma: float = 0.6, x0: float = 1.0) -> Problem:
    """Geometric Brownian motion ``dX = mu X dt + sigma X dW`` (Ito).

    ``X(t) = x0 exp((mu - sigma^2/2) t + sigma W(t))``. `mu` per unit time, `sigma` per square root
    of it.
    """
    return Problem(
        name="gbm",
        noise="diagonal",
        y0=(x0,),
        channels=1,
        drifts={
            "ito": lambda t, y: mu * y,
            "stratonovich": lambda t, y: (mu - sigma**2 / 2) * y,
        },
        diffusion=lambda t, y: sigma * y,
        solution=lambda t, p: x0 * torch.exp((mu - sigma**2 / 2) * t + sigma * p.W),
        functionals=named(
            Functional("mean", lambda y: y[..., 0], lambda t: x0 * math.exp(mu * t)),
            Functional(
                "second moment",
                lambda y: y[..., 0] ** 2,
                lambda t: x0**2 * math.exp((2 * mu + sigma**2) * t),
            ),
            Functional(
                "logarithm",
                lambda y: torch.log(y[..., 0]),
                lambda t: math.log(x0) + (mu - sigma**2 / 2) * t,
            ),
        ),
        linear=LinearFields(((mu,),), (((sigma,),),)),
        citation="Kloeden and Platen, Numerical Solution of SDEs (1992), section 4.4",
    )


def bounded(x0: float = 0.1) -> Problem:
    """A nonlinear problem that stays in (-1, 1): ``X(t) = tanh(artanh(x0) + W(t)/2)``.

    Ito: drift ``-x (1 - x^2)/4``, diffusion ``(1 - x^2)/2``; the Stratonovich drift vanishes.
    """
    centre = math.atanh(x0)

    def artanh(y: Tensor) -> Tensor:
        return torch.atanh(y[..., 0])

    return Problem(
        name="bounded",
        noise="diagonal",
        y0=(x0,),
        channels=1,
        drifts={
            "ito": lambda t, y: -y * (1 - y**2) / 4,
            "stratonovich": lambda t, y: torch.zeros_like(y),
        },
        diffusion=lambda t, y: (1 - y**2) / 2,
        solution=lambda t, p: torch.tanh(centre + p.W / 2),
        functionals=named(
            Functional("artanh", artanh, lambda t: centre),
            Functional("artanh squared", lambda y: artanh(y) ** 2, lambda t: centre**2 + t / 4),
        ),
        citation="Kloeden and Platen, Numerical Solution of SDEs (1992), section 4.4; "
        "used by Roessler, SIAM J. Numer. Anal. 48 (2010)",
    )


def hyperbolic() -> Problem:
    """``X(t) = sinh(t + W(t))``, the usual nonlinear test of weak methods.

    Ito: drift ``x/2 + sqrt(x^2 + 1)``, diffusion ``sqrt(x^2 + 1)``, start 0, interval (0, 2). With
    ``p(z) = z^3 - 6 z^2 + 8 z`` it has ``E p(asinh X(t)) = t^3 - 3 t^2 + 2 t``.
    """

    def root(t: Time, y: Tensor) -> Tensor:
        return torch.sqrt(y**2 + 1)

    def cubic(y: Tensor) -> Tensor:
        z = torch.asinh(y[..., 0])
        return z**3 - 6 * z**2 + 8 * z

    def solution(t: float, p: PathValues) -> Tensor:
        return torch.sinh(t + p.W)

    return Problem(
        name="hyperbolic",
        noise="diagonal",
        y0=(0.0,),
        channels=1,
        interval=(0.0, 2.0),
        drifts={"ito": lambda t, y: y / 2 + root(t, y), "stratonovich": root},
        diffusion=root,
        solution=solution,
        functionals=named(
            Functional("p(asinh)", cubic, lambda t: t**3 - 3 * t**2 + 2 * t),
            Functional("asinh", lambda y: torch.asinh(y[..., 0]), lambda t: t),
            Functional("mean", lambda y: y[..., 0], lambda t: math.exp(t / 2) * math.sinh(t)),
        ),
        citation="Mackevicius and Navikas, Math. Comput. Simulation 57 (2001); "
        "Roessler, SIAM J. Numer. Anal. 47 (2009)",
    )
