"""Tableaux for people: text, LaTeX and HTML."""

from __future__ import annotations

import html as markup
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import sympy

from tableaux.exact import write_exact

if TYPE_CHECKING:
    from tableaux.tableau import Tableau

__all__ = ["catalogue_html", "catalogue_text", "html", "latex", "text"]

_TITLES = {"ito": "Ito", "stratonovich": "Stratonovich"}
#: Longer exact numbers are shown by their leading decimals; the tableau keeps them exact.
_WIDEST = 14


def text(tableau: Tableau) -> str:
    """The tableau as plain text."""
    lines = [_headline(tableau)]
    for block in tableau.blocks:
        kind = f"{block.colour}, {block.replication}"
        if block.remembers is not None:
            when = "the step before" if block.lag == 1 else f"the step {block.lag} steps before"
            kind += f", values of {block.remembers!r} in {when}"
        nodes = "  ".join(_short(c) for c in block.nodes)
        lines.append(f"  {block.name}: {kind}; c = {nodes}")
    for c in tableau.couplings:
        selector = "" if c.selector == "all" else f" ({c.selector})"
        lines.append(f"  {c.target} <- {c.source} * {c.label}{selector}")
        lines += _aligned(c.matrix, "      ")
    for title, outputs in (("X+", tableau.outputs), ("embedded", tableau.embedded)):
        for o in outputs:
            selector = "" if o.selector == "all" else f" ({o.selector})"
            row = "  ".join(_short(w) for w in o.weights)
            lines.append(f"  {title} <- {o.source} * {o.label}{selector}:  {row}")
    if tableau.start is not None:
        which = "first step" if len(tableau.starts) == 1 else "first steps"
        lines.append(f"  {which}: {', '.join(start.name for start in tableau.starts)}")
    for label, value in (("advice", tableau.advice), ("source", tableau.citation)):
        if value:
            lines.append(f"  {label}: {value}")
    return "\n".join(lines)


def latex(tableau: Tableau) -> str:
    """The tableau as a LaTeX display: one array for each target, nodes on the left."""
    rows = []
    for block in tableau.blocks:
        into = [c for c in tableau.couplings if c.target == block.name]
        if not into:
            continue
        columns = "|".join(["c", *("c" * len(c.matrix[0]) for c in into)])
        head = " & ".join(
            ["", *(rf"\multicolumn{{{len(c.matrix[0])}}}{{c}}{{{_math(c.label)}}}" for c in into)]
        )
        body = r" \\ ".join(
            " & ".join(
                [_tex(node), *(_tex(c.matrix[i][j]) for c in into for j in range(len(c.matrix[i])))]
            )
            for i, node in enumerate(block.nodes)
        )
        rows.append(
            rf"\text{{{block.name}:}}\quad\begin{{array}}{{{columns}}} {head} \\ \hline {body} "
            r"\end{array}"
        )
    outputs = r" \\ ".join(
        rf"\text{{{o.source}}} & {_math(o.label)} & " + ",\\; ".join(_tex(w) for w in o.weights)
        for o in tableau.outputs
    )
    rows.append(rf"X_{{n+1}}:\quad\begin{{array}}{{lc|l}} {outputs} \end{{array}}")
    return r"$\displaystyle \begin{gathered} " + r" \\[6pt] ".join(rows) + r" \end{gathered}$"


def html(tableau: Tableau) -> str:
    """The tableau as HTML tables."""
    parts = [f"<strong>{markup.escape(_headline(tableau))}</strong>"]
    for c in tableau.couplings:
        caption = f"{c.target} &larr; {c.source} &middot; {markup.escape(c.label)} ({c.selector})"
        cells = "".join(
            "<tr>" + "".join(f"<td>{markup.escape(_short(e))}</td>" for e in row) + "</tr>"
            for row in c.matrix
        )
        parts.append(f"<table><caption>{caption}</caption>{cells}</table>")
    cells = "".join(
        f"<tr><td>{markup.escape(o.source)} &middot; {markup.escape(o.label)}</td>"
        + "".join(f"<td>{markup.escape(_short(w))}</td>" for w in o.weights)
        + "</tr>"
        for o in tableau.outputs
    )
    parts.append(f"<table><caption>new value</caption>{cells}</table>")
    if tableau.advice:
        parts.append(f"<em>{markup.escape(tableau.advice)}</em>")
    return "<div>" + "".join(parts) + "</div>"


def catalogue_text(catalogue: Mapping[str, Tableau]) -> str:
    """All methods, a line each."""
    rows = [_row(t) for t in catalogue.values()]
    widths = [max(len(row[i]) for row in (_HEAD, *rows)) for i in range(len(_HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in (_HEAD, *rows)
    )


def catalogue_html(catalogue: Mapping[str, Tableau]) -> str:
    """All methods as an HTML table."""

    def line(cells: Iterable[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{markup.escape(c)}</{tag}>" for c in cells) + "</tr>"

    body = "".join(line(_row(t), "td") for t in catalogue.values())
    return f"<table>{line(_HEAD, 'th')}{body}</table>"


_HEAD = ("method", "calculus", "noise", "strong", "weak", "advice")


def _row(tableau: Tableau) -> tuple[str, ...]:
    strong, weak = tableau.claimed(tableau.noise)
    return (
        tableau.name,
        _TITLES[tableau.calculus],
        tableau.noise,
        show_order(strong),
        show_order(weak),
        tableau.advice,
    )


def show_order(order: Fraction | int | str | None) -> str:
    """An order as text; a dash where there is none."""
    return "-" if order is None else str(order)


def _headline(tableau: Tableau) -> str:
    claims = "; ".join(
        f"{noise}: strong {show_order(strong)}, weak {show_order(weak)}"
        for noise, (strong, weak) in tableau.orders.items()
    )
    return (
        f"{tableau.name}: {_TITLES[tableau.calculus]}, {tableau.noise} noise"
        + (", implicit" if tableau.implicit else "")
        + (f" [{claims}]" if claims else "")
    )


def _short(entry: sympy.Expr) -> str:
    exact = write_exact(entry)
    if len(exact) <= _WIDEST or entry.free_symbols:
        return exact
    return f"{float(entry.evalf(20)):.8f}.."


def _aligned(matrix: Sequence[Sequence[sympy.Expr]], indent: str) -> list[str]:
    cells = [[_short(e) for e in row] for row in matrix]
    widths = [max(len(row[j]) for row in cells) for j in range(len(cells[0]))]
    return [
        indent + "  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in cells
    ]


def _tex(entry: sympy.Expr) -> str:
    short = _short(entry)
    return short.replace("..", r"\ldots") if short.endswith("..") else sympy.latex(entry)


def _math(label: str) -> str:
    return rf"\mathtt{{{label}}}".replace("_", r"\_").replace("^", r"\hat{}")
