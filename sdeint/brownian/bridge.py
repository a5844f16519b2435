"""Splitting and joining (W, H) of an interval: the exact laws.

On an interval of length h, W is the increment and H = (1/h) int (W_u - (u/h) W) du the space-time
area; independent, with variances h and h/12. Cut the interval into parts of length lam h and mu h,
lam + mu = 1. The parts' four variables are independent with the same laws, and determine the whole:

    W = W1 + W2,    H = lam H1 + mu H2 + (mu W1 - lam W2) / 2.

Splitting is the conditional law of the four given the two. Project the Gaussian (W1; W, H):
Cov(W1, W) = lam h, Cov(W1, H) = lam mu h / 2, hence, with q = 1 - 3 lam mu = lam**3 + mu**3,

    W1 = lam W + 6 lam mu H + sqrt(h lam mu q) z,    W2 = W - W1.

What is left for the areas, s = lam H1 + mu H2 = H - (W1 - lam W) / 2, is independent of
(W1, W2), and

    H1 = lam**2 / q s + sqrt(h lam mu**3 / (12 q)) z',
    H2 = mu**2 / q s - sqrt(h lam**3 mu / (12 q)) z'.

z and z' are fresh standard normals: two a split. W and H must be split together; a W split on its
own and an H split on its own are not the two functionals of any one path.

At lam = mu = 1/2 this is Foster's formula (J. Foster, H. Oberhauser, T. Lyons, "An optimal
polynomial approximation of Brownian motion", SIAM J. Numer. Anal. 58, 2020).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

Coefficient = float | Tensor


class Split(NamedTuple):
    """The coefficients of a split, depending on the lengths only."""

    lam: Coefficient
    w_from_h: Coefficient
    w_noise: Coefficient
    h1_from_s: Coefficient
    h1_noise: Coefficient
    h2_from_s: Coefficient
    h2_noise: Coefficient

    @classmethod
    def halves(cls, h: float) -> Split:
        """Both halves of an interval of length h."""
        half = math.sqrt(h / 48.0)
        return cls(0.5, 1.5, math.sqrt(h) / 4.0, 1.0, half, 1.0, half)

    @classmethod
    def parts(cls, h1: Tensor, h2: Tensor, dtype: torch.dtype, device: torch.device) -> Split:
        """Parts of lengths h1 and h2: float64 tensors (n,); the coefficients are (n, 1, 1)."""
        h = h1 + h2
        lam, mu = h1 / h, h2 / h
        q = lam**3 + mu**3
        coefficients = (
            lam,
            6.0 * lam * mu,
            torch.sqrt(h * lam * mu * q),
            lam**2 / q,
            torch.sqrt(h * lam * mu**3 / (12.0 * q)),
            mu**2 / q,
            torch.sqrt(h * lam**3 * mu / (12.0 * q)),
        )
        return cls(*(c.to(device=device, dtype=dtype).view(-1, 1, 1) for c in coefficients))

    def __call__(
        self, w: Tensor, h: Tensor, z_w: Tensor, z_h: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(W1, H1, W2, H2) from the whole's W and H and two standard normals.

        Products and sums are kept apart: a fused multiply-add in the vector part of a kernel but
        not in its remainder would make bits depend on the shape of the batch.
        """
        along = w * self.lam
        beyond = h * self.w_from_h + z_w * self.w_noise
        w1 = along + beyond
        s = h - beyond * 0.5
        noise1, noise2 = z_h * self.h1_noise, z_h * self.h2_noise
        return w1, s * self.h1_from_s + noise1, w - w1, s * self.h2_from_s - noise2


def join(
    w1: Tensor, h1: Tensor, w2: Tensor, h2: Tensor, first: Coefficient, second: Coefficient
) -> tuple[Tensor, Tensor]:
    """(W, H) of an interval from those of its two parts, of lengths ``first`` and ``second``."""
    lam, mu = first / (first + second), second / (first + second)
    return w1 + w2, h1 * lam + h2 * mu + (w1 * mu - w2 * lam) * 0.5
