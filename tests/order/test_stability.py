"""Mean-square stability functions, against moments that are enumerated outcome by outcome."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from tableaux import TableauError, catalogue
from tableaux.moments import second_moment_step
from tableaux.stability import K, Z, is_stable, stability_function, stability_region

from .variants import IMPLICIT_MIDPOINT


def test_euler_multiplies_the_mean_square_by_the_textbook_factor() -> None:
    assert sympy.expand(stability_function(catalogue["EM"]) - (1 + Z) ** 2 - K**2) == 0


@pytest.mark.parametrize("name", ["EM", "Heun", "DFMilstein", "SRIW1", "SRIW2", "RI6", "RS2"])
def test_stability_function_is_the_second_moment_of_a_step(name: str) -> None:
    h, drift, noise = 0.3, -1.1, 0.7
    measured = second_moment_step(
        catalogue[name], np.array([[drift]]), [np.array([[noise]])], h, nodes=8
    )
    function = stability_function(catalogue[name])
    value = function.subs({Z: drift * h, K: noise * h**0.5})
    assert float(value) == pytest.approx(float(measured[0, 0]), rel=1e-12)


@pytest.mark.parametrize(("name", "order"), [("EM", 1), ("RI6", 2), ("SRIW1", 2)])
def test_stability_function_agrees_with_the_exact_growth_to_the_linear_weak_order(
    name: str, order: int
) -> None:
    root = sympy.Symbol("s", positive=True)  # sqrt(h)
    value = stability_function(catalogue[name]).subs({Z: -2 * root**2, K: root})
    error = value - sympy.exp(root**2 * (-4 + 1))
    leading = sympy.series(error, root, 0, 2 * order + 3).removeO()
    assert sympy.Poly(leading, root).monoms() == [(2 * order + 2,)]


def test_region_marks_where_a_step_contracts() -> None:
    z, k2 = np.array([-3.0, -1.0, -0.1]), np.array([0.0, 0.5, 1.5])
    inside = stability_region(catalogue["EM"], z, k2)
    assert inside.tolist() == ((1 + z[None, :]) ** 2 + k2[:, None] < 1).tolist()
    assert is_stable(catalogue["EM"], -1, 0.5)
    assert not is_stable(catalogue["EM"], -1, 1.5)


def test_random_denominators_and_memory_are_refused() -> None:
    with pytest.raises(TableauError, match="denominator"):
        stability_function(IMPLICIT_MIDPOINT)
    with pytest.raises(TableauError, match="memory"):
        stability_function(catalogue["OneStageStored"])
