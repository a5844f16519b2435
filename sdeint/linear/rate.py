"""A rate L of growth or decay, constant or a function of time given with its integral."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

from sdeint.errors import ProblemError
from sdeint.phi import WIDE

__all__ = ["Function", "Rate"]

Function = Callable[[Tensor], Any]

# Where the derivative of the integral is compared with the rate, as shares of the time span: no
# round numbers, at which a wrong integral might happen to agree.
_PLACES = (0.1371, 0.3819, 0.6183, 0.8713)
_WIDTHS = (1e-2, 1e-3, 1e-4)
_AGREEMENT = 1e-5


class Rate:
    """L, a scalar or one number a mode.

    Parameters
    ----------
    value : number, Tensor or callable t -> tensor
    integral : callable t -> tensor, optional
        An antiderivative of `value`; needed if that is a function.
    """

    def __init__(self, value: Any, integral: Function | None) -> None:
        self.function: Function | None = (
            value if callable(value) and not isinstance(value, Tensor) else None
        )
        self.integral = integral
        if self.function is not None and integral is None:
            raise ProblemError(
                "L is a function of time, so that its integral is needed too: give "
                "integral=Lambda with Lambda'(t) = L(t), as exp(Lambda(t) - Lambda(s)) moves the "
                "state from s to t"
            )
        if self.function is None and integral is not None:
            raise ProblemError("an integral belongs to an L that is a function of time")
        if integral is not None and not callable(integral):
            raise ProblemError(f"integral must be a function of t, got {type(integral).__name__}")
        # Kept as given and widened anew at each use: a copy would miss an optimiser's update, and
        # its graph would be gone after the first backward pass.
        self.constant = None if self.function else value
        #: What flows have computed, by the precision and device of their states.
        self.results: dict[Hashable, OrderedDict[Hashable, tuple[Tensor, ...]]] = {}
        if not self.varies:
            refuse_non_finite(self.at(0.0), "L")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "results": {}}

    @property
    def varies(self) -> bool:
        return self.function is not None

    @property
    def lasting(self) -> bool:
        """Whether what is computed from it serves other solves: it has no gradient to carry."""
        value = self.constant
        learned = isinstance(value, Tensor) and (value.requires_grad or value.is_inference())
        return not (self.varies or learned)

    def at(self, t: float | Tensor) -> Tensor:
        """L(t), in double precision."""
        if self.function is None:
            return as_wide(self.constant, "L")
        return as_wide(self.function(as_time(t)), "L(t)")

    def over(self, t: float | Tensor, h: float | Tensor, start: float, end: float) -> Tensor:
        """The integral of L from t + start h to t + end h, in double precision."""
        if self.integral is None:
            return as_wide(self.constant, "L") * (h * (end - start))
        upper = as_wide(self.integral(as_time(t) + end * h), "integral(t)")
        return upper - as_wide(self.integral(as_time(t) + start * h), "integral(t)")

    def check(self, times: tuple[float, float] | None) -> None:
        """Compare the rate with the derivative of its integral at a few times of a solve."""
        if not self.varies or times is None or times[0] == times[1]:
            return
        first, span = times[0], times[1] - times[0]
        with torch.no_grad():
            for place in _PLACES:
                t = first + place * span
                rate = self.at(t)
                refuse_non_finite(rate, f"L({t:.6g})")
                slopes = [self._slope(t, width * span) for width in _WIDTHS]
                if slopes[0].shape != rate.shape:
                    raise ProblemError(
                        f"L(t) has shape {tuple(rate.shape)} and its integral "
                        f"{tuple(slopes[0].shape)}; they must agree"
                    )
                size = rate.abs() + (self.over(first, span, 0.0, 1.0) / span).abs().max()
                gaps = [(slope - rate).abs() for slope in slopes]
                gap = torch.stack(gaps).nan_to_num(torch.inf).min(dim=0).values
                if bool((gap > _AGREEMENT * size).any()):
                    worst = int((gap - _AGREEMENT * size).argmax())
                    raise ProblemError(
                        f"the integral of L does not belong to L: at t = {t:.6g} its derivative is "
                        f"{slopes[1].reshape(-1)[worst].item():.6g}, "
                        f"but L(t) = {rate.reshape(-1)[worst].item():.6g}"
                    )

    def _slope(self, t: float, width: float) -> Tensor:
        near = self.over(t, width, -1.0, 1.0)
        far = self.over(t, width, -2.0, 2.0)
        return (8.0 * near - far) / (12.0 * width)


def as_time(t: float | Tensor) -> Tensor:
    return torch.as_tensor(t, dtype=torch.float64)


def as_wide(value: Any, name: str) -> Tensor:
    """A number or tensor in the precision in which phi functions are computed."""
    if isinstance(value, bool) or not isinstance(value, (int, float, complex, Tensor)):
        raise ProblemError(f"{name} must be a number or a tensor, got {type(value).__name__}")
    if not isinstance(value, Tensor):
        kind = torch.complex128 if isinstance(value, complex) else torch.float64
        return torch.tensor(value, dtype=kind)
    if value.dtype in WIDE:
        return value.to(WIDE[value.dtype])
    if value.is_floating_point() or value.is_complex() or value.dtype is torch.bool:
        raise ProblemError(f"{name} must be of float32, float64 or complex, got {value.dtype}")
    return value.to(torch.float64)


def refuse_non_finite(value: Tensor, name: str) -> None:
    finite = torch.isfinite(value.detach())
    if not bool(finite.all()):
        place = tuple(torch.nonzero(~finite)[0].tolist())
        at = f" at {place}" if place else ""
        raise ProblemError(f"{name} is not finite: {value[place].item()}{at}")
