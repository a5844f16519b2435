"""The proved order of a tableau, in each noise class, in exact arithmetic.

Strong order p: the weights equal the iterated integrals in mean square up to order p, and in mean
at p + 1/2.  Weak order p: the means of all products of weights equal those of the integrals for
forests of total order up to p + 1/2.  Both are the local conditions from which the global orders
follow (Milstein's fundamental theorems), and they are necessary for generic vector fields of the
class.

Conditions are taken over all choices of channels: a weight depends on the channels in its tree
only through which are equal and, for labels such as ``I^_kl``, which is smaller; so contents over
channels 1..q with every channel used stand for all m.  Blocks replicated by pair, and drift blocks
replicated by channel, also sum over channels that the tree does not bear; those tableaux are
evaluated for m up to 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
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
from tableaux.jets import DEGREE
from tableaux.memory import MemoryTables, Window, of_surplus
from tableaux.parts import difference_in_pieces, pieces
from tableaux.relative import in_last_step
from tableaux.rooted_trees import LINEAR, TIME, Forest, Tree, forest_symmetry, trees
from tableaux.tableau import (
    NOISE_CLASSES,
    RELATIVE_STEP,
    STEP_SYMBOLS,
    Tableau,
)
from tableaux.variables import PRIMITIVES, variables
from tableaux.weights import (
    EntryAlgebra,
    StageVector,
    Weights,
    entry_domain,
    entry_weights,
    homogeneous,
    slack,
)
from tableaux.words import Functional, exact_mean, exact_weight

__all__ = ["Failure", "OrderReport", "PrincipalError", "Verdict", "order"]

HALF = Fraction(1, 2)
Ratio = Fraction | int | str

CLASSES = (*NOISE_CLASSES, "martingale", "kinetic")


@dataclass(frozen=True)
class Failure:
    """A condition that does not hold.

    Attributes
    ----------
    kind : {"mean square", "mean", "weak", "deterministic"}
    order : Fraction
        The order of the tree or forest.
    combination : Combination
        Which trees; for most noise classes a single forest.
    residual : sympy.Expr
        Weight minus integral at h = 1: its root mean square for "mean square", its mean otherwise.
    detail : str
        For "mean square": the difference itself, in words.
    """

    kind: str
    order: Fraction
    combination: Combination
    residual: sympy.Expr
    detail: str = ""

    @property
    def forest(self) -> Forest:
        """The forest that leads the condition."""
        return self.combination.forest

    def __str__(self) -> str:
        sides = {
            "mean square": "Phi - phi in mean square",
            "mean": "E Phi - E phi",
            "weak": "E prod Phi - E prod phi",
            "deterministic": "Phi - phi",
        }
        return f"{self.combination}  (order {self.order}): {sides[self.kind]} = {self.residual}"


@dataclass(frozen=True)
class Verdict:
    """What a tableau achieves in one noise class.

    Attributes
    ----------
    noise : str
    strong, weak : Fraction or None
        None where there is no such order at all: see `note`.
    strong_capped, weak_capped : bool
        Whether the search stopped there, so that the order may be higher.
    failing : tuple of Failure
        The first conditions that fail, strong ones before weak ones.
    note : str
    """

    noise: str
    strong: Fraction | None
    weak: Fraction | None
    strong_capped: bool
    weak_capped: bool
    failing: tuple[Failure, ...]
    note: str = ""

    def __str__(self) -> str:
        strong = "none" if self.strong is None else f"{self.strong}{'+' * self.strong_capped}"
        weak = "none" if self.weak is None else f"{self.weak}{'+' * self.weak_capped}"
        return f"{self.noise:<12} strong {strong:<6} weak {weak}"


@dataclass(frozen=True)
class PrincipalError:
    """The leading terms of the local error.

    Attributes
    ----------
    kind : {"strong", "weak", "deterministic"}
    order : Fraction
        Local order of the terms.
    terms : tuple of (Combination, value)
        Error coefficients ``residual / symmetry``; root mean squares for "strong".
    """

    kind: str
    order: Fraction
    terms: tuple[tuple[Combination, sympy.Expr], ...]

    @property
    def norm(self) -> sympy.Expr:
        """Euclidean norm of the coefficients, exact."""
        return sympy.sqrt(sympy.nsimplify(sum((v**2 for _, v in self.terms), sympy.Integer(0))))

    def __str__(self) -> str:
        return f"{self.kind}: {len(self.terms)} terms at order {self.order}, norm {float(self.norm):.4g}"


@dataclass(frozen=True, eq=False)
class OrderReport:
    """The proved orders of a tableau; `str` is meant for people.

    Attributes
    ----------
    tableau : Tableau
    noise : str
        The class that `strong`, `weak` and `failing` speak of: the tableau's own unless one was
        asked for.
    by_noise : dict of noise class to Verdict
        Every class in which the tableau can be used, or the one asked for.
    deterministic : Fraction
        The order without noise.
    embedded : bool
        Whether this is the report of the embedded output.
    """

    tableau: Tableau
    noise: str
    by_noise: dict[str, Verdict]
    deterministic: Fraction
    deterministic_capped: bool
    deterministic_failing: tuple[Failure, ...]
    embedded: bool

    @property
    def own(self) -> Verdict:
        """The verdict in the class :attr:`noise`."""
        return self.by_noise[self.noise]

    @property
    def strong(self) -> Fraction | None:
        """Strong order in the class :attr:`noise`."""
        return self.own.strong

    @property
    def weak(self) -> Fraction | None:
        """Weak order in the class :attr:`noise`."""
        return self.own.weak

    @property
    def failing(self) -> tuple[Failure, ...]:
        """The first conditions that fail in the class :attr:`noise`."""
        return self.own.failing

    @cached_property
    def principal(self) -> tuple[PrincipalError, ...]:
        """Leading local error terms: strong (where there is a strong order) and weak."""
        return principal_errors(self.tableau, noise=self.noise, embedded=self.embedded)

    def __str__(self) -> str:
        title = f"{self.tableau.name}{' (embedded output)' if self.embedded else ''}"
        lines = [f"{title}: {self.tableau.calculus}, meant for {self.tableau.noise} noise"]
        lines += [f"  {verdict}" for verdict in self.by_noise.values()]
        plus = "+" if self.deterministic_capped else ""
        lines.append(f"  without noise: order {self.deterministic}{plus}")
        notes = {v.note: None for v in self.by_noise.values() if v.note}
        lines += [f"  {note}" for note in notes]
        if self.failing:
            lines.append("  first conditions that fail:")
            lines += [f"    {failure.kind}: {failure}" for failure in self.failing]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{v.noise}</td><td>{_cell(v.strong, v.strong_capped)}</td>"
            f"<td>{_cell(v.weak, v.weak_capped)}</td></tr>"
            for v in self.by_noise.values()
        )
        fails = "".join(f"<li>{failure.kind}: {failure}</li>" for failure in self.failing)
        return (
            f"<p><b>{self.tableau.name}</b>, {self.tableau.calculus}; without noise order "
            f"{self.deterministic}</p><table><tr><th>noise</th><th>strong</th><th>weak</th></tr>{rows}"
            f"</table><ul>{fails}</ul>"
        )


def _cell(value: Fraction | None, capped: bool) -> str:
    return "none" if value is None else f"{value}{'+' if capped else ''}"


# --- conditions of one tableau in one noise class ------------------------------------------------


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

    def window(self, combination: Combination, channels: int, own: int = 0) -> int:
        """How many steps a condition spans, so many before the last one being the method's own; its
        forests must be taken over the same ones.
        """
        if self.memory is None:
            return 1
        trees = {tree for forest, _ in combination.terms for tree in forest}
        return max((self.memory.window(t, channels, own) for t in trees), default=1)

    def difference(
        self, tree: Tree, channels: int, surplus: int = 0, window: int = 1
    ) -> Functional | Window:
        """Weight minus integral of a tree, in words; with a surplus power of sqrt(h), the weight's
        alone.
        """
        if self.memory is not None:
            return self.memory.difference(tree, channels, window).of_surplus(surplus)
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
                window = self.window(combination, channels, own)
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
                window = self.window(combination, channels)
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


# --- symmetries that save conditions -------------------------------------------------------------


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


# --- the search ----------------------------------------------------------------------------------

SHOWN = 3
"""How many failing conditions of each kind a report lists."""


def _first(failures: Iterator[tuple[Failure, int]]) -> tuple[Failure, ...]:
    found: list[Failure] = []
    for failure, _ in failures:
        found.append(failure)
        if len(found) == SHOWN:
            break
    return tuple(found)


def _climb(
    cap: Fraction, check: Callable[[Fraction], tuple[Failure, ...]]
) -> tuple[Fraction, bool, tuple[Failure, ...]]:
    """The highest multiple of 1/2 up to `cap` at which nothing fails."""
    reached = Fraction(0)
    while reached < cap:
        failures = check(reached + HALF)
        if failures:
            return reached, False, failures
        reached += HALF
    return reached, True, ()


def _strong(prover: Prover, cap: Fraction) -> tuple[Fraction, bool, tuple[Failure, ...]]:
    def check(p: Fraction) -> tuple[Failure, ...]:
        return _first(prover.square_failures(p)) or _first(prover.mean_failures(p + HALF, "mean"))

    return _climb(cap, check)


def _weak(prover: Prover, cap: Fraction) -> tuple[Fraction, bool, tuple[Failure, ...]]:
    start = _first(prover.mean_failures(HALF, "weak"))
    if start:
        return Fraction(0), False, start
    return _climb(cap, lambda p: _first(prover.mean_failures(p + HALF, "weak")))


@lru_cache(maxsize=1024)
def _deterministic(
    tableau: Tableau, cap: int, embedded: bool, ratios: tuple[Fraction, ...]
) -> tuple[Fraction, bool, tuple[Failure, ...]]:
    prover = Prover(tableau, "scalar", embedded=embedded, ratios=ratios)
    colours = [0, *([TIME] if prover.time else []), *([LINEAR] if tableau.exponential else [])]
    for p in range(1, cap + 1):
        failures = []
        for nodes in range(1 if prover.relative else p, p + 1):
            for tree in trees(nodes, colours):
                if tree.colour == TIME:
                    continue
                value = prover.mean_residual((tree,), 1, 2 * (p - nodes))
                if value:
                    combination = Combination((((tree,), Fraction(1)),))
                    residual = prover.domain.to_sympy(value)
                    failures.append(Failure("deterministic", Fraction(p), combination, residual))
        if failures:
            return Fraction(p - 1), False, tuple(failures[:SHOWN])
    return Fraction(cap), True, ()


def _weak_cap(noise: str) -> Fraction:
    return Fraction(3) if noise in ("additive", "scalar", "martingale", "kinetic") else Fraction(2)


def order(
    tableau: Tableau,
    *,
    embedded: bool = False,
    noise: str | None = None,
    max_strong: Fraction | int | str = 2,
    max_weak: Fraction | int | str | None = None,
    max_deterministic: int = 6,
    autonomous: bool = False,
    channels: int | None = None,
    ratios: Sequence[Ratio | Sequence[Ratio]] | None = None,
) -> OrderReport:
    """Prove the strong and weak order of a tableau.

    Parameters
    ----------
    tableau : Tableau
    embedded : bool
        Judge the embedded output instead of the output.
    noise : str, optional
        Judge only this noise class; by default every class in which the tableau can be used, and
        ``"martingale"`` for tableaux meant for additive noise.
    max_strong, max_weak : optional
        Where the search stops.  Weak: 3 for additive and scalar noise and 2 otherwise, unless
        given.
    max_deterministic : int
        The same for the order without noise.
    autonomous : bool
        Leave out the conditions that only problems with explicit time pose.
    channels : int, optional
        Bound on the number of different channels in one condition.  By default there is none, and
        the verdict holds for any number of channels.
    ratios : sequence, optional
        For a tableau with memory: ratios of a step to the step before it, each the square of a
        rational number, or sequences of them, the last step first, of which the last one holds for
        all earlier steps.  It is judged at each, and the lowest verdict counts.  By default 1, 4,
        1/4 and, where more than one step is remembered, (4, 1/4): entries that ignore that earlier
        ratios may be others are found out.

    Returns
    -------
    OrderReport

    Raises
    ------
    TableauError
        If the tableau has free symbols, or there is no embedded output to judge.

    Notes
    -----
    A tableau with discrete variables has no strong order: they are no functionals of the path.
    """
    return _order(
        tableau,
        embedded,
        noise,
        Fraction(max_strong),
        None if max_weak is None else Fraction(max_weak),
        max_deterministic,
        autonomous,
        channels,
        _ratios(tableau, ratios),
    )


def _ratios(
    tableau: Tableau, ratios: Sequence[Ratio | Sequence[Ratio]] | None
) -> tuple[tuple[Fraction, ...], ...]:
    if tableau.start is None:
        return ((Fraction(1),),)
    if ratios is None:
        ratios = (1, 4, "1/4")
        if len(tableau.starts) > 1:
            ratios = (*ratios, (4, "1/4"))
    single = (int, str, Fraction)
    return tuple(
        (Fraction(r),) if isinstance(r, single) else tuple(Fraction(x) for x in r) for r in ratios
    )


@lru_cache(maxsize=1024)
def _order(
    tableau: Tableau,
    embedded: bool,
    noise: str | None,
    max_strong: Fraction,
    max_weak: Fraction | None,
    max_deterministic: int,
    autonomous: bool,
    channels: int | None,
    ratios: tuple[tuple[Fraction, ...], ...],
) -> OrderReport:
    _check(tableau, embedded)
    if not ratios or not all(ratios):
        raise TableauError("a tableau with memory is judged at one step ratio at least")
    classes = [c for c in CLASSES if _usable(tableau, c)] if noise is None else [noise]
    if tableau.relative:
        max_deterministic = min(max_deterministic, DEGREE + 1)
        max_strong = min(max_strong, Fraction(DEGREE))
        max_weak = None if max_weak is None else min(max_weak, Fraction(DEGREE))
    verdicts = {}
    for name in classes:
        cap = _weak_cap(name) if max_weak is None else max_weak
        cap = Fraction(max_deterministic) if name == "none" else cap
        found = _verdict(tableau, name, embedded, max_strong, cap, autonomous, channels, ratios[0])
        for ratio in ratios[1:]:
            # The lowest order counts, so that no higher one is looked at again.
            caps = found.strong or Fraction(0), found.weak or Fraction(0)
            other = _verdict(tableau, name, embedded, *caps, autonomous, channels, ratio)
            found = _lower(found, other)
        verdicts[name] = found
    without = _deterministic(tableau, max_deterministic, embedded, ratios[0])
    for ratio in ratios[1:]:
        reached, _, failing = _deterministic(tableau, int(without[0]), embedded, ratio)
        if reached < without[0]:
            without = reached, False, failing
    return OrderReport(
        tableau, tableau.noise if noise is None else noise, verdicts, *without, embedded
    )


def _lower(found: Verdict, other: Verdict) -> Verdict:
    """A verdict together with one that was not to exceed it."""
    return replace(
        other,
        strong_capped=found.strong_capped and other.strong == found.strong,
        weak_capped=found.weak_capped and other.weak == found.weak,
        failing=tuple(dict.fromkeys(other.failing + found.failing)),
    )


def _random_drift(tableau: Tableau) -> bool:
    """Whether a random variable multiplies a drift, so that steps are random even without noise."""
    parts: list[Coupling | Output] = [*tableau.couplings, *tableau.outputs, *tableau.embedded]
    return any(
        tableau.block(part.source).colour == "drift" and variables[part.label].primitives
        for part in parts
    )


def _usable(tableau: Tableau, noise: str) -> bool:
    if noise == "martingale":
        ito = tableau.noise == "additive" and tableau.calculus == "ito"
        return ito and not tableau.exponential
    if noise == "kinetic":
        return noise in tableau.orders
    return tableau.accepts(noise)


def _check(tableau: Tableau, embedded: bool) -> None:
    if tableau.free_symbols - STEP_SYMBOLS:
        names = ", ".join(sorted(map(str, tableau.free_symbols - STEP_SYMBOLS)))
        raise TableauError(
            f"tableau {tableau.name!r} is a family with free symbols {names}: substitute values "
            "to judge a "
            "member, or use tableaux.order_conditions for the family"
        )
    if embedded and not tableau.embedded:
        raise TableauError(f"tableau {tableau.name!r} has no embedded output to judge")


@lru_cache(maxsize=4096)
def _verdict(
    tableau: Tableau,
    noise: str,
    embedded: bool,
    max_strong: Fraction,
    max_weak: Fraction,
    autonomous: bool,
    channels: int | None,
    ratio: tuple[Fraction, ...],
) -> Verdict:
    if noise == "none" and not _random_drift(tableau):
        reached, capped, failing = _deterministic(tableau, int(max_weak), embedded, ratio)
        return Verdict(noise, reached, reached, capped, capped, failing)
    prover = Prover(
        tableau, noise, embedded=embedded, autonomous=autonomous, channels=channels, ratios=ratio
    )
    discrete = sorted(p for p in tableau.primitives if PRIMITIVES[p].law != "path")
    if all(block.colour == "drift" for block in tableau.blocks):
        reached, capped, failing = _deterministic(tableau, int(max_weak), embedded, ratio)
        note = "it has no noise stages: the orders are those without noise"
        return Verdict(noise, reached, reached, capped, capped, failing, note)
    weak, weak_capped, weak_failing = _weak(prover, max_weak)
    if discrete:
        note = "no strong order: its variables are not functionals of the path"
        return Verdict(noise, None, weak, False, weak_capped, weak_failing, note)
    strong, strong_capped, strong_failing = _strong(prover, max_strong)
    failing = strong_failing + weak_failing
    return Verdict(noise, strong, weak, strong_capped, weak_capped, failing)


def principal_errors(
    tableau: Tableau, *, noise: str | None = None, embedded: bool = False, channels: int = 2
) -> tuple[PrincipalError, ...]:
    """The leading terms of the local error and their norms.

    Parameters
    ----------
    tableau : Tableau
    noise : str, optional
        By default the tableau's own class.
    channels : int
        The number of channels whose terms are counted (1 for scalar noise).

    Returns
    -------
    tuple of PrincipalError
        "strong" (mean-square terms half an order above the strong order) where there is a strong
        order, then "weak" (forests one order above the weak order).
    """
    name = tableau.noise if noise is None else noise
    report = order(tableau, noise=name, embedded=embedded)
    verdict = report.by_noise[name]
    found = []
    prover = Prover(tableau, name, embedded=embedded, channels=channels)
    prover.all_choices = True
    if name == "none":
        level = report.deterministic + 1
        failures = prover.mean_failures(level, "mean")
        return (_principal("deterministic", level, failures, prover),)
    if verdict.strong is not None and any(b.colour == "diffusion" for b in tableau.blocks):
        level = verdict.strong + HALF
        found.append(_principal("strong", level, prover.square_failures(level), prover))
    if verdict.weak is not None:
        level = verdict.weak + 1
        found.append(_principal("weak", level, prover.mean_failures(level, "weak"), prover))
    return tuple(found)


def _principal(
    kind: str, level: Fraction, failures: Iterator[tuple[Failure, int]], prover: Prover
) -> PrincipalError:
    terms = []
    for failure, _ in failures:
        size = failure.residual / forest_symmetry(failure.forest)
        terms.append((failure.combination, size))
    return PrincipalError(kind, level, tuple(terms))
