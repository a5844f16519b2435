r"""Entries that depend on the size of a step relative to the time at which it begins.

In a clock with a natural origin, such as the noise clock of a reverse diffusion, published methods take
their steps in logarithmic time.  The step of log t is a function of ``w = h / t_n`` alone (`h_t` in entries),
``log(t_(n+1)/t_n) = log(1 + w)``, and that of the step before one of w and the step ratio,
``log(t_n/t_(n-1)) = -log(1 - w/r)``.  So w in an entry says all that such a method needs to know.

For the order, t is fixed and h tends to 0: an entry is its Taylor series in ``w = h/t``, of which
the k-th term lifts the order of a weight by k.  The factor ``t^-k`` is arbitrary, so that the terms of
each k have to satisfy conditions of their own.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy

from tableaux.errors import TableauError
from tableaux.jets import DEGREE
from tableaux.tableau import RELATIVE_STEP, STEP_RATIOS, STEP_SYMBOLS, Tableau
from tableaux.taylor import taylor_polynomial

__all__ = ["in_last_step", "in_step", "log_step", "log_step_ratio"]


def log_step(back: int = 0) -> Any:
    """The step of log t: that of this step, or of one some steps before.

    Examples
    --------
    >>> [log_step(back) for back in range(2)]
    [log(h_t + 1), -log(-h_t/r + 1)]
    """
    if back > len(STEP_RATIOS):
        raise TableauError(f"entries know of {len(STEP_RATIOS)} earlier steps, not of {back}")
    begin, size = sympy.Integer(1), RELATIVE_STEP  # in units of t
    for ratio in STEP_RATIOS[:back]:
        size = size / ratio
        begin = begin - size
    end = begin + size
    return -sympy.log(begin) if end == 1 else sympy.log(end / begin)


def log_step_ratio(back: int = 0) -> Any:
    """The ratio of a step of log t to the step before it."""
    return log_step(back) / log_step(back + 1)


@lru_cache(maxsize=4096)
def in_step(entry: Any, back: int, ratios: tuple[Fraction, ...]) -> Any:
    """An entry in a step `back` steps before the last one, as a polynomial in the w of the last.

    `ratios` are those of each step to the one before, the last step first; the last one holds for
    the rest.

    Raises
    ------
    TableauError
        If it has no Taylor series in w, and so no limit for small steps.

    Examples
    --------
    >>> in_step(log_step_ratio(), 0, (Fraction(1),)), in_step(RELATIVE_STEP, 1, (Fraction(4),))
    (-5*h_t**3/12 + h_t**2/2 - h_t + 1, h_t**3/64 + h_t**2/16 + h_t/4)
    """
    known = [sympy.Rational(r.numerator, r.denominator) for r in ratios]

    def ratio(steps: int) -> Any:
        return known[min(steps, len(known) - 1)]

    w = RELATIVE_STEP
    here = w
    for steps in range(back):
        # With t and h of this step, those of the one before are t - h/r and h/r.
        here = here / (ratio(steps) - here)
    values = {r: ratio(back + i) for i, r in enumerate(STEP_RATIOS)}
    if w in entry.free_symbols:
        return taylor_polynomial(entry, w, DEGREE, {**values, w: here})
    return entry if entry.free_symbols.isdisjoint(STEP_RATIOS) else entry.subs(values)


@lru_cache(maxsize=256)
def in_last_step(tableau: Tableau, ratios: tuple[Fraction, ...]) -> Tableau:
    """A tableau whose entries are numbers, or polynomials in w, but for the symbols of a family."""
    if tableau.free_symbols.isdisjoint(STEP_SYMBOLS):
        return tableau
    return tableau.mapped(lambda entry: in_step(entry, 0, ratios))
