"""Progress bars on long work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["track"]


class Advance(Protocol):
    """Moves a bar on by `done` units, and sets its total where that has become better known."""

    def __call__(self, done: int, total: int | None = None, /) -> None: ...


@contextmanager
def track(total: int, title: str, show: bool) -> Iterator[Advance]:
    """A bar over `total` units; yields a function that advances it.

    Nothing is imported or printed unless `show` is true.
    """
    if not show:
        yield lambda done, total=None: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ) as progress:
        task = progress.add_task(title, total=total)

        def advance(done: int, total: int | None = None) -> None:
            if total is not None:
                # Not by `update`, which would forget the speed, and with it the time remaining.
                progress.tasks[task].total = total
            progress.update(task, advance=done)

        yield advance
