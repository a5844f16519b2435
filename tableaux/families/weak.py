"""Roessler: weak order 2 for general noise with discrete random variables."""

from __future__ import annotations

from typing import Any

from tableaux.families.entries import method
from tableaux.tableau import Orders, Tableau

_ZERO = [[0, 0, 0]] * 3
_ITO = "Roessler, SIAM J. Numer. Anal. 47(3) (2009) 1713-1738"
_STRATONOVICH = "Roessler, BIT 47 (2007) 657-680"


@method("RI1")
def ri1(name: str) -> Tableau:
    """Roessler's RI1, Ito: three drift evaluations; order 3 without noise."""
    return Tableau.ri(
        name,
        A0=[[0, 0, 0], ["2/3", 0, 0], ["-1/3", 1, 0]],
        A1=[[0, 0, 0], [1, 0, 0], [1, 0, 0]],
        A2=_ZERO,
        B0=[[0, 0, 0], [1, 0, 0], [0, 0, 0]],
        B1=[[0, 0, 0], [1, 0, 0], [-1, 0, 0]],
        B2=[[0, 0, 0], [1, 0, 0], [-1, 0, 0]],
        alpha=["1/4", "1/2", "1/4"],
        beta1=["1/2", "1/4", "1/4"],
        beta2=[0, "1/2", "-1/2"],
        beta3=["-1/2", "1/4", "1/4"],
        beta4=[0, "1/2", "-1/2"],
        orders={"general": (None, 2), "none": (3, 3)},
        citation=_ITO,
        advice="Expectations under any small Ito noise; DRI1 has smaller error constants.",
    )


@method("RI3")
def ri3(name: str) -> Tableau:
    """Roessler's RI3, Ito: three drift evaluations; order 3 without noise."""
    return Tableau.ri(
        name,
        A0=[[0, 0, 0], [1, 0, 0], ["1/4", "1/4", 0]],
        A1=[[0, 0, 0], [1, 0, 0], [1, 0, 0]],
        A2=_ZERO,
        B0=[[0, 0, 0], ["(3 - 2*sqrt(6))/5", 0, 0], ["(6 + sqrt(6))/10", 0, 0]],
        B1=[[0, 0, 0], [1, 0, 0], [-1, 0, 0]],
        B2=[[0, 0, 0], [1, 0, 0], [-1, 0, 0]],
        alpha=["1/6", "1/6", "2/3"],
        beta1=["1/2", "1/4", "1/4"],
        beta2=[0, "1/2", "-1/2"],
        beta3=["-1/2", "1/4", "1/4"],
        beta4=[0, "1/2", "-1/2"],
        orders={"general": (None, 2), "none": (3, 3)},
        citation=_ITO,
        advice="As RI1, with drift stages inside the step.",
    )


@method("RI5")
def ri5(name: str) -> Tableau:
    """Roessler's RI5, Ito: three drift evaluations; order 3 without noise."""
    return Tableau.ri(
        name,
        A0=[[0, 0, 0], [1, 0, 0], ["25/144", "35/144", 0]],
        A1=[[0, 0, 0], ["1/4", 0, 0], ["1/4", 0, 0]],
        A2=_ZERO,
        B0=[[0, 0, 0], ["1/3", 0, 0], ["-5/6", 0, 0]],
        B1=[[0, 0, 0], ["1/2", 0, 0], ["-1/2", 0, 0]],
        B2=[[0, 0, 0], [1, 0, 0], [-1, 0, 0]],
        alpha=["1/10", "3/14", "24/35"],
        beta1=[1, -1, -1],
        beta2=[0, 1, -1],
        beta3=["1/2", "-1/4", "-1/4"],
        beta4=[0, "1/2", "-1/2"],
        orders={"general": (None, 2), "none": (3, 3)},
        citation=_ITO,
        advice="As RI1, with noise stages closer to the state.",
    )


@method("RI6")
def ri6(name: str) -> Tableau:
    """Roessler's RI6, Ito: two drift evaluations."""
    return Tableau.ri(
        name,
        A0=[[0, 0, 0], [1, 0, 0], [0, 0, 0]],
        A1=[[0, 0, 0], [1, 0, 0], [1, 0, 0]],
        A2=_ZERO,
        B0=[[0, 0, 0], [1, 0, 0], [0, 0, 0]],
        B1=[[0, 0, 0], [1, 0, 0], [-1, 0, 0]],
        B2=[[0, 0, 0], [1, 0, 0], [-1, 0, 0]],
        alpha=["1/2", "1/2", 0],
        beta1=["1/2", "1/4", "1/4"],
        beta2=[0, "1/2", "-1/2"],
        beta3=["-1/2", "1/4", "1/4"],
        beta4=[0, "1/2", "-1/2"],
        orders={"general": (None, 2)},
        citation=_ITO,
        advice="Expectations under any Ito noise; its variables make no paths.",
    )


@method("RS1")
def rs1(name: str) -> Tableau:
    """Roessler's RS1, Stratonovich: two drift evaluations."""
    return _rs(
        name,
        A0=[[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]],
        alpha=["1/2", 0, "1/2", 0],
        orders={"general": (None, 2)},
        advice="Expectations under any Stratonovich noise; its variables make no paths.",
    )


@method("RS2")
def rs2(name: str) -> Tableau:
    """Roessler's RS2, Stratonovich: three drift evaluations; order 3 without noise."""
    return _rs(
        name,
        A0=[[0, 0, 0, 0], ["2/3", 0, 0, 0], ["1/6", "1/2", 0, 0], [0, 0, 0, 0]],
        alpha=["1/4", "1/4", "1/2", 0],
        orders={"general": (None, 2), "none": (3, 3)},
        advice="As RS1, for small noise.",
    )


def _rs(name: str, A0: list[list[Any]], alpha: list[Any], orders: Orders, advice: str) -> Tableau:
    """What RS1 and RS2 share: noise stages that have order 4 for one channel."""
    return Tableau.rs(
        name,
        A0=A0,
        A1=[[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]],
        A2=[[0, 0, 0, 0]] * 4,
        B0=[[0, 0, 0, 0], [0, 0, 0, 0], ["1/4", "3/4", 0, 0], [0, 0, 0, 0]],
        B1=[[0, 0, 0, 0], ["2/3", 0, 0, 0], ["1/12", "1/4", 0, 0], ["-5/4", "1/4", 2, 0]],
        B2=[[0, 0, 0, 0], [1, 0, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 0]],
        B3=[[0, 0, 0, 0], [0, 0, 0, 0], ["1/4", "3/4", 0, 0], ["1/4", "3/4", 0, 0]],
        alpha=alpha,
        beta1=["1/8", "3/8", "3/8", "1/8"],
        beta2=[0, "-1/4", "1/4", 0],
        orders=orders,
        citation=_STRATONOVICH,
        advice=advice,
    )
