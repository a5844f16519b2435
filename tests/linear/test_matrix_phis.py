"""Phi functions of matrices: normal, defective, nilpotent, zero, stiff, complex."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sdeint.phi import matrix_phis, phis
from tests.linear import reference

F64, C128 = torch.float64, torch.complex128


def rotated(diagonal: list[float]) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    basis = torch.linalg.qr(
        torch.randn(len(diagonal), len(diagonal), generator=generator, dtype=F64)
    )
    return basis.Q @ torch.diag(torch.tensor(diagonal, dtype=F64)) @ basis.Q.mT


MATRICES = {
    "zero": torch.zeros(3, 3, dtype=F64),
    "nilpotent": torch.tensor([[0.0, 1e3, 5.0], [0.0, 0.0, -1e3], [0.0, 0.0, 0.0]], dtype=F64),
    "defective": torch.tensor([[-4.0, 1.0, 0.0], [0.0, -4.0, 1.0], [0.0, 0.0, -4.0]], dtype=F64),
    "tiny": 1e-9 * rotated([1.0, -2.0, 3.0]),
    "not normal": torch.tensor([[1.0, 1e6], [0.0, -1.0]], dtype=F64),
    "oscillating": torch.tensor([[0.0, 40.0], [-40.0, 0.0]], dtype=F64),
    "complex": torch.tensor([[1j, 2.0], [-3.0 + 1j, -5.0]], dtype=C128),
    "growing": rotated([5.0, 20.0, -3.0]),
    "stiff": rotated([-1e4, -50.0, -1.0, 0.0]),
}


@pytest.mark.parametrize("name", MATRICES)
def test_against_mpmath(name: str) -> None:
    matrix = MATRICES[name]
    for value, exact in zip(matrix_phis(matrix), reference.matrix_phi(matrix)):
        error = mpmath.matrix(value.tolist()) - exact
        size = mpmath.mp.mnorm(exact, 1)
        # The rounding of entries of size 1e4 alone moves the slow modes of the stiff one by 3e-12.
        assert float(mpmath.mp.mnorm(error, 1) / size) < (3e-12 if name == "stiff" else 2e-14)


def test_a_matrix_far_from_normal_keeps_its_small_entries() -> None:
    """Scaling by the norm (1e6 here) would leave six digits of e^1."""
    value = matrix_phis(MATRICES["not normal"])
    for k in range(5):
        exact = [float(phis(torch.tensor(x, dtype=F64))[k]) for x in (1.0, -1.0)]
        torch.testing.assert_close(
            value[k].diagonal(), torch.tensor(exact, dtype=F64), rtol=1e-14, atol=0
        )


def test_diagonal_matrices_agree_with_numbers_also_in_single_precision_and_batches() -> None:
    numbers = torch.tensor([[-3.0, 0.0, 1.5], [-80.0, 2.0, 1e-5]], dtype=F64)
    for dense, plain in zip(matrix_phis(torch.diag_embed(numbers)), phis(numbers)):
        torch.testing.assert_close(dense, torch.diag_embed(plain), rtol=1e-13, atol=1e-16)
    single = matrix_phis(torch.diag_embed(numbers).float())
    for one, plain in zip(single, phis(numbers.float())):
        assert one.dtype is torch.float32
        torch.testing.assert_close(one.diagonal(dim1=-2, dim2=-1), plain, rtol=1e-6, atol=1e-12)


@given(
    st.integers(1, 5),
    st.sampled_from(["real", "complex", "defective", "zero"]),
    st.floats(-3, 2),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=30)
def test_recurrences_and_semigroup(d: int, kind: str, log_size: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    dtype = C128 if kind == "complex" else F64
    a = torch.randn(d, d, generator=generator, dtype=dtype)
    if kind == "defective":
        a = a.triu(1) + torch.eye(d, dtype=dtype) * a[0, 0]
    a = a * (
        0.0 if kind == "zero" else 10.0**log_size / (1.0 + float(torch.linalg.matrix_norm(a, 1)))
    )
    values, doubled = matrix_phis(a), matrix_phis(2.0 * a)
    norm = [float(torch.linalg.matrix_norm(value, 1)) for value in values]
    identity = torch.eye(d, dtype=dtype)
    for k in range(4):
        right = a @ values[k + 1] + identity / math.factorial(k)
        size = float(torch.linalg.matrix_norm(a, 1)) * norm[k + 1] + 1.0
        assert float((values[k] - right).abs().max()) <= 1e-12 * size
    assert float((doubled[0] - values[0] @ values[0]).abs().max()) <= 1e-12 * norm[0] ** 2
    once = (values[0] @ values[1] + values[1]) / 2
    assert float((doubled[1] - once).abs().max()) <= 1e-12 * (norm[0] + 1) * norm[1]
    back = matrix_phis(-a)
    size = norm[0] * float(torch.linalg.matrix_norm(back[0], 1))
    assert float((values[0] @ back[0] - identity).abs().max()) <= 1e-11 * size


@pytest.mark.parametrize("name", ["zero", "defective", "complex"])
def test_gradients(name: str) -> None:
    matrix = MATRICES[name].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda a: tuple(matrix_phis(a)), matrix)
