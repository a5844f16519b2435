"""Problems without noise: the limit g = 0 of every method."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sdeint.problems.closed_form import Functional, PathValues, Problem, Time, named


def orbit(decay: float = 0.5, spin: float = 1.5) -> Problem:
    """A decaying orbit whose angular speed depends on time and on the radius; no noise.

    With ``z = x1 + i x2``: ``z' = (-decay + i spin (1 + t) |z|^2) z``, hence ``|z| = |z0| e^(-decay t)``
    and the angle grows by ``spin |z0|^2 int_0^t (1 + s) e^(-2 decay s) ds``.  Nonlinear, in the plane
    and with explicit time, so that no order condition goes unseen.
    """
    a, b = 1.0, 0.5

    def drift(t: Time, y: Tensor) -> Tensor:
        x1, x2 = y[..., 0], y[..., 1]
        speed = spin * (1 + t) * (x1**2 + x2**2)
        return torch.stack((-decay * x1 - speed * x2, -decay * x2 + speed * x1), -1)

    def end(t: float) -> tuple[float, float]:
        rate = 2 * decay
        shrunk = math.exp(-rate * t)
        turn = (1 - shrunk) / rate + (1 - shrunk * (1 + rate * t)) / rate**2
        angle = spin * (a**2 + b**2) * turn
        size, c, s = math.exp(-decay * t), math.cos(angle), math.sin(angle)
        return size * (a * c - b * s), size * (a * s + b * c)

    def solution(t: float, p: PathValues) -> Tensor:
        return p.W.new_tensor(end(t)).expand(*p.W.shape[:-1], 2)

    return Problem(
        name="orbit",
        noise="none",
        y0=(a, b),
        channels=1,
        drifts={"ito": drift, "stratonovich": drift},
        diffusion=None,
        solution=solution,
        functionals=named(Functional("first", lambda y: y[..., 0], lambda t: end(t)[0])),
        citation="elementary: polar coordinates",
    )
