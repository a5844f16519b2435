"""SETDRK2D comes out of the conditions, and no other choice has a smaller principal strong error."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy

from tableaux import TableauError, catalogue, design, exponential_family, stiff_conditions
from tableaux.design import Solution

HALF = Fraction(1, 2)


@pytest.fixture(scope="module")
def branches() -> tuple[Solution, ...]:
    """Two stages at 0 and 5/6 of strong order 3/2, weak order 2 and stiff order 2."""
    family = exponential_family([0, "5/6"])
    conditions = [
        *stiff_conditions(family, 2),
        *design.entry_conditions(family, "strong", 3 * HALF),
        *design.entry_conditions(family, "weak", Fraction(2)),
    ]
    return design.solve(family, conditions, keep=["q1"])


def test_the_conditions_leave_one_number_free(branches: tuple[Solution, ...]) -> None:
    assert [[str(s) for s in branch.free] for branch in branches] == [["q1"], ["q1"]]


def test_the_designed_method_is_a_member(branches: tuple[Solution, ...]) -> None:
    members = [branch.member({"q1": 1}, "SETDRK2D") for branch in branches]
    wanted = catalogue["SETDRK2D"]
    assert any(m.couplings == wanted.couplings and m.outputs == wanted.outputs for m in members)


def test_it_has_the_smallest_principal_strong_error(branches: tuple[Solution, ...]) -> None:
    """For one channel: the error term is N''(g, g), its square a parabola in q1 with its top at 1."""
    for branch in branches:
        sizes = {
            q1: design.principal_norm(branch.member({"q1": q1}, "member"), "strong") ** 2
            for q1 in (Fraction(1, 2), Fraction(1), Fraction(3, 2))
        }
        assert min(sizes, key=sizes.__getitem__) == 1
    norm = {n: design.principal_norm(catalogue[n], "strong") ** 2 for n in ("SETDRK2D", "SETDRK2")}
    assert norm["SETDRK2D"] / norm["SETDRK2"] == pytest.approx(Fraction(2, 3))


@pytest.mark.parametrize("c", ["2/3", "3/4", "1"])
def test_the_node_does_not_change_it(c: str) -> None:
    """With the same part in F the stage noises of any node have the error of 5/6."""
    family = exponential_family([0, c])
    node = sympy.Rational(c)
    b2 = 1 / (2 * node)
    b1 = 1 - b2
    gap = 1 / sympy.sqrt(6 * b1 * b2)
    first = HALF - b2 * gap
    member = family.substitute(
        {
            "a21_1": node, "a21_2": 0,
            "b1_1": 1, "b1_2": -1 / node, "b2_1": 0, "b2_2": 1 / node,
            "p1": first - HALF, "p2": first + gap - HALF, "q1": 1, "q2": 1,
        },
        name="other node",
    )  # fmt: skip
    norm = design.principal_norm(member, "strong")
    assert norm == pytest.approx(design.principal_norm(catalogue["SETDRK2D"], "strong"))


def test_refused() -> None:
    with pytest.raises(TableauError, match="noise of an exponential family"):
        exponential_family([0], noise="diagonal")
    with pytest.raises(TableauError, match="at least one node"):
        exponential_family([])
