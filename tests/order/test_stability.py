"""Mean-square stability functions, against moments that are enumerated outcome by outcome."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

from tableaux import Tableau, TableauError, catalogue
from tableaux.moments import second_moment_step
from tableaux.stability import (
    K,
    Z,
    amplification,
    decimal,
    is_a_stable,
    is_l_stable,
    is_mean_square_a_stable,
    is_stable,
    stability_function,
    stability_region,
    stationary_variance,
)

from .variants import IMPLICIT_MIDPOINT


def test_euler_multiplies_the_mean_square_by_the_textbook_factor() -> None:
    assert sympy.expand(stability_function(catalogue["EM"]) - (1 + Z) ** 2 - K**2) == 0


@pytest.mark.parametrize(
    "name", ["EM", "Heun", "DFMilstein", "SRIW1", "SRIW2", "RI6", "RS2", "RIL1"]
)
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


@pytest.mark.parametrize(
    ("name", "a_stable", "l_stable"),
    [
        ("EM", False, False),
        ("RI6", False, False),
        ("StochasticTheta(2/5)", False, False),
        ("ImplicitTrapezoid", True, False),
        ("ImplicitMidpoint", True, False),
        ("StochasticTheta(3/4)", True, False),
        ("ImplicitEM", True, True),
        ("SplitStepBackwardEuler", True, True),
        ("ImplicitMilstein", True, True),
        ("ImplicitEulerHeun", True, True),
        ("StratonovichMidpoint", True, False),
        ("SRAL1", True, True),
        ("SKenCarp", True, False),  # R(infinity) = 1.4e-16, since its diagonal is rational
        ("PlatenImplicit", True, False),
        ("RIA1", True, False),
        ("RIL1", True, True),
    ],
)
def test_stability_without_noise_is_proved(name: str, a_stable: bool, l_stable: bool) -> None:
    assert is_a_stable(catalogue[name]) == a_stable
    assert is_l_stable(catalogue[name]) == l_stable


def test_a_pole_in_the_left_half_plane_is_seen() -> None:
    # |R| = 1 on the imaginary axis, and a pole at z = -2.
    backwards = Tableau.rk("backwards", A=[["-1/2"]], b=[-1], implicit=True)
    assert sympy.simplify(amplification(backwards) - (2 - Z) / (2 + Z)) == 0
    assert not is_a_stable(backwards)


@pytest.mark.parametrize(
    ("name", "stable"),
    [
        ("EM", False),
        ("DFMilstein", False),
        ("StochasticTheta(49/100)", False),
        ("StochasticTheta(1/2)", True),
        ("StochasticTheta(3/4)", True),
        ("ImplicitEM", True),
        ("ImplicitMidpoint", True),
        ("SplitStepBackwardEuler", True),
        ("ImplicitMilstein(1)", False),
        ("ImplicitMilstein(149/100)", False),
        ("ImplicitMilstein(3/2)", True),
        ("ImplicitEulerHeun", True),
        ("StratonovichMidpointWeak", False),
        ("PlatenImplicit", False),
        ("RI6", False),
        ("RIA1", True),
        ("RIL1", True),
    ],
)
def test_stability_in_mean_square_at_every_step_is_decided(name: str, stable: bool) -> None:
    tableau = catalogue[name]
    assert is_mean_square_a_stable(tableau) == stable
    # A sample of the region agrees.
    y, s = np.meshgrid(np.logspace(-2, 2, 60), np.linspace(-0.999, 0.999, 41))
    ito = tableau.calculus == "ito"
    z, k = (-2 * y**2, 2 * y * s) if ito else (-(y**2), y * s)
    value = sympy.lambdify((Z, K), stability_function(tableau), "numpy")(z, k)
    assert bool(np.all(value < 1)) == stable


def test_the_trapezoid_is_stable_exactly_where_the_equation_is() -> None:
    margin = 1 - stability_function(catalogue["ImplicitTrapezoid"])
    assert sympy.simplify(margin * (1 - Z / 2) ** 2 + 2 * Z + K**2) == 0


def test_milstein_with_theta_one_is_stable_at_every_step_for_moderate_noise() -> None:
    # E R^2 < 1 reads k^2 + k^4 / 2 < z^2 - 2 z, true for all z < 0 if k^2 = -a z with a <= sqrt(2).
    function = stability_function(catalogue["ImplicitMilstein"])
    for a, stable in [(sympy.sqrt(2), True), (sympy.Rational(3, 2), False)]:
        value = function.subs(K, sympy.sqrt(-a * Z)).subs(Z, -1000)
        assert bool(value < 1) == stable


def test_discrete_variables_in_a_denominator_are_enumerated() -> None:
    h, drift, noise = 0.1, -0.8, 0.5
    tableau = catalogue["StratonovichMidpointWeak"]
    measured = second_moment_step(tableau, np.array([[drift]]), [np.array([[noise]])], h)
    value = stability_function(tableau).subs({Z: drift * h, K: noise * h**0.5})
    assert float(value) == pytest.approx(float(measured[0, 0]), rel=1e-12)


def test_stationary_variance_of_linear_equations_with_additive_noise() -> None:
    assert stationary_variance(catalogue["ImplicitTrapezoid"]) == 1
    assert stationary_variance(catalogue["ImplicitMidpoint"]) == 1
    # X+ = (X + W) / (1 - z).
    assert sympy.simplify(stationary_variance(catalogue["ImplicitEM"]) - 2 / (2 - Z)) == 0
    # EM: X+ = (1 + z) X + W.
    assert sympy.simplify(stationary_variance(catalogue["EM"]) - 2 / (2 + Z)) == 0


def test_the_l_stable_additive_method_damps_noise_that_skencarp_enlarges() -> None:
    points = [-(10**e) for e in np.linspace(-3, 5, 81)]
    ours = sympy.lambdify(Z, decimal(stationary_variance(catalogue["SRAL1"])))
    theirs = sympy.lambdify(Z, decimal(stationary_variance(catalogue["SKenCarp"])))
    assert max(map(ours, points)) < 1.18
    assert ours(-1e5) < 1e-3
    assert theirs(-1.0) > 6
    assert theirs(-11.0) > 1000
    # Both are right for small steps, to their weak order.
    for ratio in (ours, theirs):
        slope = np.log2((ratio(-2e-3) - 1) / (ratio(-1e-3) - 1))
        assert slope == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("name", "weak"),
    [
        ("ImplicitEM", 1),
        ("ImplicitTrapezoid", 1),
        ("ImplicitMidpoint", 1),
        ("SplitStepBackwardEuler", 1),
        ("ImplicitMilstein", 1),
        ("RIA1", 2),
        ("RIL1", 2),
    ],
)
def test_a_stiff_equation_is_damped_at_large_steps_and_resolved_at_small_ones(
    name: str, weak: int
) -> None:
    drift, noise, t = -100.0, 5.0, 0.1
    factor = sympy.lambdify((Z, K), stability_function(catalogue[name]))
    for explicit in ("EM", "DFMilstein", "RI6"):
        assert not is_stable(catalogue[explicit], drift, noise)
    for h in (0.05, 1.0, 100.0):
        assert factor(drift * h, noise * h**0.5) < 1
    errors = []
    for steps in (512, 1024):
        h = t / steps
        ratio = factor(drift * h, noise * h**0.5) ** steps / np.exp(t * (2 * drift + noise**2))
        errors.append(abs(ratio - 1))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(weak, abs=0.1)
