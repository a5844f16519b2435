"""Multistep samplers of diffusion models: one evaluation a step, and those of the steps before.

With f the denoiser, every reverse diffusion is ``dX = f dt + noise`` in the clock of its stochasticity
(`diffusion.reverse`): the reverse SDE with unit noise, the probability flow with none. The linear part
of published samplers is exact, as it is here, and what they know of lambda, half of the log of the
clock or all of it, is ``w = h/t`` (`tableaux.relative`). So an entry for additive noise is the
stochastic sampler, and without noise the deterministic one. Euler's method is DDPM, the ancestral
sampler, SEEDS-1 and SDE-DPM-Solver++(1) in the first clock, and DDIM in the second.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sympy

from tableaux.blocks import Block, Coupling, Output
from tableaux.errors import TableauError
from tableaux.families.entries import method
from tableaux.families.log_time import earlier, means, polynomial_weights
from tableaux.families.singlestep_samplers import dpm_solver_2s
from tableaux.relative import log_step_ratio
from tableaux.tableau import RELATIVE_STEP, STEP_RATIOS, Orders, Tableau

_DPM = "Lu, Zhou, Bao, Chen, Li and Zhu, arXiv:2211.01095"
_SECOND: Orders = {"additive": (1, 1), "constant": (1, 2), "martingale": (1, 2)}
_NOISE = Block("noise", "diffusion", (0,))
_ONE = Output("noise", "I_k", (1,))


def multistep(
    name: str,
    weights: tuple[Any, ...],
    orders: Orders,
    start: Tableau | None,
    citation: str = "",
    advice: str = "",
) -> Tableau:
    """X+ = X + h (sum of weights f, the newest first) + W."""
    blocks = [Block("now", "drift", (0,))]
    blocks += [
        Block(f"before {lag}", "drift", (0,), remembers="now", lag=lag)
        for lag in range(1, len(weights))
    ]
    outputs = [Output(b.name, "h", (weight,)) for b, weight in zip(blocks, weights)]
    return Tableau(
        name,
        (*blocks, _NOISE),
        (),
        (*outputs, _ONE),
        noise="additive",
        orders=orders,
        start=start,
        citation=citation,
        advice=advice,
    )


def _without_noise(tableau: Tableau) -> Tableau:
    """The same for the probability flow only: of long memories the proof with noise takes too long."""
    return replace(
        tableau,
        blocks=tuple(b for b in tableau.blocks if b.name != "noise"),
        couplings=tuple(c for c in tableau.couplings if c.source != "noise"),
        outputs=tuple(o for o in tableau.outputs if o.source != "noise"),
        noise="none",
        start=None if tableau.start is None else _without_noise(tableau.start),
    )


def _euler() -> Tableau:
    return multistep("EM", (1,), {}, None)


def adams(steps: int, *, implicit: bool = False) -> tuple[Any, ...]:
    """Weights of the polynomial in log t through the last values, or also through the new one."""
    points = [*[sympy.Integer(1)] * implicit, *map(earlier, range(steps))]
    return polynomial_weights(points, means(len(points), RELATIVE_STEP))


@method("DPMSolver2M")
def dpm_solver_2m(name: str) -> Tableau:
    """X+ = X + h (f + q/2 (f - f')) + W, q the ratio of steps of lambda: (SDE-)DPM-Solver++(2M)."""
    q = log_step_ratio()
    return multistep(
        name,
        (1 + q / 2, -q / 2),
        _SECOND,
        _euler(),
        _DPM,
        "One evaluation a step: the usual choice for a network.",
    )


@method("DPMSolver2MHeun")
def dpm_solver_2m_heun(name: str) -> Tableau:
    """X+ = X + h (integral of the line in lambda through f and f', exact) + W."""
    return multistep(
        name,
        adams(2),
        _SECOND,
        _euler(),
        _DPM,
        "As DPMSolver2M; its steps are exact for a denoiser that is linear in lambda.",
    )


@method("DPMSolver3M")
def dpm_solver_3m(name: str) -> Tableau:
    """The integral of the parabola in lambda through f of this step and of the two before.

    Implementations halve the second difference, which is of order 2 without noise, and begin with a
    step of Euler's method, whose error leaves order 2 too; here it is one of DPMSolver2S.  With noise
    weak order 2 is all there is.
    """
    second_step = replace(dpm_solver_2m_heun("DPMSolver2MHeun"), start=dpm_solver_2s("DPMSolver2S"))
    return multistep(
        name,
        adams(3),
        {**_SECOND, "none": (3, 3)},
        second_step,
        _DPM,
        "One evaluation a step, order 3 without noise; with noise no better than DPMSolver2M.",
    )


@method("DEIS")
def deis(name: str, steps: int = 3) -> Tableau:
    """Adams' weights in log(sigma/alpha), for the noise as drift in the clock sigma/alpha.

    The published steps (diffusers) begin with fewer values, Euler's method first, which leaves order 2 on
    the whole for any number of steps.  With the denoised state as drift it is DPMSolver2MHeun and,
    but for the start, DPMSolver3M.
    """
    if not 1 <= steps <= 3:
        raise TableauError(f"DEIS has 1 to 3 steps, not {steps}")
    before = deis(f"DEIS({steps - 1})", steps - 1) if steps > 1 else None
    found = multistep(
        name,
        adams(steps),
        {"none": (min(steps, 2),) * 2},
        before and replace(before, noise="additive"),
        "Zhang and Chen, arXiv:2204.13902, the variant in log rho",
        "Without noise, one evaluation a step; give drift='epsilon'.",
    )
    return _without_noise(found)


@method("AB2")
def adams_bashforth_2(name: str) -> Tableau:
    """X+ = X + h ((1 + r/2) f - r/2 f') + W: extrapolation in the clock itself, not in its logarithm."""
    return multistep(
        name,
        _in_clock(2),
        _SECOND,
        _euler(),
        "Bashforth and Adams (1883); as a sampler: Zhang and Chen, arXiv:2204.13902",
        "One evaluation a step for additive noise or none, from any time.",
    )


@method("AB3")
def adams_bashforth_3(name: str) -> Tableau:
    """The integral of the parabola through f of this step and of the two before; started by Heun's."""
    heun = Tableau(
        "Heun",
        (Block("now", "drift", (0,)), Block("ahead", "drift", (1,)), _NOISE),
        (Coupling("ahead", "now", "h", ((1,),)), Coupling("ahead", "noise", "I_k", ((1,),))),
        (Output("now", "h", ("1/2",)), Output("ahead", "h", ("1/2",)), _ONE),
        noise="additive",
    )
    return multistep(
        name,
        _in_clock(3),
        {**_SECOND, "none": (3, 3)},
        replace(adams_bashforth_2("AB2"), start=heun),
        "Bashforth and Adams (1883); as a sampler: Zhang and Chen, arXiv:2204.13902",
        "As AB2, with order 3 without noise.",
    )


def _in_clock(steps: int) -> tuple[Any, ...]:
    """Weights of the polynomial in t through the last values."""
    points, size = [sympy.Integer(0)], sympy.Integer(1)
    for ratio in STEP_RATIOS[: steps - 1]:
        size = size / ratio
        points.append(points[-1] - size)
    return polynomial_weights(points, [sympy.Rational(1, k + 1) for k in range(steps)])


@method("ERSDE2")
def er_sde_2(name: str) -> Tableau:
    """X+ = X + h (f + e D) + W: the line in the noise level sigma/alpha through f and f'."""
    first, _ = _level_means()
    return multistep(
        name,
        (1 + first / (1 - _level(1)), -first / (1 - _level(1))),
        _SECOND,
        _euler(),
        _ER,
        "As DPMSolver2M, linear in the noise level instead of its logarithm.",
    )


@method("ERSDE3")
def er_sde_3(name: str) -> Tableau:
    """X+ = X + h (f + e D + e2 D2) + W, differences in the noise level; as it is published.

    The published correction adds the second difference with the weight of the second derivative, but
    leaves the slope a backward difference, which is right in the middle of the step before only: the
    order without noise is 2, not 3.
    """
    first, second = _level_means()
    one, two = _level(1), _level(2)
    slope, older = 1 / (1 - one), 1 / (one - two)  # of differences of neighbours
    bend = second / ((1 - two) / 2)
    return multistep(
        name,
        (
            1 + (first + bend) * slope,
            -(first + bend) * slope - bend * older,
            bend * older,
        ),
        _SECOND,
        replace(er_sde_2("ERSDE2"), start=_euler()),
        _ER,
        "For comparison: the third order is not reached.",
    )


_ER = "Cui, Zhang, Lu and Liao, arXiv:2309.06169, with the noise scale of the reverse SDE"


def _level(back: int) -> Any:
    """sigma/alpha some steps before, in units of that now: 1/sqrt(t) in the noise clock."""
    size, time = RELATIVE_STEP, sympy.Integer(1)
    for ratio in STEP_RATIOS[:back]:
        size = size / ratio
        time = time - size
    return 1 / sympy.sqrt(time)


def _level_means() -> tuple[Any, Any]:
    """Means over the step of u - 1 and (u - 1)^2/2, with u = 1/sqrt(t) in units of that now."""
    w = RELATIVE_STEP
    level = 2 * (sympy.sqrt(1 + w) - 1) / w
    return level - 1, (sympy.log(1 + w) / w - 2 * level + 1) / 2


def _predicted(
    name: str,
    predictor: tuple[Any, ...],
    corrector: tuple[Any, ...],
    start: Tableau,
    orders: Orders | None = None,
    citation: str = "",
    advice: str = "",
    *,
    starting: bool = False,
) -> Tableau:
    """A stage at the end of the step, predicted from those of earlier steps, and then corrected.

    The predictor weighs the stages before, the newest first; the corrector the new one and those.  Of a
    `starting` method the oldest value is that at the very beginning, the drift of the first step.
    """
    used = max(len(predictor), len(corrector) - 1)
    blocks = [Block("stage", "drift", (1,))]
    blocks += [
        Block(f"before {lag}", "drift", (1,), remembers="stage", lag=lag)
        for lag in range(1, used + 1 - starting)
    ]
    idle: tuple[Block, ...] = ()
    if starting:
        blocks.append(Block("first", "drift", (0,), remembers="drift", lag=used - 1))
        idle = (Block("drift", "drift", (0,)),)
    return Tableau(
        name,
        (*blocks, *idle, _NOISE),
        (
            *(Coupling("stage", b.name, "h", ((w,),)) for b, w in zip(blocks[1:], predictor)),
            Coupling("stage", "noise", "I_k", ((1,),)),
        ),
        (*(Output(b.name, "h", (w,)) for b, w in zip(blocks, corrector)), _ONE),
        noise="additive",
        orders=orders or {},
        start=start,
        citation=citation,
        advice=advice,
    )


def _corrected_euler(weight: Any) -> Tableau:
    """Euler's prediction and one correction: a first step."""
    return Tableau(
        "Euler, corrected",
        (Block("drift", "drift", (0,)), Block("stage", "drift", (1,)), _NOISE),
        (
            Coupling("stage", "drift", "h", ((1,),)),
            Coupling("stage", "noise", "I_k", ((1,),)),
        ),
        (Output("drift", "h", (1 - weight,)), Output("stage", "h", (weight,)), _ONE),
        noise="additive",
    )


_UNIPC = "Zhao, Bai, Rao, Zhou and Lu, arXiv:2302.04867 (without noise)"


def _simplified(variant: int) -> Any:
    """B(h) over e^h - 1: the variants bh1, B = h, and bh2, B = e^h - 1, differ where they simplify."""
    w = RELATIVE_STEP
    if variant not in (1, 2):
        raise TableauError(f"UniPC has the variants 1 (bh1) and 2 (bh2), not {variant}")
    return (1 + w) * sympy.log(1 + w) / w if variant == 1 else sympy.Integer(1)


def _two_steps(half: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """DPM-Solver++(2M) predicts; the parabola in lambda with the new stage corrects."""
    q = log_step_ratio()
    return (1 + q * half, -q * half), adams(2, implicit=True)


@method("UniPC2")
def unipc_2(name: str, variant: int = 2) -> Tableau:
    """DPM-Solver++(2M) predicts; the parabola in lambda with the new stage corrects.

    One evaluation a step: the stage is not evaluated again at the corrected value.  Only the first step
    is of order 1 (UniPC-1, a trapezoid).
    """
    half = _simplified(variant) / 2
    return _predicted(
        name,
        *_two_steps(half),
        _predicted("second step", *_two_steps(half), _corrected_euler(half), starting=True),
        {**_SECOND, "none": (3, 3)},
        _UNIPC,
        "One evaluation a step and order 3 without noise.",
    )


@method("UniPC3")
def unipc_3(name: str, variant: int = 2) -> Tableau:
    """The parabola through three stages predicts; the cubic with the new one corrects.

    The first step, UniPC-1, has a local error of order 3, which stays, although later ones have order 4.
    """
    half = _simplified(variant) / 2
    weights = adams(3), adams(3, implicit=True)
    second = _predicted("second step", *_two_steps(half), _corrected_euler(half), starting=True)
    found = _predicted(
        name,
        *weights,
        _predicted("third step", *weights, second, starting=True),
        {"none": (3, 3)},
        _UNIPC,
        "One evaluation a step; as UniPC2 with more memory, and limited by its published start.",
    )
    return _without_noise(found)


_SA = "Xue, Yi, Luo, Zhang, Sun, Li and Ma, arXiv:2309.05019"


def _stochastic_adams(
    name: str, predictor: int, corrector: int, orders: Orders, advice: str
) -> Tableau:
    """Adams' methods of so many steps predict and correct, with the same noise (tau = eta)."""

    def weights(steps: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return adams(min(steps, predictor)), adams(min(steps, corrector), implicit=True)

    start = _corrected_euler(adams(1, implicit=True)[0])
    for steps in range(2, predictor + 1):
        start = _predicted(f"step {steps}", *weights(steps), start, starting=True)
    return _predicted(name, *weights(predictor), start, orders, _SA, advice)


@method("SASolver")
def sa_solver(name: str) -> Tableau:
    """Stochastic Adams: two-step predictor, one-step corrector with the same noise (tau = eta).

    One evaluation a step; a step with Euler's predictor starts it.
    """
    advice = "One evaluation a step, the noise inside the evaluation."
    return _stochastic_adams(name, 2, 1, _SECOND, advice)


@method("SASolver3")
def sa_solver_3(name: str) -> Tableau:
    """Stochastic Adams: three-step predictor, three-step corrector (orders 3 and 4 in its code).

    One evaluation a step; fewer steps start it.  With noise weak order 2 is all there is.  Without, the
    first step has a local error of order 3, which stays, although later ones have order 4.
    """
    return _stochastic_adams(
        name,
        3,
        3,
        {**_SECOND, "none": (3, 3)},
        "One evaluation a step; as SASolver with more memory, and with noise no better in order.",
    )
