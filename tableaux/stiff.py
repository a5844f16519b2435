r"""The stiff order of exponential Runge-Kutta methods without noise.

The classical order says nothing about the size of L: an error term such as ``h^3 L N' N`` counts as
third order, however large L is. Hochbruck and Ostermann (SIAM J. Numer. Anal. 43, 2005) ask for
bounds that do not depend on L. With

.. math:: \psi_j = \varphi_j(z) - \sum_k b_k(z) \frac{c_k^{j-1}}{(j-1)!}, \qquad
          \psi_{j,i} = \varphi_j(c_i z) c_i^j - \sum_k a_{ik}(z) \frac{c_k^{j-1}}{(j-1)!}

and arbitrary operators J and K, the conditions are

1. psi_1 = 0
2. psi_2 = 0; psi_{1,i} = 0
3. psi_3 = 0; sum b_i J psi_{2,i} = 0
4. psi_4 = 0; sum b_i J psi_{3,i} = 0; sum b_i J sum a_ij J psi_{2,j} = 0; sum b_i c_i K psi_{2,i} = 0.

A method has stiff order p when those below p hold, and those of p with z = 0 in psi_p and the b_i
(their Theorem 4.7).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import factorial
from typing import Any

import sympy

from tableaux.errors import TableauError
from tableaux.phi import Term, coefficient, combination, phi
from tableaux.tableau import Tableau

__all__ = ["stiff_conditions", "stiff_order"]

_HIGHEST = 4

#: A sum of products of entries that do not commute: the phi functions in their order.
Product = dict[tuple[Term, ...], Any]


def stiff_order(tableau: Tableau) -> int:
    """The stiff order, 0 to 4, of an exponential method for problems without noise.

    Parameters
    ----------
    tableau : Tableau
        Exponential, with one block of drift stages; its noise is left out.

    Raises
    ------
    TableauError
        If it is no such method.

    Examples
    --------
    >>> from tableaux import catalogue
    >>> [stiff_order(catalogue[name]) for name in ("ETD2RK", "ETDRK4", "Krogstad")]
    [2, 2, 3]
    """
    method = _Method(tableau)
    reached = 0
    for p in range(1, _HIGHEST + 1):
        if any(method.conditions(p, weakened=True)):
            break
        reached = p
        if any(method.conditions(p, weakened=False)):
            break
    return reached


def stiff_conditions(family: Tableau, p: int) -> tuple[sympy.Expr, ...]:
    """What must vanish for a stiff order, in the free symbols of a family.

    Parameters
    ----------
    family : Tableau
        As of `stiff_order`, with free symbols in its entries.
    p : int
        The order, 1 to 4. All conditions up to p are meant without the exception of `z = 0` in
        those of order p, so that the error constant does not depend on L either.

    Returns
    -------
    tuple of sympy.Expr
        Polynomials.

    Examples
    --------
    >>> from tableaux import exponential_family
    >>> stiff_conditions(exponential_family(["0"], noise="none"), 1)
    (1 - b1_1, -b1_2)
    """
    if not 1 <= p <= _HIGHEST:
        raise TableauError(f"stiff order {p}: there are conditions for 1 to {_HIGHEST}")
    method = _Method(family)
    found = [c for q in range(1, p + 1) for c in method.conditions(q, weakened=False)]
    return tuple(dict.fromkeys(sympy.expand(condition) for condition in found))


class _Method:
    """The coefficients a(z), b(z), c of a method."""

    def __init__(self, tableau: Tableau) -> None:
        blocks = [block for block in tableau.blocks if block.colour == "drift"]
        plain = len(blocks) == 1 and blocks[0].replication == "once"
        within = [c for c in tableau.couplings if plain and c.source == c.target == blocks[0].name]
        outputs = [o for o in tableau.outputs if plain and o.source == blocks[0].name]
        labels = {part.label for several in (within, outputs) for part in several}
        if not (tableau.exponential and plain and labels == {"h"}):
            raise TableauError(
                f"tableau {tableau.name!r}: a stiff order is that of an exponential method with "
                "one block of drift stages"
            )
        self.c = blocks[0].nodes
        zero = sympy.Integer(0)
        self.a: Sequence[Sequence[Any]] = [[zero] * len(self.c)] * len(self.c)
        if within:
            self.a = within[0].matrix
        self.b: Sequence[Any] = outputs[0].weights

    def defect(self, j: int, weights: Sequence[Any], c: Any) -> Any:
        """psi_j of weights that lead to the node c."""
        parts = (w * node ** (j - 1) / factorial(j - 1) for w, node in zip(weights, self.c))
        return sympy.expand(phi(j, c) * c**j - sum(parts, sympy.Integer(0)))

    def conditions(self, p: int, weakened: bool) -> Iterable[Any]:
        """What must vanish for order p."""
        end = self.defect(p, self.b, sympy.Integer(1))
        yield from [coefficient(end, 0)] if weakened else _parts([(end,)])
        b = [coefficient(w, 0) for w in self.b] if weakened else self.b
        second = [self.defect(2, row, c) for row, c in zip(self.a, self.c)]
        if p == 2:
            for row, c in zip(self.a, self.c):
                yield from _parts([(self.defect(1, row, c),)])
        if p == 3:
            yield from _parts(zip(b, second))
        if p == 4:
            third = [self.defect(3, row, c) for row, c in zip(self.a, self.c)]
            yield from _parts(zip(b, third))
            yield from _parts(
                (w, a, psi) for w, row in zip(b, self.a) for a, psi in zip(row, second)
            )
            yield from _parts((w * c, psi) for w, c, psi in zip(b, self.c, second))


def _parts(products: Iterable[tuple[Any, ...]]) -> list[Any]:
    """What must vanish for a sum of products to vanish for all operators between their factors.

    phi functions of different k and c are linearly independent, so that each product of them has to
    vanish alone.
    """
    total: Product = {}
    for factors in products:
        terms: Product = {(): sympy.Integer(1)}
        for entry in factors:
            terms = {
                (*key, term): sympy.expand(value * factor)
                for key, value in terms.items()
                for term, factor in combination(entry).items()
            }
        for key, value in terms.items():
            total[key] = sympy.expand(total.get(key, 0) + value)
    return [value for value in total.values() if value != 0]
