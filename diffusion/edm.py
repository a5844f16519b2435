"""EDM: noise level as time, and networks that are preconditioned by it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion.processes import Process

__all__ = ["EDM", "edm_denoiser", "preconditioning"]


@dataclass(frozen=True)
class EDM(Process):
    """``alpha = 1``, ``sigma = t``: time is the noise level; ``dx = sqrt(2 t) dW``.

    Parameters
    ----------
    sigma_min, sigma_max : float
        Noise levels that the network was trained at; the process itself starts at ``t = 0``.

    References
    ----------
    Karras, Aittala, Aila, Laine, Elucidating the design space of diffusion-based generative
    models, NeurIPS 2022 (arXiv 2206.00364), table 1.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        self._positive_parameters()
        if self.sigma_max <= self.sigma_min:
            raise ValueError(
                f"EDM: sigma_max = {self.sigma_max} must be above sigma_min = {self.sigma_min}"
            )

    @property
    def T(self) -> float:
        """The last time, `sigma_max`."""
        return self.sigma_max

    @property
    def trained(self) -> tuple[float, float]:
        """The earliest and the last time at which a network for this process was trained."""
        return self.sigma_min, self.sigma_max

    def alpha(self, t: float | Tensor) -> Tensor:
        return torch.ones_like(self._times(t))

    def sigma(self, t: float | Tensor) -> Tensor:
        return self._times(t)

    def lambda_(self, t: float | Tensor) -> Tensor:
        return -torch.log(self._times(t))

    def rho(self, t: float | Tensor) -> Tensor:
        return self._times(t) ** -2

    def beta(self, t: float | Tensor) -> Tensor:
        return torch.zeros_like(self._times(t))

    def g(self, t: float | Tensor) -> Tensor:
        return torch.sqrt(2 * self._times(t))

    def _invert_lambda(self, value: Tensor) -> Tensor:
        return torch.exp(-value)

    def _invert_rho(self, value: Tensor) -> Tensor:
        return 1 / torch.sqrt(value)


def preconditioning(sigma: Tensor, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    """c_skip, c_out and c_in of a noise level, for data of this standard deviation."""
    total = sigma**2 + sigma_data**2
    return sigma_data**2 / total, sigma * sigma_data / total.sqrt(), 1 / total.sqrt()


def edm_denoiser(
    network: Callable[[Tensor, Tensor], Tensor], *, sigma_data: float = 0.5
) -> Callable[[Tensor, Tensor], Tensor]:
    """The denoiser ``(x, sigma) -> x0`` of a raw network that was trained with EDM's preconditioning.

    Parameters
    ----------
    network : callable (c_in x, c_noise) -> output
        `c_noise`, of shape (batch,), is a quarter of log(sigma).
    sigma_data : float
        Standard deviation of the data.

    Returns
    -------
    callable
        For `diffusion.Denoiser`, or as a model of the process `EDM` with prediction "x0".
    """
    if not (math.isfinite(sigma_data) and sigma_data > 0):
        raise ValueError(f"sigma_data must be positive and finite, not {sigma_data}")

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        s = sigma.double().reshape(-1, *(1,) * (x.ndim - 1))
        skip, out, enter = preconditioning(s, sigma_data)
        inner = network(enter.to(x) * x, (sigma.double().log() / 4).to(x))
        return skip.to(x) * x + out.to(x) * inner.to(x)

    return denoise
