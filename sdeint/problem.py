"""Stochastic differential equations as users write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch

from sdeint.errors import ProblemError
from sdeint.linear import LinearOperator, linear_operator
from tableaux.errors import unknown
from tableaux.tableau import CALCULI, NOISE_CLASSES

__all__ = ["SDE", "Field", "NoiseClass", "SemilinearSDE"]

#: (t, y) -> tensor; additive noise may return a number.
Field = Callable[[torch.Tensor, torch.Tensor], Any]
NoiseClass = Literal["additive", "scalar", "diagonal", "commutative", "general", "none"]
Calculus = Literal["ito", "stratonovich"]


class SDE:
    r"""The equation :math:`dX = f(t, X)\,dt + g(t, X) \cdot dW`.

    Parameters
    ----------
    f : callable (t, y) -> tensor of y's shape
        The drift.  `t` is a 0-dimensional tensor on y's device; `y` has shape (\*batch, \*event).
        A `torch.nn.Module` or a closure; autograd reaches its parameters.
    g : callable (t, y) -> tensor, optional
        The diffusion; None for an ordinary differential equation.  Its shape says how the noise
        enters: the shape of y (each component has its own channel; or, for scalar noise, all share
        one), or (\*batch, d, m) for m channels.
        Additive noise may also return a number or anything that broadcasts to these shapes.
        General noise may be given by its products or columns: `sdeint.Product`, `sdeint.Columns`.
        Both functions are also called with further leading axes, one for each channel.
    noise : {"diagonal", "additive", "scalar", "commutative", "general", "none"}
        The class that g belongs to; it decides which methods are allowed, and is checked.  By
        default ``"diagonal"``, or ``"none"`` without a g.
    calculus : {"ito", "stratonovich"}
    event_dims : int
        How many trailing axes of y make up one state: 1 for vectors, 3 for images.

    Examples
    --------
    >>> import torch, sdeint
    >>> sde = sdeint.SDE(lambda t, y: -y, lambda t, y: 0.1 * y)
    >>> sde
    SDE(noise='diagonal', calculus='ito')
    """

    def __init__(
        self,
        f: Field,
        g: Field | None = None,
        *,
        noise: NoiseClass | None = None,
        calculus: Calculus = "ito",
        event_dims: int = 1,
    ) -> None:
        if noise is None:
            noise = "none" if g is None else "diagonal"
        if (noise == "none") != (g is None):
            raise ProblemError(
                f"noise={noise!r} " + ("needs a diffusion g" if g is None else "has no diffusion g")
            )
        for name, function in (("f", f), ("g", g or _silence)):
            if not callable(function):
                raise ProblemError(
                    f"{name} must be a function of (t, y), got {type(function).__name__}"
                )
        if noise not in NOISE_CLASSES:
            raise ProblemError(unknown("noise class", noise, NOISE_CLASSES))
        if calculus not in CALCULI:
            raise ProblemError(unknown("calculus", calculus, CALCULI))
        if not isinstance(event_dims, int) or event_dims < 0:
            raise ProblemError(f"event_dims must be a non-negative int, got {event_dims!r}")
        self.f: Field = f
        self.g: Field = g or _silence
        self.noise: str = noise
        self.calculus: str = calculus
        self.event_dims = event_dims
        #: Compiled steps, by method and layout: kept as long as the equation is.
        self.chunks: dict[Any, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to another process: all but compiled steps, which are compiled there."""
        return {**self.__dict__, "chunks": {}}

    def __repr__(self) -> str:
        extra = "" if self.event_dims == 1 else f", event_dims={self.event_dims}"
        return f"SDE(noise={self.noise!r}, calculus={self.calculus!r}{extra})"


class SemilinearSDE(SDE):
    r"""The equation :math:`dX = (L X + f(t, X))\,dt + g(t, X) \cdot dW` with a linear operator L.

    Exponential methods treat L exactly, however stiff it is. All others solve the same equation as
    an `SDE` whose drift is the sum.

    Parameters
    ----------
    L : number, tensor or LinearOperator
        A number, or a 0-dimensional tensor: scalar. A vector: diagonal. A square matrix: dense.
        What depends on time, or is diagonal in another basis, is said by `sdeint.linear.Scalar`,
        `Diagonal`, `Dense` and `Transformed`.
    f : callable (t, y) -> tensor of y's shape
        The rest of the drift.
    g, noise, calculus, event_dims
        See `SDE`.

    Attributes
    ----------
    operator : LinearOperator
    rest : callable
        `f` as it was given; the attribute `f` is the whole drift.

    Examples
    --------
    >>> import torch, sdeint
    >>> stiff = torch.tensor([-1.0, -1e4])
    >>> sde = sdeint.SemilinearSDE(stiff, lambda t, y: torch.sin(y), lambda t, y: 0.1 * y)
    >>> sdeint.solve(sde, torch.ones(2), [0.0, 1.0], method="ExponentialEM", steps=10).y.shape
    torch.Size([2, 2])
    """

    def __init__(
        self,
        L: Any,
        f: Field,
        g: Field | None = None,
        *,
        noise: NoiseClass | None = None,
        calculus: Calculus = "ito",
        event_dims: int = 1,
    ) -> None:
        super().__init__(f, g, noise=noise, calculus=calculus, event_dims=event_dims)
        operator = linear_operator(L)
        self.operator: LinearOperator = operator
        self.rest: Field = f
        self.f = lambda t, y: operator.drift(t, y) + f(t, y)

    def __repr__(self) -> str:
        return f"Semilinear{super().__repr__()[:-1]}, L={type(self.operator).__name__})"


def _silence(t: torch.Tensor, y: torch.Tensor) -> float:
    """The diffusion of an equation without noise."""
    return 0.0
