"""Drift-implicit methods for expectations of stiff problems: discrete variables, general noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Orders, Tableau

_ORDERS: Orders = {"general": (None, 2)}
_OURS = "this library, docs/theory.md"

# RI6's difference of noise values, by source and label; the stages are the centre and +-.
_RI6_NOISE = (
    ("own", "theta_k", ("1/2", "1/4", "1/4")),
    ("own", "theta_kk/sqrt(h)", (0, "1/2", "-1/2")),
    ("mixed", "theta_k", ("-1/2", "1/4", "1/4")),
    ("mixed", "sqrt(h)", (0, "1/2", "-1/2")),
)


@method("PlatenImplicit")
def platen_implicit(name: str) -> Tableau:
    """The trapezoid for the drift and Platen's noise, for diagonal and scalar noise.

    ``X+ = X + (f(X) + f(X+)) h / 2 + (g(Y+) + g(Y-) + 2 g(X)) theta / 4
    + (g(Y+) - g(Y-)) (theta^2 - h) / (4 sqrt(h))``, ``Y+- = X + f(X) h +- g(X) sqrt(h)``.
    The stages Y+- take a whole explicit step of the drift, so that the noise grows with it: at
    k^2 = 1 the mean square grows below z = -11.5, where the equation damps it.
    """
    own = ((0, 0, 0), (1, 0, 0), (-1, 0, 0))
    noise: tuple[tuple[str, tuple[Any, ...]], ...] = (
        ("theta_k", ("1/2", "1/4", "1/4")),
        ("theta_kk/sqrt(h)", (0, "1/2", "-1/2")),
    )
    return Tableau(
        name,
        (Block("drift", "drift", (0, 1)), Block("own", "diffusion", (0, 1, 1), "channel")),
        (
            Coupling("drift", "drift", "h", ((0, 0), ("1/2", "1/2"))),
            Coupling("own", "drift", "h", ((0, 0), (1, 0), (1, 0))),
            Coupling("own", "own", "sqrt(h)", own, "own"),
            *(Coupling("drift", "own", label, ((0, 0, 0), row)) for label, row in noise),
        ),
        (
            Output("drift", "h", ("1/2", "1/2")),
            *(Output("own", label, row) for label, row in noise),
        ),
        noise="diagonal",
        orders={"diagonal": (None, 2)},
        implicit=True,
        citation="Kloeden and Platen, Numerical Solution of SDEs (1992), section 15.4",
        advice="The classic; RIA1 is stable at any step and takes any noise for one solve more.",
    )


@method("RIA1")
def ria1(name: str) -> Tableau:
    """The trapezoid for the drift, and RI6's noise N at an implicit centre Y.

    ``Y = X + f(Y) h / 2``, ``X+ = X + (f(X) + f(X+)) h / 2 + N(Y)``.  N inherits the damping of Y
    and, inside X+, that of the outer solve, so that the method is mean-square stable wherever the
    linear test equation is: E R^2 = ((1 + z/2)^2 + (k^2 + k^4/2) / (1 - z/2)^2) / (1 - z/2)^2.
    """
    return _damped(
        name,
        drift=((0, 0, 0), (0, "1/2", 0), ("1/2", 0, "1/2")),
        nodes=(0, "1/2", 1),
        centre=(0, "1/2", 0),
        noisy=(0, 0, 1),
        weights=("1/2", 0, "1/2"),
        advice="Expectations with a stiff drift under any Ito noise: two solves a step.",
    )


@method("RIL1")
def ril1(name: str) -> Tableau:
    """As RIA1 with three implicit stages and an L-stable drift: fast modes are damped, too.

    ``Y = X + f(Y) h / 2``, ``V = X + (f(V) - f(Y)) h / 4 + N(Y)``,
    ``X+ = X + (2 f(Y) + f(V) + f(X+)) h / 4 + N(Y)``.
    """
    return _damped(
        name,
        drift=(("1/2", 0, 0), ("-1/4", "1/4", 0), ("1/2", "1/4", "1/4")),
        nodes=("1/2", 0, 1),
        centre=("1/2", 0, 0),
        noisy=(0, 1, 1),
        weights=("1/2", "1/4", "1/4"),
        advice="As RIA1 where fast modes must vanish within a step: three solves.",
    )


def _damped(
    name: str,
    *,
    drift: Sequence[Sequence[Any]],
    nodes: Sequence[Any],
    centre: Sequence[Any],
    noisy: Sequence[int],
    weights: Sequence[Any],
    advice: str,
) -> Tableau:
    """RI6's noise around the stage with drift row `centre`, added to the output and to drift stages.

    Weak order 2 needs weights @ noisy = 1/2 besides the deterministic conditions, and a centre at
    h / 2.
    """
    around = ((0, 0, 0), (1, 0, 0), (-1, 0, 0))
    return Tableau(
        name,
        (
            Block("drift", "drift", tuple(nodes)),
            Block("own", "diffusion", ("1/2",) * 3, "channel"),
            Block("mixed", "diffusion", ("1/2",) * 3, "channel"),
        ),
        (
            Coupling("drift", "drift", "h", tuple(tuple(row) for row in drift)),
            *(Coupling(block, "drift", "h", (tuple(centre),) * 3) for block in ("own", "mixed")),
            Coupling("own", "own", "sqrt(h)", around, "own"),
            Coupling("mixed", "own", "I^_kl/sqrt(h)", around, "other"),
            *(
                Coupling("drift", source, label, tuple(row if on else (0, 0, 0) for on in noisy))
                for source, label, row in _RI6_NOISE
            ),
        ),
        (
            Output("drift", "h", tuple(weights)),
            *(Output(source, label, row) for source, label, row in _RI6_NOISE),
        ),
        orders=_ORDERS,
        implicit=True,
        citation=_OURS,
        advice=advice,
    )


@method("StratonovichMidpointWeak")
def stratonovich_midpoint_weak(name: str) -> Tableau:
    """Y = X + (f(Y) h + g(Y) theta) / 2, X+ = 2 Y - X with the three-point theta.

    Unlike StratonovichMidpoint it can be solved for any g once h is small, as |theta| <= sqrt(3 h):
    a growing noise g(x) = mu x needs 3 mu^2 h < 4.
    """
    return Tableau.shared(
        name,
        A=[["1/2"]],
        b=[1],
        noise_label="theta_k",
        calculus="stratonovich",
        orders={"general": (None, 1), "none": (2, 2)},
        implicit=True,
        citation="Milstein, Repin and Tretyakov, SIAM J. Numer. Anal. 39(6) (2002) 2066-2088",
        advice="Expectations of conservative problems; quadratic invariants are kept.",
    )
