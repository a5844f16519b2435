"""Words: products, expectations, and the areas that they express."""

from __future__ import annotations

from fractions import Fraction
from math import factorial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tableaux.rooted_trees import Tree, forests, trees
from tableaux.words import (
    Functional,
    Word,
    exact_forest,
    exact_mean,
    exact_weight,
    expectation_of_word,
    halves,
    inner_product,
    monomial_mean,
    primitive_functional,
    word_functional,
)

CALCULI = st.sampled_from(["ito", "stratonovich"])
WORDS = st.lists(st.integers(0, 2), max_size=3).map(tuple)


@settings(deadline=None, max_examples=60)
@given(WORDS, WORDS, WORDS, CALCULI)
def test_products_commute_and_associate(u: Word, v: Word, w: Word, calculus: str) -> None:
    a, b, c = (word_functional(x, calculus) for x in (u, v, w))
    assert a * b == b * a
    assert (a * b) * c == a * (b * c)


@settings(deadline=None, max_examples=60)
@given(WORDS, WORDS)
def test_inner_product_is_the_mean_of_the_product(u: Word, v: Word) -> None:
    assert inner_product(u, v) == (word_functional(u) * word_functional(v)).expectation()


@settings(deadline=None, max_examples=60)
@given(WORDS, WORDS)
def test_conversion_to_ito_respects_products_and_means(u: Word, v: Word) -> None:
    a, b = word_functional(u, "stratonovich"), word_functional(v, "stratonovich")
    assert (a * b).ito() == a.ito() * b.ito()
    assert a.ito().expectation() == a.expectation()


def test_number_of_words_in_a_shuffle_is_binomial() -> None:
    product = word_functional((1, 2), "stratonovich") * word_functional((0, 3, 1), "stratonovich")
    assert sum(product.terms.values()) == factorial(5) // (factorial(2) * factorial(3))


def test_square_of_an_ito_increment_has_the_bracket() -> None:
    w = word_functional((1,))
    assert (w * w).terms == {(1, 1): 2, (0,): 1}


def test_expectations_of_words() -> None:
    assert expectation_of_word((0, 0, 0), "ito") == Fraction(1, 6)
    assert expectation_of_word((1, 1), "ito") == 0
    assert expectation_of_word((1, 1, 0, 2, 2), "stratonovich") == Fraction(1, 24)
    assert expectation_of_word((1, 0, 1), "stratonovich") == 0


@pytest.mark.parametrize("calculus", ["ito", "stratonovich"])
def test_area_primitives_are_independent_with_the_stated_variances(calculus: str) -> None:
    variances = {"W": Fraction(1), "H": Fraction(1, 12), "K": Fraction(1, 720)}
    found = {name: primitive_functional(name, (1,), calculus) for name in variances}
    for name, variance in variances.items():
        assert found[name].squared_norm() == variance
        assert found[name].expectation() == 0
        for other in variances:
            if other != name:
                assert (found[name] * found[other]).expectation() == 0


@pytest.mark.parametrize("calculus", ["ito", "stratonovich"])
def test_levy_area_is_half_the_difference_of_the_double_integrals(calculus: str) -> None:
    area = primitive_functional("A", (1, 2), calculus)
    w = primitive_functional("W", (1,), calculus) * primitive_functional("W", (2,), calculus)
    assert area + w.scaled(Fraction(1, 2)) == word_functional((1, 2), calculus)
    assert area.squared_norm() == Fraction(1, 4)


@pytest.mark.parametrize("calculus", ["ito", "stratonovich"])
def test_space_time_area_gives_the_integral_of_the_path(calculus: str) -> None:
    w, area = (primitive_functional(name, (1,), calculus) for name in ("W", "H"))
    h = word_functional((0,), calculus)
    assert h * (w.scaled(Fraction(1, 2)) + area) == word_functional((1, 0), calculus)
    assert h * (w.scaled(Fraction(1, 2)) - area) == word_functional((0, 1), calculus)


def test_dividing_by_h_is_undone_by_multiplying() -> None:
    area = primitive_functional("H", (1,), "ito")
    assert area.divisor == 1
    assert area.raised(3) == area
    assert area.raised(3).divisor == 3


@pytest.mark.parametrize("calculus", ["ito", "stratonovich"])
def test_mean_by_itos_formula_is_the_mean_of_the_written_out_product(calculus: str) -> None:
    for order in range(1, 5):
        for forest in forests(Fraction(order, 2), 3):
            assert exact_mean(forest, calculus) == exact_forest(forest, calculus).expectation()


def test_weight_of_a_drift_tree_is_the_inverse_of_butchers_density() -> None:
    def density(tree: Tree) -> int:
        total = sum(1 for _ in tree.nodes())
        for child in tree.children:
            total *= density(child)
        return total

    for order in range(1, 7):
        for tree in trees(order, 1):
            assert exact_weight(tree, "ito").terms == {
                (0,) * order: Fraction(factorial(order), density(tree))
            }


def test_words_of_a_weight_scale_with_the_order_of_its_tree() -> None:
    for tree in trees(Fraction(5, 2), 2):
        for calculus in ("ito", "stratonovich"):
            assert {halves(w) for w in exact_weight(tree, calculus).terms} == {5}


@pytest.mark.parametrize("power", range(1, 9))
def test_three_point_variable_has_gaussian_moments_up_to_five(power: int) -> None:
    theta = monomial_mean(((("theta", (1,)), power),))
    gauss = monomial_mean(((("W", (1,)), power),))
    assert (theta == gauss) == (power < 6 or power % 2 == 1)
    assert theta == (0 if power % 2 else Fraction(3 ** (power // 2), 3))


def test_moments_with_levy_areas_are_taken_over_the_joint_law() -> None:
    area = (("A", (1, 2)), 2)
    w1, w2 = (("W", (1,)), 2), (("W", (2,)), 2)
    # Var(A | W1, W2) grows with |W|^2: E[A^2 W1^2] exceeds E[A^2] E[W1^2] = 1/4.
    assert monomial_mean((area,)) == Fraction(1, 4)
    assert monomial_mean((area, w1)) == Fraction(5, 12)
    assert monomial_mean((area, w1)) == monomial_mean((area, w2))


def test_functionals_of_different_calculi_are_never_equal() -> None:
    assert word_functional((1,), "ito") != word_functional((1,), "stratonovich")
    assert not Functional({})
