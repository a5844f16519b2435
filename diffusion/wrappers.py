"""Networks as they come, in the role of a model ``(x, t) -> prediction``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion.discrete import DiscreteVP
from diffusion.processes import Process
from diffusion.reverse import Model

__all__ = ["Denoiser", "InDtype", "Labelled"]


@dataclass(frozen=True)
class Labelled:
    """A network with discrete times, as a model of `DiscreteVP`.

    Parameters
    ----------
    network : callable (x, label) -> prediction
        `label` has shape (batch,).
    process : DiscreteVP
    nearest : bool
        Round labels to integers (int64), for a network that has a table of them: exact on the grids
        of `diffusion.spacings` with methods that evaluate at the ends of steps only. By default
        labels are real numbers, which a sinusoidal embedding takes.
    """

    network: Model
    process: DiscreteVP
    nearest: bool = False

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        # Rounded to the dtype of x, the last time may lie beyond the end of the process.
        label = self.process.label(t.double().clamp(0.0, self.process.T))
        if self.nearest:
            return self.network(x, label.round().clamp_min(0).long())
        # Half precision has too few digits for a label: 999.5 is 1000 in bfloat16.
        return self.network(x, label.to(torch.promote_types(x.dtype, torch.float32)))


@dataclass(frozen=True)
class Denoiser:
    """A denoiser ``(x, sigma) -> x0`` in the style of k-diffusion and EDM, for any process.

    It is asked at ``x / alpha``, whose noise has the standard deviation ``sigma / alpha``. Its
    prediction is "x0".

    Parameters
    ----------
    denoise : callable (x, sigma) -> x0
        `sigma` has shape (batch,), in x's dtype.
    process : Process
    """

    denoise: Callable[[Tensor, Tensor], Tensor]
    process: Process

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        t = t.double().clamp(0.0, self.process.T)
        alpha = self.process.alpha(t)
        scale = alpha.reshape(-1, *(1,) * (x.ndim - 1)).to(x)
        return self.denoise(x / scale, (self.process.sigma(t) / alpha).to(x))


@dataclass(frozen=True)
class InDtype:
    """A network in half precision, for a state in float32 or float64.

    The network sees `x` in its own dtype and `t` in at least float32, which its embedding of time
    needs; what it returns is cast to the dtype of the state before anything is computed from it.

    Parameters
    ----------
    model : callable (x, t) -> prediction
    dtype : torch.dtype
    """

    model: Model
    dtype: torch.dtype

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        return self.model(x.to(self.dtype), t.float()).to(x.dtype)
