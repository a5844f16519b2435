"""Coloured rooted trees: numbers, symmetry, names."""

from __future__ import annotations

import pickle
from fractions import Fraction
from itertools import permutations

import pytest

from tableaux.rooted_trees import (
    TIME,
    Tree,
    forest_order,
    forest_symmetry,
    forests,
    forests_of_content,
    trees,
)


def _halves(first: int, last: int) -> list[Fraction]:
    return [Fraction(n, 2) for n in range(first, last + 1)]


@pytest.mark.parametrize(
    ("colours", "noise", "numbers"),
    [
        (2, "general", [1, 2, 4, 10, 27, 75]),
        (3, "general", [2, 5, 18, 72, 318, 1467]),
        (2, "additive", [1, 1, 2, 2, 5, 7, 15]),
    ],
)
def test_number_of_trees_of_each_order(colours: int, noise: str, numbers: list[int]) -> None:
    found = [len(trees(order, colours, noise=noise)) for order in _halves(1, len(numbers))]
    assert found == numbers


def test_number_of_forests_of_each_total_order() -> None:
    assert [len(forests(order, 2)) for order in _halves(1, 5)] == [1, 3, 7, 20, 55]


def test_number_of_uncoloured_trees_is_that_of_butcher() -> None:
    assert [len(trees(n, 1)) for n in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]


def test_every_tree_occurs_once_and_has_the_order_asked_for() -> None:
    for order in _halves(1, 5):
        found = trees(order, 3)
        assert len(set(found)) == len(found)
        assert {tree.order for tree in found} == {order}


def test_labelled_forests_with_distinct_colours_are_counted_by_cayley() -> None:
    for n in range(1, 6):
        content = tuple((colour, 1) for colour in range(1, n + 1))
        assert len(forests_of_content(content)) == (n + 1) ** (n - 1)


def test_children_are_unordered() -> None:
    parts = [Tree(0), Tree(1), Tree(2, [Tree(1)])]
    assert len({Tree(1, order) for order in permutations(parts)}) == 1


def test_symmetry_counts_automorphisms_that_keep_colours() -> None:
    assert Tree(0, [Tree(1), Tree(1), Tree(1)]).symmetry == 6
    assert Tree(0, [Tree(1), Tree(2), Tree(1)]).symmetry == 2
    cherry = Tree(1, [Tree(1), Tree(1)])
    assert Tree(0, [cherry, cherry]).symmetry == 8
    assert forest_symmetry((cherry, cherry)) == 8


@pytest.mark.parametrize("order", _halves(1, 5))
def test_inverse_symmetries_add_up_to_labelled_trees(order: Fraction) -> None:
    # n! / symmetry labellings of each tree; Cayley: n^(n-1) rooted labelled trees, times the
    # colourings of this order.
    total: dict[int, Fraction] = {}
    for tree in trees(order, 2):
        n = sum(1 for _ in tree.nodes())
        total[n] = total.get(n, Fraction(0)) + Fraction(1, tree.symmetry)
    for n, value in total.items():
        factorial = 1
        for i in range(2, n + 1):
            factorial *= i
        drift = int(2 * order) - n
        choose = Fraction(factorial)
        for i in range(2, drift + 1):
            choose /= i
        for i in range(2, n - drift + 1):
            choose /= i
        assert value * factorial == n ** (n - 1) * choose


def test_names() -> None:
    tree = Tree(0, [Tree(1), Tree(2, [Tree(TIME)])])
    assert repr(tree) == "[1, [t]_2]_0"
    assert tree.latex() == r"\left[\tau_{1}, \left[\tau_{t}\right]_{2}\right]_{0}"
    assert tree._repr_svg_().count("<circle") == 3
    assert tree._repr_svg_().count("<rect") == 1


def test_trees_stay_unique_through_pickling() -> None:
    tree = Tree(0, [Tree(1), Tree(1)])
    assert pickle.loads(pickle.dumps(tree)) is tree


def test_time_bears_no_children_and_orders_are_halves() -> None:
    with pytest.raises(ValueError, match="no children"):
        Tree(TIME, [Tree(1)])
    with pytest.raises(ValueError, match="multiple of 1/2"):
        trees(Fraction(1, 3))
    assert forest_order((Tree(0), Tree(1))) == Fraction(3, 2)
