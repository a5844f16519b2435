"""Shifted methods of Foster and co-authors, and the log-ODE method: what each proves and shows."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import torch

import sdeint
from sdeint import convergence, problems
from tableaux import Coupling, Output, Tableau, TableauError, catalogue, order

SURE = 1 - 1e-9
HALF = Fraction(1, 2)


def strong(tableau: Tableau, noise: str) -> Fraction | None:
    return order(tableau, noise=noise).strong


# --- proved ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "general", "commutative", "additive"),
    [
        ("SPaRK", HALF, 1, 3 * HALF),
        ("GeneralShARK", HALF, 1, 3 * HALF),
        ("SlowRK", HALF, 3 * HALF, 3 * HALF),
    ],
)
def test_strong_orders_are_those_printed(
    name: str, general: Fraction, commutative: Fraction, additive: Fraction
) -> None:
    found = [strong(catalogue[name], noise) for noise in ("general", "commutative", "additive")]
    assert found == [general, commutative, additive]


def test_slow_rk_has_weak_order_two_for_commutative_noise_only() -> None:
    assert order(catalogue["SlowRK"], noise="commutative").weak == 2
    assert order(catalogue["SlowRK"], noise="general").weak == 1


@pytest.mark.parametrize(
    ("name", "orders"),
    [
        ("SPaRK", {"general": (HALF, 1), "commutative": (1, 1), "additive": (1, 2)}),
        ("ShARK", {"additive": (1, 1), "martingale": (1, 1)}),
    ],
)
def test_embedded_outputs_have_orders_of_their_own(
    name: str, orders: dict[str, tuple[Fraction, Fraction]]
) -> None:
    report = order(catalogue[name], embedded=True)
    for noise, expected in orders.items():
        assert (report.by_noise[noise].strong, report.by_noise[noise].weak) == expected


def test_area_in_the_last_stage_is_what_gives_slow_rk_its_order() -> None:
    tableau = catalogue["SlowRK"]
    without = replace(tableau, outputs=tuple(o for o in tableau.outputs if o.label != "H_k"))
    assert strong(without, "commutative") == 1


# --- log-ODE --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stages", "without_noise"), [(2, 2), (4, 4)])
def test_log_ode_has_strong_order_one_for_any_noise(stages: int, without_noise: int) -> None:
    report = order(catalogue[f"LogODE({stages})"])
    assert (report.strong, report.weak) == (1, 1)
    assert report.deterministic == without_noise


def log_ode_with(sign: int, central: bool) -> Tableau:
    """LogODE with the areas times `sign` and, on demand, a forward difference."""
    tableau = catalogue["LogODE"]

    def bracket(c: Coupling | Output) -> bool:
        return c.source == "bracket"

    couplings, outputs = [], list(tableau.outputs)
    for c in tableau.couplings:
        if c.label.startswith("A_kl"):
            rows = tuple(tuple(sign * e for e in row) for row in c.matrix)
            couplings.append(replace(c, matrix=rows if central else (*rows[:2], *((0,) * 2,) * 2)))
        elif bracket(c) and not central:
            couplings.append(replace(c, matrix=tuple(tuple(2 * e for e in r) for r in c.matrix)))
        else:
            couplings.append(c)
    if not central:
        outputs = [
            replace(o, weights=tuple(2 * w for w in o.weights)) if bracket(o) else o
            for o in outputs
        ]
    return replace(tableau, couplings=tuple(couplings), outputs=tuple(outputs))


def test_variants_of_the_log_ode_method_start_from_the_method_itself() -> None:
    assert log_ode_with(1, central=True) == catalogue["LogODE"]


def test_a_bracket_of_the_wrong_sign_is_no_better_than_none() -> None:
    assert strong(log_ode_with(-1, central=True), "general") == HALF


def test_a_forward_difference_for_the_bracket_biases_the_log_ode_method() -> None:
    """It leaves A_kl^2 g_l''(g_k, g_k)/(2 sqrt(h)), of mean h^(3/2): order 1/2, weakly too."""
    report = order(log_ode_with(1, central=False), noise="general")
    assert (report.strong, report.weak) == (HALF, HALF)
    assert str(report.failing[0].forest[0]) == "[1, 1]_2"


def test_log_ode_refuses_a_flow_that_it_does_not_have() -> None:
    with pytest.raises(TableauError, match="2 \\(Heun\\) or 4 \\(RK4\\)"):
        catalogue["LogODE(3)"]


# --- observed -------------------------------------------------------------------------------------

# Nine intervals at 1 - 1e-9 each: by chance one fails with probability below 1e-8.


@pytest.mark.parametrize(
    ("name", "problem", "expected"),
    [
        ("SPaRK", "spiral", 1),
        ("GeneralShARK", "spiral", 1),
        ("SlowRK", "spiral", 1.5),
        pytest.param("SPaRK", "unicycle", 0.5, marks=pytest.mark.slow),
        pytest.param("SPaRK", "swirl", 1.5, marks=pytest.mark.slow),
        pytest.param("GeneralShARK", "swirl", 1.5, marks=pytest.mark.slow),
        pytest.param("SlowRK", "swirl", 1.5, marks=pytest.mark.slow),
        pytest.param("LogODE", "unicycle", 1, marks=pytest.mark.slow),
        pytest.param("LogODE(4)", "unicycle", 1, marks=pytest.mark.slow),
    ],
)
def test_strong_orders_are_observed(name: str, problem: str, expected: float) -> None:
    found = problems.library[problem]
    options: dict[str, object] = {"steps": (16, 32, 64, 128, 256), "paths": 1500}
    if problem == "swirl":
        options |= {"paths": 1000, "reference": ("SRA3", 1024)}
    elif found.solution is None:
        options = {"steps": (8, 16, 32, 64, 128), "paths": 2000, "reference": "half"}
    study = convergence.strong(found, name, confidence=SURE, **options)  # type: ignore[arg-type]
    assert study.order_interval is not None
    low, high = study.order_interval
    assert high - low < 0.6, str(study)
    assert low <= expected <= high, str(study)
    # Narrow enough to tell it from the half orders below and above.
    assert expected - 0.5 < low < high < expected + 0.5, str(study)


def test_slow_rk_has_exact_moments_of_order_two_on_commuting_noise() -> None:
    study = convergence.moments(problems.library["spiral"], "SlowRK", steps=(16, 32, 64, 128))
    assert study.order == pytest.approx(2, abs=0.02)


@pytest.mark.parametrize("name", ["SPaRK", "GeneralShARK"])
def test_the_others_have_moments_of_order_one(name: str) -> None:
    study = convergence.moments(problems.library["spiral"], name, steps=(64, 128, 256), nodes=6)
    assert study.order == pytest.approx(1, abs=0.02)


def test_log_ode_is_heuns_method_where_the_noise_commutes_with_itself() -> None:
    """One channel has no brackets: same path in, same answer out."""
    sde = sdeint.SDE(lambda t, y: torch.sin(y), lambda t, y: 1 + y**2 / 8, calculus="stratonovich")
    y0 = torch.full((5, 1), 0.3, dtype=torch.float64)
    ends = [
        sdeint.solve(sde, y0, (0.0, 1.0), method=name, steps=8, seed=3).y[-1]
        for name in ("LogODE", "Heun")
    ]
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-13, atol=1e-14)
