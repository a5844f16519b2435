"""Corrections of a denoised state: functions (x0, t) -> x0, applied after each evaluation.

They act on the drift of the noise clock, so that every sampler takes them as they are, at every
stage, and none costs an evaluation.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Correction", "clip", "dynamic_threshold", "inpaint"]

#: (x0, t) -> x0, with x0 (batch, *event) and t a float64 tensor that broadcasts against it.
Correction = Callable[[Tensor, Tensor], Tensor]


def clip(low: float = -1.0, high: float = 1.0) -> Correction:
    """Static thresholding: x0 is cut to the range of the data."""
    if not low < high:
        raise ValueError(f"clip({low:g}, {high:g}): the first bound must be below the second")
    return lambda x0, t: x0.clamp(low, high)


def dynamic_threshold(ratio: float = 0.995, limit: float = 1.0) -> Correction:
    """Dynamic thresholding: each item is cut at its own quantile of |x0|, and scaled into the range.

    Where the quantile `ratio` of an item is below `limit`, it is cut at `limit` only.

    References
    ----------
    Saharia et al., Photorealistic text-to-image diffusion models with deep language understanding,
    NeurIPS 2022 (arXiv 2205.11487), section 2.3.
    """
    if not (0 < ratio <= 1 and limit > 0):
        raise ValueError(f"ratio = {ratio:g} must lie in (0, 1] and limit = {limit:g} be positive")

    def threshold(x0: Tensor, t: Tensor) -> Tensor:
        sizes = x0.flatten(1).abs()
        if sizes.dtype not in (torch.float32, torch.float64):
            sizes = sizes.float()
        bound = torch.quantile(sizes, ratio, dim=1).clamp_min(limit).to(x0)
        bound = bound.reshape(-1, *(1,) * (x0.ndim - 1))
        return torch.minimum(torch.maximum(x0, -bound), bound) * (limit / bound)

    return threshold


def inpaint(known: Tensor, mask: Tensor) -> Correction:
    """Keep what is known: where `mask` is one, x0 is `known`.

    There the noise clock gives ``Z = rho known + W(rho)`` exactly, for every method and step: what is
    known, noised again to the level of each step, along one Brownian path instead of with
    independent noise at each step. (Exactly so if `known` is also the run's `start`; otherwise the
    first time is one of noise alone, as everywhere else in the image.)

    Parameters
    ----------
    known : tensor
        Clean data, of the shape of an item or of the batch.
    mask : tensor
        Bool, or numbers in [0, 1] that blend; broadcasts against `known`.
    """

    def keep(x0: Tensor, t: Tensor) -> Tensor:
        return torch.lerp(x0, known.to(x0).expand_as(x0), mask.to(x0).expand_as(x0))

    return keep
