"""Corrections from one step size to the next, both solved on the same path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sdeint.brownian import GridPath, NestedPath
from sdeint.ensemble.ordered import Piece
from sdeint.ensemble.simulation import Simulation
from sdeint.ensemble.statistics import Plan, Statistics
from sdeint.errors import ProblemError
from sdeint.solution import Solution
from sdeint.timeline import plan

__all__ = ["APART", "Corrections"]

#: Path indices of a level begin at its number times this.
APART = 1 << 34


@dataclass(frozen=True)
class Corrections:
    """From a piece of a level to the statistics of (P_l - P_(l-1), P_l, cost).

    Attributes
    ----------
    simulation : Simulation
        Of one functional, of the end values.
    steps : int
        Of level 0.
    refinement : int
    """

    simulation: Simulation
    steps: int
    refinement: int

    def fine_steps(self, level: int) -> int:
        """Steps of the fine solution."""
        return int(self.steps * self.refinement**level)

    def __call__(self, piece: Piece) -> dict[int, Statistics]:
        """The statistics of a run of paths, by their level.

        Raises
        ------
        ChunkError
            If a path is lost, or the functional raises or is not finite.
        ProblemError
            If a request does not fit the problem.
        """
        s, level = self.simulation, piece.first // APART
        ((name, _),) = s.functionals.items()
        with torch.no_grad():
            try:
                solutions = self._solved(level, piece)
            except ProblemError:
                raise
            except Exception as error:
                what = f"on level {level}, {self.fine_steps(level)} steps: "
                raise s.failed(piece, 1, error, what) from error
            values = [s.table(name, solution, piece)[0] for solution in solutions]
        if values[0].ndim != 1:
            raise ProblemError(
                f"functional {name!r} gave values of shape {values[0].shape[1:]}; multilevel takes "
                "one number for each path, (batch,)"
            )
        cost = sum(x.stats.f_evaluations + x.stats.g_evaluations for x in solutions)
        correction = values[0] - values[1] if level else values[0]
        table = np.stack([correction, values[0], np.full(piece.count, float(cost))], -1)
        statistics = Statistics(Plan(shape=(3,)))
        statistics.add(piece.first, table[None])
        return {level: statistics}

    def _solved(self, level: int, piece: Piece) -> list[Solution]:
        """The fine solution and, from level 1 on, the coarse one."""
        s, steps = self.simulation, self.fine_steps(level)
        y0: Tensor = s.start(piece.first, piece.count)
        # One term of the areas' series: both solutions share them, whatever their accuracy.
        width = abs(float(s.times[-1] - s.times[0])) / steps
        fine = GridPath(
            s.seed,
            (piece.count,),
            s.channels,
            accuracy=width**-0.5,
            dtype=s.clock,
            device=y0.device,
            first_path=piece.first,
        )
        solutions = [s.solve(y0, fine, steps)]
        if level:
            nested = NestedPath(fine, plan(s.times, steps, "end").grid)
            solutions.append(s.solve(y0, nested, steps // self.refinement))
        return solutions
