"""State on disk that survives a kill: written beside the old file, flushed, and moved over it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdeint.ensemble.failures import CheckpointError

__all__ = ["Checkpoint", "check_same", "read", "write"]

_FORMAT = "sdeint ensemble 1"

Array = NDArray[Any]


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes
    ----------
    arguments : mapping
        What was computed, as JSON: a run of other arguments does not go on from here.
    state : mapping
        How far it has come, as JSON.
    arrays : mapping of str to array
    """

    arguments: Mapping[str, Any]
    state: Mapping[str, Any]
    arrays: Mapping[str, Array]


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the file at `path`, all of it or nothing.

    Raises
    ------
    CheckpointError
        If the file cannot be written, as on a full disk; an earlier one is then left as it was.
    """
    from safetensors.numpy import save

    arguments = json.dumps(checkpoint.arguments, sort_keys=True)
    state = json.dumps(checkpoint.state, sort_keys=True)
    arrays = {name: np.ascontiguousarray(value) for name, value in checkpoint.arrays.items()}
    metadata = {
        "format": _FORMAT,
        "arguments": arguments,
        "state": state,
        "sha256": _digest(arguments, state, arrays),
    }
    data = save(arrays, metadata)
    beside = path.with_name(path.name + ".part")
    try:
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _flush_folder(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        kept = "the one before it is intact" if path.exists() else "there is none"
        raise CheckpointError(
            f"the checkpoint {str(path)!r} could not be written ({error.strerror or error}); {kept}"
        ) from error


def read(path: Path) -> Checkpoint | None:
    """The checkpoint at `path`; None if there is no file.

    Raises
    ------
    CheckpointError
        If the file is none of ours, truncated or damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"the checkpoint {str(path)!r} is damaged or none of sdeint's ({error}); move it away "
            "to start anew"
        ) from error
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(
            f"{str(path)!r} is no checkpoint of this version of sdeint: its format is "
            f"{metadata.get('format')!r}, not {_FORMAT!r}"
        )
    arguments, state = metadata.get("arguments", ""), metadata.get("state", "")
    if metadata.get("sha256") != _digest(arguments, state, arrays):
        raise CheckpointError(
            f"the checkpoint {str(path)!r} is damaged: its contents do not have the checksum written "
            "with them; move it away to start anew"
        )
    return Checkpoint(json.loads(arguments), json.loads(state), arrays)


def check_same(path: Path, saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of other arguments, naming the first that differs."""
    for name in sorted({*saved, *own}):
        a, b = saved.get(name), own.get(name)
        if name.startswith("values of"):
            if not _alike(a, b):
                raise CheckpointError(
                    f"the checkpoint {str(path)!r} is of another problem: the {name} at a few states "
                    "differ; give another file"
                )
        elif a != b:
            raise CheckpointError(
                f"the checkpoint {str(path)!r} is of another run: {name} was {a!r} and is now {b!r}; "
                "give the same arguments or another file"
            )


def _alike(a: Any, b: Any) -> bool:
    """Equal up to the last digits, in which machines differ; NaN is like NaN."""
    if a is None or b is None or len(a) != len(b):
        return False
    return bool(np.allclose(a, b, rtol=1e-5, atol=1e-12, equal_nan=True))


def _digest(arguments: str, state: str, arrays: Mapping[str, Array]) -> str:
    digest = hashlib.sha256()
    for text in (arguments, state):
        digest.update(f"{len(text)}:{text}".encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape}:".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _flush_folder(folder: Path) -> None:
    """Make the move itself survive a power cut, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
