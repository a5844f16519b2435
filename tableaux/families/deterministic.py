"""Runge-Kutta methods for problems without noise."""

from __future__ import annotations

from tableaux.families.entries import method
from tableaux.tableau import Tableau


@method("RK4")
def runge_kutta_four(name: str) -> Tableau:
    """X+ = X + h (k1 + 2 k2 + 2 k3 + k4)/6."""
    return Tableau.rk(
        name,
        A=[[0, 0, 0, 0], ["1/2", 0, 0, 0], [0, "1/2", 0, 0], [0, 0, 1, 0]],
        b=["1/6", "1/3", "1/3", "1/6"],
        orders={"none": (4, 4)},
        citation="Kutta, Z. Math. Phys. 46 (1901) 435-453",
        advice="Without noise, smooth fields, fixed steps.",
    )


@method("BogackiShampine")
def bogacki_shampine(name: str) -> Tableau:
    """Order 3 with an embedded output of order 2; its last stage is the next step's first."""
    return Tableau.rk(
        name,
        A=[[0, 0, 0, 0], ["1/2", 0, 0, 0], [0, "3/4", 0, 0], ["2/9", "1/3", "4/9", 0]],
        b=["2/9", "1/3", "4/9", 0],
        b_hat=["7/24", "1/4", "1/3", "1/8"],
        orders={"none": (3, 3)},
        citation="Bogacki and Shampine, Appl. Math. Lett. 2 (1989) 321-325",
        advice="Without noise, low accuracy, with an error estimate.",
    )


@method("DormandPrince")
def dormand_prince(name: str) -> Tableau:
    """Order 5 with an embedded output of order 4; its last stage is the next step's first."""
    b = ["35/384", 0, "500/1113", "125/192", "-2187/6784", "11/84", 0]
    return Tableau.rk(
        name,
        A=[
            [0, 0, 0, 0, 0, 0, 0],
            ["1/5", 0, 0, 0, 0, 0, 0],
            ["3/40", "9/40", 0, 0, 0, 0, 0],
            ["44/45", "-56/15", "32/9", 0, 0, 0, 0],
            ["19372/6561", "-25360/2187", "64448/6561", "-212/729", 0, 0, 0],
            ["9017/3168", "-355/33", "46732/5247", "49/176", "-5103/18656", 0, 0],
            b,
        ],
        b=b,
        b_hat=[
            "5179/57600",
            0,
            "7571/16695",
            "393/640",
            "-92097/339200",
            "187/2100",
            "1/40",
        ],
        orders={"none": (5, 5)},
        citation="Dormand and Prince, J. Comput. Appl. Math. 6 (1980) 19-26",
        advice="Without noise, the default where accuracy matters.",
    )
