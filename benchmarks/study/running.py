"""Runs the parts of the study, side by side; finished ones are kept."""

from __future__ import annotations

import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import torch

from benchmarks.study.parts import Found, Part, Sizes, parts

__all__ = ["run_all"]


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


def run_all(todo: list[Part], sizes: Sizes, out: Path, kept: Path, processes: int) -> list[Found]:
    """What all parts found; those that are kept are not run again."""
    kept.mkdir(parents=True, exist_ok=True)
    missing = [i for i in range(len(todo)) if not (kept / f"{i}.json").exists()]
    began, total = time.perf_counter(), sum(todo[i].minutes for i in missing)

    def done(number: int, seconds: float, left: float) -> None:
        passed = time.perf_counter() - began
        estimate = max(0.0, passed * left / (total - left))
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
