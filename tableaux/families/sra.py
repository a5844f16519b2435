"""Roessler's SRA form: strong order 3/2 for additive noise."""

from __future__ import annotations

from fractions import Fraction

from tableaux.families.entries import method
from tableaux.tableau import Orders, Tableau

_ROESSLER = "Roessler, SIAM J. Numer. Anal. 48(3) (2010) 922-952"
# The papers say weak order 3 for deterministic reasons; the weak order 3 conditions with noise fail.
_ORDERS: Orders = {"additive": ("3/2", 2)}


@method("SRA1")
def sra1(name: str) -> Tableau:
    """Two drift evaluations."""
    return Tableau.sra(
        name,
        A0=[[0, 0], ["3/4", 0]],
        B0=[[0, 0], ["3/2", 0]],
        alpha=["1/3", "2/3"],
        beta1=[1, 0],
        beta2=[-1, 1],
        c1=[1, 0],
        orders=_ORDERS,
        citation=_ROESSLER,
        advice="Two drift evaluations; the default for additive noise.",
    )


@method("SRA2")
def sra2(name: str) -> Tableau:
    """As SRA1, with the diffusion at other nodes."""
    return Tableau.sra(
        name,
        A0=[[0, 0], ["3/4", 0]],
        B0=[[0, 0], ["3/2", 0]],
        alpha=["1/3", "2/3"],
        beta1=[0, 1],
        beta2=["3/2", "-3/2"],
        c1=["1/3", 1],
        orders=_ORDERS,
        citation=_ROESSLER,
        advice="SRA1 with the diffusion sampled inside the step, for g that varies fast in time.",
    )


@method("SRA3")
def sra3(name: str) -> Tableau:
    """Three drift evaluations; order 3 without noise."""
    return Tableau.sra(
        name,
        A0=[[0, 0, 0], [1, 0, 0], ["1/4", "1/4", 0]],
        B0=[[0, 0, 0], [0, 0, 0], [1, "1/2", 0]],
        alpha=["1/6", "1/6", "2/3"],
        beta1=[1, 0, 0],
        beta2=[-1, 1, 0],
        c1=[1, 0, 0],
        orders={**_ORDERS, "none": (3, 3)},
        citation=_ROESSLER,
        advice="Three evaluations and deterministic order 3: for small additive noise.",
    )


@method("SOSRA")
def sosra(name: str) -> Tableau:
    """Rackauckas and Nie's stability-optimised SRA, with its last digits repaired.

    The paper prints sixteen decimals, with which the conditions hold to 1e-15 only.  Here the stage
    shifts, nodes and free weights are taken at their decimals and the rest is solved for exactly:
    every coefficient agrees with the print to 1e-14.
    """
    b2 = Fraction("1.3371632704399763")
    b31, b32 = Fraction("1.442371048468624"), Fraction("1.8632741501139225")
    b3 = b31 + b32
    # alpha (B e) = 1 and alpha (B e)^2 = 3/2, then alpha e = 1.
    alpha3 = (Fraction(3, 2) - b2) / (b3 * (b3 - b2))
    alpha2 = (1 - alpha3 * b3) / b2
    # alpha c = 1/2 with c3 = 1.
    c2 = (Fraction(1, 2) - alpha3) / alpha2
    a32 = Fraction("4.1609142252828395")
    # beta1 e = 1, beta1 c1 = 1; beta2 e = 0, beta2 c1 = -1.
    c12 = Fraction("0.041248171110700504")
    beta12, beta22 = Fraction("17.514995785380226"), Fraction("0.6010381474428539")
    beta13, beta23 = 1 - c12 * beta12, -1 - c12 * beta22
    return Tableau.sra(
        name,
        A0=[[0, 0, 0], [c2, 0, 0], [1 - a32, a32, 0]],
        B0=[[0, 0, 0], [b2, 0, 0], [b31, b32, 0]],
        alpha=[1 - alpha2 - alpha3, alpha2, alpha3],
        beta1=[1 - beta12 - beta13, beta12, beta13],
        beta2=[-beta22 - beta23, beta22, beta23],
        c1=[0, c12, 1],
        orders=_ORDERS,
        citation="Rackauckas and Nie, HPEC (2020), arXiv:1804.04344",
        advice="The largest stability region of the explicit SRA methods: mildly stiff drifts.",
    )


@method("SOSRA2")
def sosra2(name: str) -> Tableau:
    """Rackauckas and Nie's second stability-optimised SRA, with its last digits repaired.

    The later stages are at the end of the step, so that beta1 and beta2 matter through the sums
    over them only.  B0_21, B0_31, A0_32, beta1_2 and beta2_2 are taken at their sixteen decimals and
    the rest is solved for exactly; every coefficient agrees with the print to 1e-14.
    """
    b2 = Fraction("0.7686101171003622")
    # alpha c = 1/2 makes alpha2 + alpha3 = 1/2; then alpha (B e) = 1 and alpha (B e)^2 = 3/2.
    b3 = (Fraction(3, 2) - b2**2 / 2) / (1 - b2 / 2) - b2
    alpha3 = (1 - b2 / 2) / (b3 - b2)
    b31, a32 = Fraction("0.43886792994934987"), Fraction("0.04881507644956362")
    beta12, beta22 = Fraction("0.92438032145683"), Fraction("-0.8169981105823436")
    return Tableau.sra(
        name,
        A0=[[0, 0, 0], [1, 0, 0], [1 - a32, a32, 0]],
        B0=[[0, 0, 0], [b2, 0, 0], [b31, b3 - b31, 0]],
        alpha=[Fraction(1, 2), Fraction(1, 2) - alpha3, alpha3],
        beta1=[0, beta12, 1 - beta12],
        beta2=[1, beta22, -1 - beta22],
        c1=[0, 1, 1],
        orders=_ORDERS,
        citation="Rackauckas and Nie, HPEC (2020), arXiv:1804.04344",
        advice="As SOSRA with all nodes at the ends of the step.",
    )
