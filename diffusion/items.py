"""The items of a batch and their random numbers, which are those of the item whatever its batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sdeint import GridPath, ProblemError, TreePath
from sdeint.brownian import BrownianPath, logarithmic

__all__ = ["Items", "items_of"]

#: Path index of the initial noise of item 0; the items' own paths lie below it.
_INITIAL = 1 << 39


@dataclass(frozen=True, eq=False)
class Items:
    r"""Items of one shape, each with a path of its own.

    Attributes
    ----------
    shape : tuple of int
        (items, \*event).
    seed : int, or int64 tensor (items,)
    path_index : int64 tensor (items,)
    dtype, device
        Of the state.
    """

    shape: tuple[int, ...]
    seed: int | Tensor
    path_index: Tensor
    dtype: torch.dtype
    device: torch.device | str | None

    def driver(
        self, path: str | BrownianPath, ends: tuple[float, float], silent: bool
    ) -> BrownianPath:
        """The Brownian motion of a run whose noise begins and ends at these times of its clock.

        Raises
        ------
        ProblemError
            If `path` is none.
        """
        if isinstance(path, BrownianPath):
            return path
        if path not in ("grid", "tree"):
            raise ProblemError(f"path must be 'grid', 'tree' or a BrownianPath, got {path!r}")
        event = self.shape[1:]
        if path == "tree" and ends[0] < ends[1]:
            options = self._options(event)
            return TreePath(t0=ends[0], t1=ends[1], warp=logarithmic(*ends), **options)
        # Without noise there are random nodes at most, one for all components of an item.
        return GridPath(**self._options((1,) * len(event) if silent else event))

    def initial(self, variance: float) -> Tensor:
        """Noise to begin with, which no driver has."""
        options = {**self._options(self.shape[1:]), "path_index": self.path_index + _INITIAL}
        until = torch.tensor([0.0, variance], dtype=torch.float64)
        return GridPath(**options).on(until).draw(0, 1, ["W"])["W"][0]

    def normals(self, count: int) -> Tensor:
        r"""Standard normals (count, \*shape): those of the steps of a driver that is a grid."""
        numbers = torch.arange(count + 1, dtype=torch.float64)
        return GridPath(**self._options(self.shape[1:])).on(numbers).draw(0, count, ["W"])["W"]

    def _options(self, channels: tuple[int, ...]) -> dict[str, Any]:
        return {
            "batch": self.shape[:1],
            "channels": channels,
            "seed": self.seed,
            "path_index": self.path_index,
            "dtype": self.dtype,
            "device": self.device,
        }


def items_of(
    shape: Sequence[int],
    seed: int | Sequence[int] | Tensor,
    first_item: int,
    dtype: torch.dtype,
    device: torch.device | str | None,
) -> Items:
    """Items by one seed for all, which are numbered from `first_item` on, or by one seed each.

    Raises
    ------
    ProblemError
        If the shape is none, or the seeds are not one an item.
    """
    sizes = tuple(shape)
    if len(sizes) < 1 or any(not isinstance(n, int) or n < 1 for n in sizes):
        raise ProblemError(f"shape must be (items, *event) of positive ints, got {shape!r}")
    items = sizes[0]
    if isinstance(seed, int):
        index = torch.arange(first_item, first_item + items, dtype=torch.int64)
        return Items(sizes, seed, index, dtype, device)
    seeds = torch.as_tensor(seed, dtype=torch.int64)
    if tuple(seeds.shape) != (items,):
        raise ProblemError(
            f"seed must be an int or one int for each of the {items} items, got shape "
            f"{tuple(seeds.shape)}"
        )
    if first_item:
        raise ProblemError("first_item numbers the items of one seed; with a seed an item, drop it")
    return Items(sizes, seeds, torch.zeros(items, dtype=torch.int64), dtype, device)
