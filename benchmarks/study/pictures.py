"""The two plots of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.study.rates import SEEDS, error
from sdeint.plots import save

__all__ = ["curves", "rates"]


def curves(
    found: Mapping[str, Mapping[str, Mapping[int, float]]],
    shown: Sequence[str],
    file: Path,
) -> None:
    """Error against evaluations: one panel a problem."""
    from matplotlib.figure import Figure

    columns = 4
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(3.1 * columns, 2.7 * rows), layout="constrained")
    for place, (problem, samplers) in enumerate(found.items(), 1):
        axes = figure.add_subplot(rows, columns, place)
        for name in shown:
            row = samplers.get(name, {})
            ours = name.startswith("**")
            shown_at = [budget for budget, error in row.items() if error > 0]
            axes.loglog(
                shown_at, [row[budget] for budget in shown_at], marker=".", lw=1.8 if ours else 0.9,
                label=name.strip("*").replace("**", ""),
            )  # fmt: skip
        axes.set_title(problem, fontsize=9)
        axes.tick_params(labelsize=7)
        if place == 1:
            axes.legend(fontsize=5)
    save(figure, file)


def rates(budgets: Sequence[int], dimensions: Sequence[int], file: Path) -> list[tuple[str, ...]]:
    """Measured beside proved rates of the seed papers; returns rows for a table."""
    from matplotlib.figure import Figure

    from benchmarks.study.rates import slope

    figure = Figure(figsize=(9, 3), layout="constrained")
    against_n, against_d = figure.subplots(1, 2)
    rows = []
    for name, method, measure, power_n, power_d in SEEDS:
        by_n = [error(method, measure, n, 16) for n in budgets]
        by_d = [error(method, measure, budgets[-1], d) for d in dimensions]
        (line,) = against_n.loglog(budgets, by_n, marker="o", label=f"{name}: {measure}")
        against_d.loglog(dimensions, by_d, marker="o", color=line.get_color())
        proved_n = [by_n[0] * (n / budgets[0]) ** power_n for n in budgets]
        proved_d = [by_d[0] * (d / dimensions[0]) ** power_d for d in dimensions]
        against_n.loglog(budgets, proved_n, ls=":", color=line.get_color())
        against_d.loglog(dimensions, proved_d, ls=":", color=line.get_color())
        rows.append(
            (
                name,
                measure,
                f"N^{slope(budgets, by_n):.2f}",
                f"N^{power_n:g}",
                f"d^{slope(dimensions, by_d):.2f}",
                f"d^{power_d:g}",
            )
        )
    against_n.set_xlabel("evaluations N, d = 16")
    against_d.set_xlabel(f"dimension d, N = {budgets[-1]}")
    against_n.legend(fontsize=7)
    save(figure, file)
    return rows
