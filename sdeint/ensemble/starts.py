"""Where paths start: one state for all, a state for each, or a function of the path's index."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sdeint.errors import ProblemError
from sdeint.problem import SDE

__all__ = ["Start", "Starts"]

#: (first unit, count) -> their initial values (count, *event).
Starts = Callable[[int, int], Tensor]


@dataclass(frozen=True)
class Start:
    """Initial values of any run of units.

    Attributes
    ----------
    of : tensor or callable
        One state for all, a table with a state for each unit from `first` on, or a function.
    event_dims : int
    first : int
        The unit of the table's first row.
    """

    of: Tensor | Starts
    event_dims: int
    first: int

    @classmethod
    def checked(cls, sde: SDE, y0: Any, units: int | None, first: int) -> Start:
        """From the argument `y0`; a table must have `units` rows, None allows no table.

        Raises
        ------
        ProblemError
            If it has another shape, or is neither a tensor nor a function.
        """
        if isinstance(y0, torch.Tensor):
            alone, table = y0.ndim == sde.event_dims, y0.ndim == sde.event_dims + 1
            if not alone and not (table and len(y0) == units):
                rows = f", or {units} of them, one for each path (or antithetic pair)"
                raise ProblemError(
                    f"y0 has shape {tuple(y0.shape)}; it must be one state of {sde.event_dims} axes, "
                    "which all paths start from" + ("" if units is None else rows)
                )
            y0 = y0.detach()
        elif not callable(y0):
            raise ProblemError(
                "y0 must be a tensor, or a function (first, count) -> tensor of their initial "
                f"values, got {type(y0).__name__}"
            )
        return cls(y0, sde.event_dims, first)

    def __call__(self, first: int, count: int) -> Tensor:
        """The states of the units first, ..., first + count - 1."""
        if not isinstance(self.of, torch.Tensor):
            states = self.of(first, count)
            if not isinstance(states, torch.Tensor):
                raise ProblemError(f"y0 returned {type(states).__name__} instead of a tensor")
            if states.ndim != self.event_dims + 1 or len(states) != count:
                raise ProblemError(
                    f"y0({first}, {count}) returned shape {tuple(states.shape)}; it must be "
                    f"({count}, ...) with {self.event_dims} axes for a state"
                )
            return states
        if self.of.ndim == self.event_dims:
            return self.of.expand(count, *self.of.shape)
        return self.of[first - self.first : first - self.first + count]

    def first_state(self) -> Tensor:
        """The initial value of the first unit, (1, *event)."""
        return self(self.first, 1)

    def fingerprint(self) -> str:
        """A digest of the states; of a function, of the first one."""
        states = self.of if isinstance(self.of, torch.Tensor) else self.first_state()
        data = states.detach().cpu().contiguous().to(torch.float64).numpy().tobytes()
        return f"{tuple(states.shape)} {hashlib.sha256(data).hexdigest()[:16]}"
