"""From order conditions back to methods: solve a family for its free symbols, choose the rest.

:func:`entry_conditions` turns a tableau with free symbols into polynomial equations in them, by
the same prover that judges finished tableaux.  :func:`solve` eliminates what is linear, then
leaves the rest to sympy; it returns every branch that it finds, each with the symbols that stay
free.  :func:`optimise` chooses those by an objective, such as :func:`principal_norm`, and rounds
them to simple fractions: since the conditions hold identically on a branch, rounding costs no
order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import sympy
from scipy.optimize import minimize

from tableaux.errors import TableauError
from tableaux.prover import HALF, Prover
from tableaux.tableau import Tableau
from tableaux.verdict import principal_errors

__all__ = ["Solution", "entry_conditions", "optimise", "principal_norm", "solve"]


@lru_cache(maxsize=128)
def entry_conditions(
    family: Tableau,
    kind: str,
    order: Fraction,
    noise: str | None = None,
    channels: int | None = 2,
    autonomous: bool = False,
    ratios: Sequence[Fraction] = (Fraction(1),),
) -> tuple[sympy.Expr, ...]:
    """Polynomials in the free symbols of a family that must vanish for an order.

    Parameters
    ----------
    family : Tableau
        With free symbols in its entries; it may already satisfy some conditions.
    kind : {"strong", "weak", "deterministic"}
    order : Fraction
    noise : str, optional
        By default the family's own class.
    channels : int or None
        Bound on the number of channels in one condition.
    autonomous : bool
        Leave out the conditions of problems with explicit time.
    ratios : sequence of Fraction
        For families with memory: ratios of a step to the one before, the last step first, as one of
        those in `tableaux.order`.
    """
    name = family.noise if noise is None else noise
    prover = Prover(family, name, autonomous=autonomous, channels=channels, ratios=tuple(ratios))
    found: dict[sympy.Expr, None] = {}

    def note(residual: sympy.Expr) -> None:
        numerator = sympy.expand(sympy.fraction(sympy.together(residual))[0])
        if numerator != 0 and -numerator not in found:
            found[numerator] = None

    order = Fraction(order)
    if kind == "strong":
        for halves in range(1, int(2 * order) + 1):
            for _, difference in prover.square_differences(Fraction(halves, 2)):
                for coefficient in difference.terms.values():
                    note(coefficient)
        for failure, _ in prover.mean_failures(order + HALF, "mean"):
            note(failure.residual)
    elif kind == "weak":
        for halves in range(1, int(2 * order) + 2):
            for failure, _ in prover.mean_failures(Fraction(halves, 2), "weak"):
                note(failure.residual)
    else:
        raise TableauError(f"kind of order {kind!r}: choose 'strong' or 'weak'")
    return tuple(found)


@dataclass(frozen=True)
class Solution:
    """One branch of solutions.

    Attributes
    ----------
    family : Tableau
        The family with the solved symbols replaced; it satisfies the conditions identically.
    values : dict of symbol to expression in the free symbols
    free : tuple of symbol
        What may still be chosen.
    """

    family: Tableau
    values: Mapping[sympy.Symbol, sympy.Expr]
    free: tuple[sympy.Symbol, ...]

    def member(self, choice: Mapping[str, object], name: str) -> Tableau:
        """The method for a choice of the free symbols."""
        return self.family.substitute(choice, name=name)

    def __str__(self) -> str:
        lines = [f"{symbol} = {value}" for symbol, value in sorted(self.values.items(), key=str)]
        lines.append(f"free: {', '.join(map(str, self.free)) or 'nothing'}")
        return "\n".join(lines)


def solve(
    family: Tableau,
    conditions: Sequence[sympy.Expr],
    *,
    prefer: Sequence[str] = (),
    keep: Sequence[str] = (),
    generic: bool = False,
) -> tuple[Solution, ...]:
    """Solve polynomial conditions for the free symbols of a family.

    Parameters
    ----------
    family : Tableau
    conditions : sequence of polynomials that must vanish
        See :func:`entry_conditions`.
    prefer : sequence of str
        Symbols to eliminate first.
    keep : sequence of str
        Symbols to leave free where possible.
    generic : bool
        Leave out branches on which something that is divided by vanishes: much quicker.

    Returns
    -------
    tuple of Solution
        Real branches; empty if sympy finds none, which is no proof that there is none unless the
        conditions became contradictory by linear elimination alone.
    """
    search = _Search(
        [sympy.Symbol(name) for name in prefer],
        frozenset(sympy.Symbol(name) for name in keep),
        generic,
    )
    found: list[Solution] = []
    for values in search.branches(conditions, {}, ()):
        table = {s: sympy.cancel(v) for s, v in values.items()}
        used = {s: v for s, v in table.items() if s in family.free_symbols}
        member = family.substitute({s.name: v for s, v in used.items()})
        free = tuple(sorted(member.free_symbols, key=str))
        found.append(Solution(member, used, free))
    return tuple(found)


Values = dict[sympy.Symbol, sympy.Expr]


@lru_cache(maxsize=4096)
def _numerator(equation: sympy.Expr) -> sympy.Expr:
    return sympy.expand(sympy.fraction(sympy.cancel(equation))[0])


@lru_cache(maxsize=4096)
def _factors(equation: sympy.Expr) -> tuple[sympy.Expr, ...]:
    return tuple(f for f, _ in sympy.factor_list(equation)[1] if f.free_symbols)


@dataclass(frozen=True)
class _Search:
    """Depth-first: factor, eliminate a linear symbol, branch where a factor or a root has a
    choice.
    """

    first: Sequence[sympy.Symbol]
    kept: frozenset[sympy.Symbol]
    generic: bool

    def branches(
        self, equations: Sequence[sympy.Expr], values: Values, nonzero: Sequence[sympy.Expr]
    ) -> list[Values]:
        """All branches on which the equations hold and nothing that was divided by vanishes."""
        todo: list[sympy.Expr] = []
        for equation in equations:
            numerator = _numerator(equation)
            if numerator != 0 and not numerator.free_symbols:
                return []
            if numerator != 0 and numerator not in todo:
                todo.append(numerator)
        if not todo:
            return [values]
        todo.sort(key=lambda e: (len(sympy.Add.make_args(e)), str(e)))
        for index, equation in enumerate(todo):
            # What was divided by cannot vanish; it occurs with either sign.
            factors = [f for f in _factors(equation) if f not in nonzero and -f not in nonzero]
            if not factors:
                return []
            if len(factors) > 1:
                rest = todo[:index] + todo[index + 1 :]
                found = []
                for factor in factors:
                    found += self.branches([factor, *rest], values, nonzero)
                return _distinct(found)
            todo[index] = factors[0]
        for constant_only in (True, False):
            for equation in todo:
                for symbol in sorted(equation.free_symbols, key=self._rank):
                    polynomial = sympy.Poly(equation, symbol)
                    slope = polynomial.coeff_monomial(symbol)
                    if polynomial.degree() != 1:
                        continue
                    if constant_only and (slope.free_symbols or symbol in self.kept):
                        continue
                    return self._eliminate(todo, equation, symbol, values, nonzero)
        equation = todo[0]
        symbol = min(equation.free_symbols, key=self._rank)
        found = []
        for root in sympy.roots(sympy.Poly(equation, symbol)):
            if root.is_real is not False:
                found += self._substituted(todo[1:], symbol, root, values, nonzero)
        return _distinct(found)

    def _rank(self, symbol: sympy.Symbol) -> tuple[bool, int, str]:
        place = self.first.index(symbol) if symbol in self.first else len(self.first)
        return symbol in self.kept, place, str(symbol)

    def _eliminate(
        self,
        todo: Sequence[sympy.Expr],
        equation: sympy.Expr,
        symbol: sympy.Symbol,
        values: Values,
        nonzero: Sequence[sympy.Expr],
    ) -> list[Values]:
        polynomial = sympy.Poly(equation, symbol)
        slope, constant = polynomial.coeff_monomial(symbol), polynomial.coeff_monomial(1)
        rest = [other for other in todo if other is not equation]
        value = sympy.cancel(-constant / slope)
        if not slope.free_symbols:
            return self._substituted(rest, symbol, value, values, nonzero)
        found = self._substituted(rest, symbol, value, values, [*nonzero, slope])
        if self.generic:
            return found
        # Where the slope vanishes the symbol drops out: a branch of its own.
        found += self.branches([slope, constant, *rest], values, nonzero)
        return _distinct(found)

    def _substituted(
        self,
        rest: Sequence[sympy.Expr],
        symbol: sympy.Symbol,
        value: sympy.Expr,
        values: Values,
        nonzero: Sequence[sympy.Expr],
    ) -> list[Values]:
        still = [sympy.cancel(n.subs(symbol, value)) for n in nonzero]
        if any(n == 0 for n in still):
            return []
        updated = {
            s: sympy.cancel(v.subs(symbol, value)) if symbol in v.free_symbols else v
            for s, v in values.items()
        }
        updated[symbol] = value
        moved = [e.subs(symbol, value) if symbol in e.free_symbols else e for e in rest]
        return self.branches(moved, updated, still)


def _distinct(
    branches: list[dict[sympy.Symbol, sympy.Expr]],
) -> list[dict[sympy.Symbol, sympy.Expr]]:
    found: list[dict[sympy.Symbol, sympy.Expr]] = []
    for branch in branches:
        if branch not in found:
            found.append(branch)
    return found


def principal_norm(
    tableau: Tableau, kind: str, *, noise: str | None = None, channels: int = 1
) -> float:
    """The norm of the leading local error terms, as an objective; see `principal_errors`."""
    for error in principal_errors(tableau, noise=noise, channels=channels):
        if error.kind == kind:
            return float(error.norm)
    raise TableauError(
        f"tableau {tableau.name!r} has no {kind} order, so no principal {kind} error"
    )


def optimise(
    solution: Solution,
    objective: Callable[[Tableau], float],
    start: Mapping[str, float],
    *,
    denominator: int = 24,
    evaluations: int = 150,
    name: str = "designed",
) -> Tableau:
    """Choose the free symbols of a branch so as to make an objective small.

    Parameters
    ----------
    solution : Solution
    objective : callable
        Of a finished tableau; it is evaluated on nearby fractions, exactly.
    start : mapping of free symbol to number
        Symbols that are left out take no part and must not occur.
    denominator : int
        The largest denominator of the values that are returned.
    evaluations : int
        Bound on the number of evaluations.

    Returns
    -------
    Tableau
        The best member among the rounded points that the search has met.
    """
    names = list(start)
    best: list[tuple[float, Tableau]] = []
    seen: dict[tuple[Fraction, ...], float] = {}

    def at(point: Sequence[float]) -> float:
        rounded = tuple(Fraction(float(x)).limit_denominator(denominator) for x in point)
        if rounded not in seen:
            try:
                member = solution.member(dict(zip(names, rounded)), name)
                value = objective(member)
            except (TableauError, ZeroDivisionError):  # a pole of the parametrisation
                seen[rounded] = float("inf")
                return float("inf")
            seen[rounded] = value
            if not best or value < best[0][0]:
                best[:] = [(value, member)]
        return seen[rounded]

    minimize(
        at,
        [float(start[n]) for n in names],
        method="Nelder-Mead",
        options={
            "maxfev": evaluations,
            "xatol": 0.5 / denominator,
            "initial_simplex": _simplex([float(start[n]) for n in names]),
        },
    )
    if not best:
        raise TableauError("no point of the search gave a method: start elsewhere")
    return best[0][1]


def _simplex(start: Sequence[float]) -> list[list[float]]:
    corners = [list(start)]
    for i in range(len(start)):
        corner = list(start)
        corner[i] += 0.25
        corners.append(corner)
    return corners
