"""Run the study and write its report: ``python -m benchmarks.study [--quick] [--out FOLDER]``."""

from __future__ import annotations

import argparse
import math
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.study import gaussian, pictures, separation
from benchmarks.study.contenders import OURS, PUBLISHED, Contender, contenders
from benchmarks.study.digits import DigitsStudy
from benchmarks.study.measures import Judge
from benchmarks.study.problems import Problem, mixtures, with_error
from benchmarks.study.tables import errors, number, table
from diffusion import sample
from sdeint import ProblemError

#: Below this multiple of the distance between true samples, no order of samplers can be read.
_NEAR_FLOOR = 1.3
_SEED = 3
#: Methods in the plots.
SHOWN = ("NoiseAdams", "EM", "DPMSolver2M", "DPMSolver3M", "SASolver", "RES2S", "SRA1")


@dataclass(frozen=True)
class Sizes:
    """How much is computed.

    Attributes
    ----------
    budgets, digit_budgets : tuple of int
        Evaluations.
    line, space : int
        Samples in one dimension and in more.
    digits : int
        Samples of digits.
    fine : int
        Evaluations of the reference for digits and for wrong scores.
    problems : int or None
        How many of the mixtures.
    """

    budgets: tuple[int, ...] = (8, 12, 16, 24, 32, 64, 128)
    digit_budgets: tuple[int, ...] = (8, 12, 16, 24, 32)
    line: int = 12_000
    space: int = 3_000
    digits: int = 192
    fine: int = 256
    problems: int | None = None


SMALL = Sizes((8, 16, 32), (8, 16, 32), 4_000, 1_500, 128, 64)
QUICK = Sizes((8,), (8,), 300, 200, 24, 16, 1)


class Study:
    """All sections; each returns Markdown."""

    def __init__(self, sizes: Sizes, out: Path) -> None:
        self.sizes, self.out = sizes, out
        self.lost: list[tuple[str, str, int, float, float, str]] = []
        self.won = self.level = 0
        self.found: dict[str, dict[str, dict[int, float]]] = {}
        self.floors: dict[str, float] = {}

    def items(self, problem: Problem) -> int:
        return self.sizes.line if problem.data.d == 1 else self.sizes.space

    def run(
        self, problem: Problem, samplers: list[Contender], judge: Judge
    ) -> tuple[dict[str, dict[int, float]], dict[str, dict[str, float]]]:
        """Distances by sampler and budget, and the other measures at the middle budget."""
        found: dict[str, dict[int, float]] = {}
        others: dict[str, dict[str, float]] = {}
        middle = _middle(self.sizes.budgets)
        for contender in samplers:
            row = found.setdefault(contender.name, {})
            for nfe in self.sizes.budgets:
                try:
                    x = contender.draw(problem.request(self.items(problem), nfe, _SEED))
                except ProblemError:
                    continue  # not even a step
                row[nfe] = judge.distance(x)
                if nfe == middle:
                    others[contender.name] = judge.others(x)
        return found, others

    def count(
        self, problem: str, samplers: list[Contender], found: dict[str, dict[int, float]],
        floor: float,
    ) -> None:  # fmt: skip
        """Where one of ours is the best of the stochastic samplers, and where it is not."""
        kinds = {c.name: c.kind for c in samplers if c.stochastic}
        for nfe in self.sizes.budgets:
            ours = min(found[n].get(nfe, math.inf) for n, kind in kinds.items() if kind == "ours")
            rivals = [(found[n].get(nfe, math.inf), n) for n, k in kinds.items() if k != "ours"]
            best, name = min(rivals)
            if max(ours, best) < _NEAR_FLOOR * floor:
                self.level += 1
            elif ours <= best:
                self.won += 1
            else:
                self.lost.append((problem, name, nfe, ours, best, number(floor)))

    def mixtures(self, only: slice = slice(None)) -> list[str]:
        """All mixtures, or some, and the first with a wrong score."""
        samplers = contenders()
        ranked = [c.name for c in samplers if c.stochastic]
        lines = []
        problems = mixtures()[: self.sizes.problems]
        for problem in [*problems, with_error(problems[0], 0.1)][only]:
            judge = Judge.of(problem.data, self.items(problem))
            if problem not in problems:
                # The law of the wrong score itself, so that what is left is discretisation.
                fine = sample(
                    problem.denoiser, tuple(judge.truth.shape), prediction="x0",
                    process=problem.process, method="OneStage", nfe=self.sizes.fine,
                    variance=problem.variance, seed=99,
                )  # fmt: skip
                judge = Judge(problem.data, fine.double())
            floor, other_floor = judge.floor(self.items(problem))
            if problem not in problems:
                fine_request = problem.request(len(judge.truth), self.sizes.fine, 98)
                again = _reference(samplers).draw(fine_request)
                floor = judge.distance(again)
            rows, others = self.run(problem, samplers, judge)
            self.count(problem.name, samplers, rows, floor)
            self.found[problem.name], self.floors[problem.name] = rows, floor
            measure = "W1" if problem.data.d == 1 else "sliced W2"
            lines += [
                f"### {problem.name}",
                "",
                f"{problem.what[0].upper()}{problem.what[1:]}. {measure}; {self.items(problem)} samples; "
                f"between two sets of true samples {number(floor)}.",
                "",
                errors(rows, self.sizes.budgets, ranked),
                "",
            ]
            if problem in problems:
                middle = _middle(self.sizes.budgets)
                names = list(other_floor)
                cells = [[n, *(number(o.get(m)) for m in names)] for n, o in others.items() if o]
                cells.append(["true samples", *(number(other_floor[m]) for m in names)])
                lines += [f"Other measures at {middle} evaluations:", ""]
                lines += [table(["", *names], cells), ""]
        return lines

    def curves(self) -> list[str]:
        """The picture of all mixtures."""
        shown = [c.name for c in contenders() if c.method in SHOWN and c.stochastic]
        pictures.curves(self.found, self.floors, shown, self.out / "images" / "study.png")
        return ["![error against evaluations](images/study.png)", ""]

    def karras(self) -> list[str]:
        """The two hardest problems again on the grid of Karras and others."""
        samplers = contenders("karras")
        ranked = [c.name for c in samplers if c.stochastic]
        lines = []
        for problem in mixtures()[: self.sizes.problems][::5]:
            judge = Judge.of(problem.data, self.items(problem))
            rows, _ = self.run(problem, samplers, judge)
            floor = judge.floor(self.items(problem))[0]
            self.count(f"{problem.name}, Karras grid", samplers, rows, floor)
            lines += [f"### {problem.name}, Karras grid", ""]
            lines += [f"Between two sets of true samples {number(floor)}.", ""]
            lines += [errors(rows, self.sizes.budgets, ranked), ""]
        return lines

    def gaussian(self) -> list[str]:
        names = [(f"**{m}**" + (", fitted" if f else ""), m, f) for m, f in OURS]
        names += [(m, m, False) for m in PUBLISHED]
        w2, kl = {}, {}
        for label, row in gaussian.laws(names, self.sizes.budgets, 0.5):
            w2[label] = {n: value[0] for n, value in row.items()}
            kl[label] = {n: value[1] for n, value in row.items()}
        ranked = list(w2)
        return [
            "W2 to Gaussian data of variance 1/2, a coordinate, exactly:",
            "",
            errors(w2, self.sizes.budgets, ranked),
            "",
            "KL, a coordinate:",
            "",
            errors(kl, self.sizes.budgets, ranked),
            "",
        ]

    def separation(self) -> list[str]:
        problems = mixtures()[: self.sizes.problems]
        chosen = [problems[0], problems[min(5, len(problems) - 1)]]
        columns = [separation.parts(p, self.items(p), 16, 0.1, "NoiseAdams") for p in chosen]
        rows = [[name, *(number(c[name]) for c in columns)] for name in columns[0]]
        return [table(["distance", *(p.name for p in chosen)], rows), ""]

    def rates(self) -> list[str]:
        budgets = (32, 64, 128, 256) if self.sizes.problems is None else (32, 64)
        rows = pictures.rates(budgets, (4, 16, 64, 256), self.out / "images" / "study_rates.png")
        head = ["", "measure", "measured in N", "proved", "measured in d", "proved"]
        return [table(head, rows), "", "![rates](images/study_rates.png)", ""]

    def digits(self) -> list[str]:
        samplers = contenders()
        ranked = [c.name for c in samplers if c.stochastic]
        study = DigitsStudy.of(self.sizes.digits, _reference(samplers), self.sizes.fine)
        found: dict[str, dict[int, float]] = {}
        others: dict[str, dict[str, float]] = {}
        middle = _middle(self.sizes.digit_budgets)
        for contender in samplers:
            for nfe in self.sizes.digit_budgets:
                try:
                    measures = study.measures(study.draw(contender, nfe, _SEED))
                except ProblemError:
                    continue
                row = found.setdefault(contender.name, {})
                row[nfe] = measures.get("Frechet to the model", math.inf)
                if nfe == middle:
                    others[contender.name] = measures
        again = study.measures(study.draw(_reference(samplers), self.sizes.fine, 78))
        kept = self.sizes
        self.sizes = Sizes(budgets=kept.digit_budgets)
        self.count("digits", samplers, found, again["Frechet to the model"])
        self.sizes = kept
        true = study.floor()
        cells = [[n, *(number(v) for v in o.values())] for n, o in others.items() if o]
        cells.append([f"the model, {kept.fine} evaluations", *(number(v) for v in again.values())])
        cells.append(["held-out digits", *(number(v) for v in true.values())])
        return [
            f"Frechet distance of features to {kept.digits} samples of the same model with {kept.fine} "
            f"evaluations; between two such sets {number(again['Frechet to the model'])}.",
            "",
            errors(found, kept.digit_budgets, ranked),
            "",
            f"All measures at {middle} evaluations; *sure* is the share that the classifier gives more "
            "than 0.9 to one digit, *nearest* the distance to the nearest training image.",
            "",
            table(["", *again], cells),
            "",
        ]

    def verdict(self) -> list[str]:
        total = self.won + self.level + len(self.lost)
        lines = [
            f"Of {total} cells (problem and number of evaluations), one of ours has the least error of "
            f"all stochastic samplers in {self.won}; in {self.level} both are within "
            f"{_NEAR_FLOOR:g} times the sampling noise, so that none leads; in {len(self.lost)} "
            "another is ahead:",
            "",
        ]
        rows = [
            [p, str(nfe), name, number(best), number(ours), floor]
            for p, name, nfe, ours, best, floor in self.lost
        ]
        head = ["problem", "evaluations", "best", "its error", "our best", "sampling noise"]
        return [*lines, *([table(head, rows), ""] if rows else [])]


def _middle(budgets: tuple[int, ...]) -> int:
    """The budget at which all measures are shown: few evaluations rather than many."""
    return budgets[(len(budgets) - 1) // 2 - (len(budgets) > 4)]


def _reference(samplers: list[Contender]) -> Contender:
    """A sampler that was not designed with the one that is to be tested."""
    return next(c for c in samplers if c.method == "OneStage")


def main(arguments: list[str] | None = None) -> None:
    """Run all sections."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all?")
    parser.add_argument(
        "--small", action="store_true", help="a tenth of the work, and three budgets"
    )
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of study.md")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    sizes = QUICK if options.quick else SMALL if options.small else Sizes()
    study = Study(sizes, options.out)
    (options.out / "images").mkdir(parents=True, exist_ok=True)
    sections = []
    for title, work in (
        ("Mixtures", study.mixtures),
        ("At a glance", study.curves),
        ("Another grid", study.karras),
        ("Gaussian data, exactly", study.gaussian),
        ("Digits", study.digits),
        ("The parts of the error", study.separation),
        ("The rates of the seed papers", study.rates),
    ):
        begun = time.perf_counter()
        sections += [f"## {title}", "", *work()]
        print(f"{title}: {time.perf_counter() - begun:.0f} s", flush=True)
    minutes = (time.perf_counter() - started) / 60
    (options.out / "study.md").write_text(report(study, sections, f"{minutes:.0f} minutes"))


def report(study: Study, sections: list[str], took: str) -> str:
    """What was found, as Markdown."""
    try:
        import diffusers

        peers = f"diffusers {diffusers.__version__}"
    except ImportError:
        peers = "diffusers not installed, so without its schedulers"
    sizes = study.sizes
    lines = [
        "# Samplers compared",
        "",
        "Written by `make study`: every sampler with the same number of evaluations of the same "
        "denoiser, the last of which removes the noise that is left. Ours and the published ones "
        "are tableaux of the catalogue with equal seeds; *fitted* samplers know the variance of a "
        "coordinate of the data (`variance=` of `diffusion.sample`). Rows named *flow*, and "
        "diffusers' ode, have no noise in their steps and are not ranked. Bold: the least error of "
        "the stochastic ones.",
        "",
        f"{sizes.line} samples on the line, {sizes.space} in more dimensions, {sizes.digits} digits. "
        f"{platform.machine()}, torch {torch.__version__}, {peers}; {took}.",
        "",
        *study.verdict(),
        *sections,
    ]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    main()
