"""Taylor polynomials of arithmetic expressions, by arithmetic on truncated power series.

sympy's own ``series`` does the same thing, for the entries of multistep methods in some seconds each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy

from tableaux.errors import TableauError

__all__ = ["taylor_polynomial"]

#: Leading terms that may cancel, such as poles, without a loss of those that are asked for.
_GUARD = 5


@dataclass(frozen=True)
class _Series:
    """``x^low (terms[0] + terms[1] x + ...)`` up to the number of terms; the first one is not 0."""

    low: int
    terms: tuple[Any, ...]

    def __add__(self, other: _Series) -> _Series:
        low = min(self.low, other.low)
        stop = min(self.low + len(self.terms), other.low + len(other.terms))
        return _stripped(low, [self.at(n) + other.at(n) for n in range(low, stop)])

    def at(self, power: int) -> Any:
        """The coefficient of a power below the truncation."""
        return self.terms[power - self.low] if power >= self.low else sympy.Integer(0)

    def __mul__(self, other: _Series) -> _Series:
        count = min(len(self.terms), len(other.terms))
        products = [
            sum((self.terms[i] * other.terms[n - i] for i in range(n + 1)), sympy.Integer(0))
            for n in range(count)
        ]
        return _stripped(self.low + other.low, products)

    def power(self, exponent: Any) -> _Series:
        """By the recurrence that ``y' a = p y a'`` gives for ``y = a^p``."""
        low = exponent * self.low
        lead = self.terms[0]
        found = [lead**exponent]
        for n in range(1, len(self.terms)):
            total = sum(
                (exponent * i - (n - i)) * self.terms[i] * found[n - i] for i in range(1, n + 1)
            )
            found.append(_collected(total / (n * lead)))
        if not low.is_Integer:
            raise TableauError(f"x^({low}) is no power series")
        return _Series(int(low), tuple(found))

    def log(self) -> _Series:
        """The logarithm of a series that begins with 1."""
        if self.low or self.terms[0] != 1:
            raise TableauError("only the logarithm of a series that begins with 1 is one")
        slope = [n * term for n, term in enumerate(self.terms)][1:]
        quotient = _stripped(0, slope) * self.power(sympy.Integer(-1))
        terms = [quotient.at(n) / (n + 1) for n in range(len(self.terms) - 1)]
        return _stripped(1, terms)


def _collected(term: Any) -> Any:
    return term if term.is_Rational else sympy.expand(term)


def _stripped(low: int, terms: list[Any]) -> _Series:
    terms = [_collected(term) for term in terms]
    while terms and terms[0] == 0:
        terms = terms[1:]
        low += 1
    return _Series(low, tuple(terms))


def taylor_polynomial(expression: Any, x: Any, degree: int) -> Any:
    """The Taylor polynomial at 0 of sums, products, rational powers and logarithms.

    Raises
    ------
    TableauError
        If there is none.

    Examples
    --------
    >>> x = sympy.Symbol("x")
    >>> taylor_polynomial(1 / x - 1 / sympy.log(1 + x), x, 2)
    -x**2/24 + x/12 - 1/2
    """
    count = degree + 1 + _GUARD
    known: dict[Any, _Series] = {}  # an expanded entry has the same factors in hundreds of terms

    def series(part: Any) -> _Series:
        if part not in known:
            known[part] = made(part)
        return known[part]

    def made(part: Any) -> _Series:
        if part == x:
            return _Series(1, (sympy.Integer(1), *(sympy.Integer(0),) * (count - 1)))
        if part.is_Add or part.is_Mul:
            pieces = [series(piece) for piece in part.args]
            total = pieces[0]
            for piece in pieces[1:]:
                total = total + piece if part.is_Add else total * piece
            return total
        if x not in part.free_symbols:
            return _stripped(0, [part, *[sympy.Integer(0)] * (count - 1)])
        if part.is_Pow and part.exp.is_Rational:
            return series(part.base).power(part.exp)
        if isinstance(part, sympy.log):
            return series(part.args[0]).log()
        raise TableauError(f"{part} has no power series here")

    found = series(expression)
    if found.terms and (found.low < 0 or found.low + len(found.terms) <= degree):
        raise TableauError(f"{expression} has no Taylor series at {x} = 0 to the order needed")
    if not found.terms:
        return sympy.Integer(0)
    return sympy.expand(sum(found.at(n) * x**n for n in range(degree + 1)))
