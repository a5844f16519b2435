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

from tableaux.blocks import Coupling, Output
from tableaux.constraints import (
    Combination,
)
from tableaux.errors import TableauError
from tableaux.findings import Failure, PrincipalError, Verdict
from tableaux.jets import DEGREE
from tableaux.prover import CLASSES, HALF, Prover
from tableaux.rooted_trees import LINEAR, TIME, forest_symmetry, trees
from tableaux.starting import left_of_order, left_of_verdict
from tableaux.tableau import (
    STEP_SYMBOLS,
    Tableau,
)
from tableaux.variables import PRIMITIVES, variables

__all__ = ["OrderReport", "order", "principal_errors"]

Ratio = Fraction | int | str


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


SHOWN = 3


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

    The first steps of a tableau with memory count: their local errors stay in the result, so that a
    weak order p needs a start of weak order p - 1, a strong order one of p - 1/2.
    """
    search = (
        Fraction(max_strong),
        None if max_weak is None else Fraction(max_weak),
        max_deterministic,
        autonomous,
        channels,
        _ratios(tableau, ratios),
    )
    report = _order(tableau, embedded, noise, *search)
    for start in tableau.starts:
        report = _with_start(report, start, search)
    return report


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


def _with_start(report: OrderReport, start: Tableau, search: tuple[Any, ...]) -> OrderReport:
    """The orders that one of the first steps leaves, judged as the report was."""
    *others, ratios = search
    ratios = ratios if start.start else _ratios(start, None)

    def judged(noise: str) -> OrderReport:
        return _order(start, False, noise, *others, ratios)

    verdicts = {
        name: left_of_verdict(found, judged(name).by_noise[name], start.name)
        for name, found in report.by_noise.items()
    }
    first = judged("none")
    order, capped = left_of_order(
        (report.deterministic, report.deterministic_capped),
        (first.deterministic, first.deterministic_capped),
    )
    return replace(report, by_noise=verdicts, deterministic=order, deterministic_capped=capped)


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
    # The method's own orders, whatever its start leaves of them.
    search = Fraction(2), None, 6, False, None, _ratios(tableau, None)
    report = _order(tableau, embedded, name, *search)
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
