"""How the Gaussian functionals of neighbouring steps make those of the whole."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sdeint.errors import ProblemError
from sdeint.linear.modes import check_range, narrow, rates_of
from sdeint.linear.weights import Row, Weight, row_of
from sdeint.phi import WIDE, phis

__all__ = ["join", "joining"]


def joining(
    l: float | complex | Tensor, h1: float, h2: float, names: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Matrices M1, M2 with ``functionals of the whole = M1 first + M2 second``.

    A step of size h1 is followed by one of size h2, in the same direction. For ``phi_0`` alone:
    ``e^{l h2}`` and 1.

    Parameters
    ----------
    l, names
        See `gaussian_functionals`; functionals of whole steps only. ``phi_k`` needs also
        ``pol_0``, ..., ``pol_{k-1}`` or W, H, K in their place; ``exp_k`` needs ``exp_j``, j < k.

    Returns
    -------
    tuple of Tensor
        Both ``(*l.shape, n, n)``.

    Raises
    ------
    ProblemError
        If the functionals of the parts do not determine those of the whole.
    """
    rates = rates_of(l)
    wide = rates.to(WIDE[rates.dtype])
    if not (h1 and h2 and math.isfinite(h1 + h2) and (h1 > 0) == (h2 > 0)):
        raise ProblemError(f"steps that are joined run in one direction, got {h1!r} and {h2!r}")
    a, b = h1 / (h1 + h2), h2 / (h1 + h2)
    z2 = wide * h2
    check_range(z2.reshape(-1), h2, rates.dtype)
    rows = [row_of(name) for name in names]
    for name, row in zip(names, rows):
        if row[0][0].c != 1.0:
            raise ProblemError(f"{name!r} is of a part of the step, which joining does not keep")
    used = {weight for row in rows for weight, _ in row}
    closed = sorted(
        {
            Weight("pol" if w.family == "phi" else w.family, j, 1.0)
            for w in used
            for j in range(w.degree)
        }
        | used
    )
    index = {weight: i for i, weight in enumerate(closed)}
    n = len(closed)
    first = torch.zeros(*wide.shape, n, n, dtype=wide.dtype, device=wide.device)
    second = torch.zeros_like(first)
    values = phis(z2)
    for weight, i in index.items():
        family, k = weight.family, weight.degree
        second[..., i, i] = b**k
        grown = torch.ones_like(z2) if family == "pol" else values[0]
        if family == "phi":
            first[..., i, i] = grown * a**k
            for j in range(1, k + 1):
                share = b**j * a ** (k - j)
                first[..., i, index[Weight("pol", k - j, 1.0)]] = values[j] * share
        else:
            for j in range(k + 1):
                share = a**j * b ** (k - j) / math.factorial(k - j)
                first[..., i, index[Weight(family, j, 1.0)]] = grown * share
    return (
        _between(first, rows, names, index).to(narrow(first, rates)),
        _between(second, rows, names, index).to(narrow(second, rates)),
    )


def _between(
    matrix: Tensor, rows: Sequence[Row], names: Sequence[str], index: dict[Weight, int]
) -> Tensor:
    """A map of weights as a map of functionals."""
    plain = torch.zeros(len(rows), len(index), dtype=torch.float64)
    for i, row in enumerate(rows):
        for weight, coefficient in row:
            plain[i, index[weight]] = coefficient
    back = torch.linalg.pinv(plain)
    kept = back @ plain  # the projection on what the names span
    plain, back, kept = (value.to(matrix) for value in (plain, back, kept))
    image = plain @ matrix
    lost = (image - image @ kept).detach().abs()
    size = matrix.detach().abs().amax(dim=(-1, -2), keepdim=True)
    lacking = (lost > 1e-12 * size).reshape(-1, *lost.shape[-2:]).any(dim=0)
    if bool(lacking.any()):
        i, j = torch.nonzero(lacking)[0].tolist()
        weight = list(index)[j]
        raise ProblemError(
            f"{names[i]!r} of a joined step needs {weight.family}_{weight.degree} of its parts; "
            f"add it (or, for pol_0, pol_1, pol_2: W, H, K) to {', '.join(map(repr, names))}"
        )
    return image @ back


def join(
    l: float | complex | Tensor,
    first: Tensor,
    h1: float,
    second: Tensor,
    h2: float,
    names: Sequence[str],
) -> Tensor:
    r"""The functionals of a step from those of its two parts, first (h1), then second (h2).

    Parameters
    ----------
    first, second : Tensor
        ``(*batch, *l.shape, n)``.
    """
    one, two = joining(l, h1, h2, names)
    return (one @ first.unsqueeze(-1) + two @ second.unsqueeze(-1)).squeeze(-1)
