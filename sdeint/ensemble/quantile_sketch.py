"""Quantiles in bounded memory, by a sketch that any split of the sample leaves the same.

A float64, read as an integer in the order of the numbers, is put into the bin of its leading bits.  As
long as there are more occupied bins than the sketch may hold, the last bit is dropped from all of them,
and neighbours fall together.  The number of occupied bins falls with every bit that is dropped and rises
with every value that is added, so the bits that remain are the most that the whole sample allows:
the sketch is a function of the sample, not of the order or the split.

So with few different values the quantiles are those of the sample itself, and with many the bins are
as fine as the spread of the sample allows, near zero and in the tails finer or coarser with the size
of the values.

Rejected: t-digest (its centroids depend on the order of merging, and it has no error bound), KLL and
other compacting samplers (random, and dependent on the order), DDSketch and HDR histograms (a fixed
relative error: useless for values far from zero that hardly differ), a bottom-k sample of the paths
(independent of the split, but its error is that of k paths however many were run).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["CAPACITY", "Bin", "QuantileSketch"]

#: Bins that a sketch holds at most: half a megabyte.
CAPACITY = 1 << 15
_MAGNITUDE = np.int64((1 << 63) - 1)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Bin(NamedTuple):
    """Where a quantile lies: in [low, high], at `value` if the bin's values spread evenly."""

    low: float
    value: float
    high: float


class QuantileSketch:
    """Counts of a sample in at most `capacity` bins.

    Parameters
    ----------
    capacity : int

    Attributes
    ----------
    shift : int
        Bits dropped; 0 means that every value is known.
    keys, counts : int64 arrays
        The occupied bins in the order of their values, and how many values each has.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity, self.shift = capacity, 0
        self.keys = np.zeros(0, dtype=np.int64)
        self.counts = np.zeros(0, dtype=np.int64)

    def add(self, values: Floats) -> None:
        """Add finite numbers."""
        keys, counts = np.unique(_ordered(values) >> self.shift, return_counts=True)
        self._insert(keys, counts.astype(np.int64))

    def merge(self, other: QuantileSketch) -> None:
        """Add the values of another sketch of the same capacity."""
        if other.shift > self.shift:
            self._coarsen(other.shift)
        keys = other.keys >> (self.shift - other.shift)
        self._insert(*_gathered(keys, other.counts))

    def at(self, rank: float) -> Bin:
        """The value that has `rank` values below it, 0 <= rank <= the size of the sample.

        The sample is taken as a distribution function that rises by one within each value's bin.
        """
        upto = np.cumsum(self.counts)
        place = min(int(np.searchsorted(upto, rank)), len(self.keys) - 1)
        first = self.keys[place] << self.shift
        low = float(_numbers(first))
        high = float(_numbers(first + (1 << self.shift) - 1))
        share = (rank - float(upto[place] - self.counts[place])) / float(self.counts[place])
        return Bin(low, low + (high - low) * min(max(share, 0.0), 1.0), high)

    def _insert(self, keys: Integers, counts: Integers) -> None:
        merged = np.concatenate([self.keys, keys])
        order = np.argsort(merged, kind="stable")
        both = np.concatenate([self.counts, counts])
        self.keys, self.counts = _gathered(merged[order], both[order])
        if len(self.keys) > self.capacity:
            self._coarsen(self.shift + self._excess())

    def _excess(self) -> int:
        """The least number of bits to drop for the bins to fit."""
        low, high = 0, 63
        while high - low > 1:
            middle = (low + high) // 2
            fits = 1 + int(np.count_nonzero(np.diff(self.keys >> middle))) <= self.capacity
            low, high = (low, middle) if fits else (middle, high)
        return high

    def _coarsen(self, shift: int) -> None:
        self.keys, self.counts = _gathered(self.keys >> (shift - self.shift), self.counts)
        self.shift = shift


def _gathered(keys: Integers, counts: Integers) -> tuple[Integers, Integers]:
    """Sorted keys, each once, with the sums of their counts."""
    if len(keys) == 0:
        return keys, counts
    starts = np.flatnonzero(np.concatenate([[True], np.diff(keys) != 0]))
    return keys[starts], np.add.reduceat(counts, starts)


def _ordered(values: Floats) -> Integers:
    """The bits of numbers as integers in the same order; both zeros are one."""
    bits = (values + 0.0).view(np.int64)
    ordered: Integers = bits ^ ((bits >> 63) & _MAGNITUDE)
    return ordered


def _numbers(keys: Integers) -> Floats:
    keys = np.asarray(keys, dtype=np.int64)
    numbers: Floats = (keys ^ ((keys >> 63) & _MAGNITUDE)).view(np.float64)
    return numbers
