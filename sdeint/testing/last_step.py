"""What the last of a few steps adds to the weak error of a reverse diffusion, with nothing sampled.

Methods with memory have no local error of one step.  But of a few steps all outcomes can be enumerated,
and where the drift is a denoiser the law of the solution is known: from z it is ``z + tau X + W(tau)`` with
X from the posterior of the data.  The error after n + 1 steps less that after n falls, per unit time,
with the weak order: n steps are enough to fill the memory, and errors of the first steps cancel to
that order, or else show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sdeint import SDE, problems, solve
from sdeint.convergence import Study
from sdeint.testing.enumerated import study_of
from sdeint.testing.outcomes import GAUSSIAN, Outcomes, rule
from tableaux import Tableau

__all__ = ["enumerable", "last_step"]

STEPS = (16, 32, 64, 128, 256, 512)
#: Lengths of the steps in units of h; the ratios are those of no special case.
LENGTHS = (1.0, 1.5, 1.0, 2.0, 1.0)
# Of Gauss-Hermite rules: what they miss is of order h^5 at least, and of h^4 where an order above 2
# is out of the question.
NODES = (6, 5)
OUTCOMES = 400_000
#: Data +-a + s xi, and where a solution starts.
MODE, SPREAD = 1.0, 0.25
TIME, VALUE = 0.5, 0.3


def enumerable(tableau: Tableau) -> bool:
    """Whether all outcomes of as many steps as are needed can be enumerated."""
    return _primitives(tableau) <= set(GAUSSIAN) and _nodes(tableau) is not None


def last_step(tableau: Tableau, steps: Sequence[int] = STEPS) -> Study:
    """Weak errors of the last step, per unit time, at several step sizes.

    Parameters
    ----------
    tableau : Tableau
        For additive noise, `enumerable`.
    steps : sequence of int
        Of size h, a unit of time.

    Returns
    -------
    Study
        Of kind ``"weak"``, with the order of the method for a drift that is a martingale.
    """
    nodes, before = _nodes(tableau), _before(tableau)
    assert nodes is not None
    counts = (before, before + 1) if before else (1,)
    paths = [Outcomes(count, _names(tableau), nodes) for count in counts]
    errors = []
    for n in steps:
        after = [_gaps(tableau, path, 1 / n) for path in paths]
        added = after[-1] - after[0] if before else after[0]
        errors.append(float(added.norm()) * n)
    return study_of(
        tableau.name,
        "a denoiser of two modes",
        f"means after {before + 1} uneven steps less those after {before}, all outcomes enumerated; "
        "error divided by h",
        steps,
        errors,
    )


def _before(tableau: Tableau) -> int:
    """How many steps to go before the last: those that fill the memory, and one."""
    return len(tableau.starts) + 1 if tableau.starts else 0


def _primitives(tableau: Tableau) -> set[str]:
    """Of its first steps too."""
    return set[str]().union(*(t.primitives for t in (tableau, *tableau.starts)))


def _names(tableau: Tableau) -> tuple[str, ...]:
    return tuple(name for name in GAUSSIAN if name in _primitives(tableau))


def _nodes(tableau: Tableau) -> int | None:
    """Of the finest rule whose outcomes are not too many."""
    variables = len(_names(tableau)) * (_before(tableau) + 1)
    return next((n for n in NODES if n**variables <= OUTCOMES), None)


def _gaps(tableau: Tableau, path: Outcomes, h: float) -> Tensor:
    """Errors of the means of all functionals after the steps of a path."""
    ends = torch.tensor((0.0, *LENGTHS[: path.steps]), dtype=torch.float64).cumsum(0)
    drift = problems.denoiser(MODE, SPREAD).drifts["ito"]
    sde = SDE(drift, lambda t, y: 1.0, noise="additive", event_dims=1)
    start = torch.full((*path.batch, 1), VALUE, dtype=torch.float64)
    grid = TIME + h * ends
    end = solve(sde, start, grid, method=tableau, path=path, save_at="end", compile=False).y[-1]
    return (_functionals(end[:, 0]) * path.weights).sum(1) - _exact(float(grid[-1] - grid[0]))


def _functionals(z: Tensor) -> Tensor:
    """Generic ones, (functionals, *z.shape)."""
    return torch.stack([z, z + z**2, torch.sin(2 * z) + z**3 / 3, z**2 * torch.cos(z)])


def _exact(tau: float) -> Tensor:
    """Their means at ``z + tau X + W(tau)``."""
    q = 1 + TIME * SPREAD**2
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64)
    shares = torch.softmax(signs * MODE * VALUE / q, dim=0)
    means = VALUE + tau * (signs * MODE + SPREAD**2 * VALUE) / q
    spread = math.sqrt(tau**2 * SPREAD**2 / q + tau)
    at, weights = rule(40)
    return _functionals(means[:, None] + spread * at) @ weights @ shares
