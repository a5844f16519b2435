"""All samplers on one target: how far each is from its limit, at every budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from benchmarks.study.common_path import CommonPath, of_all
from benchmarks.study.contenders import Contender, Equation, limit
from benchmarks.study.limit import Estimate, Limit
from benchmarks.study.problems import Target
from sdeint import ProblemError

__all__ = ["Comparison", "compare"]

_SEED = 3
_GROUPS = 32
# Numbers of a state: with 2000 times, paths and their integrals take 0.5 GB.
_AT_ONCE = 1 << 15
_EQUATIONS: tuple[Equation, ...] = ("fitted", "plain", "flow")
#: (samples, samples of their limit) -> further measures.
Measures = Callable[[Tensor, Tensor], dict[str, float]]


@dataclass(frozen=True)
class Comparison:
    """What was found on one target.

    Attributes
    ----------
    errors : dict
        Sampler to budget to distance from the limit.
    others : dict
        Sampler to further measures, at one budget.
    """

    errors: dict[str, dict[int, Estimate]] = field(default_factory=dict)
    others: dict[str, dict[str, float]] = field(default_factory=dict)


def compare(
    target: Target,
    samplers: Sequence[Contender],
    budgets: Sequence[int],
    items: int,
    fine: int,
    measures: Measures | None = None,
    middle: int = 0,
) -> Comparison:
    """Run all samplers.

    Parameters
    ----------
    target : Target
    samplers : sequence of Contender
    budgets : sequence of int
        Evaluations.
    items : int
        Samples of each; a power of 2 of at least 32.
    fine : int
        Evaluations of the limit.
    measures : callable, optional
        Further measures, taken at the budget `middle`.
    """
    found = Comparison({c.name: {} for c in samplers})
    chunk = _chunk(items, math.prod(target.event))
    for equation in _EQUATIONS:
        own = [c for c in samplers if c.equation == equation]
        runs = [(c, nfe) for c in own for nfe in budgets if _possible(c, target, nfe)]
        if not runs:
            continue
        end, levels = limit(equation), None
        gaps: dict[tuple[str, int], list[Tensor]] = {(c.name, nfe): [] for c, nfe in runs}
        drawn: dict[str, list[Tensor]] = {c.name: [] for c, nfe in runs if nfe == middle}
        ends = []
        times = of_all([end.times(target, fine), *(c.times(target, n) for c, n in runs)])
        for seed in range(_SEED, _SEED + items // chunk):
            path = None
            if equation != "flow":
                path = CommonPath(times, seed, (chunk,), target.event)
            ends.append(end.draw(target.request(chunk, fine, seed, path)))
            judge = Limit(ends[-1], max(1, _GROUPS // (items // chunk)), levels)
            levels = judge.levels
            for contender, nfe in runs:
                x = contender.draw(target.request(chunk, nfe, seed, path))
                gaps[contender.name, nfe].append(judge.gaps(x))
                if nfe == middle:
                    drawn[contender.name].append(x)
        assert levels is not None
        for (name, nfe), parts in gaps.items():
            found.errors[name][nfe] = levels.estimate(torch.cat(parts))
        if measures is not None:
            for name, xs in drawn.items():
                if bool(torch.isfinite(torch.cat(xs)).all()):
                    found.others[name] = measures(torch.cat(xs), torch.cat(ends))
    found.others.update({n: found.others.pop(n) for n in found.errors if n in found.others})
    return found


def _chunk(items: int, coordinates: int) -> int:
    """Samples at a time, so that their paths fit the memory: a divisor of the items."""
    chunk = items
    while chunk % 2 == 0 and chunk * coordinates > _AT_ONCE:
        chunk //= 2
    return chunk


def _possible(contender: Contender, target: Target, nfe: int) -> bool:
    """Whether a budget is enough for a step."""
    try:
        contender.times(target, nfe)
    except ProblemError:
        return False
    return True
