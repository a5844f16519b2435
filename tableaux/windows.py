"""Functionals of the path on several successive steps of length 1: one word for each step.

On a step of length 1 the word (0) is the number 1.  So words are kept that do not begin with 0: those
are linearly independent, what is deterministic is a number, and a functional is zero only if it has
no terms.  Homogeneous ones lose nothing by that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import cache
from typing import Any

from tableaux.words import Word, inner_product, ito_words, product_of_words

__all__ = ["Number", "Window", "Words", "from_noise_on", "splits"]

Words = tuple[Word, ...]
"""One word for each step of a window, the oldest first."""

Number = Callable[[Fraction], Any]
"""Puts rational numbers into the domain of coefficients."""

Weighted = tuple[tuple[Words, Fraction], ...]


def splits(word: Word, parts: int) -> list[Words]:
    """A word over several steps of length 1, as the sum of these words over each (Chen)."""
    if parts == 0:
        return [] if word else [()]
    if parts == 1:
        return [(word,)]
    return [(*head, word[i:]) for i in range(len(word) + 1) for head in splits(word[:i], parts - 1)]


@cache
def from_noise_on(word: Word, calculus: str) -> tuple[tuple[Word, Fraction], ...]:
    """A word over a step of length 1 in words that do not begin with 0.

    Examples
    --------
    >>> from_noise_on((0, 1), "ito")
    (((1,), Fraction(1, 1)), ((1, 0), Fraction(-1, 1)))
    """
    if not word or word[0]:
        return ((word, Fraction(1)),)
    # The rest is its own product with (0), in which this word occurs too.
    products = dict(product_of_words((0,), word[1:], calculus))
    times = products.pop(word)
    found: dict[Word, Fraction] = {}
    for other, weight in [(word[1:], 1), *((w, -n) for w, n in products.items())]:
        for image, share in from_noise_on(other, calculus):
            found[image] = found.get(image, Fraction(0)) + share * weight / times
    return tuple(found.items())


@cache
def _in_one_step(u: Word, v: Word, calculus: str) -> tuple[tuple[Word, Fraction], ...]:
    """The product of two words over a step of length 1, in words that do not begin with 0."""
    found: dict[Word, Fraction] = {}
    for word, count in product_of_words(u, v, calculus):
        for image, share in from_noise_on(word, calculus):
            found[image] = found.get(image, Fraction(0)) + share * count
    return tuple((word, value) for word, value in found.items() if value)


@cache
def _product(u: Words, v: Words, calculus: str) -> Weighted:
    """The same step by step."""
    return _combined([_in_one_step(x, y, calculus) for x, y in zip(u, v)])


def _combined(steps: Iterable[tuple[tuple[Word, Fraction], ...]]) -> Weighted:
    """One word for each step, out of a sum of words for each."""
    found: list[tuple[Words, Fraction]] = [((), Fraction(1))]
    for step in steps:
        found = [
            ((*words, word), value if weight == 1 else value * weight)
            for words, value in found
            for word, weight in step
        ]
    return tuple(found)


class Window:
    """A functional of the path on several successive steps of length 1.

    Parameters
    ----------
    terms : mapping of one word a step to coefficient
        Words do not begin with 0; :meth:`of_words` takes any.
    calculus : {"ito", "stratonovich"}
    number : callable
        Puts rational numbers into the domain of the coefficients.
    """

    __slots__ = ("_by_noise", "calculus", "number", "terms")

    def __init__(self, terms: Mapping[Words, Any], calculus: str, number: Number) -> None:
        self.terms = {words: value for words, value in terms.items() if value}
        self.calculus = calculus
        self.number = number
        self._by_noise: dict[Words, list[tuple[Words, Any]]] | None = None

    @classmethod
    def of_words(cls, terms: Mapping[Words, Any], calculus: str, number: Number) -> Window:
        """A functional in words that may begin with 0."""
        total: dict[Words, Any] = {}
        for given, value in terms.items():
            for words, share in _combined(from_noise_on(word, calculus) for word in given):
                part = value if share == 1 else value * number(share)
                total[words] = total[words] + part if words in total else part
        return cls(total, calculus, number)

    @classmethod
    def one(cls, steps: int, calculus: str, number: Number) -> Window:
        """The number 1."""
        return cls({((),) * steps: number(Fraction(1))}, calculus, number)

    def __bool__(self) -> bool:
        return bool(self.terms)

    def plus(self, parts: Iterable[tuple[Window, Any]]) -> Window:
        """This one and a combination of others, given with their factors."""
        total = dict(self.terms)
        for part, factor in parts:
            same = factor == 1
            for words, value in part.terms.items():
                term = value if same else value * factor
                total[words] = total[words] + term if words in total else term
        return Window(total, self.calculus, self.number)

    def __add__(self, other: Window) -> Window:
        return self.plus([(other, 1)])

    def __sub__(self, other: Window) -> Window:
        return self.plus([(other, -1)])

    def __mul__(self, other: Window) -> Window:
        total: dict[Words, Any] = {}
        number = self.number
        for u, a in self.terms.items():
            for v, b in other.terms.items():
                weight = a * b
                for words, count in _product(u, v, self.calculus):
                    value = weight if count == 1 else weight * number(count)
                    total[words] = total[words] + value if words in total else value
        return Window(total, self.calculus, number)

    def mapped(self, change: Callable[[Any], Any]) -> Window:
        """The same words with other coefficients of the same domain."""
        terms = {words: change(value) for words, value in self.terms.items()}
        return Window(terms, self.calculus, self.number)

    def scaled(self, factor: Any) -> Window:
        """Every coefficient multiplied by ``factor``."""
        return self.mapped(lambda value: value * factor)

    def over(self, number: Number) -> Window:
        """The same functional, of rational coefficients, among those of another domain."""
        terms = {words: number(value) for words, value in self.terms.items()}
        return Window(terms, self.calculus, number)

    def converted(self, convert: Callable[[Any], Any]) -> Window:
        """The same functional with its coefficients in another domain."""
        terms = {words: convert(value) for words, value in self.terms.items()}
        number = self.number
        return Window(terms, self.calculus, lambda value: convert(number(value)))

    def expectation(self) -> Any:
        """The mean, steps being independent."""
        total = self.number(Fraction(0))
        for words, value in self._ito().get((), []):
            total = total + value * self.number(_inner(words, ((),) * len(words)))
        return total

    def mean_of_product(self, other: Window) -> Any:
        """The mean of a product, without forming it."""
        total = self.number(Fraction(0))
        mine, others = self._ito(), other._ito()
        for noise in mine.keys() & others.keys():
            for u, a in mine[noise]:
                inner = self.number(Fraction(0))
                for v, b in others[noise]:
                    inner = inner + b * self.number(_inner(u, v))
                total = total + a * inner
        return total

    def squared_norm(self) -> Any:
        """E of the square."""
        return self.mean_of_product(self)

    def _ito(self) -> dict[Words, list[tuple[Words, Any]]]:
        """In Ito words, by their noise letters: only those of the same ones are correlated."""
        if self._by_noise is None:
            total: dict[Words, Any] = self.terms
            if self.calculus != "ito":
                total = {}
                for given, value in self.terms.items():
                    for words, share in _combined(map(ito_words, given)):
                        part = value if share == 1 else value * self.number(share)
                        total[words] = total[words] + part if words in total else part
            self._by_noise = {}
            for words, value in total.items():
                self._by_noise.setdefault(_noise(words), []).append((words, value))
        return self._by_noise

    def __repr__(self) -> str:
        parts = (
            f"{value} ({'|'.join(''.join(map(str, word)) for word in words)})"
            for words, value in sorted(self.terms.items(), key=repr)
        )
        return " + ".join(parts) or "0"


@cache
def _noise(words: Words) -> Words:
    found = tuple(tuple(letter for letter in word if letter) for word in words)
    return found if any(found) else ()


@cache
def _inner(u: Words, v: Words) -> Fraction:
    """E of the product of Ito words of independent steps."""
    total = Fraction(1)
    for x, y in zip(u, v):
        total *= inner_product(x, y)
    return total
