"""Every operator that cannot work is refused, with what is wrong in the message."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from sdeint.errors import ProblemError
from sdeint.linear import (
    Dense,
    Diagonal,
    Scalar,
    Term,
    Transformed,
    conditional_functionals,
    dense_functionals,
    gaussian_functionals,
    joining,
    linear_operator,
)

F64 = torch.float64
Y = torch.ones(2, 3, dtype=F64)
INF, NAN = math.inf, math.nan


def ring(diagonal: Any, points: int = 3) -> Transformed:
    return Transformed(torch.fft.rfft, lambda v: torch.fft.irfft(v, n=points), diagonal)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "text": (lambda: Scalar("1"), "number or a tensor, got str"),
    "half": (lambda: Diagonal(torch.ones(3, dtype=torch.float16)), "float16"),
    "not a scalar": (lambda: Scalar(torch.ones(3)), r"one number.*\(3,\)"),
    "not finite scalar": (lambda: Scalar(INF), "not finite: inf"),
    "not finite": (lambda: Diagonal(torch.tensor([1.0, NAN])), r"not finite: nan at \(1,\)"),
    "not finite matrix": (
        lambda: Dense(torch.tensor([[1.0, INF], [0, 0]])).flow(Y[:, :2]),
        r"inf at \(0, 1\)",
    ),
    "diagonal's shape": (
        lambda: Diagonal(torch.ones(4)).flow(Y),
        r"event, \(3,\).*got shape \(4,\)",
    ),
    "batch in diagonal": (lambda: Diagonal(torch.ones(2, 3)).flow(Y), r"got shape \(2, 3\)"),
    "matrix not square": (lambda: Dense(torch.ones(2, 3)), r"\(2, 3\)"),
    "matrix's shape": (
        lambda: Dense(torch.eye(4)).flow(Y),
        r"\(4,\), but those of y have shape \(3,\)",
    ),
    "matrix in time": (lambda: Dense(torch.cos), "cannot depend on time"),
    "no integral": (lambda: Scalar(torch.cos), "its integral is needed"),
    "no integral, diagonal": (lambda: Diagonal(torch.cos), "its integral is needed"),
    "no integral, transformed": (lambda: ring(torch.cos), "its integral is needed"),
    "bare function": (lambda: linear_operator(torch.cos), r"Scalar\(L, integral\)"),
    "integral of a constant": (lambda: Scalar(1.0, torch.sin), "function of time"),
    "wrong integral": (
        lambda: Scalar(torch.cos, torch.cos).flow(Y, times=(0.0, 1.0)),
        r"at t = 0.1371 its derivative is -0.13\d*, but L\(t\) = 0.99",
    ),
    "slightly wrong integral": (
        lambda: Diagonal(lambda t: t * torch.ones(3), lambda t: 0.501 * t**2 * torch.ones(3)).flow(
            Y, times=(2.0, 0.0)
        ),
        "does not belong to L",
    ),
    "an integral that is wrong later": (
        lambda: Scalar(lambda t: torch.ones_like(t), lambda t: torch.where(t < 0.7, t, 2 * t)).flow(
            Y, times=(0.0, 1.0)
        ),
        r"at t = 0.8713 its derivative is 2\D",
    ),
    "no function for an integral": (lambda: Scalar(torch.cos, 1.0), "a function of t, got float"),
    "an integral that is NaN": (
        lambda: Scalar(torch.cos, lambda t: t * NAN).flow(Y).phi(0.5, 0.1, 1),
        "over the step at t = 0.5 is NaN",
    ),
    "integral's shape": (
        lambda: Diagonal(lambda t: t * torch.ones(3), lambda t: t**2 / 2).flow(Y, times=(0.0, 1.0)),
        "must agree",
    ),
    "complex L": (
        lambda: Diagonal(torch.tensor([1j, 0, 0])).flow(Y),
        "L is complex and the state real",
    ),
    "complex matrix": (lambda: Dense(1j * torch.eye(3)).flow(Y), "L is complex and the state real"),
    "integers": (lambda: Scalar(1.0).flow(torch.ones(3, dtype=torch.int64)), "int64"),
    "transform's shape": (
        lambda: ring(torch.ones(3)).flow(Y),
        r"forward\(y\), \(2,\).*got shape \(3,\)",
    ),
    "backward's shape": (lambda: ring(torch.ones(2), 4).flow(Y), r"shape \(2, 4\)"),
    "no inverse": (
        lambda: Transformed(lambda x: 2 * x, lambda v: v, torch.ones(3)).flow(Y),
        "does not undo",
    ),
    "complex field": (
        lambda: ring(torch.tensor([1j, 0j], dtype=torch.complex128)).flow(Y),
        r"mode \(0,\)",
    ),
    "too many axes": (lambda: linear_operator(torch.ones(2, 3, 3)), r"\(2, 3, 3\)"),
    "phi_5": (lambda: Scalar(1.0).flow(Y).phi(0.0, 1.0, 5), "phi_0 to phi_4"),
    "no terms": (lambda: Scalar(1.0).flow(Y).factor(0.0, 1.0, []), "at least one"),
    "growing": (
        lambda: Diagonal(torch.tensor([0.0, 2e3, 1.0])).flow(Y).phi(0.0, 0.5, 1),
        r"mode \(1,\) has c h lambda = 1000 .*709.78\d*, so take steps of at most 0.355",
    ),
    "growing in single precision": (
        lambda: Scalar(100.0).flow(Y.float()).factor(0.0, 1.0, [Term(1.0, 2)]),
        "100 .* up to 88.7",
    ),
    "backwards": (lambda: Scalar(-800.0).flow(Y).phi(0.0, -1.0, 0), "= 800 .*size -1"),
    "growing matrix": (
        lambda: Dense(800.0 * torch.eye(3)).flow(Y).phi(0.0, 1.0, 0),
        "c h lambda = 800",
    ),
    "matrix far from normal": (
        lambda: (
            Dense(torch.tensor([[-1.0, 1e300], [-1e10, -1.0]], dtype=F64))
            .flow(Y[:, :2])
            .phi(0.0, 1.0, 0)
        ),
        "overflows",
    ),
    "unknown functional": (lambda: gaussian_functionals(-1.0, 1.0, ["phi_7"]), "'phi_7'"),
    "no part": (lambda: gaussian_functionals(-1.0, 1.0, ["phi_0@3/2"]), r"\(0, 1\]"),
    "part of H": (lambda: gaussian_functionals(-1.0, 1.0, ["H@1/2"]), "whole step"),
    "growing functional": (lambda: gaussian_functionals(800.0, 1.0, ["phi_0"]), "h lambda = 800"),
    "not finite functional": (lambda: gaussian_functionals(NAN, 1.0, ["phi_0"]), "not finite"),
    "turning functional": (lambda: gaussian_functionals(5e3j, 1.0, ["phi_0"]), "by 5000 radians"),
    "complex noise of a matrix": (
        lambda: Dense(1j * torch.eye(3)).flow(1j * Y).noise(0.0, 0.1, ["phi_0"]),
        "not provided for a complex dense L",
    ),
    "learned steps of a matrix's noise": (
        lambda: (
            Dense(torch.eye(3))
            .flow(Y)
            .noise(0.0, torch.tensor(0.1, dtype=F64, requires_grad=True), ["phi_0"])
        ),
        "gradients in a dense L or its steps",
    ),
    "no step": (lambda: gaussian_functionals(-1.0, INF, ["phi_0"]), "finite number"),
    "given mode": (
        lambda: conditional_functionals(-1.0, 1.0, ["phi_1"], ["phi_0"]),
        "cannot be given",
    ),
    "joining needs": (lambda: joining(-1.0, 1.0, 1.0, ["phi_1"]), "needs pol_0 of its parts"),
    "joining parts": (lambda: joining(-1.0, 1.0, 1.0, ["phi_0@1/2"]), "part of the step"),
    "joining to and fro": (lambda: joining(-1.0, 1.0, -1.0, ["phi_0"]), "one direction"),
    "functional of a stage": (
        lambda: dense_functionals(torch.eye(2), 1.0, ["phi_0@1/2"]),
        "whole steps",
    ),
    "G": (
        lambda: dense_functionals(torch.eye(2), 1.0, ["phi_0"], noise=torch.eye(3)),
        "does not fit",
    ),
    "dense law of no square": (
        lambda: dense_functionals(torch.ones(2, 3), 1.0, ["phi_0"]),
        r"\(d, d\), got shape \(2, 3\)",
    ),
    "dense law of a complex matrix": (
        lambda: dense_functionals(1j * torch.eye(2), 1.0, ["phi_0"]),
        "write L as a real one",
    ),
    "given mode of a matrix": (
        lambda: dense_functionals(torch.eye(2), 1.0, ["phi_1"], given=["phi_0"]),
        "'phi_0' cannot be given",
    ),
    "growing dense noise": (
        lambda: dense_functionals(800 * torch.eye(2), 1.0, ["phi_0"]),
        "overflows.*800",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    attempt, message = REFUSED[name]
    with pytest.raises(ProblemError, match=message):
        attempt()


def test_a_matrix_too_large_is_refused_with_the_figure() -> None:
    size = 400_000
    huge = torch.zeros(1, 1).expand(size, size)  # costs nothing until it is used
    with pytest.raises(ProblemError, match=r"need 69.1 TB \(54 matrices of 1.28 TB\).*free"):
        Dense(huge).flow(torch.ones(size))


def test_steep_and_singular_rates_pass_with_their_true_integrals() -> None:
    y = torch.ones(1, dtype=F64)
    Scalar(lambda t: 1 / t, torch.log).flow(y, times=(1e-4, 1.0))
    Scalar(lambda t: -0.5 * (0.1 + 19.9 * t), lambda t: -0.5 * (0.1 * t + 9.95 * t**2)).flow(
        y, times=(1.0, 0.0)
    )
    Scalar(lambda t: 50 * torch.cos(50 * t), lambda t: torch.sin(50 * t)).flow(y, times=(0.0, 10.0))
