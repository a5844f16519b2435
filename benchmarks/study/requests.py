"""What every contender is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from diffusion import Process
from sdeint.brownian import BrownianPath

__all__ = ["Denoiser", "Draw", "Request"]

#: (x, t) -> x0hat, with x (batch, *event) and t (batch,).
Denoiser = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Request:
    """Samples of a denoiser's data, with a number of evaluations of it.

    Attributes
    ----------
    denoiser : callable (x, t) -> x0
    process : Process
    shape : tuple of int
    variance : float
        Of a coordinate of the data.
    nfe : int
    seed : int
    path : BrownianPath or None
        The noise, in the clock of the sampler; by default its own.
    start : tensor or None
        Data whose noisy states a sampler begins with, as for `diffusion.sample`.
    """

    denoiser: Denoiser
    process: Process
    shape: tuple[int, ...]
    variance: float
    nfe: int
    seed: int
    path: BrownianPath | None = None
    start: Tensor | None = None


Draw = Callable[[Request], Tensor]
