"""Weak errors of one step on nonlinear equations, with nothing sampled.

Linear equations close under moments, but show only trees without branches. Here the fields are
polynomials with branches of every kind, the outcomes of one step are enumerated, and the exact mean
is the series ``sum h^k / k! L^k phi``, L the generator. The local error per unit time, over a few
generic polynomials phi, falls with the weak order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import sympy
from numpy.typing import NDArray

from sdeint.convergence import Study
from sdeint.testing.enumerated import study_of
from tableaux import PRIMITIVES, Tableau

__all__ = ["local_means"]

Array = NDArray[np.float64]
Fields = tuple[tuple[sympy.Expr, sympy.Expr], ...]

STEPS = (16, 32, 64, 128, 256)
TERMS = 7  # of the series: the first one left out is of order h^8
NODES = 6  # Gauss-Hermite: means of degree 11 are exact, the rest contributes from order h^6 on
OUTCOMES = 50_000  # more channels than fit are left out

X, Y = sympy.symbols("x y")
START = (sympy.Rational(2, 5), -sympy.Rational(3, 10))
# Generic: no coefficient vanishes that symmetry does not demand.
DRIFT = (X / 3 - Y / 2 + X * Y / 4 - Y**2 / 5, X / 2 - Y / 4 + X**2 / 3 - X * Y / 6)
FUNCTIONALS = (
    X + Y / 2 + X**2 / 3 + X * Y / 5 + X**2 * Y / 7,
    Y - X / 3 + Y**2 / 2 + X * Y**2 / 3,
    X * Y + X**3 / 4 + Y**3 / 5 - Y,
)


def _noise(noise: str) -> Fields:
    """One pair of polynomials a channel."""
    a, b, c = 1 + X / 2 - X**2 / 4, sympy.Rational(1, 2) - Y / 3 + Y**2 / 5, X / 3 + Y / 4
    half, third = sympy.Rational(1, 2), sympy.Rational(1, 3)
    zero = sympy.Integer(0)
    table: dict[str, Fields] = {
        "additive": ((half, -third), (sympy.Rational(1, 4), sympy.Rational(2, 3))),
        "scalar": ((a - Y / 3, b + X * Y / 4),),
        "diagonal": ((a, zero), (zero, b)),
        # Constant fields in other coordinates: they commute.
        "commutative": ((half * a, -third * b), (third * a, half * b)),
        "general": ((a / 2 + Y / 3, c - half), (b - X / 4, third + c * X / 2), (c + Y**2 / 5, b)),
    }
    return table["additive" if noise == "constant" else noise]


def local_means(tableau: Tableau, noise: str) -> Study:
    """Local weak errors per unit time at several step sizes.

    Parameters
    ----------
    tableau : Tableau
        Without memory and Levy areas; an implicit one is iterated to a fixed point.
    noise : str
        A noise class, or ``"constant"``.

    Returns
    -------
    Study
        Of kind ``"weak"``; its order is the weak order that the errors of one step imply.
    """
    # Imported here because it needs SciPy, which running a method does not.
    from tableaux.moments import one_step_mean

    fields = _noise(noise)
    while len(fields) > 2 and _outcomes(tableau, len(fields)) > OUTCOMES:
        fields = fields[:-1]
    drift, *diffusions = [_callable(f) for f in (DRIFT, *fields)]
    series = _series(fields, tableau.calculus)
    start = [float(x) for x in START]
    errors = []
    for n in STEPS:
        h = 1 / n
        gaps = []
        for phi, terms in zip(FUNCTIONALS, series):
            mean = one_step_mean(tableau, drift, diffusions, start, h, _polynomial(phi), NODES)
            gaps.append(mean - sum(term * h**k for k, term in enumerate(terms)))
        errors.append(math.hypot(*gaps) / h)
    return study_of(
        tableau.name,
        f"polynomial fields of {noise} noise, {len(fields)} channels",
        "means after one step, all outcomes enumerated; error divided by h",
        STEPS,
        errors,
    )


def _outcomes(tableau: Tableau, channels: int) -> int:
    sizes = {"theta": 3, "xi": 4, "sign": 2, "eta": 2, "bridge": 1}
    return math.prod(
        sizes.get(name, NODES) ** (channels if PRIMITIVES[name].indices else 1)
        for name in tableau.primitives
    )


def _polynomial(phi: sympy.Expr) -> Callable[[Array], Array]:
    of: Callable[[Array, Array], Array] = sympy.lambdify((X, Y), phi)
    return lambda z: of(z[0], z[1])


def _callable(field: tuple[sympy.Expr, sympy.Expr]) -> Callable[[Array], Array]:
    first, second = (sympy.lambdify((X, Y), part) for part in field)

    def values(z: Array) -> Array:
        shape = z[0].shape
        return np.stack(
            [np.broadcast_to(first(z[0], z[1]), shape), np.broadcast_to(second(z[0], z[1]), shape)]
        )

    return values


@lru_cache(maxsize=32)
def _series(fields: Fields, calculus: str) -> tuple[tuple[float, ...], ...]:
    """``L^k phi(start) / k!`` for every functional."""
    drift = list(DRIFT)
    if calculus == "stratonovich":
        for g in fields:
            for i in range(2):
                drift[i] += (g[0] * g[i].diff(X) + g[1] * g[i].diff(Y)) / 2
    a, b = (sympy.Poly(part, X, Y) for part in drift)
    squares = [
        sympy.Poly(sum(g[i] * g[j] for g in fields) / 2, X, Y) for i, j in ((0, 0), (0, 1), (1, 1))
    ]

    def generator(p: sympy.Poly) -> sympy.Poly:
        px, py = p.diff(X), p.diff(Y)
        return (
            a * px
            + b * py
            + squares[0] * px.diff(X)
            + 2 * squares[1] * px.diff(Y)
            + squares[2] * py.diff(Y)
        )

    found = []
    for phi in FUNCTIONALS:
        p, terms = sympy.Poly(phi, X, Y), []
        for k in range(TERMS + 1):
            terms.append(float(p.eval(dict(zip((X, Y), START))) / math.factorial(k)))
            if k < TERMS:
                p = generator(p)
        found.append(tuple(terms))
    return tuple(found)
