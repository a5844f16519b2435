"""GMRES for a batch of linear systems of which only products with vectors are known.

Each system goes its own way: one that has converged, or broken down happily, is no longer moved,
so that its solution does not depend on which others are in the batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["gmres"]

Tensor = torch.Tensor


def gmres(
    apply: Callable[[Tensor], Tensor],
    b: Tensor,
    *,
    tolerance: float,
    restart: int = 30,
    cycles: int = 20,
) -> Tensor:
    r"""Solve ``apply(x) = b`` (Saad and Schultz, SIAM J. Sci. Stat. Comput. 7, 1986).

    Parameters
    ----------
    apply : callable
        A linear map of tensors (\*batch, n), one system for each item of the batch.
    b : tensor (\*batch, n)
    tolerance : float
        Bound on the norm of the residual, relative to that of b.
    restart : int
        Size of the Krylov spaces.
    cycles : int
        Number of restarts at most; what is reached then is returned.
    """
    # Not finite where b is not: such a system has no solution to return.
    x = 0 * b
    goal = tolerance * torch.linalg.vector_norm(b, dim=-1)
    residual = b
    for cycle in range(cycles):
        if cycle:
            residual = b - apply(x)
        size = torch.linalg.vector_norm(residual, dim=-1)
        active = size > goal
        if not bool(active.any()):
            break
        x = torch.where(active[..., None], x + _cycle(apply, residual, size, goal, restart), x)
    return x


def _cycle(
    apply: Callable[[Tensor], Tensor], residual: Tensor, size: Tensor, goal: Tensor, restart: int
) -> Tensor:
    """The best correction within one Krylov space, by Arnoldi's method and Givens rotations."""
    basis = [_ratio(residual, size[..., None])]
    columns: list[list[Tensor]] = []
    rotations: list[tuple[Tensor, Tensor]] = []
    right = [size]
    for _ in range(min(restart, residual.shape[-1])):
        w = apply(basis[-1])
        column = []
        for v in basis:
            h = (w * v).sum(-1)
            w = w - v * h[..., None]
            column.append(h)
        below = torch.linalg.vector_norm(w, dim=-1)
        basis.append(_ratio(w, below[..., None]))
        for i, (c, s) in enumerate(rotations):
            column[i], column[i + 1 : i + 2] = (
                c * column[i] + s * column[i + 1],
                [c * column[i + 1] - s * column[i]],
            )
        radius = torch.hypot(column[-1], below)
        c, s = _ratio(column[-1], radius), _ratio(below, radius)
        rotations.append((c, s))
        column[-1] = radius
        columns.append(column)
        left = -s * right[-1]
        right[-1] = c * right[-1]
        # A system that has converged is left alone: nothing remains for further directions.
        right.append(torch.where(left.abs() > goal, left, 0.0))
        if not bool(right[-1].any()):
            break
    weights: list[Tensor] = []
    for i in reversed(range(len(columns))):
        left = right[i]
        for j, y in zip(range(len(columns) - 1, i, -1), weights):
            left = left - columns[j][i] * y
        weights.append(_ratio(left, columns[i][i]))
    total = torch.zeros_like(residual)
    for v, y in zip(basis, reversed(weights)):
        total = total + v * y[..., None]
    return total


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is 0."""
    return torch.where(b == 0, torch.zeros_like(a), a / torch.where(b == 0, torch.ones_like(b), b))
