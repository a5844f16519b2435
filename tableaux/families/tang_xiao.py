"""Tang and Xiao: efficient weak second-order methods, Ito.

``H0_i = X + sum A0_ij f(H0_j) h + sum_k sum B0_ij g_k(Hk_j) theta_k``;
``Hk_i = X + sum A1_ij f(H0_j) h + sum B1_ij g_k(Hk_j) xi_k + sum_(l != k) sum B2_ij g_l(Hl_j) I_lk``;
``X+ = X + sum alpha_i f_i h + sum (beta0_i theta_k + beta1_i I_kk) g_k(Hk_i)``,
with ``xi_k = sign_k sqrt(h)``, ``I_lk = theta_l (1 +- eta)/2`` and ``I_kk = (theta_k^2/xi_k - xi_k)/2``.
The paper has one sign for all channels in xi; here each channel has its own, which is as good.  The
sign is needed: without it the weak order is 3/2.
"""

from __future__ import annotations

import sympy

from tableaux.blocks import Block, Coupling, Output
from tableaux.exact import Matrix, Vector
from tableaux.families.entries import method
from tableaux.tableau import Orders, Tableau

_PAPER = "Tang and Xiao, BIT 57 (2017) 241-260"


@method("W2Ito1")
def w2ito1(name: str) -> Tableau:
    """Three evaluations of the drift and of each column; order 3 without noise."""
    return _form(
        name,
        A0=((0, 0, 0), ("1/2", 0, 0), (-1, 2, 0)),
        A1=((0, 0, 0), ("1/4", 0, 0), ("1/4", 0, 0)),
        B0=((0, 0, 0), ("(6 - sqrt(6))/10", 0, 0), ("(3 + 2*sqrt(6))/5", 0, 0)),
        B1=((0, 0, 0), ("1/2", 0, 0), ("-1/2", 0, 0)),
        B2=((0, 0, 0), (1, 0, 0), (0, 0, 0)),
        alpha=("1/6", "2/3", "1/6"),
        beta0=(-1, 1, 1),
        beta1=(2, 0, -2),
        orders={"general": (None, 2), "none": (3, 3)},
        advice="Expectations under any Ito noise, with half of the noise stages of RI6.",
    )


@method("W2Ito2")
def w2ito2(name: str) -> Tableau:
    """Four evaluations of the drift and three of each column; order 4 without noise."""
    return _form(
        name,
        A0=((0, 0, 0, 0), ("1/2", 0, 0, 0), (0, "1/2", 0, 0), (0, 0, 1, 0)),
        A1=((0, 0, 0, 0), ("1/2", 0, 0, 0), ("1/2", 0, 0, 0), ("1/2", 0, 0, 0)),
        B0=((0, 0, 0, 0), (0, 0, 0, 0), (0, 1, 0, 0), (0, 1, 0, 0)),
        B1=((0, 0, 0, 0), (0, 0, 0, 0), (0, "1/2", 0, 0), (0, "-1/2", 0, 0)),
        B2=((0, 0, 0, 0), (0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 0)),
        alpha=("1/6", "1/3", "1/3", "1/6"),
        beta0=(0, -1, 1, 1),
        beta1=(0, 2, 0, -2),
        orders={"general": (None, 2), "none": (4, 4)},
        advice="As W2Ito1, for small noise: without noise it is the classical method of order 4.",
    )


def _form(
    name: str,
    *,
    A0: Matrix,
    A1: Matrix,
    B0: Matrix,
    B1: Matrix,
    B2: Matrix,
    alpha: Vector,
    beta0: Vector,
    beta1: Vector,
    orders: Orders,
    advice: str,
) -> Tableau:
    c0, c1 = (tuple(sympy.Add(*map(sympy.sympify, row)) for row in rows) for rows in (A0, A1))
    return Tableau(
        name,
        (Block("drift", "drift", c0), Block("diffusion", "diffusion", c1, "channel")),
        (
            Coupling("drift", "drift", "h", A0),
            Coupling("drift", "diffusion", "theta_k", B0),
            Coupling("diffusion", "drift", "h", A1),
            Coupling("diffusion", "diffusion", "sign_k*sqrt(h)", B1, "own"),
            Coupling("diffusion", "diffusion", "theta_k*(1+-eta)/2", B2, "other"),
        ),
        (
            Output("drift", "h", alpha),
            Output("diffusion", "theta_k", beta0),
            Output("diffusion", "sign_k*theta_kk/sqrt(h)", beta1),
        ),
        orders=orders,
        citation=_PAPER,
        advice=advice,
    )
