"""What the first steps of a method with memory leave of its order.

A first step is made once, so that its local error, half an order or an order higher than what it
would give if every step were like it, stays in the result as it is.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from tableaux.findings import Verdict

__all__ = ["left_of_order", "left_of_verdict"]

_HALF = Fraction(1, 2)
#: An order, and whether the search stopped there.
Found = tuple[Fraction, bool]


def left_of_order(found: Found, first: Found, gain: Fraction = Fraction(1)) -> Found:
    """The lower of an order and that of a first step's local error.

    Parameters
    ----------
    found, first : (Fraction, bool)
        Of a method and of the one of a first step: an order, and whether it may be higher.
    gain : Fraction
        By how much the local error's order is higher: 1, or 1/2 in mean square.
    """
    order, capped = found
    most, most_capped = first[0] + gain, first[1]
    if order > most:
        return most, most_capped
    return order, capped and (order < most or most_capped)


def left_of_verdict(found: Verdict, first: Verdict, name: str) -> Verdict:
    """A verdict with the orders that a first step leaves.

    Parameters
    ----------
    found, first : Verdict
        Of a method and of the one of a first step, in the same class.
    name : str
        Of the first step's method.
    """
    result = found
    # The size of a local error is half an order above the strong order, or one where only its mean
    # keeps that low.
    square = any(failure.kind == "mean square" for failure in first.failing)
    if found.strong is not None and first.strong is not None:
        own, start = (found.strong, found.strong_capped), (first.strong, first.strong_capped)
        strong, capped = left_of_order(own, start, _HALF if square else Fraction(1))
        result = replace(result, strong=strong, strong_capped=capped)
    if found.weak is not None and first.weak is not None:
        own, start = (found.weak, found.weak_capped), (first.weak, first.weak_capped)
        weak, capped = left_of_order(own, start)
        result = replace(result, weak=weak, weak_capped=capped)
    if (result.strong, result.weak) == (found.strong, found.weak):
        return result
    failing = tuple(dict.fromkeys((*first.failing, *found.failing)))
    note = f"the local error of a first step, {name!r}, is of no higher order and stays"
    return replace(result, failing=failing, note=note)
