"""What a solve returns."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Solution", "Stats"]


@dataclass(frozen=True)
class Stats:
    """What a solve did.

    Attributes
    ----------
    method : str
    steps : int
    f_evaluations, g_evaluations : int
        States at which f and g were evaluated, for each path.  Of implicit methods, those of all
        Newton iterations; the Jacobian of an iteration counts as one.
    variables_drawn : int
        Random numbers drawn, for each path.
    newton_iterations : int
        Newton iterations for implicit stages, all steps together.
    chosen : str
        Why this method, where ``method="auto"`` picked it; else empty.
    compiled : bool
        Whether steps were compiled.
    """

    method: str
    steps: int
    f_evaluations: int
    g_evaluations: int
    variables_drawn: int
    newton_iterations: int = 0
    chosen: str = ""
    compiled: bool = False


@dataclass(frozen=True)
class Solution:
    r"""Values of the paths at the requested times.

    Attributes
    ----------
    t : tensor (T,)
        float64, on the CPU.
    y : tensor (T, \*y0.shape)
        ``y[i]`` are the values at ``t[i]``.
    stats : Stats
    """

    t: torch.Tensor
    y: torch.Tensor
    stats: Stats

    def __repr__(self) -> str:
        t, s = self.t.detach(), self.stats
        return (
            f"Solution(t={float(t[0]):g}..{float(t[-1]):g} ({len(t)} times), "
            f"y={tuple(self.y.shape)} {str(self.y.dtype).removeprefix('torch.')}, "
            f"{s.method}: {s.steps} steps, {s.f_evaluations} f and {s.g_evaluations} g evaluations"
            + (f", {s.newton_iterations} Newton iterations" if s.newton_iterations else "")
            + (", compiled" if s.compiled else "")
            + (f"; auto: {s.chosen}" if s.chosen else "")
            + ")"
        )
