r"""The phi functions, of numbers and of matrices.

.. math:: \varphi_k(z) = \int_0^1 e^{(1-s)z} \frac{s^{k-1}}{(k-1)!}\,ds
          = \frac{e^z - \sum_{j<k} z^j/j!}{z^k}, \qquad \varphi_0(z) = e^z .

Two recipes, chosen by ``|z|``, and every one of phi_0, ..., phi_4 from both:

- near the origin, the Taylor series of the highest at ``z/4``, the others by going down,
  ``phi_{k-1} = z phi_k + 1/(k-1)!``, then the argument doubled twice,
  ``2^k phi_k(2 z) = e^z phi_k(z) + sum_j phi_j(z)/(k-j)!``. On the real line every term of the
  doubling is positive: nothing cancels.
- away from it, going up, ``phi_{k+1} = (phi_k - 1/k!)/z``: there phi_k and 1/k! are of different
  size, on the left because phi_k decays, on the right because it grows.

What lost:

- The formula itself, with expm1 in place of ``e^z - 1``: phi_3 has an error of 42 % at 1e-3 in
  float32. Going up at every argument is the same thing in another order.
- Taylor's series alone: at -4 the terms of phi_1 are 55 times its value.
- Doubling alone: 14 times at 1e4, each adding an ulp or two, and 14 times the work.
- Rational (Pade) approximation near the origin: a division and two polynomials for the one that the
  series needs; the degree saved is of no account for something computed once a step size.
- Contour integrals (Kassam-Trefethen): an absolute, not a relative error, and complex arithmetic.
- A derivative of our own, ``phi_k' = phi_k - k phi_{k+1}``: it cancels for large negative z. The
  recipes above, differentiated as they stand, keep their accuracy, and can be differentiated again.

float32 is computed in float64 and rounded once. Beyond ``e^z`` = overflow (z > 709.78) the result is
infinite; `sdeint.linear` refuses such arguments before they get here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["HIGHEST", "WIDE", "matrix_phis", "phis"]

HIGHEST = 4
"""The highest phi function."""

#: The precision in which phi functions are computed, for each in which they are wanted.
WIDE = {
    torch.float32: torch.float64,
    torch.float64: torch.float64,
    torch.complex64: torch.complex128,
    torch.complex128: torch.complex128,
}

_DOUBLINGS = 2
_RADIUS = 2.0**_DOUBLINGS  # the series is used for |z|/4 <= 1
_DEGREE = 18  # 1/(4 + 19)! is 1e-21 of 1/4!
_INVERSE_FACTORIAL = [1.0 / math.factorial(n) for n in range(_DEGREE + HIGHEST + 1)]


def phis(z: Tensor) -> list[Tensor]:
    """phi_0(z), ..., phi_4(z), elementwise.

    Parameters
    ----------
    z : Tensor
        float32, float64 or their complex partners; any shape.

    Returns
    -------
    list of Tensor
        Five tensors of z's shape and dtype. Relative error a few units in the last place; in the
        complex plane relative to the size of the function around z, as it has zeros. Any number of
        derivatives.

    Raises
    ------
    TypeError
        If z is no floating-point tensor of these precisions.

    Examples
    --------
    >>> import torch
    >>> [round(float(value), 4) for value in phis(torch.tensor(-1e-3))]
    [0.999, 0.9995, 0.4998, 0.1666, 0.0417]
    """
    dtype = z.dtype
    if dtype not in WIDE:
        raise TypeError(
            f"phi functions are computed in float32 or float64, real or complex; {dtype}"
        )
    z = z.to(WIDE[dtype])
    away = z.detach().abs() > _RADIUS
    # Each recipe sees only arguments that suit it: where() lets no gradient through from the other
    # one, but 0 times infinity would be NaN.
    near = _near(torch.where(away, 0.0, z))
    far = _far(torch.where(away, z, _RADIUS))
    result = [torch.exp(z)]
    result += [torch.where(away, f, n) for f, n in zip(far[1:], near[1:])]
    return [value.to(dtype) for value in result]


def _near(z: Tensor) -> list[Tensor]:
    w = z / _RADIUS
    series = torch.full_like(w, _INVERSE_FACTORIAL[-1])
    for coefficient in reversed(_INVERSE_FACTORIAL[HIGHEST:-1]):
        series = series * w + coefficient
    values = [series]
    for k in range(HIGHEST - 1, -1, -1):
        values.insert(0, values[0] * w + _INVERSE_FACTORIAL[k])
    for _ in range(_DOUBLINGS):
        values[0] = torch.exp(w)
        values = [values[0] ** 2, *(_doubled(values, k) for k in range(1, HIGHEST + 1))]
        w = w * 2.0
    return values


def _doubled(values: list[Tensor], k: int) -> Tensor:
    """phi_k(2 z) from all phi(z)."""
    total = values[0] * values[k]
    for j in range(1, k + 1):
        total = total + values[j] * _INVERSE_FACTORIAL[k - j]
    return total * 0.5**k


def _far(z: Tensor) -> list[Tensor]:
    values = [torch.exp(z)]
    for k in range(HIGHEST):
        values.append((values[k] - _INVERSE_FACTORIAL[k]) / z)
    return values


def matrix_phis(matrix: Tensor) -> list[Tensor]:
    r"""phi_0(A), ..., phi_4(A) of square matrices.

    Scaling and doubling for phi functions (Skaflestad and Wright, Appl. Numer. Math. 59, 2009): the
    series of phi_4 at ``A/2^s``, down to the others, and s doublings as for numbers. Only products
    are used, so that defective, singular and zero matrices are like any other, and the result can be
    differentiated.

    s is found from ``|A^3|^(1/3)`` and ``|A^4|^(1/4)`` (Al-Mohy and Higham, SIAM J. Matrix Anal.
    Appl. 31, 2009), not from ``|A|``, which is far too large for matrices that are not normal: each
    needless doubling doubles the rounding error of the eigenvalues. The block trick, the exponential
    of a matrix five times the size, costs up to 125 products for the one here and scales by the
    norm of the identities in it.

    Parameters
    ----------
    matrix : Tensor
        (..., d, d), float32, float64 or complex; all matrices of a batch get the same s.

    Returns
    -------
    list of Tensor
        Five tensors of the same shape and dtype; error relative to the norm.
    """
    dtype = matrix.dtype
    if dtype not in WIDE:
        raise TypeError(
            f"phi functions are computed in float32 or float64, real or complex; {dtype}"
        )
    a = matrix.to(WIDE[dtype])
    square = a @ a
    cube, fourth = square @ a, square @ square
    sizes = (_norm(cube) ** (1.0 / 3.0), _norm(fourth) ** 0.25)
    size = max(sizes) if all(map(math.isfinite, sizes)) else _norm(a)
    doublings = max(0, math.ceil(math.log2(size))) if 0.0 < size < math.inf else 0
    scale = 0.5**doublings
    powers = [a * scale, square * scale**2, cube * scale**3, fourth * scale**4]
    identity = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    series = _polynomial(_INVERSE_FACTORIAL[HIGHEST:], powers, identity)
    values = [series]
    for k in range(HIGHEST - 1, -1, -1):
        values.insert(0, values[0] @ powers[0] + _INVERSE_FACTORIAL[k] * identity)
    for _ in range(doublings):
        squared = values[0] @ torch.cat(values, dim=-1)  # one product for all five
        parts = torch.split(squared, a.shape[-1], dim=-1)
        values = [
            parts[0],
            *(
                (parts[k] + sum(values[j] * _INVERSE_FACTORIAL[k - j] for j in range(1, k + 1)))
                * 0.5**k
                for k in range(1, HIGHEST + 1)
            ),
        ]
    return [value.to(dtype) for value in values]


def _norm(a: Tensor) -> float:
    """The largest 1-norm of a batch."""
    return float(torch.linalg.matrix_norm(a.detach(), 1).max()) if a.numel() else 0.0


def _polynomial(coefficients: list[float], powers: list[Tensor], identity: Tensor) -> Tensor:
    """A polynomial from the first four powers, in blocks of four (Paterson and Stockmeyer)."""
    step = len(powers)
    total: Tensor | None = None
    for start in range((len(coefficients) - 1) // step * step, -1, -step):
        block = coefficients[start] * identity
        for power, coefficient in zip(powers, coefficients[start + 1 : start + step]):
            block = block + coefficient * power
        total = block if total is None else total @ powers[-1] + block
    assert total is not None
    return total
