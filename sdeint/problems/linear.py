"""Linear problems in several dimensions: ``dX = A X dt + sum_k B_k X dW_k``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sdeint.errors import ProblemError
from sdeint.problem import NoiseClass
from sdeint.problems.closed_form import Functional, LinearFields, PathValues, Problem, Time, named

Matrix = Sequence[Sequence[float]]


def linear(
    A: Matrix,
    B: Sequence[Matrix],
    y0: Sequence[float],
    *,
    noise: NoiseClass = "general",
    name: str = "linear",
) -> Problem:
    """Any linear problem (Ito matrices), with its first and second moments.

    Parameters
    ----------
    A : sequence of sequences of float
        Drift matrix, d x d, per unit time.
    B : sequence of such matrices
        One d x d matrix a channel.
    y0 : sequence of float
        Start, d numbers.
    noise : str
        ``"general"``, or ``"commutative"`` where all B commute, or ``"scalar"`` for one channel.
    name : str
        A name for tables.

    Raises
    ------
    ProblemError
        If a matrix is not d x d, or the matrices do not commute although `noise` says so.
    """
    d = len(y0)
    fields = LinearFields(_frozen(A), tuple(_frozen(b) for b in B))
    for label, matrix in (("A", fields.A), *((f"B[{k}]", b) for k, b in enumerate(fields.B))):
        if len(matrix) != d or any(len(row) != d for row in matrix):
            raise ProblemError(f"{label} must be {d} x {d}, as y0 has {d} numbers")
    if noise == "commutative":
        _check_commuting(fields)
    if noise == "scalar" and len(fields.B) != 1:
        raise ProblemError(f"scalar noise has one channel, but B has {len(fields.B)} matrices")
    start = torch.tensor(y0, dtype=torch.float64)

    drift_ito, drift_mid = fields.matrices()[0], _midpoint_drift(fields)
    columns = fields.matrices()[1].permute(1, 0, 2)  # (d, m, d)

    def diffusion(t: Time, y: Tensor) -> Tensor:
        return torch.einsum("ikj,...j->...ik", columns.to(y), y)

    def coordinate(i: int) -> Functional:
        return Functional(
            f"mean {i + 1}", lambda y: y[..., i], lambda t: float(fields.mean(start, t)[i])
        )

    def product(i: int, j: int) -> Functional:
        return Functional(
            f"moment {i + 1}{j + 1}",
            lambda y: y[..., i] * y[..., j],
            lambda t: float(fields.second(start, t)[i, j]),
        )

    square = Functional(
        "squared norm",
        lambda y: (y * y).sum(-1),
        lambda t: float(fields.second(start, t).trace()),
    )
    return Problem(
        name=name,
        noise=noise,
        y0=tuple(float(x) for x in y0),
        channels=len(fields.B),
        drifts={
            "ito": lambda t, y: y @ drift_ito.to(y).T,
            "stratonovich": lambda t, y: y @ drift_mid.to(y).T,
        },
        diffusion=diffusion,
        functionals=named(
            square,
            *(coordinate(i) for i in range(d)),
            *(product(i, j) for i in range(d) for j in range(i, d)),
        ),
        linear=fields,
        citation="Arnold, Stochastic Differential Equations (1974), chapter 8",
    )


def diagonal(
    mu: Sequence[float] = (0.6, -0.3, 0.1, -0.8),
    sigma: Sequence[float] = (0.4, 0.7, -0.5, 0.3),
    y0: Sequence[float] = (1.0, 0.5, -1.5, 2.0),
) -> Problem:
    """Independent geometric Brownian motions, one a coordinate: diagonal noise in d dimensions."""
    if not len(mu) == len(sigma) == len(y0):
        raise ProblemError(
            f"mu, sigma and y0 need equal lengths, but have {len(mu)}, {len(sigma)} and {len(y0)}"
        )
    rate = torch.tensor(mu, dtype=torch.float64)
    size = torch.tensor(sigma, dtype=torch.float64)
    start = torch.tensor(y0, dtype=torch.float64)
    corrected = rate - size**2 / 2

    def solution(t: float, p: PathValues) -> Tensor:
        return start.to(p.W) * torch.exp(corrected.to(p.W) * t + size.to(p.W) * p.W)

    def second(t: float) -> float:
        return float((start**2 * torch.exp((2 * rate + size**2) * t)).sum())

    return Problem(
        name="diagonal",
        noise="diagonal",
        y0=tuple(float(x) for x in y0),
        channels=len(y0),
        drifts={
            "ito": lambda t, y: rate.to(y) * y,
            "stratonovich": lambda t, y: corrected.to(y) * y,
        },
        diffusion=lambda t, y: size.to(y) * y,
        solution=solution,
        functionals=named(
            Functional("squared norm", lambda y: (y * y).sum(-1), second),
            Functional(
                "sum", lambda y: y.sum(-1), lambda t: float((start * torch.exp(rate * t)).sum())
            ),
        ),
        citation="Kloeden and Platen, Numerical Solution of SDEs (1992), section 4.4",
    )


def pair() -> Problem:
    """Two dimensions, two channels, non-commutative: ``E X_1(t)^2 = e^-t`` for ``X(0) = (1, 1)``.

    Its matrices do not commute (``B_1 B_2 != B_2 B_1``), so that transposed double integrals show.
    """
    root = math.sqrt(2.0)
    problem = linear(
        A=((-273 / 512, 0.0), (-1 / 160, -785 / 512 + root / 8)),
        B=(
            ((1 / 4, 0.0), (0.0, (1 - 2 * root) / 4)),
            ((1 / 16, 0.0), (1 / 10, 1 / 16)),
        ),
        y0=(1.0, 1.0),
        name="pair",
    )
    return _renamed(problem, "Debrabant and Roessler, SIAM J. Numer. Anal. 47 (2009)")


def triple() -> Problem:
    """Two dimensions, three channels, no two of which commute.

    Two channels do not see every condition on the pair variables: the product E[I_12 I_13] first
    appears with three. The matrices are generic on purpose, as symmetric ones cancel that term.
    """
    problem = linear(
        A=((-0.5, 0.4), (-0.3, -0.2)),
        B=(
            ((0.1, 0.6), (-0.5, 0.2)),
            ((0.5, 0.1), (0.3, -0.4)),
            ((-0.2, 0.4), (0.6, 0.1)),
        ),
        y0=(1.0, 0.5),
        name="triple",
    )
    return _renamed(problem, "made for this library; moments by matrix exponentials")


def spiral(
    drift: tuple[float, float] = (-0.3, 1.0),
    noise: Sequence[tuple[float, float]] = ((0.3, 0.4), (0.2, -0.5)),
    y0: tuple[float, float] = (1.0, 0.0),
) -> Problem:
    """Complex geometric Brownian motion ``dZ = a Z dt + sum_k b_k Z dW_k``, as a plane: commuting
    matrices.

    ``Z(t) = Z(0) exp((a - sum b_k^2/2) t + sum b_k W_k(t))``. `drift` and the entries of `noise`
    are (real, imaginary) parts. With one channel it is a problem of scalar noise, otherwise of
    commutative noise.
    """
    exponent = complex(*drift) - sum(complex(*b) ** 2 for b in noise) / 2
    problem = linear(
        A=_rotation(*drift),
        B=tuple(_rotation(*b) for b in noise),
        y0=y0,
        noise="scalar" if len(noise) == 1 else "commutative",
        name="spiral" if len(noise) > 1 else "oscillator",
    )

    def solution(t: float, p: PathValues) -> Tensor:
        weights = p.W.new_tensor(noise)  # (m, 2): real and imaginary parts
        log = p.W @ weights
        size = torch.exp(exponent.real * t + log[..., 0])
        angle = exponent.imag * t + log[..., 1]
        c, s = size * torch.cos(angle), size * torch.sin(angle)
        return torch.stack((c * y0[0] - s * y0[1], s * y0[0] + c * y0[1]), -1)

    return _renamed(
        problem,
        "Kloeden and Platen, Numerical Solution of SDEs (1992), section 4.8",
        solution=solution,
    )


def oscillator(rate: float = 1.0, sigma: float = 0.7, damping: float = 0.2) -> Problem:
    """Kubo's oscillator with damping: rotation at a noisy rate, one Brownian motion (scalar noise).

    Stratonovich: ``dX = (rate J - damping) X dt + sigma J X o dW``, J the quarter turn; the norm is
    ``|X(0)| e^(-damping t)`` on every path.
    """
    return spiral(drift=(-damping - sigma**2 / 2, rate), noise=((0.0, sigma),))


def _rotation(real: float, imaginary: float) -> tuple[tuple[float, float], tuple[float, float]]:
    return ((real, -imaginary), (imaginary, real))


def _frozen(matrix: Matrix) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(x) for x in row) for row in matrix)


def _midpoint_drift(fields: LinearFields) -> Tensor:
    """The Stratonovich drift matrix ``A - sum_k B_k^2 / 2``."""
    A, B = fields.matrices()
    return A - (B @ B).sum(0) / 2


def _check_commuting(fields: LinearFields) -> None:
    _, B = fields.matrices()
    for k in range(len(B)):
        for r in range(k):
            gap = float((B[k] @ B[r] - B[r] @ B[k]).abs().max())
            if gap > 1e-12 * float(B[k].abs().max() * B[r].abs().max()):
                raise ProblemError(
                    f"noise='commutative', but B[{r}] and B[{k}] do not commute; "
                    "say noise='general'"
                )


def _renamed(problem: Problem, citation: str, **changes: object) -> Problem:
    return replace(problem, citation=citation, **changes)  # type: ignore[arg-type]
