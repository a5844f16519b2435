"""What all Brownian paths have in common: who is who on the path and channel axes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from sdeint.brownian.counters import MAX_CHANNELS, MAX_PATHS, NORMALS, Lanes

DISCRETE = ("theta", "xi", "sign", "eta")
#: Where a random node of a step is, and how far the path strays from its chord there.
UNIFORM = ("u", "bridge")
#: One for all channels of a path.
SHARED = ("eta", *UNIFORM)
#: Standard normals, for functionals of the path that W and H do not determine.
STANDARD = tuple(f"normal {i}" for i in range(NORMALS))
NAMES = ("W", "H", "K", "A", *DISCRETE, *UNIFORM, *STANDARD)


class Steps(Protocol):
    """The variables of the steps of one grid."""

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        """The named variables of the steps first, ..., first + count - 1."""


class BrownianPath(ABC):
    """A batch of Brownian motions, each a pure function of (seed, path index, channel, time).

    The same bits come out in any split of the batch, any number of threads and any order of
    queries. (Across devices the random integers are the same bits; the normals made from them may
    differ in their last bits, as the devices' logarithms do.)

    Parameters
    ----------
    seed : int or Tensor
        In [0, 2**64). An int64 tensor of shape ``batch`` gives every item a key of its own; its
        path index is then 0 unless ``path_index`` says otherwise, so that an item's path depends
        on its own seed only and not on its position in the batch.
    batch : sequence of int
        Shape of the batch of paths; ``()`` is a single path.
    channels : sequence of int
        Shape of the independent channels of one path: ``(m,)``, or an image's ``(C, H, W)``.
    dtype : torch.dtype, optional
        float32 or float64; by default PyTorch's default dtype. Both see the same path, to
        float32 rounding.
    device : torch.device or str, optional
        By default the CPU.
    first_path : int
        Path index of the first item; the others follow in row-major order over ``batch``. A part
        of a larger batch, made with its offset as ``first_path``, reproduces that part.
    path_index : Tensor, optional
        int64, of shape ``batch``, in [0, 2**40): the path indices themselves.

    Raises
    ------
    TypeError
        If the seed or an index is not an integer.
    ValueError
        If a seed, path index, number of channels, shape or dtype is out of its range.
    """

    def __init__(
        self,
        seed: int | Tensor,
        batch: Sequence[int],
        channels: Sequence[int],
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        first_path: int = 0,
        path_index: Tensor | None = None,
    ) -> None:
        self.batch = _shape(batch, "batch")
        self.channels = _shape(channels, "channels")
        self.dtype = torch.get_default_dtype() if dtype is None else dtype
        if self.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype must be torch.float32 or torch.float64, not {self.dtype}")
        self.device = torch.device("cpu" if device is None else device)
        self.seed = _checked_seed(seed, self.batch)
        self.first_path = first_path
        width = math.prod(self.channels)
        if width > MAX_CHANNELS:
            raise ValueError(
                f"channels {self.channels} are {width} in all; "
                f"a path has at most 2**24 = {MAX_CHANNELS}"
            )
        index = _path_indices(self.seed, self.batch, first_path, path_index)
        self._index = index
        self._lanes = self._lanes_of(width)
        self._shared_lane = self._lanes_of(1)

    @abstractmethod
    def on(self, grid: Tensor) -> Steps:
        """The steps of a time grid, increasing or decreasing."""

    def block_length(self) -> int:
        """A number of steps whose variables, of one kind, fill about 2 MB.

        Larger blocks leave the processor's cache; smaller ones spend their time on calls.
        """
        width = max(1, math.prod(self.batch) * math.prod(self.channels))
        size = torch.finfo(self.dtype).bits // 8
        return max(4, (1 << 21) // (width * size) // 4 * 4)

    def _size(self, names: Sequence[str]) -> int:
        """How many numbers the named variables of a step are, or a bound of it."""
        paths, width = math.prod(self.batch), math.prod(self.channels)
        return paths * width * (3 + (width if "A" in names else 0))

    def __repr__(self) -> str:
        seed = "per item" if isinstance(self.seed, Tensor) else self.seed
        parts = [f"seed={seed}", f"batch={self.batch}", f"channels={self.channels}"]
        if self.first_path:
            parts.append(f"first_path={self.first_path}")
        parts += [*self._details(), f"dtype={str(self.dtype)[6:]}", f"device={self.device}"]
        return f"{type(self).__name__}({', '.join(parts)})"

    def _details(self) -> list[str]:
        """What a kind of path adds to its repr."""
        return []

    def _lanes_of(self, width: int) -> Lanes:
        """Lanes of all paths with another number of channels: pairs of them, or one for all."""
        seed = self.seed.reshape(-1) if isinstance(self.seed, Tensor) else self.seed
        return Lanes(seed, self._index, width, self.device)

    def _shaped(self, flat: Tensor) -> Tensor:
        """(steps, paths, channels) as (steps, *batch, *channels)."""
        return flat.reshape(flat.shape[0], *self.batch, *self.channels)


def checked_grid(grid: Tensor) -> tuple[Tensor, bool]:
    """A time grid as float64 on the CPU, and whether it decreases."""
    grid = torch.as_tensor(grid)
    if grid.ndim != 1 or len(grid) < 2:
        raise ValueError(
            f"a grid is a 1-D tensor of at least two times, not one of shape {tuple(grid.shape)}"
        )
    grid = grid.to(device="cpu", dtype=torch.float64)
    widths = torch.diff(grid.detach())
    if not bool(torch.isfinite(grid.detach()).all()):
        raise ValueError("a grid holds finite times; this one has NaN or infinity")
    decreasing = bool(widths[0] < 0)
    wrong = torch.nonzero(widths >= 0 if decreasing else widths <= 0)
    if len(wrong):
        n = int(wrong[0])
        raise ValueError(
            f"a grid must be strictly increasing or strictly decreasing; "
            f"t[{n}] = {float(grid[n])!r} is followed by t[{n + 1}] = {float(grid[n + 1])!r}"
        )
    return grid, decreasing


def checked_block(first: int, count: int, steps: int, names: Sequence[str]) -> None:
    """Refuse steps outside the grid and names that are no variables."""
    if first < 0 or count < 0 or first + count > steps:
        raise ValueError(
            f"steps {first} to {first + count - 1} were asked for; "
            f"the grid has {steps} (0 to {steps - 1})"
        )
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise ValueError(
            f"unknown variable {unknown[0]!r}; the variables are "
            f"{', '.join(NAMES[:-NORMALS])} and {STANDARD[0]!r} to {STANDARD[-1]!r}"
        )


def _shape(shape: Sequence[int], what: str) -> tuple[int, ...]:
    result = tuple(int(size) for size in shape)
    if any(size < 0 for size in result):
        raise ValueError(f"{what} is a shape, so its sizes cannot be negative: {result}")
    return result


def _checked_seed(seed: int | Tensor, batch: tuple[int, ...]) -> int | Tensor:
    if isinstance(seed, Tensor):
        if seed.dtype is not torch.int64:
            raise TypeError(f"seeds per item are an int64 tensor, not {seed.dtype}")
        if tuple(seed.shape) != batch:
            raise ValueError(
                f"seeds per item have the shape of the batch, {batch}; got {tuple(seed.shape)}"
            )
        if bool((seed < 0).any()):
            raise ValueError(f"a seed is at least 0; the least of these is {int(seed.min())}")
        return seed
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"a seed is an int in [0, 2**64), not {seed!r}")
    if not 0 <= seed < 1 << 64:
        raise ValueError(f"a seed is an int in [0, 2**64), not {seed}")
    return seed


def _path_indices(
    seed: int | Tensor,
    batch: tuple[int, ...],
    first_path: int,
    path_index: Tensor | None,
) -> Tensor:
    if isinstance(first_path, bool) or not isinstance(first_path, int):
        raise TypeError(f"first_path is an int in [0, 2**40), not {first_path!r}")
    if path_index is not None:
        if first_path:
            raise ValueError("give first_path or path_index, not both: the latter says it all")
        if path_index.dtype is not torch.int64:
            raise TypeError(f"path_index is an int64 tensor, not {path_index.dtype}")
        if tuple(path_index.shape) != batch:
            raise ValueError(
                f"path_index has the shape of the batch, {batch}; got {tuple(path_index.shape)}"
            )
        index = path_index.reshape(-1).cpu()
    elif isinstance(seed, Tensor):
        if first_path:
            raise ValueError(
                "with seeds per item every path index is 0; give path_index to choose others"
            )
        index = torch.zeros(math.prod(batch), dtype=torch.int64)
    else:
        index = torch.arange(math.prod(batch), dtype=torch.int64) + first_path
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < MAX_PATHS:
        raise ValueError(
            f"path indices lie in [0, 2**40); "
            f"these run from {int(index.min())} to {int(index.max())}"
        )
    return index
