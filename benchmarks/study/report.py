"""The report: who leads where, then every table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby

from benchmarks.study.contenders import FROM, SECOND, SINGLE
from benchmarks.study.parts import Cell, Found, Part
from benchmarks.study.race import LOOKS, SURE
from benchmarks.study.tables import number, table

__all__ = ["report"]


def report(parts: Sequence[Part], found: Sequence[Found], facts: str) -> str:
    """What was found, as Markdown.

    Parameters
    ----------
    parts, found : sequence
        In the same order.
    facts : str
        Of the machine and the run.
    """
    lines = [
        "# Samplers compared",
        "",
        "Written by `make study`: every sampler with the same number of evaluations of the same "
        "denoiser, the last of which removes the noise that is left. Ours and the published ones "
        "are tableaux of the catalogue; *fitted* samplers know the variance of a coordinate of the "
        "data (`variance=` of `diffusion.sample`). Rows named *flow*, and diffusers' ode, have no "
        "noise in their steps and are not ranked. Bold: the least error of the stochastic ones.",
        "",
        "Errors are sliced energy distances (the root of 2 ∫(F - G)² of the distribution functions "
        "along a direction, on average over directions) from the limit of many evaluations on the same "
        "Brownian paths: that is the discretisation, and its estimate has no bias and little noise "
        "(benchmarks/study/limit.py). *< x*: not to be told from 0 by 2 standard errors. Distances "
        "from the data themselves, with the noise of the samples, are in the second tables.",
        "",
        f"{facts}; {_peers()}.",
        "",
        *_verdict([cell for f in found for cell in f.cells]),
        "![error against evaluations](images/study.png)",
        "",
    ]
    for section, pairs in groupby(zip(parts, found), key=lambda pair: pair[0].section):
        members = list(pairs)
        lines += [f"## {section}", ""]
        for part, result in members:
            lines += [f"### {part.name}", ""] if len(members) > 1 else []
            lines += result.lines
    return "\n".join(lines).rstrip() + "\n"


def _peers() -> str:
    try:
        return f"diffusers {version('diffusers')}"
    except PackageNotFoundError:
        return "diffusers not installed, so without its schedulers"


def _verdict(cells: Sequence[Cell]) -> list[str]:
    single = f"{SINGLE[0]}, fitted" if SINGLE[1] else SINGLE[0]
    lines = [
        f"A cell is a problem with a number of evaluations; there are {len(cells)}. It is won where ours "
        f"is ahead of every other stochastic sampler by {SURE:g} standard errors of the difference, "
        "lost where another is ahead of ours by as many, and level otherwise: a level cell is one "
        "where no difference was found, not one without a difference.",
        "",
        "At first all samplers have as many samples. Those that are not told apart then race: they are "
        f"drawn on, twice as many each time and {2 ** (LOOKS - 1)} times as many at most, while the "
        "evaluations that are set aside for their problem last, the cheapest cells first; a race that more "
        "samples will hardly win is given up. Errors in the tables are those of all samples that were drawn, "
        "with the slight bias of having stopped where a difference was seen. Of two equal samplers ours is "
        f"found ahead at any of the {LOOKS} looks with probability 0.0020 at most; a single test by 3 standard "
        "errors at the first look has "
        "0.0026 (benchmarks/study/race.py).",
        "",
        f"For {single} alone, the one sampler that we recommend, and for the one that we recommend by "
        f"budget, {SECOND[0]} from {FROM} evaluations on, a rule made on other mixtures:",
        "",
        _counts("all", cells, lambda cell: "all"),
        "",
        _counts("evaluations", cells, lambda cell: str(cell.evaluations)),
        "",
        _counts("dimension", cells, lambda cell: cell.problem.split(",")[0]),
        "",
        _counts("grid", cells, lambda cell: cell.grid),
        "",
        _counts("score", cells, lambda cell: "wrong" if "score" in cell.problem else "exact"),
        "",
    ]
    lost = [cell for cell in cells if "lost" in (cell.single, cell.by_budget)]
    if lost:
        head = ["problem", "grid", "evaluations", "leader", "its error", single, "by budget"]
        rows = [
            [
                cell.problem,
                cell.grid,
                str(cell.evaluations),
                cell.rival,
                number(cell.errors[2]),
                f"{number(cell.errors[0])} ({cell.single})",
                f"{number(cell.errors[1])} ({cell.by_budget})",
            ]
            for cell in lost
        ]
        lines += ["Every cell that is lost by either:", "", table(head, rows), ""]
    return lines


def _counts(title: str, cells: Sequence[Cell], kind: Callable[[Cell], str]) -> str:
    standings = ("won", "level", "lost")
    head = [title, *(f"{who}: {s}" for who in ("alone", "by budget") for s in standings)]
    rows = []
    for name in dict.fromkeys(map(kind, cells)):
        some = [cell for cell in cells if kind(cell) == name]
        alone, ruled = Counter(c.single for c in some), Counter(c.by_budget for c in some)
        counts = [*(alone[s] for s in standings), *(ruled[s] for s in standings)]
        rows.append([name, *map(str, counts)])
    return table(head, rows)
