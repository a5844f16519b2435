"""A path at another speed, which may be none."""

from __future__ import annotations

import pytest
import torch

from sdeint.brownian import GridPath, TimedPath, TreePath

GRID = torch.linspace(0, 8, 9, dtype=torch.float64)


def clock(t):
    """Stands still on [2, 4] and from 7 on."""
    return torch.minimum(t, torch.tensor(2.0)) + (t.clamp(4.0, 7.0) - 4.0) / 2


@pytest.mark.parametrize("kind", [GridPath, TreePath])
def test_where_the_clock_stands_still_there_is_no_noise_and_elsewhere_the_paths(kind):
    ends = {"t0": 0.0, "t1": 8.0} if kind is TreePath else {}
    path = kind(1, (3,), (2,), dtype=torch.float64, **ends)
    steps = TimedPath(path, clock).on(GRID)
    moving = [0, 1, 4, 5, 6]
    times = torch.tensor([0.0, 1.0, 2.0, 2.5, 3.0, 3.5], dtype=torch.float64)
    inner = path.on(times).draw(0, 5, ["W", "H"])
    whole = steps.draw(0, 8, ["W", "H"])
    for name in ("W", "H"):
        assert torch.equal(whole[name][moving], inner[name])
        assert not whole[name][[2, 3, 7]].any()
        parts = [steps.draw(n, 1, [name])[name] for n in range(8)]
        assert torch.equal(torch.cat(parts), whole[name])


def test_a_clock_that_never_moves_gives_no_noise():
    path = GridPath(1, (3,), (2,), dtype=torch.float64)
    still = TimedPath(path, torch.zeros_like).on(GRID).draw(2, 3, ["W"])["W"]
    assert still.shape == (3, 3, 2)
    assert not still.any()
