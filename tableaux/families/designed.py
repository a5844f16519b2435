"""Methods that this library designed from its own conditions; tests/order/test_design.py derives them."""

from __future__ import annotations

from tableaux.families.entries import method
from tableaux.tableau import Tableau

_OURS = "this library, docs/theory.md"


@method("SRID1")
def srid1(name: str) -> Tableau:
    """Strong order 3/2 and, unlike SRIW1 and SRIW2, weak order 2; noise shifts of opposite signs.

    The norm of its principal strong error for scalar noise is 1.048, against 1.402 of SRIW1 and 1.282
    of SRIW2 (the same evaluations).
    """
    return Tableau.sri(
        name,
        A0=[[0, 0, 0, 0], ["3/4", 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
        A1=[[0, 0, 0, 0], ["9/16", 0, 0, 0], ["9/16", 0, 0, 0], ["-9/4", 0, 0, 0]],
        B0=[[0, 0, 0, 0], ["3/2", 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
        B1=[[0, 0, 0, 0], ["3/4", 0, 0, 0], ["-3/4", 0, 0, 0], [0, "3/4", "-3/4", 0]],
        alpha=["1/3", "2/3", 0, 0],
        beta1=["-7/9", "8/9", "8/9", 0],
        beta2=[0, "2/3", "-2/3", 0],
        beta3=["16/9", "-8/9", "-8/9", 0],
        beta4=["-40/9", "16/9", "16/9", "8/9"],
        orders={"diagonal": ("3/2", 2)},
        citation=_OURS,
        advice="Diagonal noise, for paths and expectations alike, at the cost of SRIW1.",
    )


@method("RID1")
def rid1(name: str) -> Tableau:
    """RI6 with the noise stages at 5/6 in place of 1.

    The norm of its principal weak error for scalar noise is 1.309, against 1.331 of RI6.
    """
    zero = [0, 0, 0]
    return Tableau.ri(
        name,
        A0=[zero, [1, 0, 0], zero],
        A1=[zero, ["25/36", 0, 0], ["25/36", 0, 0]],
        A2=[zero] * 3,
        B0=[zero, [1, 0, 0], zero],
        B1=[zero, ["5/6", 0, 0], ["-5/6", 0, 0]],
        B2=[zero, [1, 0, 0], [-1, 0, 0]],
        alpha=["1/2", "1/2", 0],
        beta1=["7/25", "9/25", "9/25"],
        beta2=[0, "3/5", "-3/5"],
        beta3=["-1/2", "1/4", "1/4"],
        beta4=[0, "1/2", "-1/2"],
        orders={"general": (None, 2)},
        citation=_OURS,
        advice="As RI6, with a slightly smaller error constant.",
    )
