"""What can go wrong in an ensemble, with what is needed to repeat it."""

from __future__ import annotations

from typing import Any

__all__ = ["CheckpointError", "ChunkError"]


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read, belongs to another run, or cannot be written."""


class ChunkError(RuntimeError):
    """A chunk of paths failed: the functional, the equation or a path.

    The exception that was raised is its ``__cause__`` (in another process, its text).

    Attributes
    ----------
    chunk : int
        Number of the chunk, from 0.
    first_path, paths : int
        The arguments of `sdeint.expect` that repeat this chunk alone, with the same `seed`.
    seed : int
    reason : str
        What was raised.
    """

    def __init__(self, chunk: int, first_path: int, paths: int, seed: int, reason: str) -> None:
        self.chunk, self.first_path, self.paths = chunk, first_path, paths
        self.seed, self.reason = seed, reason
        super().__init__(
            f"chunk {chunk}, {paths} paths from path {first_path}: {reason}; to repeat it alone, "
            f"give first_path={first_path}, paths={paths}, seed={seed}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.chunk, self.first_path, self.paths, self.seed, self.reason)
