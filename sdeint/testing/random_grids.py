"""Random time grids."""

from __future__ import annotations

from hypothesis import strategies as st

from sdeint.errors import ProblemError

FINEST = 64  # times are multiples of 1/FINEST: sums of steps are exact in float32 too


def grids(
    *, steps: tuple[int, int] = (1, 8), decreasing: bool | None = None, longest: float = 0.5
) -> st.SearchStrategy[tuple[float, ...]]:
    """Random time grids, strictly increasing or strictly decreasing, with uneven steps.

    Parameters
    ----------
    steps : (int, int)
        Fewest and most steps; a grid has one time more.
    decreasing : bool, optional
        True or False for one kind only; either by default.
    longest : float
        The longest step, a multiple of 1/64.

    Returns
    -------
    SearchStrategy of tuple of float
        For `sdeint.solve(..., t)`. All times are multiples of 1/64 in [-2, 2] plus the grid's
        length, so that they, and their differences, are exact.

    Raises
    ------
    ProblemError
        If there is no such grid.
    """
    fewest, most = steps
    units = int(longest * FINEST)
    if not 1 <= fewest <= most:
        raise ProblemError(f"a grid needs 1 <= fewest <= most steps, got steps={steps}")
    if units < 1 or units != longest * FINEST:
        raise ProblemError(f"longest must be a positive multiple of 1/{FINEST}, got {longest}")
    signs = {None: (1, -1), False: (1,), True: (-1,)}[decreasing]

    def grid(start: int, widths: list[int], sign: int) -> tuple[float, ...]:
        times = [start * FINEST // 4]
        for width in widths:
            times.append(times[-1] + sign * width)
        return tuple(time / FINEST for time in times)

    return st.builds(
        grid,
        st.integers(-8, 8),
        st.lists(st.integers(1, units), min_size=fewest, max_size=most),
        st.sampled_from(signs),
    )
