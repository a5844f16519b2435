r"""What a stochastic Runge-Kutta method is.

Every method, explicit or implicit, strong or weak, is

.. math::

   H_s = X_n + \sum Z_{s s'} \, g_{colour(s')}(t_n + c_{s'} h, H_{s'}), \qquad
   X_{n+1} = X_n + \sum z_{s'} \, g_{colour(s')}(t_n + c_{s'} h, H_{s'}), \qquad
   Z = \sum_v A^v \otimes RV_v,

with exact matrices :math:`A^v` and labelled random variables :math:`RV_v`.  A `Tableau` holds the
stages in *blocks*, the sums in *couplings* and *outputs*, and nothing that a computer must run: the
engine and the order theory both read the same object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from math import ceil
from os import PathLike
from types import MappingProxyType
from typing import Any

import sympy

from tableaux.blocks import Block, Coupling, Output, member
from tableaux.errors import TableauError, unknown
from tableaux.exact import Matrix, Vector, exact
from tableaux.phi import Phi, coefficient, free_symbols
from tableaux.printed import PrintedForms
from tableaux.variables import FUNCTIONALS, variables

__all__ = ["NOISE_CLASSES", "Tableau"]

CALCULI = ("ito", "stratonovich")

#: Each problem class with the classes that it contains.
NOISE_CLASSES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "general": frozenset({"general", "commutative", "diagonal", "scalar", "additive", "none"}),
        "commutative": frozenset({"commutative", "diagonal", "scalar", "additive", "none"}),
        "diagonal": frozenset({"diagonal", "scalar", "additive", "none"}),
        "scalar": frozenset({"scalar", "none"}),
        "additive": frozenset({"additive", "none"}),
        "none": frozenset({"none"}),
    }
)
#: Classes inside additive noise for which an order can be claimed too.  "constant": neither f nor g
#: depends on time.  "martingale": g is constant, and f is a martingale along the process and a gradient,
#: as that of a reverse diffusion in the noise clock.  "kinetic": f is a force, which does not see what
#: it or the noise moves: ``f' f = f' g = 0``, as in underdamped Langevin dynamics; only L leads there.
ADDITIVE_CLASSES = ("constant", "martingale", "kinetic")
CLAIM_CLASSES = (*NOISE_CLASSES, *ADDITIVE_CLASSES)

#: Step ratios that entries of methods with memory may use: r = h_n / h_(n-1) where a step is
#: remembered, r_2 = h_(n-1) / h_(n-2) where two are, r_3 where three are.
STEP_RATIOS = sympy.symbols("r r_2 r_3")
#: h_n / t_n, for methods in a clock with a natural origin: see `tableaux.relative`.
RELATIVE_STEP = sympy.Symbol("h_t")
#: A node that is drawn anew in each step, the variable u of `tableaux.variables`.
RANDOM_NODE = sympy.Symbol("u")
#: What an entry may depend on without being that of a family.
STEP_SYMBOLS = frozenset({*STEP_RATIOS, RELATIVE_STEP})

#: As callers may write an order; a tableau keeps Fractions.
Order = Fraction | int | str | None
Orders = Mapping[str, tuple[Order, Order]]


@dataclass(frozen=True)
class Tableau(PrintedForms):
    """A stochastic Runge-Kutta method as exact data.

    Two tableaux are equal, and hash alike, when their contents are equal; equal couplings are merged,
    zero ones dropped and the rest sorted, so that the order of writing does not matter.

    Attributes
    ----------
    name : str
    blocks : tuple of Block
    couplings : tuple of Coupling
    outputs : tuple of Output
    embedded : tuple of Output
        A second output whose difference to the first estimates the error; empty if there is none.
    calculus : {"ito", "stratonovich"}
    noise : {"general", "commutative", "diagonal", "scalar", "additive", "none"}
        The most general class of problems that it is meant for.
    orders : mapping of problem class to (strong, weak)
        The orders that are claimed; None where none is.  Classes: those of `noise`, among them
        ``"none"``, the limit without noise; and, within additive noise, ``"constant"`` (no explicit
        time), ``"martingale"`` (a drift f that is a martingale along the process, and a
        gradient) and ``"kinetic"`` (a force f that does not see what it or the noise moves at once).
    implicit : bool
        Whether stages may depend on each other in a cycle.
    start : Tableau or None
        The method of the first step, for a tableau with memory blocks; the method of the second
        one, itself with a start, for a tableau that remembers two steps, and so on.
    citation, advice : str
        Where the method comes from, and one line on when to use it.

    Raises
    ------
    TableauError
        If the data is no method; the message names the block and the entry at fault.
    """

    name: str
    blocks: tuple[Block, ...]
    couplings: tuple[Coupling, ...]
    outputs: tuple[Output, ...]
    embedded: tuple[Output, ...] = ()
    calculus: str = "ito"
    noise: str = "general"
    orders: Orders = field(default_factory=dict)
    implicit: bool = False
    start: Tableau | None = None
    citation: str = ""
    advice: str = ""

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name):
            raise TableauError(f"a tableau needs a name, got {self.name!r}")
        try:
            self._settle()
        except TableauError as error:
            raise TableauError(f"tableau {self.name!r}: {error}") from None

    def _settle(self) -> None:
        member(self.calculus, CALCULI, "calculus")
        member(self.noise, tuple(NOISE_CLASSES), "noise class")
        object.__setattr__(self, "blocks", tuple(self.blocks))
        _check_blocks(self.blocks)
        by_name = {block.name: block for block in self.blocks}
        for coupling in self.couplings:
            _check_coupling(coupling, by_name)
        for output in (*self.outputs, *self.embedded):
            _check_output(output, by_name)
        object.__setattr__(self, "couplings", _canonical_couplings(self.couplings))
        object.__setattr__(self, "outputs", _canonical_outputs(self.outputs))
        object.__setattr__(self, "embedded", _canonical_outputs(self.embedded))
        if not self.outputs:
            raise TableauError("no output has a non-zero weight, so nothing would ever move")
        object.__setattr__(self, "orders", _claims(self.orders))
        if self.exponential:
            self._check_exponential()
        self._check_memory(by_name)
        if self.random_nodes:
            self._check_random()
        cycle = self._cycle()
        if cycle and not self.implicit:
            raise TableauError(
                "explicit stages depend on each other in a cycle: "
                + " -> ".join(f"{name}[{i + 1}]" for name, i in cycle)
                + "; the matrix entries behind it must be zero, or pass implicit=True"
            )
        if self.implicit and not cycle:
            raise TableauError("implicit=True, but no stage depends on itself; drop the flag")

    def _check_exponential(self) -> None:
        if self.implicit or self.start is not None:
            raise TableauError(
                "exponential methods are explicit one-step methods: implicit stages and memory "
                "blocks are not supported with phi functions"
            )
        if RELATIVE_STEP in self.free_symbols:
            raise TableauError(
                f"an entry uses {RELATIVE_STEP}, the step relative to its time, which is not supported "
                "with phi functions"
            )
        for block in self.blocks:
            if any(node.has(Phi) for node in block.nodes):
                raise TableauError(f"block {block.name!r}: a node is a number, not a phi function")

    def _check_random(self) -> None:
        for block in self.blocks:
            if block.colour == "diffusion" and RANDOM_NODE in block.nodes:
                raise TableauError(
                    f"block {block.name!r}: a random node {RANDOM_NODE} is one of drift stages; the noise "
                    "up to there is the label 'I_k(u)'"
                )
        if self.implicit or self.exponential or self.relative or self.start is not None:
            raise TableauError(
                f"random nodes {RANDOM_NODE} are those of explicit one-step methods, without phi "
                f"functions and {RELATIVE_STEP}"
            )

    def _check_memory(self, by_name: Mapping[str, Block]) -> None:
        memory = [block for block in self.blocks if block.remembers is not None]
        for block in memory:
            source = by_name[block.remembers or ""]
            if self.start is None:
                raise TableauError(
                    f"block {block.name!r} remembers the step before, so `start` must give the "
                    "tableau of the first step"
                )
            if block.lag > len(self.starts):
                raise TableauError(
                    f"block {block.name!r} remembers {block.lag} steps, so that many must have "
                    f"been taken by starts, but there are {len(self.starts)}"
                )
            for start in self.starts[-block.lag :]:
                twin = next((b for b in start.blocks if b.name == source.name), None)
                shape = (source.colour, source.replication, source.stages)
                if twin is None or (twin.colour, twin.replication, twin.stages) != shape:
                    raise TableauError(
                        f"block {block.name!r} remembers {source.name!r}, but the start "
                        f"{start.name!r} has no block of that name, colour, replication and "
                        f"number of stages ({source.stages})"
                    )
        if self.start is not None and not memory:
            raise TableauError("a start is given, but no block remembers anything")
        longest = max((block.lag for block in memory), default=0)
        for steps, symbol in enumerate(STEP_RATIOS, 1):
            if longest < steps and symbol in self.free_symbols:
                what = "a step" if steps == 1 else f"{steps} steps"
                raise TableauError(
                    f"an entry uses the step ratio {symbol}, but no block remembers {what}"
                )

    def _cycle(self) -> list[tuple[str, int]]:
        """A cycle among the stages, or an empty list."""
        needs: dict[tuple[str, int], list[tuple[str, int]]] = {}
        for coupling in self.couplings:
            for i, j, _ in coupling.entries():
                needs.setdefault((coupling.target, i), []).append((coupling.source, j))
        done: set[tuple[str, int]] = set()
        for root in needs:
            trail: list[tuple[str, int]] = []
            work: list[tuple[tuple[str, int], Iterator[tuple[str, int]]]] = []
            if root not in done:
                trail.append(root)
                work.append((root, iter(needs[root])))
            while work:
                node, children = work[-1]
                child = next(children, None)
                if child is None:
                    done.add(node)
                    trail.pop()
                    work.pop()
                elif child in trail:
                    return [*trail[trail.index(child) :], child]
                elif child not in done:
                    trail.append(child)
                    work.append((child, iter(needs.get(child, ()))))
        return []

    # ------------------------------------------------------------------ what others ask of it

    def block(self, name: str) -> Block:
        """The block of this name."""
        for block in self.blocks:
            if block.name == name:
                return block
        raise TableauError(unknown("block", name, (b.name for b in self.blocks)))

    @cached_property
    def free_symbols(self) -> frozenset[sympy.Symbol]:
        """Symbols that are left free in the entries: those of a family, and `STEP_SYMBOLS`."""
        nodes = [c for block in self.blocks for c in block.nodes if c != RANDOM_NODE]
        return frozenset().union(*map(free_symbols, (*self._entries(), *nodes)))

    @cached_property
    def starts(self) -> tuple[Tableau, ...]:
        """The methods of the first steps, in their order; empty without memory."""
        return () if self.start is None else (*self.start.starts, self.start)

    @cached_property
    def relative(self) -> bool:
        """Whether an entry, or one of the start, depends on the step relative to its time.

        Such a method takes positive times only: see `tableaux.relative`.
        """
        return any(RELATIVE_STEP in t.free_symbols for t in (self, *self.starts))

    @cached_property
    def exponential(self) -> bool:
        """Whether an entry is a phi function, or a label a functional of the path and L.

        In such a tableau ``X_n`` enters a stage with node c as ``phi_0(c z) X_n``, and the new value
        as ``phi_0(z) X_n``: see `tableaux.phi`.
        """
        functionals = any(label in FUNCTIONALS for label in self.labels)
        return functionals or any(e.has(Phi) for e in self._entries())

    def _entries(self) -> Iterator[sympy.Expr]:
        """Those of couplings, outputs and embedded outputs that are not zero."""
        yield from (e for c in self.couplings for _, _, e in c.entries())
        yield from (e for o in (*self.outputs, *self.embedded) for _, e in o.entries())

    @cached_property
    def without_linear_part(self) -> Tableau:
        """What is left of an exponential tableau for L = 0; any other tableau itself."""
        if not self.exponential:
            return self
        changes: dict[str, Any] = {
            "couplings": [
                replace(
                    c,
                    label=FUNCTIONALS.get(c.label, (c.label,))[0],
                    matrix=tuple(tuple(coefficient(e, 0) for e in row) for row in c.matrix),
                )
                for c in self.couplings
            ]
        }
        for name in ("outputs", "embedded"):
            changes[name] = [
                replace(
                    o,
                    label=FUNCTIONALS.get(o.label, (o.label,))[0],
                    weights=[coefficient(e, 0) for e in o.weights],
                )
                for o in getattr(self, name)
            ]
        return replace(self, **changes)

    @cached_property
    def labels(self) -> frozenset[str]:
        """The labels that occur."""
        labels = [c.label for c in self.couplings]
        return frozenset([*labels, *(o.label for o in (*self.outputs, *self.embedded))])

    @cached_property
    def primitives(self) -> frozenset[str]:
        """The random variables that a step needs, as names of `tableaux.variables.PRIMITIVES`."""
        found = frozenset().union(*(variables[label].primitives for label in self.labels))
        return found | {str(RANDOM_NODE)} if self.random_nodes else found

    @cached_property
    def random_nodes(self) -> bool:
        """Whether stages stand at a random time of the step."""
        return any(RANDOM_NODE in block.nodes for block in self.blocks)

    def accepts(self, noise: str) -> bool:
        """Whether it is meant for problems of this noise class."""
        return noise in NOISE_CLASSES[self.noise]

    def claimed(self, noise: str) -> tuple[Fraction | None, Fraction | None]:
        """The claimed (strong, weak) order for a problem class.

        A claim for a class holds for every class inside it, and the highest one counts.  Without
        noise there is one order, an integer, unless a random variable multiplies drifts.
        """
        member(noise, CLAIM_CLASSES, "problem class")
        if noise == "none" and noise in self.orders:
            strong, weak = (None if o is None else Fraction(o) for o in self.orders[noise])
            return strong, weak
        if noise == "none":
            orders = [
                Fraction(order)
                for wide, claim in self.orders.items()
                for order in claim
                if wide not in ("martingale", "kinetic") and order is not None
            ]
            without = Fraction(ceil(max(orders))) if orders else None
            return without, without
        inside = "additive" if noise in ADDITIVE_CLASSES else noise
        highest: list[Fraction | None] = [None, None]
        for wide, claim in self.orders.items():
            if wide == noise or inside in NOISE_CLASSES.get(wide, ()):
                for i, order in enumerate(claim):
                    if order is not None:
                        highest[i] = max(Fraction(order), highest[i] or Fraction(0))
        return highest[0], highest[1]

    def substitute(self, values: Mapping[str | sympy.Symbol, Any], **changes: Any) -> Tableau:
        """A member of a family: free symbols replaced by exact values.

        Parameters
        ----------
        values : mapping of symbol or its name to an exact number
        **changes
            Other attributes to set, such as ``name``.
        """
        table = {sympy.Symbol(str(name)): exact(value) for name, value in values.items()}
        strangers = set(table) - self.free_symbols
        if strangers:
            raise TableauError(
                f"tableau {self.name!r}: "
                + unknown("free symbol", str(min(strangers, key=str)), map(str, self.free_symbols))
            )

        return self.mapped(lambda entry: sympy.expand(entry.subs(table)), **changes)

    def mapped(self, change: Callable[[sympy.Expr], Any], **changes: Any) -> Tableau:
        """The tableau with a function of each node, of each entry and of each weight in its place.

        Parameters
        ----------
        change : callable
            From an exact entry to another.
        **changes
            Other attributes to set, such as ``name``.
        """

        def put(entries: Iterable[sympy.Expr]) -> Vector:
            return tuple(map(change, entries))

        def put_outputs(outputs: tuple[Output, ...]) -> tuple[Output, ...]:
            return tuple(replace(o, weights=put(o.weights)) for o in outputs)

        return replace(
            self,
            blocks=tuple(replace(b, nodes=put(b.nodes)) for b in self.blocks),
            couplings=tuple(
                replace(c, matrix=tuple(put(row) for row in c.matrix)) for c in self.couplings
            ),
            outputs=put_outputs(self.outputs),
            embedded=put_outputs(self.embedded),
            **changes,
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Write the tableau as TOML; `tableaux.load` reads back an equal one."""
        from tableaux.files import save

        save(self, path)

    def __str__(self) -> str:
        from tableaux.show import text

        return text(self)

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        from tableaux.show import latex

        return latex(self)

    def _repr_html_(self) -> str:
        from tableaux.show import html

        return html(self)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # Of the mathematics only: equal tableaux still hash alike, and the orders mapping need not
        # be hashable.  Cached, because verdicts are cached by content.
        return hash(
            (self.blocks, self.couplings, self.outputs, self.embedded, self.calculus, self.noise)
        )


class _Claims(Mapping[str, tuple[Order, Order]]):
    """A mapping that cannot change and, unlike a mappingproxy, can be pickled and copied."""

    def __init__(self, claims: Mapping[str, tuple[Fraction | None, Fraction | None]]) -> None:
        self._claims = dict(claims)

    def __getitem__(self, noise: str) -> tuple[Fraction | None, Fraction | None]:
        return self._claims[noise]

    def __iter__(self) -> Iterator[str]:
        return iter(self._claims)

    def __len__(self) -> int:
        return len(self._claims)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self) == dict(other)

    def __repr__(self) -> str:
        return repr(self._claims)


def _check_blocks(blocks: Sequence[Block]) -> None:
    if not blocks:
        raise TableauError("a method needs at least one block of stages")
    names = [block.name for block in blocks]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise TableauError(f"two blocks have the name {doubles[0]!r}")
    by_name = {block.name: block for block in blocks}
    for block in blocks:
        if block.remembers is None:
            continue
        source = by_name.get(block.remembers)
        if source is None or source.remembers is not None:
            raise TableauError(
                f"block {block.name!r} remembers {block.remembers!r}, which is no block of stages "
                "of this tableau"
            )
        for what in ("colour", "replication", "stages"):
            mine, its = getattr(block, what), getattr(source, what)
            if mine != its:
                raise TableauError(
                    f"block {block.name!r} remembers {source.name!r} but has {what} {mine!r} "
                    f"instead of {its!r}"
                )


def _known(name: str, by_name: Mapping[str, Block], where: object, role: str) -> Block:
    block = by_name.get(name)
    if block is None:
        raise TableauError(f"{where}: {role} is no block: " + unknown("block", name, by_name))
    return block


def _check_coupling(coupling: Coupling, by_name: Mapping[str, Block]) -> None:
    target = _known(coupling.target, by_name, coupling, "target")
    source = _known(coupling.source, by_name, coupling, "source")
    if target.remembers is not None:
        raise TableauError(f"{coupling}: a memory block receives nothing")
    shape = (len(coupling.matrix), len(coupling.matrix[0]) if coupling.matrix else 0)
    if shape != (target.stages, source.stages):
        raise TableauError(
            f"{coupling}: the matrix is {shape[0]} x {shape[1]}, but {target.name!r} has "
            f"{target.stages} stages and {source.name!r} has {source.stages}"
        )
    arity = variables[coupling.label].arity
    replicated = target.replication != "once"
    if coupling.selector != "all" and not (replicated and source.has_channel):
        raise TableauError(
            f"{coupling}: the selector compares a source channel with a target channel, and "
            f"{(source if replicated else target).name!r} has none; use 'all'"
        )
    if coupling.selector == "partner" and target.replication != "pair":
        raise TableauError(f"{coupling}: 'partner' needs a target replicated by pair")
    if source.replication == "pair":
        raise TableauError(f"{coupling}: a block replicated by pair feeds only the output")
    have = int(source.has_channel) + int(replicated)
    if arity > have:
        raise TableauError(
            f"{coupling}: the label {coupling.label!r} has {arity} channel indices, but source and "
            f"target have {have}"
        )


def _check_output(output: Output, by_name: Mapping[str, Block]) -> None:
    source = _known(output.source, by_name, output, "source")
    if len(output.weights) != source.stages:
        raise TableauError(
            f"{output}: {len(output.weights)} weights for {source.stages} stages of {source.name!r}"
        )
    arity = variables[output.label].arity
    have = 2 if source.replication == "pair" else int(source.has_channel)
    if arity > have:
        raise TableauError(
            f"{output}: the label {output.label!r} has {arity} channel indices, but "
            f"{source.name!r} has {have}"
        )
    if output.selector != "all" and source.replication != "pair":
        raise TableauError(f"{output}: the selector compares the channels of a pair; use 'all'")


def _canonical_couplings(couplings: Iterable[Coupling]) -> tuple[Coupling, ...]:
    merged: dict[tuple[str, str, str, str], Matrix] = {}
    for c in couplings:
        key = (c.target, c.source, c.label, c.selector)
        old = merged.get(key)
        merged[key] = (
            c.matrix
            if old is None
            else tuple(
                tuple(sympy.expand(a + b) for a, b in zip(row, other))
                for row, other in zip(old, c.matrix)
            )
        )
    return tuple(
        Coupling(target, source, label, matrix, selector)
        for (target, source, label, selector), matrix in sorted(merged.items(), key=_first)
        if any(entry != 0 for row in matrix for entry in row)
    )


def _canonical_outputs(outputs: Iterable[Output]) -> tuple[Output, ...]:
    merged: dict[tuple[str, str, str], Vector] = {}
    for o in outputs:
        key = (o.source, o.label, o.selector)
        old = merged.get(key)
        merged[key] = (
            o.weights if old is None else tuple(sympy.expand(a + b) for a, b in zip(old, o.weights))
        )
    return tuple(
        Output(source, label, weights, selector)
        for (source, label, selector), weights in sorted(merged.items(), key=_first)
        if any(entry != 0 for entry in weights)
    )


def _first(item: tuple[Any, Any]) -> Any:
    return item[0]


def _claims(orders: Orders) -> Orders:
    claims: dict[str, tuple[Fraction | None, Fraction | None]] = {}
    for noise, claim in orders.items():
        member(noise, CLAIM_CLASSES, "claimed order: noise class")
        if isinstance(claim, (str, int, Fraction)) or len(claim) != 2:
            raise TableauError(
                f"claimed order for {noise!r}: give the pair (strong, weak), got {claim!r}"
            )
        strong, weak = (None if order is None else Fraction(order) for order in claim)
        for order in (strong, weak):
            if order is not None and (order < 0 or (2 * order).denominator != 1):
                raise TableauError(
                    f"claimed order for {noise!r}: {order} is no multiple of one half"
                )
        claims[noise] = (strong, weak)
    return _Claims(claims)
