r"""Gaussian functionals for a matrix L: the exact law over one step.

``int w(x) G dW`` with the weights of `sdeint.linear.functionals`, now matrix functions of ``x h L``.
Stacked, the weights solve ``w' = M w`` with M block triangular (``exp_k' = Z exp_k + exp_{k-1}``,
``phi_k' = Z phi_k + pol_{k-1} G``, ``pol_k' = pol_{k-1}``, Z = h L), so that their covariance is
``int_0^1 e^{xM} w0 w0^T e^{xM^T} dx``.

Van Loan's block exponential (IEEE Trans. Autom. Control 23, 1978) gives it at once, but contains
``e^{-hL}``, which overflows exactly where an exponential method is wanted. Here the same integral is
taken over ``[0, 2^-s]``, where a Gauss rule is exact to rounding, and doubled,
``C(2 x) = C(x) + e^{xM} C(x) e^{xM^T}``, in terms of its triangular root: ``S(2 x)`` is the QR
factor of ``[S(x), e^{xM} S(x)]``. Sums of squares, never a difference, and the small parts of the
law are not lost by squaring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sdeint.errors import ProblemError
from sdeint.linear.rate import as_wide, refuse_non_finite
from sdeint.linear.weights import Weight, row_of
from sdeint.phi import matrix_phis

__all__ = ["dense_functionals"]

_NODES = 12


def dense_functionals(
    matrix: Tensor,
    h: float,
    names: Sequence[str],
    *,
    noise: Tensor | None = None,
    given: Sequence[str] = (),
) -> tuple[Tensor, Tensor]:
    """The joint law, ``regression @ given + factor @ standard normals``, of one step.

    Parameters
    ----------
    matrix : Tensor
        L, (d, d), real.
    h : float
        Of either sign; see `sdeint.linear.functionals` for a step backwards.
    names : sequence of str
        Functionals of the whole step, as there. ``phi_k`` and ``exp_k`` are of size d, with the
        noise matrix in them; the others of size m.
    noise : Tensor, optional
        G, (d, m); the identity by default.
    given : sequence of str
        Functionals that are known: W, H, K of a path.

    Returns
    -------
    regression : Tensor
        (sizes of the names in all, m len(given)).
    factor : Tensor
        Square, lower triangular, in the matrix's dtype.

    Raises
    ------
    ProblemError
        For wrong shapes, an L that is not finite, a complex L, overflow.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ProblemError(f"a dense L is a tensor (d, d), got shape {tuple(matrix.shape)}")
    if matrix.is_complex():
        raise ProblemError(
            "the noise of a complex matrix is not implemented; write L as a real one"
        )
    wide = as_wide(matrix, "L")
    refuse_non_finite(wide, "L")
    d = len(wide)
    g = torch.eye(d, dtype=wide.dtype, device=wide.device) if noise is None else as_wide(noise, "G")
    if g.ndim != 2 or len(g) != d:
        raise ProblemError(f"G of shape {tuple(g.shape)} does not fit L of shape {(d, d)}")
    rows = [row_of(name) for name in (*given, *names)]
    for name, row in zip((*given, *names), rows):
        if row[0][0].c != 1.0:
            raise ProblemError(f"{name!r}: the law for a matrix is that of whole steps")
        if name in given and row[0][0].family != "pol":
            raise ProblemError(f"{name!r} cannot be given: it depends on L")
    chain, start = _chain(wide * h, g, {weight for row in rows for weight, _ in row})
    root = _doubled_root(chain.matrix, start)
    if not bool(torch.isfinite(root).all()):
        raise ProblemError(
            f"the noise of a growing mode overflows in a step of size {h:.6g}: the largest real "
            f"part of an eigenvalue of h L is {float(torch.linalg.eigvals(wide * h).real.max()):.6g}"
        )
    picked = torch.cat(
        [sum((root[chain.at(w)] * value for w, value in row), torch.zeros(())) for row in rows]
    )
    triangle = _triangle(picked) * math.sqrt(abs(h))
    known = len(given) * g.shape[1]
    regression = torch.linalg.solve_triangular(
        triangle[:known, :known], triangle[known:, :known], upper=False, left=False
    )
    return regression.to(matrix.dtype), triangle[known:, known:].to(matrix.dtype)


class _Chain:
    """The system that the stacked weights solve."""

    def __init__(self, weights: list[Weight], d: int, m: int, like: Tensor) -> None:
        self._place: dict[tuple[str, int], slice] = {}
        total = 0
        for weight in weights:
            size = m if weight.family == "pol" else d
            self._place[weight.family, weight.degree] = slice(total, total + size)
            total += size
        self.matrix = torch.zeros(total, total, dtype=like.dtype, device=like.device)

    def at(self, weight: Weight) -> slice:
        # phi_0 and exp_0 are one.
        family = "exp" if weight.family == "phi" and weight.degree == 0 else weight.family
        return self._place[family, weight.degree]


def _chain(z: Tensor, g: Tensor, used: set[Weight]) -> tuple[_Chain, Tensor]:
    """The matrix M and the initial values w0 for the weights in use and those that feed them."""
    needed: set[Weight] = set()
    for family, k, c in used:
        if family == "phi" and k > 0:
            needed.add(Weight("phi", k, c))
            needed |= {Weight("pol", j, c) for j in range(k)}
        else:
            own = "exp" if family == "phi" else family
            needed |= {Weight(own, j, c) for j in range(k + 1)}
    weights = sorted(needed)
    chain = _Chain(weights, len(z), g.shape[1], z)
    start = torch.zeros(len(chain.matrix), g.shape[1], dtype=z.dtype, device=z.device)
    for weight in weights:
        here, k = chain.at(weight), weight.degree
        if weight.family != "pol":
            chain.matrix[here, here] = z
        if k == 0:
            start[here] = g if weight.family == "exp" else torch.eye(g.shape[1]).to(g)
        elif weight.family == "phi":
            chain.matrix[here, chain.at(Weight("pol", k - 1, 1.0))] = g
        else:
            below = chain.at(Weight(weight.family, k - 1, 1.0))
            chain.matrix[here, below] = torch.eye(below.stop - below.start).to(g)
    return chain, start


def _doubled_root(matrix: Tensor, start: Tensor) -> Tensor:
    """A triangular root of ``int_0^1 e^{xM} w0 w0^T e^{xM^T} dx``."""
    size = float(torch.linalg.matrix_norm(matrix.detach(), 1)) if matrix.numel() else 0.0
    doublings = max(0, math.ceil(math.log2(size))) if size > 0.0 else 0
    width = 0.5**doublings
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    columns = [
        matrix_phis(matrix * (width * (node + 1.0) / 2.0))[0]
        @ start
        * math.sqrt(weight * width / 2.0)
        for node, weight in zip(nodes.tolist(), weights.tolist())
    ]
    root = _triangle(torch.cat(columns, dim=1))
    flow = matrix_phis(matrix * width)[0]
    for step in range(doublings):
        root = _triangle(torch.cat([root, flow @ root], dim=1))
        if step + 1 < doublings:
            flow = flow @ flow
    return root


def _triangle(root: Tensor) -> Tensor:
    """The square lower triangle with the same product with its transpose, its diagonal positive."""
    if root.shape[1] < root.shape[0]:
        root = torch.nn.functional.pad(root, (0, root.shape[0] - root.shape[1]))
    triangle: Tensor = torch.linalg.qr(root.mT, mode="r").R.mT
    sign = torch.where(triangle.diagonal() < 0.0, -1.0, 1.0).to(triangle)
    return triangle * sign
