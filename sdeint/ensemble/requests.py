"""What may be asked of an ensemble: refused at the door, with what would be right."""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch

from sdeint.brownian.counters import MAX_PATHS
from sdeint.errors import ProblemError
from sdeint.solving import solve

__all__ = [
    "check_file",
    "check_options",
    "check_seed",
    "check_unit_interval",
    "checked_edges",
    "checked_levels",
    "checked_tolerance",
    "checked_units",
    "chunk_units",
]

#: Paths of a chunk unless the states are large, and numbers that a chunk's saved states fill at most.
CHUNK = 1 << 14
_NUMBERS = 1 << 20
#: Arguments of `sdeint.solve` that an ensemble gives itself; the others are handed on.
_OWN = {
    *("sde", "y0", "t", "method", "steps", "seed"),
    *("path", "save_at", "first_path", "purpose", "compile", "progress"),
}


def checked_units(paths: Any, size: int, first_path: Any) -> int:
    """The number of units that `paths` paths are."""
    if paths is None:
        raise ProblemError(
            "paths says how many paths are solved; with a tolerance, how many at most"
        )
    if not _whole(paths) or paths < 2 * size or paths % size:
        right = (
            "an even int of at least 4, in antithetic pairs"
            if size == 2
            else "an int of at least 2"
        )
        raise ProblemError(f"paths must be {right}, got {paths!r}")
    if not _whole(first_path) or first_path < 0 or first_path + paths // size > MAX_PATHS:
        raise ProblemError(f"first_path must be an int in [0, 2**40 - paths], got {first_path!r}")
    return int(paths) // size


def check_seed(seed: Any) -> None:
    """Refuse a seed that is no int in [0, 2**64)."""
    if not _whole(seed) or not 0 <= seed < 1 << 64:
        raise ProblemError(f"seed must be an int in [0, 2**64), got {seed!r}")


def check_unit_interval(name: str, value: Any) -> None:
    """Refuse what does not lie strictly between 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1:
        raise ProblemError(f"{name} must lie strictly between 0 and 1, got {value!r}")


def checked_tolerance(name: str, value: Any) -> float:
    """A tolerance as a float; 0 where there is none."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ProblemError(f"{name} must be a positive number, got {value!r}")
    return float(value)


def chunk_units(chunk: Any, size: int, numbers: int) -> int:
    """Units in a chunk; `numbers` are those saved of one path."""
    if chunk is None:
        return max(1, min(CHUNK, _NUMBERS // max(1, numbers)) // size)
    if not _whole(chunk) or chunk < size or chunk % size:
        right = "an even int of at least 2, in antithetic pairs" if size == 2 else "a positive int"
        raise ProblemError(f"chunk must be {right}, got {chunk!r}")
    return int(chunk) // size


def checked_levels(quantiles: Any) -> tuple[float, ...]:
    """The levels of the quantiles asked for."""
    if isinstance(quantiles, (int, float)):
        quantiles = (quantiles,)
    levels = tuple(quantiles)
    for level in levels:
        check_unit_interval("each of quantiles", level)
    return tuple(float(level) for level in levels)


def checked_edges(histogram: Any, names: Collection[str]) -> dict[str, tuple[float, ...]]:
    """Edges of the bins by the name of the functional."""
    if histogram is None:
        return {}
    if isinstance(histogram, Mapping):
        unknown = sorted(set(histogram) - set(names))
        if unknown:
            raise ProblemError(
                f"histogram names {unknown[0]!r}, which is no functional; they are {sorted(names)}"
            )
        return {name: _edges(edges) for name, edges in histogram.items()}
    return dict.fromkeys(names, _edges(histogram))


def _edges(values: Any) -> tuple[float, ...]:
    try:
        edges = torch.as_tensor(values, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        edges = torch.zeros(0)
    if (
        edges.ndim != 1
        or len(edges) < 2
        or not bool(torch.isfinite(edges).all())
        or not bool((torch.diff(edges) > 0).all())
    ):
        raise ProblemError(
            "histogram must be the edges of the bins: at least two finite increasing numbers, as "
            "torch.linspace(0, 1, 21)"
        )
    return tuple(edges.tolist())


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse arguments that `sdeint.solve` has not, or that an ensemble says otherwise."""
    allowed = sorted(set(inspect.signature(solve).parameters) - _OWN)
    for name in options:
        if name not in allowed:
            raise ProblemError(
                f"unknown argument {name!r}; further arguments are those of sdeint.solve: "
                + ", ".join(allowed)
            )


def check_file(checkpoint: Any) -> Path | None:
    """The checkpoint's path, in a folder that exists."""
    if checkpoint is None:
        return None
    if not isinstance(checkpoint, (str, Path)):
        raise ProblemError(f"checkpoint must be a path, got {type(checkpoint).__name__}")
    path = Path(checkpoint)
    if not path.parent.is_dir():
        raise ProblemError(f"checkpoint {str(path)!r}: there is no folder {str(path.parent)!r}")
    if path.is_dir():
        raise ProblemError(f"checkpoint {str(path)!r} is a folder; give a file in it")
    return path


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
