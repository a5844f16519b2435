"""How many steps a budget of evaluations buys."""

from __future__ import annotations

from diffusion.grids import Grid, Times
from sdeint import ProblemError
from sdeint.lowering import lower, lower_starts
from sdeint.solving import resolve_method
from tableaux import Tableau

__all__ = ["steps_for", "steps_on"]


def steps_for(method: str | Tableau, nfe: int, *, denoise: bool = True) -> int:
    """How many steps a method can take with `nfe` evaluations of the model.

    Raises
    ------
    ProblemError
        If not even one step fits.
    """
    tableau = resolve_method(method)
    if isinstance(nfe, bool) or not isinstance(nfe, int) or nfe < 1:
        raise ProblemError(f"nfe must be a positive int, got {nfe!r}")
    each = lower(tableau, matrix=False, additive=True).count(drift=True)
    starts = lower_starts(tableau, matrix=False, additive=True)
    counts = [program.count(drift=True) for program in starts]
    first = (*counts, each)[0]
    left, steps = nfe - int(denoise), 0
    while left >= (cost := counts[steps] if steps < len(counts) else each):
        left, steps = left - cost, steps + 1
    if steps < 1:
        raise ProblemError(
            f"nfe={nfe} is too few for {tableau.name!r}: the first step takes {first} evaluations"
            + (" and the final denoising one" if denoise else "")
        )
    return steps


def steps_on(grid: str | Grid | Times, method: Tableau, nfe: int, *, denoise: bool) -> int:
    """The most steps that `nfe` allows; those of explicit times, if they are not more.

    Raises
    ------
    ProblemError
        If not even one step fits, or fewer than the times have.
    """
    steps = steps_for(method, nfe, denoise=denoise)
    if isinstance(grid, str) or callable(grid):
        return steps
    if len(grid) - 1 > steps:
        raise ProblemError(
            f"the grid has {len(grid) - 1} steps, but nfe={nfe} allows {method.name!r} {steps}"
        )
    return len(grid) - 1
