"""Strong convergence: distances on one Brownian path."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sdeint.brownian import BrownianPath
from sdeint.convergence.fitting import Blocks, fit, student
from sdeint.convergence.setting import (
    CHUNK,
    ROUNDING,
    Setting,
    Solved,
    check_sample,
    checked_steps,
    chunks,
    primitives,
    study,
)
from sdeint.convergence.study import Study
from sdeint.errors import ProblemError
from sdeint.problem import SDE
from sdeint.problems import Problem
from sdeint.progress import track
from sdeint.solving import resolve_method
from tableaux import Tableau


def strong(
    problem: Problem | SDE,
    method: str | Tableau,
    *,
    steps: Sequence[int] = (16, 32, 64, 128, 256),
    paths: int = 1000,
    seed: int = 0,
    y0: Tensor | None = None,
    t: tuple[float, float] | None = None,
    reference: str | int | tuple[str | Tableau, int] | None = None,
    backward: bool = False,
    confidence: float = 0.95,
    chunk: int = CHUNK,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Study:
    """Root mean square error at the end time, on one Brownian path for all step sizes.

    The path is a `TreePath`. Where the method or the reference needs Levy areas, K, or the exact
    noise of a linear part, it is a `NestedPath`, whose finest grid holds the times of all step sizes
    and of the reference: the variables of every step are then exact sums over one and the same set
    of fine steps. Errors of the areas themselves, which all step sizes share, go unseen, but where a
    closed form is compared with.

    Parameters
    ----------
    problem : Problem or SDE
        A problem is taken in the calculus of the method; an SDE needs `y0` and `t`.
    method : str or Tableau
    steps : sequence of int
        Increasing numbers of steps, at least three for an order.
    paths : int
        At least 2.
    seed : int
    y0 : tensor, optional
        Start of one path (event shape), in place of the problem's. Closed forms belong to the
        problem's own start, so a reference is needed with it.
    t : (float, float), optional
        Interval, in place of the problem's; then a reference is needed as well.
    reference : optional
        ``None``: the closed form, or without one the same method with 16 times the finest number of
        steps. An int: the same method with so many steps. A pair: another method, its number of
        steps.
        ``"half"``: each solution against the one with twice the steps. Its differences are no
        errors, but their order is that of the method without the bias of a reference; a wrong limit
        goes unseen.
    backward : bool
        Start from the closed form at the end time, go back along the same path, and compare with
        the start. The path's noise is then integrated backwards, so a Stratonovich method retraces
        its path.
    confidence : float
        In (0, 1).
    chunk : int
        Paths solved at a time; bounds the memory.
    dtype : torch.dtype
    device : torch.device or str
    progress : bool
        Show a progress bar.

    Raises
    ------
    ProblemError
        If a request is inconsistent; the message says what would be right.
    """
    setting = Setting.of(problem, method, y0, t, dtype, device)
    levels = checked_steps(steps)
    check_sample(paths, seed, confidence, chunk)
    refer = _reference(setting, reference, levels, backward)
    sums = Blocks(len(levels), paths)
    scale = 0.0
    with track(paths * sum(levels), f"strong {setting.tableau.name}", progress) as advance:
        for first, count in chunks(paths, chunk):
            path = _path(setting, refer, levels, seed, first, count)
            solved = Solved(setting, path, count, backward, advance)
            exact = refer.values(solved)
            for j, n in enumerate(levels):
                end = solved(setting.tableau, n)
                other = solved(setting.tableau, 2 * n) if exact is None else exact
                sums.add(j, first, _norm2(end - other))
                scale = max(scale, float(_norm2(other).mean()))
    eps = torch.finfo(dtype).eps
    rates = sums.jackknife(lambda mean: torch.log(mean) / 2, floor=(eps * 1e-3) ** 2 * scale)
    spread = student(confidence, sums.blocks - 1) * rates.errors
    values = torch.exp(rates.value)
    flags = ["rounding" if e < ROUNDING * eps * math.sqrt(scale) else "" for e in values.tolist()]
    step = [setting.length / n for n in levels]
    return study(
        kind="strong",
        setting=setting,
        what=refer.words + (", backward" if backward else ""),
        levels=levels,
        h=step,
        errors=values,
        lower=torch.exp(rates.value - spread),
        upper=torch.exp(rates.value + spread),
        fit=fit(step, rates.value, rates.left_out, flags, confidence),
        confidence=confidence,
        paths=paths,
    )


@dataclass(frozen=True)
class Reference:
    """What strong errors are measured against; `values` gives None where it differs for each
    step (`halves`). A solution by a method says which one, and its number of steps."""

    words: str
    values: Callable[[Solved], Tensor | None]
    method: tuple[Tableau, int] | None = None
    halves: bool = False


def _path(
    setting: Setting, refer: Reference, levels: tuple[int, ...], seed: int, first: int, count: int
) -> BrownianPath:
    """A path on which the study's and the reference's grids agree about all that they need."""
    tableau, finest = refer.method or (setting.tableau, 1)
    if not (primitives(setting.tableau) | primitives(tableau)) & {"K", "A", "E", "F"}:
        return setting.tree(seed, first, count)
    numbers = {1, finest, *levels}
    if refer.halves:
        numbers |= {2 * n for n in levels}
    return setting.nested(seed, first, count, numbers)


def _reference(
    setting: Setting,
    reference: str | int | tuple[str | Tableau, int] | None,
    levels: tuple[int, ...],
    backward: bool,
) -> Reference:
    solution = None if setting.problem is None else setting.problem.solution
    if backward:
        if solution is None:
            raise ProblemError(
                "a backward study starts from the closed form at the end time, which "
                f"{setting.name!r} does not have"
            )
        if reference is not None:
            raise ProblemError("a backward study compares with the start; it takes no reference")
        if setting.sde.calculus == "ito" and setting.sde.noise != "additive":
            raise ProblemError(
                f"{setting.tableau.name!r} is an Ito method: backwards it solves another (backward "
                "Ito) equation and does not retrace its path; take a Stratonovich method or "
                "additive noise"
            )
        return Reference("closed form on the same path", lambda solved: setting.start)
    if reference is None and solution is not None:
        return Reference(
            "closed form on the same path", lambda solved: setting.closed_form(solved.path)
        )
    if reference == "half":
        return Reference(
            "differences to half the step on the same path", lambda solved: None, halves=True
        )
    if reference is None:
        reference = 16 * levels[-1]
    method, n = (setting.tableau, reference) if isinstance(reference, int) else _pair(reference)
    if isinstance(n, bool) or not isinstance(n, int) or n <= levels[-1]:
        raise ProblemError(
            f"a reference needs more steps than the study's finest, {levels[-1]}, but has {n!r}"
        )
    tableau = resolve_method(method)
    # The reference may be of another calculus only where both solve the same equation.
    if tableau.calculus != setting.tableau.calculus and setting.sde.noise != "additive":
        raise ProblemError(
            f"reference method {tableau.name!r} is {tableau.calculus}, but "
            f"{setting.tableau.name!r} is {setting.tableau.calculus}; the two converge to "
            "different solutions of one SDE"
        )
    return Reference(
        f"{tableau.name} with {n} steps on the same path",
        lambda solved: solved(tableau, n),
        (tableau, n),
    )


def _pair(reference: object) -> tuple[Any, Any]:
    if isinstance(reference, (tuple, list)) and len(reference) == 2:
        return reference[0], reference[1]
    raise ProblemError(
        f"reference must be None, 'half', a number of steps or (method, steps), got {reference!r}"
    )


def _norm2(y: Tensor) -> Tensor:
    """Squared Euclidean norm of each path's state, (paths,)."""
    return (y * y).reshape(len(y), -1).sum(1) if y.ndim > 1 else y * y
