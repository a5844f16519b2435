"""What is paid once: imports, compilation cold and from the cache; and memory at scale."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from benchmarks.timing import table

__all__ = ["first_call", "memory"]

_COMPILE = """
import time, torch, sdeint
sde = sdeint.SDE(lambda t, y: 0.5 * y, lambda t, y: 0.4 * y)
start = time.perf_counter()
sdeint.solve(sde, torch.ones(100_000, 1), [0.0, 1.0], method={method!r}, steps=9, compile=True)
print(time.perf_counter() - start)
"""
_IMPORT = "import time; s = time.perf_counter(); import {what}; print(time.perf_counter() - s)"
_MEMORY = """
import resource, sys, time, torch, sdeint
paths, steps = int(sys.argv[1]), int(sys.argv[2])
sde = sdeint.SDE(lambda t, y: 0.5 * y, lambda t, y: 0.4 * y)
def run(n, s):
    return sdeint.expect(sde, torch.ones(1), [0.0, 1.0], lambda y: y[:, 0], paths=n, steps=s,
                         method="EM", compile=True)
run(20_000, 16)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
run(paths, steps)
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def first_call() -> str:
    """Seconds of the first compiled solve in a process, and of the import."""
    rows = []
    for method in ("EM", "SRIW1"):
        with tempfile.TemporaryDirectory() as cache:
            for what in ("cold", "from the cache"):
                seconds = _run(_COMPILE.format(method=method), TORCHINDUCTOR_CACHE_DIR=cache)[0]
                rows.append((f"first compiled solve, {method}, {what}", f"{seconds:.1f}"))
    torch_alone = min(_run(_IMPORT.format(what="torch"))[0] for _ in range(3))
    both = min(_run(_IMPORT.format(what="torch, sdeint"))[0] for _ in range(3))
    used = min(_run(_IMPORT.format(what="torch, sdeint.solving"))[0] for _ in range(3))
    rows += [
        ("import torch", f"{torch_alone:.2f}"),
        ("import sdeint after it", f"{both - torch_alone:.2f}"),
        ("its first use, which imports the rest and sympy", f"{used - both:.2f}"),
    ]
    return table(("what", "s"), rows)


def memory() -> str:
    """Ensembles by `sdeint.expect`, compiled, float32: time and growth of the peak memory."""
    rows = []
    for paths, steps in ((100_000, 1000), (1_000_000, 1000), (100_000, 10_000)):
        seconds, kilobytes = _run(_MEMORY, str(paths), str(steps))
        state = 4 * paths / 1024
        rows.append(
            (
                f"{paths}",
                f"{steps}",
                f"{seconds:.2f}",
                f"{1e9 * seconds / (paths * steps):.2f}",
                f"{kilobytes / 1024:.1f}",
                f"{kilobytes / state:.2f}",
            )
        )
    head = (
        "paths",
        "steps",
        "s",
        "ns a path and step",
        "MB more at the peak",
        "states of all paths",
    )
    return table(head, rows)


def _run(code: str, *arguments: str, **environment: str) -> list[float]:
    out = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return [float(x) for x in out.stdout.split()]
