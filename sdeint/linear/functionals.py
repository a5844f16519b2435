r"""Gaussian functionals of Brownian motion over a step: their exact joint law, mode by mode.

A functional is ``int w dW`` over a step of size h, with one of these weights at ``u = s h`` from the
start of the step; c is a share of the step, 1 unless given as in ``"phi_0@1/2"``, and
``x = c - s`` in [0, c]; beyond c the weight is 0:

=============  ============================  =====================================================
name           weight                        what it is
=============  ============================  =====================================================
``W``          1                             the increment
``U``          s                             ``(1/h) int (W_h - W_u) du``
``H``, ``K``   1/2 - s, (6 s^2 - 6 s + 1)/12   the path's space-time areas
``pol_k@c``    x^k/k!                        ``pol_0@c`` is the increment up to c h
``phi_k@c``    x^k phi_k(x h l)              ``phi_0``: the noise of the mode, ``e^{(ch-u) l}``;
                                             ``phi_1``: its mean, ``(1/h) int_u^ch e^{(ch-r) l} dr``
``exp_k@c``    x^k/k! e^{x h l}              k further filters by the mode itself
=============  ============================  =====================================================

**How the law is found.** The covariance of two functionals is the inner product of their weights. The
weights are written down at the nodes of a Gauss rule that integrates their products to rounding, and
orthogonalised there, in the order of the names (Gram-Schmidt, twice): the coefficients are the
Cholesky factor of the covariance, without the covariance having been formed.

What lost: the covariances as combinations of phi functions (``Var phi_0 = |h| phi_1(2 h l)``,
``Cov(W, phi_0) = |h| phi_1(h l)``, ...). Each is accurate, but a factor needs what is left of one
functional given the others. For ``h l -> 0`` that is of the order ``(h l)^2 |h|`` (and ``(h l)^4 |h|``
given W and H), found by subtracting numbers of the order ``|h|``: below ``|h l| = 1e-8`` (1e-4) its
square root, which is what multiplies a normal, is noise of size 1e-8 and the matrix may not be positive.
Orthogonalised weights keep the residual itself to 1e-16. They also need no table of integrals for
each pair of weights and each pair of c.

**Directions.** On a step of size h < 0 the functional belongs to the path run backwards, as W and H
of `BrownianPath` do, and its weights are those above with the sign of h in ``h l`` alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdeint.errors import ProblemError
from sdeint.linear.modes import check_range, narrow, rates_of
from sdeint.linear.weights import Row, Weight, row_of, weight_of
from sdeint.phi import WIDE, phis

__all__ = ["conditional_functionals", "gaussian_functionals"]

# A Gauss rule of 16 nodes takes products of weights, e^{2 y z} times polynomials, to rounding on
# panels that end at these |y z|, y the distance from where the weights are largest: the exponent
# changes by 8 in the first, and by up to 36 where the product itself is below e^-40.
_NODES = 16
_ENDS = (4.0, 10.0, 22.0, 40.0)
# Oscillating modes: the radians of a panel that 16 nodes take.
_PHASE = 8.0
_AT_ONCE = 1 << 22  # numbers in a block of weights


def gaussian_functionals(l: float | complex | Tensor, h: float, names: Sequence[str]) -> Tensor:
    """The factor of the joint law: ``functionals = factor @ standard normals``.

    Parameters
    ----------
    l : number or Tensor
        Rates of the modes. h l from any negative to where e^{h l} overflows.
    h : float
        Size of the step, of either sign.
    names : sequence of str
        See the module.

    Returns
    -------
    Tensor
        ``(*l.shape, n, n)`` for n names, lower triangular, with the square root of |h| in it;
        singular where functionals coincide (l = 0), never NaN. For complex l complex and
        ``(*l.shape, n, 2 n)``: the functionals of a real W, from 2 n real normals.

    Raises
    ------
    ProblemError
        For an unknown name, and for overflow.

    Examples
    --------
    >>> import torch
    >>> from sdeint.linear import gaussian_functionals
    >>> factor = gaussian_functionals(torch.tensor([-2.0, 0.0], dtype=torch.float64), 0.5, ["phi_0"])
    >>> (factor**2).flatten()  # (1 - e^-2)/4 and 1/2
    tensor([0.2162, 0.5000], dtype=torch.float64)
    """
    return conditional_functionals(l, h, names, ())[1]


def conditional_functionals(
    l: float | complex | Tensor,
    h: float | Tensor,
    names: Sequence[str],
    given: Sequence[str] = ("W", "H"),
) -> tuple[Tensor, Tensor]:
    """The law given what has been drawn: ``regression @ given + factor @ standard normals``.

    With W and H of a path the functionals belong to that path, and the normals need only be
    independent of it.

    Parameters
    ----------
    l, h, names
        See `gaussian_functionals`; h may be a tensor, with a gradient.
    given : sequence of str
        Functionals that are known, not depending on l and linearly independent: W, H, K of a path.

    Returns
    -------
    regression : Tensor
        ``(*l.shape, n, len(given))``.
    factor : Tensor
        ``(*l.shape, n, n)``; with complex l, ``(*l.shape, n, 2 n)``.
    """
    known, wanted = [weight_of(name) for name in given], [weight_of(name) for name in names]
    for name, weight in zip(given, known):
        if weight.family != "pol":
            raise ProblemError(f"{name!r} cannot be given: it differs from mode to mode")
    size = h.detach() if isinstance(h, Tensor) else h
    if not (isinstance(size, (int, float, Tensor)) and math.isfinite(size)):
        raise ProblemError(f"the size of a step is a finite number, got {h!r}")
    rates = rates_of(l)
    z = (rates.to(WIDE[rates.dtype]) * h).reshape(-1)
    check_range(z, float(size), rates.dtype)
    places: Tensor | None = None
    if z.numel() > 256 and not z.requires_grad and not z.is_complex():
        z, places = torch.unique(z, return_inverse=True)  # symmetric spectra: most modes come twice
    given_rows = [row_of(name) for name in given]
    rows = [row_of(name) for name in names]
    size = max(1, _AT_ONCE // max(1, _nodes_for(z, known + wanted) * (len(rows) + len(given_rows))))
    parts = [_orthogonalised(block, given_rows, rows) for block in torch.split(z, size)]
    regression, factor = (torch.cat(several) for several in zip(*parts))
    width: Any = abs(h)
    factor = factor * width**0.5
    if places is not None:
        regression, factor = regression[places], factor[places]
    return tuple(  # type: ignore[return-value]
        value.reshape(*rates.shape, *value.shape[1:]).to(narrow(value, rates))
        for value in (regression, factor)
    )


def _pieces(z: Tensor) -> int:
    if not z.is_complex() or not z.numel():
        return 1
    return max(1, math.ceil(float(z.detach().imag.abs().max()) / _PHASE))


def _nodes_for(z: Tensor, weights: Sequence[Weight]) -> int:
    parts = len({weight.c for weight in weights})
    return parts * (len(_ENDS) + 1) * _pieces(z) * _NODES * (4 if z.is_complex() else 1)


@lru_cache(maxsize=1)
def _gauss() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and weights on [0, 1]; as arrays, since a tensor remembers the mode it was made in."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return (nodes + 1.0) / 2.0, weights / 2.0


def _orthogonalised(
    z: Tensor, given: Sequence[Row], wanted: Sequence[Row]
) -> tuple[Tensor, Tensor]:
    """Regression and factor for modes (n,), for |h| = 1."""
    rows = [*given, *wanted]
    ends = sorted({weight.c for row in rows for weight, _ in row})
    blocks = [_at_nodes(z, rows, a, b) for a, b in zip([0.0, *ends], ends)]
    values = torch.cat(blocks, dim=-1)  # (modes, functionals, nodes)
    known = len(given)
    if z.is_complex():
        # A complex functional of a real W is two real ones.
        values = torch.cat(
            [values[:, :known].real, values[:, known:].real, values[:, known:].imag], 1
        )
    triangle = _gram_schmidt(values)
    top, low = triangle[:, :known, :known], triangle[:, known:, :known]
    regression = torch.linalg.solve_triangular(top, low, upper=False, left=False)
    factor = triangle[:, known:, known:]
    if z.is_complex():
        regression, factor = (
            torch.complex(*torch.split(value, len(wanted), dim=1)) for value in (regression, factor)
        )
    return regression, factor


def _at_nodes(z: Tensor, rows: Sequence[Row], a: float, b: float) -> Tensor:
    """All weights on [a, b], times the roots of the rule's weights: (modes, rows, nodes)."""
    length = b - a
    size = z.detach().abs() if not z.is_complex() else z.detach().real.abs()
    size = size.clamp_min(1e-300).unsqueeze(-1)
    ends = torch.tensor(_ENDS, dtype=size.dtype, device=z.device)
    ends = torch.cat([torch.zeros_like(size), (ends / size).clamp_max(length)], dim=-1)
    ends = torch.cat([ends, torch.full_like(size, length)], dim=-1)
    pieces = _pieces(z)
    if pieces > 1:
        share = torch.arange(pieces, dtype=ends.dtype, device=z.device) / pieces
        fine = ends[:, :-1, None] + torch.diff(ends)[..., None] * share
        ends = torch.cat([fine.flatten(1), ends[:, -1:]], dim=-1)
    nodes, gauss = (torch.as_tensor(value, device=z.device) for value in _gauss())
    widths = torch.diff(ends).unsqueeze(-1)
    y = (ends[:, :-1].unsqueeze(-1) + widths * nodes).flatten(1)
    root = torch.sqrt(widths * gauss).flatten(1)
    # y is measured from the end at which e^{(c - s) z} is largest, so that x = c - s is exact there.
    growing = (z.detach().real > 0).unsqueeze(-1)
    x_of_c: dict[float, Tensor] = {}
    cache: dict[Weight, Tensor] = {}
    result = []
    for row in rows:
        total = torch.zeros(y.shape, dtype=z.dtype, device=z.device)
        for weight, coefficient in row:
            if weight.c < b:
                continue
            if weight.c not in x_of_c:
                x_of_c[weight.c] = torch.where(growing, (weight.c - a) - y, (weight.c - b) + y)
            if weight not in cache:
                cache[weight] = _weight(weight, x_of_c[weight.c], z.unsqueeze(-1))
            total = total + cache[weight] * coefficient
        result.append(total * root)
    return torch.stack(result, dim=1)


def _weight(weight: Weight, x: Tensor, z: Tensor) -> Tensor:
    k = weight.degree
    if weight.family == "pol":
        return x**k / math.factorial(k)
    if weight.family == "exp" or k == 0:
        return torch.exp(x * z) * (x**k / math.factorial(k))
    return phis(x * z)[k] * x**k


def _gram_schmidt(rows: Tensor) -> Tensor:
    """The lower triangle T of rows = T Q, the rows of Q orthonormal (or zero): (modes, r, r)."""
    count = rows.shape[1]
    # Scaled, since squares of growing modes would overflow.
    scale = rows.detach().abs().amax(dim=-1).clamp_min(1e-300)
    rows = rows / scale.unsqueeze(-1)
    basis = rows[:, :0]
    lines = []
    for i in range(count):
        row = rows[:, i : i + 1]
        size = torch.linalg.vector_norm(row.detach(), dim=-1, keepdim=True)
        line = torch.zeros_like(rows[:, :1, :i])
        for _ in range(2):
            shares = row @ basis.mT
            row = row - shares @ basis
            line = line + shares
        # What is rounding is zero, and has no derivative.
        rest = (row**2).sum(dim=-1, keepdim=True)
        real = rest.detach() > (8.0 * torch.finfo(row.dtype).eps * size) ** 2
        pivot = torch.where(real, torch.sqrt(torch.where(real, rest, 1.0)), 0.0)
        basis = torch.cat([basis, row / torch.where(real, pivot, 1.0) * real], dim=1)
        zeros = torch.zeros_like(rows[:, :1, : count - i - 1])
        lines.append(torch.cat([line, pivot, zeros], dim=-1))
    return torch.cat(lines, dim=1) * scale.unsqueeze(-1)
