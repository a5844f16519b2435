"""Truncated polynomials in w whose coefficients are sums of square roots of integers.

The entries of methods that depend on ``w = h/t`` live here, for the proof.  sympy's polynomials over a
field of roots do the same at some fifty times the cost, and keep powers that no proof looks at.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import gcd
from typing import Any

import sympy
from sympy.polys.domains.domain import Domain

from tableaux.errors import TableauError
from tableaux.tableau import RELATIVE_STEP

__all__ = ["DEGREE", "Jet", "Jets"]

#: Higher powers of w are left out, so that no order above this one can be proved, nor one above the
#: next without noise.
DEGREE = 3

#: Power of w and square-free integer under the root.
Key = tuple[int, int]


class Jet:
    """``sum of a w^k sqrt(m)`` over keys (k, m), k up to `DEGREE`."""

    __slots__ = ("terms",)

    def __init__(self, terms: Mapping[Key, Fraction]) -> None:
        self.terms = {key: value for key, value in terms.items() if value}

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __add__(self, other: Any) -> Jet:
        terms = dict(self.terms)
        for key, value in _terms(other).items():
            terms[key] = terms.get(key, 0) + value
        return Jet(terms)

    __radd__ = __add__

    def __neg__(self) -> Jet:
        return Jet({key: -value for key, value in self.terms.items()})

    def __sub__(self, other: Any) -> Jet:
        return self + -Jet(_terms(other))

    def __mul__(self, other: Any) -> Jet:
        terms: dict[Key, Fraction] = {}
        for (j, n), b in _terms(other).items():
            for (i, m), a in self.terms.items():
                if i + j <= DEGREE:
                    common = gcd(m, n)
                    key = (i + j, m * n // common**2)
                    terms[key] = terms.get(key, Fraction(0)) + a * b * common
        return Jet(terms)

    __rmul__ = __mul__

    def of_power(self, power: int) -> Jet:
        """The coefficient of a power of w."""
        return Jet({(0, m): value for (k, m), value in self.terms.items() if k == power})

    def up_to(self, degree: int) -> Jet:
        """Without the powers of w above a degree."""
        return Jet({key: value for key, value in self.terms.items() if key[0] <= degree})

    def _sympy_(self) -> Any:
        parts = (
            sympy.Rational(a.numerator, a.denominator) * RELATIVE_STEP**k * sympy.sqrt(m)
            for (k, m), a in self.terms.items()
        )
        return sum(parts, sympy.Integer(0))


def _terms(value: Any) -> Mapping[Key, Fraction]:
    return value.terms if isinstance(value, Jet) else {(0, 1): Fraction(value)}


class Jets(Domain):  # type: ignore[misc]
    """The domain of jets, with what the proofs and sympy's polynomials over it ask of a domain.

    Examples
    --------
    >>> jets = Jets()
    >>> root = jets.from_sympy(sympy.sqrt(12) + RELATIVE_STEP)
    >>> jets.to_sympy(root * root)
    h_t**2 + 4*sqrt(3)*h_t + 12
    """

    zero = Jet({})
    one = Jet({(0, 1): Fraction(1)})
    dtype = Jet
    rep = "jets"
    is_Exact = True

    def __init__(self) -> None:
        pass

    def __hash__(self) -> int:
        return hash(self.rep)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Jets)

    def convert(self, number: Any, base: Any = None) -> Jet:
        """A rational number as a jet."""
        if isinstance(number, Jet):
            return number
        if isinstance(number, int):
            return Jet({(0, 1): Fraction(number)})
        return Jet({(0, 1): Fraction(int(number.p), int(number.q))})

    def from_sympy(self, entry: Any) -> Jet:
        """A polynomial in w as a jet.

        Raises
        ------
        TableauError
            If a coefficient is no sum of square roots of rational numbers.
        """
        terms: dict[Key, Fraction] = {}
        for part in sympy.Add.make_args(sympy.expand(entry)) if entry else ():
            factor, power = part.as_independent(RELATIVE_STEP, as_Add=False)
            number, root = factor.as_coeff_Mul()
            square = root**2
            degree = sympy.degree(power, RELATIVE_STEP) if power != 1 else 0
            if not (number.is_Rational and square.is_Rational and square > 0):
                raise TableauError(f"{entry} is no polynomial in h_t with square roots")
            # sqrt(p/q) = sqrt(p q)/q, less the squares in p q
            whole, rest = sympy.sqrt(square.p * square.q).as_coeff_Mul()
            key = (int(degree), int(rest**2))
            value = Fraction(int(number.p), int(number.q)) * Fraction(int(whole), int(square.q))
            terms[key] = terms.get(key, Fraction(0)) + value
        return Jet({key: value for key, value in terms.items() if key[0] <= DEGREE})

    def to_sympy(self, jet: Jet | Fraction) -> Any:
        """A jet as an expression."""
        return Jet(_terms(jet))._sympy_()
