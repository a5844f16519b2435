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
    """Two drift and four diffusion evaluations; torchsde's SRID1 is this method."""
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
    """Three drift and four diffusion evaluations, order 3 without noise; torchsde's SRID2."""
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
        orders={**_ORDERS, "none": (3, 3)},
        citation=_ROESSLER,
        advice="As SRIW1 with deterministic order 3: for small noise.",
    )


@method("SOSRI")
def sosri(name: str) -> Tableau:
    """Rackauckas and Nie's stability-optimised SRI, with its last digits repaired: see `_repaired`."""
    return _repaired(
        name,
        A0=("-2.0527723684000727", "-2.8895936137439793", "2.3017575594644466"),
        c0=("0.7898405466170333", "3.7504010171562823"),
        A1=("-0.1502377115150361", "0.6149440396332373"),
        B0=(
            ("-0.21641093549612528",),
            ("1.5336352863679572", "0.26066223492647056"),
            ("-1.0536037558179159", "1.7015284721089472", "-0.20725685784180017"),
        ),
        B1=(
            ("-0.5119011827621657",),
            ("2.67767339866713", "-4.9395031322250995"),
            ("0.15580956238299215", "3.2361551006624674", "-1.4223118283355949"),
        ),
        alpha4="0.026404498125060714",
        advice="SRIW1's order with a large stability region: mildly stiff diagonal noise.",
    )


@method("SOSRI2")
def sosri2(name: str) -> Tableau:
    """Rackauckas and Nie's second stability-optimised SRI, likewise repaired: see `_repaired`."""
    return _repaired(
        name,
        A0=("0.4181638701749618", "0.8046204792187386", "-0.27162232008616016"),
        c0=("1", "1"),
        A1=("0.24441921535482677", "0.3453277086024727"),
        B0=(
            ("0.08852381537667678",),
            ("1.0317752458971061", "0.4563552922077882"),
            ("1.73078280444124", "-0.46089678470929774", "-0.9637509618944188"),
        ),
        B1=(
            ("0.6753186815412179",),
            ("-0.07452812525785148", "-0.49783736486149366"),
            ("-0.5591906709928903", "0.022696571806569924", "-0.8984927888368557"),
        ),
        alpha4="-0.2911544680711602",
        advice="As SOSRI with its drift stages inside the step.",
    )


def _repaired(
    name: str,
    A0: tuple[str, str, str],
    c0: tuple[str, str],
    A1: tuple[str, str],
    B0: tuple[tuple[str, ...], ...],
    B1: tuple[tuple[str, ...], ...],
    alpha4: str,
    advice: str,
) -> Tableau:
    """A printed method of sixteen decimals, made to satisfy its conditions exactly.

    With the decimals the conditions hold to 1e-14 only.  B1, B0, alpha4, A1_32, A1_42, the inner
    entries of A0 (32, 42, 43) and the nodes c0_3 and c0_4 are taken at their decimals and the rest is
    solved for; every coefficient agrees with the print to 1e-11.
    """
    noise, drift = _lower(B1), _lower(B0)
    e = sympy.ones(4, 1)
    b = noise * e
    q = noise * b
    # The five conditions on each beta (on e, b, c1, b^2 and q) agree only if c1 = b^2 - 2 q.
    c1 = b.multiply_elementwise(b) - 2 * q
    basis = sympy.Matrix.hstack(e, b, c1, q).T
    betas = [
        basis.LUsolve(sympy.Matrix(right))
        for right in ([1, 0, 1, 0], [0, 1, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1])
    ]

    # alpha e = 1, alpha b0 = 1, alpha b0^2 = 3/2 with alpha4 free; then alpha c0 = 1/2 gives c0_2.
    b0 = drift * e
    last = _decimal(alpha4)
    left = sympy.Matrix([[1, 1, 1], list(b0[:3]), [x**2 for x in b0[:3]]])
    right = sympy.Matrix([1 - last, 1 - last * b0[3], sympy.Rational(3, 2) - last * b0[3] ** 2])
    alpha = [*left.LUsolve(right), last]
    c03, c04 = map(_decimal, c0)
    c02 = (sympy.Rational(1, 2) - alpha[2] * c03 - last * c04) / alpha[1]
    a32, a42, a43 = map(_decimal, A0)

    # (beta1 / 2 + beta3 / 3) A1 b0 = 0 gives the last entry of A1.
    p = betas[0] / 2 + betas[2] / 3
    d32, d42 = map(_decimal, A1)
    d43 = -(p[2] * d32 * b0[1] + p[3] * d42 * b0[1]) / (p[3] * b0[2])
    return Tableau.sri(
        name,
        A0=[[0, 0, 0, 0], [c02, 0, 0, 0], [c03 - a32, a32, 0, 0], [c04 - a42 - a43, a42, a43, 0]],
        A1=[
            [0, 0, 0, 0],
            [c1[1], 0, 0, 0],
            [c1[2] - d32, d32, 0, 0],
            [c1[3] - d42 - d43, d42, d43, 0],
        ],
        B0=drift,
        B1=noise,
        alpha=alpha,
        beta1=list(betas[0]),
        beta2=list(betas[1]),
        beta3=list(betas[2]),
        beta4=list(betas[3]),
        orders=_ORDERS,
        citation="Rackauckas and Nie, HPEC (2020), arXiv:1804.04344",
        advice=advice,
    )


def _lower(rows: tuple[tuple[str, ...], ...]) -> sympy.Matrix:
    """A 4 x 4 matrix from the decimals below its diagonal."""
    filled = [[0] * 4, *([*map(_decimal, row), *[0] * (4 - len(row))] for row in rows)]
    return sympy.Matrix(filled)


def _decimal(text: str) -> sympy.Rational:
    fraction = Fraction(text)
    return sympy.Rational(fraction.numerator, fraction.denominator)
