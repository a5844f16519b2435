"""The conditions of an order, evaluated for one tableau in one class of noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy

from tableaux.blocks import Coupling, Output
from tableaux.constraints import (
    Combination,
    commutative_conditions,
    free_conditions,
    martingale_conditions,
    patterns,
)
from tableaux.differences import differences_cancel
from tableaux.errors import TableauError, unknown
from tableaux.findings import Failure
from tableaux.memory import MemoryTables, of_surplus
from tableaux.parts import difference_in_pieces, pieces
from tableaux.relative import in_last_step
from tableaux.rooted_trees import LINEAR, Forest, Tree
from tableaux.tableau import (
    NOISE_CLASSES,
    RELATIVE_STEP,
    Tableau,
)
from tableaux.variables import variables
from tableaux.weights import (
    EntryAlgebra,
    StageVector,
    Weights,
    entry_domain,
    entry_weights,
    homogeneous,
    slack,
)
from tableaux.windows import Window
from tableaux.words import Functional, exact_mean, exact_weight

__all__ = ["CLASSES", "HALF", "Prover"]

HALF = Fraction(1, 2)
CLASSES = (*NOISE_CLASSES, "martingale", "kinetic")


class Prover:
    """Residuals of a tableau's conditions in one noise class.

    Parameters
    ----------
    tableau : Tableau
    noise : str
        One of `NOISE_CLASSES`, or ``"martingale"``.
    embedded : bool
    autonomous : bool
        Leave out the conditions that only problems with explicit time pose.
    channels : int or None
        Bound on the number of different channels in a condition; None: as many as there can be.
    ratios : sequence of Fraction
        For tableaux with memory: how many times as long a step is as the one before, the last step
        first; the last ratio holds for all earlier steps.  Squares of rational numbers.
    """

    def __init__(
        self,
        tableau: Tableau,
        noise: str,
        *,
        embedded: bool = False,
        autonomous: bool = False,
        channels: int | None = None,
        ratios: Sequence[Fraction] = (Fraction(1),),
    ) -> None:
        if noise not in CLASSES:
            raise TableauError(unknown("noise class", noise, CLASSES))
        self.relative = RELATIVE_STEP in tableau.free_symbols
        ratios = tuple(ratios)
        self.memory = None if tableau.start is None else _memory(tableau, embedded, ratios)
        tableau = in_last_step(tableau, ratios)
        self.tableau = tableau
        self.noise = noise
        self.embedded = embedded
        self.calculus = tableau.calculus
        self.domain = entry_domain(tableau)
        if (self.memory is not None or self.relative) and not homogeneous(tableau):
            raise TableauError(
                f"tableau {tableau.name!r}: with memory or with h_t in entries, labels must scale as "
                "h for drift and sqrt(h) for diffusion values"
            )
        self.pieces = pieces(tableau)
        self.limit = {"scalar": 1, "none": 0}.get(noise, channels)
        self.all_choices = False
        self.symmetric = channel_symmetric(tableau)
        self.even = sign_symmetric(tableau)
        uneven = not autonomous and not row_sums(tableau, noise in ("additive", "martingale"))
        self.rule = "general" if noise == "none" else noise
        self.time = uneven
        if noise == "additive":
            self.rule = "unit" if autonomous else ("timed" if uneven else "driven")
            self.time = not autonomous
        if noise == "kinetic":
            self.rule, self.time = "unit", False
        self.spread = any(
            block.replication == "pair"
            or (block.colour == "drift" and block.replication == "channel")
            for block in tableau.blocks
        )

    def weights(self, channels: int) -> Weights[StageVector, Any]:
        """The tables of weights for a number of channels."""
        return entry_weights(self.tableau, channels, self.embedded)

    def algebra(self, channels: int) -> EntryAlgebra:
        """The arithmetic of those weights."""
        algebra = self.weights(channels).algebra
        assert isinstance(algebra, EntryAlgebra)
        return algebra

    def number(self, value: Fraction) -> Any:
        """A rational number in the domain of the entries."""
        return self.domain.convert(sympy.Rational(value.numerator, value.denominator))

    def combinations(self, order: Fraction, single: bool, means: bool) -> Iterator[Combination]:
        """The conditions at an order: trees (``single``) or forests; ``means``: only means matter."""
        most = int(order * 2)
        if self.noise == "martingale":
            top = min(self.limit or 2, most)
            for m in range(top if self.all_choices else 1, top + 1):
                gradient = means and not single and self.symmetric
                yield from martingale_conditions(order, m, single, gradient)
            return
        colours = most if self.limit is None else min(self.limit, most)
        for content in patterns(
            order,
            colours,
            time=self.time,
            linear=self.tableau.exponential,
            sorted_only=self.symmetric,
            even_only=means and self.even,
            all_choices=self.all_choices,
        ):
            if self.noise == "commutative":
                yield from commutative_conditions(content, single)
                continue
            for condition in free_conditions(content, self.rule, single):
                if self.noise != "kinetic" or all(map(_kinetic, condition.forest)):
                    yield condition

    def numbers_of_channels(self, combination: Combination) -> range:
        """For which m a condition is evaluated."""
        low = max(combination.channels, 1)
        if self.noise in ("scalar", "none") or not self.spread:
            return range(low, low + 1)
        return range(low, max(3, low) + 1)

    def levels(
        self, order: Fraction, single: bool, means: bool
    ) -> Iterator[tuple[Combination, int]]:
        """Conditions with the surplus power of sqrt(h) at which they contribute to the error at an
        order.
        """
        if homogeneous(self.tableau) and not self.relative:
            for combination in self.combinations(order, single, means):
                yield combination, 0
            return
        self._check_slack(order)
        most = int(2 * order)
        # Powers of w = h/t are whole; those of labels may be halves.
        for halves in range(2 - most % 2 if self.relative else 1, most + 1, 1 + self.relative):
            for combination in self.combinations(Fraction(halves, 2), single, means):
                yield combination, most - halves

    def _check_slack(self, order: Fraction) -> None:
        """Refuse outputs that are too large, unless their excess cancels for every tree that it
        could lift.
        """
        if self.relative or differences_cancel(self.tableau):
            return
        most = order + Fraction(slack(self.tableau), 2)
        for halves in range(1, int(2 * most) + 1):
            for combination in self.combinations(Fraction(halves, 2), True, False):
                for forest, _ in combination.terms:
                    for channels in self.numbers_of_channels(combination):
                        weight = self.weights(channels).output(forest[0])
                        if self.algebra(channels).least_excess(weight) < 0:
                            raise TableauError(
                                f"tableau {self.tableau.name!r}: the weight of the tree "
                                f"{forest[0]} has a "
                                f"lower power of h than the tree's {forest[0].order}: a step "
                                "would not "
                                "converge to the solution, or only by cancellation between trees"
                            )

    def window(self, combination: Combination, own: int = 0) -> int:
        """How many steps a condition spans, so many before the last one being the method's own; its
        forests must be taken over the same ones.
        """
        if self.memory is None:
            return 1
        trees = {tree for forest, _ in combination.terms for tree in forest}
        return max((self.memory.window(t, own) for t in trees), default=1)

    def difference(
        self, tree: Tree, channels: int, surplus: int = 0, window: int = 1
    ) -> Functional | Window:
        """Weight minus integral of a tree, in words; with a surplus power of sqrt(h), the weight's
        alone.
        """
        if self.memory is not None:
            difference = self.memory.difference(tree, channels, window)
            return difference.mapped(lambda value: of_surplus(value, surplus))
        weights, algebra = self.weights(channels), self.algebra(channels)
        weight = weights.output(tree)
        if not self.relative:
            weight = algebra.of_excess(weight, surplus)
        if self.pieces > 1:
            return difference_in_pieces(algebra, weight, tree, self.calculus, self.pieces)
        numerical = algebra.functional(weight, self.calculus, tree.halves)
        if self.relative:
            numerical = numerical.converted(lambda jet: of_surplus(jet, surplus))
        if surplus:
            return numerical
        exact = exact_weight(tree, self.calculus)
        return numerical - exact.converted(self.number)

    def mean_residual(
        self, forest: Forest, channels: int, surplus: int = 0, window: int = 1, own: int = 0
    ) -> Any:
        """E prod Phi - E prod phi, in the domain of the entries; the latter only without a
        surplus.
        """
        if self.memory is not None:
            return of_surplus(self.memory.mean_residual(forest, channels, window, own), surplus)
        weights, algebra = self.weights(channels), self.algebra(channels)
        exact = self.domain.zero
        if not surplus:
            exact = self.number(exact_mean(forest, self.calculus))
        factors = [weights.output(tree) for tree in forest]
        if not all(factors):
            return -exact
        if self.relative:
            # Powers of w are told apart at the end: they are among the coefficients.
            left = self._product(forest[:-1], channels) if forest[1:] else algebra.ring.one
            return of_surplus(algebra.mean_of_product(left, factors[-1]), surplus) - exact
        if not algebra.homogeneous:
            product = algebra.of_excess(self._product(forest, channels), surplus)
            return algebra.mean(product) - exact
        if len(factors) == 1:
            return algebra.mean(factors[0]) - exact
        # The longest partial product is shared with the forest's siblings.
        left = self._product(forest[:-1], channels)
        return algebra.mean_of_product(left, factors[-1]) - exact

    def _product(self, forest: Forest, channels: int) -> Any:
        cache = _products(self.tableau, channels, self.embedded)
        found = cache.get(forest)
        if found is None:
            found = self.weights(channels).output(forest[-1])
            if len(forest) > 1:
                before = self._product(forest[:-1], channels)
                found = self.algebra(channels).reduced(before * found)
            cache[forest] = found
        return found

    def mean_failures(self, order: Fraction, kind: str) -> Iterator[tuple[Failure, int]]:
        """Conditions on means that fail at an order ("mean": trees, "weak": forests)."""
        for combination, surplus in self.levels(order, kind == "mean", True):
            for channels in self.numbers_of_channels(combination):
                total, forests = self.domain.zero, [forest for forest, _ in combination.terms]
                own = self.memory.numerical(forests) if self.memory else 0
                window = self.window(combination, own)
                for forest, weight in combination.terms:
                    value = self.mean_residual(forest, channels, surplus, window, own)
                    if value:
                        total = total + (value if weight == 1 else value * self.number(weight))
                if total:
                    residual = self.domain.to_sympy(total)
                    yield Failure(kind, order, combination, residual), channels
                    break

    def square_differences(self, order: Fraction) -> Iterator[tuple[Combination, Any]]:
        """Conditions in mean square that fail at an order, with weight minus integral in words."""
        for combination, surplus in self.levels(order, True, False):
            for channels in self.numbers_of_channels(combination):
                total: Any = None
                window = self.window(combination)
                for forest, weight in combination.terms:
                    part = self.difference(forest[0], channels, surplus, window)
                    if part:
                        part = part if weight == 1 else part.scaled(self.number(weight))
                        total = part if total is None else total + part
                if total:
                    yield combination, total.converted(self.domain.to_sympy)
                    break

    def square_failures(self, order: Fraction) -> Iterator[tuple[Failure, int]]:
        """The same with their root mean squares."""
        for combination, difference in self.square_differences(order):
            square = sympy.sympify(difference.squared_norm()) / self.pieces ** int(2 * order)
            residual = sympy.sqrt(sympy.expand(square))
            failure = Failure("mean square", order, combination, residual, repr(difference))
            yield failure, combination.channels


def _kinetic(tree: Tree) -> bool:
    """Whether no drift is differentiated in the direction of a drift or of noise: only L leads there."""
    return all(
        child.colour == LINEAR
        for node in tree.nodes()
        if node.colour == 0
        for child in node.children
    )


@lru_cache(maxsize=64)
def _memory(tableau: Tableau, embedded: bool, ratios: tuple[Fraction, ...]) -> MemoryTables:
    return MemoryTables(tableau, embedded, ratios)


@lru_cache(maxsize=64)
def _products(tableau: Tableau, channels: int, embedded: bool) -> dict[Forest, Any]:
    return {}


@lru_cache(maxsize=256)
def channel_symmetric(tableau: Tableau) -> bool:
    """Whether the channels may be permuted without changing the joint law of the weights."""
    parts: list[Coupling | Output] = [*tableau.couplings, *tableau.outputs, *tableau.embedded]
    if any(part.selector in ("less", "greater") for part in parts):
        return False
    return all(
        variables[label].arity < 2
        or variables[label].expression("less") == variables[label].expression("greater")
        for label in tableau.labels
    )


@lru_cache(maxsize=256)
def sign_symmetric(tableau: Tableau) -> bool:
    """Whether reversing one channel's noise reverses exactly the diffusion values of that channel.

    Then a product of weights has mean zero when some channel occurs an odd number of times, as the
    product of integrals has.
    """

    def parity_is(label: str, channels: tuple[int, int], odd: set[int]) -> bool:
        for _, _, powers in variables[label].terms(*channels):
            for channel in set(channels):
                flips = sum(power for (_, at), power in powers for c in at if c == channel)
                if flips % 2 != (channel in odd):
                    return False
        return True

    def fits(label: str, colour: str, pair_output: bool) -> bool:
        if variables[label].arity == 0:
            return colour == "drift"
        if colour == "drift":
            return parity_is(label, (1, 1), set()) and parity_is(label, (1, 2), set())
        # The evaluated channel is the label's first index, except for an output from a pair block.
        value = 1 if pair_output else 0
        every = ((1, 1), (1, 2), (2, 1)) if variables[label].arity == 2 else ((1, 1),)
        return all(parity_is(label, pair, {pair[value]}) for pair in every)

    for coupling in tableau.couplings:
        if not fits(coupling.label, tableau.block(coupling.source).colour, False):
            return False
    for output in (*tableau.outputs, *tableau.embedded):
        block = tableau.block(output.source)
        if not fits(output.label, block.colour, block.replication == "pair"):
            return False
    return True


@lru_cache(maxsize=256)
def row_sums(tableau: Tableau, drift_only: bool) -> bool:
    """Whether every node equals the weight of a drift leaf at its stage, so that time needs no
    trees.
    """
    if tableau.start is not None or RELATIVE_STEP in tableau.free_symbols:
        return False
    weights = entry_weights(tableau, 2)
    algebra = weights.algebra
    assert isinstance(algebra, EntryAlgebra)
    copies = {"once": ((),), "channel": ((1,), (2,)), "pair": ((1, 2), (2, 1))}
    for block in tableau.blocks:
        if drift_only and block.colour != "drift":
            continue
        for where in copies[block.replication]:
            drift = weights.stage(block, where, Tree(0))
            nodes = algebra.nodes(block)
            if (tuple(drift) if drift else (algebra.ring.zero,) * block.stages) != nodes:
                return False
    return True
