"""Phi functions of numbers against mpmath, and their identities."""

from __future__ import annotations

import cmath
import math

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sdeint.phi import phis
from tests.linear import reference

# The promise is 1e-14 and 1e-6; these are the measured errors, twice over.
LIMITS = {torch.float64: 1e-15, torch.float32: 1.2e-7}
SIZES = [10.0 ** (-12 + n / 8) for n in range(129)] + [0.3 + 0.17 * n for n in range(60)]


def relative_error(value: complex, exact: object, size: object) -> float:
    return float(abs(mpmath.mp.mpmathify(value) - exact) / abs(size))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("k", range(5))
def test_real_arguments_of_every_size(k: int, dtype: torch.dtype) -> None:
    z = torch.tensor([0.0, *SIZES, *(-size for size in SIZES)], dtype=torch.float64).to(dtype)
    z = z[z < math.log(torch.finfo(dtype).max)]
    value = phis(z)[k]
    assert value.dtype is dtype
    for x, got in zip(z.tolist(), value.tolist()):
        exact = reference.phi(k, x)
        if exact > torch.finfo(dtype).smallest_normal:
            assert relative_error(got, exact, exact) < LIMITS[dtype], x


def test_phi_3_is_right_where_its_formula_is_not() -> None:
    # The trap: three cancellations, in single precision.
    z = torch.tensor(1e-3)
    formula = (torch.exp(z) - 1 - z - z**2 / 2) / z**3
    exact = float(reference.phi(3, float(z)))
    assert abs(float(formula) / exact - 1) > 0.3
    assert abs(float(phis(z)[3]) / exact - 1) < LIMITS[torch.float32]


@pytest.mark.parametrize("k", range(5))
def test_complex_arguments_in_all_directions(k: int) -> None:
    z = torch.tensor(
        [r * cmath.exp(1j * (0.05 + math.pi * n / 7)) for r in SIZES[::3] for n in range(14)],
        dtype=torch.complex128,
    )
    z = z[z.real < 700]
    for x, got in zip(z.tolist(), phis(z)[k].tolist()):
        around = reference.size(k, x)
        if around > 1e-300:
            assert relative_error(got, reference.phi(k, x), around) < 2e-15, x


def test_complex_single_precision_is_double_rounded() -> None:
    z = torch.tensor([1e-3 + 1e-3j, -2 + 9j, 30j, 0j], dtype=torch.complex64)
    for one, two in zip(phis(z), phis(z.to(torch.complex128))):
        assert one.dtype is torch.complex64
        torch.testing.assert_close(one, two.to(torch.complex64), rtol=1e-7, atol=0)


def test_at_zero_the_inverse_factorials() -> None:
    for k, value in enumerate(phis(torch.zeros((2, 1), dtype=torch.float64))):
        assert value.shape == (2, 1)
        torch.testing.assert_close(
            value, torch.full_like(value, 1 / math.factorial(k)), rtol=3e-16, atol=0
        )


def test_zero_size_and_integers() -> None:
    assert [value.shape for value in phis(torch.zeros(0, 3))] == [(0, 3)] * 5
    with pytest.raises(TypeError, match="int64"):
        phis(torch.zeros(2, dtype=torch.int64))


@given(st.floats(-1e4, 700), st.integers(0, 3))
def test_recurrence(x: float, k: int) -> None:
    values = phis(torch.tensor(x, dtype=torch.float64))
    left, right = float(values[k]), float(values[k + 1] * x) + 1 / math.factorial(k)
    size = abs(float(values[k + 1]) * x) + 1 / math.factorial(k)
    assert abs(left - right) <= 4e-15 * size


@given(st.complex_numbers(max_magnitude=200), st.complex_numbers(max_magnitude=200))
def test_exponential_is_a_semigroup_and_phi_1_adds(a: complex, b: complex) -> None:
    """phi_0(a + b) = phi_0(a) phi_0(b); s phi_1(s z) of a sum, as two steps of one equation."""
    za, zb, zs = (phis(torch.tensor(v, dtype=torch.complex128)) for v in (a, b, a + b))
    product = complex(za[0] * zb[0])
    assert abs(complex(zs[0]) - product) <= 1e-13 * (1 + abs(a) + abs(b)) * abs(product)
    one = (a + b) * complex(zs[1])
    two = complex(zb[0]) * a * complex(za[1]) + b * complex(zb[1])
    terms = abs(complex(zs[0])) + abs(complex(zb[0])) + 1.0
    assert abs(one - two) <= 1e-13 * (1 + abs(a) + abs(b)) * terms


@given(st.floats(-300, 300))
def test_derivative_is_as_accurate_as_the_value(x: float) -> None:
    z = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    for k, value in enumerate(phis(z)):
        (slope,) = torch.autograd.grad(value, z, retain_graph=True)
        with mpmath.mp.workdps(60):
            exact = reference.phi(k, x) - (k * reference.phi(k + 1, x) if k else 0)
        assert relative_error(float(slope), exact, exact) < 2e-14


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_two_derivatives(dtype: torch.dtype) -> None:
    points = [0.0, 1e-9, -1e-3, 0.7, -3.99, 4.01, -20.0, 6.0]
    z = torch.tensor(points, dtype=dtype)
    if dtype.is_complex:
        z = z * cmath.exp(0.4j)
    z.requires_grad_()

    def values(x: Tensor) -> tuple[Tensor, ...]:
        return tuple(phis(x))

    assert torch.autograd.gradcheck(values, z)
    assert torch.autograd.gradgradcheck(values, z)


def test_no_gradient_is_lost_or_nan_anywhere() -> None:
    z = torch.tensor([-1e4, -745.2, -4.0, 0.0, 1e-300, 4.0, 700.0], dtype=torch.float64)
    for k, value in enumerate(phis(z.requires_grad_())):
        (slope,) = torch.autograd.grad(value.sum(), z, retain_graph=True)
        assert bool(torch.isfinite(slope).all())
        assert bool((slope[2:] > 0).all()), k
