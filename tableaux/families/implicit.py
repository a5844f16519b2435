"""Drift-implicit methods of low order for stiff problems, and the fully implicit midpoint rule."""

from __future__ import annotations

import sympy

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Order, Orders, Tableau

_HALF, _ONE = sympy.Rational(1, 2), sympy.Integer(1)
_EULER_ORDERS: Orders = {"general": ("1/2", 1), "additive": (1, 1)}
_HIGHAM = "Higham, SIAM J. Numer. Anal. 38(3) (2000) 753-769"


@method("StochasticTheta")
def stochastic_theta(name: str, theta: sympy.Rational = _HALF) -> Tableau:
    """X+ = X + ((1 - theta) f(X) + theta f(X+)) h + g(X) W.

    Stable in mean square for every step on every stable linear test equation if and only if
    theta >= 1/2.  Weak order 2 for theta = 1/2 and constant g only: with g of the start of the step
    a g that depends on time costs an order.
    """
    orders: dict[str, tuple[Order, Order]] = dict(_EULER_ORDERS)
    if theta == _HALF:
        orders |= {"constant": (None, 2), "none": (2, 2)}
    return Tableau(
        name,
        (Block("drift", "drift", (0, 1)), Block("noise", "diffusion", (0,))),
        (
            Coupling("drift", "drift", "h", ((0, 0), (1 - theta, theta))),
            Coupling("drift", "noise", "I_k", ((0,), (1,))),
        ),
        (Output("drift", "h", (1 - theta, theta)), Output("noise", "I_k", (1,))),
        orders=orders,
        implicit=theta != 0,
        citation=_HIGHAM,
        advice="Stiff drift with any Ito noise; theta >= 1/2 is stable at every step size.",
    )


@method("ImplicitEM")
def implicit_euler_maruyama(name: str) -> Tableau:
    """X+ = X + f(X+) h + g(X) W: the theta method with theta = 1.

    Its deterministic part is L-stable: R(z) = 1 / (1 - z).
    """
    return Tableau(
        name,
        (Block("drift", "drift", (1,)), Block("noise", "diffusion", (0,))),
        (
            Coupling("drift", "drift", "h", ((1,),)),
            Coupling("drift", "noise", "I_k", ((1,),)),
        ),
        (Output("drift", "h", (1,)), Output("noise", "I_k", (1,))),
        orders=_EULER_ORDERS,
        implicit=True,
        citation="Kloeden and Platen, Numerical Solution of SDEs (1992), section 12.2",
        advice="The most robust step for a stiff drift; it damps fast modes, noise included.",
    )


@method("ImplicitTrapezoid")
def implicit_trapezoid(name: str) -> Tableau:
    """X+ = X + (f(X) + f(X+)) h / 2 + g(X) W: the theta method with theta = 1/2.

    Mean-square stable exactly where the linear test equation is, and exact for the stationary
    variance of a linear equation with additive noise at any step.
    """
    return stochastic_theta(name, _HALF)


@method("ImplicitMidpoint")
def implicit_midpoint(name: str) -> Tableau:
    """Y = X + f(Y) h / 2 + g(X) W / 2, X+ = X + f(Y) h + g(X) W: implicit in the drift only, Ito.

    On linear drifts it coincides with the trapezoid.  On others it lacks the trapezoid's weak order
    2 for constant g: E[W^2 / 4] = h / 4 stands where [1, 1]_0 needs h / 2.
    """
    return Tableau(
        name,
        (Block("drift", "drift", ("1/2",)), Block("noise", "diffusion", (0,))),
        (
            Coupling("drift", "drift", "h", (("1/2",),)),
            Coupling("drift", "noise", "I_k", (("1/2",),)),
        ),
        (Output("drift", "h", (1,)), Output("noise", "I_k", (1,))),
        orders={**_EULER_ORDERS, "none": (2, 2)},
        implicit=True,
        citation="Milstein, Repin and Tretyakov, SIAM J. Numer. Anal. 40(4) (2002) 1583-1604",
        advice="Drifts with quadratic invariants; otherwise ImplicitTrapezoid is more accurate.",
    )


@method("SplitStepBackwardEuler")
def split_step_backward_euler(name: str) -> Tableau:
    """Y = X + f(Y) h, X+ = Y + g(Y) W.

    Mean-square stable at every step where the linear test equation is, and the noise is damped with
    the drift: E R^2 = (1 + k^2) / (1 - z)^2.
    """
    return Tableau(
        name,
        (Block("drift", "drift", (1,)), Block("noise", "diffusion", (1,))),
        (
            Coupling("drift", "drift", "h", ((1,),)),
            Coupling("noise", "drift", "h", ((1,),)),
        ),
        (Output("drift", "h", (1,)), Output("noise", "I_k", (1,))),
        orders=_EULER_ORDERS,
        implicit=True,
        citation="Higham, Mao and Stuart, SIAM J. Numer. Anal. 40(3) (2002) 1041-1063",
        advice="Drifts with one-sided Lipschitz bounds, such as -x^3: moments stay bounded.",
    )


@method("ImplicitMilstein")
def implicit_milstein(name: str, theta: sympy.Rational = _ONE) -> Tableau:
    """The theta method with g(X) W + (g(X + g sqrt(h)) - g(X)) I_kk / sqrt(h), diagonal noise.

    The difference is taken without the drift in its stage, which is not needed for the order and
    would be large where f is stiff.  Mean-square stable wherever the linear test equation is if and
    only if theta >= 3/2; theta = 1 needs mu^2 <= -sqrt(2) lambda to be so at every step.
    """
    orders: dict[str, tuple[Order, Order]] = {"diagonal": (1, 1)}
    if theta == _HALF:
        orders |= {"constant": (None, 2), "none": (2, 2)}
    return Tableau(
        name,
        (
            Block("drift", "drift", (0, 1)),
            Block("diffusion", "diffusion", (0, 0), "channel"),
        ),
        (
            Coupling("diffusion", "diffusion", "sqrt(h)", ((0, 0), (1, 0)), "own"),
            Coupling("drift", "drift", "h", ((0, 0), (1 - theta, theta))),
            Coupling("drift", "diffusion", "I_k", ((0, 0), (1, 0))),
            Coupling("drift", "diffusion", "I_kk/sqrt(h)", ((0, 0), (-1, 1))),
        ),
        (
            Output("drift", "h", (1 - theta, theta)),
            Output("diffusion", "I_k", (1, 0)),
            Output("diffusion", "I_kk/sqrt(h)", (-1, 1)),
        ),
        noise="diagonal",
        orders=orders,
        implicit=theta != 0,
        citation=f"Kloeden and Platen (1992), section 12.3; stability: {_HIGHAM}",
        advice="Paths with a stiff drift and diagonal noise; theta = 3/2 for strong noise too.",
    )


@method("ImplicitEulerHeun")
def implicit_euler_heun(name: str, theta: sympy.Rational = _ONE) -> Tableau:
    """X+ = X + ((1 - theta) f(X) + theta f(X+)) h + (g(X) + g(X + g(X) W)) W / 2, Stratonovich."""
    orders: dict[str, tuple[Order, Order]] = {"general": ("1/2", 1), "commutative": (1, 1)}
    if theta == _HALF:
        orders |= {"additive": (1, 2)}
    return Tableau(
        name,
        (Block("drift", "drift", (0, 1)), Block("diffusion", "diffusion", (0, 1))),
        (
            Coupling("diffusion", "diffusion", "I_k", ((0, 0), (1, 0))),
            Coupling("drift", "drift", "h", ((0, 0), (1 - theta, theta))),
            Coupling("drift", "diffusion", "I_k", ((0, 0), ("1/2", "1/2"))),
        ),
        (
            Output("drift", "h", (1 - theta, theta)),
            Output("diffusion", "I_k", ("1/2", "1/2")),
        ),
        calculus="stratonovich",
        orders=orders,
        implicit=theta != 0,
        citation="Rackauckas and Nie, Discrete Contin. Dyn. Syst. B 22(7) (2017) 2731-2761",
        advice="A stiff drift with Stratonovich noise.",
    )


@method("StratonovichMidpoint")
def stratonovich_midpoint(name: str) -> Tableau:
    """Y = X + (f(Y) h + g(Y) W) / 2, X+ = 2 Y - X: implicit in drift and diffusion.

    It keeps quadratic invariants exactly.  W has no bound, so that the stage equation need not have
    a solution: for g(x) = mu x it has none at mu W = 2, and no step has a finite mean square.  It is
    sound where the equation is solvable for any W: noise that rotates, Hamiltonian noise.
    """
    return Tableau.shared(
        name,
        A=[["1/2"]],
        b=[1],
        calculus="stratonovich",
        orders={"general": ("1/2", 1), "commutative": (1, 1), "none": (2, 2)},
        implicit=True,
        citation="Milstein, Repin and Tretyakov, SIAM J. Numer. Anal. 39(6) (2002) 2066-2088",
        advice="Conservative problems: quadratic invariants are kept; refused for growing noise.",
    )
