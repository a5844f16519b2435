"""Methods whose stages stand at random times: the mean over the node is the integral over the step.

A quadrature with a random node is right in the mean for every integrand, however rough in time; what it
misses in one step is a martingale, which grows like a root. So the drift needs no derivatives in time.
"""

from __future__ import annotations

from tableaux.blocks import Block, Coupling, Output
from tableaux.families.entries import method
from tableaux.tableau import RANDOM_NODE, Tableau


@method("RandomMidpoint")
def random_midpoint(name: str) -> Tableau:
    """X+ = X + h f(t + u h, X + u h f(t, X) + W(u h)) + W(h), u uniform on (0, 1) in each step.

    u is drawn for each path.  In the noise clock of a reverse diffusion it is the randomised midpoint of
    samplers, with u uniform in that clock; those of the literature draw it uniform in their own.
    Its error in one path is that of one quadrature with a random node, of strong order 1.
    """
    return Tableau(
        name,
        (
            Block("drift", "drift", (0,)),
            Block("stage", "drift", (RANDOM_NODE,)),
            Block("noise", "diffusion", (0,)),
        ),
        (
            Coupling("stage", "drift", "u*h", ((1,),)),
            Coupling("stage", "noise", "I_k(u)", ((1,),)),
        ),
        (Output("stage", "h", (1,)), Output("noise", "I_k", (1,))),
        noise="additive",
        orders={
            "additive": (None, 1),
            "constant": (None, 2),
            "martingale": (None, 2),
            "none": (None, 2),
        },
        citation="Shen and Lee, arXiv:1909.05503; in samplers Gupta, Cai and Chen, arXiv:2406.00924",
        advice="Two evaluations a step, for a drift that is rough in time.",
    )
