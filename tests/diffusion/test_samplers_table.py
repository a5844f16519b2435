"""The table of docs/samplers.md says what the catalogue says, and names every published sampler."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sdeint.lowering import lower
from tableaux import catalogue

DOCS = Path(__file__).parents[2] / "docs" / "samplers.md"
#: What the table leaves to a parameter, and one value of it.
FORMULAS = {
    "Lagrange(K)": ("Lagrange(4)", "1 + (K - 1)²", "K"),
    "DEIS(K)": ("DEIS(2)", "1", "K up to 2"),
}
PUBLISHED = """
    DDPM, DDIM, ancestral, SEEDS-1, SEEDS-2, SEEDS-3, SDE-DPM-Solver++(1), DPM-Solver++(2S), DPM-Solver++(2M),
    DPM-Solver++(3M), RES-2S, RES-3S, UniPC-2, UniPC-3, DEIS, SA-Solver, ER-SDE-2, ER-SDE-3, EDM, churn,
    randomised midpoint, 2410.04760, 2410.23285, 2403.03852, 2506.24042
"""


def rows():
    """(name, evaluations, weak order, order of the flow), one for each tableau."""
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith("| ")]
    for line in lines[1:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        names = re.findall(r"`([^`]+)`", cells[1])
        for i, name in enumerate(names):
            yield name, *(c.split(", ")[i] if ", " in c else c for c in cells[2:])


def said(order):
    return "-" if order is None else str(order)


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: row[0])
def test_the_table_is_that_of_the_catalogue(row):
    name, evaluations, weak, flow = row
    if name in FORMULAS:
        name, *texts = FORMULAS[name]
        assert [evaluations, flow] == texts
        value = int(name.partition("(")[2][:-1])
        evaluations = str(1 + (value - 1) ** 2 if "K" in evaluations else 1)
        flow = str(value)
    tableau = catalogue[name]
    assert evaluations == str(lower(tableau, matrix=False, additive=True).count(drift=True))
    noisy = tableau.accepts("additive")
    # For noise prediction the equation is semilinear, and its noise constant.
    kind = "constant" if tableau.exponential else "martingale"
    assert weak == said(tableau.claimed(kind)[1] if noisy else None)
    mean = "" if tableau.claimed("none")[0] else " in the mean"
    assert flow == said(tableau.claimed("none")[1]) + mean


def test_every_published_sampler_has_a_row_or_a_reason():
    text = DOCS.read_text()
    names = PUBLISHED.replace("\n", " ").split(",")
    assert [name for name in names if name.strip() not in text] == []
    listed = {name for name, *_ in rows()}
    entered = {
        name for name in catalogue if catalogue[name].relative and catalogue[name].start is not None
    }
    # Ours are in docs/diffusion.md.
    assert {n for n in entered if "arXiv" in catalogue[n].citation} - listed <= {"DEIS"}
