"""Diagonally implicit methods of strong order 3/2 for stiff drifts with additive noise."""

from __future__ import annotations

from fractions import Fraction

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Orders, Tableau

_ORDERS: Orders = {"additive": ("3/2", 2)}


@method("SRAL1")
def sral1(name: str) -> Tableau:
    """Two implicit stages, the second of which is the new value: L-stable, noise included.

    ``Y = X + f(Y) h / 4 + g (W / 4 + 3 H / 2)``,
    ``X+ = X + (2 f(Y) + f(X+)) h / 3 + int g dW``, with g at both ends of the step in the integral.
    Asking for strong order 3/2 and that the second stage be the new value, with its noise, leaves no
    freedom.  The stationary variance of a linear equation is at most 1.18 times the true one,
    whatever the step, and its ratio falls as 1/z where the drift is infinitely stiff.
    """
    return Tableau(
        name,
        (Block("drift", "drift", ("1/4", 1)), Block("noise", "diffusion", (0, 1))),
        (
            Coupling("drift", "drift", "h", (("1/4", 0), ("2/3", "1/3"))),
            Coupling("drift", "noise", "I_k", (("1/4", 0), (0, 0))),
            Coupling("drift", "noise", "H_k", (("3/2", 0), (0, 0))),
            Coupling("drift", "noise", "I_k0/h", ((0, 0), (1, 0))),
            Coupling("drift", "noise", "I_0k/h", ((0, 0), (0, 1))),
        ),
        (
            Output("drift", "h", ("2/3", "1/3")),
            Output("noise", "I_k0/h", (1, 0)),
            Output("noise", "I_0k/h", (0, 1)),
        ),
        noise="additive",
        orders=_ORDERS,
        implicit=True,
        citation="this library, docs/theory.md",
        advice="The default for a stiff drift with additive noise: two solves, strong order 3/2.",
    )


@method("SKenCarp")
def skencarp(name: str) -> Tableau:
    """Rackauckas and Nie's SKenCarp without its explicit drift, with its last digits repaired.

    Kennedy and Carpenter's ARK3(2) with an SRA noise.  The print has 16 digits, with which no
    condition holds exactly.  Here the two noise shifts are taken at their decimals; then the weights
    follow from alpha B0 e = 1, alpha (B0 e)^2 = 3/2 and the diagonal is the last weight; stage order
    2 and deterministic order 3 give the rest.  Every coefficient agrees with the print to 1e-14.
    Order 3 and R(infinity) = 0 together need an irrational diagonal, the root of
    6 x^3 - 18 x^2 + 9 x - 1 near 0.4359; so here |R(infinity)| is not 0 but below 1e-15.
    The drift damps X, but not the noise, which it multiplies by up to nine: the stationary variance
    is 6 times too large at z = -1, and 1000 times at z = -11.
    """
    shift2, shift4 = Fraction("-12.246764387585056"), Fraction("-14.432096958608753")
    # alpha2 s2 + alpha4 s4 = 1, alpha2 s2^2 + alpha4 s4^2 = 3/2.
    alpha2 = (Fraction(3, 2) - shift4) / (shift2 * (shift2 - shift4))
    alpha4 = (Fraction(3, 2) - shift2) / (shift4 * (shift4 - shift2))
    gamma = alpha4
    c2 = 2 * gamma
    # alpha c = 1/2, alpha c^2 = 1/3 with c = (0, 2 gamma, c3, 1).
    first = Fraction(1, 2) - alpha4 - alpha2 * c2
    second = Fraction(1, 3) - alpha4 - alpha2 * c2**2
    c3 = second / first
    alpha3 = first / c3
    # A0 c = c^2 / 2 in the third row; alpha A0 c = 1/6 then follows.
    a32 = (c3**2 / 2 - gamma * c3) / c2
    alpha = (1 - alpha2 - alpha3 - alpha4, alpha2, alpha3, alpha4)
    # The embedded weights: e = 1 and c = 1/2, the last two at their decimals.
    hat3 = alpha3 - Fraction("0.10306492520138458")
    hat4 = alpha4 - Fraction("0.0341695463672966")
    hat2 = (Fraction(1, 2) - hat3 * c3 - hat4) / c2
    hat = (1 - hat2 - hat3 - hat4, hat2, hat3, hat4)
    return Tableau(
        name,
        (Block("drift", "drift", (0, c2, c3, 1)), Block("noise", "diffusion", (0, 1))),
        (
            Coupling(
                "drift",
                "drift",
                "h",
                (
                    (0, 0, 0, 0),
                    (gamma, gamma, 0, 0),
                    (c3 - a32 - gamma, a32, gamma, 0),
                    alpha,
                ),
            ),
            Coupling("drift", "noise", "I_k0/h", ((0, 0), (shift2, 0), (0, 0), (shift4, 0))),
        ),
        (
            Output("drift", "h", alpha),
            Output("noise", "I_k", (0, 1)),
            Output("noise", "I_k0/h", (1, -1)),
        ),
        embedded=(Output("drift", "h", hat), Output("noise", "I_k", (0, 1))),
        noise="additive",
        orders={**_ORDERS, "none": (3, 3)},
        implicit=True,
        citation="Rackauckas and Nie, HPEC (2020), arXiv:1804.04344",
        advice="Very small additive noise: deterministic order 3, an error estimate; else SRAL1.",
    )
