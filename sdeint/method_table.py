"""One generated table of all methods: orders, noise, evaluations and variables a step, stability."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import isinf

from sdeint.lowering import evaluations, lower
from tableaux import NOISE_CLASSES, Tableau, TableauError, catalogue, order
from tableaux.errors import unknown
from tableaux.show import show_order
from tableaux.tableau import CALCULI

__all__ = ["COLUMNS", "costs", "markdown_table", "print_table", "select"]


def _claims(tableau: Tableau) -> str:
    """The classes in which the orders are higher than in the method's own."""
    return "; ".join(
        f"{noise} {show_order(s)}, {show_order(w)}"
        for noise, (s, w) in tableau.orders.items()
        if noise != tableau.noise
    )


def _embedded(tableau: Tableau) -> str:
    """The orders of the embedded output."""
    if not tableau.embedded:
        return ""
    verdict = order(tableau, embedded=True, noise=tableau.noise).by_noise[tableau.noise]
    return f"{show_order(verdict.strong)}, {show_order(verdict.weak)}"


def _limits(tableau: Tableau) -> str:
    from sdeint.stability_limits import decay_limit, mean_square_limit

    return ", ".join(
        "-" if x is None else "∞" if isinf(x) else f"{x:.3g}"
        for x in (decay_limit(tableau), mean_square_limit(tableau))
    )


#: The columns: heading, and what stands in a cell.
COLUMNS: Mapping[str, object] = {
    "method": lambda t: t.name,
    "calculus": lambda t: t.calculus.capitalize(),
    "noise": lambda t: t.noise,
    "strong": lambda t: show_order(t.claimed(t.noise)[0]),
    "weak": lambda t: show_order(t.claimed(t.noise)[1]),
    "and for": _claims,
    "f": lambda t: evaluations(t, t.noise)[0],
    "g": lambda t: evaluations(t, t.noise)[1],
    "variables": lambda t: ", ".join(sorted(t.primitives)),
    "stable to": _limits,
    "embedded": _embedded,
    "advice": lambda t: ("Implicit. " if t.implicit else "") + t.advice,
    "citation": lambda t: t.citation,
}
#: What fits on a terminal.
SHORT = (
    "method",
    "calculus",
    "noise",
    "strong",
    "weak",
    "and for",
    "f",
    "g",
    "variables",
    "advice",
)


def select(
    *,
    calculus: str | None = None,
    noise: str | None = None,
    strong: Fraction | int | str | None = None,
    weak: Fraction | int | str | None = None,
    most: int | None = None,
    implicit: bool | None = None,
) -> list[Tableau]:
    """The methods of the catalogue that fit, from the most general class of noise to the most
    special.

    Parameters
    ----------
    calculus : {"ito", "stratonovich"}, optional
    noise : str, optional
        A class of noise that the method must take.
    strong, weak : optional
        Orders that it must have at least, for that class of noise or else for its own.
    most : int, optional
        Most evaluations of f and g a step, with one channel.
    implicit : bool, optional
        Only implicit methods, or only explicit ones.

    Examples
    --------
    >>> [t.name for t in select(noise="diagonal", calculus="ito", strong="3/2", most=6)]
    ['SRID1', 'SRIW1']
    """
    if noise is not None and noise not in NOISE_CLASSES:
        raise TableauError(unknown("noise class", noise, NOISE_CLASSES))
    if calculus is not None and calculus not in CALCULI:
        raise TableauError(unknown("calculus", calculus, CALCULI))
    classes = list(NOISE_CLASSES)
    found = []
    for tableau in sorted(catalogue.values(), key=lambda t: classes.index(t.noise)):
        kind = noise or tableau.noise
        # Without products of noises the two calculi agree.
        same = calculus in (None, tableau.calculus) or noise in ("additive", "none")
        if not tableau.accepts(kind) or not same or implicit not in (None, tableau.implicit):
            continue
        orders = zip(tableau.claimed(kind), (strong, weak))
        if any(need is not None and (has is None or has < Fraction(need)) for has, need in orders):
            continue
        if most is not None and _one_channel(tableau, kind) > most:
            continue
        found.append(tableau)
    return found


def _one_channel(tableau: Tableau, noise: str) -> int:
    program = lower(
        tableau,
        matrix=noise in ("general", "commutative"),
        additive=noise == "additive",
        silent=noise == "none",
    )
    return program.count(drift=True) + program.count(drift=False)


def costs(tableau: Tableau) -> str:
    """What a step evaluates, for one channel and for m channels of general noise."""
    f, g = evaluations(tableau, tableau.noise)
    text = f"f at {f} states and g at {g}"
    if tableau.noise in ("general", "commutative"):
        text += f", with m channels of {tableau.noise} noise"
    return text


def markdown_table(methods: Iterable[Tableau] | None = None) -> str:
    """The table as docs/methods.md."""
    from sdeint.choosing import markdown_decisions

    lines = [
        "# Methods",
        "",
        "Generated by `python -m sdeint methods --markdown`; do not edit.",
        "",
        "## Which method for my problem?",
        "",
        *markdown_decisions(),
        "",
        "## All methods",
        "",
        "`strong` and `weak` are the orders for the noise class of the row, and hold for every class in",
        "it; `and for` has the classes in which they are higher (strong, weak). The test suite proves",
        "each of them, and that no higher one holds. `f` and `g` count the states at which a step",
        "evaluates them, each implicit stage once: for one channel, or for m channels where the noise is",
        "general or commutative. `variables` are what a step draws: W, H, K increments and areas, A Levy",
        "areas, theta three-point, sign and eta two-point. `stable to`: the largest x for which a step of",
        "size 1 does not enlarge y' = -x y; and E y^2 of the Ito equation dy = -x y dt + sqrt(x) y dW.",
        "`embedded`: the (strong, weak) orders of the embedded output.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
    ]
    lines += [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in _row(t, COLUMNS)) + " |"
        for t in (select() if methods is None else methods)
    ]
    return "\n".join(lines) + "\n"


def print_table(methods: Iterable[Tableau] | None = None) -> None:
    """The table on the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*SHORT, box=None, pad_edge=False)
    for tableau in select() if methods is None else methods:
        table.add_row(*_row(tableau, SHORT))
    # A pipe has no width: let every method keep its one line there.
    Console(width=None if Console().is_terminal else 250).print(table)


def _row(tableau: Tableau, columns: Iterable[str]) -> list[str]:
    return [str(COLUMNS[column](tableau)) for column in columns]  # type: ignore[operator]
