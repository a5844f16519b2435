"""Functionals over a part of a step, in words: the step is cut into equal pieces.

W up to the middle of a step is no polynomial in iterated integrals over the step, but it is one in
those over its halves, as every integral over the step is by Chen's identity.  So the weights of a
method with such variables are compared with the integrals as those over several steps are
(`tableaux.memory`): one word for each piece.

Means need no words: there the functionals are jointly Gaussian, with rational covariances.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import factorial, lcm
from typing import Any

from tableaux.errors import TableauError
from tableaux.memory import exact_over
from tableaux.rooted_trees import Tree
from tableaux.tableau import Tableau
from tableaux.variables import PRIMITIVES, of_part
from tableaux.weights import EntryAlgebra
from tableaux.windows import Window, Words, splits
from tableaux.words import Powers, primitive_functional

__all__ = ["difference_in_pieces", "pieces"]


def pieces(tableau: Tableau) -> int:
    """Into how many equal pieces the parts of a tableau's variables cut a step; 1 without any."""
    found = (of_part(label) for label in tableau.labels)
    return lcm(*(part[1].denominator for part in found if part))


def difference_in_pieces(
    algebra: EntryAlgebra, weight: Any, tree: Tree, calculus: str, count: int
) -> Window:
    """Weight minus integral of a tree over a step of `count` pieces of length 1.

    So it is ``count^rho`` times that over a step of length 1, rho the order of the tree.
    """
    total = exact_over(tree, count, count, calculus).scaled(-1).over(algebra.number)
    for exponents, coefficient in weight.items():
        powers = algebra.powers(exponents)
        size = sum(power * int(2 * PRIMITIVES[name].size) for (name, _), power in powers)
        missing, half = divmod(tree.halves - size, 2)
        if half:
            raise TableauError("an odd power of sqrt(h) is not provided with a part of the step")
        scale = coefficient * algebra.number(Fraction(count) ** missing)
        total = total.plus([(_monomial(powers, calculus, count).over(algebra.number), scale)])
    return total


@cache
def _monomial(powers: Powers, calculus: str, count: int) -> Window:
    total = Window.one(count, calculus, Fraction)
    for (name, indices), power in powers:
        for _ in range(power):
            total = total * _primitive(name, indices, calculus, count)
    return total


@cache
def _primitive(name: str, indices: tuple[int, ...], calculus: str, count: int) -> Window:
    terms: dict[Words, Fraction] = {}
    base, share = of_part(name) or (name, None)
    if share is None:
        whole = primitive_functional(name, indices, calculus)
        power = whole.divisor
        for word, weight in whole.terms.items():
            for words in splits(word, count):
                terms[words] = terms.get(words, Fraction(0)) + weight
    else:
        # In the piece from i to i + 1 the weight (end - u)^n/n! is a sum of (end - i - 1)^(n-j)/(n-j)!
        # times (i + 1 - u)^j/j!, the weight of the word k0...0.
        power = int(base[1:])
        end = int(share * count)
        for i in range(end):
            for j in range(power + 1):
                word = (indices[0], *(0,) * j)
                words = tuple(word if piece == i else () for piece in range(count))
                terms[words] = Fraction((end - i - 1) ** (power - j), factorial(power - j))
    scale = Fraction(1, count**power)
    return Window.of_words(terms, calculus, Fraction).scaled(scale)
