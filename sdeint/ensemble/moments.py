"""First and second moments of a sample, exact until the last division, and their standard errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdeint.ensemble.exact_sums import ExactSums, ratio

__all__ = ["GROUPS", "Moments"]

#: Units are dealt into this many groups by their index; leaving out one at a time gives the standard
#: errors of variances and covariances, whatever the tails and whatever the pairs have in common.
GROUPS = 64
#: Products that are made at a time.
_AT_ONCE = 1 << 18

Floats = NDArray[np.float64]


class Moments:
    """Exact sums of values and of their products, in interleaved groups.

    A *unit* is a path, or an antithetic pair of them; units are independent of each other.

    Parameters
    ----------
    columns : int
        Components of a value.
    size : {1, 2}
        Paths in a unit.
    covariance : bool
        Keep the products of all pairs of components, not only the squares.
    """

    def __init__(self, columns: int, size: int = 1, covariance: bool = False) -> None:
        self.columns, self.size, self.covariance = columns, size, covariance
        pairs = np.triu_indices(columns) if covariance else (np.arange(columns),) * 2
        self.left, self.right = (np.asarray(side, dtype=np.int64) for side in pairs)
        self.units = np.zeros(GROUPS, dtype=np.int64)
        self.sums = ExactSums((GROUPS, columns))
        self.products = ExactSums((GROUPS, len(self.left)))
        self.mirrored = ExactSums((columns,))
        self.least = np.full(columns, np.inf)
        self.greatest = np.full(columns, -np.inf)

    def add(self, first: int, values: Floats) -> None:
        """Add the units first, first + 1, ...: values of shape (size, units, columns)."""
        count = values.shape[1]
        before = first % GROUPS
        after = -(before + count) % GROUPS
        there = np.arange(before + count + after).reshape(-1, GROUPS) - before
        self.units += ((there >= 0) & (there < count)).sum(0)
        # Zeros around them bring the units of a group above each other.
        padded = np.pad(values, ((0, 0), (before, after), (0, 0)))
        padded = padded.reshape(len(values), -1, GROUPS, self.columns)
        # A few units at a time, since there may be many products of each.
        rows = max(1, _AT_ONCE // (GROUPS * len(self.left)))
        for half in padded:
            self.sums.add(half)
            for i in range(0, len(half), rows):
                some = half[i : i + rows]
                self.products.add_products(some[..., self.left], some[..., self.right])
        if self.size == 2:
            self.mirrored.add_products(values[0], values[1])
        self.least = np.minimum(self.least, values.min((0, 1)) + 0.0)
        self.greatest = np.maximum(self.greatest, values.max((0, 1)) + 0.0)

    def merge(self, other: Moments) -> None:
        """Add the units of another one."""
        self.units += other.units
        self.sums.merge(other.sums)
        self.products.merge(other.products)
        self.mirrored.merge(other.mirrored)
        self.least = np.minimum(self.least, other.least)
        self.greatest = np.maximum(self.greatest, other.greatest)

    @property
    def count(self) -> int:
        """Number of units."""
        return int(self.units.sum())

    def mean(self) -> Floats:
        """The mean of the values, rounded once."""
        sums, exponent = self.sums.integers()
        return _floats(sums.sum(0), self.size * self.count, exponent)

    def error(self) -> Floats:
        """Standard error of the mean, from the spread of the units' averages."""
        return np.sqrt(self._unit_variance() / self.count)

    def variance(self) -> Floats:
        """The variance of one value, without bias.

        With pairs, E[mean of squares] - E[mean^2] = Var - Var(mean), and the last is estimated by
        the squared error of the mean.
        """
        own = self.left == self.right
        return self._covariance(*self._tables(own))

    def variance_error(self) -> Floats:
        """Standard error of the variance, leaving out one group at a time."""
        return self._left_out(self.left == self.right)

    def covariance_matrix(self) -> Floats:
        """The covariance matrix of a value (columns, columns), without bias."""
        return self._square(self._covariance(*self._tables(slice(None))))

    def covariance_error(self) -> Floats:
        """Standard errors of the covariance matrix, leaving out one group at a time."""
        return self._square(self._left_out(slice(None)))

    def _square(self, upper: Floats) -> Floats:
        matrix = np.zeros((self.columns, self.columns))
        matrix[self.left, self.right] = matrix[self.right, self.left] = upper
        return matrix

    def _unit_variance(self) -> Floats:
        """Variance of the average of a unit."""
        n = self.count
        sums, products, exponent, _ = self._tables(self.left == self.right)
        # The sum over units of (the sum of their values)^2.
        squares = products.sum(0)
        if self.size == 2:
            mirrored, power = self.mirrored.integers()
            squares = squares + 2 * _shifted(mirrored, power - exponent)
        return _floats(n * squares - sums.sum(0) ** 2, n * (n - 1) * self.size**2, exponent)

    def _tables(self, chosen: Any) -> tuple[NDArray[Any], NDArray[Any], int, NDArray[Any]]:
        """Sums (groups, columns) and products (groups, chosen pairs), as integers.

        Products are in units of two to the exponent returned, sums in its square root's.
        """
        sums, s = self.sums.integers()
        products, p = self.products.integers()
        half = min(s, p // 2)
        if self.size == 2:
            half = min(half, self.mirrored.integers()[1] // 2)
        sums, products = _shifted(sums, s - half), _shifted(products, p - 2 * half)
        places = np.arange(len(self.left))[chosen]
        return sums, products[:, places], 2 * half, places

    def _covariance(
        self, sums: NDArray[Any], products: NDArray[Any], exponent: int, places: NDArray[Any]
    ) -> Floats:
        n = self.size * self.count
        left, right = self.left[places], self.right[places]
        total = sums.sum(0)
        outer = total[left] * total[right]
        if self.size == 1:
            return _floats(n * products.sum(0) - outer, n * (n - 1), exponent)
        biased = _floats(n * products.sum(0) - outer, n * n, exponent)
        # Between two components the covariance of the means is not kept; it is a part 1/n of the result,
        # taken here as if the paths of a pair were independent.
        of_mean = self._unit_variance() / self.count
        return np.where(left == right, biased + of_mean[left], biased * (n / (n - 1)))

    def _left_out(self, chosen: Any) -> Floats:
        sums, products, exponent, places = self._tables(chosen)
        left, right = self.left[places], self.right[places]
        there = np.flatnonzero(self.units)
        rest = self.count - self.units
        if len(there) < 2 or int(rest[there].min()) < 2:
            return np.full(len(places), math.nan)
        all_sums, all_products = sums.sum(0), products.sum(0)
        rows = []
        for g in there:
            n = self.size * int(rest[g])
            s, p = all_sums - sums[g], all_products - products[g]
            rows.append(_floats(n * p - s[left] * s[right], n * (n - 1), exponent))
        values = np.stack(rows)
        factor = (len(there) - 1) / len(there)
        deviations = values - values.mean(0)
        size = np.maximum(np.abs(deviations).max(0), np.finfo(np.float64).tiny)
        return np.asarray(size * np.sqrt(factor * ((deviations / size) ** 2).sum(0)))


def _shifted(integers: NDArray[Any], by: int) -> NDArray[Any]:
    return integers * (1 << by)


def _floats(numerators: NDArray[Any], denominator: int, exponent: int) -> Floats:
    values = [ratio(int(x), denominator, exponent) for x in numerators]
    return np.asarray(values, dtype=np.float64)
