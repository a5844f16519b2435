"""Weights of methods that remember stages of the step before.

A remembered stage was computed from the path of the step before, so that everything is expanded
around a point far enough back, ``X_(n-J)``, from which the solution is exact up to ``X_n``.  A
weight is then a polynomial in iterated integrals over J + 1 successive steps: one word for each
step.  Integrals over several steps split into them by Chen's identity.  How far back is decided
tree by tree: a remembered value only needs the step before through the children of its node, so
that each step costs a node.

The ratios of the steps are numbers.  A word of order rho of a step of length l is l^rho times that
word of a step of length 1, so that lengths enter the coefficients and the words stay those of unit
steps.  Orders are half-integers: ratios must be squares of rational numbers for the arithmetic to
stay in the domain of the entries.

The local errors are those of one step that starts from exact values, conditioned on what was known J
steps before, as in Buckwar and Winkler, *SIAM J. Numer. Anal.* 44 (2006), for strong orders.

For weak order 3 exact values are not enough.  A remembered stage brings the noise of its own step back
into this one, by h^(3/2); and the numerical value at which this step begins has an error of that step, by
h^(3/2) as well, which that noise is correlated with: their covariance is h^3.  So there the last steps
before are numerical too: with u the value function, the error is the sum of
``E u(t_(n+1), X_(n+1)) - E u(t_n, X_n)`` over all steps, with X_n and X_(n+1) both numerical.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache
from itertools import product
from math import isqrt
from typing import Any

import sympy

from tableaux.blocks import Block, Coupling, Output
from tableaux.errors import TableauError
from tableaux.jets import Jet
from tableaux.relative import in_last_step, in_step
from tableaux.rooted_trees import TIME, Forest, Tree
from tableaux.tableau import Tableau
from tableaux.variables import PRIMITIVES, variables
from tableaux.weights import Channels, Weights, Where, entry_domain
from tableaux.words import (
    Functional,
    Word,
    exact_weight,
    expectation_of_word,
    halves,
    inner_product,
    ito_words,
    primitive_functional,
    product_of_words,
)

Words = tuple[Word, ...]
"""One word for each step of a window, the oldest first."""


class Window:
    """A functional of the path on several successive steps, scaled to length 1.

    Parameters
    ----------
    terms : mapping of one word a step to coefficient
    calculus : {"ito", "stratonovich"}
    divisors : tuple of int
        For each step, the power of h that its words are divided by.
    """

    __slots__ = ("calculus", "divisors", "terms")

    def __init__(
        self, terms: Mapping[Words, Any], calculus: str, divisors: tuple[int, ...]
    ) -> None:
        self.terms = {words: value for words, value in terms.items() if value}
        self.calculus = calculus
        self.divisors = divisors

    def __bool__(self) -> bool:
        return bool(self.terms)

    def raised(self, divisors: tuple[int, ...]) -> Window:
        """The same functional over higher powers of h."""
        found = self
        for step, (have, want) in enumerate(zip(self.divisors, divisors)):
            for _ in range(want - have):
                unit = tuple((0,) if i == step else () for i in range(len(divisors)))
                found = found._times({unit: 1})
        return Window(found.terms, self.calculus, divisors)

    def __add__(self, other: Window) -> Window:
        divisors = tuple(map(max, self.divisors, other.divisors))
        left = self if self.divisors == divisors else self.raised(divisors)
        right = other if other.divisors == divisors else other.raised(divisors)
        terms = dict(left.terms)
        for words, value in right.terms.items():
            terms[words] = terms[words] + value if words in terms else value
        return Window(terms, self.calculus, divisors)

    def __sub__(self, other: Window) -> Window:
        return self + other.converted(lambda value: -value)

    def __mul__(self, other: Window) -> Window:
        found = self._times(other.terms)
        divisors = tuple(a + b for a, b in zip(self.divisors, other.divisors))
        return Window(found.terms, self.calculus, divisors)

    def _times(self, terms: Mapping[Words, Any]) -> Window:
        total: dict[Words, Any] = {}
        for u, a in self.terms.items():
            for v, b in terms.items():
                factors = [product_of_words(x, y, self.calculus) for x, y in zip(u, v)]
                weight = a * b
                for choice in product(*factors):
                    count = 1
                    for _, multiplicity in choice:
                        count *= multiplicity
                    words = tuple(word for word, _ in choice)
                    value = weight * count
                    total[words] = total[words] + value if words in total else value
        return Window(total, self.calculus, self.divisors)

    def scaled(self, factor: Any) -> Window:
        """Every coefficient multiplied by ``factor``."""
        return self.converted(lambda value: factor * value)

    def converted(self, convert: Callable[[Any], Any]) -> Window:
        """The same functional with its coefficients in another domain."""
        terms = {words: convert(value) for words, value in self.terms.items()}
        return Window(terms, self.calculus, self.divisors)

    def expectation(self, number: Callable[[Fraction], Any]) -> Any:
        """The mean, steps being independent; ``number`` puts rationals into the coefficients'
        domain.
        """
        total = number(Fraction(0))
        for words, value in self.terms.items():
            mean = Fraction(1)
            for word in words:
                mean *= expectation_of_word(word, self.calculus)
            if mean:
                total = total + value * number(mean)
        return total

    def squared_norm(self) -> Any:
        """E of the square."""
        items = list(self._ito().items())
        total: Any = Fraction(0)
        for i, (u, a) in enumerate(items):
            for v, b in items[: i + 1]:
                value = Fraction(1 if u == v else 2)
                for x, y in zip(u, v):
                    value *= inner_product(x, y)
                if value:
                    total = total + a * b * value
        return total

    def _ito(self) -> dict[Words, Any]:
        if self.calculus == "ito":
            return self.terms
        total: dict[Words, Any] = {}
        for words, value in self.terms.items():
            for choice in product(*(ito_words(word) for word in words)):
                weight = Fraction(1)
                for _, factor in choice:
                    weight *= factor
                key = tuple(word for word, _ in choice)
                total[key] = total[key] + value * weight if key in total else value * weight
        return total

    def of_surplus(self, surplus: int) -> Window:
        """The part that a power of sqrt(h) in w = h/t lifts above the order of its tree."""
        return self.converted(lambda value: of_surplus(value, surplus))

    def __repr__(self) -> str:
        parts = (
            f"{value} ({'|'.join(''.join(map(str, word)) for word in words)})"
            for words, value in sorted(self.terms.items(), key=repr)
        )
        over = "" if not any(self.divisors) else f" / h^{self.divisors}"
        return (" + ".join(parts) or "0") + over


def of_surplus(value: Any, surplus: int) -> Any:
    """The terms with w^(surplus/2) of an element of the domain of the entries, w taken as 1.

    Everything, where entries do not depend on w and there is no surplus.
    """
    if not isinstance(value, Jet):
        return value * int(not surplus)
    power, odd = divmod(surplus, 2)
    return value.of_power(-1 if odd else power)


@cache
def lengths(ratios: tuple[Fraction, ...], window: int) -> tuple[Fraction, ...]:
    """Square roots of the lengths of the steps of a window, relative to the last one.

    Examples
    --------
    >>> [str(root) for root in lengths((Fraction(4), Fraction(1, 9)), 4)]
    ['9/2', '3/2', '1/2', '1']
    """
    found = [Fraction(1)]
    for back in range(window - 1):
        ratio = ratios[min(back, len(ratios) - 1)]
        root = Fraction(isqrt(ratio.numerator), isqrt(ratio.denominator)) if ratio > 0 else ratio
        if ratio <= 0 or root**2 != ratio:
            raise TableauError(f"a step ratio must be the square of a rational number, not {ratio}")
        found.append(found[-1] / root)
    return tuple(reversed(found))


@cache
def exact_over(
    tree: Tree,
    steps: int,
    window: int,
    calculus: str,
    ratios: tuple[Fraction, ...] = (Fraction(1),),
) -> Window:
    """The iterated integral of a tree over the first ``steps`` steps of a window."""
    roots = lengths(ratios, window)
    terms: dict[Words, Fraction] = {}
    for word, weight in exact_weight(tree, calculus).terms.items():
        for split in splits(word, steps):
            words = split + ((),) * (window - steps)
            scale = Fraction(1)
            for step, part in enumerate(split):
                scale *= roots[step] ** halves(part)
            terms[words] = terms.get(words, Fraction(0)) + weight * scale
    return Window(terms, calculus, (0,) * window)


def splits(word: Word, parts: int) -> list[Words]:
    """A word over several steps of length 1, as the sum of these words over each (Chen)."""
    if parts == 0:
        return [] if word else [()]
    if parts == 1:
        return [(word,)]
    return [(*head, word[i:]) for i in range(len(word) + 1) for head in splits(word[:i], parts - 1)]


class TooShort(Exception):
    """The window does not reach back far enough for a tree."""


class MemoryWeights:
    """Weights over a window of steps, the last of which is the step that is taken.

    Parameters
    ----------
    tableau : Tableau
    channels : int
    window : int
        Number of steps.
    embedded : bool
    ratios : tuple of Fraction
        Of each step to the one before, the last step first; the last ratio holds for the rest.
    numerical : int
        How many of the steps before the last one are the method's own; those before are exact.
    """

    def __init__(
        self,
        tableau: Tableau,
        channels: int,
        window: int,
        embedded: bool,
        ratios: tuple[Fraction, ...],
        numerical: int = 0,
    ) -> None:
        self.tableau = tableau
        self.exact = max(0, window - 1 - numerical)
        self.ratios = ratios
        self.roots = lengths(ratios, window)
        self.window = window
        self.parts = tableau.embedded if embedded else tableau.outputs
        self.domain = entry_domain(in_last_step(tableau, ratios))
        self._graph: Weights[Any, Any] = Weights(tableau, channels, Nothing(), remembering=True)
        self._stages: dict[tuple[str, Where, Tree, int], tuple[Window, ...]] = {}
        self._values: dict[tuple[str, Where, Forest, int], tuple[Window, ...]] = {}
        self._begins: dict[tuple[Tree, int], Window] = {}
        self._ideals: dict[Tree, Window] = {}
        self._variables: dict[tuple[str, Channels, int], Window] = {}

    def number(self, value: Fraction) -> Any:
        """A rational number in the domain of the entries."""
        return self.domain.convert(sympy.Rational(value.numerator, value.denominator))

    def entry(self, entry: Any, step: int) -> Any:
        """An entry in one of the steps, in the domain of the entries."""
        return self.domain.from_sympy(in_step(entry, self.window - 1 - step, self.ratios))

    def _lifted(self, one: Functional, step: int) -> Window:
        divisors = tuple(one.divisor if i == step else 0 for i in range(self.window))
        terms = {
            tuple(word if i == step else () for i in range(self.window)): self.number(
                Fraction(c) * self.roots[step] ** (halves(word) - 2 * one.divisor)
            )
            for word, c in one.terms.items()
        }
        return Window(terms, self.tableau.calculus, divisors)

    def variable(self, label: str, channels: Channels, step: int) -> Window:
        """A label of one of the steps."""
        key = (label, channels, step)
        found = self._variables.get(key)
        if found is None:
            calculus = self.tableau.calculus
            found = Window({}, calculus, (0,) * self.window)
            for coefficient, power, monomial in variables[label].terms(*(channels or (1, 1))):
                if power.denominator != 1:
                    raise TableauError(
                        f"tableau {self.tableau.name!r}: the label {label!r} has an odd power of "
                        "sqrt(h), "
                        "for which weights over several steps are not provided"
                    )
                term = Functional({(): Fraction(1)}, calculus, -int(power)).raised(0)
                for (name, at), exponent in monomial:
                    if PRIMITIVES[name].law != "path":
                        raise TableauError(
                            f"tableau {self.tableau.name!r}: {name!r} is no functional of the "
                            "path, and "
                            "weights over several steps are provided for such functionals only"
                        )
                    for _ in range(exponent):
                        term = term * primitive_functional(name, at, calculus)
                part = self._lifted(term, step)
                entry = self.domain.from_sympy(coefficient)
                found = found + part.scaled(entry)
            self._variables[key] = found
        return found

    def stage(self, block: Block, where: Where, tree: Tree, step: int) -> tuple[Window, ...]:
        """Weights of a tree at the stages of a block in a step of the window."""
        key = (block.name, where, tree, step)
        if key not in self._stages:
            base = self.begin(tree, step)
            if tree.colour == TIME:
                one = self._lifted(Functional({(0,): Fraction(1)}, self.tableau.calculus), step)
                found = tuple(base + one.scaled(self.entry(c, step)) for c in block.nodes)
            else:
                found = self._coupled(block, where, tree, step, (base,) * block.stages)
            self._stages[key] = found
        return self._stages[key]

    def begin(self, tree: Tree, step: int) -> Window:
        """Weight of a tree in the value at which a step begins."""
        if step <= self.exact or tree.colour == TIME:
            return self._exact(tree, step)
        key = (tree, step)
        if key not in self._begins:
            total = self.begin(tree, step - 1)
            for part in self.parts:
                total = total + self._collected(part, tree, step - 1)
            self._begins[key] = total
        return self._begins[key]

    def ideal(self, tree: Tree) -> Window:
        """Weight of a tree in the solution at the end of the last step, from the value at its begin."""
        step = self.window - 1
        if self.exact >= step or tree.colour == TIME:
            return self._exact(tree, self.window)
        if tree not in self._ideals:
            unit: dict[Words, Any] = {((),) * self.window: self.number(Fraction(1))}
            inner = Window(unit, self.tableau.calculus, (0,) * self.window)
            for child in tree.children:
                inner = inner * self.ideal(child)
            # The integral over the step appends the colour to the last step's words.
            end, scale = tree.colour, self.number(self.roots[step] ** halves((tree.colour,)))
            terms = {(*w[:-1], (*w[-1], end)): value * scale for w, value in inner.terms.items()}
            change = Window(terms, self.tableau.calculus, inner.divisors)
            self._ideals[tree] = self.begin(tree, step) + change
        return self._ideals[tree]

    def _exact(self, tree: Tree, steps: int) -> Window:
        exact = exact_over(tree, steps, self.window, self.tableau.calculus, self.ratios)
        return exact.converted(self.number)

    def _coupled(
        self, block: Block, where: Where, tree: Tree, step: int, start: tuple[Window, ...]
    ) -> tuple[Window, ...]:
        total = list(start)
        for coupling in self.tableau.couplings:
            if coupling.target != block.name:
                continue
            source = self.tableau.block(coupling.source)
            for there, label in self._graph.sources(source, coupling, tree.colour, where):
                values = self.value(source, there, tree.children, step)
                variable = self.variable(coupling.label, label, step)
                for i, j, entry in coupling.entries():
                    term = (values[j] * variable).scaled(self.entry(entry, step))
                    total[i] = total[i] + term
        return tuple(total)

    def value(self, block: Block, where: Where, forest: Forest, step: int) -> tuple[Window, ...]:
        """Products of weights at the stages of a block; those of a memory block are of an
        earlier step.
        """
        if block.remembers is not None and forest:
            if step < block.lag:
                raise TooShort
            source = self.tableau.block(block.remembers)
            return self.value(source, where, forest, step - block.lag)
        if not forest:
            unit = self._lifted(Functional({(): Fraction(1)}, self.tableau.calculus), step)
            return (unit,) * block.stages
        key = (block.name, where, forest, step)
        if key not in self._values:
            first = self.value(block, where, forest[:-1], step)
            last = self.stage(block, where, forest[-1], step)
            self._values[key] = tuple(a * b for a, b in zip(first, last))
        return self._values[key]

    def output(self, tree: Tree) -> Window:
        """Weight of a tree in the new value, around the start of the window."""
        return self.begin(tree, self.window)

    def _collected(self, part: Output | Coupling, tree: Tree, step: int) -> Window:
        assert isinstance(part, Output)
        total = Window({}, self.tableau.calculus, (0,) * self.window)
        source = self.tableau.block(part.source)
        for there, label in self._graph.sources(source, part, tree.colour, None):
            values = self.value(source, there, tree.children, step)
            variable = self.variable(part.label, label, step)
            for j, entry in part.entries():
                total = total + (values[j] * variable).scaled(self.entry(entry, step))
        return total


class Nothing:
    """Stands in for an algebra where only the graph of a tableau is asked for."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class MemoryTables:
    """Differences and means over windows that are as short as each tree allows.

    Parameters
    ----------
    tableau : Tableau
    embedded : bool
    ratios : tuple of Fraction
        Of each step to the one before, the last step first; the last ratio holds for the rest.

    Attributes
    ----------
    last : Tableau
        The tableau as it is in the last step: entries are numbers, or polynomials in w.
    """

    def __init__(self, tableau: Tableau, embedded: bool, ratios: tuple[Fraction, ...]) -> None:
        lengths(ratios, len(ratios) + 1)  # refuses ratios without a rational root
        self.tableau = tableau
        self.last = in_last_step(tableau, ratios)
        self.embedded = embedded
        self.ratios = ratios
        self._tables: dict[tuple[int, int, int], MemoryWeights] = {}
        self._products: dict[tuple[Forest, int, int, int], Window] = {}
        self._residuals: dict[tuple[Forest, int, int, int], Any] = {}
        self._windows: dict[tuple[Tree, int], int] = {}

    def weights(self, channels: int, window: int, numerical: int = 0) -> MemoryWeights:
        """The tables for a number of channels and of steps."""
        key = (channels, window, numerical)
        if key not in self._tables:
            self._tables[key] = MemoryWeights(
                self.tableau, channels, window, self.embedded, self.ratios, numerical
            )
        return self._tables[key]

    def window(self, tree: Tree, channels: int, numerical: int = 0) -> int:
        """How many steps the weight of a tree spans."""
        found = self._windows.get((tree, numerical), 1 + numerical)
        while True:
            try:
                self.weights(channels, found, numerical).output(tree)
            except TooShort:
                found += 1
            else:
                self._windows[tree, numerical] = found
                return found

    def numerical(self, forests: Sequence[Forest]) -> int:
        """How many steps before the last have to be the method's own, for a condition on means.

        As far back as it remembers, where two terms of h^(3/2) can meet: with noise, from order 3 on.
        """
        trees = [tree for forest in forests for tree in forest]
        noisy = any(node.colour > 0 for tree in trees for node in tree.nodes())
        if not noisy or all(sum(tree.order for tree in forest) < 3 for forest in forests):
            return 0
        return max((block.lag for block in self.tableau.blocks if block.remembers), default=0)

    def difference(self, tree: Tree, channels: int, window: int = 1) -> Window:
        """Weight minus integral, over a window of steps or as many as the tree needs."""
        window = max(window, self.window(tree, channels))
        weights = self.weights(channels, window)
        exact = exact_over(tree, window, window, self.tableau.calculus, self.ratios)
        return weights.output(tree) - exact.converted(weights.number)

    def mean_residual(self, forest: Forest, channels: int, window: int = 1, own: int = 0) -> Any:
        """E prod Phi - E prod phi over a window, or the longest among the trees.

        Where the mean of a tree of lower order is wrong by itself, and right only together with others,
        it depends on the window; so the forests of one condition have to be given the same, and the
        same number of steps of the method's own.
        """
        window = max(window, *(self.window(tree, channels, own) for tree in forest))
        key = (forest, channels, window, own)
        if key not in self._residuals:
            self._residuals[key] = self._residual(forest, channels, window, own)
        return self._residuals[key]

    def _residual(self, forest: Forest, channels: int, window: int, own: int) -> Any:
        weights = self.weights(channels, window, own)
        unit: dict[Words, Any] = {((),) * window: weights.number(Fraction(1))}
        ideal = Window(unit, self.tableau.calculus, (0,) * window)
        for tree in forest:
            ideal = ideal * weights.ideal(tree)
        found = self._product(forest, channels, window, own)
        return found.expectation(weights.number) - ideal.expectation(weights.number)

    def _product(self, forest: Forest, channels: int, window: int, own: int) -> Window:
        key = (forest, channels, window, own)
        if key not in self._products:
            found = self.weights(channels, window, own).output(forest[-1])
            if len(forest) > 1:
                found = self._product(forest[:-1], channels, window, own) * found
            self._products[key] = found
        return self._products[key]
