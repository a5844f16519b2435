"""Single-step samplers of diffusion models: stages inside a step, at equal distances in lambda.

For the clocks see `tableaux.families.multistep_samplers`.  A stage has the noise of the path up to there,
in law: its node and that of others are functions of ``w = h/t``, and H and K of the step stand for the
parts of the noise at the stages that are independent of its increment.
"""

from __future__ import annotations

from typing import Any

import sympy

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.families.log_time import means
from tableaux.tableau import RELATIVE_STEP, Orders, Tableau

_DPM = "Lu, Zhou, Bao, Chen, Li and Zhu, arXiv:2211.01095"
_SEEDS = "Gonzalez, Fernandez, Tran, Gherbi, Hajri and Masmoudi, arXiv:2305.14267"
_RES = "Zhang, Zhang, Zhou and Li, arXiv:2308.02157"
_SECOND: Orders = {"additive": (1, 1), "constant": (1, 2), "martingale": (1, 2)}
_NOISE = Block("noise", "diffusion", (0,))
_ONE = Output("noise", "I_k", (1,))
_NAMES = ("second", "third")


def node(share: Any) -> Any:
    """Where in the clock a stage is that is a share of the step away in lambda."""
    w = RELATIVE_STEP
    if share == sympy.Rational(1, 2):
        return 1 / (1 + sympy.sqrt(1 + w))
    return ((1 + w) ** share - 1) / w


def slope(share: Any = 1) -> Any:
    """The mean of s over the part of a step up to a stage, of which s is 1 at its end."""
    log = share * sympy.log(1 + RELATIVE_STEP)
    return means(2, (1 + RELATIVE_STEP) ** sympy.sympify(share) - 1, log)[1]


def single_step(
    name: str,
    nodes: tuple[Any, ...],
    couplings: tuple[tuple[Any, ...], ...],
    weights: tuple[Any, ...],
    orders: Orders,
    citation: str,
    advice: str,
) -> Tableau:
    """Stages after the first, each with its weights of those before and the noise up to its node."""
    stages = [Block("now", "drift", (0,))]
    stages += [Block(name, "drift", (c,)) for name, c in zip(_NAMES, nodes)]
    parts = []
    for stage, row, noise in zip(stages[1:], couplings, _noise(nodes)):
        parts += [Coupling(stage.name, s.name, "h", ((a,),)) for s, a in zip(stages, row)]
        labels = ("I_k", "H_k", "K_k")
        parts += [Coupling(stage.name, "noise", l, ((b,),)) for l, b in zip(labels, noise)]
    return Tableau(
        name,
        (*stages, _NOISE),
        tuple(parts),
        (*(Output(s.name, "h", (b,)) for s, b in zip(stages, weights)), _ONE),
        noise="additive",
        orders=orders,
        citation=citation,
        advice=advice,
    )


def _noise(nodes: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Weights of I, H and K with which stages have the joint law of W at their nodes and at the end.

    ``W(c h) - c W`` is a bridge, with the covariance ``c (1 - c') h``; H and K are independent, of the
    variances h/12 and h/720.
    """
    first = nodes[0]
    inside = first * (1 - first)
    rows: list[tuple[Any, ...]] = [(first, sympy.sqrt(12 * inside))]
    for c in nodes[1:]:
        if c == 1:
            rows.append((c,))
        else:
            left = (1 - c) * (c - first) / (1 - first)
            along = sympy.sqrt(12 * first / (1 - first)) * (1 - c)
            rows.append((c, along, sympy.sqrt(720 * left)))
    return rows


@method("DPMSolver2S")
def dpm_solver_2s(name: str) -> Tableau:
    """X+ = X + h f(H) + W, with H Euler's value at the middle of the step in lambda.

    With noise it is SEEDS-2 for predictions of the denoised state.
    """
    middle = node(sympy.Rational(1, 2))
    return single_step(
        name,
        (middle,),
        ((middle,),),
        (0, 1),
        _SECOND,
        f"{_DPM}; with noise {_SEEDS}",
        "Two evaluations a step; without a step before, unlike 2M.",
    )


@method("RES2S")
def res_2s(name: str) -> Tableau:
    """X+ = X + h ((1 - 2 c1) f + 2 c1 f(H)) + W, with H as in `DPMSolver2S`, c1 the mean of s."""
    middle, mean = node(sympy.Rational(1, 2)), slope()
    return single_step(
        name,
        (middle,),
        ((middle,),),
        (1 - 2 * mean, 2 * mean),
        _SECOND,
        _RES,
        "As DPMSolver2S, with the exact weights of an exponential method in lambda.",
    )


@method("RES3S")
def res_3s(name: str) -> Tableau:
    """Three stages, at the middle of the step in lambda and at its end: Kutta's method for small steps."""
    half = sympy.Rational(1, 2)
    middle, mean = node(half), slope()
    # phi functions are of the step to the stage itself: that of another is carried on to it.
    second = 4 * middle * slope(half) * sympy.sqrt(1 + RELATIVE_STEP) + 2 * mean
    return single_step(
        name,
        (middle, sympy.Integer(1)),
        ((middle,), (1 - second, second)),
        (1 - 5 * mean / 3, 4 * mean / 3, mean / 3),
        {**_SECOND, "none": (3, 3)},
        _RES,
        "Three evaluations a step, order 3 without noise.",
    )


@method("SEEDS3")
def seeds_3(name: str) -> Tableau:
    """X+ = X + h ((1 - 3 c1/2) f + 3 c1/2 f(H2)) + W; stages at thirds of the step in lambda.

    Without noise it is DPM-Solver++(3S); with noise its weak order is 2.
    """
    third, two = sympy.Rational(1, 3), sympy.Rational(2, 3)
    first, last = node(third), node(two)
    second = 2 * last * slope(two)
    mean = 3 * slope() / 2
    return single_step(
        name,
        (first, last),
        ((first,), (last - second, second)),
        (1 - mean, 0, mean),
        {**_SECOND, "none": (3, 3)},
        f"{_SEEDS}; without noise Lu et al., arXiv:2206.00927 and {_DPM}",
        "Three evaluations a step, order 3 without noise.",
    )
