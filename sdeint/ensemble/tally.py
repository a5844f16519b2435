"""The statistics so far: chunks come in, and a file follows them if there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sdeint.ensemble import checkpoints
from sdeint.ensemble.checkpoints import Checkpoint
from sdeint.ensemble.ordered import Piece, in_order
from sdeint.ensemble.statistics import Plan, Statistics

__all__ = ["Tally"]


class Tally:
    """Statistics by slot: a functional's place, or the number of a level.

    Parameters
    ----------
    file : Path, optional
        A checkpoint.  If it is there, the tally begins with what it holds.
    arguments : callable
        Gives all that the statistics depend on, as JSON; called only if there is a file.

    Attributes
    ----------
    found : dict of int to Statistics
    state : dict
        What else is to be kept, as JSON.

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged or of another run.
    """

    def __init__(self, file: Path | None, arguments: Callable[[], Mapping[str, Any]]) -> None:
        self.file = file
        self.found: dict[int, Statistics] = {}
        self.state: dict[str, Any] = {}
        if file is None:
            return
        self.arguments = arguments()
        saved = checkpoints.read(file)
        if saved is None:
            return
        checkpoints.check_same(file, saved.arguments, self.arguments)
        self.state = dict(saved.state)
        for slot, plan in self.state.pop("plans").items():
            own = {
                name.removeprefix(f"{slot}."): array
                for name, array in saved.arrays.items()
                if name.startswith(f"{slot}.")
            }
            self.found[int(slot)] = Statistics.restored(Plan.of(plan), own)

    def count(self, slot: int = 0) -> int:
        """Number of units in a slot."""
        return self.found[slot].count if slot in self.found else 0

    def gather(
        self,
        work: Callable[[Piece], Mapping[int, Statistics]],
        pieces: Iterable[Piece],
        executor: Executor | None,
        in_flight: int | None,
    ) -> Iterator[Piece]:
        """Have the pieces done; yield each when it is counted and saved."""
        for piece, part in in_order(work, pieces, executor, in_flight):
            for slot, statistics in part.items():
                if slot in self.found:
                    self.found[slot].merge(statistics)
                else:
                    self.found[slot] = statistics
            self._save()
            yield piece

    def _save(self) -> None:
        if self.file is None:
            return
        plans = {str(slot): asdict(statistics.plan) for slot, statistics in self.found.items()}
        arrays = {
            f"{slot}.{name}": array
            for slot, statistics in self.found.items()
            for name, array in statistics.arrays().items()
        }
        state = {**self.state, "plans": plans}
        checkpoints.write(self.file, Checkpoint(self.arguments, state, arrays))
