"""Run the study and write its report: ``python -m benchmarks.study [--quick] [--out FOLDER]``.

Parts run side by side in processes of one thread each.  What is finished is kept in ``out/study`` until
the report is written, so that an interrupted study goes on.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import torch

from benchmarks.study import pictures
from benchmarks.study.contenders import contenders
from benchmarks.study.parts import SHOWN, Found, Part, Sizes, parts
from benchmarks.study.report import report

SMALL = Sizes((8, 16, 32), ((1, 4096), (64, 1024)), 64, 1024, 256)
QUICK = Sizes((8,), ((64, 64),), 32, 64, 24, 1)


def _run(number: int, sizes: Sizes, out: Path, kept: Path) -> tuple[int, float]:
    """One part, in a process of its own; returns its number and its CPU seconds."""
    torch.set_num_threads(1)
    begun = time.process_time()
    found = parts(sizes, out)[number].work()
    file = kept / f"{number}.json"
    # Whole or not at all: an interrupted write must not pass for a finished part.
    unfinished = file.with_suffix(".part")
    unfinished.write_text(json.dumps(found.plain()))
    unfinished.replace(file)
    return number, time.process_time() - begun


def _all(todo: list[Part], sizes: Sizes, out: Path, kept: Path, processes: int) -> list[Found]:
    """What all parts found; those that are kept are not run again."""
    kept.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(len(todo)) if not (kept / f"{i}.json").exists()]
    began, total = time.perf_counter(), sum(todo[i].minutes for i in missing)

    def done(number: int, seconds: float, left: float) -> None:
        passed = time.perf_counter() - began
        estimate = passed * left / (total - left)
        print(
            f"{todo[number].section}, {todo[number].name}: {seconds:.0f} s of CPU; {passed:.0f} s "
            f"have passed, about {estimate:.0f} s are left",
            flush=True,
        )

    left = total
    # The long ones first, so that no process ends alone with one of them.
    order = sorted(missing, key=lambda i: -todo[i].minutes)
    if processes == 1:
        for i in order:
            left -= todo[i].minutes
            done(*_run(i, sizes, out, kept), left)
    elif order:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=context) as pool:
            for future in as_completed([pool.submit(_run, i, sizes, out, kept) for i in order]):
                number, seconds = future.result()
                left -= todo[number].minutes
                done(number, seconds, left)
    return [Found.read(json.loads((kept / f"{i}.json").read_text())) for i in range(len(todo))]


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
    found = _all(todo, sizes, options.out, kept, options.processes)
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
