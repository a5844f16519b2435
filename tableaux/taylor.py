"""Taylor polynomials of arithmetic expressions, by arithmetic on truncated power series.

sympy's own ``series`` does the same thing, for the entries of multistep methods in some seconds each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy

from tableaux.errors import TableauError

__all__ = ["taylor_polynomial"]

#: Leading terms that may cancel, such as poles, without a loss of those that are asked for.
_GUARD = 5


@dataclass(frozen=True)
class _Series:
    """``x^low (terms[0] + terms[1] x + ...)`` up to the number of terms; the first one is not 0.

    Terms are fractions wherever they are rational, which are much quicker than sympy's numbers.
    """

    low: int
    terms: tuple[Any, ...]

    def __add__(self, other: _Series) -> _Series:
        low = min(self.low, other.low)
        stop = min(self.low + len(self.terms), other.low + len(other.terms))
        return _stripped(low, [self.at(n) + other.at(n) for n in range(low, stop)])

    def at(self, power: int) -> Any:
        """The coefficient of a power below the truncation."""
        return self.terms[power - self.low] if power >= self.low else Fraction(0)

    def __mul__(self, other: _Series) -> _Series:
        count = min(len(self.terms), len(other.terms))
        products: list[Any] = [Fraction(0)] * count
        there = [(j, term) for j, term in enumerate(other.terms[:count]) if term]
        for i, own in enumerate(self.terms[:count]):
            if own:
                for j, term in there:
                    if i + j < count:
                        products[i + j] += own * term
        return _stripped(self.low + other.low, products)

    def power(self, exponent: Any) -> _Series:
        """By the recurrence that ``y' a = p y a'`` gives for ``y = a^p``."""
        if not self.terms:
            raise TableauError(f"0^({exponent}) is no power series")
        low = exponent * self.low
        lead = self.terms[0]
        p = Fraction(int(exponent.p), int(exponent.q))
        found = [_number(sympy.sympify(lead) ** exponent)]
        for n in range(1, len(self.terms)):
            total = sum(
                ((p * i - (n - i)) * self.terms[i] * found[n - i] for i in range(1, n + 1)),
                Fraction(0),
            )
            found.append(_number(total / (n * lead)))
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


def _number(term: Any) -> Any:
    if isinstance(term, Fraction):
        return term
    term = sympy.expand(term)
    return Fraction(int(term.p), int(term.q)) if term.is_Rational else term


def _stripped(low: int, terms: list[Any]) -> _Series:
    terms = [_number(term) for term in terms]
    while terms and terms[0] == 0:
        terms = terms[1:]
        low += 1
    return _Series(low, tuple(terms))


class _Expansion:
    """The series of expressions; entries of a method have most of their factors in common."""

    def __init__(self, x: Any, count: int, values: tuple[tuple[Any, Any], ...]) -> None:
        self.count = count
        line = _Series(1, (Fraction(1), *(Fraction(0),) * (count - 1)))
        self.known: dict[Any, _Series] = {x: line}
        # What symbols stand for is itself in terms of x.
        given = {symbol: self.series(value) for symbol, value in values}
        self.known = {x: line, **given}

    def series(self, part: Any) -> _Series:
        found = self.known.get(part)
        if found is None:
            found = self.known[part] = self._made(part)
        return found

    def _made(self, part: Any) -> _Series:
        if part.is_Add or part.is_Mul:
            pieces = [self.series(piece) for piece in part.args]
            total = pieces[0]
            for piece in pieces[1:]:
                total = total + piece if part.is_Add else total * piece
            return total
        if self.known.keys().isdisjoint(part.free_symbols):
            return _stripped(0, [part, *[Fraction(0)] * (self.count - 1)])
        if part.is_Pow and part.exp.is_Rational:
            return self.series(part.base).power(part.exp)
        if isinstance(part, sympy.log):
            return self.series(part.args[0]).log()
        raise TableauError(f"{part} has no power series here")


@lru_cache(maxsize=64)
def _expansion(x: Any, count: int, values: tuple[tuple[Any, Any], ...]) -> _Expansion:
    return _Expansion(x, count, values)


def taylor_polynomial(
    expression: Any, x: Any, degree: int, values: Mapping[Any, Any] | None = None
) -> Any:
    """The Taylor polynomial at 0 of sums, products, rational powers and logarithms.

    Parameters
    ----------
    expression : sympy.Expr
    x : sympy.Symbol
    degree : int
    values : mapping of sympy.Symbol to sympy.Expr, optional
        What symbols in the expression stand for, in terms of x; x may be one of them.

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
    known = tuple((values or {}).items())
    found = _expansion(x, degree + 1 + _GUARD, known).series(expression)
    if found.terms and (found.low < 0 or found.low + len(found.terms) <= degree):
        raise TableauError(f"{expression} has no Taylor series at {x} = 0 to the order needed")
    if not found.terms:
        return sympy.Integer(0)
    return sympy.expand(sum(found.at(n) * x**n for n in range(degree + 1)))
