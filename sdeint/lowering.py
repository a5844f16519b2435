"""From a tableau to the shortest program that carries out its steps.

Lowering decides once, ahead of any step: which evaluations of f and g are needed at all, which of
them coincide, and by which polynomial in the step's random variables each value enters each sum.
Nothing here knows a method by name.

Two layouts of the noise exist.  *Elementwise*: g has the shape of the state (diagonal noise, one
channel a component; or one channel for all).  A channel-replicated stage then needs only its own
component, so all channels share one tensor of the state's shape.  *Matrix*: g is (*batch, d, m),
and a channel-replicated stage is a batch of m states, evaluated in one call.

Stages that depend on each other in a cycle, as those of implicit methods, become one *cluster* of
evaluations, which the engine solves for together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import mpmath
import sympy

from sdeint.linear.flow import Term
from tableaux import Tableau, variables
from tableaux.phi import Phi, combination
from tableaux.tableau import RANDOM_NODE, RELATIVE_STEP, STEP_RATIOS, STEP_SYMBOLS

__all__ = [
    "Contribution",
    "Evaluation",
    "Program",
    "Ratios",
    "StepNumbers",
    "Weight",
    "evaluations",
    "lower",
    "lower_starts",
]

#: What coefficients may depend on: h / t, and the ratios of this step and of those before.
Ratios = tuple[float, ...]
Coefficient = float | Callable[[Ratios], float]
#: A value of an earlier step: (block, stage, how many steps earlier).
Slot = tuple[str, int, int]
#: Relative steps below which coefficients are computed with more digits than those of a double.
_SMALL = 0.01
#: A product of primitives: (name, role, power); role "k" is the source's channel, "l" the target's.
Monomial = tuple[tuple[str, str, int], ...]


class StepNumbers:
    """The deterministic numbers of a step: powers of its width, coefficients at its ratios.

    Parameters
    ----------
    h : float or tensor
        Absolute value of the step; a 0-dimensional tensor where times carry a gradient.
    ratios : tuple of float
        See `Ratios`.
    """

    def __init__(self, h: Any, ratios: Ratios = (0.0, 1.0, 1.0, 1.0)) -> None:
        self.h, self.ratios = h, ratios
        self._powers: dict[float, Any] = {0: 1.0, 1: h}

    def power(self, exponent: float) -> Any:
        """|h|**exponent."""
        if exponent not in self._powers:
            self._powers[exponent] = self.h**exponent
        return self._powers[exponent]

    def coefficient(self, coefficient: Coefficient) -> Any:
        """A number, or the value of a function of the ratios."""
        return coefficient(self.ratios) if callable(coefficient) else coefficient


@dataclass(frozen=True)
class Weight:
    """A polynomial: the sum of coefficient * |h|**power * monomial."""

    terms: tuple[tuple[Coefficient, float, Monomial], ...]

    def resolve(self, numbers: StepNumbers) -> list[tuple[Any, Monomial]]:
        """The numeric factor of each monomial for one step."""
        return [
            (numbers.coefficient(c) * numbers.power(power), monomial)
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
    axes : int
        In the matrix layout: by how many channels the values of its stage are indexed.  A value
        with fewer channel axes is the same along the others; of one with more, g_k at the stage of r
        for all k and r, the diagonal is meant.
    operator : tuple of Term
        The combination of phi functions of h L that is applied to it; empty for none.
    """

    source: int
    selector: str
    weights: tuple[Weight, ...]
    drift: bool
    axes: int
    operator: tuple[Term, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of f or g.

    Attributes
    ----------
    drift : bool
    node : float or callable
        The time is t + node * h ...
    replication : {"once", "channel", "pair", "partner"}
        As the arguments really need it: stages that do not depend on a channel are "once", and
        those of pairs that depend on the partner only are "partner".
    argument : tuple of Contribution
        Added to the current value; empty means the current value itself.
    carry : float
        In an exponential method phi_0(carry h L) is first applied to the current value.
    at_random : bool
        ... or t + u h with the random variable u, for each path its own; `node` is then 0.
    """

    drift: bool
    node: Coefficient
    replication: str
    argument: tuple[Contribution, ...]
    carry: float = 0.0
    at_random: bool = False


@dataclass(frozen=True)
class Program:
    """The evaluations of one step in order, and how they make the new value.

    Attributes
    ----------
    evaluations : tuple of Evaluation
    outputs : tuple of Contribution
    keep : tuple of int
        Evaluations whose values the next step remembers; negative: as `Contribution.source`.
    primitives : frozenset of str
        Random variables of a step.
    clusters : tuple of (first, stop)
        Ranges of evaluations that depend on each other; empty for explicit methods.
    exponential : bool
        Whether the new value starts from phi_0(h L) applied to the current one.
    """

    evaluations: tuple[Evaluation, ...]
    outputs: tuple[Contribution, ...]
    keep: tuple[int, ...]
    primitives: frozenset[str]
    clusters: tuple[tuple[int, int], ...] = ()
    exponential: bool = False

    def count(self, *, drift: bool, channels: int = 1) -> int:
        """Number of states at which a step evaluates f (or g), each stage once."""
        each = {"once": 1, "channel": channels, "partner": channels, "pair": channels * channels}
        return sum(each[e.replication] for e in self.evaluations if e.drift == drift)


@lru_cache(maxsize=512)
def lower(
    tableau: Tableau,
    *,
    matrix: bool,
    additive: bool,
    silent: bool = False,
    remembered: tuple[Slot, ...] | None = None,
    keep: tuple[Slot, ...] | None = None,
) -> Program:
    """The program of a tableau for a layout of the noise.

    Parameters
    ----------
    tableau : Tableau
        Without free symbols but those of `tableaux.tableau.STEP_SYMBOLS`.
    matrix : bool
        Whether g is a matrix (*batch, d, m) rather than elementwise.
    additive : bool
        Whether g does not depend on the state, so that evaluations differ by their time only.
    silent : bool
        Whether there is no noise, so that only drift stages remain.
    remembered, keep : tuple of (block, stage, lag), optional
        Values of earlier steps that the program is given, and those that it hands on to the next
        one; by default what it needs itself.
    """
    remembered = _remembered_values(tableau) if remembered is None else remembered
    keep = remembered if keep is None else keep
    return _Lowering(tableau, matrix, additive, silent, remembered).program(keep)


def lower_starts(
    tableau: Tableau, *, matrix: bool, additive: bool, silent: bool = False
) -> tuple[Program, ...]:
    """The programs of the first steps: those of the starts; empty for a tableau without memory."""
    found: list[Program] = []
    keep = _remembered_values(tableau)
    for start in reversed(tableau.starts):
        # What comes later from further back passes through.
        passed = {(block, stage, lag - 1) for block, stage, lag in keep if lag > 1}
        # A start takes one step only, so that it passes nothing on to itself.
        given = tuple(sorted(passed | set(_remembered_values(start, again=False))))
        kinds = {"matrix": matrix, "additive": additive, "silent": silent}
        found.insert(0, lower(start, remembered=given, keep=keep, **kinds))
        keep = given
    return tuple(found)


def _remembered_values(tableau: Tableau, *, again: bool = True) -> tuple[Slot, ...]:
    """The values of earlier steps that a tableau reads or, if used `again`, must pass on to read later."""
    memory = {b.name: b for b in tableau.blocks if b.remembers is not None}
    read = {(c.source, j) for c in tableau.couplings for _, j, _ in c.entries()}
    read |= {(o.source, j) for o in tableau.outputs for j, _ in o.entries()}
    slots = {
        (memory[name].remembers or "", j, lag)
        for name, j in read
        if name in memory
        for lag in range(1 if again else memory[name].lag, memory[name].lag + 1)
    }
    return tuple(sorted(slots))


def evaluations(tableau: Tableau, noise: str) -> tuple[str, str]:
    """States at which one step evaluates f and g for a class of noise.

    Numbers; for general or commutative noise formulas in the number m of channels.  Each implicit
    stage counts once.
    """
    matrix = noise in ("general", "commutative")
    program = lower(tableau, matrix=matrix, additive=noise == "additive", silent=noise == "none")
    return _formula(program, True, matrix), _formula(program, False, matrix)


def _formula(program: Program, drift: bool, matrix: bool) -> str:
    if not matrix:
        return str(program.count(drift=drift))
    none, one, two = (program.count(drift=drift, channels=m) for m in (0, 1, 2))
    square = (two - 2 * one + none) // 2
    parts = ((none, ""), (one - none - square, "m"), (square, "m²"))
    terms = [f"{'' if n == 1 and power else n}{power}" for n, power in parts if n]
    return " + ".join(terms).replace("+ -", "- ") or "0"


Stage = tuple[str, int]


class _Lowering:
    """The state of one lowering: evaluations found so far, by what they compute."""

    def __init__(
        self,
        tableau: Tableau,
        matrix: bool,
        additive: bool,
        silent: bool,
        remembered: tuple[Slot, ...],
    ) -> None:
        self.tableau, self.matrix, self.additive, self.silent = tableau, matrix, additive, silent
        self.blocks = {block.name: block for block in tableau.blocks}
        self.remembered = remembered
        self.evaluations: list[Evaluation] = []
        self.clusters: list[tuple[int, int]] = []
        self.known: dict[object, int] = {}
        self.of_stage: dict[Stage, int] = {}

    def program(self, kept: tuple[Slot, ...]) -> Program:
        parts = [
            (o.source, j, o.label, o.selector, w)
            for o in self.tableau.outputs
            for j, w in o.entries()
            if self.takes_part(o.source, o.selector)
        ]
        wanted = [(source, j) for source, j, *_ in parts]
        wanted += [(block, stage) for block, stage, lag in kept if lag == 1]
        # Stages of pairs first: those of single channels may be among their values.
        pairs = {name for name, block in self.blocks.items() if block.replication == "pair"}
        self.evaluate(sorted(wanted, key=lambda stage: stage[0] not in pairs, reverse=True))
        outputs = self.contributions(parts, sympy.Integer(1))
        keep = tuple(
            self.of_stage[block, stage]
            if lag == 1
            else -1 - self.remembered.index((block, stage, lag - 1))
            for block, stage, lag in kept
        )
        used = [w for c in outputs for w in c.weights]
        used += [w for e in self.evaluations for c in e.argument for w in c.weights]
        primitives = frozenset(
            name for w in used for _, _, monomial in w.terms for name, _, _ in monomial
        )
        if any(e.at_random for e in self.evaluations):
            primitives |= {str(RANDOM_NODE)}
        return Program(
            tuple(self.evaluations),
            outputs,
            keep,
            primitives,
            tuple(self.clusters),
            self.tableau.exponential,
        )

    # ------------------------------------------------------------------ which stages, in which order

    def takes_part(self, source: str, selector: str) -> bool:
        """Whether values of a source can enter at all, in this layout."""
        block = self.blocks[source]
        if self.silent and block.colour == "diffusion":
            return False
        if self.matrix:
            return True
        return selector in ("all", "own") and block.replication != "pair"

    def parts(self, stage: Stage) -> list[tuple[str, int, str, str, sympy.Expr]]:
        """What enters the argument of a stage."""
        block = self.blocks[stage[0]]
        if block.remembers is not None or (block.colour == "diffusion" and self.additive):
            return []
        return [
            (c.source, j, c.label, c.selector, w)
            for c in self.tableau.couplings
            if c.target == block.name and self.takes_part(c.source, c.selector)
            for i, j, w in c.entries()
            if i == stage[1]
        ]

    def evaluate(self, wanted: Iterable[Stage]) -> None:
        """Put the evaluations of the wanted stages, and of all they need, into the program."""
        graph: dict[Stage, list[Stage]] = {}
        work = list(wanted)
        while work:
            stage = work.pop()
            if stage not in graph and self.blocks[stage[0]].remembers is None:
                needs = [(source, j) for source, j, *_ in self.parts(stage)]
                graph[stage] = [n for n in needs if self.blocks[n[0]].remembers is None]
                work.extend(needs)
        for component in _components(graph):
            if len(component) == 1 and component[0] not in graph[component[0]]:
                self.explicit(component[0])
            else:
                self.cluster(component)

    def explicit(self, stage: Stage) -> None:
        evaluation, key = self.evaluation(stage)
        if evaluation.replication == "channel" and not evaluation.drift:
            # All columns may be known at the stages of all channels: g_k at that of k is one of them.
            moved = tuple(
                replace(c, selector={"own": "partner"}.get(c.selector, c.selector))
                for c in evaluation.argument
            )
            twin = (False, self.blocks[stage[0]].nodes[stage[1]], "partner", moved)
            key = twin if twin in self.known else key
        if key not in self.known:
            self.known[key] = len(self.evaluations)
            self.evaluations.append(evaluation)
        self.of_stage[stage] = self.known[key]

    def cluster(self, stages: list[Stage]) -> None:
        first = len(self.evaluations)
        for i, stage in enumerate(stages):
            self.of_stage[stage] = first + i
        self.evaluations.extend([self.evaluation(stage)[0] for stage in stages])
        self.clusters.append((first, first + len(stages)))

    def evaluation(self, stage: Stage) -> tuple[Evaluation, object]:
        """The evaluation of a stage, and a key that equal ones share."""
        block = self.blocks[stage[0]]
        drift, node = block.colour == "drift", block.nodes[stage[1]]
        argument = self.contributions(self.parts(stage), node)
        replication = self.replication(argument, block.replication, drift)
        key = (drift, node, replication, argument)
        carry = 0.0
        if self.tableau.exponential and (drift or not self.additive):
            carry = float(node.evalf(30))
        if node == RANDOM_NODE:
            return Evaluation(drift, 0.0, replication, argument, carry, at_random=True), key
        return Evaluation(drift, _number(node), replication, argument, carry), key

    def index(self, stage: Stage) -> int:
        """Index of the value of a stage, evaluated now or remembered."""
        block = self.blocks[stage[0]]
        if block.remembers is not None:
            return -1 - self.remembered.index((block.remembers, stage[1], block.lag))
        return self.of_stage[stage]

    def replication(self, argument: tuple[Contribution, ...], declared: str, drift: bool) -> str:
        """How often a stage must really be evaluated: its argument may be the same for all."""
        if not self.matrix:
            return "once"
        if not argument:
            return "once"
        if declared == "once" or drift:
            return declared
        selectors = {c.selector for c in argument}
        own = any(
            len(c.weights) > 1 or role == "l"
            for c in argument
            for w in c.weights
            for _, _, m in w.terms
            for _, role, _ in m
        )
        if declared == "pair":
            return "partner" if selectors <= {"all", "partner"} and not own else "pair"
        return "channel" if own or selectors - {"all"} else "once"

    def contributions(
        self, parts: Iterable[tuple[str, int, str, str, sympy.Expr]], node: sympy.Expr
    ) -> tuple[Contribution, ...]:
        """Merge all that enters one sum: one contribution a value, selector, arity and operator.

        `node` is that of the sum: 1 for the new value.
        """
        sums: dict[
            tuple[int, str, int, int, tuple[Term, ...]],
            list[dict[tuple[float, Monomial], sympy.Expr]],
        ] = {}
        drifts: dict[int, bool] = {}
        for name, stage, label, selector, entry in parts:
            weight, operator = _operator(entry, node)
            block, variable = self.blocks[name], variables[label]
            selector = selector if self.matrix else "all"
            pair = self.matrix and variable.arity == 2
            source = self.index((name, stage))
            drifts[source] = block.colour == "drift"
            # A one-index label on a source without a channel refers to the target's channel.
            role = "k" if block.has_channel else "l"
            axes = {"once": int(block.has_channel), "channel": 1, "pair": 2}[block.replication]
            cases = sums.setdefault(
                (source, selector, 2 if pair else 1, axes, operator),
                [{} for _ in range(3 if pair else 1)],
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
        for (source, selector, _, axes, operator), cases in sums.items():
            weights = tuple(
                Weight(tuple((_number(c), power, m) for (power, m), c in case.items() if c != 0))
                for case in cases
            )
            if any(w.terms for w in weights):
                drift = drifts[source]
                merged.append(Contribution(source, selector, weights, drift, axes, operator))
        return tuple(merged)


def _operator(entry: sympy.Expr, node: sympy.Expr) -> tuple[sympy.Expr, tuple[Term, ...]]:
    """An entry as a number times a combination of phi functions; equal ones are equal tuples.

    phi_k(d z) stands for the part of the step of length d that ends at the node, as in a method that
    carries a value from one stage to another; or, where that would begin before the step, for its
    first part. It matters only for an L that is a function of time.
    """
    if not entry.has(Phi):
        return entry, ()
    found = combination(entry)
    keys = sorted(found, key=lambda term: (-1, 0.0) if term is None else (term[0], float(term[1])))
    lead = found[keys[0]]
    terms = []
    for key in keys:
        k, length = (0, sympy.Integer(0)) if key is None else key
        start = node - length
        start = sympy.Integer(0) if start < 0 else start
        share = sympy.simplify(found[key] / lead)
        terms.append(Term(float(share.evalf(30)), k, float(start + length), float(start)))
    return lead, tuple(terms)


def _number(entry: sympy.Expr) -> Coefficient:
    if not STEP_SYMBOLS.isdisjoint(entry.free_symbols):
        return _ratio_function(entry)
    # Thirty digits first: a direct float() of a difference of roots may lose half of its digits.
    return float(entry.evalf(30))


@cache
def _ratio_function(entry: sympy.Expr) -> Callable[[Ratios], float]:
    # Cached, so that equal entries give the same object and evaluations still compare equal.
    symbols = (RELATIVE_STEP, *STEP_RATIOS)
    function: Callable[[Ratios], float] = sympy.lambdify([symbols], entry, modules="math")
    if RELATIVE_STEP not in entry.free_symbols:
        return function
    # Moments of a step in log t have poles in w that cancel: from doubles, 1e-16/w^2 of the second
    # would be lost.
    careful = sympy.lambdify([symbols], entry, modules="mpmath")

    def value(ratios: Ratios) -> float:
        if abs(ratios[0]) > _SMALL:
            return function(ratios)
        with mpmath.workdps(50):
            return float(careful(tuple(map(mpmath.mpf, ratios))))

    return value


def _components(graph: dict[Stage, list[Stage]]) -> list[list[Stage]]:
    """Strongly connected components of a graph, each after all that it needs (Tarjan 1972)."""
    order: dict[Stage, int] = {}
    low: dict[Stage, int] = {}
    open_: list[Stage] = []
    found: list[list[Stage]] = []
    for root in graph:
        if root in order:
            continue
        order[root] = low[root] = len(order)
        open_.append(root)
        work = [(root, iter(graph[root]))]
        while work:
            stage, needs = work[-1]
            needed = next(needs, None)
            if needed is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[stage])
                if low[stage] == order[stage]:
                    start = open_.index(stage)
                    found.append(sorted(open_[start:]))
                    del open_[start:]
            elif needed not in order:
                order[needed] = low[needed] = len(order)
                open_.append(needed)
                work.append((needed, iter(graph[needed])))
            elif needed in open_:
                low[stage] = min(low[stage], order[needed])
    return found
