"""``method="auto"`` picks what the decision table says, and the table says what is best."""

from __future__ import annotations

import pytest
import torch

from sdeint import SDE, ProblemError, SemilinearSDE, solve
from sdeint.choosing import DECISIONS, PURPOSES, SEMILINEAR, choose
from sdeint.linear import Scalar, Transformed
from sdeint.method_table import select
from tableaux import NOISE_CLASSES, catalogue

RATES = torch.tensor([-1.0, -100.0])
TURNED = Transformed(lambda y: y.flip(-1), lambda v: v.flip(-1), RATES)
CASES = [
    (purpose, noise, calculus)
    for purpose in PURPOSES
    for noise in NOISE_CLASSES
    for calculus in ("ito", "stratonovich")
]


@pytest.mark.parametrize(("purpose", "noise", "calculus"), CASES)
def test_every_choice_has_the_highest_order_of_the_explicit_methods(purpose, noise, calculus):
    which = PURPOSES.index(purpose)
    picked = catalogue[choose(noise, calculus, purpose).method]
    assert not picked.implicit
    assert picked.accepts(noise)
    assert noise in ("additive", "none") or picked.calculus == calculus
    others = select(noise=noise, calculus=calculus, implicit=False)
    highest = max(t.claimed(noise)[which] or 0 for t in others)
    assert picked.claimed(noise)[which] == highest


def test_the_table_has_a_line_for_every_case_and_no_other():
    asked = {(p, n, "both" if n in ("additive", "none") else c) for p, n, c in CASES}
    assert set(DECISIONS) == asked


def test_a_solve_says_what_it_picked_and_why():
    sde = SDE(lambda t, y: -y, lambda t, y: torch.sin(y))
    solution = solve(sde, torch.ones(4, 2), [0.0, 1.0], steps=2, method="auto")
    assert solution.stats.method == choose(sde).method
    assert "auto: strong order 3/2 for diagonal Ito noise" in repr(solution)
    named = solve(sde, torch.ones(4, 2), [0.0, 1.0], steps=2, method=solution.stats.method)
    assert torch.equal(named.y, solution.y)
    assert not named.stats.chosen


def test_a_given_path_is_followed_even_where_only_moments_matter():
    sde = SDE(lambda t, y: -y, lambda t, y: torch.sin(y))
    options = {"steps": 4, "method": "auto", "purpose": "moments"}
    free = solve(sde, torch.ones(4, 2), [0.0, 1.0], **options)
    followed = solve(sde, torch.ones(4, 2), [0.0, 1.0], path="tree", **options)
    assert {"theta", "sign", "xi", "eta"} & catalogue[free.stats.method].primitives
    assert followed.stats.method == choose(sde).method


def test_what_cannot_be_chosen_for_is_refused_with_what_can():
    with pytest.raises(ProblemError, match="diagonal"):
        choose("diagnal")
    with pytest.raises(ProblemError, match="stratonovich"):
        choose("diagonal", "strato")
    with pytest.raises(ProblemError, match="moments"):
        choose("diagonal", purpose="moment")


def test_methods_are_selected_by_noise_calculus_order_and_cost():
    found = select(noise="diagonal", calculus="ito", strong="3/2", most=6)
    assert {"SRID1", "SRIW1"} <= {t.name for t in found}
    assert all(t.claimed("diagonal")[0] >= 1.5 for t in found)
    assert all(t.implicit for t in select(implicit=True))
    # Additive noise is the same in both calculi.
    both = [select(noise="additive", calculus=c) for c in ("ito", "stratonovich")]
    assert both[0] == both[1]
    with pytest.raises(ValueError, match="general"):
        select(noise="generel")


SEMILINEAR_CASES = [(purpose, noise) for purpose in PURPOSES for noise in NOISE_CLASSES]


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("purpose", "noise"), SEMILINEAR_CASES)
def test_semilinear_equations_get_the_highest_order_of_the_exponential_methods(
    purpose, noise, exact
):
    g = None if noise == "none" else torch.mul
    sde = SemilinearSDE(-1.0, lambda t, y: -y, g, noise=noise)
    which = PURPOSES.index(purpose)
    picked = catalogue[choose(sde, purpose=purpose, exact=exact).method]
    functionals = {"E", "F"}
    assert picked.exponential
    assert picked.accepts(noise)
    assert exact or not picked.primitives & functionals
    highest = max(
        t.claimed(noise)[which] or 0
        for t in select(noise=noise, calculus="ito", implicit=False)
        if t.exponential and (exact or not t.primitives & functionals)
    )
    assert picked.claimed(noise)[which] == highest


def test_the_table_of_semilinear_equations_has_a_line_for_every_case_and_no_other():
    assert set(SEMILINEAR) == set(SEMILINEAR_CASES)


@pytest.mark.parametrize(
    ("L", "g", "noise", "path", "method"),
    [
        (RATES, lambda t, y: 0.5, "additive", "grid", "SETDRK2D"),
        (RATES, lambda t, y: 0.5, "additive", "tree", "LawsonSRA1"),
        (torch.diag(RATES), lambda t, y: 0.5, "additive", "grid", "LawsonSRA1"),
        (RATES, lambda t, y: torch.ones(4, 2, 2), "additive", "grid", "LawsonSRA1"),
        (Scalar(lambda t: -t, lambda t: -t * t / 2), lambda t, y: 0.5, "additive", "grid",
         "LawsonSRA1"),
        (RATES, lambda t, y: torch.sin(y), "diagonal", "grid", "ExponentialMilstein"),
        (TURNED, lambda t, y: 0.5, "additive", "grid", "SETDRK2D"),
        (TURNED, lambda t, y: torch.sin(y), "diagonal", "grid", "LawsonMilstein"),
        (RATES, None, "none", "grid", "HochbruckOstermann"),
    ],
)  # fmt: skip
def test_auto_solves_semilinear_equations_by_an_exponential_method(L, g, noise, path, method):
    sde = SemilinearSDE(L, lambda t, y: torch.cos(y), g, noise=noise)
    solution = solve(sde, torch.ones(4, 2), [0.0, 1.0], steps=3, method="auto", path=path)
    assert solution.stats.method == method
    stratonovich = SemilinearSDE(L, torch.add, lambda t, y: y, calculus="stratonovich")
    assert not catalogue[choose(stratonovich).method].exponential


def test_auto_looks_at_the_noise_of_a_semilinear_equation_once() -> None:
    calls: dict[str, int] = {}

    def count(method: str) -> str:
        def g(t: torch.Tensor, y: torch.Tensor) -> float:
            calls[method] = calls.get(method, 0) + 1
            return 0.1

        sde = SemilinearSDE(-1.0, lambda t, y: -y, g, noise="additive")
        return solve(sde, torch.ones(2, 1), [0.0, 1.0], method=method, steps=1).stats.method

    chosen = count("auto")
    count(chosen)
    assert calls["auto"] == calls[chosen]
