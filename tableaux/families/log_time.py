"""Integrals of polynomials in log t over a step, for methods that interpolate in logarithmic time.

Of a clock ``t`` in which the drift is integrated, ``t = e^l``: the mean over a step of a polynomial in l
is that of a polynomial in ``s = (l - l_n) / (l_(n+1) - l_n)`` with the weight ``e^l``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy

from tableaux.relative import log_step

__all__ = ["earlier", "means", "polynomial_weights"]


def means(count: int, relative: Any, log: Any = None) -> list[Any]:
    """Means of 1, s, s^2, ... over a step from t to ``t (1 + relative)``; 1/(k + 1) for small steps.

    `log` is ``log(1 + relative)``, where a simpler form of it is known.
    """
    log = sympy.log(1 + relative) if log is None else log
    found = [sympy.Integer(1)]
    for power in range(1, count):
        found.append((1 + relative) / relative - power * found[-1] / log)
    return found


def earlier(back: int) -> Any:
    """s at the beginning of the step that many steps before: 0, and then negative."""
    return -sum((log_step(i) for i in range(1, back + 1)), sympy.Integer(0)) / log_step()


def polynomial_weights(points: Sequence[Any], moments: Sequence[Any]) -> tuple[Any, ...]:
    """Weights of the values at points, for the mean of the polynomial through them.

    Examples
    --------
    >>> third = [sympy.Rational(1, k) for k in (1, 2, 3)]
    >>> polynomial_weights([0, sympy.Rational(1, 2), 1], third)
    (1/6, 2/3, 1/6)
    """
    found = []
    for i, here in enumerate(points):
        coefficients = [
            sympy.Integer(1)
        ]  # of the Lagrange polynomial of this point, the lowest first
        for j, there in enumerate(points):
            if j != i:
                scaled = [c / (here - there) for c in coefficients]
                shifted = [sympy.Integer(0), *scaled]
                coefficients = [b - there * a for a, b in zip([*scaled, 0], shifted)]
        found.append(sum(c * m for c, m in zip(coefficients, moments)))
    return tuple(found)
