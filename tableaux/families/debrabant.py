"""Debrabant and Roessler: efficient weak second-order methods, Ito.

The RDI methods belong to a class that, as Platen's method does, has a stage for each pair of channels.
Here their coefficients stand in Roessler's RI form, whose conditions they satisfy as well: its cost is
linear in the number of channels.
"""

from __future__ import annotations

from tableaux.blocks import Block, Coupling, Output
from tableaux.exact import Matrix, Vector
from tableaux.families.entries import method
from tableaux.tableau import Orders, Tableau

_CLASSIFICATION = "Debrabant and Roessler, Math. Comput. Simul. 77 (2008) 408-420"
_FAMILIES = "Debrabant and Roessler, Appl. Numer. Math. 59 (2009) 582-594"

_ZERO: Matrix = ((0, 0, 0),) * 3
# The drift stages that RDI4WM, DRI1 and DRI1NM share: Kutta's method of order 3.
_KUTTA_A0: Matrix = ((0, 0, 0), ("1/2", 0, 0), (-1, 2, 0))
_KUTTA_B0: Matrix = ((0, 0, 0), ("(6 - sqrt(6))/10", 0, 0), ("(3 + 2*sqrt(6))/5", 0, 0))
_KUTTA_ALPHA: Vector = ("1/6", "2/3", "1/6")
# The stages for a channel's own noise in DRI1 and DRI1NM.
_OWN_A1: Matrix = ((0, 0, 0), ("342/491", 0, 0), ("342/491", 0, 0))
_OWN_B1: Matrix = ((0, 0, 0), ("3*sqrt(38/491)", 0, 0), ("-3*sqrt(38/491)", 0, 0))
_OWN_BETA1: Vector = ("193/684", "491/1368", "491/1368")
_OWN_BETA2: Vector = (0, "sqrt(491/38)/6", "-sqrt(491/38)/6")


@method("RDI1WM")
def rdi1wm(name: str) -> Tableau:
    """Weak order 1, and order 2 without noise: two drift evaluations, one of each column."""
    return Tableau(
        name,
        (Block("drift", "drift", (0, "2/3")), Block("diffusion", "diffusion", (0,))),
        (
            Coupling("drift", "drift", "h", ((0, 0), ("2/3", 0))),
            Coupling("drift", "diffusion", "theta_k", ((0,), ("2/3",))),
        ),
        (Output("drift", "h", ("1/4", "3/4")), Output("diffusion", "theta_k", (1,))),
        orders={"general": (None, 1), "none": (2, 2)},
        citation=_CLASSIFICATION,
        advice="Euler for expectations, with a better drift: small noise on a small budget.",
    )


@method("RDI2WM")
def rdi2wm(name: str) -> Tableau:
    """Two drift evaluations."""
    return _mixing(
        name,
        A0=((0, 0, 0), (1, 0, 0), (0, 0, 0)),
        B0=((0, 0, 0), (1, 0, 0), (0, 0, 0)),
        alpha=("1/2", "1/2", 0),
        orders={"general": (None, 2)},
        advice="As RI6, with smaller error constants.",
    )


@method("RDI3WM")
def rdi3wm(name: str) -> Tableau:
    """Three drift evaluations with the nodes 0, 1/2, 3/4; order 3 without noise."""
    return _mixing(
        name,
        A0=((0, 0, 0), ("1/2", 0, 0), (0, "3/4", 0)),
        B0=((0, 0, 0), ("(9 - 2*sqrt(15))/14", 0, 0), ("(18 + 3*sqrt(15))/28", 0, 0)),
        alpha=("2/9", "1/3", "4/9"),
        orders={"general": (None, 2), "none": (3, 3)},
        advice="As RDI2WM, for small noise.",
    )


@method("RDI4WM")
def rdi4wm(name: str) -> Tableau:
    """Three drift evaluations with the nodes 0, 1/2, 1; order 3 without noise."""
    return _mixing(
        name,
        A0=_KUTTA_A0,
        B0=_KUTTA_B0,
        alpha=_KUTTA_ALPHA,
        orders={"general": (None, 2), "none": (3, 3)},
        advice="As RDI3WM, with the drift stages of DRI1.",
    )


@method("DRI1")
def dri1(name: str) -> Tableau:
    """Kutta's method of order 3 made stochastic, with minimal error constants."""
    mixed = ["-214/513*sqrt(1105/991)", *["-491/2565*sqrt(1105/991)"] * 2]
    return Tableau.ri(
        name,
        A0=_KUTTA_A0,
        A1=_OWN_A1,
        A2=_ZERO,
        B0=_KUTTA_B0,
        B1=_OWN_B1,
        B2=[[0, 0, 0], mixed, [f"-({entry})" for entry in mixed]],
        alpha=_KUTTA_ALPHA,
        beta1=_OWN_BETA1,
        beta2=_OWN_BETA2,
        beta3=["-4955/7072", "4955/14144", "4955/14144"],
        beta4=[0, "-5/8*sqrt(991/1105)", "5/8*sqrt(991/1105)"],
        orders={"general": (None, 2), "none": (3, 3)},
        citation=_FAMILIES,
        advice="Expectations under any Ito noise: the smallest error constants of the RI form.",
    )


@method("DRI1NM")
def dri1nm(name: str) -> Tableau:
    """DRI1 without the stages that mix channels, for diagonal noise.

    There they contribute nothing: g_k does not change along g_l, so the weights beta3 and beta4,
    which sum to zero, cancel.  Commutative noise needs them.
    """
    return Tableau(
        name,
        (
            Block("drift", "drift", (0, "1/2", 1)),
            Block("diffusion", "diffusion", (0, "342/491", "342/491"), "channel"),
        ),
        (
            Coupling("drift", "drift", "h", _KUTTA_A0),
            Coupling("drift", "diffusion", "theta_k", _KUTTA_B0),
            Coupling("diffusion", "drift", "h", _OWN_A1),
            Coupling("diffusion", "diffusion", "sqrt(h)", _OWN_B1, "own"),
        ),
        (
            Output("drift", "h", _KUTTA_ALPHA),
            Output("diffusion", "theta_k", _OWN_BETA1),
            Output("diffusion", "theta_kk/sqrt(h)", _OWN_BETA2),
        ),
        noise="diagonal",
        orders={"diagonal": (None, 2), "none": (3, 3)},
        citation=_FAMILIES,
        advice="Expectations under diagonal or scalar Ito noise.",
    )


def _mixing(
    name: str, A0: Matrix, B0: Matrix, alpha: Vector, orders: Orders, advice: str
) -> Tableau:
    """The RDI methods of order 2, which share their noise stages."""
    return Tableau.ri(
        name,
        A0=A0,
        A1=[[0, 0, 0], ["2/3", 0, 0], ["2/3", 0, 0]],
        A2=_ZERO,
        B0=B0,
        B1=[[0, 0, 0], ["sqrt(6)/3", 0, 0], ["-sqrt(6)/3", 0, 0]],
        B2=[[0, 0, 0], ["sqrt(2)", 0, 0], ["-sqrt(2)", 0, 0]],
        alpha=alpha,
        beta1=["1/4", "3/8", "3/8"],
        beta2=[0, "sqrt(6)/4", "-sqrt(6)/4"],
        beta3=["-1/4", "1/8", "1/8"],
        beta4=[0, "sqrt(2)/4", "-sqrt(2)/4"],
        orders=orders,
        citation=_CLASSIFICATION,
        advice=advice,
    )
