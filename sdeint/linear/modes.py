"""Rates of modes, as numbers or tensors, and the steps on which they stay in range."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sdeint.errors import ProblemError
from sdeint.phi import WIDE

__all__ = ["check_range", "narrow", "rates_of"]

# The most radians that an oscillating mode may turn in a step.
_MOST_PHASE = 4000.0


def rates_of(l: float | complex | Tensor) -> Tensor:
    """l as a tensor; a number in double precision, whatever PyTorch's default."""
    if isinstance(l, Tensor) and l.dtype in WIDE:
        return l
    return torch.as_tensor(l, dtype=torch.complex128 if isinstance(l, complex) else torch.float64)


def check_range(z: Tensor, h: float, dtype: torch.dtype) -> None:
    """Refuse h l of which e^{h l} overflows in a dtype, or which turns too far."""
    if not z.numel():
        return
    if not bool(torch.isfinite(z.detach()).all()):
        raise ProblemError("h l is not finite")
    growth, largest = float(z.detach().real.max()), math.log(torch.finfo(dtype).max)
    if growth > largest:
        raise ProblemError(
            f"a growing mode has h lambda = {growth:.6g}; {dtype} holds up to {largest:.6g}, so "
            f"take steps of at most {abs(h) * largest / growth:.3g}"
        )
    if z.is_complex() and float(z.detach().imag.abs().max()) > _MOST_PHASE:
        raise ProblemError(
            f"a mode turns by {float(z.detach().imag.abs().max()):.6g} radians in a step; its "
            f"functionals are computed up to {_MOST_PHASE:.6g}: take smaller steps"
        )


def narrow(value: Tensor, like: Tensor) -> torch.dtype:
    """The dtype of a result: the precision of the rates, real or complex as the result is."""
    real = like.dtype.to_real()
    return real.to_complex() if value.is_complex() else real
