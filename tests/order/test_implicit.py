"""Implicit methods: their proofs, what they do at small steps, and where the print falls short."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import sympy

from tableaux import Block, Coupling, Output, Tableau, catalogue, order
from tableaux.design import entry_conditions, principal_norm, solve
from tableaux.moments import linear_moment_error, observed_linear_order, one_step_mean
from tableaux.stability import Z, amplification

HALF = Fraction(1, 2)

DRIFT = np.array([[-0.6, 0.4], [-0.2, -0.9]])
NOISES = [
    np.array([[0.3, 0.4], [0.0, 0.2]]),
    np.array([[0.1, 0.0], [0.5, -0.2]]),
    np.array([[0.0, -0.4], [0.4, 0.1]]),
]


@pytest.mark.parametrize(
    "name",
    [
        "StochasticTheta(0)",
        "StochasticTheta(1/3)",
        "StochasticTheta(1)",
        "ImplicitMilstein(1/2)",
        "ImplicitMilstein(3/2)",
        "ImplicitEulerHeun(0)",
        "ImplicitEulerHeun(1/2)",
    ],
)
def test_members_of_a_family_have_the_orders_that_they_claim(name: str) -> None:
    tableau = catalogue[name]
    report = order(tableau)
    for noise, verdict in report.by_noise.items():
        assert tableau.claimed(noise) == (verdict.strong, verdict.weak), noise
    constant = order(tableau, noise="additive", autonomous=True).by_noise["additive"]
    assert tableau.claimed("constant") == (constant.strong, constant.weak)


def test_theta_zero_is_euler_maruyama_and_one_is_the_implicit_one() -> None:
    for theta, name in [(0, "EM"), (1, "ImplicitEM")]:
        member = catalogue[f"StochasticTheta({theta})"]
        assert member.implicit == (theta != 0)
        arguments = (DRIFT, NOISES[:1])
        assert linear_moment_error(member, *arguments, steps=8) == pytest.approx(
            linear_moment_error(catalogue[name], *arguments, steps=8), rel=1e-12
        )


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ImplicitEM", 1),
        ("ImplicitTrapezoid", 1),
        ("ImplicitMidpoint", 1),
        ("SplitStepBackwardEuler", 1),
        ("ImplicitEulerHeun", 1),
        ("StratonovichMidpointWeak", 1),
        ("RIA1", 2),
        ("RIL1", 2),
    ],
)
def test_linear_moments_converge_at_the_proved_order(
    name: str, expected: int, channels: int
) -> None:
    observed = observed_linear_order(
        catalogue[name], DRIFT, NOISES[:channels], steps=(64, 128), nodes=4
    )
    assert abs(observed - expected) < 0.15


@pytest.mark.parametrize(("name", "expected"), [("ImplicitMilstein", 1), ("PlatenImplicit", 2)])
def test_linear_moments_of_diagonal_noise_converge_at_the_proved_order(
    name: str, expected: int
) -> None:
    noises = [np.diag([0.5, 0.0]), np.diag([0.0, 0.7])]
    observed = observed_linear_order(catalogue[name], DRIFT, noises, steps=(64, 128), nodes=6)
    assert abs(observed - expected) < 0.15


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ImplicitMidpoint", 1), ("ImplicitTrapezoid", 2), ("SRAL1", 2), ("SKenCarp", 2), ("RIL1", 2)],
)
def test_a_curved_drift_shows_the_weak_order_for_constant_noise(name: str, expected: int) -> None:
    # dX = V^2 dt, dV = dW from 0: E X = t^2 / 2 after a step, which needs [1, 1]_0.
    def drift(x: np.ndarray) -> np.ndarray:
        return np.stack([x[1] ** 2, 0 * x[1]])

    def noise(x: np.ndarray) -> np.ndarray:
        return np.stack([0 * x[0], 1 + 0 * x[1]])

    h = 0.01
    mean = one_step_mean(catalogue[name], drift, [noise], [0, 0], h, lambda x: x[0])
    right = mean / h**2 == pytest.approx(0.5, rel=1e-9)
    assert right == (expected == 2)


@pytest.mark.parametrize("name", ["StratonovichMidpoint", "StratonovichMidpointWeak"])
def test_the_implicit_midpoint_rule_keeps_a_circle(name: str) -> None:
    # Every outcome stays on it.
    def turn(x: np.ndarray) -> np.ndarray:
        return np.stack([-x[1], x[0]])

    def deviation(x: np.ndarray) -> np.ndarray:
        return ((x**2).sum(0) - 1) ** 2

    mean = one_step_mean(catalogue[name], turn, [turn], [1, 0], 0.05, deviation)
    assert mean < 1e-24


def test_the_l_stable_additive_method_follows_from_its_conditions() -> None:
    # Two implicit stages; the second one, with its noise, is the new value.
    p, q = sympy.symbols("p q")
    family = Tableau(
        "stiffly accurate",
        (Block("drift", "drift", (p, 1)), Block("noise", "diffusion", (0, 1))),
        (
            Coupling("drift", "drift", "h", ((p, 0), (1 - q, q))),
            Coupling("drift", "noise", "I_k", (("w", 0), (0, 0))),
            Coupling("drift", "noise", "H_k", (("v", 0), (0, 0))),
            Coupling("drift", "noise", "I_k0/h", ((0, 0), (1, 0))),
            Coupling("drift", "noise", "I_0k/h", ((0, 0), (0, 1))),
        ),
        (
            Output("drift", "h", (1 - q, q)),
            Output("noise", "I_k0/h", (1, 0)),
            Output("noise", "I_0k/h", (0, 1)),
        ),
        noise="additive",
        implicit=True,
    )
    (solution,) = solve(family, entry_conditions(family, "strong", 3 * HALF))
    assert solution.free == ()
    ours = catalogue["SRAL1"]
    assert set(solution.family.couplings) == set(ours.couplings)
    assert solution.family.outputs == ours.outputs


def test_skencarp_agrees_with_its_print() -> None:
    tableau = catalogue["SKenCarp"]
    printed = {
        (1, 1): "0.435866521508459",
        (2, 0): "0.2576482460664272",
        (2, 1): "-0.09351476757488625",
        (3, 0): "0.18764102434672383",
        (3, 1): "-0.595297473576955",
        (3, 2): "0.9717899277217721",
        (3, 3): "0.435866521508459",
    }
    drift = next(c for c in tableau.couplings if c.label == "h")
    for (i, j), text in printed.items():
        assert abs(drift.matrix[i][j] - Fraction(text)) < 1e-14
    assert abs(tableau.block("drift").nodes[2] - Fraction(3, 5)) < 1e-14
    hat = next(o for o in tableau.embedded if o.source == "drift")
    for weight, text in zip(hat.weights, ("0.027099261876665316", "0.11013520969201586")):
        j = hat.weights.index(weight)
        assert abs(weight - drift.matrix[3][j] - Fraction(text)) < 1e-14
    report = order(tableau, embedded=True)
    assert (report.strong, report.weak, report.deterministic) == (1, 1, 2)
    # An irrational diagonal would be needed for 0.
    assert 0 < abs(sympy.limit(amplification(tableau), Z, -sympy.oo)) < 1e-15


def test_shifting_the_drift_stages_of_ri1_by_theta_is_first_order_only() -> None:
    # IRI1 as its library describes it: k_i = f(H_i + theta h k_i) with RI1's coefficients, weak
    # order 2 by claim.  alpha A0 e = 1/2 + theta, so that it holds for theta = 0 only: RI1 itself.
    zero = [0, 0, 0]

    def shifted(theta: Fraction) -> Tableau:
        return Tableau.ri(
            f"IRI1, theta = {theta}",
            A0=[[theta, 0, 0], ["2/3", theta, 0], ["-1/3", 1, theta]],
            A1=[zero, [1, 0, 0], [1, 0, 0]],
            A2=[zero] * 3,
            B0=[zero, [1, 0, 0], zero],
            B1=[zero, [1, 0, 0], [-1, 0, 0]],
            B2=[zero, [1, 0, 0], [-1, 0, 0]],
            c0=[theta, Fraction(2, 3) + theta, Fraction(2, 3) + theta],
            alpha=["1/4", "1/2", "1/4"],
            beta1=["1/2", "1/4", "1/4"],
            beta2=[0, "1/2", "-1/2"],
            beta3=["-1/2", "1/4", "1/4"],
            beta4=[0, "1/2", "-1/2"],
            implicit=theta != 0,
        )

    assert order(shifted(Fraction(0)), noise="general").weak == 2
    for theta in (HALF, Fraction(1)):
        report = order(shifted(theta), noise="general")
        assert (report.weak, report.deterministic) == (1, 1)
        assert report.failing[0].residual == sympy.Rational(theta.numerator, theta.denominator)


def test_the_implicit_weak_methods_have_smaller_principal_errors_than_ri6() -> None:
    norms = {
        name: principal_norm(catalogue[name], "weak", noise="scalar")
        for name in ("RI6", "RIA1", "RIL1")
    }
    assert norms["RIL1"] < norms["RIA1"] < 0.9 * norms["RI6"]


def test_a_forward_difference_with_the_drift_in_it_is_no_gain_for_milstein() -> None:
    # The drift in the difference's stage, as the explicit method has it, is not needed for the order.
    plain = catalogue["ImplicitMilstein"]
    loaded = replace(
        plain,
        couplings=(*plain.couplings, Coupling("diffusion", "drift", "h", ((0, 0), (1, 0)))),
    )
    for tableau in (plain, loaded):
        verdict = order(tableau, noise="diagonal").by_noise["diagonal"]
        assert (verdict.strong, verdict.weak) == (1, 1)
