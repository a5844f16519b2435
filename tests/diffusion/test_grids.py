"""Time grids: ends as asked, strictly decreasing, and equal steps in their own clock."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion import VE, VP, Flow, Process, SubVP, grids, time_grid

PROCESSES = [VP(), SubVP(), VE(), Flow()]
each_process = pytest.mark.parametrize("process", PROCESSES, ids=repr)


@each_process
@pytest.mark.parametrize("name", list(grids))
@settings(max_examples=30)
@given(steps=st.integers(1, 200), low=st.floats(-3.5, 0), high=st.floats(0.5, 4))
def test_grids_decrease_from_end_to_end(
    process: Process, name: str, steps: int, low: float, high: float
) -> None:
    times = time_grid(name, process, steps, (low, high))
    assert times.shape == (steps + 1,)
    assert times.dtype == torch.float64
    assert (times.diff() < 0).all()
    assert times[0] == process.t_of_lambda(low)
    assert times[-1] == process.t_of_lambda(high)


@each_process
def test_each_grid_is_uniform_in_its_own_clock(process: Process) -> None:
    clocks = {
        "uniform_t": lambda t: t,
        "uniform_lambda": process.lambda_,
        "quadratic": torch.sqrt,
        "karras": lambda t: torch.exp(-process.lambda_(t) / 7),
    }
    assert set(clocks) == set(grids)
    for name, clock in clocks.items():
        steps = clock(time_grid(name, process, 20, (-3.0, 3.0))).diff()
        torch.testing.assert_close(steps, steps.mean().expand(20), rtol=1e-9, atol=1e-12)


@each_process
@pytest.mark.parametrize("name", list(grids))
def test_the_default_range_fits_every_process(process: Process, name: str) -> None:
    times = time_grid(name, process, 10)
    assert float(process.lambda_(times[0])) < -3.9
    assert float(process.lambda_(times[-1])) > 4.59


def test_a_grid_may_be_a_function() -> None:
    def halves(process: Process, steps: int, lambda_range: tuple[float, float]) -> torch.Tensor:
        return 0.5 ** torch.arange(steps + 1, dtype=torch.float64)

    times = time_grid(halves, Flow(), 3, (-1.0, 3.0))
    assert times[1:-1].tolist() == [0.5, 0.25]
    with pytest.raises(ValueError, match="strictly decreasing"):
        time_grid(halves, Flow(), 3, (-1.0, 1.0))


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown time grid 'karas'; did you mean 'karras'\?"):
        time_grid("karas", VP(), 4)
    with pytest.raises(ValueError, match="at least one step"):
        time_grid("karras", VP(), 0)
    with pytest.raises(ValueError, match="must increase"):
        time_grid("karras", VP(), 4, (3.0, -3.0))
    with pytest.raises(ValueError, match="never reached by VP"):
        time_grid("uniform_lambda", VP(), 4, (-7.0, 3.0))
