"""Single-step samplers of diffusion models: stages inside a step, at equal distances in lambda.

For the clocks see `tableaux.families.multistep_samplers`.  A stage has the noise of the path up to there,
in law: its node is a function of ``w = h/t``, and H of the step stands for the part of the noise at the
stage that is independent of its increment.
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


def middle_node() -> Any:
    """Where in the clock the middle of the step in lambda is."""
    return 1 / (1 + sympy.sqrt(1 + RELATIVE_STEP))


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
    for stage, row, c in zip(stages[1:], couplings, nodes):
        parts += [Coupling(stage.name, s.name, "h", ((a,),)) for s, a in zip(stages, row)]
        parts += [
            Coupling(stage.name, "noise", label, ((b,),))
            for label, b in zip(("I_k", "H_k"), _noise(c))
        ]
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


def _noise(c: Any) -> tuple[Any, ...]:
    """Weights of I and H with which a stage has the joint law of W at its node and at the end.

    ``W(c h) - c W`` is a bridge of the variance ``c (1 - c) h``; H is independent, of the variance h/12.
    """
    return (c,) if c == 1 else (c, sympy.sqrt(12 * c * (1 - c)))


@method("DPMSolver2S")
def dpm_solver_2s(name: str) -> Tableau:
    """X+ = X + h f(H) + W, with H Euler's value at the middle of the step in lambda.

    With noise it is SEEDS-2 for predictions of the denoised state.
    """
    middle = middle_node()
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
    middle, mean = middle_node(), slope()
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
    middle, mean = middle_node(), slope()
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
