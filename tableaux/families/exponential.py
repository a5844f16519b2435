"""Exponential methods for dX = (L X + N) dt + g dW; z = h L, and f is N."""

from __future__ import annotations

from dataclasses import replace

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import catalogue, method
from tableaux.integrating_factor import lawson
from tableaux.tableau import Tableau


def _one_stage(name: str, output: Output, citation: str, advice: str) -> Tableau:
    return Tableau(
        name,
        (Block("drift", "drift", (0,)), Block("diffusion", "diffusion", (0,))),
        (),
        (Output("drift", "h", ("phi_1(z)",)), output),
        orders={"general": ("1/2", 1), "additive": (1, 1)},
        citation=citation,
        advice=advice,
    )


@method("ExponentialEM")
def exponential_euler_maruyama(name: str) -> Tableau:
    """X+ = phi_0 X + h phi_1 N + g int e^{(h-u)L} dW_u: exact for N = 0 and a constant g."""
    return _one_stage(
        name,
        Output("diffusion", "int phi_0 dW_k", (1,)),
        "Jentzen and Kloeden, Proc. R. Soc. A 465 (2009) 649-667",
        "Stiff linear part, additive noise: each linear mode is exact in law at any step.",
    )


@method("LordTambue")
def lord_tambue(name: str) -> Tableau:
    """X+ = phi_0 (X + g I_k) + h phi_1 N: the noise enters at the beginning of the step."""
    return _one_stage(
        name,
        Output("diffusion", "I_k", ("phi_0(z)",)),
        "Lord and Tambue, IMA J. Numer. Anal. 33 (2013) 515-543",
        "Stiff linear part, any noise and any L, also a dense one or one that depends on time.",
    )


@method("LawsonEM")
def lawson_euler_maruyama(name: str) -> Tableau:
    """X+ = phi_0 (X + h N + g I_k)."""
    return lawson(
        catalogue["EM"], name, advice="The cheapest; for stiff L its steady states are wrong."
    )


@method("ExponentialMilstein")
def exponential_milstein(name: str) -> Tableau:
    """X+ = phi_0 X + h phi_1 N + g int e^{(h-u)L} dW_u + phi_0 (g(X + sqrt(h) g) - g) I_kk/sqrt(h).

    Diagonal noise. Without N and for a constant g it is exact.
    """
    return Tableau(
        name,
        (Block("drift", "drift", (0,)), Block("diffusion", "diffusion", (0, 0), "channel")),
        (Coupling("diffusion", "diffusion", "sqrt(h)", ((0, 0), (1, 0)), "own"),),
        (
            Output("drift", "h", ("phi_1(z)",)),
            Output("diffusion", "int phi_0 dW_k", (1, 0)),
            Output("diffusion", "I_kk/sqrt(h)", ("-phi_0(z)", "phi_0(z)")),
        ),
        noise="diagonal",
        orders={"diagonal": (1, 1)},
        citation="Jentzen and Roeckner, Found. Comput. Math. 15 (2015) 313-362, with a difference "
        "for the derivative and exact noise",
        advice="Strong order 1 for diagonal noise of stiff modes.",
    )


@method("ExponentialMilsteinCommutative")
def exponential_milstein_commutative(name: str) -> Tableau:
    """X+ = phi_0 X + h phi_1 N + phi_0 sum_l (g_l W_l + g_l(X + sum_k g_k I_(kl)) - g_l)."""
    return Tableau(
        name,
        (Block("drift", "drift", (0,)), Block("noise", "diffusion", (0, 0), "channel")),
        (Coupling("noise", "noise", "I_(kl)", ((0, 0), (1, 0))),),
        (
            Output("drift", "h", ("phi_1(z)",)),
            Output("noise", "I_k", ("phi_0(z)", 0)),
            Output("noise", "1", ("-phi_0(z)", "phi_0(z)")),
        ),
        noise="commutative",
        orders={"commutative": (1, 1)},
        citation="Jentzen and Roeckner, Found. Comput. Math. 15 (2015) 313-362, with differences "
        "for the derivatives",
        advice="Strong order 1 for commutative noise, stiff linear part of any kind.",
    )


@method("LawsonMilstein")
def lawson_milstein(name: str) -> Tableau:
    """X+ = phi_0 (X + h N + g I_k + (g(X + sqrt(h) g) - g) I_kk/sqrt(h))."""
    return lawson(
        catalogue["DFMilstein"],
        name,
        advice="Strong order 1 for diagonal noise, stiff linear part.",
    )


@method("LawsonMilsteinCommutative")
def lawson_milstein_commutative(name: str) -> Tableau:
    """The Milstein method for commutative noise, for exp(-tL) X."""
    return lawson(
        catalogue["MilsteinCommutative"],
        name,
        advice="Strong order 1 for commutative noise, stiff linear part.",
    )


@method("LawsonW2F1")
def lawson_w2f1(name: str) -> Tableau:
    """W2F1 for exp(-tL) X."""
    return lawson(catalogue["W2F1"], name, advice="Weak order 2 for any noise, stiff linear part.")


@method("ETDW2F1")
def etd_w2f1(name: str) -> Tableau:
    """Weak order 2 for any noise: W2F1 with ETD2RK for its drift, stiff order 2 without noise.

    With N and g those at X, and xi as in W2F1,

        G_k = phi_0(z/2) X + h phi_1(z/2) N/2 + phi_0(z/2) sum_l xi^_kl g_l
        H   = phi_0 X + h phi_1 N + phi_0 sum_k xi_k g_k
        X+  = phi_0 X + h (phi_1 - phi_2) N + h phi_2 N(H) + phi_0(z/2) sum_k xi_k g_k(G_k).

    The noise enters in the middle of the step: (phi_0(z/2))^2 = phi_0(z) is the mean over the step of
    (e^{(h-u)L})^2 up to second order, so that its variance is right.  Komori, Cohen and Burrage
    start from another method of weak order 2.
    """
    return Tableau(
        name,
        (
            Block("drift", "drift", (0, 1)),
            Block("here", "diffusion", (0,)),
            Block("moved", "diffusion", ("1/2",), "channel"),
        ),
        (
            Coupling("drift", "drift", "h", ((0, 0), ("phi_1(z)", 0))),
            Coupling("drift", "here", "xi_k", ((0,), ("phi_0(z)",))),
            Coupling("moved", "drift", "h", (("phi_1(z/2)/2", 0),)),
            Coupling("moved", "here", "xi^_kl", (("phi_0(z/2)",),)),
        ),
        (
            Output("drift", "h", ("phi_1(z) - phi_2(z)", "phi_2(z)")),
            Output("moved", "xi_k", ("phi_0(z/2)",)),
        ),
        orders={"general": (None, 2)},
        citation="This work; after Komori, Cohen and Burrage, SIAM J. Sci. Comput. 39 (2017) "
        "A2857-A2878",
        advice="Expectations under any noise, stiff linear part.",
    )


@method("LawsonSRA1")
def lawson_sra1(name: str) -> Tableau:
    """SRA1 for exp(-tL) X, but the stage's g at the beginning of the step.

    SRA1 itself has g(t + h) in its stage at t + 3h/4, which its Lawson form would move backwards: by
    phi_0(-z/4), enormous for stiff L. The order is the same with g(t).
    """
    sra1 = catalogue["SRA1"]
    couplings = [
        replace(c, matrix=tuple(row[::-1] for row in c.matrix)) if c.source != c.target else c
        for c in sra1.couplings
    ]
    return lawson(
        replace(sra1, couplings=tuple(couplings)),
        name,
        advice="Strong order 3/2 for additive noise; L of any kind.",
    )


@method("SETDRK2")
def stochastic_etd_runge_kutta(name: str) -> Tableau:
    """Additive noise: ETDRK of order 2 with the exact noise of the linear part, two evaluations.

    ``H = phi_0(c z) X + c h phi_1(c z) N + 3/2 g int phi_1 dW``, c = 3/4,
    ``X+ = phi_0 X + h (phi_1 - phi_2/c) N + h phi_2/c N(H) + g int phi_0 dW``, where the noise of the
    stage is the mean over the step of the modes' noise, so that for L = 0 it is SRA1.  A g that
    depends on time is interpolated as there.
    """
    return Tableau(
        name,
        (Block("drift", "drift", (0, "3/4")), Block("diffusion", "diffusion", (1, 0))),
        (
            Coupling("drift", "drift", "h", ((0, 0), ("3/4*phi_1(3*z/4)", 0))),
            Coupling("drift", "diffusion", "int phi_1 dW_k", ((0, 0), ("3/2", 0))),
        ),
        (
            Output("drift", "h", ("phi_1(z) - 4/3*phi_2(z)", "4/3*phi_2(z)")),
            Output("diffusion", "int phi_0 dW_k", (1, 0)),
            Output("diffusion", "I_k0/h", ("-phi_0(z)", "phi_0(z)")),
        ),
        noise="additive",
        orders={"additive": ("3/2", 2)},
        citation="This work; ETDRK of Cox and Matthews, J. Comput. Phys. 176 (2002) 430-455, and SRA1",
        advice="Additive noise, stiff linear part: exact for N = 0; its first stage is X itself.",
    )


@method("SETDRK2D")
def designed_stochastic_etd_runge_kutta(name: str) -> Tableau:
    """Additive noise at two evaluations, with the smallest principal strong error that they allow.

    With E = int phi_0 dW and F = int phi_1 dW

        H_1 = X + g (F - E/2),  H_2 = phi_0(c z) X + c h phi_1(c z) N(H_1) + g (F + E/3),  c = 5/6,
        X+  = phi_0 X + h (phi_1 - phi_2/c) N(H_1) + h phi_2/c N(H_2) + g E,

    for L = 0 the stages of ShARK.  The error terms of order 2 are those of N''(g, g), whose square is
    1/45 for stage noises that have the same part in F, and more for all others: 1/30 for SETDRK2
    (tests/order/test_exponential_design.py).
    """
    return Tableau(
        name,
        (Block("drift", "drift", (0, "5/6")), Block("diffusion", "diffusion", (1, 0))),
        (
            Coupling("drift", "drift", "h", ((0, 0), ("5/6*phi_1(5*z/6)", 0))),
            Coupling("drift", "diffusion", "int phi_1 dW_k", ((0, 1), (0, 1))),
            Coupling("drift", "diffusion", "int phi_0 dW_k", ((0, "-1/2"), (0, "1/3"))),
        ),
        (
            Output("drift", "h", ("phi_1(z) - 6/5*phi_2(z)", "6/5*phi_2(z)")),
            Output("diffusion", "int phi_0 dW_k", (1, 0)),
            Output("diffusion", "I_k0/h", ("-phi_0(z)", "phi_0(z)")),
        ),
        noise="additive",
        orders={"additive": ("3/2", 2)},
        citation="This work; ShARK of Foster, dos Reis and Strange, SIAM J. Numer. Anal. 62 (2024)",
        advice="Additive noise, stiff linear part, the default there: exact for N = 0.",
    )


def _etd(
    name: str, A: list[list[str | int]], b: list[str | int], c: list[str | int], order: int,
    citation: str, advice: str,
) -> Tableau:  # fmt: skip
    return Tableau.rk(
        name, A, b, c, orders={"none": (order, order)}, citation=citation, advice=advice
    )


#: The output that Cox and Matthews' and Krogstad's methods share.
_FOUR: list[str | int] = [
    "phi_1(z) - 3*phi_2(z) + 4*phi_3(z)",
    "2*phi_2(z) - 4*phi_3(z)",
    "2*phi_2(z) - 4*phi_3(z)",
    "4*phi_3(z) - phi_2(z)",
]


@method("ETD2RK")
def etd2rk(name: str) -> Tableau:
    """Heun's method with phi functions; stiff order 2."""
    return _etd(
        name,
        [[0, 0], ["phi_1(z)", 0]],
        ["phi_1(z) - phi_2(z)", "phi_2(z)"],
        [0, 1],
        2,
        "Cox and Matthews, J. Comput. Phys. 176 (2002) 430-455",
        "Without noise, stiff linear part, low accuracy.",
    )


@method("RES2")
def res2(name: str) -> Tableau:
    """The midpoint rule with phi functions; stiff order 2."""
    return _etd(
        name,
        [[0, 0], ["phi_1(z/2)/2", 0]],
        ["phi_1(z) - 2*phi_2(z)", "2*phi_2(z)"],
        [0, "1/2"],
        2,
        "Hochbruck and Ostermann, SIAM J. Numer. Anal. 43 (2005) 1069-1090, c_2 = 1/2; as sampler "
        "Zhang et al., arXiv 2308.02157",
        "Without noise, stiff linear part, low accuracy; the stage stays inside the step.",
    )


@method("RES3")
def res3(name: str) -> Tableau:
    """Three stages, stiff order 3: c_2 = 1/2, c_3 = 1, gamma = 4.

    With ``2 (gamma c_2 + c_3) = 3 (gamma c_2^2 + c_3^2)`` the error of both stages cancels.
    """
    return _etd(
        name,
        [
            [0, 0, 0],
            ["phi_1(z/2)/2", 0, 0],
            ["phi_1(z) - 2*phi_2(z/2) - 2*phi_2(z)", "2*phi_2(z/2) + 2*phi_2(z)", 0],
        ],
        ["phi_1(z) - 5/3*phi_2(z)", "4/3*phi_2(z)", "1/3*phi_2(z)"],
        [0, "1/2", 1],
        3,
        "Hochbruck and Ostermann, SIAM J. Numer. Anal. 43 (2005) 1069-1090, (5.8); as sampler "
        "Zhang et al., arXiv 2308.02157",
        "Without noise, stiff linear part, three evaluations.",
    )


@method("ETDRK4")
def cox_matthews(name: str) -> Tableau:
    """Kutta's method with phi functions; order 4, stiff order 2."""
    return _etd(
        name,
        [
            [0, 0, 0, 0],
            ["phi_1(z/2)/2", 0, 0, 0],
            [0, "phi_1(z/2)/2", 0, 0],
            ["phi_1(z) - phi_1(z/2)", 0, "phi_1(z/2)", 0],
        ],
        _FOUR,
        [0, "1/2", "1/2", 1],
        4,
        "Cox and Matthews, J. Comput. Phys. 176 (2002) 430-455",
        "Without noise, stiff linear part, smooth periodic problems.",
    )


@method("Krogstad")
def krogstad(name: str) -> Tableau:
    """Order 4, stiff order 3."""
    return _etd(
        name,
        [
            [0, 0, 0, 0],
            ["phi_1(z/2)/2", 0, 0, 0],
            ["phi_1(z/2)/2 - phi_2(z/2)", "phi_2(z/2)", 0, 0],
            ["phi_1(z) - 2*phi_2(z)", 0, "2*phi_2(z)", 0],
        ],
        _FOUR,
        [0, "1/2", "1/2", 1],
        4,
        "Krogstad, J. Comput. Phys. 203 (2005) 72-88",
        "Without noise, stiff linear part, four evaluations.",
    )


@method("HochbruckOstermann")
def hochbruck_ostermann(name: str) -> Tableau:
    """Order 4, stiff and not: five stages, a_5j such that the stages' errors of stiff terms cancel."""
    a52 = "phi_2(z/2)/2 - phi_3(z) + phi_2(z)/4 - phi_3(z/2)/2"
    a54 = f"phi_2(z/2)/4 - ({a52})"
    return _etd(
        name,
        [
            [0, 0, 0, 0, 0],
            ["phi_1(z/2)/2", 0, 0, 0, 0],
            ["phi_1(z/2)/2 - phi_2(z/2)", "phi_2(z/2)", 0, 0, 0],
            ["phi_1(z) - 2*phi_2(z)", "phi_2(z)", "phi_2(z)", 0, 0],
            [f"phi_1(z/2)/2 - 2*({a52}) - ({a54})", a52, a52, a54, 0],
        ],
        [
            "phi_1(z) - 3*phi_2(z) + 4*phi_3(z)",
            0,
            0,
            "4*phi_3(z) - phi_2(z)",
            "4*phi_2(z) - 8*phi_3(z)",
        ],
        [0, "1/2", "1/2", 1, "1/2"],
        4,
        "Hochbruck and Ostermann, SIAM J. Numer. Anal. 43 (2005) 1069-1090",
        "Without noise, stiff linear part: its order does not drop.",
    )
