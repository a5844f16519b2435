"""Samplers of diffusion models that are neither Adams methods nor exponential ones.

For the clocks see `tableaux.families.multistep_samplers`.
"""

from __future__ import annotations

import sympy

from tableaux.blocks import Block, Coupling, Output
from tableaux.errors import TableauError
from tableaux.families.entries import method
from tableaux.families.log_time import polynomial_weights
from tableaux.families.multistep_samplers import multistep
from tableaux.relative import log_step_ratio
from tableaux.tableau import RELATIVE_STEP, STEP_RATIOS, Tableau

_NOISE = Block("noise", "diffusion", (0,))


@method("HeunEDM")
def heun_edm(name: str) -> Tableau:
    """X+ = X + h ((1 - w) f + (1 + w) f(X + h f))/2: Heun's method for x in the clock sigma."""
    w = RELATIVE_STEP
    return Tableau(
        name,
        (Block("drift", "drift", (0, 1)),),
        (Coupling("drift", "drift", "h", ((0, 0), (1, 0))),),
        (Output("drift", "h", ((1 - w) / 2, (1 + w) / 2)),),
        noise="none",
        orders={"none": (2, 2)},
        citation="Karras, Aittala, Aila and Laine, arXiv:2206.00364",
        advice="The probability flow with two evaluations a step.",
    )


@method("AcceleratedDDPM")
def accelerated_ddpm(name: str) -> Tableau:
    """X+ = X + n1 + h f(X + n1) + n2 with Var n1 = h/(2 (1 + w)) and Var n2 = h (1 + w)/2.

    The stochastic accelerated sampler as printed, ``y = x + sqrt((1-a)/2) z1``,
    ``x+ = (y + (1-a) s(y) + sqrt((1-a)/2) z2)/sqrt(a)``, is exactly this for variance-preserving data.
    f is evaluated at a moved state but at the old time, so that its mean is wrong by f''/4 h: weak
    order 1.  On Gaussian data, where f'' = 0, it shows 2.  The printed second order is in another sense,
    KL in the limit of smooth laws.
    """
    root = sympy.sqrt(1 + RELATIVE_STEP)
    return Tableau(
        name,
        (Block("drift", "drift", (0,)), _NOISE),
        (
            Coupling("drift", "noise", "I_k", ((1 / (2 * root),),)),
            Coupling("drift", "noise", "H_k", ((sympy.sqrt(3) / root,),)),
        ),
        (
            Output("drift", "h", (1,)),
            Output("noise", "I_k", ((1 / root + root) / 2,)),
            Output("noise", "H_k", (sympy.sqrt(3) * (1 / root - root),)),
        ),
        noise="additive",
        orders={"additive": (1, 1)},
        citation="Li, Huang, Efimov, Wei, Chi and Chen, arXiv:2403.03852",
        advice="One evaluation a step; second order on Gaussian data only.",
    )


@method("AcceleratedODE")
def accelerated_ode(name: str) -> Tableau:
    """The step back to the time before, and a correction by the difference of noises there and here.

    For the noise as drift in the clock u = sigma/alpha, with d = u_n^2 - u_(n+1)^2 and d' of the step before:
    ``X- = X + d'/(2 u) f(u, X)`` at u_(n-1), and
    ``X+ = X - d/(2 u) f + d^2/(4 d') (f(u_(n-1), X-)/u_(n-1) - f/u)``.  That is the deterministic accelerated
    sampler as printed for ``alpha_t`` of single steps near 1, where they multiply d'; with these factors,
    which depend on more than ratios of u, it is of the same order.  The first step, with none before, is
    Heun's.
    """
    w, r = RELATIVE_STEP, STEP_RATIOS[0]
    share = r * (2 + w) ** 2 / (4 * (2 - w / r))
    here = Block("drift", "drift", (0,))
    start = Tableau(
        "Heun",
        (here, Block("ahead", "drift", (1,))),
        (Coupling("ahead", "drift", "h", ((1,),)),),
        (Output("drift", "h", ("1/2",)), Output("ahead", "h", ("1/2",))),
        noise="none",
    )
    return Tableau(
        name,
        # What is remembered is not used: only the ratio of the steps is.
        (
            here,
            Block("back", "drift", (-1 / r,)),
            Block("before", "drift", (0,), remembers="drift"),
        ),
        (Coupling("back", "drift", "h", ((-(1 - w / (2 * r)) / r,),)),),
        (Output("drift", "h", (1 + w / 2 + share,)), Output("back", "h", (-share / (1 - w / r),))),
        noise="none",
        orders={"none": (2, 2)},
        start=start,
        citation="Li, Huang, Efimov, Wei, Chi and Chen, arXiv:2403.03852",
        advice="Without noise, two evaluations a step; give drift='epsilon'.",
    )


@method("Overshoot")
def overshoot(name: str) -> Tableau:
    """X+ = X + h (f + q (f - f')) + W: the probability flow past the target, then noise.

    A reconstruction after Li and Cai, of whose algorithm only a description could be consulted: one
    step of DPM-Solver++(2M) for the flow, of twice the step of lambda, and exact noising back to the
    target, which together are this, to rounding.  As the difference is that of the flow over both
    halves, its covariance with the noise of the step before is twice what it should be: weak order
    1; with q/2, DPMSolver2M, it is 2.  Clipping the difference is no part of a tableau.
    """
    q = log_step_ratio()
    return multistep(
        name,
        (1 + q, -q),
        {"additive": (1, 1)},
        multistep("EM", (1,), {}, None),
        "reconstruction, after Li and Cai, arXiv:2410.23285",
        "For comparison; DPMSolver2M is the right weight of the same difference.",
    )


@method("Lagrange")
def lagrange(name: str, nodes: int = 3) -> Tableau:
    """The polynomial through the drift at equidistant nodes, refined by Picard's iteration.

    A reconstruction after a description: from Euler's values at the K nodes, K - 2 times new values by
    the integrals of the polynomial, and its integral over the step. Each iteration gains an order, up to
    K; the nodes of one may be evaluated in parallel.
    """
    if nodes < 2:
        raise TableauError(f"a polynomial through {nodes} nodes is no interpolation: two at least")
    points = [sympy.Rational(i, nodes - 1) for i in range(nodes)]

    def integrals(end: sympy.Rational) -> tuple[sympy.Expr, ...]:
        return polynomial_weights(points, [end ** (k + 1) / (k + 1) for k in range(nodes)])

    sweeps, inner = nodes - 1, points[1:]
    stages = 1 + sweeps * len(inner)
    rows = [[sympy.Integer(0)] * stages for _ in range(stages)]
    weights = [sympy.Integer(0)] * stages
    for sweep in range(sweeps + 1):
        before = 1 + (sweep - 1) * len(inner)
        for i, c in enumerate(inner if sweep < sweeps else [sympy.Integer(1)]):
            row = rows[1 + sweep * len(inner) + i] if sweep < sweeps else weights
            if sweep == 0:
                row[0] = c
                continue
            row[0], *rest = integrals(c)
            row[before : before + len(inner)] = rest
    return Tableau.rk(
        name,
        A=rows,
        b=weights,
        orders={"none": (nodes, nodes)},
        citation="reconstruction, after Li, Zhou, Wei and Chen, arXiv:2506.24042",
        advice="Without noise, where the evaluations of a sweep run in parallel.",
    )
