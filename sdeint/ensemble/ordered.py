"""Chunks on any executor, their results in order, whatever happens to a worker."""

from __future__ import annotations

import os
import pickle
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from sdeint.errors import ProblemError

__all__ = ["Piece", "check_executor", "in_order"]

T = TypeVar("T")


@dataclass(frozen=True)
class Piece:
    """A run of units: its number (for people), its first unit and how many they are."""

    number: int
    first: int
    count: int


Work = Callable[[Piece], T]


def in_order(
    work: Work[T], pieces: Iterable[Piece], executor: Executor | None, in_flight: int | None = None
) -> Iterator[tuple[Piece, T]]:
    """Do the work of every piece; yield the results in the order of the pieces.

    At most `in_flight` pieces are with the executor or wait for one before them.  A piece whose worker
    was lost is done again, in this process; after a process pool has broken, so are all that follow.
    An exception raised by the work is raised here, that of the first piece that has one.  When the
    caller stops early, pieces that have not begun are cancelled.
    """
    if executor is None:
        for piece in pieces:
            yield piece, work(piece)
        return
    limit = in_flight or 2 * _workers(executor)
    # A Dask client gives futures of another kind, but has an executor.
    executor = executor.get_executor() if hasattr(executor, "get_executor") else executor
    submit = _submission(work, executor)
    waiting: deque[tuple[Piece, Future[T] | None]] = deque()
    source, lost = iter(pieces), False
    try:
        while True:
            while len(waiting) < limit and (new := next(source, None)) is not None:
                future = None
                if not lost:
                    try:
                        future = submit(new)
                    except BrokenExecutor:
                        lost = True
                waiting.append((new, future))
            if not waiting:
                return
            piece, future = waiting.popleft()
            try:
                result = work(piece) if future is None else future.result()
            except Exception as error:
                if future is None or not _lost(error):
                    raise
                lost = lost or isinstance(error, BrokenExecutor)
                warnings.warn(
                    f"a worker was lost with chunk {piece.number} ({type(error).__name__}); the "
                    "chunk is computed again in this process"
                    + (", and so are the rest, since the pool is broken" if lost else ""),
                    RuntimeWarning,
                    stacklevel=2,
                )
                result = work(piece)
            yield piece, result
    finally:
        for _, future in waiting:
            if future is not None:
                future.cancel()


def check_executor(executor: Any, in_flight: int | None) -> None:
    """Refuse what is no executor."""
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise ProblemError(
            "executor must be a concurrent.futures.Executor or a Dask client, got "
            + type(executor).__name__
        )
    if in_flight is not None and (not isinstance(in_flight, int) or in_flight < 1):
        raise ProblemError(f"in_flight must be a positive int, got {in_flight!r}")


def _submission(work: Work[T], executor: Executor) -> Callable[[Piece], Future[T]]:
    if not isinstance(executor, ProcessPoolExecutor):
        return lambda piece: executor.submit(work, piece)
    # Pickled once, here, where the fault can be named; each worker unpickles it once.
    try:
        payload = pickle.dumps(work)
    except Exception as error:
        raise ProblemError(
            "a process pool needs an equation and functionals that can be pickled, and these cannot: "
            f"{error}. Define f, g and functionals at the top level of a module (no lambdas or "
            "functions inside functions), or take a thread pool or Dask, which sends them by value"
        ) from error
    return lambda piece: executor.submit(_unpickled_and_done, payload, piece)


def _unpickled_and_done(payload: bytes, piece: Piece) -> Any:
    return _unpickled(payload)(piece)


@lru_cache(maxsize=4)
def _unpickled(payload: bytes) -> Callable[[Piece], Any]:
    work: Callable[[Piece], Any] = pickle.loads(payload)
    return work


def _workers(executor: Executor) -> int:
    if hasattr(executor, "ncores"):
        return max(1, sum(int(n) for n in executor.ncores().values()))
    known = getattr(executor, "_max_workers", None)
    return known if isinstance(known, int) and known > 0 else os.cpu_count() or 1


def _lost(error: Exception) -> bool:
    """Whether it is the worker that failed, rather than the work."""
    if isinstance(error, (BrokenExecutor, CancelledError)):
        return True
    return type(error).__module__.partition(".")[0] == "distributed"
