r"""Mean-square stability on the scalar linear test equation.

``dX = lambda X dt + mu X dW`` has ``E X_t^2 -> 0`` if and only if ``2 lambda + mu^2 < 0`` (Ito,
real coefficients).  A method applied to it multiplies X by a random factor each step, and
:func:`stability_function` is the mean square of that factor, as a function of ``z = lambda h`` and
``k = mu sqrt(h)``: the method is stable where it is less than 1.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
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

__all__ = ["K", "Z", "decimal", "is_stable", "stability_function", "stability_region"]

Z = sympy.Symbol("z")
"""lambda h."""
K = sympy.Symbol("k")
"""mu sqrt(h); only its square occurs for methods with symmetric variables."""


@lru_cache(maxsize=256)
def growth_factor(tableau: Tableau) -> sympy.Expr:
    """The random factor of one step with a single channel, at h = 1, in primitives such as
    ``W_1``.
    """
    if any(block.remembers for block in tableau.blocks):
        raise TableauError(
            f"tableau {tableau.name!r}: with memory a step is no multiplication by one factor"
        )
    graph: Weights[Any, Any] = Weights(tableau, 1, Nothing())
    live = [block for block in tableau.blocks if block.replication != "pair"]
    stages = [(block, s) for block in live for s in range(block.stages)]
    index = {(block.name, s): i for i, (block, s) in enumerate(stages)}
    size = len(stages)
    matrix = sympy.zeros(size, size)
    weights = sympy.zeros(1, size)

    def where(block: Block) -> tuple[int, ...]:
        return () if block.replication == "once" else (1,)

    for coupling in tableau.couplings:
        target, source = tableau.block(coupling.target), tableau.block(coupling.source)
        if target.replication == "pair":
            continue
        colour = 0 if source.colour == "drift" else 1
        for _, label in graph.sources(source, coupling.selector, colour, where(target)):
            factor = (Z if colour == 0 else K) * _label(coupling.label, label)
            for i, j, entry in coupling.entries():
                matrix[index[target.name, i], index[source.name, j]] += entry * factor
    for output in tableau.outputs:
        source = tableau.block(output.source)
        colour = 0 if source.colour == "drift" else 1
        for _, label in graph.sources(source, output.selector, colour, None):
            factor = (Z if colour == 0 else K) * _label(output.label, label)
            for j, entry in output.entries():
                weights[0, index[source.name, j]] += entry * factor
    ones = sympy.ones(size, 1)
    if not tableau.implicit:
        # Nilpotent: substitute stage by stage rather than invert.
        values = ones
        for _ in range(size):
            values = (ones + matrix * values).expand()
    else:
        values = (sympy.eye(size) - matrix).LUsolve(ones)
    return sympy.together(1 + (weights * values)[0, 0])


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
        One-step; implicit ones as long as no random variable occurs in a denominator.

    Returns
    -------
    sympy.Expr in :data:`Z` and :data:`K`

    Examples
    --------
    Euler-Maruyama: ``(1 + z)^2 + k^2``.
    """
    numerator, denominator = sympy.fraction(growth_factor(tableau))
    every = {
        _symbol(name, at): (name, at)
        for name in PRIMITIVES
        for at in (((1,), ()) if PRIMITIVES[name].indices < 2 else ((1, 1),))
    }
    if denominator.free_symbols & set(every):
        raise TableauError(
            f"tableau {tableau.name!r}: a random variable stands in a denominator, so that the "
            "mean square of "
            "a step has no closed form (it may be infinite)"
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
    return sympy.factor(sympy.expand(total) / denominator**2)


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
