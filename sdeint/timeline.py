"""Times: which steps are taken and which values are returned.

Times are float64 whatever the dtype of the state: in float32, a million steps to t = 1 would no
longer be distinguishable from their neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sdeint.errors import ProblemError

__all__ = ["Timeline", "plan"]

#: Requested times closer to a step's end than this part of the whole interval are taken as that end.
_CLOSE = 1e-12


@dataclass(frozen=True)
class Timeline:
    """A grid of steps and the places on it whose values are kept.

    Attributes
    ----------
    grid : tensor (N + 1,)
        Strictly monotone float64 times on the CPU; may carry a gradient.
    saved : tuple of int
        Indices into `grid`, increasing.
    even : bool
        Whether steps are equal wherever the times are: then step ratios have no derivative in them.
    """

    grid: torch.Tensor
    saved: tuple[int, ...]
    even: bool

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.grid) - 1


def plan(t: Any, steps: int | None, save_at: Any) -> Timeline:
    """The timeline for the arguments of `sdeint.solve`; see there."""
    times = _times(t, "t")
    if len(times) < 2:
        raise ProblemError(f"t needs a start and an end, got {len(times)} time(s)")
    direction = _direction(times, "t")
    if steps is None:
        grid = times
    else:
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ProblemError(f"steps must be a positive int, got {steps!r}")
        fractions = torch.arange(steps + 1, dtype=torch.float64) / steps
        # Interpolating from the nearer end keeps both ends exact.
        grid = torch.where(
            fractions < 0.5,
            times[0] + (times[-1] - times[0]) * fractions,
            times[-1] - (times[-1] - times[0]) * (1 - fractions),
        )
        grid = _insert(grid, times, direction)
    if save_at is None:
        wanted = times
    elif isinstance(save_at, str):
        if save_at not in ("end", "all"):
            raise ProblemError(f"save_at must be 'end', 'all' or times, got {save_at!r}")
        wanted = grid if save_at == "all" else grid[-1:]
    else:
        wanted = _times(save_at, "save_at")
        if len(wanted) == 0:
            raise ProblemError("save_at is empty; at least one time is needed")
        if len(wanted) > 1 and _direction(wanted, "save_at") != direction:
            raise ProblemError("save_at runs against the direction of t")
        low, high = sorted((float(times[0].detach()), float(times[-1].detach())))
        for value in wanted.tolist():
            if not low <= value <= high:
                raise ProblemError(f"save_at time {value!r} lies outside of t, {low!r} to {high!r}")
        grid = _insert(grid, wanted, direction)
    even = len(grid) == 2 if steps is None else len(grid) == steps + 1
    return Timeline(grid, tuple(_nearest(grid, wanted)), even)


def _times(values: Any, name: str) -> torch.Tensor:
    try:
        times = (
            values
            if isinstance(values, torch.Tensor)
            else torch.stack([torch.as_tensor(v, dtype=torch.float64) for v in values])
            if isinstance(values, Sequence) and len(values) > 0
            else torch.as_tensor(values, dtype=torch.float64)
        )
    except (TypeError, ValueError, RuntimeError):
        raise ProblemError(f"{name} must be a 1-dimensional sequence of times") from None
    if times.ndim != 1:
        raise ProblemError(
            f"{name} must be a 1-dimensional sequence of times, got shape {tuple(times.shape)}"
        )
    times = times.to("cpu", torch.float64)
    if not bool(torch.isfinite(times.detach()).all()):
        raise ProblemError(f"{name} holds NaN or infinite times")
    return times


def _direction(times: torch.Tensor, name: str) -> int:
    differences = torch.diff(times.detach())
    direction = 1 if bool(differences[0] > 0) else -1
    wrong = torch.nonzero(differences * direction <= 0)
    if len(wrong):
        i = int(wrong[0])
        raise ProblemError(
            f"{name} must be strictly increasing or strictly decreasing, but {name}[{i}] = "
            f"{float(times[i])!r} is followed by {name}[{i + 1}] = {float(times[i + 1])!r}"
        )
    return direction


def _insert(grid: torch.Tensor, extra: torch.Tensor, direction: int) -> torch.Tensor:
    """The grid with further times landed on; those that are there already, to rounding, are not."""
    span = float((grid[-1] - grid[0]).detach().abs())
    distance = (extra.detach()[:, None] - grid.detach()[None, :]).abs().amin(1)
    new = extra[distance > _CLOSE * span]
    if len(new) == 0:
        return grid
    merged = torch.cat([grid, new])
    order = torch.argsort(merged.detach(), descending=direction < 0)
    return merged[order]


def _nearest(grid: torch.Tensor, wanted: torch.Tensor) -> list[int]:
    distance = (wanted.detach()[:, None] - grid.detach()[None, :]).abs()
    return sorted(set(distance.argmin(1).tolist()))
