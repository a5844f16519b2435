"""Which method for my problem: a short decision table, for people and for ``method="auto"``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sdeint.errors import ProblemError
from sdeint.lowering import evaluations
from sdeint.problem import SDE, SemilinearSDE
from tableaux import NOISE_CLASSES, PRIMITIVES, Tableau, catalogue
from tableaux.errors import unknown
from tableaux.show import show_order
from tableaux.tableau import CALCULI

__all__ = ["DECISIONS", "PURPOSES", "SEMILINEAR", "Choice", "choose", "markdown_decisions"]

PURPOSES = ("paths", "moments")


@dataclass(frozen=True)
class Choice:
    """A method and why it was picked.

    Attributes
    ----------
    method : str
        A name of the catalogue.
    reason : str
    """

    method: str
    reason: str

    def __str__(self) -> str:
        return f"{self.method}: {self.reason}"


#: (purpose, noise, calculus) -> method.  Additive noise, and none, is the same in both calculi.  Each
#: has the highest order of the catalogue's explicit methods for its purpose; among those the cheaper
#: one was taken, and then the one with the smaller error.
DECISIONS: Mapping[tuple[str, str, str], str] = MappingProxyType(
    {
        ("paths", "none", "both"): "DormandPrince",
        ("paths", "additive", "both"): "SRA1",
        ("paths", "scalar", "ito"): "SRID1",
        ("paths", "diagonal", "ito"): "SRID1",
        ("paths", "commutative", "ito"): "MilsteinCommutative",
        ("paths", "general", "ito"): "MilsteinGeneral",
        ("paths", "scalar", "stratonovich"): "SlowRK",
        ("paths", "diagonal", "stratonovich"): "SlowRK",
        ("paths", "commutative", "stratonovich"): "SlowRK",
        ("paths", "general", "stratonovich"): "MilsteinGeneralStratonovich",
        ("moments", "none", "both"): "DormandPrince",
        ("moments", "additive", "both"): "W3A4",
        ("moments", "scalar", "ito"): "W2F1",
        ("moments", "diagonal", "ito"): "W2F1",
        ("moments", "commutative", "ito"): "W2F1",
        ("moments", "general", "ito"): "W2F1",
        ("moments", "scalar", "stratonovich"): "RS1",
        ("moments", "diagonal", "stratonovich"): "RS1",
        ("moments", "commutative", "stratonovich"): "S2F1",
        ("moments", "general", "stratonovich"): "S2F1",
    }
)


#: (purpose, noise) -> method for a `SemilinearSDE`: with exact noise of its modes, and without. The
#: exponential methods are Ito's; where noise is additive or none, that is the same.
SEMILINEAR: Mapping[tuple[str, str], tuple[str, str]] = MappingProxyType(
    {
        ("paths", "none"): ("HochbruckOstermann", "HochbruckOstermann"),
        ("paths", "additive"): ("SETDRK2D", "LawsonSRA1"),
        ("paths", "scalar"): ("LawsonMilstein", "LawsonMilstein"),
        ("paths", "diagonal"): ("ExponentialMilstein", "LawsonMilstein"),
        ("paths", "commutative"): ("ExponentialMilsteinCommutative",) * 2,
        ("paths", "general"): ("LordTambue", "LordTambue"),
        ("moments", "none"): ("HochbruckOstermann", "HochbruckOstermann"),
        ("moments", "additive"): ("SETDRK2D", "ETDW2F1"),
        ("moments", "scalar"): ("ETDW2F1", "ETDW2F1"),
        ("moments", "diagonal"): ("ETDW2F1", "ETDW2F1"),
        ("moments", "commutative"): ("ETDW2F1", "ETDW2F1"),
        ("moments", "general"): ("ETDW2F1", "ETDW2F1"),
    }
)


def choose(
    problem: str | SDE,
    calculus: str = "ito",
    purpose: str = "paths",
    *,
    discrete: bool = True,
    exact: bool = False,
) -> Choice:
    """The method that ``method="auto"`` takes.

    Parameters
    ----------
    problem : str or SDE
        A class of noise, or an SDE, which says its calculus too.
    calculus : {"ito", "stratonovich"}
    purpose : {"paths", "moments"}
        Whether each path matters, or only expectations.
    discrete : bool
        Whether variables that are no functionals of the path may be drawn.  Along a path that is
        given they cannot, and a method for paths serves the moments.
    exact : bool
        Whether the modes of a `SemilinearSDE` can be given their exact noise: L is real, constant
        and no matrix, each component has a noise of its own, and the path is drawn step by step.

    Raises
    ------
    ProblemError
        If there is no such class of noise, calculus or purpose.

    Examples
    --------
    >>> print(choose("diagonal"))
    SRID1: strong order 3/2 for diagonal Ito noise, with f at 2 states and g at 4 a step
    """
    noise = problem.noise if isinstance(problem, SDE) else problem
    calculus = problem.calculus if isinstance(problem, SDE) else calculus
    for value, allowed, what in (
        (noise, NOISE_CLASSES, "noise class"),
        (calculus, CALCULI, "calculus"),
        (purpose, PURPOSES, "purpose"),
    ):
        if value not in allowed:
            raise ProblemError(unknown(what, value, allowed))
    side = "both" if noise in ("additive", "none") else calculus

    def named(purpose: str) -> str:
        # A Stratonovich equation has no exponential method but for the noise that is the same in both.
        if isinstance(problem, SemilinearSDE) and side != "stratonovich":
            return SEMILINEAR[purpose, noise][0 if exact else 1]
        return DECISIONS[purpose, noise, side]

    name = named(purpose)
    if purpose == "moments" and not discrete and _discrete(catalogue[name]):
        name = named("paths")
    return Choice(name, _reason(name, noise, side, purpose))


def _discrete(tableau: Tableau) -> bool:
    return any(PRIMITIVES[name].law != "path" for name in tableau.primitives)


def _reason(name: str, noise: str, side: str, purpose: str) -> str:
    strong, weak = catalogue[name].claimed(noise)
    if noise == "none":
        order, where = f"order {show_order(weak)}", "without noise"
    else:
        known = strong if purpose == "paths" else weak
        order = f"{'strong' if purpose == 'paths' else 'weak'} order {show_order(known)}"
        where = f"for {noise} {'' if side == 'both' else side.capitalize() + ' '}noise"
    f, g = evaluations(catalogue[name], noise)
    return f"{order} {where}, with f at {f} states and g at {g} a step"


def markdown_decisions() -> list[str]:
    """The decisions as lines of a Markdown table, for docs/methods.md."""
    lines = ["| noise | calculus | for paths | for moments |", "|---|---|---|---|"]
    for (purpose, noise, side), name in DECISIONS.items():
        if purpose == "paths":
            moments = DECISIONS["moments", noise, side]
            cells = [noise, {"ito": "Ito", "both": "either"}.get(side, side.capitalize())]
            for method, kind in ((name, "paths"), (moments, "moments")):
                cells.append(f"`{method}`: {_reason(method, noise, side, kind)}")
            lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "For a `SemilinearSDE` an exponential method, with exact noise of its modes where L is real,"
        " constant and no matrix, every component has a noise of its own and the path is drawn step"
        " by step:",
        "",
        "| noise | for paths, exact noise | for paths | for moments, exact noise | for moments |",
        "|---|---|---|---|---|",
    ]
    for (purpose, noise), names in SEMILINEAR.items():
        if purpose == "paths":
            every = (*names, *SEMILINEAR["moments", noise])
            lines.append("| " + " | ".join([noise, *(f"`{name}`" for name in every)]) + " |")
    return lines
