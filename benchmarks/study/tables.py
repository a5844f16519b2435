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
    found: Mapping[str, Mapping[int, float]], budgets: Sequence[int], ranked: Sequence[str]
) -> str:
    """A row for each sampler; the least of the ranked ones of each column is in bold."""
    rows = []
    for name, row in found.items():
        cells = [name]
        for budget in budgets:
            best = min((found[n].get(budget, math.inf) for n in ranked), default=math.inf)
            text = number(row.get(budget))
            winner = name in ranked and row.get(budget) == best and math.isfinite(best)
            cells.append(f"**{text}**" if winner else text)
        rows.append(cells)
    return table(["evaluations", *map(str, budgets)], rows)
