"""Roessler's SRI form: strong order 3/2 for diagonal and scalar noise, Ito."""

from __future__ import annotations

from fractions import Fraction

import sympy

from tableaux.families.entries import method
from tableaux.tableau import Orders, Tableau

_ROESSLER = "Roessler, SIAM J. Numer. Anal. 48(3) (2010) 922-952"
# Weak order 2 holds for linear g only: two forests of order 2 fail for nonlinear g.
_ORDERS: Orders = {"diagonal": ("3/2", "3/2"), "additive": ("3/2", 2)}


@method("SRIW1")
def sriw1(name: str) -> Tableau:
    """Two drift and four diffusion evaluations."""
    return Tableau.sri(
        name,
        A0=[[0, 0, 0, 0], ["3/4", 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
        A1=[[0, 0, 0, 0], ["1/4", 0, 0, 0], [1, 0, 0, 0], [0, 0, "1/4", 0]],
        B0=[[0, 0, 0, 0], ["3/2", 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
        B1=[[0, 0, 0, 0], ["1/2", 0, 0, 0], [-1, 0, 0, 0], [-5, 3, "1/2", 0]],
        alpha=["1/3", "2/3", 0, 0],
        beta1=[-1, "4/3", "2/3", 0],
        beta2=[-1, "4/3", "-1/3", 0],
        beta3=[2, "-4/3", "-2/3", 0],
        beta4=[-2, "5/3", "-2/3", 1],
        orders=_ORDERS,
        citation=_ROESSLER,
        advice="The classic for diagonal noise; SRID1 has a smaller error at the same cost.",
    )


@method("SRIW2")
def sriw2(name: str) -> Tableau:
    """Three drift and four diffusion evaluations; order 3 without noise."""
    return Tableau.sri(
        name,
        A0=[[0, 0, 0, 0], [1, 0, 0, 0], ["1/4", "1/4", 0, 0], [0, 0, 0, 0]],
        A1=[[0, 0, 0, 0], ["1/4", 0, 0, 0], [1, 0, 0, 0], [0, 0, "1/4", 0]],
        B0=[[0, 0, 0, 0], [0, 0, 0, 0], [1, "1/2", 0, 0], [0, 0, 0, 0]],
        B1=[[0, 0, 0, 0], ["-1/2", 0, 0, 0], [1, 0, 0, 0], [2, -1, "1/2", 0]],
        alpha=["1/6", "1/6", "2/3", 0],
        beta1=[-1, "4/3", "2/3", 0],
        beta2=[1, "-4/3", "1/3", 0],
        beta3=[2, "-4/3", "-2/3", 0],
        beta4=[-2, "5/3", "-2/3", 1],
        orders=_ORDERS,
        citation=_ROESSLER,
        advice="As SRIW1 with deterministic order 3: for small noise.",
    )


@method("SOSRI")
def sosri(name: str) -> Tableau:
    """Rackauckas and Nie's stability-optimised SRI, with its last digits repaired.

    The paper prints sixteen decimals, with which the conditions hold to 1e-14 only.  Here B1, the
    row sums of B0, alpha4, A1_32, A1_42 and the inner entries of A0 and B0 are taken at their
    decimals and the rest is solved for exactly; every coefficient agrees with the print to 1e-11.
    """
    B1 = sympy.Matrix(4, 4, lambda i, j: 0)
    B1[1, 0] = _decimal("0.6753186815412179")
    B1[2, 0], B1[2, 1] = _decimal("-0.07452812525785148"), _decimal("-0.49783736486149366")
    B1[3, 0], B1[3, 1] = _decimal("-0.5591906709928903"), _decimal("0.022696571806569924")
    B1[3, 2] = _decimal("-0.8984927888368557")
    e = sympy.ones(4, 1)
    b = B1 * e
    q = B1 * b
    # The five conditions on each beta (on e, b, c1, b^2 and q) agree only if c1 = b^2 - 2 q.
    c1 = b.multiply_elementwise(b) - 2 * q
    basis = sympy.Matrix.hstack(e, b, c1, q).T
    betas = [
        basis.LUsolve(sympy.Matrix(right))
        for right in ([1, 0, 1, 0], [0, 1, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1])
    ]

    b0 = sympy.Matrix([0, _decimal("0.08852381537667678"), 0, 0])
    B0 = sympy.Matrix(4, 4, lambda i, j: 0)
    B0[1, 0] = b0[1]
    B0[2, 0], B0[2, 1] = _decimal("1.0317752458971061"), _decimal("0.4563552922077882")
    B0[3, 0], B0[3, 1] = _decimal("1.73078280444124"), _decimal("-0.46089678470929774")
    B0[3, 2] = _decimal("-0.9637509618944188")
    b0 = B0 * e
    # alpha e = 1, alpha b0 = 1, alpha b0^2 = 3/2 with alpha4 free; then alpha c0 = 1/2 gives c0_2.
    alpha4 = _decimal("-0.2911544680711602")
    left = sympy.Matrix([[1, 1, 1], list(b0[:3]), [x**2 for x in b0[:3]]])
    right = sympy.Matrix(
        [1 - alpha4, 1 - alpha4 * b0[3], sympy.Rational(3, 2) - alpha4 * b0[3] ** 2]
    )
    alpha = [*left.LUsolve(right), alpha4]
    c02 = (sympy.Rational(1, 2) - alpha[2] - alpha4) / alpha[1]  # c0_3 = c0_4 = 1
    a32 = _decimal("0.4181638701749618")
    a42, a43 = _decimal("0.8046204792187386"), _decimal("-0.27162232008616016")

    # (beta1 / 2 + beta3 / 3) A1 b0 = 0 gives the last entry of A1.
    p = betas[0] / 2 + betas[2] / 3
    d32, d42 = _decimal("0.24441921535482677"), _decimal("0.3453277086024727")
    d43 = -(p[2] * d32 * b0[1] + p[3] * d42 * b0[1]) / (p[3] * b0[2])
    return Tableau.sri(
        name,
        A0=[[0, 0, 0, 0], [c02, 0, 0, 0], [1 - a32, a32, 0, 0], [1 - a42 - a43, a42, a43, 0]],
        A1=[
            [0, 0, 0, 0],
            [c1[1], 0, 0, 0],
            [c1[2] - d32, d32, 0, 0],
            [c1[3] - d42 - d43, d42, d43, 0],
        ],
        B0=B0,
        B1=B1,
        alpha=alpha,
        beta1=list(betas[0]),
        beta2=list(betas[1]),
        beta3=list(betas[2]),
        beta4=list(betas[3]),
        orders=_ORDERS,
        citation="Rackauckas and Nie, HPEC (2020), arXiv:1804.04344",
        advice="SRIW1's order with the largest stability region: mildly stiff diagonal noise.",
    )


def _decimal(text: str) -> sympy.Rational:
    fraction = Fraction(text)
    return sympy.Rational(fraction.numerator, fraction.denominator)
