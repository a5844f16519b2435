r"""Iterated integrals as words, their products and their expectations, for one step of length 1.

The word ``(a1, ..., an)`` stands for the iterated integral whose innermost integrator is ``a1``;
letter 0 integrates over time, letter ``k >= 1`` over the Brownian motion ``W_k``.  Products of
integrals over the same step are linear combinations of words again: the shuffle product for
Stratonovich integrals, the quasi-shuffle product for Ito integrals.

*Scaling.*  A word with n letters 0 and q others scales as ``h^(n + q/2)``, and everything here is
homogeneous, so that h = 1 loses nothing.  Dividing by h is what the area primitives need (``H_k =
(k0) - (k)/2`` divided by h): a :class:`Functional` therefore counts how many powers of h it has
been multiplied by.  Since h is the word (0), multiplying by h is the product with (0), which is
injective; two functionals are equal exactly when their words agree after both have been brought to
the same power.

Rejected: kernels of multiple Wiener integrals, which need no powers of h and make L2 norms
immediate, but whose products need symbolic integration at each contraction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import cache
from math import comb, factorial, prod
from typing import Any

from tableaux.errors import TableauError
from tableaux.rooted_trees import Forest, Tree, sort_forest
from tableaux.variables import of_part

Word = tuple[int, ...]
Coefficient = Any
"""A Fraction, or an element of the exact domain that a tableau's entries live in."""

CALCULI = ("ito", "stratonovich")


@cache
def product_of_words(u: Word, v: Word, calculus: str) -> tuple[tuple[Word, int], ...]:
    """Shuffle (Stratonovich) or quasi-shuffle (Ito) product of two words, as (word, multiplicity)."""
    if not u or not v:
        return ((u + v, 1),)
    total: dict[Word, int] = {}
    parts = [(product_of_words(u[:-1], v, calculus), u[-1])]
    parts.append((product_of_words(u, v[:-1], calculus), v[-1]))
    if calculus == "ito" and u[-1] == v[-1] >= 1:
        parts.append((product_of_words(u[:-1], v[:-1], calculus), 0))
    for terms, letter in parts:
        for word, count in terms:
            longer: Word = (*word, letter)
            total[longer] = total.get(longer, 0) + count
    return tuple(total.items())


def halves(word: Word) -> int:
    """Twice the power of h that the word scales with."""
    return sum(2 if letter == 0 else 1 for letter in word)


@cache
def expectation_of_word(word: Word, calculus: str) -> Fraction:
    """Expectation over a step of length 1.

    Ito: ``1/n!`` for ``0^n``, else 0.  Stratonovich: ``1/(n! 2^k)`` for a concatenation of n
    blocks out of {0, jj} with k pairs, else 0.
    """
    blocks = pairs = position = 0
    while position < len(word):
        if word[position] == 0:
            position += 1
        elif (
            calculus == "stratonovich" and word[position : position + 2].count(word[position]) == 2
        ):
            pairs += 1
            position += 2
        else:
            return Fraction(0)
        blocks += 1
    return Fraction(1, factorial(blocks) * 2**pairs)


@cache
def ito_words(word: Word) -> tuple[tuple[Word, Fraction], ...]:
    """A Stratonovich word in Ito words: each adjacent pair jj may contract to 0/2."""
    if not word:
        return (((), Fraction(1)),)
    total: dict[Word, Fraction] = {}
    for prefix, weight in ito_words(word[:-1]):
        kept = prefix + word[-1:]
        total[kept] = total.get(kept, Fraction(0)) + weight
    if len(word) > 1 and word[-1] == word[-2] >= 1:
        for prefix, weight in ito_words(word[:-2]):
            contracted = (*prefix, 0)
            total[contracted] = total.get(contracted, Fraction(0)) + weight / 2
    return tuple(total.items())


@cache
def inner_product(u: Word, v: Word) -> Fraction:
    """E[u v] of two Ito words over a step of length 1, without expanding their product."""
    if not u and not v:
        return Fraction(1)
    total = Fraction(0)
    if u and u[-1] == 0:
        total += inner_product(u[:-1], v)
    if v and v[-1] == 0:
        total += inner_product(u, v[:-1])
    if u and v and u[-1] == v[-1] >= 1:
        total += inner_product(u[:-1], v[:-1])
    return total * Fraction(2, halves(u) + halves(v))


class Functional:
    """A polynomial in iterated integrals, divided by a power of h: an exact functional of the
    path.

    Parameters
    ----------
    terms : mapping of word to coefficient
    calculus : {"ito", "stratonovich"}
    divisor : int
        The power of h that the words are divided by; a negative one multiplies.
    """

    __slots__ = ("calculus", "divisor", "terms")

    def __init__(
        self, terms: Mapping[Word, Coefficient], calculus: str = "ito", divisor: int = 0
    ) -> None:
        if calculus not in CALCULI:
            raise TableauError(f"calculus {calculus!r}: choose 'ito' or 'stratonovich'")
        self.terms = {word: value for word, value in terms.items() if value}
        self.calculus = calculus
        self.divisor = divisor

    def raised(self, divisor: int) -> Functional:
        """The same functional written over a higher power of h."""
        terms: dict[Word, Coefficient] = dict(self.terms)
        for _ in range(divisor - self.divisor):
            terms = _multiply(terms, {(0,): 1}, self.calculus)
        return Functional(terms, self.calculus, max(divisor, self.divisor))

    def __add__(self, other: Functional) -> Functional:
        divisor = max(self.divisor, other.divisor)
        terms = dict(self.raised(divisor).terms)
        for word, value in other.raised(divisor).terms.items():
            terms[word] = terms[word] + value if word in terms else value
        return Functional(terms, self.calculus, divisor)

    def __neg__(self) -> Functional:
        return Functional({w: -c for w, c in self.terms.items()}, self.calculus, self.divisor)

    def __sub__(self, other: Functional) -> Functional:
        return self + (-other)

    def __mul__(self, other: Functional) -> Functional:
        return Functional(
            _multiply(self.terms, other.terms, self.calculus),
            self.calculus,
            self.divisor + other.divisor,
        )

    def scaled(self, factor: Coefficient) -> Functional:
        """Every coefficient multiplied by ``factor``."""
        return Functional(
            {w: factor * c for w, c in self.terms.items()}, self.calculus, self.divisor
        )

    def converted(self, convert: Callable[[Coefficient], Coefficient]) -> Functional:
        """The same functional with its coefficients in another domain."""
        terms = {w: convert(c) for w, c in self.terms.items()}
        return Functional(terms, self.calculus, self.divisor)

    def integrated(self, letter: int) -> Functional:
        """The integral of the running value over the integrator ``letter`` (no division by h
        left).
        """
        if self.divisor:
            raise TableauError("a functional divided by h is no running value to integrate")
        return Functional({(*w, letter): c for w, c in self.terms.items()}, self.calculus)

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Functional):
            return NotImplemented
        return self.calculus == other.calculus and not (self - other)

    __hash__ = None  # type: ignore[assignment]

    def expectation(self) -> Coefficient:
        """The mean over a step of length 1."""
        values = [
            c * expectation_of_word(w, self.calculus)
            for w, c in self.terms.items()
            if expectation_of_word(w, self.calculus)
        ]
        return sum(values[1:], values[0]) if values else Fraction(0)

    def ito(self) -> Functional:
        """The same functional in Ito words."""
        if self.calculus == "ito":
            return self
        terms: dict[Word, Coefficient] = {}
        for word, value in self.terms.items():
            for image, weight in ito_words(word):
                terms[image] = terms[image] + value * weight if image in terms else value * weight
        return Functional(terms, "ito", self.divisor)

    def squared_norm(self) -> Coefficient:
        """E of its square over a step of length 1."""
        items = list(self.ito().terms.items())
        total: Coefficient = Fraction(0)
        for i, (u, a) in enumerate(items):
            for v, b in items[: i + 1]:
                value = inner_product(u, v)
                if value:
                    total = total + a * b * (value if u == v else 2 * value)
        return total

    def __repr__(self) -> str:
        inside = " + ".join(
            f"{c} ({''.join(map(str, w))})" for w, c in sorted(self.terms.items(), key=_by_length)
        )
        over = {0: "", 1: " / h"}.get(self.divisor, f" / h^{self.divisor}")
        return (f"[{inside}]{over}" if over else inside) or "0"


def _by_length(item: tuple[Word, Coefficient]) -> tuple[int, Word]:
    return len(item[0]), item[0]


def _multiply(
    left: Mapping[Word, Coefficient], right: Mapping[Word, Coefficient], calculus: str
) -> dict[Word, Coefficient]:
    total: dict[Word, Coefficient] = {}
    for u, a in left.items():
        for v, b in right.items():
            for word, count in product_of_words(u, v, calculus):
                value = a * b * count
                total[word] = total[word] + value if word in total else value
    return total


def word_functional(word: Iterable[int], calculus: str = "ito") -> Functional:
    """A single iterated integral."""
    return Functional({tuple(word): Fraction(1)}, calculus)


@cache
def exact_weight(tree: Tree, calculus: str) -> Functional:
    """The iterated integral of a tree: multiply the children's, integrate over the root's colour."""
    return exact_forest(tree.children, calculus).integrated(max(tree.colour, 0))


@cache
def exact_forest(forest: Forest, calculus: str) -> Functional:
    """The product of the exact weights of the trees of a forest."""
    if not forest:
        return Functional({(): Fraction(1)}, calculus)
    return exact_forest(forest[:-1], calculus) * exact_weight(forest[-1], calculus)


@cache
def exact_mean(forest: Forest, calculus: str) -> Fraction:
    """Expectation of the product of the exact weights of a forest over a step of length 1.

    By Ito's formula for the product, which never writes it out: its drift is a sum of products
    over forests in which one drift root, or two noise roots of one channel, have been removed, and
    over a step of length h the mean of a product of order rho is ``h^rho / rho`` times the mean of
    that drift at 1.
    """
    if not forest:
        return Fraction(1)
    total = Fraction(0)
    for i, tree in enumerate(forest):
        rest = forest[:i] + forest[i + 1 :]
        if tree.colour <= 0:
            total += exact_mean(sort_forest(rest + tree.children), calculus)
            continue
        if calculus == "stratonovich":
            # The correction of the outermost Stratonovich integral against each of its factors.
            for j, child in enumerate(tree.children):
                if child.colour == tree.colour:
                    others = tree.children[:j] + tree.children[j + 1 :]
                    total += exact_mean(sort_forest(rest + others + child.children), calculus) / 2
        for j in range(i):
            if forest[j].colour == tree.colour:
                left = forest[:j] + forest[j + 1 : i] + forest[i + 1 :]
                both = forest[j].children + tree.children
                total += exact_mean(sort_forest(left + both), calculus)
    return total * Fraction(2, sum(tree.halves for tree in forest))


# --- the primitives of a path, as words ----------------------------------------------------------

_AREAS: Mapping[str, tuple[tuple[tuple[str, Fraction], ...], int]] = {
    "W": ((("k", Fraction(1)),), 0),
    # h H = int (W_u - (u/h) W) du = (k0) - (k)(0)/2, and (k)(0) = (k0) + (0k).
    "H": ((("k0", Fraction(1, 2)), ("0k", Fraction(-1, 2))), 1),
    # h^2 K = int (W_u - (u/h) W)(h/2 - u) du, expanded in the same way.
    "K": ((("k00", Fraction(1, 6)), ("0k0", Fraction(-1, 3)), ("00k", Fraction(1, 6))), 2),
    "A": ((("kl", Fraction(1, 2)), ("lk", Fraction(-1, 2))), 0),
}


@cache
def primitive_functional(name: str, indices: tuple[int, ...], calculus: str) -> Functional:
    """A path primitive (W, H, K or A) in words.

    A_kl has the same words in both calculi, since k != l.
    """
    if name not in _AREAS:
        raise TableauError(f"{name!r} is no functional of the path, so it has no words")
    if name == "A" and indices[0] == indices[1]:
        return Functional({}, calculus)
    pattern, divisor = _AREAS[name]
    letters = dict(zip("kl", indices))
    terms = {tuple(letters.get(c, 0) for c in text): weight for text, weight in pattern}
    return Functional(terms, calculus, divisor)


Powers = tuple[tuple[tuple[str, tuple[int, ...]], int], ...]
"""A monomial in primitives: ((name, indices), power), sorted."""


@cache
def monomial_functional(powers: Powers, calculus: str) -> Functional:
    """A monomial in path primitives, in words."""
    total = Functional({(): Fraction(1)}, calculus)
    for (name, indices), power in powers:
        for _ in range(power):
            total = total * primitive_functional(name, indices, calculus)
    return total


_VARIANCES = {"W": Fraction(1), "H": Fraction(1, 12), "K": Fraction(1, 720)}
#: The weights of W, H and K at the share s of a step, as polynomials in s.
_WEIGHTS: Mapping[str, tuple[Fraction, ...]] = {
    "W": (Fraction(1),),
    "H": (Fraction(1, 2), Fraction(-1)),
    "K": (Fraction(1, 12), Fraction(-1, 2), Fraction(1, 2)),
}


def _weight(name: str) -> tuple[tuple[Fraction, ...], Fraction]:
    """The weight of a Gaussian primitive as a polynomial in s, and where it ends."""
    base, end = of_part(name) or (name, Fraction(1))
    if base in _WEIGHTS:
        return _WEIGHTS[base], end
    n = int(base[1:])  # of P_n: (c - s)^n / n!
    return tuple(comb(n, i) * end ** (n - i) * (-1) ** i / factorial(n) for i in range(n + 1)), end


@cache
def covariance(one: str, other: str) -> Fraction:
    """Of two Gaussian primitives of a channel, over a step of length 1.

    Examples
    --------
    >>> covariance("P0@1/2", "W"), covariance("H", "H"), covariance("P0@1/2", "H")
    (Fraction(1, 2), Fraction(1, 12), Fraction(1, 8))
    """
    (p, a), (q, b) = _weight(one), _weight(other)
    end = min(a, b)
    return sum(
        (
            x * y * end ** (i + j + 1) / (i + j + 1)
            for i, x in enumerate(p)
            for j, y in enumerate(q)
        ),
        Fraction(0),
    )


@cache
def _gaussian_mean(names: tuple[str, ...]) -> Fraction:
    """The mean of a product of Gaussian primitives of a channel: over all pairings (Isserlis)."""
    if len(names) < 2:
        return Fraction(not names)
    first, rest = names[0], names[1:]
    return sum(
        (
            covariance(first, other) * _gaussian_mean(rest[:i] + rest[i + 1 :])
            for i, other in enumerate(rest)
        ),
        Fraction(0),
    )


@cache
def _four_point_mean(n: int) -> int:
    """E xi^2n, from xi^4 = 4 xi^2 - 1, which holds with probability 1."""
    before, mean = 1, 1
    for _ in range(n - 1):
        before, mean = mean, 4 * mean - before
    return mean


def _uniform_mean(a: int, b: int) -> Fraction:
    """E u^a bridge^b, a beta function."""
    half, odd = divmod(b, 2)
    if odd:
        raise TableauError(
            f"the mean of u^{a} bridge^{b} is no rational number: bridge goes with H_k, whose odd powers "
            "have none"
        )
    return Fraction(12**half * factorial(a + half) * factorial(half), factorial(a + b + 1))


def monomial_mean(powers: Powers) -> Fraction:
    """Expectation of a monomial in primitives over a step of length 1.

    Discrete primitives and u are independent of everything; W, H and K are independent Gaussians, and
    those of parts of the step jointly Gaussian with them.  Levy areas depend on other primitives
    in other ways, and only for them are words multiplied.
    """
    at_random = {name: power for (name, _), power in powers if name in ("u", "bridge")}
    if at_random:
        rest = monomial_mean(tuple(item for item in powers if item[0][0] not in at_random))
        return rest and rest * _uniform_mean(at_random.get("u", 0), at_random.get("bridge", 0))
    total = Fraction(1)
    with_area = any(name == "A" for (name, _), _ in powers)
    if any(of_part(name) for (name, _), _ in powers):
        if with_area:
            raise TableauError("Levy areas have no joint moments here with a part of the step")
        channels: dict[tuple[int, ...], tuple[str, ...]] = {}
        for (name, indices), power in powers:
            if of_part(name) or name in _WEIGHTS:
                channels[indices] = channels.get(indices, ()) + (name,) * power
        others = tuple(p for p in powers if not (of_part(p[0][0]) or p[0][0] in _WEIGHTS))
        return prod(map(_gaussian_mean, channels.values()), start=monomial_mean(others))
    if any(power % 2 and not (with_area and name in _AREAS) for (name, _), power in powers):
        return Fraction(0)
    path: list[tuple[tuple[str, tuple[int, ...]], int]] = []
    for (name, indices), power in powers:
        if name == "theta":
            # +-sqrt(3) with probability 1/6 each.
            total *= Fraction(3 ** (power // 2), 3)
        elif name == "xi":
            total *= _four_point_mean(power // 2)
        elif name in ("sign", "eta"):
            continue
        elif with_area:
            path.append(((name, indices), power))
        else:
            double_factorial = Fraction(factorial(power), 2 ** (power // 2) * factorial(power // 2))
            total *= double_factorial * _VARIANCES[name] ** (power // 2)
    if path:
        mean = monomial_functional(tuple(path), "ito").expectation()
        total *= Fraction(mean)
    return total
