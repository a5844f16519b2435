"""The cosine schedule in continuous time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion.processes import Process

__all__ = ["CosineVP"]


@dataclass(frozen=True)
class CosineVP(Process):
    """Variance preserving with ``alpha = cos(theta) / cos(theta_0)``, `theta` linear in time.

    ``theta = (pi/2) (t + offset) / (1 + offset)``, so that nothing of the data is left at
    ``t = 1``. The source cuts its discrete betas at 0.999; in continuous time the range of lambda
    of a grid does that.

    Parameters
    ----------
    offset : float
        Keeps `beta` from vanishing at ``t = 0``.

    References
    ----------
    Nichol, Dhariwal, Improved denoising diffusion probabilistic models, ICML 2021
    (arXiv 2102.09672), eq. 17.
    """

    offset: float = 0.008

    def __post_init__(self) -> None:
        self._positive_parameters()

    # With a = theta - theta_0, b = theta + theta_0 and c = pi/2 - theta, each a multiple of what is
    # small at its end: cos(theta) = sin(c), and sigma**2 cos(theta_0)**2 = sin(a) sin(b).

    @property
    def _rate(self) -> float:
        return math.pi / 2 / (1 + self.offset)

    def _angles(self, t: float | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        t = self._times(t)
        return self._rate * t, self._rate * (t + 2 * self.offset), self._rate * (1 - t)

    def alpha(self, t: float | Tensor) -> Tensor:
        return torch.sin(self._angles(t)[2]) / math.sin(self._rate)

    def sigma(self, t: float | Tensor) -> Tensor:
        a, b, _ = self._angles(t)
        return torch.sqrt(torch.sin(a) * torch.sin(b)) / math.sin(self._rate)

    def lambda_(self, t: float | Tensor) -> Tensor:
        a, b, c = self._angles(t)
        return torch.log(torch.sin(c)) - (torch.log(torch.sin(a)) + torch.log(torch.sin(b))) / 2

    def rho(self, t: float | Tensor) -> Tensor:
        a, b, c = self._angles(t)
        return torch.sin(c) ** 2 / (torch.sin(a) * torch.sin(b))

    def beta(self, t: float | Tensor) -> Tensor:
        return 2 * self._rate / torch.tan(self._angles(t)[2])

    def g(self, t: float | Tensor) -> Tensor:
        return torch.sqrt(self.beta(t))

    def _invert_lambda(self, value: Tensor) -> Tensor:
        return self._of_ratio(torch.exp(value))

    def _invert_rho(self, value: Tensor) -> Tensor:
        return self._of_ratio(torch.sqrt(value))

    def _of_ratio(self, m: Tensor) -> Tensor:
        """Time at which alpha / sigma is m; by the tangent of theta - theta_0."""
        tangent = math.tan(self._rate * self.offset)
        square = 1 + tangent**2
        scaled = torch.sqrt(square + (tangent * m) ** 2)  # m tan(theta)
        # Both sides are positive; not atan2, whose bits depend on the batch.
        a = torch.atan(square / (scaled + tangent * m) / (m + tangent * scaled))
        return a / self._rate
