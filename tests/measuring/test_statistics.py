"""The statistics of a study on synthetic errors, whose law is known."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from sdeint.convergence.expectations import _weak_flags
from sdeint.convergence.fitting import Blocks, Fit, fit, fit_exact, student


def synthetic(
    generator: torch.Generator, bend: float, *, order: float = 1.0, paths: int = 600
) -> Fit:
    """A fit to errors ``h^order (1 + bend h/h_max) Z`` whose Z are correlated between step
    sizes."""
    h = torch.tensor([2.0**-j for j in range(4, 9)], dtype=torch.float64)
    common = torch.randn(paths, 1, generator=generator, dtype=torch.float64)
    own = torch.randn(paths, len(h), generator=generator, dtype=torch.float64)
    z = math.sqrt(0.6) * common + math.sqrt(0.4) * own
    squares = (h**order * (1 + bend * h / h[0]) * z) ** 2
    blocks = Blocks(len(h), paths)
    for j in range(len(h)):
        blocks.add(j, 0, squares[:, j])
    rates = blocks.jackknife(lambda mean: torch.log(mean) / 2, floor=0.0)
    return fit(h.tolist(), rates.value, rates.left_out, [""] * len(h), 0.95)


@pytest.mark.parametrize("bend", [0.0, 0.3, -0.3])
def test_the_interval_of_the_order_covers_the_truth_as_often_as_it_says(bend: float) -> None:
    # 300 intervals at 95 %: chance gives fewer than 261 hits with probability below 1e-6.
    generator = torch.Generator().manual_seed(5)
    fits = [synthetic(generator, bend) for _ in range(300)]
    hits = sum(f.interval is not None and f.interval[0] <= 1.0 <= f.interval[1] for f in fits)
    assert stats.binom.cdf(260, 300, 0.95) < 1e-6
    assert hits >= 261


def test_the_interval_narrows_with_more_paths_and_excludes_wrong_orders() -> None:
    generator = torch.Generator().manual_seed(6)
    few, many = (synthetic(generator, 0.1, paths=n) for n in (500, 8000))

    def width(f: Fit) -> float:
        assert f.interval is not None
        return f.interval[1] - f.interval[0]

    assert width(many) < width(few) / 2
    assert many.interval is not None
    assert many.interval[0] > 0.5
    assert many.interval[1] < 1.5


def test_points_that_contradict_a_power_law_are_dropped_from_the_coarse_end() -> None:
    """A plateau at the two coarsest steps, then order 1, with two per mille of noise."""
    generator = torch.Generator().manual_seed(7)
    h = [2.0**-j for j in range(4, 11)]
    size = torch.tensor([h[2], h[2], *h[2:]], dtype=torch.float64)
    noise = 1 + 0.05 * torch.randn(640, len(h), generator=generator, dtype=torch.float64)
    blocks = Blocks(len(h), 640)
    for j in range(len(h)):
        blocks.add(j, 0, (size[j] * noise[:, j]) ** 2)
    rates = blocks.jackknife(lambda mean: torch.log(mean) / 2, floor=0.0)
    found = fit(h, rates.value, rates.left_out, [""] * len(h), 1 - 1e-8)
    assert found.flags[:2] == ["coarse", "coarse"]
    assert found.flags[-3:] == ["", "", ""]
    assert found.interval is not None
    assert found.interval[0] <= 1.0 <= found.interval[1]
    assert "coarse" in found.note


def test_too_few_usable_points_give_no_order_and_say_why() -> None:
    h = [0.5, 0.25, 0.125, 0.0625]
    logs = torch.log(torch.tensor(h, dtype=torch.float64))
    left_out = logs + 0.01 * torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    found = fit(h, logs, left_out, ["", "noise", "", "rounding"], 0.95)
    assert found.order is None
    assert found.interval is None
    assert "2 usable points" in found.note
    assert "noise" in found.note
    assert "rounding" in found.note


def test_weak_errors_below_their_noise_or_of_another_sign_are_flagged() -> None:
    mean = torch.tensor([-0.5, 0.3, 0.2, 0.004, 1e-17], dtype=torch.float64)
    errors = torch.tensor([0.01, 0.01, 0.01, 0.01, 1e-19], dtype=torch.float64)
    assert _weak_flags(mean, errors, 4.0, 1e-15) == ["sign", "", "", "noise", "rounding"]


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = torch.randn(128, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    blocks = Blocks(2, 128)
    for j in range(2):
        blocks.add(j, 0, values[:, j])
    found = blocks.jackknife(lambda mean: mean, floor=-math.inf)
    torch.testing.assert_close(found.value, values.mean(0))
    torch.testing.assert_close(found.errors, values.std(0) / math.sqrt(128))


def test_blocks_do_not_depend_on_how_the_paths_are_split() -> None:
    values = torch.randn(1000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    whole, parts = Blocks(1, 1000), Blocks(1, 1000)
    whole.add(0, 0, values)
    for first in (0, 7, 400):
        last = {0: 7, 7: 400, 400: 1000}[first]
        parts.add(0, first, values[first:last])
    torch.testing.assert_close(whole.sums, parts.sums, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("freedom", [1, 5, 127])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 1 - 1e-8])
def test_student_quantiles_are_those_of_scipy(freedom: int, confidence: float) -> None:
    wanted = stats.t.isf((1 - confidence) / 2, freedom)
    assert student(confidence, freedom) == pytest.approx(wanted, rel=1e-7)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_noiseless_errors_are_extrapolated_whatever_the_next_power(power: float) -> None:
    h = [2.0**-j for j in range(6, 12)]
    errors = torch.tensor([x**1.5 * (1 + x**power) for x in h], dtype=torch.float64)
    found = fit_exact(h, torch.log(errors), [""] * len(h))
    assert found.order == pytest.approx(1.5, abs=2e-3)
    assert found.interval is not None
    assert found.interval[0] <= 1.5 + 2e-3
    assert found.interval[1] >= 1.5 - 2e-3
