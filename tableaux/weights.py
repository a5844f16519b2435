"""Numerical elementary weights: what a method multiplies each elementary differential by.

The recursion over a tree is the same whatever the entries are; *what* is added and multiplied
along it is an :class:`Algebra`.  :class:`EntryAlgebra` computes with the exact entries of a
tableau, in a domain chosen once for it (rationals, a number field, or polynomials in the free
symbols of a family); ``tableaux.formal`` has one that keeps the matrices as symbols.

A weight scales with the power of h of its tree when each drift value is multiplied by something of
size h and each diffusion value by something of size sqrt(h); h = 1 then loses nothing.  Where a
tableau departs from this, two bookkeeping generators count the surplus powers of sqrt(h) up and
down.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from math import factorial
from typing import Any, Generic, Protocol, TypeVar

import sympy
from sympy.polys.constructor import construct_domain
from sympy.polys.rings import PolyElement, PolyRing

from tableaux.blocks import Block, Coupling, Output
from tableaux.errors import TableauError
from tableaux.expansion import beneath, expansion
from tableaux.jets import Jets
from tableaux.rooted_trees import TIME, Forest, Tree
from tableaux.tableau import RANDOM_NODE, RELATIVE_STEP, Tableau
from tableaux.variables import FUNCTIONALS, PRIMITIVES, variables
from tableaux.words import Functional, Powers, Word, monomial_functional, monomial_mean

Vector = TypeVar("Vector")
Scalar = TypeVar("Scalar")
Where = tuple[int, ...]
"""Which copy of a replicated block: (), (channel,) or (channel, partner)."""

Channels = tuple[int, ...]


class Algebra(Protocol[Vector, Scalar]):
    """What the recursion needs to know about entries: vectors over stages, and scalars."""

    def ones(self, block: Block) -> Vector: ...
    def nodes(self, block: Block) -> Vector: ...
    def multiply(self, left: Vector, right: Vector) -> Vector: ...
    def add(self, left: Vector, right: Vector) -> Vector: ...
    def couple(self, coupling: Coupling, values: Vector, label: Channels) -> Vector: ...
    def collect(self, output: Output, values: Vector, label: Channels) -> Scalar: ...
    def add_scalars(self, left: Scalar, right: Scalar) -> Scalar: ...
    def zero(self) -> Scalar: ...


def excess(tableau: Tableau, part: Coupling | Output) -> int:
    """Powers of sqrt(h) by which a coupling exceeds the h (drift) or sqrt(h) (diffusion) of a
    tree's node.
    """
    node = Fraction(1) if tableau.block(part.source).colour == "drift" else Fraction(1, 2)
    return int(2 * (variables[part.label].size - node))


@lru_cache(maxsize=256)
def slack(tableau: Tableau) -> int:
    """Powers of sqrt(h) that outputs fall short of their nodes' (differences of stages do that)."""
    for coupling in tableau.couplings:
        if excess(tableau, coupling) < 0:
            raise TableauError(
                f"tableau {tableau.name!r}: {coupling}: the label {coupling.label!r} is larger "
                "than the "
                "vector field allows (h for a drift, sqrt(h) for a diffusion): stages would not "
                "converge"
            )
    return max((-excess(tableau, o) for o in (*tableau.outputs, *tableau.embedded)), default=0)


@lru_cache(maxsize=256)
def homogeneous(tableau: Tableau) -> bool:
    """Whether each weight is a single power of h, that of its tree."""
    parts: list[Coupling | Output] = [*tableau.couplings, *tableau.outputs, *tableau.embedded]
    return slack(tableau) <= 0 and not any(excess(tableau, part) for part in parts)


class Weights(Generic[Vector, Scalar]):
    """Elementary weights of a tableau for a number of noise channels.

    Parameters
    ----------
    tableau : Tableau
    channels : int
        Number m of noise channels; trees may use the colours 0..m.
    algebra : Algebra
    embedded : bool
        Weights of the embedded outputs instead of the outputs.
    remembering : bool
        Accept memory blocks; `tableaux.memory` asks for the graph of sources of such tableaux.
    """

    def __init__(
        self,
        tableau: Tableau,
        channels: int,
        algebra: Algebra[Vector, Scalar],
        embedded: bool = False,
        remembering: bool = False,
    ) -> None:
        slack(tableau)
        for block in tableau.blocks:
            if block.remembers is not None and not remembering:
                raise TableauError(
                    f"tableau {tableau.name!r}: block {block.name!r} remembers the step before; "
                    "its "
                    "elementary weights span several steps and are computed by tableaux.memory"
                )
        self.tableau = tableau
        self.channels = channels
        self.algebra = algebra
        self.embedded = embedded
        self.parts = self._at(0)
        self._blocks = {block.name: block for block in tableau.blocks}
        self._into: dict[tuple[str, int], list[Coupling]] = {}
        self._values: dict[tuple[str, Where, Forest], Vector | None] = {}
        self._stages: dict[tuple[str, Where, Tree], Vector | None] = {}
        self._outputs: dict[Tree, Scalar] = {}

    def into(self, block: Block, depth: int) -> list[Coupling]:
        """The couplings into a block at a power of h L."""
        key = (block.name, depth)
        if key not in self._into:
            every = expansion(self.tableau, depth).couplings
            self._into[key] = [c for c in every if c.target == block.name]
        return self._into[key]

    def _at(self, depth: int) -> tuple[Output, ...]:
        """The outputs at a power of h L."""
        found = expansion(self.tableau, depth)
        return found.embedded if self.embedded else found.outputs

    def stage(self, block: Block, where: Where, tree: Tree) -> Vector | None:
        """Weights of a tree at the stages of one copy of a block; None when all vanish."""
        key = (block.name, where, tree)
        if key not in self._stages:
            self._stages[key] = self._stage(block, where, tree)
        return self._stages[key]

    def _stage(self, block: Block, where: Where, tree: Tree) -> Vector | None:
        if tree.colour == TIME:
            return self.algebra.nodes(block)
        depth, below = beneath(tree)
        if below is None:
            exact: Any = self.algebra  # trees with nodes of L are met with exact entries only
            return exact.carried(block, depth)  # type: ignore[no-any-return]
        total: Vector | None = None
        for coupling in self.into(block, depth):
            source = self._blocks[coupling.source]
            for there, label in self.sources(source, coupling, below.colour, where):
                values = self.value(source, there, below.children)
                if values is None:
                    continue
                term = self.algebra.couple(coupling, values, label)
                if term:
                    total = term if total is None else self.algebra.add(total, term)
        return total

    def value(self, block: Block, where: Where, forest: Forest) -> Vector | None:
        """Products of the weights of several trees at the stages; None when all vanish."""
        if not forest:
            return self.algebra.ones(block)
        key = (block.name, where, forest)
        if key not in self._values:
            found: Vector | None = None
            first = self.value(block, where, forest[:-1])
            if first is not None:
                last = self.stage(block, where, forest[-1])
                if last is not None:
                    found = self.algebra.multiply(first, last) or None
            self._values[key] = found
        return self._values[key]

    def output(self, tree: Tree) -> Scalar:
        """Weight of a tree in the new value."""
        if tree not in self._outputs:
            self._outputs[tree] = self._output(tree)
        return self._outputs[tree]

    def _output(self, tree: Tree) -> Scalar:
        depth, below = beneath(tree)
        if below is None:
            exact: Any = self.algebra
            return exact.carried_on(depth)  # type: ignore[no-any-return]
        total = self.algebra.zero()
        for part in self.parts if depth == 0 else self._at(depth):
            source = self._blocks[part.source]
            for there, label in self.sources(source, part, below.colour, None):
                values = self.value(source, there, below.children)
                if values is not None:
                    term = self.algebra.collect(part, values, label)
                    total = self.algebra.add_scalars(total, term)
        return total

    def sources(
        self, source: Block, part: Coupling | Output, colour: int, target: Where | None
    ) -> Iterator[tuple[Where, Channels]]:
        """Copies of a source block that a tree's root can stand for, with their label's channels."""
        selector = part.selector
        if (source.colour == "drift") != (colour == 0):
            return
        every = range(1, self.channels + 1)
        own = target[0] if target else None
        if source.colour == "drift" and source.replication == "once":
            yield (), (() if own is None else (own, own))
            return
        for channel in every if colour == 0 else (colour,):
            if target is not None and not _selected(selector, channel, target):
                continue
            label = (channel, channel if own is None else own)
            if source.replication == "once":
                yield (), label
            elif source.replication == "channel":
                yield (channel,), label
            else:
                for partner in every:
                    if partner == channel:
                        continue
                    if selector == "all" or (selector == "less") == (partner < channel):
                        # Evaluated at the outer channel; the partner is the inner one.  A label
                        # with one index has that of the evaluated channel, as everywhere.
                        pair = variables[part.label].arity == 2
                        yield (channel, partner), (partner if pair else channel, channel)


def _selected(selector: str, channel: int, target: Where) -> bool:
    if selector == "all" or not target:
        return True
    own = target[0]
    if selector == "own":
        return channel == own
    if selector == "other":
        return channel != own
    if selector == "less":
        return channel < own
    if selector == "greater":
        return channel > own
    return channel == target[1]


# --- exact entries -------------------------------------------------------------------------------


def entry_domain(tableau: Tableau) -> Any:
    """The smallest exact domain that the entries live in, as a sympy domain of characteristic 0."""
    return _domain_and_elements(tableau)[0]


@lru_cache(maxsize=256)
def _domain_and_elements(tableau: Tableau) -> tuple[Any, dict[sympy.Expr, Any]]:
    """The domain of the entries, and each entry as its element.

    In a field of roots it takes seconds to convert an entry alone; all come out with the field.
    """
    entries: list[sympy.Expr] = [sympy.Rational(1, 2)]
    labels: set[str] = set()
    # Coefficients of higher powers of h L are products of those of the first two.
    for parts in (expansion(tableau, depth) for depth in range(2 if tableau.exponential else 1)):
        for coupling in parts.couplings:
            entries.extend(entry for _, _, entry in coupling.entries())
        for output in (*parts.outputs, *parts.embedded):
            entries.extend(entry for _, entry in output.entries())
        labels |= {part.label for several in parts for part in several}
    for block in tableau.blocks:
        entries.extend(node for node in block.nodes if node != RANDOM_NODE)
    for label in labels:
        for k, l in ((1, 1), (1, 2), (2, 1)):
            entries.extend(coefficient for coefficient, _, _ in variables[label].terms(k, l))
    if any(RELATIVE_STEP in entry.free_symbols for entry in entries):
        jets = Jets()
        return jets, {entry: jets.from_sympy(entry) for entry in entries}
    domain, elements = construct_domain(entries, extension=True)
    if any(entry.has(sympy.Float) for entry in entries) or not domain.is_Exact:
        raise TableauError(
            f"tableau {tableau.name!r}: an entry is inexact, and no order can be proved"
        )
    return domain, dict(zip(entries, elements))


StageVector = tuple[Any, ...]


class EntryAlgebra:
    """Exact entries: a vector is a tuple of polynomials in primitives, one for each stage.

    Parameters
    ----------
    tableau : Tableau
    channels : int
    domain : sympy domain, optional
        By default :func:`entry_domain`.
    """

    def __init__(self, tableau: Tableau, channels: int, domain: Any = None) -> None:
        self.tableau = tableau
        own, self._elements = _domain_and_elements(tableau)
        self.domain = own if domain is None else domain
        if self.domain != own:
            self._elements = {}
        self.primitives = primitives_of(tableau, channels)
        self.index = {key: i for i, key in enumerate(self.primitives)}
        names = ["_".join([name, *map(str, at)]) for name, at in self.primitives]
        self.homogeneous = homogeneous(tableau)
        if not self.homogeneous:
            names += ["h_up", "h_down"]
        names = names or ["none"]
        self.ring = PolyRing(names, self.domain)
        self._matrices: dict[Coupling | Output, list[list[tuple[int, Any]]]] = {}
        self._variables: dict[tuple[str, Channels], PolyElement] = {}
        self._nodes: dict[str, StageVector] = {}
        self._moments: dict[tuple[int, ...], Any] = {}
        self._discrete = tuple(
            (i, name == "theta")
            for i, (name, _) in enumerate(self.primitives)
            if PRIMITIVES[name].law in ("three-point", "two-point")
        )

    def number(self, value: Fraction) -> Any:
        """A rational number as an element of the domain."""
        return self.domain.convert(sympy.Rational(value.numerator, value.denominator))

    def entry(self, value: sympy.Expr) -> Any:
        """An exact number as an element of the domain."""
        found = self._elements.get(value)
        return self.domain.from_sympy(value) if found is None else found

    def variable(self, label: str, channels: Channels) -> PolyElement:
        """A label for concrete channels as a polynomial in primitives, at h = 1."""
        found = self._variables.get((label, channels))
        if found is None:
            if label in FUNCTIONALS:
                raise TableauError(
                    f"tableau {self.tableau.name!r}: the expansion of {label!r} in powers of h L goes "
                    "beyond functionals of W, H and K, so that so high an order cannot be proved"
                )
            found = self.ring.zero
            for coefficient, _, powers in variables[label].terms(*(channels or (1, 1))):
                exponents = [0] * len(self.ring.gens)
                sign = 1
                for (name, at), power in powers:
                    if name == "A":
                        if at[0] == at[1]:
                            sign = 0
                            continue
                        if at[0] > at[1]:  # antisymmetric: only A_kl with k < l is kept
                            at = (at[1], at[0])
                            sign *= (-1) ** power
                    exponents[self.index[name, at]] += power
                if sign:
                    found = found + self.ring({tuple(exponents): self.entry(sign * coefficient)})
            self._variables[label, channels] = found
        return found

    def scaled(self, part: Coupling | Output, channels: Channels) -> PolyElement:
        """The random variable of a coupling, its surplus powers of sqrt(h) counted."""
        found = self.variable(part.label, channels)
        surplus = 0 if self.homogeneous else excess(self.tableau, part)
        if not surplus:
            return found
        return found * self.ring.gens[-2 if surplus > 0 else -1] ** abs(surplus)

    def of_excess(self, value: PolyElement, surplus: int) -> PolyElement:
        """The part of a weight with a given surplus power of sqrt(h)."""
        if self.homogeneous:
            return value if surplus == 0 else self.ring.zero
        found: dict[tuple[int, ...], Any] = {}
        for exponents, coefficient in value.items():
            if exponents[-2] - exponents[-1] == surplus:
                key = (*exponents[:-2], 0, 0)
                found[key] = found[key] + coefficient if key in found else coefficient
        return self.ring.from_dict({k: c for k, c in found.items() if c})

    def least_excess(self, value: PolyElement) -> int:
        """The least surplus power of sqrt(h) that occurs, after cancellation; 0 for no terms."""
        if self.homogeneous:
            return 0
        seen = sorted({exponents[-2] - exponents[-1] for exponents in value})
        return next((s for s in seen if self.of_excess(value, s)), 0)

    def _rows(self, part: Coupling | Output) -> list[list[tuple[int, Any]]]:
        """Non-zero entries of a matrix, row by row (an output is one row)."""
        rows = self._matrices.get(part)
        if rows is None:
            dense = part.matrix if isinstance(part, Coupling) else (part.weights,)
            rows = [
                [(j, self.entry(entry)) for j, entry in enumerate(row) if entry != 0]
                for row in dense
            ]
            self._matrices[part] = rows
        return rows

    def zero(self) -> PolyElement:
        return self.ring.zero

    def ones(self, block: Block) -> StageVector:
        return (self.ring.one,) * block.stages

    def nodes(self, block: Block) -> StageVector:
        found = self._nodes.get(block.name)
        if found is None:
            found = tuple(map(self._node, block.nodes))
            self._nodes[block.name] = found
        return found

    def _node(self, node: sympy.Expr) -> PolyElement:
        if node == RANDOM_NODE:
            return self.ring.gens[self.index[str(node), ()]]
        return self.ring(self.entry(node))

    def carried(self, block: Block, depth: int) -> StageVector:
        """c^n/n!: what L^n X_n is multiplied by at the stages."""
        share = sympy.Rational(1, factorial(depth))
        found = (self.entry(sympy.expand(node**depth * share)) for node in block.nodes)
        return tuple(self.ring(value) if value else self.ring.zero for value in found)

    def carried_on(self, depth: int) -> PolyElement:
        """The same in the new value."""
        return self.ring(self.number(Fraction(1, factorial(depth))))

    def multiply(self, left: StageVector, right: StageVector) -> StageVector:
        product = tuple(
            self.reduced(a * b) if a and b else self.ring.zero for a, b in zip(left, right)
        )
        return product if any(product) else ()

    def add(self, left: StageVector, right: StageVector) -> StageVector:
        return tuple(a + b for a, b in zip(left, right))

    def add_scalars(self, left: PolyElement, right: PolyElement) -> PolyElement:
        return left + right

    def couple(self, coupling: Coupling, values: StageVector, label: Channels) -> StageVector:
        variable = self.scaled(coupling, label)
        if not variable:
            return ()
        column = tuple(
            self.reduced(self._row(row, values) * variable) for row in self._rows(coupling)
        )
        return column if any(column) else ()

    def collect(self, output: Output, values: StageVector, label: Channels) -> PolyElement:
        variable = self.scaled(output, label)
        return self.reduced(self._row(self._rows(output)[0], values) * variable)

    def _row(self, row: list[tuple[int, Any]], values: StageVector) -> PolyElement:
        total = self.ring.zero
        for j, entry in row:
            if values[j]:
                total = total + values[j].mul_ground(entry)
        return total

    def reduced(self, value: PolyElement) -> PolyElement:
        """Modulo theta^3 = 3 theta, sign^2 = 1 and eta^2 = 1, true with probability 1 at h = 1."""
        if not self._discrete or not value:
            return value
        found: dict[tuple[int, ...], Any] = {}
        changed = False
        for exponents, coefficient in value.items():
            new = list(exponents)
            factor = 1
            for i, three in self._discrete:
                power = exponents[i]
                if three and power > 2:
                    new[i] = 2 - power % 2
                    factor *= int(3 ** ((power - new[i]) // 2))
                elif not three and power > 1:
                    new[i] = power % 2
            key = tuple(new)
            if key != exponents:
                changed = True
                coefficient = coefficient * factor
            found[key] = found[key] + coefficient if key in found else coefficient
        if not changed:
            return value
        return self.ring.from_dict({k: c for k, c in found.items() if c})

    # --- what is done with the result ---

    def powers(self, exponents: tuple[int, ...]) -> Powers:
        """An exponent vector as a monomial in primitives."""
        return tuple((key, power) for key, power in zip(self.primitives, exponents) if power)

    def moment(self, exponents: tuple[int, ...]) -> Any:
        """Expectation of a monomial, as an element of the domain."""
        found = self._moments.get(exponents)
        if found is None:
            found = self.number(monomial_mean(self.powers(exponents)))
            self._moments[exponents] = found
        return found

    def mean(self, value: PolyElement) -> Any:
        """Expectation of a weight, as an element of the domain."""
        total = self.domain.zero
        for exponents, coefficient in value.items():
            moment = self.moment(exponents)
            if moment:
                total = total + coefficient * moment
        return total

    def mean_of_product(self, left: PolyElement, right: PolyElement) -> Any:
        """Expectation of a product, without forming it."""
        total = self.domain.zero
        for a, x in left.items():
            for b, y in right.items():
                moment = self.moment(tuple(map(_plus, a, b)))
                if moment:
                    total = total + x * y * moment
        return total

    def functional(self, value: PolyElement, calculus: str, halves: int) -> Functional:
        """A weight in words, with coefficients in the domain.

        Parameters
        ----------
        value : PolyElement
        calculus : str
        halves : int
            Twice the power of h that the weight scales with.  It decides how many powers of h
            multiply each monomial.  An odd number of halves is left over where sqrt(h) occurs;
            such words have an odd number of noise letters where the others have an even one, or
            conversely, and are written over one more sqrt(h), so that they are never confused.
        """
        total = Functional({}, calculus)
        by_divisor: dict[int, dict[Word, Any]] = {}
        for exponents, coefficient in value.items():
            powers = self.powers(exponents)
            image = monomial_functional(powers, calculus)
            size = sum(power * int(2 * PRIMITIVES[name].size) for (name, _), power in powers)
            missing = -((size - halves) // 2)
            terms = by_divisor.setdefault(image.divisor - missing, {})
            for word, weight in image.terms.items():
                part = coefficient * self.number(weight)
                terms[word] = terms[word] + part if word in terms else part
        for divisor, words in by_divisor.items():
            total = total + Functional(words, calculus, divisor)
        return total


def _plus(a: int, b: int) -> int:
    return a + b


def primitives_of(tableau: Tableau, channels: int) -> tuple[tuple[str, Where], ...]:
    found: list[tuple[str, Where]] = []
    every = range(1, channels + 1)
    names = set(tableau.primitives)
    for label in tableau.labels:
        if label in FUNCTIONALS:
            names -= variables[label].primitives
            names |= {name for term in FUNCTIONALS[label] for name in variables[term].primitives}
    for name in sorted(names):
        indices = PRIMITIVES[name].indices
        if indices == 0:
            found.append((name, ()))
        elif indices == 1:
            found.extend((name, (k,)) for k in every)
        else:
            found.extend((name, (k, l)) for k in every for l in every if k < l)
    return tuple(found)


@lru_cache(maxsize=128)
def entry_weights(
    tableau: Tableau, channels: int, embedded: bool = False
) -> Weights[StageVector, PolyElement]:
    """Exact weights of a tableau, with their tables, kept by content."""
    return Weights(tableau, channels, EntryAlgebra(tableau, channels), embedded)
