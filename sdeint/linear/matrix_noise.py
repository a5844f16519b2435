r"""Gaussian functionals for a matrix L, in terms of a few scalar ones.

``int e^{(h-u)L} g dW`` mixes the components of g. But ``e^{xZ}``, ``Z = h L``, is a sum of matrices times
scalar functions of x, as many as the degree of the minimal polynomial of L. So the functional is a sum
of matrices applied to g times scalar Gaussians of each channel: W and H of the path, and normals
for what these leave open.  It works for every g, also one that depends on the state, and for every L,
defective ones included.  The two-by-two blocks of underdamped Langevin dynamics, for example,
have the functions 1 and e^{-gamma h x}: one normal besides W and H.

The functions are found numerically: the entries of the weights at the nodes of a Gauss rule, less their
projections on the weights of W and H, have few singular vectors.  `dense_functionals` has the joint
law for one given g, and costs less; no step could use it for a g that changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from sdeint.errors import ProblemError
from sdeint.linear.weights import Weight, weight_of

__all__ = ["matrix_functionals"]

_NODES = 16
# A panel of 16 nodes takes products of weights whose exponent changes by this.
_REACH = 8.0
# A mode is over when it has decayed by e^-40.
_OVER = 40.0
_PANELS = 2000


def matrix_functionals(matrix: Tensor, h: float, names: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Matrices with ``functional n = sum_i regression[..., n, i] g given_i + root[..., n, j] g normal_j``.

    Parameters
    ----------
    matrix : Tensor
        L, (d, d), real, in double precision.
    h : float
        Of either sign; see `sdeint.linear.functionals`.
    names : sequence of str
        Functionals as there, of the families phi_0, phi_1 and pol, over the step or a part of it.

    Returns
    -------
    regression : Tensor
        (d, d, names, 2), on W and H of the path.
    root : Tensor
        (d, d, names, r).
    """
    z = matrix.detach() * h
    d = len(z)
    weights = [weight_of(name) for name in names]
    cuts = sorted({0.0, 1.0, *(weight.c for weight in weights)})
    rates = torch.linalg.eigvals(z)
    if float(rates.real.max()) > math.log(torch.finfo(z.dtype).max) / 2:
        raise ProblemError(
            f"the noise of a growing mode overflows in a step of size {h:.6g}: the largest real "
            f"part of an eigenvalue of h L is {float(rates.real.max()):.6g}"
        )
    # exp of this holds e^{yZ} and y phi_1(yZ).
    both = torch.zeros(2 * d, 2 * d, dtype=z.dtype, device=z.device)
    both[:d, :d], both[:d, d:] = z, torch.eye(d, dtype=z.dtype, device=z.device)
    values, shares = [], []
    for a, b in pairwise(cuts):
        y, root = _rule(rates, b - a, z)
        moved = torch.linalg.matrix_exp(y[:, None, None] * both)
        values.append(
            torch.stack([_at(weight, b, y, moved, both) for weight in weights])
            * root[:, None, None]
        )
        shares.append(torch.stack([root, root * (0.5 - (b - y))]))
    table = torch.cat(values, dim=1).permute(2, 3, 0, 1)  # (d, d, names, nodes)
    given = torch.cat(shares, dim=1)  # weights of W and H, which are orthogonal
    regression = table @ given.mT / given.square().sum(dim=1)
    rest = (table - regression @ given).flatten(0, 2)
    # Entries may differ by many powers of ten; each keeps its own relative precision.
    scale = torch.linalg.vector_norm(table.flatten(0, 2), dim=1, keepdim=True).clamp_min(1e-300)
    u, s, _ = torch.linalg.svd(rest / scale, full_matrices=False)
    rank = int((s > 1e-13).sum())
    largest = u.gather(0, u.abs().argmax(dim=0, keepdim=True))
    root = u * (s * torch.sign(largest)) * scale * math.sqrt(abs(h))
    return regression, root[:, :rank].reshape(*table.shape[:3], rank)


def _rule(rates: Tensor, length: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes on [0, length], and the roots of their weights, for the modes that are not over yet."""
    ends = [0.0]
    while ends[-1] < length:
        alive = rates[-rates.real * ends[-1] < _OVER]
        fastest = float(alive.abs().max()) if len(alive) else 0.0
        ends.append(min(length, ends[-1] + (_REACH / fastest if fastest else length)))
        if len(ends) > _PANELS:
            raise ProblemError(
                f"the exact noise of this L in a step oscillates {fastest / math.tau:.3g} times; take "
                "smaller steps, or a method whose noise is moved by phi_0, such as LordTambue"
            )
    nodes, gauss = (
        torch.as_tensor(value, dtype=like.dtype, device=like.device)
        for value in np.polynomial.legendre.leggauss(_NODES)
    )
    edges = torch.tensor(ends, dtype=like.dtype, device=like.device)
    widths = torch.diff(edges)[:, None] / 2
    y = edges[:-1, None] + widths * (nodes + 1.0)
    return y.flatten(), torch.sqrt(widths * gauss).flatten()


def _at(weight: Weight, b: float, y: Tensor, moved: Tensor, both: Tensor) -> Tensor:
    """A weight as matrices at ``s = b - y`` before the end b of a piece."""
    d = len(both) // 2
    if weight.c < b:
        return torch.zeros_like(moved[:, :d, :d])
    if weight.family == "pol":
        x = (weight.c - b + y) ** weight.degree / math.factorial(weight.degree)
        plain: Tensor = x[:, None, None] * torch.eye(d, dtype=y.dtype, device=y.device)
        return plain
    if weight.degree > 1:
        raise ProblemError(f"phi_{weight.degree} of a matrix is no functional that steps use")
    on: Tensor = torch.linalg.matrix_exp((weight.c - b) * both) @ moved
    return on[:, :d, :d] if weight.degree == 0 else on[:, :d, d:]
