r"""How much noise the reverse diffusion has: eta, a number or a function of the noise level.

All reverse diffusions of ``y = x / alpha`` with the same marginals, of noise eta times the reverse SDE's,
are ``dy = (1 + eta^2)/2 (x0hat - y) dlog q + eta q^(-1/2) dW_{log q}``. With

.. math:: \log R = \tfrac12 \log q + \tfrac12 \int \eta^2\,d\log q, \qquad Z = R y,

the linear part is gone, whatever eta is: ``dZ = x0hat dR + dM`` with ``<M> = R^2 / q``, so that the
increments of the noise are exact as well. (A function eta is one that is constant between many levels:
the diffusion of that one is another member of the family, and its marginals too are exact.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["Constant", "Eta", "Stochasticity", "Varying", "clocks_of"]

#: A number; (eta, low, high), which is eta where low <= sigma/alpha <= high and 0 elsewhere; or a
#: function of sigma/alpha, a float64 tensor (n,).
Eta = float | Sequence[float] | Callable[[Tensor], Tensor]

# Below, neighbouring values of q^(eta^2) are equal in floating point.
_LEAST = 1e-5
# Where a function is looked at: log(sigma/alpha) from 12 to -12; beyond, it stays what it is there.
_LEVELS = torch.linspace(12.0, -12.0, 2049, dtype=torch.float64)


def _raised(x: Tensor, power: float) -> Tensor:
    """x to a power, with bits that do not depend on the number of items.

    Those of `torch.pow` do: for other powers than these it computes the last few items another way.
    """
    return x**power if power in (0, 0.5, 1, 2) else torch.exp(power * torch.log(x))


class Constant:
    """The same eta at all levels: ``R = q^((1 + eta^2)/2)``, ``<M> = q^(eta^2)``."""

    def __init__(self, eta: float) -> None:
        self.eta, self._power = eta, (1 + eta**2) / 2
        self.silent = eta == 0
        #: Whether the noise has R itself as its clock.
        self.own = eta == 1

    def of(self, q: Tensor) -> Tensor:
        """R."""
        return _raised(q, self._power)

    def back(self, clock: Tensor) -> Tensor:
        """q, from R."""
        return _raised(clock, 1 / self._power)

    def noise(self, clock: Tensor) -> Tensor:
        """``<M>``, from R."""
        return _raised(clock, self.eta**2 / self._power)

    def __str__(self) -> str:
        return f"{self.eta:g}"


class Varying:
    """An eta that is constant between given values of log(q).

    Parameters
    ----------
    knots : tensor (n,)
        Of log(q), increasing.
    squares : tensor (n + 1,)
        Of eta: before, between and after the knots.
    """

    silent = own = False

    def __init__(self, knots: Tensor, squares: Tensor) -> None:
        sums = torch.cumsum(torch.diff(knots) * squares[1:-1], 0)
        # The place that each interval is measured from, and the integral of eta^2 until there.
        self._knots, self._squares = knots, squares
        self._from = torch.cat([knots[:1], knots])
        self._sums = torch.cat([knots.new_zeros(2), sums])
        # From log(q) = 0 on, as for a constant.
        self._sums = self._sums - self._integral(knots.new_zeros(()))
        self._log_clocks = (self._from + self._sums) / 2

    def of(self, q: Tensor) -> Tensor:
        """R."""
        y = torch.log(q)
        return torch.exp((y + self._integral(y)) / 2)

    def back(self, clock: Tensor) -> Tensor:
        """q, from R."""
        return torch.exp(self._log_q(clock))

    def noise(self, clock: Tensor) -> Tensor:
        """``<M>``, from R; exactly constant where eta is 0."""
        return torch.exp(self._integral(self._log_q(clock)))

    def _integral(self, y: Tensor) -> Tensor:
        place = torch.searchsorted(self._knots, y)
        return self._sums[place] + self._squares[place] * (y - self._from[place])

    def _log_q(self, clock: Tensor) -> Tensor:
        value = torch.log(clock)
        place = torch.searchsorted(self._log_clocks[1:], value)
        slope = (1 + self._squares[place]) / 2
        return self._from[place] + (value - self._log_clocks[place]) / slope

    def __str__(self) -> str:
        return f"{float(self._squares.max()) ** 0.5:g}"


Stochasticity = Constant | Varying


def clocks_of(eta: Eta, variance: float) -> Stochasticity:
    """The clocks of an eta, for data of which the clock q knows the variance.

    Raises
    ------
    ValueError
        If eta is negative, infinite, NaN, or so small that its noise is rounding; or no number,
        interval or function.
    """

    def log_q(levels: Tensor) -> Tensor:
        return -torch.log(levels**2 + variance)

    if callable(eta):
        between = torch.cat([_LEVELS[:1], (_LEVELS[1:] + _LEVELS[:-1]) / 2, _LEVELS[-1:]])
        values = torch.as_tensor(eta(torch.exp(between)), dtype=torch.float64)
        values = values.expand(between.shape)
        # A function may come near 0 on its way.
        values = torch.where((values > 0) & (values < _LEAST), 0.0, values)
        for value in set(values.tolist()):
            _check(value)
        return Varying(log_q(torch.exp(_LEVELS)), values**2)
    if not isinstance(eta, Sequence):
        _check(eta)
        return Constant(eta)
    if len(eta) != 3 or not 0 <= eta[1] < eta[2]:
        raise ValueError(
            f"eta = {eta} must be one number, or (eta, low, high) with 0 <= low < high"
        )
    size, low, high = eta
    _check(size)
    ends = [level for level in (high, low) if 0 < level < math.inf]
    if not ends or size == 0:
        return Constant(size)
    squares = [*[0.0] * (high < math.inf), size**2, *[0.0] * (low > 0)]
    knots = log_q(torch.tensor(ends, dtype=torch.float64))
    return Varying(knots, torch.tensor(squares, dtype=torch.float64))


def _check(eta: float) -> None:
    if not (eta == 0 or _LEAST <= eta < math.inf):
        raise ValueError(
            f"eta = {eta} must be 0, which is the ODE, or lie in [{_LEAST:g}, infinity)"
        )
