"""Linear operators by the form in which they are given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sdeint.errors import ProblemError
from sdeint.linear.flow import KEPT_TENSORS, Flow, MatrixFlow, PointwiseFlow
from sdeint.linear.memory import free_memory, readable
from sdeint.linear.rate import Function, Rate, as_wide, refuse_non_finite
from sdeint.phi import WIDE

__all__ = ["Dense", "Diagonal", "LinearOperator", "Scalar", "Transformed", "linear_operator"]

# Matrices of the size of L that live at once: while its phi functions are made, five values, their
# concatenation, the five products, four powers and the parts of a sum; and those that are kept.
_COPIES = 22 + KEPT_TENSORS


class LinearOperator(ABC):
    """L in ``dX = (L X + f) dt + g dW``."""

    @abstractmethod
    def flow(
        self, y: Tensor, event_dims: int = 1, times: tuple[float, float] | None = None
    ) -> Flow:
        r"""The phi functions for one solve, after a look at whether L fits.

        Parameters
        ----------
        y : Tensor
            A state, (\*batch, \*event): its shape, dtype and device are those of the solve.
        event_dims : int
            How many trailing axes are the event.
        times : tuple of float, optional
            The ends of the solve; an L(t) is compared with the derivative of its integral between.

        Raises
        ------
        ProblemError
            If L is of the wrong shape or not finite, is complex where the state is real, does not
            fit its integral or transform, or is too large for the memory.
        """

    @abstractmethod
    def drift(self, t: float | Tensor, y: Tensor) -> Tensor:
        """L(t) y."""

    @property
    def own_noise(self) -> bool:
        """Whether its modes can be given their exact noise: real rates that are constant."""
        rate = getattr(self, "rate", None)
        return isinstance(rate, Rate) and not rate.varies and not rate.at(0.0).is_complex()


class Scalar(LinearOperator):
    """One number for all components.

    Parameters
    ----------
    value : number, 0-dimensional Tensor or callable t -> such
        Functions of time are called with a 0-dimensional float64 tensor.
    integral : callable t -> number or 0-dimensional Tensor
        An antiderivative; needed if L is a function of time. phi_k then has the integral of L over
        its part of the step as its argument.

    Examples
    --------
    >>> import torch
    >>> from sdeint.linear import Scalar
    >>> y = torch.ones(3, dtype=torch.float64)
    >>> Scalar(-1.0).flow(y).phi(0.0, 0.5, k=0)(y)
    tensor([0.6065, 0.6065, 0.6065], dtype=torch.float64)
    """

    def __init__(self, value: Any, integral: Function | None = None) -> None:
        self.rate = Rate(value, integral)
        if isinstance(value, Tensor) and value.ndim:
            raise ProblemError(
                f"a scalar L is one number, got a tensor of shape {tuple(value.shape)}; "
                "use Diagonal or Dense"
            )

    def flow(
        self, y: Tensor, event_dims: int = 1, times: tuple[float, float] | None = None
    ) -> Flow:
        _check_state(y)
        _check_rate(self.rate, (), y.dtype, times, "a scalar L is one number")
        return PointwiseFlow(self.rate, y.dtype, y.device, tuple(y.shape[y.ndim - event_dims :]))

    def drift(self, t: float | Tensor, y: Tensor) -> Tensor:
        return y * _fitted(self.rate.at(t), y)


class Diagonal(LinearOperator):
    """One number for each component.

    Parameters
    ----------
    values : Tensor or callable t -> Tensor
        Of a shape that broadcasts to the event's.
    integral : callable t -> Tensor
        An antiderivative; needed if L is a function of time.
    """

    def __init__(self, values: Any, integral: Function | None = None) -> None:
        self.rate = Rate(values, integral)

    def flow(
        self, y: Tensor, event_dims: int = 1, times: tuple[float, float] | None = None
    ) -> Flow:
        _check_state(y)
        event = tuple(y.shape[y.ndim - event_dims :])
        what = f"a diagonal L has the shape of the event, {event}, or broadcasts to it"
        _check_rate(self.rate, event, y.dtype, times, what)
        return PointwiseFlow(self.rate, y.dtype, y.device, event)

    def drift(self, t: float | Tensor, y: Tensor) -> Tensor:
        return y * _fitted(self.rate.at(t), y)


class Dense(LinearOperator):
    """A matrix.

    Parameters
    ----------
    matrix : Tensor
        (d, d) for events of shape (d,). Need not be normal, diagonalisable or invertible.
    """

    def __init__(self, matrix: Tensor) -> None:
        if callable(matrix) and not isinstance(matrix, Tensor):
            raise ProblemError(
                "a dense L cannot depend on time: matrices at two times need not commute, and then "
                "no integral gives the flow; put the part that varies into f"
            )
        if not isinstance(matrix, Tensor):
            raise ProblemError(f"a dense L is a tensor (d, d), got {type(matrix).__name__}")
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ProblemError(f"a dense L is a tensor (d, d), got shape {tuple(matrix.shape)}")
        self.matrix = matrix

    def flow(
        self, y: Tensor, event_dims: int = 1, times: tuple[float, float] | None = None
    ) -> Flow:
        _check_state(y)
        event, size = tuple(y.shape[y.ndim - event_dims :]), len(self.matrix)
        if event != (size,):
            raise ProblemError(
                f"L of shape {tuple(self.matrix.shape)} acts on events of shape ({size},), "
                f"but those of y have shape {event}"
            )
        _refuse_complex(self.matrix, y.dtype)
        each = size**2 * (16 if self.matrix.is_complex() else 8)
        free = free_memory(self.matrix.device)
        if free is not None and _COPIES * each > free:
            raise ProblemError(
                f"the phi functions of a dense L of shape ({size}, {size}) need "
                f"{readable(_COPIES * each)} ({_COPIES} matrices of {readable(each)}), and "
                f"{readable(free)} are free; give L as Diagonal or Transformed, or a smaller one"
            )
        refuse_non_finite(as_wide(self.matrix, "L"), "L")
        return MatrixFlow(self.matrix, y.dtype, y.device, event)

    def drift(self, t: float | Tensor, y: Tensor) -> Tensor:
        return y @ self.matrix.to(device=y.device, dtype=y.dtype).mT


class Transformed(LinearOperator):
    r"""An operator that is diagonal in another basis.

    Parameters
    ----------
    forward, backward : callable
        From states (\*batch, \*event) to coefficients and back; `backward` undoes `forward`.
    diagonal : Tensor or callable t -> Tensor
        Broadcasts to the coefficients of one state. For real states it must keep them real.
    integral : callable t -> Tensor
        An antiderivative; needed if L is a function of time.

    Examples
    --------
    The heat equation on a ring, L = d^2/dx^2:

    >>> import torch
    >>> from sdeint.linear import Transformed
    >>> wave = torch.arange(9, dtype=torch.float64)
    >>> heat = Transformed(torch.fft.rfft, lambda v: torch.fft.irfft(v, n=16), -wave**2)
    >>> y = torch.cos(torch.arange(16, dtype=torch.float64) * torch.pi / 8)
    >>> flow = heat.flow(y)
    >>> round(float(flow.leave(flow.phi(0.0, 1.0, k=0)(flow.enter(y)))[0]), 12)  # 1/e
    0.367879441171
    """

    def __init__(
        self,
        forward: Callable[[Tensor], Tensor],
        backward: Callable[[Tensor], Tensor],
        diagonal: Any,
        integral: Function | None = None,
    ) -> None:
        for name, function in (("forward", forward), ("backward", backward)):
            if not callable(function):
                raise ProblemError(f"{name} must be a function, got {type(function).__name__}")
        self.forward, self.backward = forward, backward
        self.rate = Rate(diagonal, integral)

    def flow(
        self, y: Tensor, event_dims: int = 1, times: tuple[float, float] | None = None
    ) -> Flow:
        _check_state(y)
        event = tuple(y.shape[y.ndim - event_dims :])
        with torch.no_grad():
            # Two states at once: transforms must leave the batch alone.
            generator = torch.Generator().manual_seed(20240229)
            probe = torch.randn(2, *event, generator=generator, dtype=torch.float64).to(y)
            there = self.forward(probe)
            back = self.backward(there)
            if back.shape != probe.shape or back.dtype != probe.dtype:
                raise ProblemError(
                    f"backward(forward(y)) has shape {tuple(back.shape)} and {back.dtype} for y of "
                    f"shape {tuple(probe.shape)} and {probe.dtype}"
                )
            tolerance = 1e3 * torch.finfo(y.dtype).eps
            gap = float((back - probe).abs().max()) if probe.numel() else 0.0
            if not gap <= tolerance * 4.0:
                raise ProblemError(f"backward does not undo forward: they differ by {gap:.3g}")
            shape = tuple(there.shape[1:])
            what = f"the diagonal has the shape of forward(y), {shape}, or broadcasts to it"
            _check_rate(self.rate, shape, there.dtype, times, what)
            # A factor of modulus at most 1 that is real where L is.
            rate = self.rate.at(0.0 if times is None else times[0]).to(y.device)
            turned = there * (rate / rate.abs().max().clamp_min(1e-300)).to(there.dtype)
            lost = (self.forward(self.backward(turned)) - turned).abs()
            if not bool((lost <= tolerance * (1.0 + there.abs().max())).all()):
                place = tuple(torch.nonzero(lost == lost.max())[0].tolist()[1:])
                raise ProblemError(
                    "L takes states to what is no state (a real field to a complex one?): applied "
                    f"to coefficients and transformed back and forth, mode {place} changes"
                )
        pairs = there.is_complex() and not rate.is_complex()
        return _TransformedFlow(self, there.dtype, y.device, event, pairs)

    def drift(self, t: float | Tensor, y: Tensor) -> Tensor:
        v = self.forward(y)
        return self.backward(v * _fitted(self.rate.at(t), v))


class _TransformedFlow(PointwiseFlow):
    """Complex coefficients with real rates are taken as pairs of real numbers: half of the work."""

    transforms = True

    def __init__(
        self,
        operator: Transformed,
        dtype: torch.dtype,
        device: torch.device,
        event: tuple[int, ...],
        pairs: bool,
    ) -> None:
        super().__init__(operator.rate, dtype.to_real() if pairs else dtype, device, event)
        self.operator, self.pairs, self.complex = operator, pairs, dtype

    def enter(self, x: Tensor) -> Tensor:
        v = self.operator.forward(x)
        if not self.pairs:
            return v
        v = v.resolve_conj()  # neither view takes a lazy conjugate
        if not v.requires_grad and v.is_contiguous():
            return v.view(self.dtype)  # one call, but no derivative
        return torch.view_as_real(v).flatten(-2)

    def leave(self, v: Tensor) -> Tensor:
        if self.pairs:
            v = v.contiguous()
            if v.requires_grad:
                v = torch.view_as_complex(v.view(*v.shape[:-1], -1, 2))
            else:
                v = v.view(self.complex)
        return self.operator.backward(v)

    def spread(self, value: Tensor, axis: int = -1) -> Tensor:
        if not self.pairs or value.ndim < -axis or value.shape[axis] == 1:
            return value
        return value.repeat_interleave(2, dim=axis)


def _check_state(y: Tensor) -> None:
    if not isinstance(y, Tensor) or y.dtype not in WIDE:
        kind = y.dtype if isinstance(y, Tensor) else type(y).__name__
        raise ProblemError(f"a state is a tensor of float32, float64 or complex, got {kind}")


def _check_rate(
    rate: Rate,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    times: tuple[float, float] | None,
    what: str,
) -> None:
    value = rate.at(0.0 if times is None else times[0]).detach()
    got = tuple(value.shape)
    if len(got) > len(shape) or any(a not in (1, b) for a, b in zip(got[::-1], shape[::-1])):
        raise ProblemError(f"{what}; got shape {got}")
    refuse_non_finite(value, "L")
    _refuse_complex(value, dtype)
    rate.check(times)


def _refuse_complex(value: Tensor, dtype: torch.dtype) -> None:
    if value.is_complex() and not dtype.is_complex:
        raise ProblemError(
            f"L is complex and the state real ({dtype}): make y0 complex, or write L as a real "
            "matrix (Dense) or in a basis of complex coefficients (Transformed)"
        )


def _fitted(rate: Tensor, y: Tensor) -> Tensor:
    """A rate on y's device, in its precision; a real one stays real."""
    return rate.to(device=y.device, dtype=y.dtype if rate.is_complex() else y.real.dtype)


def linear_operator(value: Any) -> LinearOperator:
    """L as users write it: a number is scalar, a vector diagonal, a square matrix dense.

    Raises
    ------
    ProblemError
        If it is none of these; a tensor of more axes could be several things.
    """
    if isinstance(value, LinearOperator):
        return value
    if callable(value) and not isinstance(value, Tensor):
        raise ProblemError(
            "L is a function of time: say what kind and give its integral, Scalar(L, integral) or "
            "Diagonal(L, integral)"
        )
    if not isinstance(value, Tensor) or value.ndim == 0:
        return Scalar(value)
    if value.ndim == 1:
        return Diagonal(value)
    if value.ndim == 2:
        return Dense(value)
    raise ProblemError(
        f"L is a tensor of shape {tuple(value.shape)}; say what it is: Diagonal(L), or Dense or "
        "Transformed"
    )
