"""Run the benchmarks and write the report: all, or those whose titles have one of the given words.

A section that is run alone takes its place in the report; the others stay as they are.
"""

from __future__ import annotations

import inspect
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy
import sympy
import torch

from benchmarks import ensembles, exponential, levels, precision, small, start
from benchmarks.proofs import proofs
from benchmarks.stiffness import stiffness

REPORT = Path(__file__).with_name("report.md")
SECTIONS = (
    (f"Euler, {ensembles.PATHS} paths", ensembles.euler),
    (f"Strong order 1.5, diagonal noise, {ensembles.PATHS} paths", ensembles.strong),
    (f"Strong order 1.5, additive noise, {ensembles.PATHS} paths", ensembles.additive),
    ("Weak order 2, general noise", ensembles.general),
    ("One path", small.one_path),
    ("A network as the drift", small.network),
    ("Work against precision, strong", precision.strong),
    ("Work against precision, weak", precision.weak),
    ("Exponential methods: a stochastic field at equal error", exponential.field),
    ("Exponential methods: the cost of a step", exponential.cost),
    ("Exponential methods: stationary variances at any step size", exponential.variances),
    ("Exponential methods: orders over four decades of stiffness", stiffness),
    ("Memory and time of ensembles", start.memory),
    ("Multilevel Monte Carlo", levels.levels),
    ("Two processes", levels.processes),
    ("The first call", start.first_call),
    ("Proofs", proofs),
)


def head() -> str:
    """On what the benchmarks ran."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [x for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x]
        processor = f"{len(names)} x {names[0].split(':')[1].strip()}" if names else processor
    return (
        "# Benchmarks\n\n"
        "Written by `make bench`; medians of one run, all sides in turn.\n"
        f"{processor}; Python {sys.version.split()[0]}, torch {torch.__version__} with "
        f"{torch.get_num_threads()} threads, sympy {sympy.__version__}, numpy {numpy.__version__}."
    )


def main(words: Sequence[str]) -> None:
    """Print the sections and write them into the report beside this file.

    Parameters
    ----------
    words : sequence of str
        Of the titles of the sections to be run, in any case; none: all sections.
    """
    chosen = [
        (title, work)
        for title, work in SECTIONS
        if not words or any(word.lower() in title.lower() for word in words)
    ]
    if not chosen:
        raise SystemExit("no such section; there are\n" + "\n".join(t for t, _ in SECTIONS))
    before, *old = REPORT.read_text(encoding="utf-8").split("\n## ") if words else [head()]
    found = {title: text for title, _, text in (part.partition("\n\n") for part in old)}
    for title, work in chosen:
        print(title, flush=True)
        found[title] = f"{inspect.getdoc(work)}\n\n{work()}\n"
        print(found[title], flush=True)
    parts = [f"{title}\n\n{found[title].strip()}\n" for title, _ in SECTIONS if title in found]
    REPORT.write_text("\n## ".join((before.rstrip() + "\n", *parts)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
