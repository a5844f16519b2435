"""Time grids: ends as asked, strictly decreasing, and equal steps in their own clock."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betainc

from diffusion import (
    EDM,
    VE,
    VP,
    CosineVP,
    DiscreteVP,
    Flow,
    Process,
    SubVP,
    grids,
    spacings,
    time_grid,
)

DISCRETE = DiscreteVP.from_betas(torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64))
PROCESSES = [VP(), SubVP(), VE(), EDM(), CosineVP(), DISCRETE, Flow()]
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
        "edm": lambda t: torch.exp(-process.lambda_(t) / 7),
        "beta": lambda t: torch.from_numpy(
            betainc(0.6, 0.6, ((t - t[-1]) / (t[0] - t[-1])).clamp(0, 1).numpy())
        ),
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
    first, last = process.trained
    assert first <= float(times[-1]) < float(times[0]) <= last


@pytest.mark.parametrize("name", list(grids))
def test_the_default_range_ends_where_the_network_was_trained(name: str) -> None:
    times = time_grid(name, EDM(0.05, 10.0), 10)
    assert [float(times[0]), float(times[-1])] == pytest.approx([10.0, 0.05], rel=1e-12)


def test_the_default_range_is_the_stated_one_where_the_process_goes_further() -> None:
    lambdas = Flow().lambda_(time_grid("uniform_t", Flow(), 10))
    assert [float(lambdas[0]), float(lambdas[-1])] == pytest.approx([-5.1, 4.6], rel=1e-12)


def test_quantiles_of_an_uneven_beta_distribution_are_those_of_its_parameters() -> None:
    # P(a, 1) = t^a
    times = grids["beta"](Flow(), 10, (-3.0, 3.0), a=0.5, b=1.0)  # type: ignore[call-arg]
    first, last = float(times[0]), float(times[-1])
    line = torch.linspace(1.0, 0.0, 11, dtype=torch.float64)
    torch.testing.assert_close((times - last) / (first - last), line**2)


def test_a_grid_may_be_a_function() -> None:
    def halves(process: Process, steps: int, lambda_range: tuple[float, float]) -> torch.Tensor:
        return 0.5 ** torch.arange(steps + 1, dtype=torch.float64)

    times = time_grid(halves, Flow(), 3, (-1.0, 3.0))
    assert times[1:-1].tolist() == [0.5, 0.25]
    with pytest.raises(ValueError, match="strictly decreasing"):
        time_grid(halves, Flow(), 3, (-1.0, 1.0))


def test_the_edm_grid_is_edms() -> None:
    # Karras et al., eq. 5, without its further step to sigma = 0, which is the last denoising
    steps, power = 17, 7.0
    i = torch.arange(steps + 1, dtype=torch.float64)
    roots = 80 ** (1 / power) + i / steps * (0.002 ** (1 / power) - 80 ** (1 / power))
    times = time_grid("edm", EDM(), steps)
    torch.testing.assert_close(times, roots**power, rtol=1e-12, atol=0)


def test_spacings_have_the_published_labels() -> None:
    def labels(name: str, steps: int) -> list[int]:
        return DISCRETE.label(time_grid(name, DISCRETE, steps)).tolist()

    # arXiv 2305.08891, table 2, of 1000 labels at five evaluations
    assert labels("leading", 4) == [800, 600, 400, 200, 0]
    assert labels("trailing", 4) == [999, 799, 599, 399, 199]
    assert labels("linspace", 4) == [999, 749, 500, 250, 0]
    assert labels("linspace", 999) == list(range(999, -1, -1))


def test_spacings_are_those_of_the_labels_that_there_are() -> None:
    few = DiscreteVP.from_betas(torch.linspace(0.01, 0.2, 50, dtype=torch.float64))
    named = spacings.keys() - {"shifted"}  # of times between labels
    found = {name: few.label(time_grid(name, few, 4)).tolist() for name in named}
    assert found == {
        "leading": [40, 30, 20, 10, 0],
        "trailing": [49, 39, 29, 19, 9],
        "linspace": [49, 37, 24, 12, 0],
    }
    with pytest.raises(ValueError, match="need 51 labels"):
        time_grid("leading", few, 50)


@pytest.mark.parametrize("name", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("process", [DISCRETE, VP(), EDM()], ids=repr)
@pytest.mark.parametrize("steps", [1, 7, 250, 999])
def test_spacings_decrease_through_labels(name: str, process: Process, steps: int) -> None:
    times = time_grid(name, process, steps)
    assert times.shape == (steps + 1,)
    labels = times / process.T * 1000 - 1
    torch.testing.assert_close(labels, labels.round(), rtol=0, atol=1e-9)


def test_the_shift_is_the_same_for_the_odds_of_noise() -> None:
    # s t / (1 + (s - 1) t) multiplies t / (1 - t) by s
    plain, moved = (time_grid(f"shifted({s})", Flow(), 9) for s in (1, 3))
    torch.testing.assert_close(plain, torch.linspace(1, 1e-3, 10, dtype=torch.float64))
    assert 0 < 1 - float(plain[0]) < 1e-7
    even = torch.linspace(1, 0.003 / 1.002, 10, dtype=torch.float64)[1:]
    torch.testing.assert_close(moved[1:] / (1 - moved[1:]), 3 * even / (1 - even))
    # where something of the data is left, the first time is the last one of the process
    assert float(time_grid("shifted(3)", VP(), 9)[0]) == 1


def test_numbers_in_brackets_are_a_grids_own_parameters() -> None:
    process, ends = VP(), (-3.0, 3.0)
    got = time_grid("karras(5)", process, 6, ends)
    torch.testing.assert_close(got[1:-1], grids["karras"](process, 6, ends, power=5.0)[1:-1])
    assert torch.equal(time_grid("beta(0.6, 0.6)", process, 6), time_grid("beta", process, 6))
    offset = spacings["leading"](DISCRETE, 4, offset=1)
    assert torch.equal(time_grid("leading(1)", DISCRETE, 4), offset)
    assert spacings.keys() == {"leading", "trailing", "linspace", "shifted"}
    with pytest.raises(ValueError, match=r"'karras' takes numbers for power, not \(1,2\)"):
        time_grid("karras(1,2)", process, 4)
    with pytest.raises(ValueError, match=r"'beta' takes numbers for a, b, not \(x\)"):
        time_grid("beta(x)", process, 4)
    with pytest.raises(ValueError, match=r"'trailing' takes no numbers, not \(1\)"):
        time_grid("trailing(1)", process, 4)
    with pytest.raises(ValueError, match=r"unknown time grid 'karras\(5'"):
        time_grid("karras(5", process, 4)
    with pytest.raises(ValueError, match=r"shift = -1.0 must be positive"):
        time_grid("shifted(-1)", process, 4)


def test_explicit_times_are_taken_as_they_are() -> None:
    given = [0.9, 0.5, 0.01]
    assert time_grid(given, VP(), 2).tolist() == given
    assert time_grid(torch.tensor(given), VP(), 2).dtype == torch.float64
    own = torch.tensor(given, dtype=torch.float64)
    time_grid(own, VP(), 2)[0] = 0.0
    assert own.tolist() == given
    with pytest.raises(ValueError, match="not 4 strictly decreasing"):
        time_grid(given, VP(), 3)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        time_grid([1.5, 0.5], VP(), 1)
    with pytest.raises(ValueError, match="end where there is noise"):
        time_grid([0.5, 0.0], VP(), 1)
    with pytest.raises(ValueError, match="begin where something of the data is left"):
        time_grid([1.0, 0.5], Flow(), 1)


@each_process
def test_a_first_time_replaces_the_lower_end(process: Process) -> None:
    first = 0.4 * process.T
    times = time_grid("uniform_lambda", process, 9, first_time=first)
    assert float(times[0]) == pytest.approx(first, rel=1e-14)
    assert times[-1] == time_grid("uniform_lambda", process, 9)[-1]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="explicit times have ends of their own"):
        time_grid([0.9, 0.1], VP(), 1, (-3.0, 3.0))
    with pytest.raises(ValueError, match="'leading' have ends of their own"):
        time_grid("leading", VP(), 4, first_time=0.5)
    with pytest.raises(ValueError, match="need 1001 labels"):
        time_grid("trailing", DISCRETE, 1000)
    with pytest.raises(ValueError, match=r"unknown time grid 'karas'; did you mean 'karras'\?"):
        time_grid("karas", VP(), 4)
    with pytest.raises(ValueError, match="at least one step"):
        time_grid("karras", VP(), 0)
    with pytest.raises(ValueError, match="must increase"):
        time_grid("karras", VP(), 4, (3.0, -3.0))
    with pytest.raises(ValueError, match="never reached by VP"):
        time_grid("uniform_lambda", VP(), 4, (-7.0, 3.0))
