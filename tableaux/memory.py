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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import cache
from math import isqrt
from typing import Any

import sympy

from tableaux.blocks import Block, Coupling, Output
from tableaux.errors import TableauError
from tableaux.jets import DEGREE, Jet, Jets
from tableaux.relative import in_last_step, in_step
from tableaux.rooted_trees import TIME, Forest, Tree
from tableaux.tableau import Tableau
from tableaux.variables import PRIMITIVES, variables
from tableaux.weights import Channels, Weights, Where, entry_domain
from tableaux.windows import Number, Window, Words, from_noise_on
from tableaux.words import (
    Functional,
    Word,
    exact_mean,
    exact_weight,
    halves,
    primitive_functional,
    product_of_words,
)


def of_surplus(value: Any, surplus: int) -> Any:
    """The terms with w^(surplus/2) of an element of the domain of the entries, w taken as 1.

    Everything, where entries do not depend on w and there is no surplus.
    """
    if not isinstance(value, Jet):
        return value * int(not surplus)
    power, odd = divmod(surplus, 2)
    return value.of_power(-1 if odd else power)


def up_to(value: Any, degree: int) -> Any:
    """The powers of w up to one of an element of the domain of the entries."""
    return value.up_to(degree) if isinstance(value, Jet) else value


def rationals(domain: Any) -> Number:
    """What puts rational numbers among the coefficients of windows; jets take plain ones."""
    if isinstance(domain, Jets):
        return lambda value: value
    return cache(lambda value: domain.convert(sympy.Rational(value.numerator, value.denominator)))


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
    roots = lengths(ratios, window)[:steps]
    terms: dict[Words, Fraction] = {}
    for word, weight in exact_weight(tree, calculus).terms.items():
        for words, value in _word_over(word, roots, calculus):
            key = words + ((),) * (window - steps)
            terms[key] = terms.get(key, Fraction(0)) + weight * value
    return Window(terms, calculus, Fraction)


@cache
def _word_over(
    word: Word, roots: tuple[Fraction, ...], calculus: str
) -> tuple[tuple[Words, Fraction], ...]:
    """A word over several steps, given by the roots of their lengths (Chen)."""
    if not roots:
        return () if word else (((), Fraction(1)),)
    total: dict[Words, Fraction] = {}
    for i in range(len(word) + 1):
        scale = roots[-1] ** halves(word[i:])
        for last, share in from_noise_on(word[i:], calculus):
            for before, value in _word_over(word[:i], roots[:-1], calculus):
                key = (*before, last)
                total[key] = total.get(key, Fraction(0)) + value * share * scale
    return tuple(total.items())


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
        self.number = rationals(self.domain)
        self._graph: Weights[Any, Any] = Weights(tableau, channels, Nothing(), remembering=True)
        self._stages: dict[tuple[str, Where, Tree, int], tuple[Window, ...]] = {}
        self._values: dict[tuple[str, Where, Forest, int], tuple[Window, ...]] = {}
        self._begins: dict[tuple[Tree, int], Window] = {}
        self._runs: dict[Tree, dict[Word, Window]] = {}
        self._variables: dict[tuple[str, Channels, int], Window] = {}
        self._entries: dict[tuple[Any, int], Any] = {}

    def entry(self, entry: Any, step: int) -> Any:
        """An entry in one of the steps, in the domain of the entries."""
        key = (entry, step)
        if key not in self._entries:
            number = in_step(entry, self.window - 1 - step, self.ratios)
            self._entries[key] = self.domain.from_sympy(number)
        return self._entries[key]

    def _window(self, terms: Mapping[Words, Any]) -> Window:
        return Window.of_words(terms, self.tableau.calculus, self.number)

    def _one(self) -> Window:
        return Window.one(self.window, self.tableau.calculus, self.number)

    def _lifted(self, one: Functional, step: int) -> Window:
        return self._window(
            {
                tuple(word if i == step else () for i in range(self.window)): self.number(
                    Fraction(c) * self.roots[step] ** (halves(word) - 2 * one.divisor)
                )
                for word, c in one.terms.items()
            }
        )

    def variable(self, label: str, channels: Channels, step: int) -> Window:
        """A label of one of the steps."""
        key = (label, channels, step)
        found = self._variables.get(key)
        if found is None:
            calculus = self.tableau.calculus
            found = self._window({})
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
                found = found.plus(
                    [(self._lifted(term, step), self.domain.from_sympy(coefficient))]
                )
            self._variables[key] = found
        return found

    def stage(self, block: Block, where: Where, tree: Tree, step: int) -> tuple[Window, ...]:
        """Weights of a tree at the stages of a block in a step of the window."""
        key = (block.name, where, tree, step)
        if key not in self._stages:
            base = self.begin(tree, step)
            if tree.colour == TIME:
                length = self._one().scaled(self.number(self.roots[step] ** 2))
                found = tuple(base.plus([(length, self.entry(c, step))]) for c in block.nodes)
            else:
                found = self._coupled(block, where, tree, step, base)
            self._stages[key] = found
        return self._stages[key]

    def begin(self, tree: Tree, step: int) -> Window:
        """Weight of a tree in the value at which a step begins."""
        key = (tree, step)
        if key not in self._begins:
            if step <= self.exact or tree.colour == TIME:
                calculus = self.tableau.calculus
                exact = exact_over(tree, step, self.window, calculus, self.ratios)
                self._begins[key] = exact.over(self.number)
            else:
                terms = (t for part in self.parts for t in self._collected(part, tree, step - 1))
                self._begins[key] = self._kept(self.begin(tree, step - 1).plus(terms), tree.halves)
        return self._begins[key]

    def ideal(self, tree: Tree) -> Window:
        """Weight of a tree in the solution at the end of the last step, from the value at its begin."""
        last = ((),) * (self.window - 1)
        found = self._window({})
        for word, factor in self._running(tree).items():
            found = found + self._window({(*last, word): self.number(Fraction(1))}) * factor
        return found

    def _running(self, tree: Tree) -> dict[Word, Window]:
        """The same on the way through the last step: what each word of that step is multiplied by.

        The words are integrated on, so that (0) is no number here.
        """
        if tree not in self._runs:
            end = self.window - 1
            inner: dict[Word, Window] = {(): self._one()}
            for child in tree.children:
                total: dict[Word, Window] = {}
                for u, a in inner.items():
                    for v, b in self._running(child).items():
                        for word, count in product_of_words(u, v, self.tableau.calculus):
                            term = (a * b).scaled(self.number(Fraction(count)))
                            total[word] = total[word] + term if word in total else term
                inner = total
            letter = max(tree.colour, 0)
            scale = self.number(self.roots[end] ** halves((letter,)))
            self._runs[tree] = {(*word, letter): part.scaled(scale) for word, part in inner.items()}
            self._runs[tree][()] = self.begin(tree, end)
        return self._runs[tree]

    def _coupled(
        self, block: Block, where: Where, tree: Tree, step: int, base: Window
    ) -> tuple[Window, ...]:
        terms: list[list[tuple[Window, Any]]] = [[] for _ in range(block.stages)]
        for coupling in self.tableau.couplings:
            if coupling.target != block.name:
                continue
            source = self.tableau.block(coupling.source)
            for there, label in self._graph.sources(source, coupling, tree.colour, where):
                values = self._driven(source, there, coupling.label, label, tree, step)
                for i, j, entry in coupling.entries():
                    terms[i].append((values[j], self.entry(entry, step)))
        return tuple(self._kept(base.plus(found), tree.halves) for found in terms)

    def _driven(
        self, source: Block, where: Where, label: str, channels: Channels, tree: Tree, step: int
    ) -> tuple[Window, ...]:
        """What a node weighs at the stages that it is evaluated at, with a label."""
        variable = self.variable(label, channels, step)
        return tuple(v * variable for v in self.value(source, where, tree.children, step))

    def value(self, block: Block, where: Where, forest: Forest, step: int) -> tuple[Window, ...]:
        """Products of weights at the stages of a block; those of a memory block are of an
        earlier step.
        """
        if not forest:
            return (self._one(),) * block.stages
        if block.remembers is not None:
            source = self.tableau.block(block.remembers)
            return self.value(source, where, forest, step - block.lag)
        key = (block.name, where, forest, step)
        if key not in self._values:
            found = self.stage(block, where, forest[-1], step)
            if len(forest) > 1:
                first = self.value(block, where, forest[:-1], step)
                size = sum(tree.halves for tree in forest)
                found = tuple(self._kept(a * b, size) for a, b in zip(first, found))
            self._values[key] = found
        return self._values[key]

    def _kept(self, found: Window, size: int) -> Window:
        """Without the powers of w that lift an order, in halves, above all that are looked at."""
        if not isinstance(self.domain, Jets):
            return found
        return found.mapped(lambda value: up_to(value, DEGREE + 1 - (size + 1) // 2))

    def output(self, tree: Tree) -> Window:
        """Weight of a tree in the new value, around the start of the window."""
        return self.begin(tree, self.window)

    def _collected(self, part: Output, tree: Tree, step: int) -> Iterator[tuple[Window, Any]]:
        source = self.tableau.block(part.source)
        for there, label in self._graph.sources(source, part, tree.colour, None):
            values = self._driven(source, there, part.label, label, tree, step)
            for j, entry in part.entries():
                yield values[j], self.entry(entry, step)


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
        self._products: dict[tuple[Forest, int, int, int], tuple[Window, Window]] = {}
        self._residuals: dict[tuple[Forest, int, int, int], Any] = {}
        self._reach: dict[tuple[str, Forest], int] = {}

    def weights(self, channels: int, window: int, numerical: int = 0) -> MemoryWeights:
        """The tables for a number of channels and of steps."""
        key = (channels, window, numerical)
        if key not in self._tables:
            self._tables[key] = MemoryWeights(
                self.tableau, channels, window, self.embedded, self.ratios, numerical
            )
        return self._tables[key]

    def window(self, tree: Tree, numerical: int = 0) -> int:
        """How many steps the weight of a tree spans."""
        parts = self.tableau.embedded if self.embedded else self.tableau.outputs
        return 1 + numerical + self._back(parts, tree)

    def _back(self, parts: Iterable[Output | Coupling], tree: Tree) -> int:
        """How many steps back a tree is evaluated through some parts."""
        sources = (self.tableau.block(part.source) for part in parts)
        fitting = (s for s in sources if (s.colour == "drift") == (tree.colour <= 0))
        return max((self._back_from(source, tree.children) for source in fitting), default=0)

    def _back_from(self, block: Block, forest: Forest) -> int:
        if not forest:
            return 0
        key = (block.name, forest)
        if key not in self._reach:
            lag, source = (block.lag, block.remembers) if block.remembers else (0, block.name)
            into = [c for c in self.tableau.couplings if c.target == source]
            self._reach[key] = lag + max(self._back(into, tree) for tree in forest)
        return self._reach[key]

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
        window = max(window, self.window(tree))
        weights = self.weights(channels, window)
        exact = exact_over(tree, window, window, self.tableau.calculus, self.ratios)
        return weights.output(tree) - exact.over(weights.number)

    def mean_residual(self, forest: Forest, channels: int, window: int = 1, own: int = 0) -> Any:
        """E prod Phi - E prod phi over a window, or the longest among the trees.

        Where the mean of a tree of lower order is wrong by itself, and right only together with others,
        it depends on the window; so the forests of one condition have to be given the same, and the
        same number of steps of the method's own.
        """
        window = max(window, *(self.window(tree, own) for tree in forest))
        key = (forest, channels, window, own)
        if key not in self._residuals:
            self._residuals[key] = self._residual(forest, channels, window, own)
        return self._residuals[key]

    def _residual(self, forest: Forest, channels: int, window: int, own: int) -> Any:
        weights = self.weights(channels, window, own)
        output = weights.output(forest[-1])
        # The longest tree comes last, and its product with the others is never formed.
        before = self._product(forest[:-1], channels, window, own)
        mean = before[0].mean_of_product(output)
        if own:
            return mean - before[1].mean_of_product(weights.ideal(forest[-1]))
        length = sum(root**2 for root in weights.roots)
        power = sum(tree.halves for tree in forest) // 2  # that of a forest with a mean is even
        return mean - weights.number(exact_mean(forest, self.tableau.calculus) * length**power)

    def _product(
        self, forest: Forest, channels: int, window: int, own: int
    ) -> tuple[Window, Window]:
        """Products of the weights of several trees, and of those in the solution."""
        key = (forest, channels, window, own)
        if key not in self._products:
            weights = self.weights(channels, window, own)
            one = Window.one(window, self.tableau.calculus, weights.number)
            found = one, one
            if forest:
                before = self._product(forest[:-1], channels, window, own)
                ideal = before[1] * weights.ideal(forest[-1]) if own else one
                found = before[0] * weights.output(forest[-1]), ideal
            self._products[key] = found
        return self._products[key]
