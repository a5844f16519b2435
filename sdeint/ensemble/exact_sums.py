"""Sums of floating-point numbers without rounding, so that no order of additions can matter.

A number is cut, without rounding, into pieces that are integers below 2**24 times a power of 2**24.  The
pieces of one power are summed as they are: in float64 within a chunk, in int64 across chunks, both far from
full.  A sum is then an integer: addition is associative and commutative, and any split of the numbers,
merged in any order, gives the same bits.  Means and variances are divided out of these integers
once, at the end, so that a variance does not cancel however far the values are from zero.

Rejected: compensated sums (Kahan, Neumaier), whose result depends on the order in its last bits, and a
binary tree over path indices, which fixes the order but ties it to the size of the chunks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ExactSums", "ratio"]

#: A limb of int64 has room for 2**39 pieces; there are 2**40 paths at most, in 64 groups or in pairs.
_BITS = 24
#: Numbers beyond 2**+-(24 _FAR - 126) are scaled by 2**-+(24 _FAR): products of any two are then normal.
_FAR = 24
_SPLITTER = float((1 << 27) + 1)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class ExactSums:
    """Exact sums of arrays of one shape.

    Parameters
    ----------
    shape : tuple of int

    Attributes
    ----------
    low : int
        The power of 2**24 that the first limb counts.
    limbs : int64 array (width, *shape)
        The sum of limbs[i] * 2**(24 (low + i)) is the sum.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.low, self.limbs = 0, np.zeros((0, *shape), dtype=np.int64)

    def add(self, values: Floats) -> None:
        """Add finite numbers (n, *shape), over the first axis."""
        for part, power in _scaled(values):
            self._add(part, power)

    def add_products(self, a: Floats, b: Floats) -> None:
        """Add the products a b, exact too, over the first axis."""
        for x, i in _scaled(a):
            for y, j in _scaled(b):
                product = x * y
                self._add(product, i + j)
                self._add(_product_error(x, y, product), i + j)

    def merge(self, other: ExactSums) -> None:
        """Add the sums of another one."""
        if len(other.limbs) == 0:
            return
        if len(self.limbs) == 0:
            self.low, self.limbs = other.low, other.limbs.copy()
            return
        low = min(self.low, other.low)
        high = max(self.low + len(self.limbs), other.low + len(other.limbs))
        limbs = np.zeros((high - low, *self.limbs.shape[1:]), dtype=np.int64)
        for part in (self, other):
            limbs[part.low - low : part.low - low + len(part.limbs)] += part.limbs
        self.low, self.limbs = low, limbs

    def integers(self) -> tuple[NDArray[Any], int]:
        """The sums as Python integers (an object array), in units of two to the power returned."""
        total = np.zeros(self.limbs.shape[1:], dtype=object)
        for i, limb in enumerate(self.limbs):
            total = total + limb.astype(object) * (1 << (_BITS * i))
        return total, _BITS * self.low

    def _add(self, values: Floats, power: int) -> None:
        """Add values * 2**(24 power)."""
        limbs: list[Integers] = []
        rest = values
        place = math.frexp(float(np.abs(values).max(initial=0.0)))[1] // _BITS
        while rest.any():
            # Adding and subtracting a number whose last bit is 2**(24 place) rounds to a multiple of that.
            anchor = math.ldexp(1.5, _BITS * place + 52)
            whole = (rest + anchor) - anchor
            limbs.append(np.ldexp(whole.sum(0), -_BITS * place).astype(np.int64))
            rest = rest - whole
            place -= 1
        if limbs:
            addend = ExactSums(values.shape[1:])
            addend.low, addend.limbs = power + place + 1, np.stack(limbs[::-1])
            self.merge(addend)


def ratio(numerator: int, denominator: int, exponent: int) -> float:
    """``numerator / denominator * 2**exponent``, rounded once."""
    if exponent >= 0:
        numerator <<= exponent
    else:
        denominator <<= -exponent
    try:
        return numerator / denominator
    except OverflowError:
        return float("inf") if (numerator > 0) == (denominator > 0) else float("-inf")


def _scaled(values: Floats) -> Iterator[tuple[Floats, int]]:
    """The tiny, the usual and the huge numbers, zeros for the others, scaled by 2**-(24 power)."""
    sizes = np.abs(values)
    limit = 2.0 ** (_BITS * _FAR - 126)
    tiny, huge = (sizes < 1 / limit) & (sizes > 0), sizes > limit
    if not tiny.any() and not huge.any():
        yield values, 0
        return
    for inside, power in ((tiny, -_FAR), (~tiny & ~huge, 0), (huge, _FAR)):
        if inside.any():
            yield np.ldexp(np.where(inside, values, 0.0), -_BITS * power), power


def _product_error(x: Floats, y: Floats, product: Floats) -> Floats:
    """``x y - product`` without rounding (Dekker 1971)."""
    x1, y1 = _upper(x), _upper(y)
    x2, y2 = x - x1, y - y1
    error: Floats = ((x1 * y1 - product) + x1 * y2 + x2 * y1) + x2 * y2
    return error


def _upper(x: Floats) -> Floats:
    scaled = x * _SPLITTER
    upper: Floats = scaled - (scaled - x)
    return upper
