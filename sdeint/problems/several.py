"""Nonlinear problems driven by several Brownian motions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sdeint.errors import ProblemError
from sdeint.problems.closed_form import Functional, PathValues, Problem, Time, named


def bounded_plane(
    weights: Sequence[Sequence[float]] = ((0.6, 0.3), (-0.4, 0.5)),
    y0: Sequence[float] = (0.1, -0.3),
) -> Problem:
    """``X_i(t) = tanh(artanh(x_i) + sum_k B_ik W_k(t))``: nonlinear, commutative, not diagonal.

    The diffusion columns are constant fields seen through a change of coordinates, hence they
    commute. Ito: drift ``-x_i (1 - x_i^2) sum_k B_ik^2``, diffusion ``(1 - x_i^2) B_ik``;
    Stratonovich drift 0.
    """
    B = torch.tensor(weights, dtype=torch.float64)
    d, m = B.shape
    if d != len(y0):
        raise ProblemError(f"weights must have one row a coordinate: {len(y0)}, but it has {d}")
    power = (B**2).sum(1)
    centre = torch.atanh(torch.tensor(y0, dtype=torch.float64))

    def drift(t: Time, y: Tensor) -> Tensor:
        return -y * (1 - y**2) * power.to(y)

    def diffusion(t: Time, y: Tensor) -> Tensor:
        return (1 - y**2)[..., None] * B.to(y)

    def solution(t: float, p: PathValues) -> Tensor:
        return torch.tanh(centre.to(p.W) + p.W @ B.to(p.W).T)

    return Problem(
        name="bounded plane",
        noise="commutative",
        y0=tuple(float(x) for x in y0),
        channels=m,
        drifts={"ito": drift, "stratonovich": lambda t, y: torch.zeros_like(y)},
        diffusion=diffusion,
        solution=solution,
        functionals=named(
            Functional(
                "sum of artanh squared",
                lambda y: (torch.atanh(y) ** 2).sum(-1),
                lambda t: float((centre**2 + power * t).sum()),
            ),
            Functional(
                "product of artanh",
                lambda y: torch.atanh(y).prod(-1),
                lambda t: float(centre[0] * centre[1] + (B[0] * B[1]).sum() * t),
            )
            if d == 2
            else Functional(
                "artanh 1", lambda y: torch.atanh(y[..., 0]), lambda t: float(centre[0])
            ),
        ),
        citation="Kloeden and Platen, Numerical Solution of SDEs (1992), section 4.4",
    )


def unicycle(
    speed: float = 1.0, slip: float = 0.6, turn: float = 0.9, angle: float = 0.3
) -> Problem:
    """A wheel that rolls, slips along its heading and turns: nonlinear, non-commutative, exact
    moments.

    ``dx = cos(a) (speed dt + slip dW_1)``, ``dy = sin(a) (...)``, ``da = turn dW_2``; d = 3, m = 2.
    The two calculi coincide, as neither field changes along itself. With ``k = turn^2/2``: ``E x =
    speed cos(angle) (1 - e^-kt)/k`` and ``E (x^2 + y^2) = slip^2 t + 2 speed^2 (t/k - (1 -
    e^-kt)/k^2)``.
    """
    k = turn**2 / 2

    def drift(t: Time, y: Tensor) -> Tensor:
        a = y[..., 2]
        return torch.stack((speed * torch.cos(a), speed * torch.sin(a), torch.zeros_like(a)), -1)

    def diffusion(t: Time, y: Tensor) -> Tensor:
        a = y[..., 2]
        zero = torch.zeros_like(a)
        along = torch.stack((slip * torch.cos(a), slip * torch.sin(a), zero), -1)
        around = torch.stack((zero, zero, zero + turn), -1)
        return torch.stack((along, around), -1)

    def reach(t: float) -> float:
        return slip**2 * t + 2 * speed**2 * (t / k + math.expm1(-k * t) / k**2)

    return Problem(
        name="unicycle",
        noise="general",
        y0=(0.0, 0.0, angle),
        channels=2,
        drifts={"ito": drift, "stratonovich": drift},
        diffusion=diffusion,
        functionals=named(
            Functional("squared reach", lambda y: y[..., 0] ** 2 + y[..., 1] ** 2, reach),
            Functional(
                "mean x",
                lambda y: y[..., 0],
                lambda t: -speed * math.cos(angle) * math.expm1(-k * t) / k,
            ),
        ),
        citation="elementary: the heading is Brownian and independent of W_1",
    )
