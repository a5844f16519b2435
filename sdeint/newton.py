"""Newton's method for the implicit stages of a batch of paths.

The stages of a path depend on that path only, so the Jacobian of a batch is one small matrix a path,
found by pushing unit vectors forward through all paths at once.  A path that has converged is not
moved again: its result does not depend on which other paths are in the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sdeint.errors import ProblemError
from sdeint.krylov import gmres
from tableaux.errors import unknown

__all__ = ["Newton", "NoConvergence", "Unknowns"]

Tensor = torch.Tensor
Map = Callable[[Tensor], Tensor]

STRUCTURES = ("auto", "diagonal", "dense", "matrix-free")
#: Up to so many unknowns a path, "auto" builds the Jacobian.
DENSE = 128
#: Entries of a batch of Jacobians that are pushed forward at once.
AT_ONCE = 1 << 22


class NoConvergence(ArithmeticError):
    """Some paths of a batch did not converge.

    Attributes
    ----------
    failed : tensor (\\*batch) of bool
    iterations : int
    """

    def __init__(self, failed: Tensor, iterations: int) -> None:
        self.failed, self.iterations = failed, iterations
        super().__init__(f"{int(failed.sum())} paths did not converge")


class Unknowns:
    """The unknown arguments of a cluster as one vector a path.

    Parameters
    ----------
    shape : sequence of int
        Shape of the state: batch, then event.
    event_dims : int
    axes : sequence of int
        For each unknown the number of channel axes that it has in front.
    channels : int
        Their length.
    """

    def __init__(
        self, shape: Sequence[int], event_dims: int, axes: Sequence[int], channels: int
    ) -> None:
        self.event = tuple(shape[len(shape) - event_dims :])
        self.axes, self.channels = tuple(axes), channels
        self.size = math.prod(self.event)
        self.sizes = [self.size * channels**a for a in axes]

    def pack(self, states: Sequence[Tensor]) -> Tensor:
        """Tensors (channels..., \\*batch, \\*event) as one of shape (\\*batch, n)."""
        flat = []
        for state, a in zip(states, self.axes):
            last = state.movedim(tuple(range(a)), tuple(range(state.ndim - a, state.ndim)))
            keep = state.ndim - a - len(self.event)
            flat.append(last.reshape(*last.shape[:keep], -1))
        return torch.cat(flat, dim=-1) if len(flat) > 1 else flat[0]

    def unpack(self, packed: Tensor) -> list[Tensor]:
        """The inverse of `pack`; leading axes in front of the batch stay behind the channels."""
        states = []
        for part, a in zip(torch.split(packed, self.sizes, dim=-1), self.axes):
            last = part.reshape(*part.shape[:-1], *self.event, *(self.channels,) * a)
            states.append(last.movedim(tuple(range(last.ndim - a, last.ndim)), tuple(range(a))))
        return states

    def one(self, packed: Tensor) -> Tensor:
        """A tensor with the shape of a state for each vector: (..., \\*batch, \\*event)."""
        return packed[..., : self.size].reshape(*packed.shape[:-1], *self.event)


@dataclass(frozen=True)
class Newton:
    r"""How implicit stages are solved.

    Parameters
    ----------
    jacobian : {"auto", "diagonal", "dense", "matrix-free"}
        ``"diagonal"``: each component of the state depends on itself only (the user's word, not
        checked).  ``"dense"``: one matrix a path.  ``"matrix-free"``: GMRES on products with the
        Jacobian.  ``"auto"``: dense up to 128 unknowns a path, matrix-free beyond.
    tolerance : float, optional
        Bound on the last update, relative to ``1 + |stage|``, component by component.  By default
        eps^(2/3) of the dtype: the update after it would be about eps.
    iterations : int
        Number of iterations at most.

    Notes
    -----
    Gradients pass through the solution by the implicit function theorem, whatever the number of
    iterations: first derivatives, not second ones.
    """

    jacobian: str = "auto"
    tolerance: float | None = None
    iterations: int = 50

    def __post_init__(self) -> None:
        if self.jacobian not in STRUCTURES:
            raise ProblemError(unknown("Jacobian", self.jacobian, STRUCTURES))
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            raise ProblemError(f"tolerance must lie in (0, 1), got {self.tolerance!r}")
        if not isinstance(self.iterations, int) or self.iterations < 1:
            raise ProblemError(f"iterations must be an int >= 1, got {self.iterations!r}")

    def solve(
        self, shifts: Map, known: Tensor, guess: Tensor, unknowns: Unknowns
    ) -> tuple[Tensor, int]:
        r"""The x with ``x = known + shifts(x)``, and the number of iterations.

        Parameters
        ----------
        shifts : callable
            Maps tensors (..., \*batch, n), row by row.
        known, guess : tensor (\*batch, n)
        unknowns : Unknowns

        Raises
        ------
        NoConvergence
            If a path does not converge, or leaves the finite numbers.
        """

        def residual(x: Tensor) -> Tensor:
            return x - known - shifts(x)

        system = self._system(guess.shape[-1], unknowns)
        with torch.no_grad():
            x, iterations = self._iterate(residual, guess.detach(), system)
        if torch.is_grad_enabled():
            attached = residual(x)
            if attached.requires_grad:
                # x - J^-1 R(x) has the right derivative in all that R depends on; its value is x.
                correction = system.solve(residual, x, attached)
                x = x - (correction - correction.detach())
        return x, iterations

    def _system(self, n: int, unknowns: Unknowns) -> _System:
        structure = self.jacobian
        if structure == "auto":
            structure = "dense" if n <= DENSE else "matrix-free"
        if structure == "diagonal":
            if any(unknowns.axes):
                raise ProblemError(
                    "jacobian='diagonal' needs elementwise noise: here an implicit stage is "
                    "replicated for each channel; take 'dense' or 'matrix-free'"
                )
            return _Diagonal(len(unknowns.axes))
        return _Dense() if structure == "dense" else _MatrixFree()

    def _iterate(self, residual: Map, x: Tensor, system: _System) -> tuple[Tensor, int]:
        tolerance = self.tolerance or torch.finfo(x.dtype).eps ** (2 / 3)
        active = torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device)
        lost = torch.zeros_like(active)
        for iteration in range(1, self.iterations + 1):  # noqa: B007  (read after the loop)
            step = system.solve(residual, x, residual(x))
            x = torch.where(active[..., None], x - step, x)
            update = (step.abs() / (1 + x.abs())).amax(-1)
            lost = lost | (active & ~torch.isfinite(update))
            active = active & (update > tolerance) & ~lost
            if not bool(active.any()):
                break
        failed = active | lost
        if bool(failed.any()):
            raise NoConvergence(failed, iteration)
        return x, iteration


class _System:
    """Newton's linear system J step = residual."""

    def solve(self, residual: Map, x: Tensor, right: Tensor) -> Tensor:
        """J(x)^-1 right; differentiable in `right` only."""
        raise NotImplementedError


class _Dense(_System):
    def solve(self, residual: Map, x: Tensor, right: Tensor) -> Tensor:
        n = x.shape[-1]
        unit = torch.eye(n, dtype=x.dtype, device=x.device)
        columns = []
        with torch.no_grad():
            for rows in torch.split(unit, max(1, AT_ONCE // max(1, x.numel()))):
                tangent = rows.reshape(-1, *(1,) * (x.ndim - 1), n).expand(-1, *x.shape)
                columns.append(_pushed(residual, x.detach().expand(tangent.shape), tangent))
            jacobian = torch.cat(columns).movedim(0, -1)
        if n == 1:
            return right / jacobian[..., 0]
        return _solved(jacobian, right)


class _Diagonal(_System):
    """One small matrix, of stages, for each component of the state."""

    def __init__(self, stages: int) -> None:
        self.stages = stages

    def solve(self, residual: Map, x: Tensor, right: Tensor) -> Tensor:
        shape = (*x.shape[:-1], self.stages, x.shape[-1] // self.stages)
        columns = []
        with torch.no_grad():
            for stage in range(self.stages):
                tangent = torch.zeros(shape, dtype=x.dtype, device=x.device)
                tangent[..., stage, :] = 1
                columns.append(_pushed(residual, x.detach(), tangent.reshape(x.shape)))
            jacobian = torch.stack([c.reshape(shape) for c in columns], -1).transpose(-3, -2)
        if self.stages == 1:
            return right / jacobian[..., 0, 0]
        parts = right.reshape(shape).transpose(-2, -1)
        return _solved(jacobian, parts).transpose(-2, -1).reshape(right.shape)


class _MatrixFree(_System):
    def solve(self, residual: Map, x: Tensor, right: Tensor) -> Tensor:
        solved: Tensor = _KrylovSolve.apply(right, residual, x.detach())  # type: ignore[no-untyped-call]
        return solved


class _KrylovSolve(torch.autograd.Function):
    """J^-1 right by GMRES, and its transpose for the gradient."""

    @staticmethod
    def forward(ctx: Any, right: Tensor, residual: Map, x: Tensor) -> Tensor:
        ctx.residual, ctx.x = residual, x
        tolerance = torch.finfo(x.dtype).eps ** (1 / 3)
        return gmres(lambda v: _pushed(residual, x, v), right, tolerance=tolerance)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        x = ctx.x.detach().requires_grad_()
        with torch.enable_grad():
            value = ctx.residual(x)

        def transposed(v: Tensor) -> Tensor:
            back: Tensor = torch.autograd.grad(value, x, v, retain_graph=True)[0]
            return back

        tolerance = torch.finfo(x.dtype).eps ** (1 / 2)
        return gmres(transposed, gradient, tolerance=tolerance), None, None


def _pushed(function: Map, x: Tensor, tangent: Tensor) -> Tensor:
    """The derivative of a function at x along a tangent."""
    try:
        pushed: Tensor = torch.func.jvp(function, (x,), (tangent,))[1]
    except (NotImplementedError, RuntimeError):
        # A field without forward-mode derivative: backward through backward gives the same.
        with torch.enable_grad():
            derivative = torch.autograd.functional.jvp
            pushed = derivative(function, x.contiguous(), tangent.contiguous())[1]  # type: ignore[no-untyped-call]
    return pushed.detach()


def _solved(matrix: Tensor, right: Tensor) -> Tensor:
    """matrix^-1 right; NaN where the matrix is singular, to be reported with its path."""
    # Factorizations exist in single and double precision only.
    wide = torch.promote_types(matrix.dtype, torch.float32)
    solution, info = torch.linalg.solve_ex(matrix.to(wide), right.to(wide).unsqueeze(-1))
    return torch.where((info == 0)[..., None], solution.squeeze(-1), math.nan).to(right.dtype)
