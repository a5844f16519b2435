"""Which of the equations between formal scalars are independent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import sympy

from tableaux.formal import Monomial, Scalar
from tableaux.rooted_trees import Forest

__all__ = ["Equation", "RawCondition", "independent_ones", "row_reduced"]

Equation = dict[Monomial, Fraction]
"""A polynomial in formal scalars that must vanish; the empty monomial is the constant."""


@dataclass(frozen=True)
class RawCondition:
    """An equation, and the tree or forest that it comes from.

    Attributes
    ----------
    kind : {"mean square", "mean", "weak"}
    forest : Forest
    order : Fraction
    equation : dict of monomial to Fraction
    """

    kind: str
    forest: Forest
    order: Fraction
    equation: Equation


def independent_ones(raws: Sequence[RawCondition]) -> list[RawCondition]:
    """Those that do not follow from the others, simplified by them."""
    return _Elimination().run(raws)


def row_reduced(rows: Iterable[Equation]) -> Iterator[Equation]:
    """Linear equations in formal scalars, row reduced."""
    pivots: list[tuple[Monomial, Equation]] = []
    for given in rows:
        row = {m: w for m, w in given.items() if w}
        for monomial, other in pivots:
            if monomial in row:
                row = _combined(row, other, -row[monomial])
        if not row:
            continue
        pivot = min((m for m in row if m), key=repr, default=None)
        if pivot is None:
            yield row  # 1 = 0: the family cannot have this order
            return
        row = {m: w / row[pivot] for m, w in row.items()}
        pivots = [
            (m, _combined(other, row, -other[pivot]) if pivot in other else other)
            for m, other in pivots
        ]
        pivots.append((pivot, row))
    for _, row in pivots:
        yield row


def _combined(left: Equation, right: Equation, factor: Fraction) -> Equation:
    found = dict(left)
    for monomial, weight in right.items():
        value = found.get(monomial, Fraction(0)) + factor * weight
        if value:
            found[monomial] = value
        else:
            found.pop(monomial, None)
    return found


class _Elimination:
    """Which equations are independent.

    Almost every condition determines one new scalar linearly once those of lower order are known;
    the few that do not are squares such as ``(beta1^T e)^2 = 1``.  So: solve for a scalar where an
    equation is linear in it with an invertible coefficient, and adopt a square only when nothing
    linear is left.
    """

    def __init__(self) -> None:
        self.values: dict[Scalar, Equation] = {}
        self.squares: dict[Scalar, Fraction] = {}

    def run(self, raws: Sequence[RawCondition]) -> list[RawCondition]:
        kept: list[RawCondition] = []
        waiting = sorted(
            raws, key=lambda raw: (raw.order, _degree(raw.equation), len(raw.equation))
        )
        while waiting:
            later: list[RawCondition] = []
            progress = False
            for raw in waiting:
                equation = self._plain(self.reduced(raw.equation))
                if not equation:
                    continue
                reduced = replace(raw, equation=equation)
                if self._solve(equation):
                    kept.append(reduced)
                    progress = True
                else:
                    later.append(reduced)
            waiting = later
            if not progress and waiting:
                waiting.sort(key=lambda raw: (_degree(raw.equation), len(raw.equation)))
                index = next(
                    (i for i, raw in enumerate(waiting) if self._adopt(raw.equation)), None
                )
                if index is None:
                    kept.extend(_outside_ideal(waiting))
                    break
                kept.append(waiting.pop(index))
        return kept

    def reduced(self, equation: Equation) -> Equation:
        """Known scalars replaced by their values, squares by their constants."""
        found: Equation = {}
        for monomial, weight in equation.items():
            terms: Equation = {(): weight}
            for scalar in monomial:
                value = self.values.get(scalar)
                factor: Equation = {(scalar,): Fraction(1)} if value is None else value
                terms = self._multiplied(terms, factor)
            found = _combined(found, terms, Fraction(1))
        return found

    def _plain(self, equation: Equation) -> Equation:
        """A product that vanishes, without the factors that cannot."""
        if len(equation) != 1:
            return equation
        ((monomial, weight),) = equation.items()
        rest = [scalar for scalar in monomial if scalar not in self.squares]
        if len(set(rest)) == 1:
            rest = rest[:1]
        return {tuple(rest): weight}

    def _multiplied(self, left: Equation, right: Equation) -> Equation:
        found: Equation = {}
        for u, a in left.items():
            for v, b in right.items():
                weight = a * b
                counts = Counter(u + v)
                for scalar, square in self.squares.items():
                    while counts.get(scalar, 0) > 1:
                        counts[scalar] -= 2
                        weight *= square
                key = tuple(sorted(counts.elements(), key=repr))
                found[key] = found.get(key, Fraction(0)) + weight
        return {m: w for m, w in found.items() if w}

    def _solve(self, equation: Equation) -> bool:
        linear: dict[Scalar, list[tuple[Monomial, Fraction]]] = {}
        nonlinear: set[Scalar] = set()
        for monomial, weight in equation.items():
            unknown_ = [s for s in monomial if s not in self.squares]
            if len(unknown_) == 1:
                rest = tuple(s for s in monomial if s in self.squares)
                linear.setdefault(unknown_[0], []).append((rest, weight))
            else:
                nonlinear.update(unknown_)
        for scalar, coefficients in sorted(linear.items(), key=lambda item: -len(repr(item[0]))):
            if scalar in nonlinear or len(coefficients) != 1:
                continue
            units, weight = coefficients[0]
            # The inverse of a square root s of c is s / c.
            inverse: Equation = {units: Fraction(-1) / weight}
            for unit in units:
                inverse = {m: w / self.squares[unit] for m, w in inverse.items()}
            others = {
                m: w
                for m, w in equation.items()
                if [s for s in m if s not in self.squares] != [scalar]
            }
            value = self._multiplied(others, inverse)
            self.values[scalar] = value
            self.values = {
                s: self.reduced(v) if any(scalar in m for m in v) else v
                for s, v in self.values.items()
            }
            return True
        return False

    def _adopt(self, equation: Equation) -> bool:
        monomials = [m for m in equation if m]
        constant = equation.get((), Fraction(0))
        if len(monomials) == 1 and constant:
            monomial = monomials[0]
            if len(monomial) == 2 and monomial[0] == monomial[1]:
                square = -constant / equation[monomial]
                if square > 0:
                    self.squares[monomial[0]] = square
                    return True
        return False


def _outside_ideal(raws: Sequence[RawCondition]) -> list[RawCondition]:
    """Those equations that do not follow from the ones before them, by polynomial division.

    Where nothing is linear, as in the weak conditions of a family whose noise weights enter only
    through their mean squares, elimination stops; a Groebner basis of so few equations is quick.
    """
    scalars = sorted({s for raw in raws for m in raw.equation for s in m}, key=repr)
    symbols = {scalar: sympy.Symbol(f"x{i}") for i, scalar in enumerate(scalars)}
    kept: list[RawCondition] = []
    polynomials: list[sympy.Expr] = []
    basis: sympy.GroebnerBasis | None = None
    for raw in raws:
        if set(raw.equation) == {()}:  # 1 = 0: no member of the family has this order
            kept.append(raw)
            continue
        polynomial = sympy.Add(
            *(
                sympy.Rational(w.numerator, w.denominator) * sympy.Mul(*(symbols[s] for s in m))
                for m, w in raw.equation.items()
            )
        )
        if basis is not None and basis.contains(polynomial):
            continue
        kept.append(raw)
        polynomials.append(polynomial)
        basis = sympy.groebner(polynomials, *symbols.values(), order="grevlex")
    return kept


def _degree(equation: Equation) -> int:
    return max((len(monomial) for monomial in equation), default=0)
