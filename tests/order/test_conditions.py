"""Derived conditions of the literature's families, and that published methods satisfy them."""

from __future__ import annotations

import pytest
import sympy

from tableaux import Tableau, TableauError, catalogue
from tableaux.conditions import Condition, order_conditions


@pytest.mark.parametrize(
    ("family", "kind", "order", "channels", "number"),
    [
        ("sra", "strong", "3/2", 3, 8),
        ("sri", "strong", "3/2", 3, 25),
        ("ri", "weak", 2, 1, 28),
        ("ri", "weak", 2, 3, 59),
        ("rs", "weak", 2, 1, 17),
        ("rs", "weak", 2, 3, 55),
    ],
)
def test_number_of_independent_conditions(
    family: str, kind: str, order: int | str, channels: int, number: int
) -> None:
    assert len(order_conditions(kind, order, family, channels=channels)) == number


def test_strong_conditions_split_into_mean_square_and_mean() -> None:
    kinds = [c.kind for c in order_conditions("strong", "3/2", "sri")]
    assert (kinds.count("mean square"), kinds.count("mean")) == (22, 3)


def test_two_channels_are_not_enough_for_stratonovich_pairs() -> None:
    assert len(order_conditions("weak", 2, "rs", channels=2)) < 55


def test_a_fourth_and_fifth_channel_add_nothing() -> None:
    three = order_conditions("weak", 2, "ri", channels=3)
    every = order_conditions("weak", 2, "ri", channels=None)
    assert {c.text for c in three} == {c.text for c in every}


def test_conditions_are_written_as_in_the_literature() -> None:
    sra = {c.text for c in order_conditions("strong", "3/2", "sra")}
    assert sra == {
        "alpha^T e = 1",
        "alpha^T A0 e = 1/2",
        "alpha^T B0 e = 1",
        "alpha^T (B0 e)^2 = 3/2",
        "beta1^T e = 1",
        "beta2^T e = 0",
        "beta1^T c1 = 1",
        "beta2^T c1 = -1",
    }
    sri = {c.text for c in order_conditions("strong", "3/2", "sri")}
    assert "beta1^T (A1 B0 e) + 2/3 (beta3^T (A1 B0 e)) = 0" in sri
    assert "beta4^T (B1 B1 e) = 1" in sri
    ri = {c.text for c in order_conditions("weak", 2, "ri")}
    assert "(beta1^T e)^2 = 1" in ri
    assert "(alpha^T B0 e) (beta1^T e) = 1/2" in ri
    assert "beta4^T (B2 B1 e)^2 = 0" in ri


def test_each_condition_names_its_tree_and_prints() -> None:
    conditions = order_conditions("strong", "3/2", "sra")
    (condition,) = [c for c in conditions if "B0 e)^2" in c.text]
    assert repr(condition.forest) == "([1, 1]_0,)"
    assert condition.kind == "mean"
    assert condition.equation.rhs == sympy.Rational(3, 2)
    assert r"{\alpha}^T" in condition.latex()
    assert r"\begin{aligned}" in conditions.latex()
    assert len(str(conditions).splitlines()) == 8


def _value(scalar: tuple, arrays: dict) -> sympy.Expr:
    name, product = scalar
    return sum(w * v for w, v in zip(arrays[name], _vector(product, arrays)))


def _vector(product: tuple, arrays: dict) -> list[sympy.Expr]:
    size = len(arrays["alpha"])
    total = [sympy.Integer(1)] * size
    for name, inside in product:
        if inside is None:
            factor = list(arrays[name])
        else:
            inner = _vector(inside, arrays)
            factor = [sum(a * x for a, x in zip(row, inner)) for row in arrays[name]]
        total = [a * b for a, b in zip(total, factor)]
    return total


def _residual(condition: Condition, arrays: dict) -> sympy.Expr:
    total = sympy.Integer(0)
    for monomial, weight in condition.polynomial:
        term = sympy.Rational(weight.numerator, weight.denominator)
        for scalar in monomial:
            term *= _value(scalar, arrays)
        total += term
    return sympy.simplify(total)


def _arrays(tableau: Tableau, form: dict[str, tuple], size: int) -> dict:
    found: dict = {
        name: [[sympy.Integer(0)] * size] * size if len(key) == 4 else [sympy.Integer(0)] * size
        for name, key in form.items()
    }
    for name, key in form.items():
        for c in tableau.couplings:
            if (c.target, c.source, c.label, c.selector) == key:
                found[name] = c.matrix
        for o in tableau.outputs:
            if (o.source, o.label) == key:
                found[name] = o.weights
    return found


_SRI = {
    "A0": ("drift", "drift", "h", "all"),
    "B0": ("drift", "diffusion", "I_k0/h", "all"),
    "A1": ("diffusion", "drift", "h", "all"),
    "B1": ("diffusion", "diffusion", "sqrt(h)", "own"),
    "alpha": ("drift", "h"),
    "beta1": ("diffusion", "I_k"),
    "beta2": ("diffusion", "I_kk/sqrt(h)"),
    "beta3": ("diffusion", "I_k0/h"),
    "beta4": ("diffusion", "I_kkk/h"),
}
_RS = {
    "A0": ("drift", "drift", "h", "all"),
    "B0": ("drift", "own", "theta_k", "all"),
    "A1": ("own", "drift", "h", "all"),
    "B1": ("own", "own", "theta_k", "own"),
    "B3": ("own", "own", "theta_k", "other"),
    "A2": ("mixed", "drift", "h", "all"),
    "B2": ("mixed", "own", "A^_kl/sqrt(h)", "other"),
    "alpha": ("drift", "h"),
    "beta1": ("own", "theta_k"),
    "beta2": ("mixed", "sqrt(h)"),
}


@pytest.mark.parametrize(
    ("name", "family", "form", "kind", "order", "size"),
    [
        ("SRIW1", "sri", _SRI, "strong", "3/2", 4),
        ("SRIW2", "sri", _SRI, "strong", "3/2", 4),
        ("RS2", "rs", _RS, "weak", 2, 4),
    ],
)
def test_published_arrays_satisfy_the_formal_conditions(
    name: str, family: str, form: dict, kind: str, order: int | str, size: int
) -> None:
    arrays = _arrays(catalogue[name], form, size)
    residuals = [_residual(c, arrays) for c in order_conditions(kind, order, family)]
    assert not any(residuals)


def test_a_wrong_entry_violates_a_formal_condition() -> None:
    arrays = _arrays(catalogue["SRIW1"], _SRI, 4)
    arrays["beta4"] = (sympy.Rational(-2), sympy.Rational(5, 3), sympy.Rational(-2, 3), 2)
    conditions = order_conditions("strong", "3/2", "sri")
    wrong = {c.text for c in conditions if _residual(c, arrays)}
    assert "beta4^T e = 0" in wrong


def test_any_tableau_defines_a_family() -> None:
    conditions = order_conditions("strong", "1", catalogue["DFMilstein"])
    assert len(conditions) == len(order_conditions("strong", "1", catalogue["DFMilstein"]))
    assert any("I_kk/sqrt(h)" in c.text for c in conditions)


def test_unknown_requests_are_refused() -> None:
    with pytest.raises(TableauError, match="kind of order"):
        order_conditions("weka", 2, "ri")
    with pytest.raises(TableauError, match="family"):
        order_conditions("weak", 2, "rj")
    with pytest.raises(TableauError, match="multiple of 1/2"):
        order_conditions("weak", "1/3", "ri")


def test_equations_without_a_linear_scalar_are_counted_once() -> None:
    # (v)^2 = 1 follows from v = 1, and neither is linear in a scalar.
    conditions = order_conditions("weak", 2, "sra")
    assert len(conditions) == 6
    assert len({c.text for c in conditions}) == 6


def test_an_order_out_of_reach_of_a_family_is_a_contradiction() -> None:
    conditions = order_conditions("strong", 2, "sra")
    assert any(not c.equation.lhs.free_symbols for c in conditions)
