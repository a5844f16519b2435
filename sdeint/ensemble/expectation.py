"""Expectations over paths that come and go: bounded memory, any executor, resumed after a kill."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

from torch import Tensor

from sdeint.ensemble import requests
from sdeint.ensemble.estimate import Estimate, estimate_from
from sdeint.ensemble.failures import CheckpointError
from sdeint.ensemble.functionals import Of, OneOrMore
from sdeint.ensemble.ordered import Piece, check_executor
from sdeint.ensemble.sampling import Sampler
from sdeint.ensemble.simulation import Simulation
from sdeint.ensemble.starts import Start, Starts
from sdeint.ensemble.statistics import Statistics
from sdeint.ensemble.tally import Tally
from sdeint.errors import ProblemError
from sdeint.problem import SDE
from sdeint.problems.closed_form import Functional
from sdeint.progress import track
from tableaux import Tableau

__all__ = ["expect"]

#: A standard error from fewer units is not trusted to stop the run.
TRUSTED = 1000


@overload
def expect(
    sde: SDE, y0: Tensor | Starts, t: Any, functional: Functional | Of, **arguments: Any
) -> Estimate: ...


@overload
def expect(
    sde: SDE,
    y0: Tensor | Starts,
    t: Any,
    functional: Mapping[str, Functional | Of],
    **arguments: Any,
) -> dict[str, Estimate]: ...


def expect(
    sde: SDE,
    y0: Tensor | Starts,
    t: Any,
    functional: OneOrMore,
    *,
    paths: int | None = None,
    method: str | Tableau = "auto",
    steps: int | None = None,
    seed: int = 0,
    path: str = "grid",
    save_at: Any = None,
    purpose: str | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    confidence: float = 0.95,
    antithetic: bool = False,
    quantiles: Sequence[float] = (),
    histogram: Any = None,
    covariance: bool = False,
    first_path: int = 0,
    chunk: int | None = None,
    executor: Executor | None = None,
    in_flight: int | None = None,
    checkpoint: str | Path | None = None,
    compile: bool | str = "auto",
    progress: bool = False,
    **options: Any,
) -> Estimate | dict[str, Estimate]:
    r"""Estimate the expectation of a functional over paths, with its standard error.

    Paths are solved a chunk at a time and only statistics are kept, so that the memory does not grow
    with their number.  Path i is the same whatever the chunk that it is in, and the statistics are
    exact sums and counts: the result has the same bits for any executor, any number of workers and
    any interruptions.

    Parameters
    ----------
    sde : SDE
    y0 : tensor or callable
        One state, from which all paths start; or a tensor (paths, \*event); or a function ``(first,
        count) -> (count, *event)`` of the path index, for random initial values.  With antithetic
        paths it goes by pairs.
    t : sequence of float or tensor
        As for `sdeint.solve`.
    functional : callable, Functional, or mapping of str to them
        Of the end values (batch, \*event), or with `save_at` of the `Solution`, to a tensor (batch,
        ...).  A mapping gives a dict of estimates, all on the same paths.
    paths : int
        How many paths; with a tolerance, how many at most.
    method : str or Tableau
        ``"auto"`` picks by noise class, calculus and `purpose`.
    steps, path, save_at
        As for `sdeint.solve`; `path` is ``"grid"`` or ``"tree"``.
    purpose : {"moments", "paths"}, optional
        What ``"auto"`` picks for.  By default moments; but paths if quantiles or a histogram are
        wanted, since a method for moments may draw its noise from few values, and the state then
        has atoms.  The same goes for a functional that jumps: say ``"paths"``.
    seed : int
    rtol, atol : float, optional
        Stop when the standard error of every component is at most ``max(atol, rtol |mean|)``.  It
        is looked at after every chunk, from 1000 paths (or pairs) on.
    confidence : float
        Of the estimate's `interval`.
    antithetic : bool
        Solve every path with its mirror image, W -> -W.
    quantiles : sequence of float
        Levels in (0, 1).
    histogram : sequence or tensor, or mapping of str to them, optional
        Edges of bins, for all functionals or by their names.
    covariance : bool
        Keep the covariance matrix of the functional's components.
    first_path : int
        Index of the first path (or pair).
    chunk : int, optional
        Paths at a time.  By default 16384, fewer where the saved values of a path are more than 64
        numbers: 2**20 numbers in all.
    executor : concurrent.futures.Executor or Dask client, optional
        Where chunks are computed: a thread or process pool, or a cluster.
    in_flight : int, optional
        Chunks submitted at a time; by default twice the workers.
    checkpoint : str or Path, optional
        A file that is written after every chunk.  If it exists, the run goes on from there.
    compile : {"auto", True, False}
        As for `sdeint.solve`; ``"auto"`` is settled once, by the work of all paths.
    progress : bool
        Show a progress bar with the time remaining; with a tolerance, until it is likely to be met.
    **options
        Further arguments of `sdeint.solve`.

    Returns
    -------
    Estimate
        Or a dict of them by name, for a mapping.

    Raises
    ------
    ProblemError
        If a request is inconsistent.
    ChunkError
        If a path is lost, or a functional raises or is not finite; it says how to repeat the chunk.
    CheckpointError
        If the checkpoint is damaged, of another run, or cannot be written.

    Examples
    --------
    >>> import torch, sdeint
    >>> sde = sdeint.SDE(lambda t, y: 0.1 * y, lambda t, y: 0.2 * y)
    >>> found = sdeint.expect(
    ...     sde, torch.ones(1), [0.0, 1.0], lambda y: y[:, 0], method="SRID1", steps=8, paths=4000
    ... )
    >>> found
    Estimate(functional: 1.10262 +- 0.0035, 4000 paths, SRID1: 8 steps)
    """
    size = 2 if antithetic else 1
    units = requests.checked_units(paths, size, first_path)
    requests.check_seed(seed)
    requests.check_unit_interval("confidence", confidence)
    requests.check_options(options)
    check_executor(executor, in_flight)
    tolerance = Tolerance(
        requests.checked_tolerance("rtol", rtol), requests.checked_tolerance("atol", atol)
    )
    levels = requests.checked_levels(quantiles)
    file = requests.check_file(checkpoint)
    if path not in ("grid", "tree"):
        raise ProblemError(f"path must be 'grid' or 'tree', got {path!r}")
    law = bool(levels) or histogram is not None
    simulation = Simulation.of(
        sde,
        Start.checked(sde, y0, units, first_path),
        t,
        functional,
        method=method,
        steps=steps,
        save_at=save_at,
        seed=seed,
        purpose=purpose or ("paths" if law else "moments"),
        discrete=path == "grid",
        compile=compile,
        paths=paths,
        options=options,
    )
    sampler = Sampler(
        simulation,
        path,
        antithetic,
        covariance,
        bool(levels),
        requests.checked_edges(histogram, simulation.functionals),
    )
    tally = Tally(file, lambda: {**sampler.arguments(), "chunk": chunk})
    run = Run(sampler, units, requests.chunk_units(chunk, size, simulation.numbers), tolerance)
    met = run(tally, executor, in_flight, progress)
    estimates = {
        name: estimate_from(
            name,
            tally.found[slot],
            levels=levels,
            confidence=confidence,
            met=met,
            method=simulation.tableau.name,
            steps=simulation.timeline.steps,
        )
        for slot, name in enumerate(simulation.functionals)
    }
    return estimates if isinstance(functional, Mapping) else next(iter(estimates.values()))


@dataclass(frozen=True)
class Tolerance:
    """How large the standard errors may be; no limits if both are zero."""

    rtol: float
    atol: float

    def __bool__(self) -> bool:
        return self.rtol > 0 or self.atol > 0

    def excess(self, found: Iterable[Statistics]) -> float:
        """The largest ratio of an error to what it may be: at most 1 when the tolerance is met."""
        if not self:
            return math.inf
        excess = 0.0
        for statistics in found:
            moments = statistics.moments
            if moments.count < TRUSTED:
                excess = max(excess, math.sqrt(TRUSTED / moments.count))
            allowed = (self.rtol * abs(moments.mean())).clip(min=self.atol)
            for error, most in zip(moments.error().tolist(), allowed.tolist()):
                if error > 0:
                    excess = max(excess, error / most if most > 0 else math.inf)
        return excess


@dataclass(frozen=True)
class Run:
    """An ensemble on its way: which chunks, and when to stop."""

    sampler: Sampler
    units: int
    chunk: int
    tolerance: Tolerance

    def __call__(
        self, tally: Tally, executor: Executor | None, in_flight: int | None, progress: bool
    ) -> bool:
        """Gather all paths that are needed; whether the tolerance was met."""
        size, done = self.sampler.size, tally.count()
        if done > self.units:
            raise CheckpointError(
                f"the checkpoint {str(tally.file)!r} has {size * done} paths already, more than the "
                f"{size * self.units} asked for"
            )
        excess = self.tolerance.excess(tally.found.values()) if done else math.inf
        # Whole chunks only: a run of fewer paths that is gone on with is looked at where one run is.
        if done % self.chunk == 0 and excess <= 1:
            return True
        title = f"expect {self.sampler.simulation.tableau.name}"
        with track(size * (self.units - done), title, progress) as advance:
            for piece in tally.gather(self.sampler, self.pieces(done), executor, in_flight):
                excess = self.tolerance.excess(tally.found.values())
                advance(size * piece.count, size * (self._needed(tally.count(), excess) - done))
                if excess <= 1:
                    return True
        return not self.tolerance or excess <= 1

    def _needed(self, count: int, excess: float) -> int:
        """Units that it will take, the error being one over the root of their number."""
        chunks = math.ceil(min(excess**2 * count, self.units) / self.chunk)
        return min(max(chunks * self.chunk, count), self.units)

    def pieces(self, done: int) -> Iterator[Piece]:
        """What is left to do, up to multiples of the chunk."""
        while done < self.units:
            number = done // self.chunk
            stop = min((number + 1) * self.chunk, self.units)
            yield Piece(number, self.sampler.simulation.start.first + done, stop - done)
            done = stop
