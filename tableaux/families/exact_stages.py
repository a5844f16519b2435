"""Exponential methods for additive noise whose stages have the exact noise of the path up to there.

``int phi_0 dW_k@c`` is ``int_t^(t+ch) e^{(t+ch-u)L} dW_k(u)``.  What a later part of the step adds is a
difference of two such: over [a h, b h] it is that of b less ``phi_0((b-a) z)`` times that of a.
"""

from __future__ import annotations

from collections.abc import Sequence

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Orders, Tableau

_SEEDS = "Gonzalez, Fernandez, Tran, Gherbi, Hajri and Masmoudi, arXiv:2305.14267"
_SECOND: Orders = {"additive": (1, 1), "constant": (1, 2)}


def exact_stages(
    name: str,
    nodes: Sequence[str | int],
    A: Sequence[Sequence[str | int]],
    b: Sequence[str | int],
    orders: Orders,
    citation: str,
    advice: str,
) -> Tableau:
    """An exponential Runge-Kutta method, each of whose sums has the exact noise up to its node."""
    zeros = (0,) * len(nodes)
    noise = [
        Coupling("drift", "noise", f"int phi_0 dW_k@{c}", tuple((int(c == d),) for d in nodes))
        for c in nodes
        if c
    ]
    return Tableau(
        name,
        (Block("drift", "drift", tuple(nodes)), Block("noise", "diffusion", (0,))),
        (Coupling("drift", "drift", "h", tuple((*row, *zeros[len(row) :]) for row in A)), *noise),
        (Output("drift", "h", tuple(b)), Output("noise", "int phi_0 dW_k", (1,))),
        noise="additive",
        orders=orders,
        citation=citation,
        advice=advice,
    )


@method("UBU")
def ubu(name: str) -> Tableau:
    """X+ = phi_0 X + h phi_0(z/2) N(H) + g int phi_0 dW, H = phi_0(z/2) X + its noise up to h/2.

    Half a step of the linear equation, exactly; the whole kick; half a step again.  Of underdamped
    Langevin dynamics L is ``dx = v dt, dv = -gamma v dt`` and N the force, which does not see the
    velocity.  Only for such an N does the strong order 2 of the literature hold: else it is 1.
    """
    return exact_stages(
        name,
        ["1/2"],
        [[]],
        ["phi_0(z/2)"],
        {"additive": (1, 1), "kinetic": (2, 2)},
        "Zapatero, PhD thesis, Madrid (2017); Sanz-Serna and Zygalakis, J. Mach. Learn. Res. 22 (2021)",
        "Underdamped Langevin dynamics at one evaluation a step; of order 1 for other equations.",
    )


@method("SEEDS2Noise")
def seeds_2(name: str) -> Tableau:
    """X+ = phi_0 X + h phi_1 N(H) + g int phi_0 dW; H is `ExponentialEM` at h/2.

    SEEDS-2 for a network eps that predicts the noise is this method for ``y = x/sigma`` and
    lambda as time, ``dy = (y - 2 eps) d lambda + sqrt(2) dW``.
    """
    return exact_stages(
        name,
        [0, "1/2"],
        [[], ["phi_1(z/2)/2"]],
        [0, "phi_1(z)"],
        _SECOND,
        _SEEDS,
        "Two evaluations a step, for constant noise; with a step of L in its stage.",
    )


@method("SEEDS3Noise")
def seeds_3(name: str) -> Tableau:
    """Stages at thirds of the step, X+ = phi_0 X + h (phi_1 - 3/2 phi_2) N + 3/2 h phi_2 N(H_2) + noise.

    SEEDS-3 for noise prediction, as `SEEDS2Noise`. Without noise it is DPM-Solver-3, of order 3; with
    noise its weak order is 2.
    """
    return exact_stages(
        name,
        [0, "1/3", "2/3"],
        [[], ["phi_1(z/3)/3"], ["2/3*phi_1(2*z/3) - 4/3*phi_2(2*z/3)", "4/3*phi_2(2*z/3)"]],
        ["phi_1(z) - 3/2*phi_2(z)", 0, "3/2*phi_2(z)"],
        {**_SECOND, "none": (3, 3)},
        _SEEDS,
        "Three evaluations a step, order 3 without noise.",
    )
