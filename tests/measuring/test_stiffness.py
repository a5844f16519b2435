"""Orders that do not depend on L, observed over four decades of it."""

from __future__ import annotations

import pytest

from benchmarks.stiffness import strong_orders, weak_orders
from tableaux import catalogue, stiff_order


@pytest.mark.parametrize("name", ["ETD2RK", "RES3", "ETDRK4", "Krogstad", "HochbruckOstermann"])
def test_the_largest_error_over_all_stiffness_falls_with_the_stiff_order(name: str) -> None:
    *each, worst = strong_orders(name, "none")
    proved = float(catalogue[name].claimed("none")[1])
    assert each[0] > proved - 0.5
    assert worst > stiff_order(catalogue[name]) - 0.5
    if name == "ETDRK4":
        assert worst < proved - 1.0


@pytest.mark.parametrize(
    ("name", "order"), [("ExponentialEM", 1), ("SETDRK2", 2), ("SETDRK2D", 2), ("LawsonSRA1", 1)]
)
def test_the_weak_order_with_exact_noise_does_not_depend_on_stiffness(
    name: str, order: int
) -> None:
    """Without sampling. A Lawson form of weak order 2 keeps only its stiff order."""
    *each, worst = weak_orders(name)
    assert each[0] == pytest.approx(float(catalogue[name].claimed("additive")[1]), abs=0.05)
    assert worst == pytest.approx(order, abs=0.05)
