"""Methods that remember the step before: weights over several steps."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from tableaux import Block, Coupling, Output, Tableau, TableauError, catalogue
from tableaux.memory import exact_over
from tableaux.rooted_trees import Tree, trees
from tableaux.verdict import order
from tableaux.words import exact_mean

HALF = Fraction(1, 2)

EULER = Tableau(
    "start",
    (Block("now", "drift", (0,)), Block("noise", "diffusion", (0,))),
    (),
    (Output("now", "h", (1,)), Output("noise", "I_k", (1,))),
    noise="additive",
)


def two_step(new: str, old: str) -> Tableau:
    """X+ = X + h (new f_n + old f_(n-1)) + g W: Adams-Bashforth with additive noise."""
    return Tableau(
        "Adams-Bashforth",
        (
            Block("now", "drift", (0,)),
            Block("before", "drift", (0,), remembers="now"),
            Block("noise", "diffusion", (0,)),
        ),
        (),
        (
            Output("now", "h", (new,)),
            Output("before", "h", (old,)),
            Output("noise", "I_k", (1,)),
        ),
        noise="additive",
        start=EULER,
    )


def test_two_step_adams_bashforth_is_deterministic_order_two() -> None:
    assert order(two_step("1 + r/2", "-r/2")).deterministic == 2
    assert order(two_step("1", "0")).deterministic == 1
    assert order(two_step("2", "-1"), ratios=(1,)).deterministic == 1


def test_coefficients_for_equal_steps_lose_their_order_on_other_grids() -> None:
    fixed = two_step("3/2", "-1/2")
    assert order(fixed, ratios=(1,)).deterministic == 2
    for ratio in (4, "1/4", "9/4"):
        assert order(fixed, ratios=(ratio,)).deterministic == 1
        assert order(two_step("1 + r/2", "-r/2"), ratios=(ratio,)).deterministic == 2


@pytest.mark.parametrize("ratio", [1, 4, "1/4", "9/4"])
def test_extrapolated_drift_has_weak_order_two_for_additive_noise(ratio: int | str) -> None:
    tableau = two_step("1 + r/2", "-r/2")
    verdict = order(tableau, autonomous=True, ratios=(ratio,)).by_noise["additive"]
    assert (verdict.strong, verdict.weak) == (1, 2)


def test_a_ratio_without_a_rational_root_is_refused() -> None:
    with pytest.raises(TableauError, match="square of a rational number, not 2"):
        order(two_step("1", "0"), ratios=(2,))


def test_extrapolation_has_second_order_stationary_variance_on_a_linear_equation() -> None:
    # For dX = -X dt + dW it is an AR(2) process, whose variance is known; the exact one is 1/2.
    def error(h: Fraction) -> Fraction:
        a1, a2 = 1 - 3 * h / 2, h / 2
        variance = (1 - a2) * h / ((1 + a2) * ((1 - a2) ** 2 - a1**2))
        return variance - Fraction(1, 2)

    ratio = error(Fraction(1, 100)) / error(Fraction(1, 200))
    assert abs(ratio - 4) < Fraction(1, 10)


def test_stored_stage_keeps_the_martingale_order() -> None:
    for ratio in (1, 4, "1/4", "9/4"):
        report = order(catalogue["OneStageStored"], noise="martingale", ratios=(ratio,))
        assert (report.strong, report.weak) == (3 * HALF, 2)


def test_another_weight_of_the_stored_stage_loses_it() -> None:
    stored = catalogue["OneStageStored"]
    couplings = tuple(
        replace(c, matrix=(("1/2",),)) if c.source == "before" else c for c in stored.couplings
    )
    changed = replace(stored, name="changed", couplings=couplings)
    assert order(changed, noise="martingale").by_noise["martingale"].weak < 2


def test_a_memory_that_repeats_the_present_changes_nothing() -> None:
    # Weight zero on the remembered stage: the one-step method's verdict, through the other code
    # path.
    em = order(EULER)
    same = order(two_step("1", "0"))
    for noise in ("additive", "martingale"):
        a, b = em.by_noise[noise], same.by_noise[noise]
        assert (a.strong, a.weak) == (b.strong, b.weak)


def test_chen_splitting_keeps_means_and_norms() -> None:
    for tree in trees(2, 2):
        window = exact_over(tree, 2, 2, "ito")
        # Over a step of length 2 a weight of order rho has mean 2^rho times that over length 1.
        assert window.expectation(Fraction) == 4 * exact_mean((tree,), "ito")
    increment = exact_over(Tree(1), 3, 3, "ito")
    assert increment.squared_norm() == 3


def test_memory_needs_couplings() -> None:
    # A coupling into the present stage from the remembered one is used at its own step.
    chained = Tableau(
        "chained",
        (
            Block("now", "drift", ("1/2",)),
            Block("before", "drift", ("1/2",), remembers="now"),
            Block("noise", "diffusion", (0,)),
        ),
        (Coupling("now", "before", "h", (("1/2",),)),),
        (Output("now", "h", (1,)), Output("noise", "I_k", (1,))),
        noise="additive",
        start=replace(EULER, blocks=(Block("now", "drift", (0,)), EULER.blocks[1])),
    )
    assert order(chained).deterministic == 2
