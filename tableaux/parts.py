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
from itertools import product
from math import factorial, lcm, prod
from typing import Any

from tableaux.errors import TableauError
from tableaux.memory import Window, Words, exact_over, splits
from tableaux.rooted_trees import Tree
from tableaux.tableau import Tableau
from tableaux.variables import PRIMITIVES, of_part
from tableaux.weights import EntryAlgebra
from tableaux.words import Powers, Word, primitive_functional, product_of_words

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
    total = exact_over(tree, count, count, calculus).converted(lambda c: -algebra.number(c))
    for exponents, coefficient in weight.items():
        powers = algebra.powers(exponents)
        size = sum(power * int(2 * PRIMITIVES[name].size) for (name, _), power in powers)
        missing, half = divmod(tree.halves - size, 2)
        if half:
            raise TableauError("an odd power of sqrt(h) is not provided with a part of the step")
        scale = coefficient * algebra.number(Fraction(count) ** missing)
        total = total + _monomial(powers, calculus, count).converted(algebra.number).scaled(scale)
    terms: dict[Words, Any] = {}
    for words, value in total.terms.items():
        for choice in product(*(_from_noise_on(word, calculus) for word in words)):
            key = tuple(word for word, _ in choice)
            part = value * algebra.number(prod((c for _, c in choice), start=Fraction(1)))
            terms[key] = terms[key] + part if key in terms else part
    return Window(terms, calculus, (0,) * count)


@cache
def _from_noise_on(word: Word, calculus: str) -> tuple[tuple[Word, Fraction], ...]:
    """A word over a piece of length 1, where (0) is 1, in words that do not begin with 0.

    Those are linearly independent: in them a functional is zero only if it has no terms.

    Examples
    --------
    >>> _from_noise_on((0, 1), "ito")
    (((1,), Fraction(1, 1)), ((1, 0), Fraction(-1, 1)))
    """
    if not word or word[0]:
        return ((word, Fraction(1)),)
    # The rest is its own product with (0), in which this word occurs too.
    products = dict(product_of_words((0,), word[1:], calculus))
    times = products.pop(word)
    found: dict[Word, Fraction] = {}
    for other, weight in [(word[1:], 1), *((w, -n) for w, n in products.items())]:
        for image, share in _from_noise_on(other, calculus):
            found[image] = found.get(image, Fraction(0)) + share * weight / times
    return tuple(found.items())


@cache
def _monomial(powers: Powers, calculus: str, count: int) -> Window:
    total = Window({((),) * count: Fraction(1)}, calculus, (0,) * count)
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
    return Window(terms, calculus, (0,) * count).converted(lambda c: c * scale)
