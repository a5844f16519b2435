"""Run all benchmarks and write the report."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy
import sympy
import torch

from benchmarks import ensembles, exponential, levels, precision, small, start
from benchmarks.proofs import proofs

REPORT = Path(__file__).with_name("report.md")


def sections() -> list[str]:
    """Title, what is run, and table of each benchmark."""
    lines = []
    for title, work in (
        (f"Euler, {ensembles.PATHS} paths", ensembles.euler),
        (f"Strong order 1.5, diagonal noise, {ensembles.PATHS} paths", ensembles.strong),
        (f"Strong order 1.5, additive noise, {ensembles.PATHS} paths", ensembles.additive),
        ("Weak order 2, general noise", ensembles.general),
        ("One path", small.one_path),
        ("A network as the drift", small.network),
        ("Work against precision, strong", precision.strong),
        ("Work against precision, weak", precision.weak),
        ("A stochastic field at equal error", exponential.field),
        ("A step of an exponential method", exponential.cost),
        ("Stationary variances at any step size", exponential.variances),
        ("Memory and time of ensembles", start.memory),
        ("Multilevel Monte Carlo", levels.levels),
        ("Two processes", levels.processes),
        ("The first call", start.first_call),
    ):
        print(title, flush=True)
        lines += [f"## {title}", "", work.__doc__ or "", "", work(), ""]
    return lines


def main() -> None:
    """Print the report and write it beside this file."""
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [x for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x]
        processor = f"{len(names)} x {names[0].split(':')[1].strip()}" if names else processor
    report = "\n".join(
        (
            "# Benchmarks",
            "",
            "Written by `make bench`; medians of one run, all sides in turn.",
            f"{processor}; Python {sys.version.split()[0]}, torch {torch.__version__} with "
            f"{torch.get_num_threads()} threads, sympy {sympy.__version__}, numpy {numpy.__version__}.",
            "",
            *sections(),
            "## Proofs",
            "",
            proofs(),
            "",
        )
    )
    print(report)
    REPORT.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
