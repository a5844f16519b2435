"""Medians of wall time, and the table they go into."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

__all__ = ["median_seconds", "medians", "table"]


def median_seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """Median wall time of `work` over `repeats` calls, after one that is not counted."""
    return medians(work, repeats=repeats)[0]


def medians(*works: Callable[[], object], repeats: int = 5) -> list[float]:
    """Median wall time of each of several works, in turn; see `median_seconds`."""
    for work in works:
        work()
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for work, found in zip(works, seconds):
            start = time.perf_counter()
            work()
            found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in seconds]


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])
