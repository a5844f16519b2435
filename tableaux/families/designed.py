"""Methods that this library designed from its own conditions; tests/order derives them."""

from __future__ import annotations

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Tableau

_OURS = "this library, docs/theory.md"


@method("SRID1")
def srid1(name: str) -> Tableau:
    """Strong order 3/2 and, unlike SRIW1 and SRIW2, weak order 2; noise shifts of opposite signs.

    The norm of its principal strong error for scalar noise is 1.048, against 1.402 of SRIW1 and 1.282
    of SRIW2 (the same evaluations).
    """
    return Tableau.sri(
        name,
        A0=[[0, 0, 0, 0], ["3/4", 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
        A1=[[0, 0, 0, 0], ["9/16", 0, 0, 0], ["9/16", 0, 0, 0], ["-9/4", 0, 0, 0]],
        B0=[[0, 0, 0, 0], ["3/2", 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
        B1=[[0, 0, 0, 0], ["3/4", 0, 0, 0], ["-3/4", 0, 0, 0], [0, "3/4", "-3/4", 0]],
        alpha=["1/3", "2/3", 0, 0],
        beta1=["-7/9", "8/9", "8/9", 0],
        beta2=[0, "2/3", "-2/3", 0],
        beta3=["16/9", "-8/9", "-8/9", 0],
        beta4=["-40/9", "16/9", "16/9", "8/9"],
        orders={"diagonal": ("3/2", 2)},
        citation=_OURS,
        advice="Diagonal noise, for paths and expectations alike, at the cost of SRIW1.",
    )


@method("RID1")
def rid1(name: str) -> Tableau:
    """RI6 with the noise stages at 5/6 in place of 1.

    The norm of its principal weak error for scalar noise is 1.309, against 1.331 of RI6.
    """
    zero = [0, 0, 0]
    return Tableau.ri(
        name,
        A0=[zero, [1, 0, 0], zero],
        A1=[zero, ["25/36", 0, 0], ["25/36", 0, 0]],
        A2=[zero] * 3,
        B0=[zero, [1, 0, 0], zero],
        B1=[zero, ["5/6", 0, 0], ["-5/6", 0, 0]],
        B2=[zero, [1, 0, 0], [-1, 0, 0]],
        alpha=["1/2", "1/2", 0],
        beta1=["7/25", "9/25", "9/25"],
        beta2=[0, "3/5", "-3/5"],
        beta3=["-1/2", "1/4", "1/4"],
        beta4=[0, "1/2", "-1/2"],
        orders={"general": (None, 2)},
        citation=_OURS,
        advice="As RI6, with a slightly smaller error constant.",
    )


@method("W2F1")
def w2f1(name: str) -> Tableau:
    """Weak order 2 for any Ito noise at the fewest evaluations: two of f, two of each column of g.

    With a four-point increment xi_k, which is never 0, and one sign eta for all channels,

        G_k = X + h f/2 + (xi_k^2 - h)/(2 xi_k) g_k + sum over l != k of xi_l (1 -+ eta)/2 g_l
        X+  = X + h (f + f(X + h f + sum xi_k g_k))/2 + sum xi_k g_k(G_k),

    where f and g are those at X and the upper sign is for l < k: with probability 1/2 each channel
    sees all earlier ones or all later ones.  Stages divide the iterated integral by xi_k, so that
    its products with g_k need no further evaluation.  With this form the law of xi is the only one
    of four points: E xi^2 = 1, E xi^4 = 3 and E xi^-2 = 3.

    The norm of its principal weak error is 1.281 for scalar noise and 2.62 for two general channels,
    against 1.331 and 2.93 of RI6.

    Fewer evaluations are impossible: g_k' g_k takes two of every column, f' f two of f.  The columns
    cannot share their points: with J common points besides X the sum of J symmetrised products of
    vectors equals theta theta^T - h I, which has m - 1 negative eigenvalues, so that J >= m - 1
    (tests/order/test_fewest.py).
    """
    return Tableau(
        name,
        (
            Block("drift", "drift", (0, 1)),
            Block("here", "diffusion", (0,)),
            Block("moved", "diffusion", ("1/2",), "channel"),
        ),
        (
            Coupling("drift", "drift", "h", ((0, 0), (1, 0))),
            Coupling("drift", "here", "xi_k", ((0,), (1,))),
            Coupling("moved", "drift", "h", (("1/2", 0),)),
            Coupling("moved", "here", "xi^_kl", ((1,),)),
        ),
        (Output("drift", "h", ("1/2", "1/2")), Output("moved", "xi_k", (1,))),
        orders={"general": (None, 2)},
        citation=_OURS,
        advice="Expectations under any Ito noise at 2 f and 2 g, where RI6 takes 2 f and 5 g.",
    )


@method("S2F1")
def s2f1(name: str) -> Tableau:
    """Weak order 2 for any Stratonovich noise at the fewest evaluations: two of f, four of each g_k.

    Each channel takes a fourth-order Runge-Kutta step with the nodes 0, 2/3, 1/6, 1 and the weights
    0, 1/2, 2/5, 1/10 (rational, and the first one vanishes), from a point that a random half of the
    orders has moved by all earlier channels, the other half by all later ones.  The tree
    [[[1]_1]_1]_1 takes four evaluations of a column and [0]_0 two of f.
    """
    none = (0, 0, 0)
    one_order = "theta_k*(1+-eta)/2"
    return Tableau(
        name,
        (
            Block("drift", "drift", (0, 1)),
            Block("here", "diffusion", (0,)),
            Block("moved", "diffusion", ("1/2", "1/2", "1/2"), "channel"),
        ),
        (
            Coupling("drift", "drift", "h", ((0, 0), (1, 0))),
            Coupling("drift", "here", "theta_k", ((0,), ("1/2",))),
            Coupling("drift", "moved", "theta_k", (none, (0, 0, "1/2"))),
            Coupling("moved", "drift", "h", (("1/2", 0), ("1/2", 0), ("1/2", 0))),
            Coupling("moved", "here", "theta_k", (("2/3",), ("-1/48",), ("-13/4",)), "own"),
            Coupling(
                "moved",
                "moved",
                "theta_k",
                (none, ("3/16", 0, 0), ("11/12", "10/3", 0)),
                "own",
            ),
            Coupling("moved", "here", one_order, ((1,), ("-1/8",), (-2,)), "other"),
            Coupling("moved", "moved", one_order, (none, ("9/8", 0, 0), (3, 0, 0)), "other"),
        ),
        (
            Output("drift", "h", ("1/2", "1/2")),
            Output("moved", "theta_k", ("1/2", "2/5", "1/10")),
        ),
        calculus="stratonovich",
        orders={"general": (None, 2)},
        citation=_OURS,
        advice="Expectations under any Stratonovich noise at 2 f and 4 g, where RS2 takes 3 f.",
    )
