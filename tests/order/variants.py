"""Methods and variables that only these tests need: defective variants beside their repairs."""

from __future__ import annotations

from dataclasses import replace

from tableaux import Block, Coupling, Output, Tableau, Variable, register

_EQUAL = "(theta_k**2 - h)/(2*sqrt(h))"

# The customary pair variable, with one two-point variable for each channel that all its pairs
# share.
SHARED = register(
    Variable(
        "test: I^_kl shared",
        2,
        equal=_EQUAL,
        less="(theta_k*theta_l - h*sign_k)/(2*sqrt(h))",
        greater="(theta_k*theta_l + h*sign_l)/(2*sqrt(h))",
    )
)
# A product of signs, one for each channel: pairwise independent over pairs.
SIGNED = register(
    Variable(
        "test: I^_kl signed",
        2,
        equal=_EQUAL,
        less="(theta_k*theta_l - h*sign_k*sign_l)/(2*sqrt(h))",
        greater="(theta_k*theta_l + h*sign_k*sign_l)/(2*sqrt(h))",
    )
)
# A single sign for all pairs, as a factor.
FACTOR = register(
    Variable(
        "test: I^_kl factor",
        2,
        equal=_EQUAL,
        less="theta_k*theta_l*(1 - eta)/(2*sqrt(h))",
        greater="theta_k*theta_l*(1 + eta)/(2*sqrt(h))",
    )
)
SYMMETRIC = register(
    Variable(
        "test: A^_kl symmetric",
        2,
        equal="0",
        less="eta*theta_k*theta_l/sqrt(h)",
        greater="eta*theta_k*theta_l/sqrt(h)",
    )
)
TRANSPOSED = register(
    Variable(
        "test: I_lk/sqrt(h)",
        2,
        equal="(W_k**2 - h)/(2*sqrt(h))",
        less="(W_k*W_l/2 - A_kl)/sqrt(h)",
        greater="(W_k*W_l/2 - A_kl)/sqrt(h)",
    )
)


def with_pairs(tableau: Tableau, label: str) -> Tableau:
    """The same tableau with another variable for pairs of channels."""
    return replace(
        tableau,
        name=f"{tableau.name} with {label}",
        couplings=tuple(
            replace(c, label=label) if c.selector == "other" and "_kl" in c.label else c
            for c in tableau.couplings
        ),
    )


def milstein_for_pairs(label: str = "I_kl/sqrt(h)", symmetric: bool = True) -> Tableau:
    """Derivative-free Milstein for general noise: g_k at X +- sum_l g_l I_lk / sqrt(h)."""
    shifts, weights = (((1,), (-1,)), ("1/2", "-1/2")) if symmetric else (((1,), (0,)), (1, -1))
    return Tableau(
        f"Milstein with {label}",
        (
            Block("drift", "drift", (0,)),
            Block("here", "diffusion", (0,)),
            Block("moved", "diffusion", (0, 0), "channel"),
        ),
        (Coupling("moved", "here", label, shifts),),
        (
            Output("drift", "h", (1,)),
            Output("here", "I_k", (1,)),
            Output("moved", "sqrt(h)", weights),
        ),
    )


IMPLICIT_MIDPOINT = Tableau.shared(
    "implicit midpoint", A=[["1/2"]], b=[1], calculus="stratonovich", implicit=True
)

RK4 = Tableau.rk(
    "RK4",
    A=[[0, 0, 0, 0], ["1/2", 0, 0, 0], [0, "1/2", 0, 0], [0, 0, 1, 0]],
    b=["1/6", "1/3", "1/3", "1/6"],
)

DORMAND_PRINCE = Tableau.rk(
    "DormandPrince",
    A=[
        [0, 0, 0, 0, 0, 0, 0],
        ["1/5", 0, 0, 0, 0, 0, 0],
        ["3/40", "9/40", 0, 0, 0, 0, 0],
        ["44/45", "-56/15", "32/9", 0, 0, 0, 0],
        ["19372/6561", "-25360/2187", "64448/6561", "-212/729", 0, 0, 0],
        ["9017/3168", "-355/33", "46732/5247", "49/176", "-5103/18656", 0, 0],
        ["35/384", 0, "500/1113", "125/192", "-2187/6784", "11/84", 0],
    ],
    b=["35/384", 0, "500/1113", "125/192", "-2187/6784", "11/84", 0],
    b_hat=["5179/57600", 0, "7571/16695", "393/640", "-92097/339200", "187/2100", "1/40"],
)

GAUSS = Tableau.rk(
    "Gauss2",
    A=[["1/4", "1/4 - sqrt(3)/6"], ["1/4 + sqrt(3)/6", "1/4"]],
    b=["1/2", "1/2"],
    implicit=True,
)
