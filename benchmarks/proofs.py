"""How long a proof takes, from nothing."""

from __future__ import annotations

import subprocess
import sys
import time

import tableaux
from benchmarks.timing import table

CASES = (
    ("SRIW1", "diagonal", "strong 3/2"),
    ("SOSRI", "diagonal", "strong 3/2, coefficients of hundreds of digits"),
    ("RI6", "general", "weak 2, any number of channels"),
    ("RS2", "general", "weak 2, any number of channels"),
    ("OneStageStored", "martingale", "weak 2, with memory"),
)


def proofs() -> str:
    """Time each verdict in a process of its own, where nothing is cached."""
    rows = []
    for name, noise, what in CASES:
        code = (
            f"import time, tableaux; t = tableaux.catalogue[{name!r}]; s = time.perf_counter(); "
            f"v = tableaux.order(t, noise={noise!r}).by_noise[{noise!r}]; "
            "print(time.perf_counter() - s, v.strong, v.weak)"
        )
        out = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        rows.append((name, noise, what, out[1], out[2], f"{float(out[0]):.2f}"))
    again = tableaux.catalogue["RI6"]
    tableaux.order(again)
    start = time.perf_counter()
    tableaux.order(again)
    cached = 1e6 * (time.perf_counter() - start)
    head = ("method", "noise", "what", "strong", "weak", "s")
    return table(head, rows) + f"\n\nA verdict that is cached: {cached:.0f} microseconds."
