"""Methods for the reverse diffusion in the noise clock.

In the clock rho = alpha^2/sigma^2 the reverse SDE of a diffusion model is ``dZ = f(rho, Z) d rho + dW``
with f the denoiser: unit additive noise and a drift that is a martingale along the process.  That
removes trees, so that cheaper methods than the general ones reach weak order 2.
"""

from __future__ import annotations

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import Tableau

_OURS = "this library, docs/diffusion.md"


@method("ScoreDifference")
def score_difference(name: str) -> Tableau:
    """X+ = X + f h + W + [f(X + int W ds) - f(X)], both evaluations at the same time.

    A reconstruction: the printed algorithm could not be consulted.  The correction is the integral
    of the martingale part of f, its derivative replaced by a difference.
    """
    return Tableau(
        name,
        (Block("drift", "drift", (0, 0)), Block("noise", "diffusion", (0,))),
        (Coupling("drift", "noise", "I_k0", ((0,), (1,))),),
        (
            Output("drift", "h", (1, 0)),
            Output("drift", "1", (-1, 1)),
            Output("noise", "I_k", (1,)),
        ),
        noise="additive",
        orders={"additive": (1, 1), "martingale": ("3/2", 2)},
        citation="reconstruction, in the noise clock, after Wu, Chen and Wei, arXiv:2410.04760",
        advice="Training-free stochastic Runge-Kutta sampling with two evaluations a step.",
    )


def _one_stage(name: str) -> Tableau:
    return Tableau(
        name,
        (
            Block("predictor", "drift", (0,)),
            Block("stage", "drift", ("1/3",)),
            Block("noise", "diffusion", (0,)),
        ),
        (
            Coupling("stage", "predictor", "h", (("1/3",),)),
            Coupling("stage", "noise", "I_k0/h", ((1,),)),
        ),
        (Output("stage", "h", (1,)), Output("noise", "I_k", (1,))),
        noise="additive",
        orders={"additive": (1, 1), "martingale": ("3/2", 2)},
        citation=_OURS,
        advice="Two evaluations a step; the better sampler from about 32 evaluations on.",
    )


@method("OneStage")
def one_stage(name: str) -> Tableau:
    """X+ = X + f(t + h/3, X + f(t, X) h/3 + int W ds / h) h + W."""
    return _one_stage(name)


@method("OneStageStored")
def one_stage_stored(name: str) -> Tableau:
    """`OneStage` with the predictor's drift replaced by the stage of the step before."""
    return Tableau(
        name,
        (
            Block("stage", "drift", ("1/3",)),
            Block("before", "drift", ("1/3",), remembers="stage"),
            Block("noise", "diffusion", (0,)),
        ),
        (
            Coupling("stage", "before", "h", (("1/3",),)),
            Coupling("stage", "noise", "I_k0/h", ((1,),)),
        ),
        (Output("stage", "h", (1,)), Output("noise", "I_k", (1,))),
        noise="additive",
        orders={"additive": (1, 1), "martingale": ("3/2", 2)},
        start=_one_stage("OneStage"),
        citation=_OURS,
        advice="As OneStage at one evaluation a step: strong order 3/2 and weak order 2.",
    )


@method("TwoStep")
def two_step(name: str) -> Tableau:
    """A stage shifted by the noise, extrapolated with that of the step before; any step ratio r.

    ``H = X + (4/27) h f' + (2/3) int W ds / h`` at the time ``t + 4 h/27``, with f' the stage of the
    step before, and ``X+ = X + h ((3r + 4) f(H) - r f') / (2r + 4) + W``.  It is the member b = 2/3 of
    the family ``c = b^2/3``, output weight ``(r + 2 - b)/(b (r - 1) + 2)``, every one of which has weak
    order 2 for martingale drift (docs/theory.md).
    """
    stage = "4/27"
    return Tableau(
        name,
        (
            Block("stage", "drift", (stage,)),
            Block("before", "drift", (stage,), remembers="stage"),
            Block("noise", "diffusion", (0,)),
        ),
        (
            Coupling("stage", "before", "h", ((stage,),)),
            Coupling("stage", "noise", "I_k0/h", (("2/3",),)),
        ),
        (
            Output("stage", "h", ("(3*r + 4)/(2*r + 4)",)),
            Output("before", "h", ("-r/(2*r + 4)",)),
            Output("noise", "I_k", (1,)),
        ),
        noise="additive",
        orders={"additive": (1, 1), "martingale": (1, 2)},
        start=_one_stage("OneStage"),
        citation=_OURS,
        advice="One evaluation a step and weak order 2; the best sampler here at few evaluations.",
    )
