"""Observed orders of exponential methods over four decades of stiffness, beside the proved ones."""

from __future__ import annotations

import math
from functools import partial

import torch

import sdeint
from benchmarks.timing import table
from sdeint import GridPath, NestedPath, SemilinearSDE
from sdeint.problem import Field
from sdeint.testing.impulses import Impulses
from tableaux import catalogue, stiff_order
from tableaux.show import show_order

__all__ = ["STIFFNESS", "stiffness", "strong_orders", "weak_orders"]

Tensor = torch.Tensor
F64 = torch.float64
#: The faster of the two modes decays at these rates, the slower one at 1; and the noise of both.
STIFFNESS = (0.1, 1.0, 10.0, 100.0, 1000.0)
NOISE = 0.5
FINE, PATHS = 512, 50
METHODS = {
    "additive": ("ExponentialEM", "LordTambue", "LawsonSRA1", "SETDRK2", "SETDRK2D"),
    "diagonal": ("ExponentialMilstein", "LawsonMilstein"),
    "none": ("ETD2RK", "RES2", "RES3", "ETDRK4", "Krogstad", "HochbruckOstermann"),
}


def stiffness() -> str:
    """Two modes, coupled by N, the faster of which decays at 0.1 to 1000; one unit of time.

    Orders are slopes between the errors of 8 and of 32 steps: strong ones on 50 paths, weak ones
    without sampling, from mean and covariance for a linear N. The last of each five is that of the
    largest error over all rates, to be compared with an order that does not depend on L: the stiff
    order, which is that of the drift's stages.
    """
    rows = []
    for noise, names in METHODS.items():
        for name in names:
            strong, weak = catalogue[name].claimed(noise)
            proved = (show_order(strong), show_order(weak), str(stiff_order(catalogue[name])))
            observed = strong_orders(name, noise)
            moments = weak_orders(name) if noise == "additive" else None
            rows.append((name, noise, *proved, _shown(observed), _shown(moments)))
    rates = " / ".join(f"{rate:g}" for rate in STIFFNESS)
    head = ("method", "noise", "strong", "weak", "stiff", f"strong at {rates} / all", "weak / all")
    return table(head, rows)


def strong_orders(name: str, noise: str) -> list[float]:
    """The observed order at each stiffness, and that of the largest error of all."""
    grid = torch.linspace(0.0, 1.0, FINE + 1, dtype=F64)
    channels = (1,) if noise == "none" else (2,)
    path = NestedPath(GridPath(3, (PATHS,), channels, dtype=F64), grid)
    constant = torch.full((2,), NOISE, dtype=F64)

    def diffusion(t: Tensor, y: Tensor) -> Tensor:
        return NOISE * torch.cos(y) if noise == "diagonal" else constant

    errors = []
    for rate in STIFFNESS:
        L = torch.tensor([-rate, -1.0], dtype=F64)
        rest, y0 = _smooth(L)
        sde = SemilinearSDE(L, rest, None if noise == "none" else diffusion, noise=noise)
        run = partial(
            sdeint.solve, sde, y0.expand(PATHS, 2), [0.0, 1.0], method=name, path=path,
            save_at="end", compile=False,
        )  # fmt: skip
        exact = y0 * math.e if noise == "none" else run(steps=FINE).y[-1]
        one, two = (run(steps=n).y[-1] for n in (8, 32))
        errors.append([float((end - exact).square().sum(-1).mean().sqrt()) for end in (one, two)])
    return _orders(errors)


def _smooth(L: Tensor) -> tuple[Field, Tensor]:
    """An N with which y0 e^t solves the equation without noise, whatever L: no layer at the start.

    The faster mode is of the size of 1 over its rate, so that N is bounded, too.
    """
    size = torch.stack((1.0 / (1.0 - L[0]), L.new_ones(())))

    def nonlinear(y: Tensor) -> Tensor:
        return torch.sin(2.0 * y + y.flip(-1))

    def rest(t: Tensor, y: Tensor) -> Tensor:
        u = size * torch.exp(t)
        return nonlinear(y) - nonlinear(u) + u - L * u

    return rest, size


def weak_orders(name: str) -> list[float]:
    """`strong_orders` of mean and covariance, where N is linear and noise additive."""
    coupling = torch.tensor([[-0.3, 0.8], [-0.6, 0.4]], dtype=F64)
    errors = []
    for rate in STIFFNESS:
        L = torch.tensor([-rate, -1.0], dtype=F64)
        A = torch.diag(L) + coupling
        y0 = torch.tensor([0.8 / (1.0 + rate), 1.0], dtype=F64)
        exact = _law(A, y0)
        found = []
        for n in (8, 32):
            law = _law_of(name, L, coupling, y0, n)
            gaps = [float((one - two).abs().max()) for one, two in zip(law, exact)]
            found.append(max(gaps))
        errors.append(found)
    return _orders(errors)


def _law(A: Tensor, y0: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of ``dX = A X dt + NOISE dW`` at t = 1."""
    one = torch.eye(2, dtype=F64)
    moments = torch.kron(A, one) + torch.kron(one, A)
    grown = torch.linalg.matrix_exp(moments) - torch.eye(4, dtype=F64)
    covariance = torch.linalg.solve(moments, grown @ (NOISE**2 * one).flatten())
    return torch.linalg.matrix_exp(A) @ y0, covariance.reshape(2, 2)


def _law_of(
    name: str, L: Tensor, coupling: Tensor, y0: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """The same of a method, without sampling."""
    sizes = {"W": 1 / steps, "H": 1 / (12 * steps), "normal 0": 1.0, "normal 1": 1.0}
    covariance = torch.zeros(2, 2, dtype=F64)
    path = Impulses(steps, tuple(sizes), (2,))
    weights = torch.tensor(list(sizes.values()), dtype=F64).repeat_interleave(steps)
    for mode in torch.eye(2, dtype=F64):
        sde = SemilinearSDE(
            L, lambda t, y: y @ coupling.mT, lambda t, y: NOISE * mode, noise="additive"  # noqa: B023
        )  # fmt: skip
        many = y0.expand(*path.batch, 2)
        end = sdeint.solve(sde, many, [0.0, 1.0], method=name, steps=steps, path=path).y[-1]
        gains = end[2:] - end[0]
        covariance += gains.mT @ (weights[:, None] * gains)
    return end[0], covariance


def _orders(errors: list[list[float]]) -> list[float]:
    """Slopes from 8 to 32 steps; the last that of the largest errors."""
    worst = [max(several) for several in zip(*errors)]
    return [math.log(one / two) / math.log(4.0) for one, two in (*errors, worst)]


def _shown(orders: list[float] | None) -> str:
    return "-" if orders is None else " / ".join(f"{order:.2f}" for order in orders)
