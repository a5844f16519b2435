"""Weak convergence: errors of expectations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sdeint.brownian import Antithetic
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
from sdeint.problems import Functional, Problem
from sdeint.progress import track
from tableaux import PRIMITIVES, Tableau

DISTINCT = 4.0  # standard errors that an error must stand out by before its logarithm is used

Of = Callable[[Tensor], Tensor]


def weak(
    problem: Problem | SDE,
    method: str | Tableau,
    functional: str | Functional | Of | None = None,
    *,
    exact: float | None = None,
    coupling: str = "auto",
    steps: Sequence[int] = (8, 16, 32, 64),
    paths: int = 20_000,
    seed: int = 0,
    y0: Tensor | None = None,
    t: tuple[float, float] | None = None,
    confidence: float = 0.95,
    chunk: int = CHUNK,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Study:
    """Error of an expectation at the end time, ``|E f(X_N) - E f(X)|``.

    Parameters
    ----------
    problem : Problem or SDE
        A problem is taken in the calculus of the method; an SDE needs `y0` and `t`.
    method : str or Tableau
    functional : str, Functional or callable
        The name of one of the problem's, or ``(*batch, d) -> (*batch)``. A problem's first one if
        not given.
    exact : float, optional
        The exact expectation of a callable.
    coupling : {"auto", "solution", "half", "independent"}
        ``"solution"``: average ``f(X_N) - f(X)`` with the closed form on the same tree path.
        ``"half"``: average ``f(X_N) - f(X_2N)`` on the same tree path: differences that show the
        order, no errors.
        ``"independent"``: average ``f(X_N) - exact`` over antithetic pairs, other paths for every
        N; the only one for methods with discrete variables. ``"auto"``: the first of "solution",
        "independent", "half" that can be.
    steps, seed, y0, t, confidence, chunk, dtype, device, progress
        As in `strong`.
    paths : int
        At least 2; rounded up to an even number where they come in antithetic pairs.

    Raises
    ------
    ProblemError
        If a request is inconsistent; the message says what would be right.
    """
    setting = Setting.of(problem, method, y0, t, dtype, device)
    levels = checked_steps(steps)
    check_sample(paths, seed, confidence, chunk)
    name, of, exact = _functional(setting, functional, exact)
    coupling = _coupling(setting, coupling, exact)
    pairs = coupling == "independent"
    samples = (paths + 1) // 2 if pairs else paths
    sums = Blocks(len(levels), samples)
    size = 0.0
    with track(samples * sum(levels), f"weak {setting.tableau.name}", progress) as advance:
        for first, count in chunks(samples, max(1, chunk // 2) if pairs else chunk):
            if pairs:
                for j, n in enumerate(levels):
                    # every number of steps has path indices of its own
                    base = setting.grid(seed, j * samples + first, count)
                    end = setting.solve(setting.tableau, n, Antithetic(base), 2 * count)
                    values = of(end).reshape(2, count)
                    assert exact is not None
                    sums.add(j, first, values.mean(0) - exact)
                    size = max(size, abs(exact), float(values.abs().mean()))
                    advance(count * n)
                continue
            solved = Solved(setting, setting.tree(seed, first, count), count, False, advance)
            target = of(setting.closed_form(solved.path)) if coupling == "solution" else None
            for j, n in enumerate(levels):
                here = of(solved(setting.tableau, n))
                there = of(solved(setting.tableau, 2 * n)) if target is None else target
                sums.add(j, first, here - there)
                size = max(size, float(there.abs().mean()))
    means = sums.jackknife(lambda mean: mean, floor=-math.inf)
    quantile = student(confidence, sums.blocks - 1)
    spread = quantile * means.errors
    absolute = means.value.abs()
    rounding = ROUNDING * torch.finfo(dtype).eps * size
    flags = _weak_flags(means.value, means.errors, max(quantile, DISTINCT), rounding)
    step = [setting.length / n for n in levels]
    logs = torch.log(absolute.clamp_min(1e-300))
    left_out = torch.log(means.left_out.abs().clamp_min(1e-300))
    words = {
        "solution": "closed form on the same path",
        "half": "differences to half the step on the same path",
        "independent": "antithetic pairs, independent for each step size",
    }[coupling]
    return study(
        kind="weak",
        setting=setting,
        what=f"{name}, {words}",
        levels=levels,
        h=step,
        errors=absolute,
        lower=(absolute - spread).clamp_min(0.0),
        upper=absolute + spread,
        fit=fit(step, logs, left_out, flags, confidence),
        confidence=confidence,
        paths=2 * samples if pairs else paths,
    )


def _functional(
    setting: Setting, functional: str | Functional | Of | None, exact: float | None
) -> tuple[str, Of, float | None]:
    if functional is None or isinstance(functional, str):
        if setting.problem is None:
            raise ProblemError(
                "a weak study of an SDE (or with a y0 or t of its own) needs a functional: a "
                "callable (*batch, d) -> (*batch), with its exact expectation if that is known"
            )
        functional = setting.problem.functional(functional)
    if isinstance(functional, Functional):
        value = functional.exact(setting.length) if exact is None else exact
        return functional.name, functional.of, value
    if not callable(functional):
        raise ProblemError(f"functional must be a name or callable, got {functional!r}")
    return getattr(functional, "__name__", "a functional"), functional, exact


def _coupling(setting: Setting, coupling: str, exact: float | None) -> str:
    solved = setting.problem is not None and setting.problem.solution is not None
    discrete = sorted(n for n in primitives(setting.tableau) if PRIMITIVES[n].law != "path")
    if coupling == "auto":
        if solved and not discrete:
            return "solution"
        return "independent" if exact is not None or discrete else _coupling(setting, "half", exact)
    if coupling not in ("solution", "half", "independent"):
        raise ProblemError(
            f"coupling must be 'auto', 'solution', 'half' or 'independent', got {coupling!r}"
        )
    if coupling != "independent" and discrete:
        raise ProblemError(
            f"{setting.tableau.name!r} uses the variables {', '.join(discrete)}, which "
            "make no path to couple step sizes on; take coupling='independent'"
        )
    if coupling == "solution" and not solved:
        raise ProblemError(f"coupling='solution' needs a closed form, which {setting.name!r} lacks")
    if coupling == "independent" and exact is None:
        raise ProblemError("coupling='independent' needs the exact expectation: give exact=...")
    return coupling


def _weak_flags(mean: Tensor, errors: Tensor, factor: float, rounding: float) -> list[str]:
    flags = []
    for m, s in zip(mean.tolist(), errors.tolist()):
        flags.append("rounding" if abs(m) < rounding else "noise" if abs(m) <= factor * s else "")
    usable = [j for j, flag in enumerate(flags) if not flag]
    if usable:
        sign = math.copysign(1.0, float(mean[usable[-1]]))
        crossed = False
        for j in reversed(usable):
            crossed = crossed or math.copysign(1.0, float(mean[j])) != sign
            flags[j] = "sign" if crossed else ""
    return flags
