"""What can go wrong, and how it is said."""

from __future__ import annotations

from typing import Any

__all__ = ["NonFiniteError", "ProblemError", "StageError"]


class ProblemError(ValueError):
    """A problem, grid or request that cannot be solved as it stands."""


class NonFiniteError(ArithmeticError):
    """A path became NaN or infinite.

    Attributes
    ----------
    t : float
        Time at the end of the first step that produced it.
    step : int
        Index of that step, from 0.
    paths : list of tuple of int
        Batch indices of the paths concerned, at most 16 of them.
    count : int
        Number of paths concerned.
    """

    def __init__(self, t: float, step: int, paths: list[tuple[int, ...]], count: int) -> None:
        self.t, self.step, self.paths, self.count = t, step, paths, count
        first = paths[0] if len(paths[0]) != 1 else paths[0][0]
        more = f" and {count - 1} more" if count > 1 else ""
        super().__init__(
            f"path {first}{more} became NaN or infinite in step {step}, at t = {t:.17g}; "
            "a smaller step or a method with a larger stability region may keep it finite"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.t, self.step, self.paths, self.count)


class StageError(ArithmeticError):
    """The implicit stages of a step could not be solved on a path.

    Attributes
    ----------
    t : float
        Time at the start of the step.
    step : int
        Index of the step, from 0.
    paths : list of tuple of int
        Batch indices of the paths concerned, at most 16 of them.
    count : int
        Number of paths concerned.
    iterations : int
    """

    def __init__(
        self, t: float, step: int, paths: list[tuple[int, ...]], count: int, iterations: int
    ) -> None:
        self.t, self.step, self.paths, self.count = t, step, paths, count
        self.iterations = iterations
        first = paths[0] if len(paths[0]) != 1 else paths[0][0]
        more = f" and {count - 1} more" if count > 1 else ""
        super().__init__(
            f"the implicit stages of step {step}, from t = {t:.17g}, were not solved on path {first}"
            f"{more} after {iterations} Newton iterations; take smaller steps, more iterations "
            "(newton=sdeint.Newton(iterations=...)), or bounded noise where g is implicit"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.t, self.step, self.paths, self.count, self.iterations)
