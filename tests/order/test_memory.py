"""Methods that remember the step before: weights over several steps."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
import sympy

from tableaux import Block, Coupling, Output, Tableau, TableauError, catalogue
from tableaux.memory import exact_over
from tableaux.rooted_trees import Tree, trees
from tableaux.taylor import taylor_polynomial
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

HEUN = replace(
    EULER,
    blocks=(*EULER.blocks, Block("end", "drift", (1,))),
    couplings=(Coupling("end", "now", "h", ((1,),)),),
    outputs=(
        Output("now", "h", (HALF,)),
        Output("end", "h", (HALF,)),
        Output("noise", "I_k", (1,)),
    ),
)


def two_step(new: str, old: str, start: Tableau = EULER) -> Tableau:
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
        start=start,
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
        assert window.expectation() == 4 * exact_mean((tree,), "ito")
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


def three_step(*weights: str, start: Tableau = HEUN) -> Tableau:
    """X+ = X + h (sum of weights f, the newest first) + g W."""
    olds = [Block(f"before {back}", "drift", (0,), remembers="now", lag=back) for back in (1, 2)]
    outputs = [Output("now", "h", (weights[0],)), Output("noise", "I_k", (1,))]
    outputs += [Output(b.name, "h", (w,)) for b, w in zip(olds, weights[1:])]
    return Tableau(
        "Adams-Bashforth",
        (*EULER.blocks, *olds),
        (),
        outputs,
        noise="additive",
        start=two_step("1 + r/2", "-r/2", start),
    )


#: Three steps of any ratios: integrals of the parabola through the last three values.
THIRD = (
    "1 + r/2 + (2 + 3/r)*r**2*r_2/(6*(1 + r_2))",
    "-r/2 - (2 + 3/r)*r**2*r_2/6",
    "(2 + 3/r)*r**2*r_2**2/(6*(1 + r_2))",
)


def test_three_step_adams_bashforth_is_of_order_three_for_any_ratios() -> None:
    assert order(three_step(*THIRD)).deterministic == 3
    equal = three_step("23/12", "-4/3", "5/12")
    assert order(equal, ratios=(1,)).deterministic == 3
    assert order(equal).deterministic == 1


def test_the_first_of_two_first_steps_leaves_the_order_of_its_local_error() -> None:
    report = order(three_step(*THIRD, start=EULER))
    assert report.deterministic == 2
    assert not report.deterministic_capped
    assert "'start'" in report.by_noise["none"].note


def test_the_second_first_step_counts_as_the_first_one_does() -> None:
    method = three_step(*THIRD)
    assert method.start is not None
    assert order(replace(method, start=two_step("1", "0", HEUN))).deterministic == 2


@pytest.mark.parametrize(
    ("outputs", "strong", "weak"),
    [
        # W alone: the local error is h f.  W + H: it is H, of size h^(1/2), without a mean.
        ((Output("noise", "I_k", (1,)),), 1, 1),
        ((Output("noise", "I_k", (HALF,)), Output("noise", "I_k0/h", (1,))), HALF, 1),
    ],
)
def test_a_first_step_leaves_the_size_of_its_error_in_paths_and_its_mean_in_law(
    outputs: tuple[Output, ...], strong: Fraction, weak: int
) -> None:
    stored = catalogue["OneStageStored"]
    assert stored.start is not None
    drift = () if len(outputs) == 1 else stored.start.outputs[:1]
    start = replace(stored.start, outputs=(*drift, *outputs))
    left = order(replace(stored, start=start, orders={}), noise="martingale").own
    assert (left.strong, left.weak) == (strong, weak)


def test_entries_that_take_the_earlier_ratio_for_the_last_are_found_out() -> None:
    # Right on every geometric grid, whose ratios are all equal, and on no other.
    wrong = three_step(*(weight.replace("r_2", "r") for weight in THIRD))
    for ratio in (1, 4, "1/4"):
        assert order(wrong, ratios=(ratio,)).deterministic == 3
    assert order(wrong, ratios=((4, "1/4"),)).deterministic == 1
    assert order(wrong).deterministic == 1


def test_the_lowest_strong_and_the_lowest_weak_order_count_whichever_ratio_has_them() -> None:
    good, bad = order(two_step("3/2", "-1/2"), ratios=(1,)), order(two_step("3/2", "-1/2"))
    assert (good.deterministic, bad.deterministic) == (2, 1)
    found = order(two_step("3/2", "-1/2"), autonomous=True).by_noise["additive"]
    assert (found.strong, found.weak) == (1, 1)
    assert any(failure.kind == "weak" for failure in found.failing)


def relative(weight: str, first: str = "") -> Tableau:
    """X+ = X + h ((1 - weight) f + weight f(X + h f)) + W."""
    first = first or f"1 - ({weight})"
    return Tableau(
        "relative",
        (Block("drift", "drift", (0, 1)), Block("noise", "diffusion", (0,))),
        (
            Coupling("drift", "drift", "h", ((0, 0), (1, 0))),
            Coupling("drift", "noise", "I_k", ((0,), (1,))),
        ),
        (Output("drift", "h", (first, weight)), Output("noise", "I_k", (1,))),
        noise="additive",
    )


@pytest.mark.parametrize(
    ("weight", "without", "weak"),
    [
        ("1/2", 2, 2),
        ("1/2 + h_t/6", 2, 2),  # a change of order h, where orders 3 leave none
        ("h_t/log(1 + h_t) - 1/2 - h_t/2", 2, 2),  # = 1/2 - w^2/12 + ...
        ("1/3 + h_t/6", 1, 1),
        ("1/(2 + h_t)", 2, 2),
    ],
)
def test_a_power_of_the_relative_step_counts_as_one_of_the_step(
    weight: str, without: int, weak: int
) -> None:
    report = order(relative(weight), noise="martingale")
    assert report.deterministic == without
    assert report.by_noise["martingale"].weak == weak


def test_weights_whose_sum_is_one_but_for_the_relative_step_have_order_one() -> None:
    report = order(relative("1/2", "1/2 + h_t"), noise="martingale")
    assert (report.deterministic, report.by_noise["martingale"].weak) == (1, 1)


def test_an_entry_with_a_pole_at_small_steps_has_no_order() -> None:
    with pytest.raises(TableauError, match="no Taylor series at h_t = 0"):
        order(relative("1/log(1 + h_t)"))


def test_taylor_polynomials_are_those_of_sympy() -> None:
    x, a = sympy.symbols("x a")
    for text in ("sqrt(1 + x)/(1 - 2*x)", "log(1 + x)/x", "(a + x)**3/(1 + x)", "x**2/log(1 - x)"):
        expression = sympy.sympify(text, locals={"x": x, "a": a})
        expected = sympy.series(expression, x, 0, 5).removeO()
        assert sympy.expand(taylor_polynomial(expression, x, 4) - expected) == 0
    for text in ("1/x", "sqrt(x)", "log(x)", "log(2 + x)", "exp(x)"):
        with pytest.raises(TableauError, match="series"):
            taylor_polynomial(sympy.sympify(text, locals={"x": x}), x, 2)
