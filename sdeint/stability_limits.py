"""How large a step may be before a linear test equation, stable itself, grows.

The engine takes one step for many step sizes and all outcomes of the random variables at once, so
that implicit methods and those with many stages cost no more thought than Euler's.  The exact
functions behind these numbers are in `tableaux.stability`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch

from sdeint.convergence.linear_moments import Outcomes
from sdeint.lowering import lower
from sdeint.problem import SDE, Calculus
from sdeint.solving import solve
from tableaux import Tableau

__all__ = ["decay_limit", "mean_square_limit"]

Tensor = torch.Tensor

#: Nodes of a Gaussian variable: exact for the mean square of a step that has degree up to 6 in it.
NODES = 7
#: Beyond this a method counts as stable for every step.
FAR = 1e6


def decay_limit(tableau: Tableau) -> float | None:
    """The largest x up to which a step of size 1 does not enlarge the solution of y' = -x y.

    Infinity for a method that is stable on the whole negative axis; None for one with memory, whose
    step is no multiplication, and for one whose step depends on its time. Of an exponential method:
    in the part of the drift beside L.
    """
    if tableau.start is not None or tableau.relative:
        return None

    def growth(x: Tensor) -> Tensor:
        rate = x[:, None]
        y0 = torch.ones_like(rate)
        step = solve(SDE(lambda t, y: -rate * y), y0, [0.0, 1.0], method=tableau, save_at="end")
        return step.y[-1, :, 0].abs()

    return _limit(growth)


def mean_square_limit(tableau: Tableau) -> float | None:
    """The largest x up to which E y^2 does not grow in a step of size 1 for the Ito equation
    dy = -x y dt + sqrt(x) y dW, whose solution has E y_t^2 = e^{-xt}.

    None for methods with memory, for those that do not take multiplicative noise, and for those
    that are implicit in Gaussian noise, whose step has no mean square. Of an exponential method:
    with nothing in L.
    """
    tableau = tableau.without_linear_part
    if tableau.start is not None or not tableau.accepts("scalar"):
        return None
    names = tableau.primitives - {"A"}
    program = lower(tableau, matrix=False, additive=False)
    solved = [e for first, stop in program.clusters for e in program.evaluations[first:stop]]
    if names & {"W", "H", "K"} and not all(evaluation.drift for evaluation in solved):
        return None
    strato = tableau.calculus == "stratonovich"

    def growth(x: Tensor) -> Tensor:
        # The drift of the same process in the method's own calculus.
        drift, noise = -x[:, None] * (1.5 if strato else 1.0), torch.sqrt(x)[:, None]
        path = Outcomes(names, 1, len(x), NODES)
        sde = SDE(
            lambda t, y: drift * y,
            lambda t, y: noise * y,
            noise="scalar",
            calculus=cast(Calculus, tableau.calculus),
        )
        y0 = torch.ones(*path.batch, 1, dtype=torch.float64)
        step = solve(sde, y0, [0.0, 1.0], method=tableau, path=path, save_at="end").y[-1, ..., 0]
        return torch.einsum("n,nx->x", path.weights, step**2)

    return _limit(growth)


def _limit(growth: Callable[[Tensor], Tensor]) -> float:
    """The first x at which growth exceeds 1: a scan, then bisection."""
    x = torch.cat(
        [
            torch.logspace(-2, 3.5, 1600, dtype=torch.float64),
            torch.tensor([1e4, 1e5, FAR], dtype=torch.float64),
        ]
    )
    unstable = growth(x) > 1 + 1e-9
    if not bool(unstable.any()):
        return math.inf
    first = int(torch.nonzero(unstable)[0])
    low, high = (float(x[first - 1]) if first else 0.0), float(x[first])
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        grown = bool(growth(torch.tensor([middle], dtype=torch.float64)) > 1 + 1e-9)
        low, high = (low, middle) if grown else (middle, high)
    return low
