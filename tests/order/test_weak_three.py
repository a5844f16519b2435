"""Weak order 3 for additive noise: three fixed stages cannot have it, four or a mixture can."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy

from tableaux import Block, Coupling, Output, Tableau, catalogue
from tableaux.design import entry_conditions, solve
from tableaux.moments import one_step_mean
from tableaux.verdict import order

THREE = Fraction(3)
NONE = (0,)


def conditions(family: Tableau) -> tuple[sympy.Expr, ...]:
    return entry_conditions(family, "weak", THREE, "additive", autonomous=True)


def shifted(
    name: str,
    nodes: tuple[object, ...],
    weights: tuple[object, ...],
    drifts: dict[str, tuple[tuple[object, ...], ...]],
    shifts: dict[str, tuple[object, ...]],
) -> Tableau:
    """Drift stages shifted by functionals of constant noise."""
    return Tableau(
        name,
        (Block("drift", "drift", nodes), Block("noise", "diffusion", (0,))),
        (
            *(Coupling("drift", "drift", label, rows) for label, rows in drifts.items()),
            *(
                Coupling("drift", "noise", label, tuple((entry,) for entry in column))
                for label, column in shifts.items()
            ),
        ),
        (Output("drift", "h", weights), Output("noise", "I_k", (1,))),
        noise="additive",
    )


def three_stages() -> Tableau:
    """The deterministic order 3 is built in, and shifts correlate with W as their node does."""
    c2, c3 = sympy.symbols("c2 c3")
    w2 = (sympy.Rational(1, 3) - c3 / 2) / (c2 * (c2 - c3))
    w3 = (sympy.Rational(1, 3) - c2 / 2) / (c3 * (c3 - c2))
    a = 1 / (6 * w3 * c2)
    return shifted(
        "three stages",
        (0, c2, c3),
        (1 - w2 - w3, w2, w3),
        {"h": ((0, 0, 0), (c2, 0, 0), (c3 - a, a, 0))},
        {"I_k": (0, c2, c3), "H_k": (0, "b2", "b3"), "K_k": (0, 0, "k3")},
    )


def test_three_fixed_stages_cannot_have_weak_order_three() -> None:
    # H and K may be rotated into each other, so that stage 2 does without K.
    c2, c3, b2, b3, k3 = sympy.symbols("c2 c3 b2 b3 k3")
    found = conditions(three_stages())
    variance, covariance = 12 * c2 * (1 - c2), 12 * c2 * (1 - c3)
    assert sympy.expand(b2**2 - variance) in found
    assert sympy.expand(b2 * b3 - covariance) in found
    # With these and the variance of the third stage, one equation in the nodes is left of all ...
    square = 720 * (1 - c3) * (c3 - c2) / (1 - c2)
    left = {
        sympy.factor(
            sum(
                factor * covariance**j * variance ** ((i - j) // 2) * square ** (k // 2)
                for (i, j, k), factor in sympy.Poly(c, b2, b3, k3).terms()
            )
        )
        for c in found
    } - {0}
    equation = (3 * c3 - 2) ** 2 - 3 * (4 * c3 - 3) * c2 * (c3 - c2)
    (only,) = left
    assert sympy.expand(only + 720 * c2 * c3 * (c2 - c3) * equation) == 0
    # ... which has no solution with 0 < c2 <= c3 <= 1, as variances demand: c2 (c3 - c2) <= c3^2/4,
    # and the difference is then positive.  (c3 = 2/3 needs c2 = 0 or c2 = c3.)
    least = sympy.Poly(sympy.expand(equation.subs(c2, c3 / 2)), c3)
    assert least.count_roots(sympy.Rational(3, 4), 1) == 0
    assert least.eval(1) > 0


def test_simpson_weights_leave_one_parameter_to_four_stages() -> None:
    zero = (0, 0, 0, 0)
    family = shifted(
        "four stages",
        (0, "1/2", "1/2", 1),
        ("1/6", "1/3", "1/3", "1/6"),
        {
            "h": (
                zero,
                ("1/2", 0, 0, 0),
                ("1/2 - a32", "a32", 0, 0),
                ("1 - a42 - a43", "a42", "a43", 0),
            )
        },
        {"I_k": (0, "1/2", "1/2", 1), "H_k": (0, "b", "b", 0), "K_k": (0, "k", "-k", 0)},
    )
    found = solve(family, conditions(family))
    assert len(found) == 4  # the signs of b and k
    for solution in found:
        values = {str(s): v for s, v in solution.values.items()}
        assert values["a32"] == 0
        assert sympy.expand(values["a42"] - 2 + sympy.Symbol("a43")) == 0
        assert abs(values["b"]) == sympy.Rational(3, 2)
        assert values["k"] ** 2 == 45
    plus = next(s for s in found if all(v > 0 for n, v in s.values.items() if str(n) in "bk"))
    constant = plus.member({"a43": 1}, "W3A4")
    printed = catalogue["W3A4"]
    for label in ("h", "K_k"):
        ours = next(c for c in printed.couplings if c.label == label)
        derived = next(c for c in constant.couplings if c.label == label)
        assert [row[: len(derived.matrix[0])] for row in ours.matrix] == list(derived.matrix)
    assert order(constant, noise="additive", autonomous=True).weak == 3


def mixture(drift_sign: object = "3/4") -> Tableau:
    """Ralston's nodes and weights, one sign between two methods."""
    zero = (0, 0, 0)
    return shifted(
        "mixture",
        (0, "1/2", "3/4"),
        ("2/9", "1/3", "4/9"),
        {
            "h": (zero, ("1/2", 0, 0), ("3/4 - a", "a", 0)),
            "eta*h": (zero, zero, (f"-({drift_sign})", drift_sign, 0)),
        },
        {
            "I_k": (0, "1/2", "3/4"),
            "H_k": (0, "p", "3/2"),
            "eta*H_k": (0, "p", 0),
            "K_k": (0, "u", 0),
            "eta*K_k": (0, "v", 0),
        },
    )


def test_one_sign_mixes_two_three_stage_methods_to_weak_order_three() -> None:
    found = conditions(mixture())
    a, p, u, v = sympy.symbols("a p u v")
    (basis,) = [sympy.groebner(found, u, v, a, p, order="lex")]
    # Stage 2 has the variances 1/2 for both signs, and nothing but the naming of signs is free.
    assert basis.contains(4 * a - 3)
    assert basis.contains(2 * p - 1)
    assert basis.contains(u * v + 15)
    assert basis.contains(u**2 + v**2 - 150)
    root = {"a": "3/4", "p": "1/2", "u": "sqrt(30) + 3*sqrt(5)", "v": "sqrt(30) - 3*sqrt(5)"}
    assert order(mixture().substitute(root), noise="additive", autonomous=True).weak == 3
    # Without the sign in the drift, no choice of shifts will do.
    assert solve(mixture(0), conditions(mixture(0))) == ()


@pytest.mark.parametrize(("name", "label"), [("W3A3", "eta*h"), ("W3A4", "h")])
def test_a_neighbouring_last_row_has_weak_order_two(name: str, label: str) -> None:
    """The row sum is kept, and with it everything below order 3."""
    tableau = catalogue[name]
    nudge = sympy.Rational(1, 100)
    perturbed = replace(
        tableau,
        couplings=tuple(
            replace(
                c,
                matrix=(
                    *c.matrix[:-1],
                    (c.matrix[-1][0] - nudge, c.matrix[-1][1] + nudge, *c.matrix[-1][2:]),
                ),
            )
            if c.label == label
            else c
            for c in tableau.couplings
        ),
    )
    verdict = order(perturbed, noise="additive").by_noise["additive"]
    assert verdict.weak == 2
    assert verdict.failing


def test_noise_that_depends_on_time_needs_the_second_node() -> None:
    tableau = catalogue["W3A4"]
    frozen = replace(
        tableau,
        blocks=tuple(replace(b, nodes=(0, 0)) if b.name == "noise" else b for b in tableau.blocks),
    )
    assert order(frozen, noise="additive").weak == 1
    assert order(frozen, noise="additive", autonomous=True).weak == 3


# Nothing shared with the proof but the tableau: E phi(X_1) by enumeration on a nonlinear equation,
# against the generator's series up to h^3.
_X, _Y = sympy.symbols("x y")
_DRIFT = (sympy.sin(_Y) + sympy.Rational(3, 10) * _X**2, sympy.cos(_X) * _Y - _X / 2)
_NOISE = ((0.7, 0.2), (-0.3, 0.5))
_PHI = sympy.exp(sympy.Rational(3, 10) * _X) + _X * _Y**2


def series(channels: int) -> list[float]:
    found, u = [], _PHI
    for k in range(4):
        at = u.subs({_X: sympy.Rational(2, 5), _Y: sympy.Rational(-3, 10)})
        found.append(float(at.evalf(30)) / float(sympy.factorial(k)))
        moved = sum(f * sympy.diff(u, z) for f, z in zip(_DRIFT, (_X, _Y)))
        for g in _NOISE[:channels]:
            for i, a in enumerate((_X, _Y)):
                for j, b in enumerate((_X, _Y)):
                    weight = sympy.nsimplify(g[i]) * sympy.nsimplify(g[j]) / 2
                    moved += weight * sympy.diff(u, a, b)
        u = moved
    return found


@pytest.mark.parametrize(
    ("name", "channels", "local"),
    [
        ("W3A4", 1, 4),
        pytest.param("W3A3", 1, 4, marks=pytest.mark.slow),
        pytest.param("W3A3", 2, 4, marks=pytest.mark.slow),
        ("SRA3", 1, 3),
    ],
)
def test_the_local_error_of_a_nonlinear_equation_has_the_order_four(
    name: str, channels: int, local: int
) -> None:
    exact = series(channels)
    field = sympy.lambdify((_X, _Y), _DRIFT)
    phi = sympy.lambdify((_X, _Y), _PHI)

    def constant(g: tuple[float, float]) -> object:
        return lambda x: np.stack([np.full_like(x[0], g[0]), np.full_like(x[0], g[1])])

    errors = [
        abs(
            one_step_mean(
                catalogue[name],
                lambda x: np.stack(field(x[0], x[1])),
                [constant(g) for g in _NOISE[:channels]],  # type: ignore[misc]
                (0.4, -0.3),
                h,
                lambda x: phi(x[0], x[1]),
            )
            - sum(c * h**k for k, c in enumerate(exact))
        )
        for h in (0.1, 0.05, 0.025)
    ]
    slopes = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert abs(slopes[-1] - local) < 0.15, (errors, slopes)
