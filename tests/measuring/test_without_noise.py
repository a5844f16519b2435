"""The limit g = 0: every method has the order that it claims there."""

from __future__ import annotations

import math

import pytest
import torch

from sdeint import SDE, problems, solve
from sdeint.problems import PathValues
from tableaux import catalogue

#: Where a random variable multiplies a drift, there is a weak order only.
ONE_STEP = sorted(n for n, t in catalogue.items() if t.start is None and t.claimed("none")[0])


def slope(name: str) -> tuple[float, list[float]]:
    problem = problems.orbit()
    tableau = catalogue[name]
    drift = problem.sde(tableau.calculus).f
    # Steps relative to their times need positive ones: the same orbit, an hour later.
    late = 1.0 if tableau.relative else 0.0
    sde = SDE(lambda t, y: drift(t - late, y), noise="none", calculus=tableau.calculus)
    times = [t + late for t in problem.interval]
    nothing = torch.zeros(1, dtype=torch.float64)
    assert problem.solution is not None
    end = problem.solution(problem.interval[1], PathValues(nothing, nothing))
    errors = []
    for n in (64, 128, 256):
        y = solve(sde, problem.start(1), times, method=name, steps=n, save_at="end").y
        errors.append(float((y[-1, 0] - end).norm()))
    return math.log2(errors[-2] / errors[-1]), errors


def cases() -> list[object]:
    """Implicit methods take longest; one of them stays with the others."""
    implicit = {n for n in ONE_STEP if catalogue[n].implicit} - {"ImplicitEM"}
    return [pytest.param(n, marks=[pytest.mark.slow] * (n in implicit)) for n in ONE_STEP]


@pytest.mark.parametrize("name", cases())
def test_the_order_without_noise_is_observed(name: str) -> None:
    order, errors = slope(name)
    claimed = catalogue[name].claimed("none")[0]
    assert claimed is not None
    # At order 5 there is little room between the last bend of the curve and rounding.
    assert abs(order - float(claimed)) < (0.1 if claimed < 5 else 0.3), errors


def test_a_method_with_memory_has_its_order_without_noise_too() -> None:
    for name in ("OneStageStored", "TwoStep"):
        assert slope(name)[0] == pytest.approx(float(catalogue[name].claimed("none")[0]), abs=0.1)


def test_a_path_through_an_equation_without_noise_costs_no_random_number() -> None:
    problem = problems.orbit()
    solution = solve(problem.sde(), problem.start(2, dtype=torch.float32), (0.0, 1.0), steps=8,
                     method="SRIW1")  # fmt: skip
    assert solution.stats.variables_drawn == 0
    assert torch.equal(solution.y[:, 0], solution.y[:, 1])
