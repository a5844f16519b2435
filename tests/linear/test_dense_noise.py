"""The noise of a matrix: against the modes, Van Loan's formula in high precision, and joining."""

from __future__ import annotations

import itertools

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from torch import Tensor

from sdeint.linear import conditional_functionals, dense_functionals, gaussian_functionals
from tests.linear.reference import covariance as quadrature

F64 = torch.float64
NAMES = ["phi_0", "W", "H", "phi_1", "exp_1", "phi_2"]


def law(matrix: Tensor, h: float, names: list[str], **options: Tensor) -> Tensor:
    factor = dense_functionals(matrix, h, names, **options)[1]  # type: ignore[arg-type]
    assert torch.equal(factor, factor.tril())
    return factor @ factor.mT


@pytest.mark.parametrize("h", [0.5, -0.5])
def test_a_symmetric_matrix_has_the_law_of_its_modes(h: float) -> None:
    rates = torch.tensor([-3e3, -1.0, 0.0, 2.0], dtype=F64) * (1.0 if h > 0 else -1.0)
    generator = torch.Generator().manual_seed(5)
    q = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=F64)).Q
    got = law(q @ torch.diag(rates) @ q.mT, h, NAMES)
    n = len(NAMES)
    turn = torch.block_diag(*[q] * n)
    modes = (turn.mT @ got @ turn).reshape(n, 4, n, 4)
    factor = gaussian_functionals(rates, h, NAMES)
    exact = factor @ factor.mT
    # Rounding of L mixes the modes: errors are relative to the largest of them.
    spread = exact.diagonal(dim1=-2, dim2=-1).max(dim=0).values.sqrt()
    for i, j in itertools.product(range(4), repeat=2):
        error = modes[:, i, :, j] - (exact[i] if i == j else 0.0)
        assert float((error.abs() / spread.unsqueeze(-1) / spread).max()) < 1e-11


def test_given_the_path() -> None:
    rates = torch.tensor([-40.0, -1.0], dtype=F64)
    regression, factor = dense_functionals(torch.diag(rates), 0.5, ["phi_0"], given=["W", "H"])
    known, left = conditional_functionals(rates, 0.5, ["phi_0"], ["W", "H"])
    torch.testing.assert_close(factor.diagonal(), left[:, 0, 0], rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(regression[:, :2].diagonal(), known[:, 0, 0], rtol=1e-13, atol=1e-15)
    torch.testing.assert_close(regression[:, 2:].diagonal(), known[:, 0, 1], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("matrix", "noise"),
    [
        ([[-4.0, 1.0, 0.0], [0.0, -4.0, 1.0], [0.0, 0.0, -4.0]], [[0.0], [0.0], [1.0]]),
        ([[0.0, 1.0], [-50.0, -20.0]], [[0.0], [1.0]]),
        ([[0.0, 1.0], [0.0, 0.0]], [[0.0, 0.3], [1.0, 0.0]]),
        ([[-1000.0, 300.0], [0.0, -0.1]], [[1.0, 0.0], [0.0, 1.0]]),
    ],
)
def test_against_van_loan_in_high_precision(
    matrix: list[list[float]], noise: list[list[float]]
) -> None:
    h, d = 0.25, len(matrix)
    with mp.workdps(400):
        a, g = mpmath.matrix(matrix) * h, mpmath.matrix(noise)
        block = mp.zeros(2 * d, 2 * d)
        block[:d, :d], block[:d, d:], block[d:, d:] = -a, g * g.T, a.T
        squarings = 10
        total = term = mp.eye(2 * d)
        for n in range(1, 60):
            term = term * block * mp.mpf(2) ** -squarings / n
            total = total + term
        for _ in range(squarings):
            total = total * total
        exact = h * total[d:, d:].T * total[:d, d:]
    got = law(torch.tensor(matrix, dtype=F64), h, ["phi_0"], noise=torch.tensor(noise, dtype=F64))
    for i in range(d):
        for j in range(d):
            scale = mp.sqrt(exact[i, i] * exact[j, j])
            assert float(abs(float(got[i, j]) - exact[i, j]) / scale) < 2e-13


def test_the_hypoelliptic_oscillator_keeps_its_small_direction() -> None:
    """Langevin's position given its velocity: of the order h^3, and still to nine digits."""
    matrix = torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=F64)
    noise = torch.tensor([[0.0], [1.0]], dtype=F64)
    for h in (1.0, 1e-2, 1e-4):
        factor = dense_functionals(matrix, h, ["phi_0"], noise=noise)[1]
        exact = torch.tensor([[h**3 / 3, h**2 / 2], [h**2 / 2, h]], dtype=F64)
        torch.testing.assert_close(factor, torch.linalg.cholesky(exact), rtol=1e-9, atol=0)


@given(
    st.integers(1, 4), st.sampled_from(["random", "defective", "zero"]), st.integers(0, 2**32 - 1)
)
@settings(max_examples=25)
def test_two_steps_are_one(d: int, kind: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix, noise = (torch.randn(d, d, generator=generator, dtype=F64) for _ in range(2))
    if kind == "defective":
        matrix = matrix.triu(1) - 2.0 * torch.eye(d, dtype=F64)
    if kind == "zero":
        matrix = torch.zeros_like(matrix)
    for h in (0.7, -0.7):
        half, whole = (
            law(matrix, h, ["phi_0"], noise=noise),
            law(matrix, 2 * h, ["phi_0"], noise=noise),
        )
        flow = torch.linalg.matrix_exp(h * matrix)
        torch.testing.assert_close(flow @ half @ flow.mT + half, whole, rtol=1e-11, atol=1e-11)


def test_one_mode_against_quadrature_and_single_precision() -> None:
    names = ["phi_0", "phi_1", "W", "exp_2"]
    exact = quadrature(names, -8.0)
    got = law(torch.tensor([[-4.0]], dtype=F64), 2.0, names) / 2.0
    single = law(torch.tensor([[-4.0]]), 2.0, names) / 2.0
    assert single.dtype is torch.float32
    for i in range(4):
        for j in range(4):
            assert float(got[i, j]) == pytest.approx(float(exact[i, j]), rel=1e-13)
            assert float(single[i, j]) == pytest.approx(float(exact[i, j]), rel=1e-5)
