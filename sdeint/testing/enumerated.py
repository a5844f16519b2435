"""The study of weak errors of which nothing is sampled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from sdeint.convergence import Study
from sdeint.convergence.fitting import fit_exact

__all__ = ["study_of"]

#: Means of many outcomes are rounded to so many units.
_UNITS = 64


def study_of(
    method: str, problem: str, what: str, steps: Sequence[int], errors: Sequence[float]
) -> Study:
    """The order that exact errors show.

    Parameters
    ----------
    method, problem, what : str
        As in `Study`.
    steps : sequence of int
        To a unit of time.
    errors : sequence of float
        Of one step, divided by its size.
    """
    floor = _UNITS * float(np.finfo(float).eps)
    flags = ["rounding" if error / n < floor else "" for error, n in zip(errors, steps)]
    sizes = tuple(1 / n for n in steps)
    values = torch.tensor(errors, dtype=torch.float64)
    fit = fit_exact(sizes, torch.log(values.clamp_min(1e-300)), flags)
    return Study(
        kind="weak",
        method=method,
        problem=problem,
        what=what,
        steps=tuple(steps),
        h=sizes,
        errors=tuple(errors),
        lower=tuple(errors),
        upper=tuple(errors),
        flags=tuple(fit.flags),
        order=fit.order,
        order_interval=fit.interval,
        confidence=1.0,
        paths=0,
        note=fit.note,
    )
