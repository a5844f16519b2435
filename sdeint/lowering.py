"""From a tableau to the shortest program that carries out its steps.

Lowering decides once, ahead of any step: which evaluations of f and g are needed at all, which of
them coincide, and by which polynomial in the step's random variables each value enters each sum.
Nothing here knows a method by name.

Two layouts of the noise exist.  *Elementwise*: g has the shape of the state (diagonal noise, one
channel a component; or one channel for all).  A channel-replicated stage then needs only its own
component, so all channels share one tensor of the state's shape.  *Matrix*: g is (*batch, d, m),
and a channel-replicated stage is a batch of m states, evaluated in one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import sympy

from tableaux import Tableau, variables
from tableaux.tableau import STEP_RATIO

__all__ = ["Contribution", "Evaluation", "Program", "Weight", "lower", "lower_first"]

Coefficient = float | Callable[[float], float]
#: A product of primitives: (name, role, power); role "k" is the source's channel, "l" the target's.
Monomial = tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class Weight:
    """A polynomial: the sum of coefficient * |h|**power * monomial."""

    terms: tuple[tuple[Coefficient, float, Monomial], ...]

    def resolve(self, powers: Callable[[float], Any], ratio: float) -> list[tuple[Any, Monomial]]:
        """The numeric factor of each monomial for one step."""
        return [
            ((c(ratio) if callable(c) else c) * powers(power), monomial)
            for c, power, monomial in self.terms
        ]


@dataclass(frozen=True)
class Contribution:
    """One value times its weight, added to a stage or to the output.

    Attributes
    ----------
    source : int
        Index of an `Evaluation` of this step or, if negative, ``-1 - i`` for remembered value i.
    selector : str
        Which source channels enter for a target channel; only the matrix layout looks at it.
    weights : tuple of Weight
        One weight; or three, for k < l, k == l and k > l, when the label has two indices.
    drift : bool
        Whether the value is one of f; its sign follows the direction of time.
    """

    source: int
    selector: str
    weights: tuple[Weight, ...]
    drift: bool


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of f or g.

    Attributes
    ----------
    drift : bool
    node : float or callable
        The time is t + node * h.
    replication : {"once", "channel", "pair"}
        As the arguments really need it; stages that do not depend on a channel are "once".
    argument : tuple of Contribution
        Added to the current value; empty means the current value itself.
    """

    drift: bool
    node: Coefficient
    replication: str
    argument: tuple[Contribution, ...]


@dataclass(frozen=True)
class Program:
    """The evaluations of one step in order, and how they make the new value.

    Attributes
    ----------
    evaluations : tuple of Evaluation
    outputs : tuple of Contribution
    keep : tuple of int
        Evaluations whose values the next step remembers.
    primitives : frozenset of str
        Random variables of a step.
    """

    evaluations: tuple[Evaluation, ...]
    outputs: tuple[Contribution, ...]
    keep: tuple[int, ...]
    primitives: frozenset[str]

    def count(self, *, drift: bool, channels: int = 1) -> int:
        """Number of states at which a step evaluates f (or g)."""
        each = {"once": 1, "channel": channels, "pair": channels * channels}
        return sum(
            each[e.replication] if e.argument else 1 for e in self.evaluations if e.drift == drift
        )


@lru_cache(maxsize=512)
def lower(
    tableau: Tableau,
    *,
    matrix: bool,
    additive: bool,
    remembered: tuple[tuple[str, int], ...] = (),
) -> Program:
    """The program of a tableau for a layout of the noise.

    Parameters
    ----------
    tableau : Tableau
        Explicit, without free symbols but the step ratio.
    matrix : bool
        Whether g is a matrix (*batch, d, m) rather than elementwise.
    additive : bool
        Whether g does not depend on the state, so that evaluations differ by their time only.
    remembered : tuple of (block, stage)
        Values that the program must keep for a following one.
    """
    return _Lowering(tableau, matrix, additive).program(remembered)


def lower_first(tableau: Tableau, *, matrix: bool, additive: bool) -> Program:
    """The program of the first step: that of the start, which keeps what the second step reads."""
    if tableau.start is None:
        return lower(tableau, matrix=matrix, additive=additive)
    kept = _remembered_values(tableau)
    return lower(tableau.start, matrix=matrix, additive=additive, remembered=kept)


def _remembered_values(tableau: Tableau) -> tuple[tuple[str, int], ...]:
    """The (block, stage) values of the step before that a tableau with memory reads."""
    memory = {b.name: b.remembers for b in tableau.blocks if b.remembers is not None}
    read = {(c.source, j) for c in tableau.couplings for _, j, _ in c.entries()}
    read |= {(o.source, j) for o in tableau.outputs for j, _ in o.entries()}
    return tuple(sorted((memory[name] or "", j) for name, j in read if name in memory))


class _Lowering:
    """The state of one lowering: evaluations found so far, by what they compute."""

    def __init__(self, tableau: Tableau, matrix: bool, additive: bool) -> None:
        self.tableau, self.matrix, self.additive = tableau, matrix, additive
        self.blocks = {block.name: block for block in tableau.blocks}
        self.remembered = _remembered_values(tableau)
        self.evaluations: list[Evaluation] = []
        self.known: dict[object, int] = {}
        self.of_stage: dict[tuple[str, int], int] = {}

    def program(self, extra: tuple[tuple[str, int], ...]) -> Program:
        outputs = self.contributions(
            (
                (o.source, j, o.label, o.selector, w)
                for o in self.tableau.outputs
                for j, w in o.entries()
            )
        )
        keep = tuple(self.value(block, stage) for block, stage in (extra or self.remembered))
        used = [w for c in outputs for w in c.weights]
        used += [w for e in self.evaluations for c in e.argument for w in c.weights]
        primitives = frozenset(
            name for w in used for _, _, monomial in w.terms for name, _, _ in monomial
        )
        return Program(tuple(self.evaluations), outputs, keep, primitives)

    def value(self, name: str, stage: int) -> int:
        """Index of the value of a stage, evaluated now or remembered."""
        block = self.blocks[name]
        if block.remembers is not None:
            return -1 - self.remembered.index((block.remembers, stage))
        if (name, stage) in self.of_stage:
            return self.of_stage[name, stage]
        drift = block.colour == "drift"
        node = block.nodes[stage]
        if not drift and self.additive:
            argument: tuple[Contribution, ...] = ()
            replication = "once"
        else:
            argument = self.contributions(
                (
                    (c.source, j, c.label, c.selector, w)
                    for c in self.tableau.couplings
                    if c.target == name
                    for i, j, w in c.entries()
                    if i == stage
                )
            )
            replication = self.replication(argument, block.replication, drift)
        key = (drift, node, replication, argument)
        if key not in self.known:
            self.known[key] = len(self.evaluations)
            self.evaluations.append(Evaluation(drift, _number(node), replication, argument))
        self.of_stage[name, stage] = self.known[key]
        return self.known[key]

    def replication(self, argument: tuple[Contribution, ...], declared: str, drift: bool) -> str:
        """How often a stage must really be evaluated: its argument may be the same for all."""
        if not self.matrix:
            return "once"
        if declared != "channel" or drift:
            return declared
        for c in argument:
            targets = any(role == "l" for w in c.weights for _, _, m in w.terms for _, role, _ in m)
            if c.selector != "all" or targets or len(c.weights) > 1:
                return "channel"
        return "once"

    def contributions(
        self, parts: Iterable[tuple[str, int, str, str, sympy.Expr]]
    ) -> tuple[Contribution, ...]:
        """Merge all that enters one sum: one contribution a value, selector and arity."""
        sums: dict[tuple[int, str, int], list[dict[tuple[float, Monomial], sympy.Expr]]] = {}
        drifts: dict[int, bool] = {}
        for name, stage, label, selector, weight in parts:
            block, variable = self.blocks[name], variables[label]
            if not self.matrix:
                if selector not in ("all", "own") or block.replication == "pair":
                    continue
                selector = "all"
            pair = self.matrix and variable.arity == 2
            source = self.value(name, stage)
            drifts[source] = block.colour == "drift"
            # A one-index label on a source without a channel refers to the target's channel.
            role = "k" if block.has_channel else "l"
            cases = sums.setdefault(
                (source, selector, 2 if pair else 1), [{} for _ in range(3 if pair else 1)]
            )
            relations = ((1, 2), (1, 1), (2, 1)) if pair else ((1, 1),)
            for case, (k, l) in zip(cases, relations):
                roles = {k: "k", l: "l"} if k != l else {k: role}
                for coefficient, power, monomial in variable.terms(k, l):
                    key = (
                        float(power),
                        tuple(
                            (primitive, "".join(roles[i] for i in indices), exponent)
                            for (primitive, indices), exponent in monomial
                        ),
                    )
                    case[key] = sympy.expand(case.get(key, 0) + weight * coefficient)
        merged = []
        for (source, selector, _), cases in sums.items():
            weights = tuple(
                Weight(tuple((_number(c), power, m) for (power, m), c in case.items() if c != 0))
                for case in cases
            )
            if any(w.terms for w in weights):
                merged.append(Contribution(source, selector, weights, drifts[source]))
        return tuple(merged)


def _number(entry: sympy.Expr) -> Coefficient:
    if STEP_RATIO in entry.free_symbols:
        return _ratio_function(entry)
    # Thirty digits first: a direct float() of a difference of roots may lose half of its digits.
    return float(entry.evalf(30))


@cache
def _ratio_function(entry: sympy.Expr) -> Callable[[float], float]:
    # Cached, so that equal entries give the same object and evaluations still compare equal.
    function: Callable[[float], float] = sympy.lambdify(STEP_RATIO, entry, modules="math")
    return function
