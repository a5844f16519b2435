"""Weak order 2 for general noise with discrete random variables."""

from __future__ import annotations

from tableaux.families.entries import method
from tableaux.tableau import Tableau

_ZERO = [[0, 0, 0]] * 3


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
        citation="Roessler, SIAM J. Numer. Anal. 47(3) (2009) 1713-1738",
        advice="Expectations under any Ito noise; its variables make no paths.",
    )


@method("RS2")
def rs2(name: str) -> Tableau:
    """Roessler's RS2, Stratonovich: three drift evaluations."""
    zero = [[0, 0, 0, 0]] * 4
    return Tableau.rs(
        name,
        A0=[[0, 0, 0, 0], ["2/3", 0, 0, 0], ["1/6", "1/2", 0, 0], [0, 0, 0, 0]],
        A1=[[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]],
        A2=zero,
        B0=[[0, 0, 0, 0], [0, 0, 0, 0], ["1/4", "3/4", 0, 0], [0, 0, 0, 0]],
        B1=[[0, 0, 0, 0], ["2/3", 0, 0, 0], ["1/12", "1/4", 0, 0], ["-5/4", "1/4", 2, 0]],
        B2=[[0, 0, 0, 0], [1, 0, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 0]],
        B3=[[0, 0, 0, 0], [0, 0, 0, 0], ["1/4", "3/4", 0, 0], ["1/4", "3/4", 0, 0]],
        alpha=["1/4", "1/4", "1/2", 0],
        beta1=["1/8", "3/8", "3/8", "1/8"],
        beta2=[0, "-1/4", "1/4", 0],
        orders={"general": (None, 2)},
        citation="Roessler, BIT 47 (2007) 657-680",
        advice="Expectations under any Stratonovich noise; its variables make no paths.",
    )
