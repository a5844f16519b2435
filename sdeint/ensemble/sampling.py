"""One chunk of paths: solve, apply the functionals, keep their statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from sdeint.brownian import Antithetic, BrownianPath, GridPath, TreePath
from sdeint.ensemble.ordered import Piece
from sdeint.ensemble.simulation import Simulation
from sdeint.ensemble.statistics import Plan, Statistics
from sdeint.errors import ProblemError

__all__ = ["Sampler"]


@dataclass(frozen=True)
class Sampler:
    """From a piece of the ensemble to the statistics of its functionals.

    Attributes
    ----------
    simulation : Simulation
    mode : {"grid", "tree"}
    antithetic : bool
        A unit is a path and its mirror image.
    covariance, sketch : bool
        Whether products of components, and quantile sketches, are kept.
    edges : mapping of str to tuple of float
        Of the histograms, by the name of the functional.
    """

    simulation: Simulation
    mode: str = "grid"
    antithetic: bool = False
    covariance: bool = False
    sketch: bool = False
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Paths in a unit."""
        return 2 if self.antithetic else 1

    def __call__(self, piece: Piece) -> dict[int, Statistics]:
        """The statistics of a run of units, by the functional's place.

        Raises
        ------
        ChunkError
            If a path is lost, or a functional raises or is not finite.
        ProblemError
            If a request does not fit the problem.
        """
        s = self.simulation
        with torch.no_grad():
            try:
                y0 = s.start(piece.first, piece.count)
                path = self._path(piece, y0.device)
                solution = s.solve(torch.cat([y0] * self.size), path, s.steps)
            except ProblemError:
                raise
            except Exception as error:
                raise s.failed(piece, self.size, error) from error
            found = {}
            for slot, name in enumerate(s.functionals):
                table = s.table(name, solution, piece, self.size)
                edges = self.edges.get(name, ())
                plan = Plan(table.shape[2:], self.size, self.covariance, self.sketch, edges)
                found[slot] = Statistics(plan)
                found[slot].add(piece.first, table)
            return found

    def _path(self, piece: Piece, device: torch.device) -> BrownianPath:
        s = self.simulation
        options: dict[str, Any] = {"dtype": s.clock, "device": device, "first_path": piece.first}
        batch = (piece.count,)
        path: BrownianPath
        if self.mode == "grid":
            path = GridPath(s.seed, batch, s.channels, **options)
        else:
            low, high = sorted((float(s.times[0]), float(s.times[-1])))
            path = TreePath(s.seed, batch, s.channels, t0=low, t1=high, **options)
        return Antithetic(path) if self.antithetic else path

    def arguments(self) -> dict[str, Any]:
        """All that the statistics depend on, as JSON."""
        s = self.simulation
        return {
            **s.arguments(),
            "path": self.mode,
            "first_path": s.start.first,
            "antithetic": self.antithetic,
            "covariance": self.covariance,
            "quantiles": self.sketch,
            "histogram": [list(self.edges.get(name, ())) for name in s.functionals],
        }
