"""Forward processes: how data turns into noise.

Each is a linear SDE ``dx = -beta(t) x / 2 dt + g(t) dW`` on ``0 <= t <= T`` whose marginals are
``x_t = alpha(t) x_0 + sigma(t) eps``. Two monotone clocks measure how much data is left,
``lambda = log(alpha / sigma)`` and ``rho = alpha**2 / sigma**2``; both fall from data to noise.

The formulas avoid cancellation at both ends: for example the variance of VP is ``-expm1(-B)``,
not ``1 - exp(-B)``, and its inverse solves a quadratic by the root that adds rather than subtracts.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields

import torch
from torch import Tensor

# A time beyond the ends of a process by no more than this is rounding, not an error.
_SLACK = 1e-12


class Process(ABC):
    """A forward process.

    Every method takes a number or a tensor of any shape and returns float64 of that shape: times
    are differences of nearly equal numbers sooner or later, whatever the dtype of the state.

    """

    @property
    def T(self) -> float:
        """The last time; noise is (nearly) all that is left there."""
        return 1.0

    @property
    def trained(self) -> tuple[float, float]:
        """The earliest and the last time at which a network for this process was trained."""
        return 0.0, self.T

    @abstractmethod
    def alpha(self, t: float | Tensor) -> Tensor:
        """Scale of the data at time `t`."""

    @abstractmethod
    def sigma(self, t: float | Tensor) -> Tensor:
        """Standard deviation of the noise at time `t`."""

    @abstractmethod
    def lambda_(self, t: float | Tensor) -> Tensor:
        """``log(alpha / sigma)``, half the log of the signal-to-noise ratio; decreasing in `t`."""

    @abstractmethod
    def rho(self, t: float | Tensor) -> Tensor:
        """``alpha**2 / sigma**2``, the noise clock; decreasing in `t`."""

    @abstractmethod
    def beta(self, t: float | Tensor) -> Tensor:
        """Rate of the drift ``-beta x / 2``, that is ``-2 d log(alpha) / dt``."""

    @abstractmethod
    def g(self, t: float | Tensor) -> Tensor:
        """Diffusion coefficient; ``g**2 = d(sigma**2)/dt + beta sigma**2``."""

    @abstractmethod
    def _invert_lambda(self, value: Tensor) -> Tensor: ...

    @abstractmethod
    def _invert_rho(self, value: Tensor) -> Tensor: ...

    def t_of_lambda(self, value: float | Tensor) -> Tensor:
        """Time at which `lambda_` has this value.

        Raises
        ------
        ValueError
            If the process never has this value.
        """
        value = torch.as_tensor(value, dtype=torch.float64)
        return self._in_range(self._invert_lambda(value), "lambda", value, self.lambda_)

    def t_of_rho(self, value: float | Tensor) -> Tensor:
        """Time at which `rho` has this value.

        Raises
        ------
        ValueError
            If the process never has this value.
        """
        value = torch.as_tensor(value, dtype=torch.float64)
        # A negative rho is NaN after any of the inverses, so that the check below refuses it.
        root = self._invert_rho(torch.where(value >= 0, value, torch.nan))
        return self._in_range(root, "rho", value, self.rho)

    def _in_range(self, t: Tensor, clock: str, value: Tensor, forward: object) -> Tensor:
        good = (t >= -_SLACK * self.T) & (t <= self.T * (1 + _SLACK))
        if not bool(good.all()):
            assert callable(forward)
            low, high = float(forward(self.T)), float(forward(0.0))
            raise ValueError(
                f"{clock} = {_first(value, ~good)} is never reached by {self}: "
                f"it goes from {high:.6g} at t = 0 to {low:.6g} at t = {self.T:g}"
            )
        return t.clamp(0.0, self.T)

    def _times(self, t: float | Tensor) -> Tensor:
        t = torch.as_tensor(t, dtype=torch.float64)
        good = (t >= 0) & (t <= self.T)
        if not bool(good.all()):
            raise ValueError(f"time {_first(t, ~good)} lies outside [0, {self.T:g}] of {self}")
        return t

    def _positive_parameters(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]  # every concrete process is a dataclass
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(
                    f"{type(self).__name__}: {field.name} = {value} must be positive and finite"
                )


def _first(values: Tensor, where: Tensor) -> float:
    return float(values.expand(where.shape)[where].flatten()[0])


@dataclass(frozen=True)
class _LinearSchedule(Process):
    """What VP and SubVP share: ``beta(t) = beta0 + (beta1 - beta0) t`` and ``alpha``."""

    beta0: float = 0.1
    beta1: float = 20.0

    def __post_init__(self) -> None:
        self._positive_parameters()
        if self.beta1 < self.beta0:
            raise ValueError(
                f"{type(self).__name__}: beta1 = {self.beta1} is below beta0 = {self.beta0}; "
                "the noise rate grows from beta0 at t = 0 to beta1 at t = 1"
            )

    def beta(self, t: float | Tensor) -> Tensor:
        return self.beta0 + self._times(t) * (self.beta1 - self.beta0)

    def alpha(self, t: float | Tensor) -> Tensor:
        return torch.exp(-self._integral(t) / 2)

    def _integral(self, t: float | Tensor) -> Tensor:
        """B(t), the integral of beta from 0 to t."""
        t = self._times(t)
        return t * (self.beta0 + t * ((self.beta1 - self.beta0) / 2))

    def _invert_integral(self, value: Tensor) -> Tensor:
        root = torch.sqrt(self.beta0**2 + 2 * (self.beta1 - self.beta0) * value)
        return 2 * value / (self.beta0 + root)


class VariancePreserving(Process):
    """``alpha**2 + sigma**2 = 1``, given by ``B``, the integral of `beta`: ``alpha = exp(-B/2)``."""

    @abstractmethod
    def _integral(self, t: float | Tensor) -> Tensor:
        """B(t), the integral of beta from 0 to t."""

    @abstractmethod
    def _invert_integral(self, value: Tensor) -> Tensor: ...

    def alpha(self, t: float | Tensor) -> Tensor:
        return torch.exp(-self._integral(t) / 2)

    def sigma(self, t: float | Tensor) -> Tensor:
        return torch.sqrt(-torch.expm1(-self._integral(t)))

    def lambda_(self, t: float | Tensor) -> Tensor:
        b = self._integral(t)
        return -(b + torch.log(-torch.expm1(-b))) / 2

    def rho(self, t: float | Tensor) -> Tensor:
        b = self._integral(t)
        return torch.exp(-b) / -torch.expm1(-b)

    def g(self, t: float | Tensor) -> Tensor:
        return torch.sqrt(self.beta(t))

    def _invert_lambda(self, value: Tensor) -> Tensor:
        # B = softplus(-2 lambda). Not torch's softplus, which returns its argument above 20: at
        # -lambda = 10 that is wrong by 2e-9. Nor its logaddexp, whose bits depend on the batch.
        twice = -2 * value
        return self._invert_integral(twice.clamp(min=0) + torch.log1p(torch.exp(-twice.abs())))

    def _invert_rho(self, value: Tensor) -> Tensor:
        return self._invert_integral(torch.log1p(1 / value))


@dataclass(frozen=True)
class VP(_LinearSchedule, VariancePreserving):
    """Variance preserving: ``dx = -beta x / 2 dt + sqrt(beta) dW``, linear `beta`.

    ``alpha = exp(-B/2)``, ``sigma**2 = 1 - exp(-B)`` with ``B`` the integral of ``beta``.

    Parameters
    ----------
    beta0, beta1 : float
        The noise rate at ``t = 0`` and at ``t = 1``.

    References
    ----------
    Song et al., Score-based generative modeling through stochastic differential equations,
    ICLR 2021 (arXiv 2011.13456), eqs. 32-33.
    """


@dataclass(frozen=True)
class SubVP(_LinearSchedule):
    """Sub-VP: the drift of `VP` and less noise, ``sigma = 1 - exp(-B)``.

    ``dx = -beta x / 2 dt + sqrt(beta (1 - exp(-2 B))) dW``.

    Parameters
    ----------
    beta0, beta1 : float
        The rate of the drift at ``t = 0`` and at ``t = 1``.

    References
    ----------
    Song et al., ICLR 2021 (arXiv 2011.13456), eqs. 34-35.
    """

    def sigma(self, t: float | Tensor) -> Tensor:
        return -torch.expm1(-self._integral(t))

    # alpha / sigma = exp(-B/2) / (1 - exp(-B)) = 1 / (2 sinh(B/2)), which inverts in closed form.

    def lambda_(self, t: float | Tensor) -> Tensor:
        b = self._integral(t)
        return -(b / 2 + torch.log(-torch.expm1(-b)))

    def rho(self, t: float | Tensor) -> Tensor:
        b = self._integral(t)
        return torch.exp(-b) / torch.expm1(-b) ** 2

    def g(self, t: float | Tensor) -> Tensor:
        return torch.sqrt(self.beta(t) * -torch.expm1(-2 * self._integral(t)))

    def _invert_lambda(self, value: Tensor) -> Tensor:
        return self._invert_integral(2 * torch.asinh(torch.exp(-value) / 2))

    def _invert_rho(self, value: Tensor) -> Tensor:
        return self._invert_integral(2 * torch.asinh(1 / (2 * torch.sqrt(value))))


@dataclass(frozen=True)
class VE(Process):
    """Variance exploding: ``alpha = 1``, ``sigma = sigma_min (sigma_max / sigma_min)**t``.

    As its source has it, data at ``t = 0`` already carry noise of standard deviation `sigma_min`.

    Parameters
    ----------
    sigma_min, sigma_max : float
        Noise at ``t = 0`` and at ``t = 1``, in units of the data.

    References
    ----------
    Song et al., ICLR 2021 (arXiv 2011.13456), eqs. 30-31.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self) -> None:
        self._positive_parameters()
        if self.sigma_max <= self.sigma_min:
            raise ValueError(
                f"VE: sigma_max = {self.sigma_max} must be above sigma_min = {self.sigma_min}"
            )

    @property
    def _log_ratio(self) -> float:
        return math.log(self.sigma_max) - math.log(self.sigma_min)

    def alpha(self, t: float | Tensor) -> Tensor:
        return torch.ones_like(self._times(t))

    def sigma(self, t: float | Tensor) -> Tensor:
        return self.sigma_min * torch.exp(self._times(t) * self._log_ratio)

    def lambda_(self, t: float | Tensor) -> Tensor:
        return -(math.log(self.sigma_min) + self._times(t) * self._log_ratio)

    def rho(self, t: float | Tensor) -> Tensor:
        return self.sigma(t) ** -2

    def beta(self, t: float | Tensor) -> Tensor:
        return torch.zeros_like(self._times(t))

    def g(self, t: float | Tensor) -> Tensor:
        return self.sigma(t) * math.sqrt(2 * self._log_ratio)

    def _invert_lambda(self, value: Tensor) -> Tensor:
        return -(value + math.log(self.sigma_min)) / self._log_ratio

    def _invert_rho(self, value: Tensor) -> Tensor:
        return self._invert_lambda(torch.log(value) / 2)


@dataclass(frozen=True)
class Flow(Process):
    """Rectified flow: ``x_t = (1 - t) x_0 + t eps``, as an SDE with the same marginals.

    ``dx = -x / (1 - t) dt + sqrt(2 t / (1 - t)) dW``; both coefficients are infinite at ``t = 1``,
    where nothing of the data is left (``lambda = -inf``).

    References
    ----------
    Liu, Gong, Liu, Flow straight and fast, ICLR 2023 (arXiv 2209.03003).
    """

    def alpha(self, t: float | Tensor) -> Tensor:
        return 1 - self._times(t)

    def sigma(self, t: float | Tensor) -> Tensor:
        return self._times(t)

    def lambda_(self, t: float | Tensor) -> Tensor:
        t = self._times(t)
        return torch.log1p(-t) - torch.log(t)

    def rho(self, t: float | Tensor) -> Tensor:
        t = self._times(t)
        return ((1 - t) / t) ** 2

    def beta(self, t: float | Tensor) -> Tensor:
        return 2 / (1 - self._times(t))

    def g(self, t: float | Tensor) -> Tensor:
        t = self._times(t)
        return torch.sqrt(2 * t / (1 - t))

    def _invert_lambda(self, value: Tensor) -> Tensor:
        # The bits of `torch.sigmoid` depend on how many values there are.
        return 1 / (1 + torch.exp(value))

    def _invert_rho(self, value: Tensor) -> Tensor:
        return 1 / (1 + torch.sqrt(value))
