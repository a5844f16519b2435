"""The study in parts that are computed apart: each is Markdown, and cells to be counted.

A part is finished or not, and what it found is plain data: an interrupted study goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.study import digits, gaussian, pictures, separation
from benchmarks.study.comparison import Comparison, Measures, compare
from benchmarks.study.contenders import (
    OURS,
    PUBLISHED,
    SINGLE,
    Contender,
    by_budget,
    contenders,
    named,
)
from benchmarks.study.limit import Estimate
from benchmarks.study.measures import Judge
from benchmarks.study.problems import Problem, Target, mixtures, with_error
from benchmarks.study.tables import errors, number, table
from tableaux import catalogue

__all__ = ["Cell", "Found", "Part", "Sizes", "parts"]

#: Methods in the plots.
SHOWN = ("NoiseAdams", "NoiseRK3", "EM", "DPMSolver2M", "DPMSolver3M", "SASolver", "RES2S", "SRA1")

# Of a mixture, by its dimension.
_MINUTES = {1: 1.2, 2: 2.5, 16: 2.5, 64: 7.0}


@dataclass(frozen=True)
class Sizes:
    """How much is computed.

    Attributes
    ----------
    budgets, digit_budgets : tuple of int
        Evaluations.
    items : tuple of (int, int)
        Up to how many coordinates, how many samples before the race.
    digits, separated : int
        Samples of digits, and where the parts of the error are separated.
    fine : int
        Evaluations of the limit.
    problems : int or None
        How many of the mixtures.
    allowance : float
        What races may cost, as a multiple of what comes before them.
    """

    budgets: tuple[int, ...] = (8, 12, 16, 24, 32, 64, 128)
    items: tuple[tuple[int, int], ...] = ((2, 16384), (64, 4096))
    digits: int = 512
    separated: int = 4096
    fine: int = 256
    problems: int | None = None
    allowance: float = 1.5

    def of(self, d: int) -> int:
        """Samples in d dimensions."""
        return next(count for most, count in self.items if d <= most)

    @property
    def middle(self) -> int:
        """The budget at which all measures are shown: few evaluations rather than many."""
        return self.budgets[(len(self.budgets) - 1) // 2 - (len(self.budgets) > 4)]


@dataclass(frozen=True)
class Cell:
    """Ours against the others, on one problem with one number of evaluations.

    Attributes
    ----------
    problem, grid : str
    evaluations : int
    single, by_budget : str
        "won", "level" or "lost": the one sampler that we recommend, and the one for this budget.
    rival : str
        The best of the others.
    errors : (float, float, float)
        Of the three.
    """

    problem: str
    grid: str
    evaluations: int
    single: str
    by_budget: str
    rival: str
    errors: tuple[float, float, float]


@dataclass(frozen=True)
class Found:
    """What a part found: Markdown, cells, and the curves of its plot."""

    lines: list[str]
    cells: list[Cell] = field(default_factory=list)
    curves: dict[str, dict[int, float]] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Found:
        """What `plain` gave."""
        cells = [Cell(**{**c, "errors": tuple(c["errors"])}) for c in plain["cells"]]
        curves = {n: {int(k): v for k, v in row.items()} for n, row in plain["curves"].items()}
        return cls(plain["lines"], cells, curves)


@dataclass(frozen=True)
class Part:
    """A section of the report, or one problem of it.

    Attributes
    ----------
    section, name : str
    work : callable () -> Found
    minutes : float
        How long it takes at full size, about: for the order of the work and for estimates.
    """

    section: str
    name: str
    work: Callable[[], Found]
    minutes: float = 0.3


def parts(sizes: Sizes, out: Path) -> list[Part]:
    """All parts, in the order of the report."""
    problems = mixtures()[: sizes.problems]
    apart = [p for p in problems if p.name in ("1-d, apart", "16-d, apart")]
    other_grid = [p for p in problems if p.name.endswith("apart") or p.data.d == 2]

    def mixture(section: str, problem: Problem, grid: str = "uniform_lambda") -> Part:
        work = partial(_mixture, problem, grid, sizes)
        return Part(section, problem.name, work, _MINUTES[problem.data.d])

    return [
        *(mixture("Mixtures", p) for p in problems),
        *(mixture("Wrong scores", with_error(p, 0.1)) for p in apart),
        *(mixture("The grid of Karras", p, "karras") for p in other_grid),
        Part("Digits", "digits", partial(_digits, sizes), 8),
        Part("Gaussian data, exactly", "gaussian", partial(_gaussian, sizes)),
        Part("The parts of the error", "separation", partial(_separation, apart, sizes)),
        Part("The rates of the seed papers", "rates", partial(_rates, sizes, out)),
    ]


def _mixture(problem: Problem, grid: str, sizes: Sizes) -> Found:
    samplers = contenders(grid)
    items = sizes.of(problem.data.d)
    exact = problem.name in (p.name for p in mixtures()) and grid == "uniform_lambda"
    judge = Judge(problem.data) if exact else None
    measures = (lambda x, limit: judge.measures(x)) if judge else None
    found = _compared(problem, samplers, items, sizes, measures)
    lines = [_caption(problem, items, found), "", *_errors(found, samplers, sizes.budgets)]
    if judge:
        true = {"true samples": judge.measures(problem.data.sample(items, seed=10_003))}
        lines += [f"Against the data, at {sizes.middle} evaluations:", ""]
        lines += [*_measures({**found.others, **true}), ""]
    return Found(lines, _cells(problem, grid, found), _curves(found))


def _compared(
    target: Target, samplers: list[Contender], items: int, sizes: Sizes, measures: Measures | None
) -> Comparison:
    def leaders(nfe: int) -> list[str]:
        return list(dict.fromkeys((named(*SINGLE), named(*by_budget(nfe)))))

    return compare(
        target,
        samplers,
        sizes.budgets,
        items,
        sizes.fine,
        leaders,
        sizes.allowance,
        measures,
        sizes.middle,
    )


def _caption(target: Target, items: int, found: Comparison) -> str:
    longer = [f"{n} at {nfe} evaluations" for nfe, n in found.samples.items() if n > items]
    race = f", in the race up to {', '.join(longer)}" if longer else ""
    return f"{target.what[0].upper()}{target.what[1:]}; {items} samples{race}."


def _errors(found: Comparison, samplers: list[Contender], budgets: tuple[int, ...]) -> list[str]:
    noise = {n: {b: _noise(e) for b, e in row.items()} for n, row in found.errors.items()}
    ranked = [c.name for c in samplers if c.stochastic]
    return [errors(_curves(found), budgets, ranked, noise), ""]


def _noise(estimate: Estimate) -> float:
    """The least distance that could be told from none."""
    return (2 * estimate.error) ** 0.5


def _measures(others: dict[str, dict[str, float]]) -> list[str]:
    names = list(next(iter(others.values())))
    return [table(["", *names], [[n, *(number(o[m]) for m in names)] for n, o in others.items()])]


def _curves(found: Comparison) -> dict[str, dict[int, float]]:
    return {n: {b: e.distance for b, e in row.items()} for n, row in found.errors.items()}


def _cells(target: Target, grid: str, found: Comparison) -> list[Cell]:
    cells = []
    for nfe, race in found.races.items():
        single, ours = named(*SINGLE), named(*by_budget(nfe))
        rival = min(race.rivals, key=lambda name: found.errors[name][nfe].squared)
        one, other, best = (found.errors[name][nfe].distance for name in (single, ours, rival))
        standings = race.standing(single), race.standing(ours)
        cells.append(Cell(target.name, grid, nfe, *standings, rival, (one, other, best)))
    return cells


def _digits(sizes: Sizes) -> Found:
    samplers, target = contenders(), digits.digits()
    limits: list[Tensor] = []

    def measures(x: Tensor, limit: Tensor) -> dict[str, float]:
        limits.append(limit)
        return digits.measures(x, limit)

    found = _compared(target, samplers, sizes.digits, sizes, measures)
    others = {**found.others, "held-out digits": digits.held_out(limits[0])}
    lines = [
        _caption(target, sizes.digits, found),
        "",
        *_errors(found, samplers, sizes.budgets),
        f"At {sizes.middle} evaluations; *sure* is the share that the classifier gives more "
        "than 0.9 to one digit, *nearest* the distance to the nearest training image:",
        "",
        *_measures(others),
        "",
    ]
    return Found(lines, _cells(target, "uniform_lambda", found), _curves(found))


def _gaussian(sizes: Sizes) -> Found:
    names = [(named(m, f), m, f) for m, f in OURS]
    # A random node makes the law a mixture of Gaussian ones.
    names += [(m, m, False) for m in PUBLISHED if not catalogue[m].random_nodes]
    w2, kl = {}, {}
    for label, row in gaussian.laws(names, sizes.budgets, 0.5):
        w2[label] = {n: value[0] for n, value in row.items()}
        kl[label] = {n: value[1] for n, value in row.items()}
    ranked = list(w2)
    return Found(
        [
            "W2 to Gaussian data of variance 1/2, a coordinate, exactly:",
            "",
            errors(w2, sizes.budgets, ranked),
            "",
            "KL, a coordinate:",
            "",
            errors(kl, sizes.budgets, ranked),
            "",
        ]
    )


def _separation(chosen: list[Problem], sizes: Sizes) -> Found:
    sampler = next(c for c in contenders() if (c.method, c.fitted) == SINGLE)
    columns = [separation.parts(p, sizes.separated, 16, sizes.fine, 0.1, sampler) for p in chosen]
    rows = [[name, *(number(c[name]) for c in columns)] for name in columns[0]]
    return Found([table(["distance", *(p.name for p in chosen)], rows), ""])


def _rates(sizes: Sizes, out: Path) -> Found:
    budgets = (32, 64, 128, 256) if sizes.problems is None else (32, 64)
    rows = pictures.rates(budgets, (4, 16, 64, 256), out / "images" / "study_rates.png")
    head = ["", "measure", "measured in N", "proved", "measured in d", "proved"]
    return Found([table(head, rows), "", "![rates](images/study_rates.png)", ""])
