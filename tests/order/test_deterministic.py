"""Runge-Kutta methods as the limit without noise."""

from __future__ import annotations

import math

import pytest
import torch

import sdeint
from tableaux import catalogue, order

METHODS = [("RK4", 4, None), ("BogackiShampine", 3, 2), ("DormandPrince", 5, 4)]


@pytest.mark.parametrize(("name", "proved", "embedded"), METHODS)
def test_orders_without_noise_are_proved(name: str, proved: int, embedded: int | None) -> None:
    report = order(catalogue[name])
    assert report.deterministic == report.by_noise["none"].weak == proved
    if embedded is not None:
        assert order(catalogue[name], embedded=True).deterministic == embedded


@pytest.mark.parametrize(
    ("name", "proved"),
    [("EM", 1), ("Heun", 2), ("Midpoint", 2), ("SPaRK", 2), ("SlowRK", 2), ("LogODE(4)", 4)],
)
def test_stochastic_methods_have_an_order_without_noise_too(name: str, proved: int) -> None:
    assert order(catalogue[name], noise="none").deterministic == proved
    assert catalogue[name].claimed("none") == (proved, proved)


@pytest.mark.parametrize("name", ["BogackiShampine", "DormandPrince"])
def test_the_last_stage_is_the_first_of_the_next_step(name: str) -> None:
    tableau = catalogue[name]
    (coupling,) = tableau.couplings
    (output,) = tableau.outputs
    assert coupling.matrix[-1] == output.weights
    assert tableau.block("drift").nodes[-1] == 1


@pytest.mark.parametrize(("name", "proved", "embedded"), METHODS)
def test_the_order_is_observed_on_a_field_that_depends_on_time(
    name: str, proved: int, embedded: int | None
) -> None:
    """y' = y cos t has the solution exp(sin t)."""
    sde = sdeint.SDE(lambda t, y: y * math.cos(float(t)), None)
    y0 = torch.ones(1, 1, dtype=torch.float64)
    errors = []
    for steps in (16, 32):
        end = sdeint.solve(sde, y0, (0.0, 2.0), method=name, steps=steps).y[-1]
        errors.append(abs(float(end) - math.exp(math.sin(2.0))))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(proved, abs=0.35)
