"""Run the study and write its report: ``python -m benchmarks.study [--quick] [--out FOLDER]``.

Parts run side by side in processes of one thread each.  What is finished is kept in ``out/study`` until
the report is written, so that an interrupted study goes on.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import time
from pathlib import Path

import torch

from benchmarks.study import pictures
from benchmarks.study.contenders import contenders
from benchmarks.study.parts import SHOWN, Sizes, parts
from benchmarks.study.report import report
from benchmarks.study.running import run_all

SMALL = Sizes((8, 16, 32), ((1, 4096), (64, 1024)), 64, 1024)
QUICK = Sizes((8,), ((64, 64),), 32, 64, 24, 1, 0.5)


def main(arguments: list[str] | None = None) -> None:
    """Run all parts and write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all?")
    parser.add_argument("--small", action="store_true", help="few samples, and three budgets")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of study.md")
    parser.add_argument("--kept", type=Path, help="folder of finished parts")
    parser.add_argument("--processes", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args(arguments)
    name = "quick" if options.quick else "small" if options.small else "full"
    sizes = {"quick": QUICK, "small": SMALL, "full": Sizes()}[name]
    kept = options.kept or Path("out") / "study" / name
    (options.out / "images").mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    todo = parts(sizes, options.out)
    found = run_all(todo, sizes, options.out, kept, options.processes)
    minutes = (time.perf_counter() - began) / 60
    curves = {p.name: f.curves for p, f in zip(todo, found) if p.section == "Mixtures"}
    shown = [c.name for c in contenders() if c.method in SHOWN and c.stochastic]
    pictures.curves(curves, shown, options.out / "images" / "study.png")
    facts = f"{platform.machine()}, torch {torch.__version__}; {minutes:.0f} minutes in "
    facts += f"{options.processes} processes"
    (options.out / "study.md").write_text(report(todo, found, facts))
    shutil.rmtree(kept)


if __name__ == "__main__":
    main()
