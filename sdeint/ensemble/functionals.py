"""What is averaged: functionals of the end values or of a whole solution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sdeint.errors import ProblemError
from sdeint.problems.closed_form import Functional

__all__ = ["Of", "OneOrMore", "by_name", "values_of"]

#: End values (batch, *event), or the solution where times to save are given -> (batch, *shape).
Of = Callable[[Any], Tensor]
OneOrMore = Functional | Of | Mapping[str, Functional | Of]


def by_name(functional: OneOrMore) -> dict[str, Of]:
    """The functionals by their names; a single one is called after itself."""
    if isinstance(functional, Mapping):
        if not functional:
            raise ProblemError("functional is an empty mapping; at least one is needed")
        wrong = [name for name in functional if not isinstance(name, str)]
        if wrong:
            raise ProblemError(f"functionals are named by strings, not {wrong[0]!r}")
        return {name: _callable(name, of) for name, of in functional.items()}
    name = str(getattr(functional, "name", None) or getattr(functional, "__name__", ""))
    name = name if name and name != "<lambda>" else "functional"
    return {name: _callable(name, functional)}


def values_of(name: str, of: Of, argument: Any, batch: int) -> Tensor:
    """What a functional gives for a batch of paths, looked at.

    Raises
    ------
    ProblemError
        If it is no real tensor with one value, of any shape, for each path.
    """
    values = of(argument)
    if not isinstance(values, torch.Tensor):
        raise ProblemError(f"functional {name!r} must return a tensor, got {type(values).__name__}")
    if values.is_complex():
        raise ProblemError(f"functional {name!r} returned {values.dtype}; take real parts first")
    if values.ndim == 0 or values.shape[0] != batch:
        raise ProblemError(
            f"functional {name!r} returned shape {tuple(values.shape)} for {batch} paths; it must "
            f"return one value for each path: shape ({batch},), or ({batch}, ...) for several"
        )
    if values[0].numel() == 0:
        raise ProblemError(f"functional {name!r} returned no numbers: {tuple(values.shape)}")
    return values


def _callable(name: str, functional: Any) -> Of:
    if isinstance(functional, Functional):
        return functional.of
    if not callable(functional):
        raise ProblemError(
            f"functional {name!r} must be a function of the end values (or of the solution, with "
            f"save_at), got {type(functional).__name__}"
        )
    return functional  # type: ignore[no-any-return]
