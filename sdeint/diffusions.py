"""Ways to write the diffusion of general noise so that no (d, m) matrix need be built.

A step uses g in three ways: all columns at one state, a product of the matrix with a vector, and
column k at the k-th of m states.  A plain function gives the first and pays for the others with
columns that nobody reads; `Product` and `Columns` give what is asked for.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from sdeint.errors import ProblemError

__all__ = ["Columns", "Product"]

Tensor = torch.Tensor


class Product:
    r"""A diffusion given by its product with a vector, for general or commutative noise.

    Parameters
    ----------
    function : callable (t, y, v) -> tensor
        ``g(t, y) @ v`` for y of shape (\*batch, d) and v of shape (\*batch, m); both may have
        further leading axes, and v may lack leading axes that y has.
    channels : int
        Number m of channels.

    Examples
    --------
    Noise along the circulant shifts of the state, never as a matrix:

    >>> import torch, sdeint
    >>> g = sdeint.Product(lambda t, y, v: y * v.sum(-1, keepdim=True), channels=3)
    >>> sde = sdeint.SDE(lambda t, y: -y, g, noise="commutative")
    >>> sdeint.solve(sde, torch.ones(5, 2), [0.0, 1.0], steps=4, method="EM").y.shape
    torch.Size([2, 5, 2])
    """

    def __init__(self, function: Callable[[Tensor, Tensor, Tensor], Tensor], channels: int) -> None:
        if not callable(function):
            raise ProblemError(
                f"a Product needs a function of (t, y, v), got {type(function).__name__}"
            )
        if not isinstance(channels, int) or channels < 1:
            raise ProblemError(f"a Product needs a number of channels >= 1, got {channels!r}")
        self.function, self.channels = function, channels

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """All columns: (\\*batch, d, m)."""
        return self.own(t, y.expand(self.channels, *y.shape))

    def product(self, t: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """``g(t, y) @ v``."""
        return self.function(t, y, v)

    def own(self, t: Tensor, y: Tensor) -> Tensor:
        """Column k at ``y[k]``, for y of shape (m, \\*batch, d): a tensor (\\*batch, d, m)."""
        unit = torch.eye(self.channels, dtype=y.dtype, device=y.device)
        unit = unit.reshape(self.channels, *(1,) * (y.ndim - 2), self.channels)
        unit = unit.expand(*y.shape[:-1], self.channels)
        return self.function(t, y, unit).movedim(0, -1)


class Columns:
    r"""A diffusion given by its columns, for general or commutative noise.

    Parameters
    ----------
    \*columns : callable (t, y) -> tensor (\*batch, d)
        One for each channel.

    Examples
    --------
    >>> import torch, sdeint
    >>> g = sdeint.Columns(lambda t, y: torch.sin(y), lambda t, y: y.flip(-1))
    >>> sde = sdeint.SDE(lambda t, y: -y, g, noise="general")
    >>> sdeint.solve(sde, torch.ones(5, 2), [0.0, 1.0], steps=4, method="RI6").y.shape
    torch.Size([2, 5, 2])
    """

    def __init__(self, *columns: Callable[[Tensor, Tensor], Tensor]) -> None:
        if not columns or not all(callable(column) for column in columns):
            raise ProblemError("Columns needs functions of (t, y), one for each channel")
        self.columns = columns
        self.channels = len(columns)

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """All columns: (\\*batch, d, m)."""
        return torch.stack([column(t, y) for column in self.columns], dim=-1)

    def product(self, t: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """``g(t, y) @ v``, column by column."""
        total: Tensor | None = None
        for k, column in enumerate(self.columns):
            part = column(t, y) * v[..., k, None]
            total = part if total is None else total + part
        assert total is not None
        return total

    def own(self, t: Tensor, y: Tensor) -> Tensor:
        """Column k at ``y[k]``, for y of shape (m, \\*batch, d): a tensor (\\*batch, d, m)."""
        return torch.stack([column(t, y[k]) for k, column in enumerate(self.columns)], dim=-1)
