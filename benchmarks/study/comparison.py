"""All samplers on one target: how far each is from its limit, at every budget.

All are drawn alike at first.  Then, at budgets where it is open whether ours is ahead, more samples are
drawn of those that a `Race` still has to tell apart, each time as many as there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from benchmarks.study.common_path import CommonPath, of_all
from benchmarks.study.contenders import Contender, Equation, limit
from benchmarks.study.limit import Estimate, Levels, Limit
from benchmarks.study.problems import Target
from benchmarks.study.race import LOOKS, Race
from sdeint import ProblemError

__all__ = ["Comparison", "compare"]

_SEED = 3
_GROUPS = 32
# Numbers of a state: with 500 times, paths and their integrals take 0.5 GB.
_AT_ONCE = 1 << 16
_EQUATIONS: tuple[Equation, ...] = ("fitted", "plain", "flow")
#: (samples, samples of their limit) -> further measures.
Measures = Callable[[Tensor, Tensor], dict[str, float]]
#: Sampler and budget.
Run = tuple[str, int]


@dataclass(frozen=True)
class Comparison:
    """What was found on one target.

    Attributes
    ----------
    errors : dict
        Sampler to budget to distance from the limit.
    others : dict
        Sampler to further measures, at one budget.
    races : dict
        Budget to what was decided there.
    samples : dict
        Budget to the samples of those that were drawn longest.
    """

    errors: dict[str, dict[int, Estimate]]
    others: dict[str, dict[str, float]]
    races: dict[int, Race]
    samples: dict[int, int]


def compare(
    target: Target,
    samplers: Sequence[Contender],
    budgets: Sequence[int],
    items: int,
    fine: int,
    leaders: Callable[[int], Sequence[str]] = lambda nfe: (),
    allowance: float = 0.0,
    measures: Measures | None = None,
    middle: int = 0,
) -> Comparison:
    """Run all samplers, and on those that are not told apart.

    Parameters
    ----------
    target : Target
    samplers : sequence of Contender
    budgets : sequence of int
        Evaluations.
    items : int
        Samples of each at first; a power of 2 of at least 32.
    fine : int
        Evaluations of the limit.
    leaders : callable (budget) -> names, optional
        Those of ours whose standing is to be decided; none by default.
    allowance : float
        Evaluations in races, as a multiple of those before.
    measures : callable, optional
        Further measures, taken at the budget `middle`.
    """
    chunk = _chunk(items, math.prod(target.event))
    chunks = items // chunk
    draws = _Draws(target, samplers, fine, chunk, max(1, _GROUPS // chunks))
    drawn: dict[str, list[tuple[Tensor, Tensor]]] = {c.name: [] for c in samplers}

    def keep(run: Run, x: Tensor, end: Tensor) -> None:
        if measures is not None and run[1] == middle:
            drawn[run[0]].append((x, end))

    runs = [(c.name, nfe) for c in samplers for nfe in budgets if _possible(c, target, nfe)]
    draws.add(runs, range(_SEED, _SEED + chunks), keep)
    others = {}
    for name, pairs in drawn.items():
        x, end = (torch.cat(parts) for parts in zip(*pairs)) if pairs else (torch.empty(0),) * 2
        if measures is not None and len(x) and bool(torch.isfinite(x).all()):
            others[name] = measures(x, end)

    rivals = [c.name for c in samplers if c.stochastic and c.kind != "ours"]
    races = {n: Race(leaders(n), [r for r in rivals if (r, n) in draws.gaps]) for n in budgets}
    _hold(races, draws, chunks, allowance * draws.cost(runs))
    errors: dict[str, dict[int, Estimate]] = {c.name: {} for c in samplers}
    for name, nfe in runs:
        errors[name][nfe] = draws.estimate((name, nfe))
    samples = {n: chunk * max(len(draws.gaps[run]) for run in runs if run[1] == n) for n in budgets}
    return Comparison(errors, others, races, samples)


def _hold(races: Mapping[int, Race], draws: _Draws, chunks: int, left: float) -> None:
    """Hold races: in each round the cheapest first, as long as the allowance lasts.

    A race without a round is over: its samplers have not been drawn as often as those of others.

    Parameters
    ----------
    chunks : int
        How many there are of all samplers.
    left : float
        Evaluations, each of so many chunks.
    """
    running, so_far = dict(races), chunks
    for look in range(LOOKS):
        contested = {n: r.contested(LOOKS - look) if look else r.pairs for n, r in running.items()}
        if look:
            paid: list[Run] = []
            for nfe in sorted(running, key=lambda n: draws.cost(_runs(n, contested[n]))):
                more = paid + _runs(nfe, contested[nfe])
                if contested[nfe] and draws.cost(more) * so_far / chunks <= left:
                    paid = more
                else:
                    del running[nfe]
            left -= draws.cost(paid) * so_far / chunks
            draws.add(paid, range(_SEED + so_far, _SEED + 2 * so_far))
            so_far *= 2
        for nfe, race in running.items():
            found = {run[0]: draws.estimate(run) for run in _runs(nfe, contested[nfe])}
            race.look(contested[nfe], found)


def _runs(nfe: int, pairs: Iterable[tuple[str, str]]) -> list[Run]:
    return [(name, nfe) for name in dict.fromkeys(name for pair in pairs for name in pair)]


@dataclass
class _Draws:
    """What is drawn of the samplers on one target.

    Attributes
    ----------
    chunk, groups : int
        Samples at a time, and in how many groups they are: all groups are of one size.
    gaps : dict
        Run to the gaps of its distribution functions, (groups, directions, levels) a chunk.
    levels : dict
        Equation to the levels at which all its distribution functions are compared.
    """

    target: Target
    samplers: Sequence[Contender]
    fine: int
    chunk: int
    groups: int
    gaps: dict[Run, list[Tensor]] = field(default_factory=dict)
    levels: dict[Equation, Levels] = field(default_factory=dict)

    def add(
        self,
        runs: Sequence[Run],
        seeds: range,
        keep: Callable[[Run, Tensor, Tensor], None] = lambda run, x, end: None,
    ) -> None:
        """Draw a chunk of each run with each seed; all of them are shown to `keep`, with their limit."""
        target = self.target
        for equation, own in self._by_equation(runs).items():
            end = limit(equation)
            grids = [end.times(target, self.fine), *(c.times(target, nfe) for c, nfe in own)]
            times = of_all(grids)
            for seed in seeds:
                path = None
                if equation != "flow":
                    path = CommonPath(times, seed, (self.chunk,), target.event)
                ends = end.draw(target.request(self.chunk, self.fine, seed, path))
                judge = Limit(ends, self.groups, self.levels.get(equation))
                self.levels[equation] = judge.levels
                for contender, nfe in own:
                    x = contender.draw(target.request(self.chunk, nfe, seed, path))
                    run = (contender.name, nfe)
                    self.gaps.setdefault(run, []).append(judge.gaps(x))
                    keep(run, x, ends)

    def cost(self, runs: Sequence[Run]) -> int:
        """Evaluations of a sample of each, and of their limits."""
        return len(self._by_equation(runs)) * self.fine + sum(nfe for _, nfe in runs)

    def estimate(self, run: Run) -> Estimate:
        """From all that was drawn."""
        equation = next(c.equation for c in self.samplers if c.name == run[0])
        return self.levels[equation].estimate(torch.cat(self.gaps[run]))

    def _by_equation(self, runs: Sequence[Run]) -> dict[Equation, list[tuple[Contender, int]]]:
        found: dict[Equation, list[tuple[Contender, int]]] = {}
        named = {c.name: c for c in self.samplers}
        for equation in _EQUATIONS:
            own = [(named[name], nfe) for name, nfe in runs if named[name].equation == equation]
            found |= {equation: own} if own else {}
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
