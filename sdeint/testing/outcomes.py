"""All outcomes of the noise of a few steps, so that a mean is a sum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sdeint.brownian import GridPath
from sdeint.brownian.grid_path import VARIANCE

__all__ = ["GAUSSIAN", "Outcomes", "rule"]

#: The variables whose outcomes are enumerated.
GAUSSIAN = ("W", "H", "K")


def rule(nodes: int) -> tuple[Tensor, Tensor]:
    """Points and weights of the Gauss-Hermite rule for the mean over a standard normal variable."""
    at, shares = map(torch.from_numpy, np.polynomial.hermite_e.hermegauss(nodes))
    return at, shares / shares.sum()


class Outcomes(GridPath):
    """Each path of the batch is an outcome of a Gauss-Hermite rule for the noise of all steps.

    Means over the batch with `weights` are those of polynomials of a degree below twice the nodes
    in each variable exactly; other means are off by powers of h from ``h**nodes`` on.

    Parameters
    ----------
    steps : int
    names : sequence of str
        The variables, of W, H and K.
    nodes : int
        Of the rule, for each variable of each step.

    Attributes
    ----------
    weights : tensor (nodes ** (steps * names),)
        Of the outcomes; their sum is 1.
    """

    def __init__(self, steps: int, names: Sequence[str], nodes: int) -> None:
        self.names, self.steps = tuple(names), steps
        at, shares = rule(nodes)
        count = steps * len(self.names)
        # The rule's points, each step with its own digit in base `nodes`.
        digits = torch.arange(nodes**count)[:, None] // nodes ** torch.arange(count) % nodes
        self.weights = shares[digits].prod(dim=1)
        self.values = at[digits].mT.reshape(len(self.names), steps, -1, 1)
        self.roots = torch.ones(steps, 1, 1, dtype=torch.float64)
        super().__init__(0, (len(digits),), (1,), dtype=torch.float64)

    def on(self, grid: Tensor) -> Outcomes:  # type: ignore[override]
        """The steps of a grid of as many steps."""
        self.roots = grid.double().diff().sqrt().view(-1, 1, 1)
        return self

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        """The named variables of the steps first, ..., first + count - 1."""
        steps = slice(first, first + count)
        return {
            name: self.values[self.names.index(name), steps]
            * self.roots[steps]
            * VARIANCE[name] ** 0.5
            for name in names
        }
