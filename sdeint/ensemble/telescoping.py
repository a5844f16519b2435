"""Multilevel Monte Carlo: a telescoping sum over step sizes, each correction on its own paths.

``E P_L = E P_0 + sum_l E (P_l - P_(l-1))``.  Both terms of a correction are solved on the same path, the
coarse one on the fine one's steps joined (Chen's relation), so that their difference has a small
variance and few paths suffice where steps are expensive (Giles, Operations Research 56, 2008).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sdeint.convergence.setting import primitives
from sdeint.ensemble import requests
from sdeint.ensemble.corrections import APART, Corrections
from sdeint.ensemble.functionals import Of
from sdeint.ensemble.levels import Level, LevelsEstimate
from sdeint.ensemble.ordered import Piece, check_executor
from sdeint.ensemble.simulation import Simulation
from sdeint.ensemble.starts import Start, Starts
from sdeint.ensemble.statistics import Statistics
from sdeint.ensemble.tally import Tally
from sdeint.errors import ProblemError
from sdeint.problem import SDE
from sdeint.problems.closed_form import Functional
from sdeint.progress import track
from tableaux import PRIMITIVES, Tableau

__all__ = ["multilevel"]

_MAX_LEVELS = 32
#: Share of eps^2 that is left to the squared bias.
_BIAS_SHARE = 0.25
#: A variance from fewer paths is held against that of the level before.
_FEW = 10_000


def multilevel(
    sde: SDE,
    y0: Tensor | Starts,
    t: Any,
    functional: Functional | Of,
    eps: float,
    *,
    method: str | Tableau = "auto",
    steps: int = 1,
    refinement: int = 2,
    weak_order: float | None = None,
    pilot: int = 1000,
    min_levels: int = 3,
    max_levels: int = 12,
    max_paths: int | None = None,
    seed: int = 0,
    chunk: int | None = None,
    executor: Executor | None = None,
    in_flight: int | None = None,
    checkpoint: str | Path | None = None,
    compile: bool = False,
    progress: bool = False,
    **options: Any,
) -> LevelsEstimate:
    r"""Estimate an expectation to a root mean square error by multilevel Monte Carlo.

    Level l takes ``steps * refinement**l`` uniform steps.  The number of paths of each level
    minimises the cost for the variance that eps leaves: ``N_l ~ sqrt(V_l / C_l)``.  The bias of the
    finest level is extrapolated from the means of the last corrections and the weak order; levels are
    added until it is at most eps/2.

    Parameters
    ----------
    sde, y0, t
        As for `sdeint.expect`; `y0` is one state or a function of (first, count).
    functional : callable or Functional
        Of the end values, (batch, \*event) -> (batch,).
    eps : float
        Root mean square error, in the unit of the functional.
    method : str or Tableau
        One whose random variables are functionals of the path; ``"auto"`` picks one for paths.
    steps : int
        Of level 0.
    refinement : int
    weak_order : float, optional
        By default the method's, for the noise of the problem.  Give 1/2 or so for a functional that
        is not smooth, if the means show it.
    pilot : int
        Paths of a new level before its variance is used.
    min_levels, max_levels : int
    max_paths : int, optional
        At most so many paths on any level; `met` says whether that was enough.
    compile : bool
        Whether the steps of all levels are compiled.
    seed, chunk, executor, in_flight, checkpoint, progress, **options
        As for `sdeint.expect`.  A level has path indices of its own.

    Returns
    -------
    LevelsEstimate

    Raises
    ------
    ProblemError
        If a request is inconsistent, or the method draws discrete variables: coarse and fine steps
        share a path, which those have not.
    ChunkError, CheckpointError
        As for `sdeint.expect`.

    Examples
    --------
    >>> import torch, sdeint
    >>> sde = sdeint.SDE(lambda t, y: 0.05 * y, lambda t, y: 0.2 * y)
    >>> def call(y):
    ...     return (y[:, 0] - 1).clamp_min(0) * 0.951229
    >>> y0 = torch.ones(1, dtype=torch.float64)
    >>> found = sdeint.multilevel(sde, y0, [0.0, 1.0], call, 1e-3)
    >>> abs(found.mean - 0.104506) < 4e-3
    True
    """
    began = time.perf_counter()
    _check(eps, steps, refinement, pilot, min_levels, max_levels, max_paths)
    requests.check_seed(seed)
    requests.check_options(options)
    check_executor(executor, in_flight)
    file = requests.check_file(checkpoint)
    simulation = Simulation.of(
        sde,
        Start.checked(sde, y0, None, 0),
        t,
        functional,
        method=method,
        steps=steps,
        save_at=None,
        seed=seed,
        purpose="paths",
        discrete=False,
        compile=compile,
        paths=None,
        options=options,
    )
    tableau = simulation.tableau
    if len(simulation.times) != 2:
        raise ProblemError(f"t must be a start and an end, got {len(simulation.times)} times")
    if len(simulation.functionals) != 1:
        raise ProblemError("multilevel takes one functional, since each has levels of its own")
    discrete = [n for n in sorted(primitives(tableau)) if PRIMITIVES[n].law != "path"]
    if discrete:
        raise ProblemError(
            f"{tableau.name!r} draws the discrete variables {', '.join(discrete)}, which make "
            "no path for two levels to share; take a method for paths, as method='auto' does"
        )
    order = _weak_order(tableau, sde, weak_order)
    ladder = Ladder(
        Corrections(simulation, steps, refinement),
        order,
        float(eps),
        pilot,
        min_levels,
        max_levels,
        max_paths or APART,
        requests.chunk_units(chunk, 1, simulation.numbers),
    )
    wishes = [refinement, order, eps, pilot, min_levels, max_levels, max_paths]
    tally = Tally(file, lambda: {**simulation.arguments(), "chunk": chunk, "multilevel": wishes})
    levels, bias, met = ladder(tally, executor, in_flight, progress)
    return LevelsEstimate(
        mean=math.fsum(level.mean for level in levels),
        error=math.sqrt(math.fsum(level.error**2 for level in levels)),
        bias=bias,
        eps=eps,
        met=met,
        levels=tuple(levels),
        method=tableau.name,
        refinement=refinement,
        weak_order=order,
        seconds=time.perf_counter() - began,
    )


@dataclass(frozen=True)
class Ladder:
    """The levels on their way: how many paths each needs, and when to add one.

    Decisions are taken only when every level has the paths that it was to have, so that they depend
    on the levels' statistics alone, and a run that was interrupted takes the same ones.
    """

    corrections: Corrections
    order: float
    eps: float
    pilot: int
    min_levels: int
    max_levels: int
    max_paths: int
    chunk: int

    def __call__(
        self, tally: Tally, executor: Executor | None, in_flight: int | None, progress: bool
    ) -> tuple[list[Level], float, bool]:
        """The levels, the bias of the last one, and whether eps was reached."""
        pilot = min(self.pilot, self.max_paths)
        # Saved with every chunk, so that a round that was interrupted is finished first.
        wanted: list[int] = tally.state.setdefault("wanted", [pilot] * self.min_levels)
        while True:
            self._fill(tally, wanted, executor, in_flight, progress)
            levels = [
                _level(self.corrections.fine_steps(i), tally.found[i]) for i in range(len(wanted))
            ]
            more = self._optimal(levels)
            # A few per cent are not worth another round.
            if any(n > 1.01 * old for n, old in zip(more, wanted)):
                wanted[:] = [max(n, old) for n, old in zip(more, wanted)]
                continue
            bias = self._bias(levels)
            enough = bias <= math.sqrt(_BIAS_SHARE) * self.eps
            if enough or len(levels) == self.max_levels:
                spread = math.fsum(x.error**2 for x in levels)
                met = enough and spread <= 1.05 * (1 - _BIAS_SHARE) * self.eps**2
                return levels, bias, met
            wanted.append(pilot)

    def _fill(
        self,
        tally: Tally,
        wanted: Sequence[int],
        executor: Executor | None,
        in_flight: int | None,
        progress: bool,
    ) -> None:
        """Give every level the paths that it is to have."""
        pieces = list(self._pieces(tally, wanted))
        work = sum(self._steps(piece) for piece in pieces)
        title = f"multilevel {self.corrections.simulation.tableau.name}, {len(wanted)} levels"
        with track(work, title, progress and bool(pieces)) as advance:
            for piece in tally.gather(self.corrections, pieces, executor, in_flight):
                advance(self._steps(piece))

    def _pieces(self, tally: Tally, wanted: Sequence[int]) -> Iterator[Piece]:
        """What is left to do, a level after the other."""
        for level, last in enumerate(wanted):
            for first in range(tally.count(level), last, self.chunk):
                count = min(self.chunk, last - first)
                yield Piece(first // self.chunk, level * APART + first, count)

    def _steps(self, piece: Piece) -> int:
        return piece.count * self.corrections.fine_steps(piece.first // APART)

    def _optimal(self, levels: Sequence[Level]) -> list[int]:
        """Paths of each level for the least cost (Giles 2008, equation 12)."""
        variances = self._variances(levels)
        total = math.fsum(math.sqrt(v * x.cost) for v, x in zip(variances, levels))
        scale = total / ((1 - _BIAS_SHARE) * self.eps**2)
        return [
            min(self.max_paths, math.ceil(scale * math.sqrt(v / x.cost)))
            for v, x in zip(variances, levels)
        ]

    def _variances(self, levels: Sequence[Level]) -> list[float]:
        """The levels' variances; where paths are few, not believed to fall faster than they can.

        A digital option's corrections vanish on nearly all paths; a pilot may see none that does not.
        A variance is at least of the order of the squared mean, h^(2 * weak order).
        """
        variances = [x.variance for x in levels]
        for i in range(2, len(variances)):
            if levels[i].paths < _FEW:
                least = variances[i - 1] / self.corrections.refinement ** (2 * self.order)
                variances[i] = max(variances[i], least)
        return variances

    def _bias(self, levels: Sequence[Level]) -> float:
        """|E P - E P_L|, from the last three corrections as the weak order continues them."""
        last = len(levels) - 1
        shrink = math.pow(self.corrections.refinement, self.order)
        return max(
            abs(levels[i].mean) * math.pow(shrink, i - last) / (shrink - 1)
            for i in range(max(1, last - 2), last + 1)
        )


def _level(steps: int, statistics: Statistics) -> Level:
    mean, moments = statistics.moments.mean(), statistics.moments
    variance = moments.variance()
    return Level(
        steps=steps,
        paths=statistics.count,
        mean=float(mean[0]),
        error=float(moments.error()[0]),
        variance=float(variance[0]),
        plain=float(variance[1]),
        cost=float(mean[2]),
    )


def _weak_order(tableau: Tableau, sde: SDE, given: float | None) -> float:
    if given is not None:
        if not 0 < given < math.inf:
            raise ProblemError(f"weak_order must be a positive number, got {given!r}")
        return float(given)
    known = tableau.claimed(sde.noise)[1]
    if known is None or known <= 0:
        raise ProblemError(
            f"{tableau.name!r} claims no weak order for {sde.noise} noise; give weak_order=..."
        )
    return float(known)


def _check(
    eps: Any, steps: Any, refinement: Any, pilot: Any, lowest: Any, highest: Any, max_paths: Any
) -> None:
    if isinstance(eps, bool) or not isinstance(eps, (int, float)) or not 0 < eps < math.inf:
        raise ProblemError(f"eps must be a positive number, got {eps!r}")
    for name, value, least in (
        ("steps", steps, 1),
        ("refinement", refinement, 2),
        ("pilot", pilot, 2),
        ("min_levels", lowest, 2),
        ("max_levels", highest, lowest),
        ("max_paths", 2 if max_paths is None else max_paths, 2),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ProblemError(f"{name} must be an int of at least {least}, got {value!r}")
    if highest > _MAX_LEVELS:
        raise ProblemError(f"max_levels must be at most {_MAX_LEVELS}, got {highest}")
