r"""phi functions of z = h L as exact entries: the exponential tableaux.

An entry of a tableau for ``dX = (L X + N) dt + g dW`` is a number or a linear combination of

.. math:: \varphi_k(c z) = \int_0^1 e^{(1-s) c z} \frac{s^{k-1}}{(k-1)!}\,ds, \qquad
          \varphi_0(c z) = e^{c z}, \qquad z = h L,

with exact real c, written ``phi_k(c*z)``.  Products of two are refused.  Each that occurs in the
literature is a combination, such as ``phi_1(z/2)*(phi_0(z/2) - 1)/2 = phi_1(z) - phi_1(z/2)``: so
the engine computes each phi function once a step size, and only adds.
"""

from __future__ import annotations

from functools import lru_cache
from math import factorial
from typing import Any, ClassVar

import sympy

from tableaux.errors import TableauError

__all__ = ["HIGHEST", "PHIS", "Phi", "Z", "coefficient", "combination", "free_symbols", "phi"]

#: h L, the argument of phi functions.
Z = sympy.Symbol("z")


class Phi(sympy.Function):  # type: ignore[misc]
    """A phi function; at 0 it is a number."""

    degree: ClassVar[int]
    nargs = 1

    @classmethod
    def eval(cls, argument: Any) -> Any:
        return sympy.Rational(1, factorial(cls.degree)) if argument == 0 else None

    def _latex(self, printer: Any) -> str:
        return rf"\varphi_{{{self.degree}}}\left({printer._print(self.args[0])}\right)"


# Classes with names, so that an entry can be pickled.
class phi_0(Phi):
    degree = 0


class phi_1(Phi):
    degree = 1


class phi_2(Phi):
    degree = 2


class phi_3(Phi):
    degree = 3


class phi_4(Phi):
    degree = 4


PHIS: tuple[type[Phi], ...] = (phi_0, phi_1, phi_2, phi_3, phi_4)
HIGHEST = len(PHIS) - 1

#: (k, c) for phi_k(c z); None for what has no phi function.
Term = tuple[int, Any] | None


def phi(k: int, c: Any = 1) -> Any:
    """phi_k(c z) as an entry.

    Examples
    --------
    >>> phi(1) - phi(2, "1/2")
    phi_1(z) - phi_2(z/2)
    """
    if not 0 <= k <= HIGHEST:
        raise TableauError(f"phi_{k} was asked for; there are phi_0 to phi_{HIGHEST}")
    return PHIS[k](sympy.sympify(c) * Z)


@lru_cache(maxsize=4096)
def combination(entry: Any) -> dict[Term, Any]:
    """The coefficients of an entry by phi function; those without one under None.

    Raises
    ------
    TableauError
        If it is no linear combination of phi functions of multiples of z.
    """
    found: dict[Term, Any] = {}
    for part in sympy.Add.make_args(sympy.expand(entry)):
        functions = part.atoms(Phi)
        factor, key = part, None
        if functions:
            function = min(functions, key=str)
            factor, key = part / function, (function.degree, _multiple(function))
        if factor.has(Phi) or factor.has(Z):
            raise TableauError(
                f"{part} is no phi function times a number; an entry is a linear combination of "
                f"phi_0(c*z), ..., phi_{HIGHEST}(c*z)"
            )
        found[key] = found.get(key, 0) + factor
    return found


def _multiple(function: Any) -> Any:
    """c of phi_k(c z)."""
    c = sympy.expand(function.args[0] / Z)
    if c.free_symbols or c.has(Phi) or c.is_real is not True:
        raise TableauError(f"{function} has an argument that is no real multiple of z")
    return c


@lru_cache(maxsize=16384)
def coefficient(entry: Any, n: int) -> Any:
    """The coefficient of z^n in the expansion of an entry.

    Examples
    --------
    >>> [coefficient(phi(1, "1/2"), n) for n in range(3)]
    [1, 1/4, 1/24]
    """
    if not entry.has(Phi):
        return entry if n == 0 else sympy.Integer(0)
    total = sympy.Integer(0)
    for term, factor in combination(entry).items():
        if term is not None:
            total += factor * term[1] ** n / factorial(n + term[0])
        elif n == 0:
            total += factor
    return sympy.expand(total)


def free_symbols(entry: Any) -> frozenset[sympy.Symbol]:
    """Symbols of an entry other than the z in its phi functions."""
    if not entry.has(Phi):
        return frozenset(entry.free_symbols)
    return frozenset().union(*(factor.free_symbols for factor in combination(entry).values()))
