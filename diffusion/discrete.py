"""Processes that were trained at finitely many noise levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from diffusion.processes import VariancePreserving

__all__ = ["DiscreteVP"]

# (k / N) N is k up to one rounding of the quotient and one of the product.
_ROUNDING = 2.0**-51


@dataclass(frozen=True, repr=False)
class DiscreteVP(VariancePreserving):
    """Variance preserving, through the noise levels of a network with discrete times.

    Label k = 0, ..., N - 1 of the network is the time ``(k + 1) / N``, with data at ``t = 0``. In
    between, ``-2 log(alpha)`` is linear, so `beta` is constant: the process passes through the
    trained levels exactly and has closed-form inverses. Made by `from_betas` or
    `from_alphas_cumprod`.

    Parameters
    ----------
    integrals : tuple of float
        ``-log(alphas_cumprod)`` at the labels, increasing.

    References
    ----------
    Ho, Jain, Abbeel, Denoising diffusion probabilistic models, NeurIPS 2020 (arXiv 2006.11239).
    """

    integrals: tuple[float, ...]
    _table: Tensor = field(init=False, compare=False)

    def __post_init__(self) -> None:
        table = torch.tensor((0.0, *self.integrals), dtype=torch.float64)
        wrong = torch.nonzero(~(torch.diff(table) > 0) | ~torch.isfinite(table[1:]))
        if not self.integrals or len(wrong):
            where = f"label {int(wrong[0])}" if len(wrong) else "no label at all"
            raise ValueError(
                "DiscreteVP: each beta must lie strictly between 0 and 1, and so the products of "
                f"1 - beta fall from below 1 to above 0; they do not at {where}. "
                "(Where the last product is 0, give a small number, such as 2**-24.)"
            )
        object.__setattr__(self, "_table", table)

    @classmethod
    def from_betas(cls, betas: Sequence[float] | Tensor) -> DiscreteVP:
        """From the variances of the noise that is added at each label."""
        b = torch.as_tensor(betas, dtype=torch.float64)
        return cls(tuple((-torch.cumsum(torch.log1p(-b), 0)).tolist()))

    @classmethod
    def from_alphas_cumprod(cls, alphas_cumprod: Sequence[float] | Tensor) -> DiscreteVP:
        """From ``alpha**2`` at each label."""
        return cls(
            tuple((-torch.log(torch.as_tensor(alphas_cumprod, dtype=torch.float64))).tolist())
        )

    def __repr__(self) -> str:
        high, low = (float(self.lambda_(t)) for t in self.trained)
        return f"DiscreteVP({len(self.integrals)} labels, lambda {high:.4g} to {low:.4g})"

    @property
    def labels(self) -> int:
        """How many labels there are."""
        return len(self.integrals)

    @property
    def trained(self) -> tuple[float, float]:
        """The earliest and the last time at which a network for this process was trained."""
        return 1 / self.labels, 1.0

    def label(self, t: float | Tensor) -> Tensor:
        """The network's label at a time; not an integer between the trained times."""
        return self._snapped(t) - 1

    def t_of_label(self, label: float | Tensor) -> Tensor:
        """The time of a label."""
        return self._times((torch.as_tensor(label, dtype=torch.float64) + 1) / self.labels)

    def beta(self, t: float | Tensor) -> Tensor:
        below, above = self._levels(self._place(self._snapped(t)))
        return self.labels * (above - below)

    def _snapped(self, t: float | Tensor) -> Tensor:
        """N t, where it is an integer to rounding that integer, so that trained levels are exact."""
        position = self._times(t) * self.labels
        nearest = torch.round(position)
        return torch.where((position - nearest).abs() <= _ROUNDING * nearest, nearest, position)

    def _place(self, position: Tensor) -> Tensor:
        return position.detach().floor().long().clamp(0, self.labels - 1)

    def _levels(self, place: Tensor) -> tuple[Tensor, Tensor]:
        """B at both ends of an interval."""
        table = self._table.to(place.device)
        return table[place], table[place + 1]

    def _integral(self, t: float | Tensor) -> Tensor:
        position = self._snapped(t)
        place = self._place(position)
        below, above = self._levels(place)
        part = position - place
        # From the nearer level, so that both ends of the interval are met exactly.
        width = above - below
        return torch.where(part < 0.5, below + part * width, above - (1 - part) * width)

    def _invert_integral(self, value: Tensor) -> Tensor:
        table = self._table.to(value.device)
        place = torch.searchsorted(table, value.detach(), right=True) - 1
        place = place.clamp(0, self.labels - 1)
        below, above = self._levels(place)
        return (place + (value - below) / (above - below)) / self.labels
