"""Chebyshev methods: order and stability for every number of stages."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from sdeint import convergence, problems
from tableaux import Coupling, Tableau, TableauError, catalogue, order
from tableaux.differences import differences_cancel
from tableaux.families.rock2_decimals import ROCK2
from tableaux.families.stabilised import chebyshev, drift_rows, first_order, second_order
from tableaux.moments import second_moment_step
from tableaux.stability import K, Z, stability_function

HALF = Fraction(1, 2)
Array = NDArray[np.float64]


# --- the recurrences ------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [Fraction(1), Fraction(21, 20), Fraction(-1, 3)])
def test_chebyshev_polynomials_and_their_derivatives_are_numpys(at: Fraction) -> None:
    values, firsts, seconds = chebyshev(7, at)
    for n in range(8):
        polynomial = np.polynomial.Chebyshev.basis(n)
        assert float(values[n]) == pytest.approx(polynomial(float(at)), abs=1e-12)
        assert float(firsts[n]) == pytest.approx(polynomial.deriv()(float(at)), abs=1e-11)
        assert float(seconds[n]) == pytest.approx(polynomial.deriv(2)(float(at)), abs=1e-10)


def drift_polynomial(tableau: Tableau, z: Array) -> Array:
    """The factor of one step without noise on X' = lambda X, at z = lambda h."""
    size = tableau.block("drift").stages
    matrix, weights = np.zeros((size, size)), np.zeros(size)
    for c in tableau.couplings:
        if (c.target, c.source) == ("drift", "drift"):
            matrix += np.array(c.matrix, dtype=float)
    for o in tableau.outputs:
        if o.source == "drift":
            weights += np.array(o.weights, dtype=float)
    stages = np.ones((size, len(z)))
    for i in range(size):
        stages[i] += z * (matrix[i, :i] @ stages[:i])
    return np.asarray(1 + z * (weights @ stages), dtype=float)


@pytest.mark.parametrize("stages", [1, 2, 5, 9])
def test_unrolled_recurrence_of_order_one_is_the_shifted_chebyshev_polynomial(stages: int) -> None:
    damping = Fraction(1, 20)
    omega1, _ = first_order(stages, damping)
    omega0 = 1 + float(damping) / stages**2
    z = np.linspace(-1.9 * stages**2, 0, 50)
    basis = np.polynomial.Chebyshev.basis(stages)
    expected = basis(omega0 + float(omega1) * z) / basis(omega0)
    for name in ("RKC1", "SKSROCK"):
        found = drift_polynomial(catalogue[f"{name}({stages}, 1/20)"], z)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_rows_are_exact_and_add_to_the_nodes() -> None:
    _, recurrence = first_order(6, Fraction(1, 20))
    rows = drift_rows(recurrence)
    assert sum(rows[-1]) == 1
    assert sum(second_order(6, Fraction(2, 13))[-1]) == 1


# --- order, for every number of stages ------------------------------------------------------------


@pytest.mark.parametrize("stages", [*range(2, 11), pytest.param(25, marks=pytest.mark.slow)])
def test_order_one_is_proved_for_every_number_of_stages(stages: int) -> None:
    stratonovich = order(catalogue[f"SROCK1({stages})"])
    assert (stratonovich.strong, stratonovich.weak) == (HALF, 1)
    assert stratonovich.by_noise["commutative"].strong == 1
    for name in ("SROCKEM", "SKSROCK"):
        ito = order(catalogue[f"{name}({stages})"])
        assert (ito.strong, ito.weak) == (HALF, 1)
        assert ito.by_noise["additive"].strong == 1
    assert order(catalogue[f"SROCKMil({stages})"]).strong == 1
    assert order(catalogue[f"RKC1({stages})"]).deterministic == 1


def slow_beyond(limit: int, counts: list[int]) -> list[object]:
    return [n if n <= limit else pytest.param(n, marks=pytest.mark.slow) for n in counts]


@pytest.mark.parametrize("stages", slow_beyond(4, [*ROCK2]))
def test_srock2_has_weak_order_two_with_every_table(stages: int) -> None:
    report = order(catalogue[f"SROCK2({stages})"], noise="general")
    assert (report.strong, report.weak, report.deterministic) == (None, 2, 2)


@pytest.mark.parametrize("stages", slow_beyond(3, [*range(2, 11)]))
def test_strang_splitting_has_weak_order_two_for_every_number_of_stages(stages: int) -> None:
    report = order(catalogue[f"StrangRKC2({stages})"], noise="general")
    assert (report.strong, report.weak, report.deterministic) == (None, 2, 2)


@pytest.mark.parametrize("stages", range(2, 11))
def test_rkc2_has_order_two_for_every_number_of_stages(stages: int) -> None:
    assert order(catalogue[f"RKC2({stages})"]).deterministic == 2


def test_the_order_does_not_depend_on_the_damping() -> None:
    for damping in ("0", "1/20", "12"):
        assert order(catalogue[f"SKSROCK(4, {damping})"]).weak == 1
        assert order(catalogue[f"RKC2(4, {damping})"]).deterministic == 2


def test_differences_of_stages_make_up_for_an_output_without_a_power_of_h(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SROCK2's output of g(K + I) - g(K - I) is such; tree by tree the verdict is the same."""
    tableau = catalogue["SROCK2(3)"]
    assert differences_cancel(tableau)
    monkeypatch.setattr("tableaux.prover.differences_cancel", lambda tableau: False)
    assert order(replace(tableau, name="tree by tree"), noise="scalar").weak == 2


def test_a_difference_that_leaves_something_is_refused() -> None:
    tableau = catalogue["SROCK2(3)"]
    outputs = tuple(
        replace(o, weights=("1/2", "-1/4")) if o.source == "mixed" else o for o in tableau.outputs
    )
    uneven = replace(tableau, outputs=outputs)
    assert not differences_cancel(uneven)
    with pytest.raises(TableauError, match="lower power of h"):
        order(uneven, noise="scalar")


def test_stages_that_differ_by_more_do_not_make_up_for_it() -> None:
    tableau = catalogue["SROCK2(3)"]
    shift = Coupling("mixed", "noise", "theta_k", ((0, 1, 0, 0), (0, 0, 0, 0)))
    assert not differences_cancel(replace(tableau, couplings=(*tableau.couplings, shift)))


# --- stability without noise ----------------------------------------------------------------------


def real_interval(tableau: Tableau, reach: float) -> float:
    """The first -z at which the drift's factor exceeds 1."""
    z = -np.linspace(1e-9, reach, 20001)
    beyond = np.flatnonzero(np.abs(drift_polynomial(tableau, z)) > 1 + 1e-9)
    return float(-z[beyond[0]]) if len(beyond) else reach


@pytest.mark.parametrize("stages", [5, 10, 20])
@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("RKC1", 1.93, 1.95),
        ("SKSROCK", 1.93, 1.95),
        ("SROCK1", 0.35, 0.56),
        ("SROCKEM", 0.35, 0.56),
        ("RKC2", 0.64, 0.67),
        ("SROCK2", 0.42, 0.61),
    ],
)
def test_the_real_stability_interval_grows_with_the_square_of_the_stages(
    name: str, stages: int, low: float, high: float
) -> None:
    """For damping 1/20 as (2 - 4/3 eta) s^2; SROCK1 gives interval away for damping."""
    interval = real_interval(catalogue[f"{name}({stages})"], 2.2 * stages**2)
    assert low < interval / stages**2 < high


def test_without_damping_the_interval_is_twice_the_square_of_the_stages() -> None:
    assert real_interval(catalogue["RKC1(6, 0)"], 100) == pytest.approx(72, rel=1e-3)


# --- stability in mean square ---------------------------------------------------------------------


def mean_square_factor(tableau: Tableau, z: float, k2: float) -> float:
    """E R^2 on dX = lambda X dt + mu X dW, at z = lambda h and k2 = mu^2 h."""
    factor = second_moment_step(tableau, np.array([[z]]), [np.array([[k2**0.5]])], 1.0, nodes=8)
    return float(factor[0, 0])


def mean_square_interval(name: str, share: float, reach: float, *, ito: bool = True) -> float:
    """How far a method is mean-square stable where the noise has that share of its largest size.

    The equation is stable for ``2 lambda + mu^2 < 0`` (Ito) or ``lambda + mu^2 < 0`` (Stratonovich).
    """
    stable = 0.0
    for z in np.geomspace(0.05, reach, 60):
        if mean_square_factor(catalogue[name], -z, share * z * (2 if ito else 1)) >= 1:
            break
        stable = float(z)
    return stable


@pytest.mark.parametrize("name", ["SKSROCK(3)", "SROCKEM(3)"])
def test_the_mean_square_factor_is_the_stability_function(name: str) -> None:
    function = stability_function(catalogue[name])
    value = function.subs({Z: Fraction(-3, 2), K: Fraction(4, 5)})
    assert float(value) == pytest.approx(mean_square_factor(catalogue[name], -1.5, 0.64), rel=1e-10)


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize(("name", "least"), [("SKSROCK", 1.7), ("SROCKEM", 0.32), ("SROCK2", 0.45)])
def test_mean_square_stability_grows_with_the_square_of_the_stages(
    name: str, least: float, share: float
) -> None:
    """Euler-Maruyama is stable to z = -2 (1 - share) only."""
    assert mean_square_interval("EM", share, 10) <= 2 * (1 - share) + 0.01
    for stages in (10, 20):
        interval = mean_square_interval(f"{name}({stages})", share, 2.5 * stages**2)
        assert interval > least * stages**2


@pytest.mark.parametrize("stages", [5, 10])
def test_srock1_is_mean_square_stable_far_beyond_heun(stages: int) -> None:
    interval = mean_square_interval(f"SROCK1({stages})", 0.5, 2.5 * stages**2, ito=False)
    assert interval > 0.35 * stages**2
    assert mean_square_interval("Heun", 0.5, 10, ito=False) < 1.5


def test_strang_splitting_needs_its_damping_to_be_mean_square_stable() -> None:
    assert mean_square_interval("StrangRKC2(10)", 0.9, 100) > 30
    assert mean_square_interval("StrangRKC2(10, 2/13)", 0.9, 100) < 5


# --- observed -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "problem", "expected"),
    [
        ("SROCK1(8)", "triple", 1),
        ("SROCKEM(8)", "triple", 1),
        ("SKSROCK(8)", "triple", 1),
        ("SROCKMil(8)", "gbm", 1),
        ("SROCK2(3)", "pair", 2),
        ("SROCK2(10)", "triple", 2),
        ("SROCK2", "gbm", 2),
        ("StrangRKC2(3)", "triple", 2),
        ("StrangRKC2(10)", "pair", 2),
    ],
)
def test_weak_order_is_that_of_exact_moments(name: str, problem: str, expected: int) -> None:
    """No sampling: the moments of a linear problem are enumerated."""
    study = convergence.moments(
        problems.library[problem], name, steps=tuple(2**k for k in range(5, 11))
    )
    assert study.order == pytest.approx(expected, abs=0.02)


# Five intervals at 1 - 1e-9: one fails by chance with probability below 1e-8.
@pytest.mark.parametrize(
    ("name", "problem", "expected"),
    [
        ("SROCK1(7)", "spiral", 1),
        pytest.param("SROCK1(7)", "unicycle", 0.5, marks=pytest.mark.slow),
        pytest.param("SROCKEM(7)", "diagonal", 0.5, marks=pytest.mark.slow),
        pytest.param("SROCKMil(7)", "diagonal", 1, marks=pytest.mark.slow),
        pytest.param("SKSROCK(7)", "diagonal", 0.5, marks=pytest.mark.slow),
    ],
)
def test_strong_order_is_observed(name: str, problem: str, expected: float) -> None:
    found = problems.library[problem]
    options: dict[str, object] = {"steps": (16, 32, 64, 128, 256), "paths": 1500}
    if found.solution is None:
        options = {"steps": (8, 16, 32, 64, 128), "paths": 2000, "reference": "half"}
    study = convergence.strong(found, name, confidence=1 - 1e-9, **options)  # type: ignore[arg-type]
    assert study.order_interval is not None
    low, high = study.order_interval
    assert max(expected - 0.5, low) <= expected <= min(high, expected + 0.5), str(study)
    assert high - low < 0.7, str(study)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("SROCK1(1)", "at least 2 stages"),
        ("SKSROCK(0)", "at least 1 stages"),
        ("SKSROCK(5, sqrt(2))", "rational number"),
        ("SKSROCK(5, -1)", "not negative"),
        ("SROCK2(17)", "decimals of SROCK2 are kept for 3, 4, 5"),
    ],
)
def test_parameters_without_a_method_are_refused(name: str, message: str) -> None:
    with pytest.raises(TableauError, match=message):
        catalogue[name]
