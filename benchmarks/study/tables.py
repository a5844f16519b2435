"""Markdown tables of errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

__all__ = ["errors", "number", "table"]


def number(value: float | None) -> str:
    """Three digits at most, and no more zeros than needed."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return "inf"
    return f"{value:.4f}" if 0.001 <= abs(value) < 10 else f"{value:.2g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def errors(
    found: Mapping[str, Mapping[int, float]],
    budgets: Sequence[int],
    ranked: Sequence[str],
    noise: Mapping[str, Mapping[int, float]] | None = None,
) -> str:
    """A row for each sampler; the least of the ranked ones of each column is in bold.

    What is below its noise is shown as below it, and none of them is bold.
    """
    rows = []
    for name, row in found.items():
        cells = [name]
        for budget in budgets:
            value, least = row.get(budget), noise[name].get(budget, 0.0) if noise else 0.0
            best = min((found[n].get(budget, math.inf) for n in ranked), default=math.inf)
            if value is not None and value < least:
                cells.append(f"< {number(least)}")
                continue
            winner = name in ranked and value == best and math.isfinite(best)
            cells.append(f"**{number(value)}**" if winner else number(value))
        rows.append(cells)
    return table(["evaluations", *map(str, budgets)], rows)
