r"""Stability on linear test equations, exact.

``dX = lambda X dt + mu X dW`` has ``E X_t^2 -> 0`` if and only if ``2 lambda + mu^2 < 0`` (Ito,
real coefficients; in the Stratonovich calculus ``2 lambda + 2 mu^2 < 0``).  A method applied to it
multiplies X by a random factor each step, and :func:`stability_function` is the mean square of that
factor, as a function of ``z = lambda h`` and ``k = mu sqrt(h)``: the method is stable where it is less
than 1.  All of this is rational arithmetic, so that "stable for every step size" is decided, not
sampled: :func:`is_mean_square_a_stable`, and without noise :func:`is_a_stable`, :func:`is_l_stable`.

Additive noise, ``dX = lambda X dt + sigma dW``, does not touch stability; there the question is how
much noise a stiff drift leaves: :func:`stationary_variance`.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from tableaux.blocks import Block
from tableaux.errors import TableauError
from tableaux.memory import Nothing
from tableaux.tableau import Tableau
from tableaux.variables import PRIMITIVES, variables
from tableaux.weights import Weights
from tableaux.words import Powers, monomial_mean

__all__ = [
    "K",
    "Z",
    "amplification",
    "decimal",
    "is_a_stable",
    "is_l_stable",
    "is_mean_square_a_stable",
    "is_stable",
    "stability_function",
    "stability_region",
    "stationary_variance",
]

Z = sympy.Symbol("z")
"""lambda h."""
K = sympy.Symbol("k")
"""mu sqrt(h); only its square occurs for methods with symmetric variables."""


@lru_cache(maxsize=256)
def growth_factor(tableau: Tableau) -> sympy.Expr:
    """The random factor of one step with a single channel, at h = 1, in primitives such as
    ``W_1``.
    """
    one, _ = _linear_step(tableau, False)
    return one


@lru_cache(maxsize=256)
def _linear_step(tableau: Tableau, additive: bool) -> tuple[sympy.Expr, sympy.Expr]:
    """Factor and summand of a step on ``dX = lambda X dt + mu X dW``, where there is no summand, or
    with `additive` on ``dX = lambda X dt + dW``, with a single channel and h = 1.
    """
    if any(block.remembers for block in tableau.blocks):
        raise TableauError(
            f"tableau {tableau.name!r}: with memory a step is no multiplication by one factor"
        )
    tableau = tableau.without_linear_part
    graph: Weights[Any, Any] = Weights(tableau, 1, Nothing())
    live = [block for block in tableau.blocks if block.replication != "pair"]
    index = {
        (block.name, s): i
        for i, (block, s) in enumerate((block, s) for block in live for s in range(block.stages))
    }
    size = len(index)
    # Row i: stage i = X + matrix[i] . stages + shift[i]; the last row is the new value.
    matrix = sympy.zeros(size + 1, size)
    shift = sympy.zeros(size + 1, 1)

    def enter(row: int, source: Block, j: int, term: sympy.Expr) -> None:
        if source.colour == "drift":
            matrix[row, index[source.name, j]] += Z * term
        elif additive:
            shift[row] += term
        else:
            matrix[row, index[source.name, j]] += K * term

    def where(block: Block) -> tuple[int, ...]:
        return () if block.replication == "once" else (1,)

    for coupling in tableau.couplings:
        target, source = tableau.block(coupling.target), tableau.block(coupling.source)
        if target.replication == "pair":
            continue
        colour = 0 if source.colour == "drift" else 1
        for _, label in graph.sources(source, coupling, colour, where(target)):
            for i, j, entry in coupling.entries():
                enter(index[target.name, i], source, j, entry * _label(coupling.label, label))
    for output in tableau.outputs:
        source = tableau.block(output.source)
        colour = 0 if source.colour == "drift" else 1
        for _, label in graph.sources(source, output, colour, None):
            for j, entry in output.entries():
                enter(size, source, j, entry * _label(output.label, label))
    inner, outer = matrix[:size, :], matrix[size, :]
    right = sympy.Matrix.hstack(sympy.ones(size, 1), shift[:size, :])
    if not tableau.implicit:
        # Nilpotent: substitute stage by stage rather than invert.
        values = right
        for _ in range(size):
            values = (right + inner * values).expand()
    else:
        values = (sympy.eye(size) - inner).LUsolve(right)
    factor, summand = outer * values
    return sympy.together(1 + factor), sympy.together(shift[size] + summand)


def _label(label: str, channels: tuple[int, ...]) -> sympy.Expr:
    total = sympy.Integer(0)
    for coefficient, _, monomial in variables[label].terms(*(channels or (1, 1))):
        term = coefficient
        for (name, at), power in monomial:
            term *= _symbol(name, at) ** power
        total += term
    return total


def _symbol(name: str, at: tuple[int, ...]) -> sympy.Symbol:
    return sympy.Symbol("_".join([name, *map(str, at)]))


@lru_cache(maxsize=256)
def stability_function(tableau: Tableau) -> sympy.Expr:
    """E |R(z, k)|^2: the factor by which a step multiplies the mean square.

    Parameters
    ----------
    tableau : Tableau
        One-step; implicit ones as long as no Gaussian variable occurs in a denominator.

    Returns
    -------
    sympy.Expr in :data:`Z` and :data:`K`

    Examples
    --------
    Euler-Maruyama: ``(1 + z)^2 + k^2``.
    """
    return sympy.factor(_mean_square(tableau, growth_factor(tableau)))


def _mean_square(tableau: Tableau, value: sympy.Expr) -> sympy.Expr:
    """The mean of the square of a rational function in primitives."""
    numerator, denominator = sympy.fraction(value)
    every = {
        _symbol(name, at): (name, at)
        for name in PRIMITIVES
        for at in (((1,), ()) if PRIMITIVES[name].indices < 2 else ((1, 1),))
    }
    below = sorted(denominator.free_symbols & set(every), key=str)
    if any(every[s][0] not in _OUTCOMES for s in below):
        raise TableauError(
            f"tableau {tableau.name!r}: a random variable stands in a denominator, so that the "
            "mean square of "
            "a step has no closed form (it may be infinite)"
        )
    if below:
        laws = [_OUTCOMES[every[s][0]] for s in below]
        return sum(
            sympy.prod([p for _, p in outcome])
            * _mean_square(tableau, sympy.cancel(value.subs(zip(below, (x for x, _ in outcome)))))
            for outcome in product(*laws)
        )
    square = sympy.expand(numerator**2)
    used = sorted(square.free_symbols & set(every), key=str)
    total = sympy.Integer(0)
    if used:
        for exponents, coefficient in sympy.Poly(square, *used).terms():
            powers: Powers = tuple((every[s], e) for s, e in zip(used, exponents) if e)
            mean: Fraction = monomial_mean(powers)
            total += coefficient * sympy.Rational(mean.numerator, mean.denominator)
    else:
        total = square
    return sympy.expand(total) / denominator**2


_ROOT3 = sympy.sqrt(3)
#: The discrete primitives at h = 1: (outcome, probability).
_OUTCOMES: dict[str, tuple[tuple[sympy.Expr, sympy.Rational], ...]] = {
    "theta": (
        (sympy.Integer(0), sympy.Rational(2, 3)),
        (_ROOT3, sympy.Rational(1, 6)),
        (-_ROOT3, sympy.Rational(1, 6)),
    ),
    "xi": tuple(
        (side * sympy.sqrt(2 + large * _ROOT3), (3 - large * _ROOT3) / 12)
        for side in (1, -1)
        for large in (1, -1)
    ),
    "sign": ((sympy.Integer(1), sympy.Rational(1, 2)), (sympy.Integer(-1), sympy.Rational(1, 2))),
    "eta": ((sympy.Integer(1), sympy.Rational(1, 2)), (sympy.Integer(-1), sympy.Rational(1, 2))),
}


def amplification(tableau: Tableau) -> sympy.Expr:
    """R(z): what a step multiplies X by where there is no noise; a function of :data:`Z`."""
    return sympy.factor(growth_factor(tableau).subs(K, 0))


def is_a_stable(tableau: Tableau) -> bool:
    """Whether |R(z)| <= 1 for all complex z with Re z <= 0, proved.

    By the maximum principle that is |R| <= 1 on the imaginary axis and no pole left of it.
    """
    numerator, denominator = _polynomials(amplification(tableau))
    if not _roots_right(denominator):
        return False
    y = sympy.Symbol("y", real=True)
    below, above = (
        sympy.expand(p.eval(sympy.I * y) * p.eval(-sympy.I * y)) for p in (denominator, numerator)
    )
    return _never_negative(sympy.Poly(below - above, y))


def is_l_stable(tableau: Tableau) -> bool:
    """Whether it is A-stable and forgets an infinitely fast mode in one step: R(infinity) = 0."""
    numerator, denominator = _polynomials(amplification(tableau))
    return numerator.degree() < denominator.degree() and is_a_stable(tableau)


def is_mean_square_a_stable(tableau: Tableau) -> bool:
    """Whether a step contracts the mean square wherever the linear test equation does, proved.

    For real coefficients: ``E R(z, k)^2 < 1`` whenever ``2 z + k^2 < 0`` (Ito) or ``2 z + 2 k^2 < 0``
    (Stratonovich), that is at every step size for every stable equation.

    Notes
    -----
    With ``z = -2 y^2`` and ``k = 2 y s`` (Ito) the region is ``y > 0, -1 < s < 1``, and the claim is
    that a polynomial p(y, s) is positive there.  The number of its roots in s can change only where
    the discriminant, the leading coefficient, p(y, 1) or p(y, -1) vanishes; in between, one exact
    root count at one y decides for all.
    """
    y, s = sympy.symbols("y s", real=True)
    inside = {Z: -2 * y**2, K: 2 * y * s} if tableau.calculus == "ito" else {Z: -(y**2), K: y * s}
    numerator, denominator = sympy.fraction(
        sympy.cancel(stability_function(tableau).subs(inside, simultaneous=True))
    )
    # The denominator is a square up to its sign, which some point reveals where it is not 0.
    above = denominator.subs({y: sympy.Rational(101, 100), s: 0}) > 0
    margin = sympy.Poly(denominator - numerator if above else numerator - denominator, s)
    edges = [margin.LC(), margin.eval(1), margin.eval(-1)]
    if margin.degree() > 1:
        edges.append(margin.discriminant())
    critical = sympy.prod(edge for edge in map(sympy.expand, edges) if edge != 0)
    for at in _samples(sympy.Poly(critical, y)):
        line = sympy.Poly(margin.as_expr().subs(y, at), s)
        ends = (line.eval(1) == 0) + (line.eval(-1) == 0)
        if line.eval(0) <= 0 or (line.degree() and line.count_roots(-1, 1) > ends):
            return False
    return True


def _samples(polynomial: sympy.Poly) -> list[sympy.Rational]:
    """A rational number in each interval of x > 0 between roots of a polynomial."""
    ends = [sympy.Integer(0)]
    if polynomial.degree() > 0:
        for (low, high), _ in polynomial.intervals(eps=sympy.Rational(1, 10**6)):
            if high > 0:
                ends += [max(low, 0), high]
    between = [(a + b) / 2 for a, b in zip(ends[::2], ends[1::2])]
    return [*(x for x in between if x > 0 and polynomial.eval(x) != 0), ends[-1] + 1]


def _roots_right(polynomial: sympy.Poly) -> bool:
    """Whether all roots have a positive real part: the Routh-Hurwitz determinants of p(-z)."""
    n = polynomial.degree()
    mirrored = [c * (-1) ** (n - i) for i, c in enumerate(polynomial.all_coeffs())]
    hurwitz = sympy.Matrix(
        n, n, lambda i, j: mirrored[k] if 0 <= (k := 2 * j - i + 1) <= n else sympy.Integer(0)
    )
    return all(hurwitz[:m, :m].det() * mirrored[0] ** m > 0 for m in range(1, n + 1))


def _never_negative(polynomial: sympy.Poly) -> bool:
    """Whether a polynomial with real coefficients is at least 0 on the whole line."""
    if polynomial.is_zero:
        return True
    odd = any(power % 2 and f.count_roots() for f, power in polynomial.sqf_list()[1])
    return bool(polynomial.LC() > 0 and not odd)


def _polynomials(function: sympy.Expr) -> tuple[sympy.Poly, sympy.Poly]:
    numerator, denominator = sympy.fraction(sympy.cancel(function))
    return sympy.Poly(numerator, Z), sympy.Poly(denominator, Z)


def stationary_variance(tableau: Tableau) -> sympy.Expr:
    """Variance of the method's stationary law over the exact one, for a linear drift.

    For ``dX = lambda X dt + sigma dW`` with lambda < 0, where the exact stationary variance is
    ``-sigma^2 / (2 lambda)``: 1 if the method has the right one, 0 in the limit of a method that
    damps the noise of fast modes together with them.

    Returns
    -------
    sympy.Expr in :data:`Z`
    """
    factor, summand = _linear_step(tableau, True)
    noise = _mean_square(tableau, summand)
    return sympy.factor(-2 * Z * noise / (1 - factor**2))


def decimal(function: sympy.Expr, digits: int = 20) -> sympy.Expr:
    """A rational function with its coefficients as decimals.

    The exact integers of a repaired method have hundreds of digits: more than a float can hold, so
    they must be divided before they are rounded.
    """
    numerator, denominator = (sympy.expand(part) for part in sympy.fraction(function))
    scale = max(abs(c) for c in sympy.Poly(denominator, Z, K).coeffs())
    return sympy.expand(numerator / scale).evalf(digits) / sympy.expand(denominator / scale).evalf(
        digits
    )


def stability_region(
    tableau: Tableau, z: NDArray[np.float64], k2: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Where a method is mean-square stable.

    Parameters
    ----------
    tableau : Tableau
    z : array (n,)
        Values of lambda h.
    k2 : array (p,)
        Values of mu^2 h, not negative.

    Returns
    -------
    array (p, n) of bool: the equation itself is stable where ``2 z + k2 < 0`` (Ito).
    """
    function = sympy.lambdify((Z, K), decimal(stability_function(tableau)), "numpy")
    grid_z, grid_k = np.meshgrid(np.asarray(z, dtype=float), np.sqrt(np.asarray(k2, dtype=float)))
    inside: NDArray[np.bool_] = np.broadcast_to(function(grid_z, grid_k), grid_z.shape) < 1
    return inside


def is_stable(tableau: Tableau, z: sympy.Expr | float, k: sympy.Expr | float) -> bool:
    """Whether the mean square shrinks in a step at ``z = lambda h`` and ``k = mu sqrt(h)``."""
    return bool(
        stability_function(tableau).subs({Z: sympy.nsimplify(z), K: sympy.nsimplify(k)}) < 1
    )
