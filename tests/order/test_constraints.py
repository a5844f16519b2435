"""Reduced conditions: the same total error, written with fewer elementary differentials."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from random import Random

import pytest
import sympy

from tableaux.constraints import (
    Combination,
    commutative_conditions,
    free_conditions,
    martingale_conditions,
)
from tableaux.rooted_trees import TIME, Forest, Tree, contents, forest_symmetry

X, T = sympy.symbols("x t")


def _total(
    forests: list[Forest], residual: dict[Forest, Fraction], value: Callable[[Tree], sympy.Expr]
) -> sympy.Expr:
    """Sum of residual / symmetry * differential; the functional's derivatives are all 1."""
    total = sympy.Integer(0)
    for forest in forests:
        term = sympy.Rational(residual[forest].numerator, residual[forest].denominator)
        for tree in forest:
            term *= value(tree)
        total += term / forest_symmetry(forest)
    return sympy.simplify(total)


def _reduced(
    combinations: list[Combination],
    residual: dict[Forest, Fraction],
    value: Callable[[Tree], sympy.Expr],
) -> sympy.Expr:
    images = {
        c.forest: sum((w * residual[forest] for forest, w in c.terms), Fraction(0))
        for c in combinations
    }
    return _total(list(images), images, value)


def _random(forests: list[Forest]) -> dict[Forest, Fraction]:
    draw = Random(7)
    return {forest: Fraction(draw.randint(-20, 20)) for forest in forests}


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize(
    "content", [((1, 2), (2, 1)), ((1, 2), (2, 2)), ((0, 1), (1, 2), (2, 1)), ((1, 3), (2, 1))]
)
def test_commuting_fields_have_the_same_error_after_reduction(content: tuple, single: bool) -> None:
    # On the complex line g_2 = 3 g_1 commutes with g_1; f does not commute with them.
    g = X**5 + 2 * X**2 + 1
    fields = {0: X**4 - X + 2, 1: g, 2: 3 * g}

    def value(tree: Tree) -> sympy.Expr:
        found = sympy.diff(fields[tree.colour], X, len(tree.children)).subs(X, 1)
        for child in tree.children:
            found *= value(child)
        return found

    every = [c.forest for c in free_conditions(content, "general", single)]
    reduced = list(commutative_conditions(content, single))
    assert 0 < len(reduced) < len(every)
    residual = _random(every)
    assert _total(every, residual, value) == _reduced(reduced, residual, value)


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("order", [2, Fraction(5, 2), 3])
def test_a_martingale_drift_has_the_same_error_after_reduction(
    order: Fraction, single: bool
) -> None:
    # Cole-Hopf: u_t + u_xx / 2 = 0 and f = d/dx log u give f_t + f f_x + f_xx / 2 = 0.
    u = 1 + sympy.exp(X - T / 2) + 2 * sympy.exp(2 * X - 2 * T)
    f = sympy.diff(sympy.log(u), X)
    relation = sympy.diff(f, T) + f * sympy.diff(f, X) + sympy.diff(f, X, 2) / 2
    assert sympy.simplify(relation) == 0

    known: dict[tuple[int, int], sympy.Expr] = {}

    def value(tree: Tree) -> sympy.Expr:
        if tree.colour != 0:
            return sympy.Integer(1)
        times = sum(1 for child in tree.children if child.colour == TIME)
        key = (len(tree.children) - times, times)
        if key not in known:
            known[key] = sympy.diff(f, X, key[0], T, key[1]).subs({X: 0, T: 0})
        found = known[key]
        for child in tree.children:
            found *= value(child)
        return found

    every = [
        condition.forest
        for content in contents(order, (TIME, 0, 1))
        for condition in free_conditions(content, "unit", single)
    ]
    reduced = list(martingale_conditions(Fraction(order), 1, single))
    assert len(reduced) < len(every)
    residual = _random(every)
    assert _total(every, residual, value) == _reduced(reduced, residual, value)
