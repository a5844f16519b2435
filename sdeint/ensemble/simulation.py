"""What is simulated: an equation, where its paths start, how they are solved, what is asked of them."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdeint.brownian import BrownianPath
from sdeint.checks import check_method, examine
from sdeint.choosing import choose
from sdeint.compiling import why_not, worth_compiling
from sdeint.ensemble.failures import ChunkError
from sdeint.ensemble.functionals import Of, OneOrMore, by_name, values_of
from sdeint.ensemble.ordered import Piece
from sdeint.ensemble.starts import Start
from sdeint.errors import NonFiniteError, ProblemError, StageError
from sdeint.lowering import lower
from sdeint.problem import SDE
from sdeint.solution import Solution, Stats
from sdeint.solving import resolve_method, solve
from sdeint.timeline import Timeline, plan
from tableaux import Tableau

__all__ = ["Simulation"]


@dataclass(frozen=True)
class Simulation:
    """Settled before the first path; it can be sent to a worker.

    Attributes
    ----------
    sde : SDE
    start : Start
    times : tensor
        As given to `sdeint.solve`.
    steps : int or None
    timeline : Timeline
        That of `times`, `steps` and `save_at`.
    save_at : optional
        None: functionals of the end values.
    tableau : Tableau
    seed : int
    channels : tuple of int
        Of a Brownian path.
    clock : torch.dtype
        Of a path's variables.
    functionals : dict of str to callable
    seen : dict of str to list of float
        The functionals' values at a few states, which tell them apart.
    options : mapping
        Further arguments of `sdeint.solve`.
    """

    sde: SDE
    start: Start
    times: Tensor
    steps: int | None
    timeline: Timeline
    save_at: Any
    tableau: Tableau
    seed: int
    channels: tuple[int, ...]
    clock: torch.dtype
    functionals: Mapping[str, Of]
    seen: Mapping[str, list[float]]
    options: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        sde: SDE,
        start: Start,
        t: Any,
        functional: OneOrMore,
        *,
        method: str | Tableau,
        steps: int | None,
        save_at: Any,
        seed: int,
        purpose: str,
        discrete: bool,
        compile: bool | str,
        paths: int | None,
        options: Mapping[str, Any],
    ) -> Simulation:
        """Settle and check everything; `discrete` allows variables that are not of the path.

        With the number of paths known, ``compile="auto"`` is settled for all chunks alike, since
        the last bits of a path depend on it; without, it means False.

        Raises
        ------
        ProblemError
            If something does not fit, a functional's type or shape included.
        """
        if isinstance(method, str) and method == "auto":
            method = choose(sde, purpose=purpose, discrete=discrete).method
        tableau = resolve_method(method)
        check_method(sde, tableau)
        timeline = plan(t, steps, "end" if save_at is None else save_at)
        times = plan(t, None, "end").grid.detach()
        state = start.first_state()
        clock = state.dtype if state.dtype in (torch.float32, torch.float64) else torch.float32
        layout = examine(sde, state, times[0].to(state.device, clock))
        functionals = by_name(functional)
        if compile == "auto":
            program = lower(
                tableau,
                matrix=layout.matrix,
                additive=sde.noise == "additive",
                silent=sde.noise == "none",
            )
            compile = (
                paths is not None
                and not why_not(program, timeline)
                and worth_compiling(program, paths * state.numel(), timeline.steps)
                and _compiles(sde, state, timeline, tableau)
            )
        return cls(
            sde=sde,
            start=start,
            times=times,
            steps=steps,
            timeline=timeline,
            save_at=save_at,
            tableau=tableau,
            seed=seed,
            channels=layout.channels,
            clock=clock,
            functionals=functionals,
            seen=_seen(functionals, _probes(state), timeline, save_at is not None),
            options={**options, "compile": compile},
        )

    @property
    def numbers(self) -> int:
        """Numbers that are saved of one path."""
        return self.start.first_state().numel() * len(self.timeline.saved)

    def solve(self, y0: Tensor, path: BrownianPath, steps: int | None) -> Solution:
        """Solve along a path."""
        return solve(
            self.sde,
            y0,
            self.times,
            method=self.tableau,
            steps=steps,
            path=path,
            save_at="end" if self.save_at is None else self.save_at,
            **self.options,
        )

    def table(
        self, name: str, solution: Solution, piece: Piece, size: int = 1
    ) -> NDArray[np.float64]:
        r"""Values of a functional, (size, units, \*shape), for `size` runs of the piece's units.

        Raises
        ------
        ChunkError
            If the functional raises, or a value is not finite.
        ProblemError
            If it returns something of a wrong type or shape.
        """
        argument = solution.y[-1] if self.save_at is None else solution
        try:
            values = values_of(name, self.functionals[name], argument, size * piece.count)
        except ProblemError:
            raise
        except Exception as error:
            raise self.failed(piece, size, error, f"functional {name!r} raised ") from error
        table = values.detach().to("cpu", torch.float64).numpy()
        wrong = np.argwhere(~np.isfinite(table))
        if len(wrong):
            value, where = table[tuple(wrong[0])], _path_name(int(wrong[0][0]), piece)
            reason = f"functional {name!r} is {value} on {where}"
            raise ChunkError(piece.number, piece.first, len(table), self.seed, reason)
        return table.reshape(size, piece.count, *table.shape[1:])

    def failed(self, piece: Piece, size: int, error: Exception, what: str = "") -> ChunkError:
        """The error of a chunk, for one raised in it; lost paths are named by their index."""
        reason = f"{type(error).__name__}: {error}"
        if isinstance(error, (NonFiniteError, StageError)) and len(error.paths[0]) == 1:
            reason = f"{_path_name(error.paths[0][0], piece)} was lost: {reason}"
        return ChunkError(
            piece.number, piece.first, size * piece.count, self.seed, f"{what}{reason}"
        )

    def arguments(self) -> dict[str, Any]:
        """All that the values depend on, as JSON.

        Functions cannot be compared, so their values at a few states are; what a single functional
        is called does not matter.
        """
        states = _probes(self.start.first_state())
        with torch.no_grad():
            time = self.times.mean().to(states.device, self.clock)
            fields = {
                f"values of {name}": _numbers(function(time, states))
                for name, function in (("f", self.sde.f), ("g", self.sde.g))
            }
        saved = self.timeline.grid[list(self.timeline.saved)].tolist()
        several = len(self.seen) > 1
        functionals = {
            f"values of functional {name!r}" if several else "values of functional": numbers
            for name, numbers in self.seen.items()
        }
        return {
            "equation": repr(self.sde),
            "y0": self.start.fingerprint(),
            "dtype": str(states.dtype),
            "times": self.times.tolist(),
            "method": hashlib.sha256(repr(self.tableau).encode()).hexdigest()[:16],
            "steps": self.steps,
            "save_at": None if self.save_at is None else saved,
            "seed": self.seed,
            "options": repr(sorted(self.options.items())),
            "functionals": sorted(functionals),
            **fields,
            **functionals,
        }


def _compiles(sde: SDE, state: Tensor, timeline: Timeline, tableau: Tableau) -> bool:
    """Whether steps can be compiled: found out by a few, whose graph serves all others."""
    if timeline.steps < 8:
        return False
    start = state.expand(2, *state.shape[1:]).contiguous()
    try:
        with torch.no_grad():
            solve(sde, start, timeline.grid[:9], method=tableau, save_at="end", compile=True)
    except ProblemError as error:
        warnings.warn(f"{error}; its steps are eager", stacklevel=4)
        return False
    return True


def _seen(
    functionals: Mapping[str, Of], states: Tensor, timeline: Timeline, whole: bool
) -> dict[str, list[float]]:
    """The functionals' values at a few states; none where they raise, which is left to the run."""
    argument: Any = states
    if whole:
        times = timeline.grid[list(timeline.saved)].detach()
        y = states.expand(len(times), *states.shape)
        argument = Solution(times, y, Stats("", timeline.steps, 0, 0, 0))
    found: dict[str, list[float]] = {}
    for name, of in functionals.items():
        try:
            found[name] = _numbers(values_of(name, of, argument, len(states)))
        except ProblemError:
            raise
        except Exception:
            found[name] = []
    return found


def _probes(state: Tensor) -> Tensor:
    """Three states beside a first one, (3, *event): the same every time."""
    generator = torch.Generator().manual_seed(20240229)
    unit = torch.randn((3, *state.shape[1:]), generator=generator, dtype=torch.float64).to(state)
    return state + 0.1 * unit * state.abs().amax().clamp_min(1.0)


def _numbers(value: Any) -> list[float]:
    """The first numbers of a field's or a functional's value; NaN for those that JSON has not."""
    if not isinstance(value, (torch.Tensor, int, float)):
        return []
    numbers = torch.as_tensor(value).detach().double().cpu().reshape(-1)[:64].tolist()
    return [x if math.isfinite(x) else math.nan for x in numbers]


def _path_name(index: int, piece: Piece) -> str:
    """The path at a place in the batch: units, then their mirror images."""
    name = f"path {piece.first + index % piece.count}"
    return name + (", mirrored" if index >= piece.count else "")
