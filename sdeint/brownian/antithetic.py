"""Paths and their mirror images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sdeint.brownian.path import SHARED, BrownianPath, Steps

#: Even under W -> -W: Levy areas, quadratic in W, and the two-point variable that chooses among them;
#: random nodes do not know of the path.
_EVEN = frozenset({"A", *SHARED})


class Antithetic(BrownianPath):
    """A batch of paths followed by their mirror images, W -> -W.

    W, H, K, theta, xi and sign change their sign; Levy areas, eta and random nodes stay. The mirror image of a
    Brownian motion is a Brownian motion, so each half has the right law.

    Parameters
    ----------
    path : BrownianPath
        Of batch ``(count,)``; this path has ``(2 * count,)``, item ``count + i`` being the image of
        item ``i``.

    Examples
    --------
    >>> import torch
    >>> from sdeint.brownian import Antithetic, GridPath
    >>> steps = Antithetic(GridPath(0, (3,), (1,))).on(torch.tensor([0.0, 1.0]))
    >>> W = steps.draw(0, 1, ["W"])["W"][0]
    >>> torch.equal(W[3:], -W[:3])
    True
    """

    def __init__(self, path: BrownianPath) -> None:
        if len(path.batch) != 1:
            raise ValueError(f"a path to mirror has one batch axis, not the batch {path.batch}")
        self.path = path
        self.batch, self.channels = (2 * path.batch[0],), path.channels
        self.dtype, self.device = path.dtype, path.device
        self.seed, self.first_path = path.seed, path.first_path

    def on(self, grid: Tensor) -> AntitheticSteps:
        """The steps of ``grid``, those of the paths and of their images."""
        return AntitheticSteps(self.path.on(grid))


class AntitheticSteps:
    """The variables of the steps of one grid; made by `Antithetic.on`."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        """The named variables of the steps first, ..., first + count - 1; see `GridPath`."""
        drawn = self.steps.draw(first, count, names)
        return {
            name: torch.cat((value, value if name in _EVEN else -value), 1)
            for name, value in drawn.items()
        }
