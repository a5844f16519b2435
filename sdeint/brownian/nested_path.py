"""The path of a fine grid, seen on coarser ones: all variables summed from the fine steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sdeint.brownian.chen import coarse_steps, reversed_steps
from sdeint.brownian.path import DISCRETE, BrownianPath, checked_block, checked_grid

# A coarse time this near to a fine one, as a share of the shorter fine step beside it, is that one:
# grids of the same interval in different numbers of steps differ by rounding.
_SAME = 1e-6


class NestedPath(BrownianPath):
    """One path for all grids whose times are among those of a fine grid, Levy areas included.

    W, H, K and A of a coarse step are those of its fine steps, joined exactly (Chen's relation): a
    method sees the same path whatever subset of the fine times it steps on. So this is the path for
    convergence studies of methods with Levy areas, where a tree would have none of its own, and
    for any methods whose grids are nested. A draw of a coarse step costs all of its fine steps.

    Parameters
    ----------
    fine_path : BrownianPath
        Draws the fine steps; usually a `GridPath`. The nested path has its batch, channels, seed,
        dtype and device.
    fine_grid : Tensor
        1-D float64 tensor of times, increasing or decreasing.

    Examples
    --------
    >>> import torch
    >>> from sdeint.brownian import GridPath, NestedPath
    >>> times = torch.linspace(0, 1, 65, dtype=torch.float64)
    >>> path = NestedPath(GridPath(0, (5,), (2,), dtype=torch.float64), times)
    >>> fine = path.on(times).draw(0, 64, ("W",))["W"]
    >>> coarse = path.on(times[::16]).draw(0, 4, ("W", "A"))
    >>> torch.allclose(coarse["W"][0], fine[:16].sum(0)), tuple(coarse["A"].shape)
    (True, (4, 5, 2, 2))
    """

    def __init__(self, fine_path: BrownianPath, fine_grid: Tensor) -> None:
        if isinstance(fine_grid, Tensor) and fine_grid.requires_grad:
            raise ValueError("a nested path has no derivative in its grid; give a detached one")
        grid, decreasing = checked_grid(fine_grid)
        self.fine_path, self.fine_grid = fine_path, grid.flip(0) if decreasing else grid
        self.batch, self.channels = fine_path.batch, fine_path.channels
        self.dtype, self.device = fine_path.dtype, fine_path.device
        self.seed, self.first_path = fine_path.seed, fine_path.first_path
        self._widths = torch.diff(self.fine_grid)
        self._fine = fine_path.on(self.fine_grid)

    def on(self, grid: Tensor) -> NestedSteps:
        """The steps of ``grid``, a 1-D tensor of times of the fine grid, monotone either way.

        Raises
        ------
        ValueError
            If a time is none of the fine grid's.
        """
        return NestedSteps(self, grid)

    def _details(self) -> list[str]:
        low, high = float(self.fine_grid[0]), float(self.fine_grid[-1])
        return [f"fine_grid={low:g}..{high:g} in {len(self._widths)} steps"]

    def _places(self, times: Tensor) -> Tensor:
        """Where increasing times stand in the fine grid."""
        grid, widths = self.fine_grid, self._widths
        last = len(grid) - 1
        after = torch.searchsorted(grid, times.contiguous()).clamp(1, last)
        place = torch.where(times - grid[after - 1] < grid[after] - times, after - 1, after)
        shorter = torch.minimum(widths[(place - 1).clamp(min=0)], widths[place.clamp(max=last - 1)])
        missing = torch.nonzero((times - grid[place]).abs() > _SAME * shorter).flatten()
        if len(missing):
            time = float(times[missing[0]])
            raise ValueError(
                f"time {time!r} is not among the {last + 1} times of the nested path's fine grid, "
                f"from {float(grid[0])!r} to {float(grid[-1])!r}; the nearest is "
                f"{float(grid[place[missing[0]]])!r}. Give a fine grid that holds every time of "
                "every coarse one"
            )
        return place


class NestedSteps:
    """The variables of the steps of one coarse grid; made by `NestedPath.on`."""

    def __init__(self, path: NestedPath, grid: Tensor) -> None:
        if isinstance(grid, Tensor) and grid.requires_grad:
            raise ValueError(
                "a nested path is a fixed function of time and has no derivative in it; "
                "for gradients in the grid use a GridPath (path='grid')"
            )
        grid, self.decreasing = checked_grid(grid)
        self.path, self.count = path, len(grid) - 1
        self._places = path._places(grid.flip(0) if self.decreasing else grid)

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        """The variables of the steps first, ..., first + count - 1.

        Parameters
        ----------
        first, count : int
            Which steps; any division of the grid into calls gives the same bits.
        names : sequence of str
            Among W, H, K and A.

        Returns
        -------
        dict of str to Tensor
            (count, *batch, *channels); A is (count, *batch, m, m). On a decreasing grid the
            variables are those of the reversed path: W, K and A change sign, H does not.

        Raises
        ------
        ValueError
            If the steps lie outside the grid, or a name is not a functional of the path.
        """
        checked_block(first, count, self.count, names)
        for name in names:
            if name in DISCRETE:
                raise ValueError(
                    f"{name} is a discrete variable, not a functional of a Brownian path, so it "
                    "has no sum over fine steps; use a GridPath (path='grid')"
                )
        path = self.path
        if count == 0:
            return path._fine.draw(0, 0, names)
        if not names:
            return {}
        if self.decreasing:
            first = self.count - first - count
        bounds = self._places[first : first + count + 1]
        size = path._size(names)
        values = coarse_steps(path._fine, path._widths, bounds, names, size)
        if self.decreasing:
            values = reversed_steps(values)
        return {name: value.to(path.dtype) for name, value in values.items()}
