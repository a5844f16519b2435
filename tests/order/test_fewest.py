"""The fewest evaluations of weak order 2 for general noise, and why there are no fewer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy

from tableaux import (
    PRIMITIVES,
    Block,
    Coupling,
    Output,
    Tableau,
    Tree,
    Variable,
    catalogue,
    register,
)
from tableaux.design import entry_conditions, solve
from tableaux.moments import one_step_mean
from tableaux.prover import Prover
from tableaux.verdict import order

TWO = Fraction(2)
CUBE = register(Variable("test: xi^3/h", 1, "xi_k**3/h"))
SIGNED = register(Variable("test: eta*xi", 1, "eta*xi_k"))


def test_the_law_of_the_increment_is_the_only_one_of_four_points() -> None:
    # Of x = xi^2 at two points: E x = 1, E x^2 = 3; and E (x - 1)^3/x = 0 for the tree [1, 1, 1]_1.
    a, b, p = sympy.symbols("a b p")
    moments = [
        p * a + (1 - p) * b - 1,
        p * a**2 + (1 - p) * b**2 - 3,
        p * (a - 1) ** 3 * b + (1 - p) * (b - 1) ** 3 * a,
    ]
    found = {(s[a], s[b], sympy.simplify(s[p])) for s in sympy.solve(moments, [a, b, p], dict=True)}
    root = sympy.sqrt(3)
    assert (2 + root, 2 - root, sympy.simplify((3 - root) / 6)) in found
    assert len(found) == 2  # the other one names the points the other way round
    assert PRIMITIVES["xi"].law == "four-point"


def two_of_each() -> Tableau:
    """f twice, each g_k at the start and at one point of its own; every odd function of xi there is."""
    own = [("xi_k", "p"), (CUBE.label, "q")]
    return Tableau(
        "two of each",
        (
            Block("drift", "drift", (0, 1)),
            Block("here", "diffusion", (0,)),
            Block("moved", "diffusion", ("m",), "channel"),
        ),
        (
            Coupling("drift", "drift", "h", ((0, 0), (1, 0))),
            Coupling("drift", "here", "xi_k", ((0,), (1,))),
            Coupling("moved", "drift", "h", (("m", 0),)),
            *(Coupling("moved", "here", label, ((w,),), "own") for label, w in own),
            Coupling("moved", "here", "xi_k", (("u",),), "other"),
            Coupling("moved", "here", SIGNED.label, (("v",),), "less"),
            Coupling("moved", "here", SIGNED.label, (("w",),), "greater"),
        ),
        (
            Output("drift", "h", ("1/2", "1/2")),
            Output("moved", "xi_k", ("a",)),
            Output("here", "xi_k", ("1 - a",)),
            Output("moved", CUBE.label, ("b",)),
            Output("here", CUBE.label, ("-b",)),
        ),
    )


VALUES = {"a": 1, "b": 0, "m": "1/2", "p": "-3/2", "q": "1/2", "u": "1/2", "v": "-1/2", "w": "1/2"}


@pytest.mark.slow
def test_the_conditions_leave_only_w2f1_and_its_mirror_image() -> None:
    family = two_of_each()
    found = solve(family, entry_conditions(family, "weak", TWO, channels=3))
    mirror = VALUES | {"v": "1/2", "w": "-1/2"}
    assert {tuple(sorted((str(s), v) for s, v in one.values.items())) for one in found} == {
        tuple((name, sympy.Rational(value)) for name, value in sorted(values.items()))
        for values in (VALUES, mirror)
    }


def test_w2f1_is_the_member_that_is_left() -> None:
    member = two_of_each().substitute(VALUES, name="W2F1")
    assert order(member, noise="general").weak == 2
    printed = catalogue["W2F1"]
    for h in (0.1, 0.3):
        one, other = (
            one_step_mean(t, _drift, _general(), (0.4, -0.3), h, lambda x: x[0] * x[1] ** 2)
            for t in (member, printed)
        )
        assert one == pytest.approx(other, rel=1e-13)


@pytest.mark.parametrize("entry", ["m", "p", "q", "u", "v"])
def test_every_coefficient_is_needed(entry: str) -> None:
    nudged = VALUES | {entry: sympy.Rational(VALUES[entry]) + sympy.Rational(1, 50)}
    weak = order(two_of_each().substitute(nudged), noise="general").weak
    assert weak is not None
    assert weak < 2


def test_a_fixed_order_of_the_channels_has_weak_order_one() -> None:
    """The sign is what makes the pairs right: always the earlier channels is Lie's splitting."""
    fixed = VALUES | {"u": 1, "v": 0, "w": 0}
    family = two_of_each().substitute(fixed)
    fixed_order = replace(
        family,
        couplings=tuple(
            replace(c, selector="less") if c.selector == "other" else c for c in family.couplings
        ),
    )
    assert order(fixed_order, noise="general").weak == 1
    assert order(fixed_order, noise="scalar").weak == 2


def test_one_evaluation_of_a_column_is_not_enough() -> None:
    family = Tableau(
        "one of g",
        (Block("drift", "drift", (0, "c")), Block("noise", "diffusion", ("d",), "channel")),
        (
            Coupling("noise", "drift", "h", (("d", 0),)),
            Coupling("drift", "drift", "h", ((0, 0), ("c", 0))),
            Coupling("drift", "noise", "theta_k", ((0,), ("s",))),
        ),
        (Output("drift", "h", ("a", "b")), Output("noise", "theta_k", (1,))),
    )
    conditions = entry_conditions(family, "weak", TWO, "scalar")
    assert any(not c.free_symbols for c in conditions)  # E I_11^2 = h^2/2 has no g' g to meet it


@pytest.mark.parametrize("name", ["W2F1", "RI6", "RID1"])
def test_weak_order_two_fixes_the_symmetric_part_of_the_pairs_exactly(name: str) -> None:
    """I_kl + I_lk = I_k I_l - h delta with probability 1, though only means are asked for.

    The mean square of the difference is a combination of order conditions.  So with J points common
    to all columns besides X, sum of (a_j b_j^T + b_j a_j^T) = theta theta^T - h I, and J >= m - 1.
    """
    prover = Prover(catalogue[name], "general", channels=2)
    algebra, weights = prover.algebra(2), prover.weights(2)

    def word(*letters: int) -> Tree:
        tree = Tree(letters[0])
        for letter in letters[1:]:
            tree = Tree(letter, [tree])
        return tree

    for k, l in ((1, 2), (1, 1)):
        pair = weights.output(word(k, l)) + weights.output(word(l, k))
        product = weights.output(word(k)) * weights.output(word(l))
        difference = algebra.reduced(pair - product + (1 if k == l else 0))
        assert algebra.mean(difference * difference) == 0


@pytest.mark.parametrize("channels", [3, 5, 8])
def test_so_the_columns_cannot_share_their_points(channels: int) -> None:
    rng = np.random.default_rng(channels)
    theta = rng.standard_normal(channels)
    wanted = np.linalg.eigvalsh(np.outer(theta, theta) - np.eye(channels))
    assert (wanted < -0.5).sum() == channels - 1
    for points in range(1, channels - 1):
        a, b = rng.standard_normal((2, channels, points))
        assert (np.linalg.eigvalsh(a @ b.T + b @ a.T) < -1e-9).sum() <= points


# --- Stratonovich --------------------------------------------------------------------------------


def stratonovich(first: object = "2/3", second: object = "1/6") -> Tableau:
    """Two of f, four of each g_k: from a random order of the channels, each takes a step of order 4.

    With nodes 0, c2, c3, 1 the classical solution of order 4 is taken where its first weight is
    0: the evaluations that it would weigh have seen no other channel.
    """
    c2, c3 = sympy.Rational(first), sympy.Rational(second)
    assert 6 * c2 * c3 - 2 * (c2 + c3) + 1 == 0
    d = 6 * c2 * c3 - 4 * (c2 + c3) + 3
    weights = (
        (2 * c3 - 1) / (12 * c2 * (c3 - c2) * (1 - c2)),
        (1 - 2 * c2) / (12 * c3 * (c3 - c2) * (1 - c3)),
        d / (12 * (1 - c2) * (1 - c3)),
    )
    a32 = c3 * (c3 - c2) / (2 * c2 * (1 - 2 * c2))
    a43 = (1 - c2) * (1 - c3) * (1 - 2 * c2) / (c3 * (c3 - c2) * d)
    a42 = (1 - c2) * (c2 + c3 - 1 - (2 * c3 - 1) ** 2) / (2 * c2 * (c3 - c2) * d)
    none, order_of_pairs = (0, 0, 0), "theta_k*(1+-eta)/2"
    return Tableau(
        "four of each",
        (
            Block("drift", "drift", (0, 1)),
            Block("here", "diffusion", (0,)),
            Block("moved", "diffusion", ("m0", "m1", "m2"), "channel"),
        ),
        (
            Coupling("drift", "drift", "h", ((0, 0), (1, 0))),
            Coupling("drift", "here", "theta_k", ((0,), ("1 - e0 - e1 - e2",))),
            Coupling("drift", "moved", "theta_k", (none, ("e0", "e1", "e2"))),
            Coupling("moved", "drift", "h", (("m0", 0), ("m1", 0), ("m2", 0))),
            Coupling("moved", "here", "theta_k", ((c2,), (c3 - a32,), (1 - a42 - a43,)), "own"),
            Coupling("moved", "moved", "theta_k", (none, (a32, 0, 0), (a42, a43, 0)), "own"),
            Coupling("moved", "here", order_of_pairs, ((1,), ("1 - x",), ("1 - y - z",)), "other"),
            Coupling("moved", "moved", order_of_pairs, (none, ("x", 0, 0), ("y", "z", 0)), "other"),
        ),
        (Output("drift", "h", ("1/2", "1/2")), Output("moved", "theta_k", weights)),
        calculus="stratonovich",
    )


CHOICE = {"e1": 0, "e2": "1/2", "m2": "1/2", "z": 0}


def test_the_stratonovich_conditions_leave_four_parameters() -> None:
    family = stratonovich()
    conditions = entry_conditions(family, "weak", TWO, "general")
    (solution,) = solve(family, conditions, keep=["e1", "e2", "m2", "z"])
    assert {str(s) for s in solution.free} == set(CHOICE)
    values = {str(s): v for s, v in solution.values.items()}
    z = sympy.Symbol("z")
    assert values["x"] == sympy.Rational(9, 8)
    assert sympy.expand(values["y"] - 3 + z / 4) == 0
    member = solution.member(CHOICE, "S2F1")
    printed = catalogue["S2F1"]
    assert set(member.couplings) == set(printed.couplings)
    assert set(member.outputs) == set(printed.outputs)
    assert member.blocks == printed.blocks
    other = solution.member({"e1": 1, "e2": "-1/3", "m2": 2, "z": 4}, "other")
    assert order(other, noise="general").weak == 2


@pytest.mark.parametrize("entry", ["x", "y", "m1", "e2"])
def test_a_neighbouring_stratonovich_coefficient_has_a_lower_order(entry: str) -> None:
    values = {"x": "9/8", "y": 3, "z": 0, "m0": "1/2", "m1": "1/2", "m2": "1/2", "e0": 0}
    values |= {"e1": 0, "e2": "1/2"}
    assert order(stratonovich().substitute(values), noise="general").weak == 2
    values[entry] = sympy.Rational(values[entry]) + sympy.Rational(1, 50)
    weak = order(stratonovich().substitute(values), noise="general").weak
    assert weak is not None
    assert weak < 2


def test_three_evaluations_of_a_column_are_not_enough_in_stratonovich_calculus() -> None:
    zero = (0, 0, 0)
    family = Tableau(
        "three of g",
        (Block("drift", "drift", (0,)), Block("noise", "diffusion", zero, "channel")),
        (
            Coupling(
                "noise", "noise", "theta_k", (zero, ("a", 0, 0), ("b", "c", 0)), selector="own"
            ),
        ),
        (Output("drift", "h", (1,)), Output("noise", "theta_k", ("p", "q", "s"))),
        calculus="stratonovich",
    )
    conditions = entry_conditions(family, "weak", TWO, "scalar")
    assert any(not c.free_symbols for c in conditions)  # E [[[1]_1]_1]_1 = h^2/8 is out of reach


# --- seen without theory -------------------------------------------------------------------------

_X, _Y = sympy.symbols("x y")
_F = (sympy.sin(_Y) + sympy.Rational(3, 10) * _X**2, sympy.cos(_X) * _Y - _X / 2)
_G = (
    (sympy.sin(_Y), _X * _Y + 1),
    (sympy.cos(_X), _Y),
    (_X, sympy.sin(_X)),
)
_PHI = sympy.exp(sympy.Rational(3, 10) * _X) + _X * _Y**2
Field = Callable[[np.ndarray], np.ndarray]


def _field(expressions: tuple[sympy.Expr, sympy.Expr]) -> Field:
    values = sympy.lambdify((_X, _Y), expressions)
    return lambda x: np.stack([np.broadcast_to(v, x[0].shape) for v in values(x[0], x[1])])


def _general(channels: int = 3) -> list[Field]:
    return [_field(g) for g in _G[:channels]]


_drift = _field(_F)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_the_local_error_of_a_nonlinear_equation_has_the_order_three(channels: int) -> None:
    u, exact = _PHI, []
    for k in range(3):
        at = u.subs({_X: sympy.Rational(2, 5), _Y: sympy.Rational(-3, 10)})
        exact.append(float(at.evalf(30)) / float(sympy.factorial(k)))
        moved = sum(f * sympy.diff(u, z) for f, z in zip(_F, (_X, _Y)))
        for g in _G[:channels]:
            for i, a in enumerate((_X, _Y)):
                for j, b in enumerate((_X, _Y)):
                    moved += g[i] * g[j] * sympy.diff(u, a, b) / 2
        u = moved
    phi = sympy.lambdify((_X, _Y), _PHI)
    errors = [
        abs(
            one_step_mean(
                catalogue["W2F1"],
                _drift,
                _general(channels),
                (0.4, -0.3),
                h,
                lambda x: phi(x[0], x[1]),
            )
            - sum(c * h**k for k, c in enumerate(exact))
        )
        for h in (0.02, 0.01)
    ]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(3, abs=0.2)
