"""An order is asserted by proof and by measurement, and either can fail it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from sdeint import NonFiniteError, ProblemError
from sdeint.convergence import Study
from sdeint.testing import Evidence, assert_order, measuring, orders
from sdeint.testing.local import local_means
from sdeint.testing.measuring import Measurement
from tableaux import Output, Tableau, catalogue, order

RK4 = Tableau.rk(
    "RK4",
    A=[[0, 0, 0, 0], ["1/2", 0, 0, 0], [0, "1/2", 0, 0], [0, 0, 1, 0]],
    b=["1/6", "1/3", "1/3", "1/6"],
)


def heavier(tableau: Tableau, label: str, by: Fraction) -> Tableau:
    """The tableau with its last weight of this label changed."""

    def changed(output: Output) -> Output:
        if output.label != label:
            return output
        return replace(output, weights=(*output.weights[:-1], output.weights[-1] + by))

    return replace(
        tableau, name=f"perturbed {tableau.name}", outputs=tuple(map(changed, tableau.outputs))
    )


def bypass_proof(monkeypatch: pytest.MonkeyPatch, trusted: str) -> None:
    """The proof of another tableau passes for everyone's."""
    real = orders._prove

    def claimed(tableau: Tableau, noise: str, claims: dict[str, Fraction]) -> Any:
        return real(catalogue[trusted], noise, claims)

    monkeypatch.setattr(orders, "_prove", claimed)


# --- it passes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "noise", "studies"),
    [
        ("EM", "general", 4),
        ("Heun", "commutative", 4),
        ("SRA1", "additive", 4),
        ("ShARK", "constant", 2),
        ("SRIW1", "diagonal", 4),
        ("RI6", "general", 2),
        ("RS2", "scalar", 2),
        ("OneStageStored", "martingale", 2),
    ],
)
def test_methods_of_the_catalogue_have_the_orders_that_they_claim(
    name: str, noise: str, studies: int
) -> None:
    """At most 6 sampled studies with one look each at level 1 - 1e-8: false alarms below 3e-7."""
    evidence = assert_order(name, noise=noise)
    assert isinstance(evidence, Evidence)
    assert len(evidence.studies) == studies
    assert all(study.method == name for study in evidence.studies)
    assert name in str(evidence)


@pytest.mark.parametrize("kind", ["strong", "weak"])
def test_a_method_without_noise_has_the_order_of_the_ordinary_equation(kind: str) -> None:
    (study,) = assert_order(RK4, **{kind: 4}).studies
    assert study.problem == "orbit"
    with pytest.raises(AssertionError, match=r"Proof: its .* order is 4"):
        assert_order(RK4, **{kind: 5})


def test_an_implicit_method_is_proved_and_measured() -> None:
    midpoint = Tableau.shared(
        "implicit midpoint", A=[["1/2"]], b=[1], calculus="stratonovich", implicit=True
    )
    linear, local = assert_order(midpoint, weak=1, noise="commutative").studies
    assert linear.kind == "moments"
    assert local.paths == 0
    with pytest.raises(AssertionError, match="Proof: its weak order is 1"):
        assert_order(midpoint, weak=2)


@pytest.mark.parametrize("name", ["EM", "Heun", "SRIW1", "SRIW2", "RI6", "RS2", "SRA1", "SEA"])
def test_one_enumerated_step_shows_the_proved_weak_order(name: str) -> None:
    tableau = catalogue[name]
    noise = "constant" if tableau.noise == "additive" else tableau.noise
    report = order(
        tableau,
        noise=tableau.noise,
        max_strong=0,
        max_weak=2,
        max_deterministic=1,
        autonomous=noise == "constant",
    )
    proved = report.weak
    study = local_means(tableau, noise)
    assert proved is not None
    assert study.order == pytest.approx(float(proved), abs=0.1), str(study)


@pytest.mark.parametrize("noise", measuring.SAMPLED)
def test_the_sampled_problems_can_tell_weak_orders_apart(noise: str) -> None:
    """For methods with memory or Levy areas; two looks would be needed only by chance < 1e-7."""
    for row in measuring.SAMPLED[noise]:
        study = measuring._sampled(catalogue["EM"], *row, discrete=False, seed=0).run(1)
        assert orders.judge(study, Fraction(1), exact=False) == "reached", str(study)
        assert orders.judge(study, Fraction(2), exact=False) == "contradicted", str(study)


# --- the proof fails it --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "label", "claim"),
    [
        ("SRA1", "I_k0/h", {"strong": "3/2"}),
        ("SRIW1", "I_kkk/h", {"strong": "3/2"}),
        ("RI6", "sqrt(h)", {"weak": 2}),
    ],
)
def test_a_perturbed_coefficient_is_caught_by_the_proof(
    name: str, label: str, claim: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object) -> None:
        raise AssertionError("measured although the proof had failed")

    monkeypatch.setattr(orders, "_measured", never)
    bad = heavier(catalogue[name], label, Fraction(1, 3))
    (kind,) = claim
    pattern = rf"(?s)'perturbed {name}' does not have {kind} order .*Proof: .*first condition"
    with pytest.raises(AssertionError, match=pattern) as caught:
        assert_order(bad, **claim)
    assert "Phi" in str(caught.value)


def test_discrete_variables_have_no_strong_order() -> None:
    with pytest.raises(AssertionError, match="not functionals of the path"):
        assert_order("RI6", strong="1/2")


# --- the measurement fails it --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "label", "claim", "where"),
    [
        ("SRA1", "I_k0/h", {"strong": "3/2"}, "swirl"),
        ("DFMilstein", "I_kk/sqrt(h)", {"strong": 1}, "diagonal"),
        ("RI6", "sqrt(h)", {"weak": 2}, "triple"),
        ("SRA1", "I_k0/h", {"weak": 2}, "polynomial fields"),
    ],
)
def test_a_perturbed_coefficient_is_caught_by_the_measurement_alone(
    name: str, label: str, claim: dict[str, Any], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bypass_proof(monkeypatch, name)
    bad = heavier(catalogue[name], label, Fraction(1, 3))
    with pytest.raises(AssertionError, match=r"Measurement: .* although") as caught:
        assert_order(bad, **claim)
    message = str(caught.value)
    assert "Proof" not in message
    assert where in message
    assert "steps" in message  # the head of the study's table
    assert "order" in message.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "noise", "claim", "trusted"),
    [
        ("EM", "additive", {"strong": "3/2"}, "SRA1"),
        ("EM", "diagonal", {"strong": 1}, "DFMilstein"),
        ("EM", "general", {"weak": 2}, "RI6"),
        ("SRIW2", "diagonal", {"weak": 2}, "RI6"),
        ("ShARK", "additive", {"strong": "3/2"}, "SRA1"),
        ("ShARK", "additive", {"weak": 2}, "SRA1"),
        ("SEA", "martingale", {"strong": "3/2"}, "OneStage"),
        ("SEA", "martingale", {"weak": 2}, "OneStage"),
    ],
)
def test_a_proof_that_claims_too_much_is_caught_by_the_measurement(
    name: str,
    noise: str,
    claim: dict[str, Any],
    trusted: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bypass_proof(monkeypatch, trusted)
    with pytest.raises(AssertionError, match=rf"(?s){name}.*Measurement"):
        assert_order(name, noise=noise, **claim)


def test_a_wrong_limit_is_caught_by_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Euler's rule called Stratonovich: differences between step sizes look fine, the limit is not."""
    wrong = Tableau.shared("wrong", A=[[0]], b=[1], calculus="stratonovich")
    bypass_proof(monkeypatch, "Heun")
    for claim in ({"strong": "1/2"}, {"weak": 1}):
        with pytest.raises(AssertionError, match="Measurement"):
            assert_order(wrong, **claim)


def test_a_path_that_is_lost_fails_the_assertion(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(factor: int) -> Study:
        raise NonFiniteError(0.5, 3, [(1,)], 1)

    monkeypatch.setattr(orders, "strong_measurements", lambda *_: [Measurement(lost, False)])
    with pytest.raises(AssertionError, match="Measurement"):
        assert_order("EM", strong="1/2")


# --- judging -------------------------------------------------------------------------------------


def study(
    interval: tuple[float, float] | None, *, flags: tuple[str, ...] = ("", "", "")
) -> Callable[[int], Study]:
    middle = None if interval is None else sum(interval) / 2
    errors = (0.1, 0.1, 0.1)
    made = Study(
        "strong", "m", "p", "w", (1, 2, 4), (1.0, 0.5, 0.25), errors, errors, errors, flags,
        middle, interval, 0.95, 10, "",
    )  # fmt: skip
    return lambda factor: made


@pytest.mark.parametrize(
    ("interval", "result"),
    [
        ((0.8, 1.2), "reached"),
        ((1.4, 1.6), "reached"),
        ((0.4, 1.2), "undecided"),
        ((0.2, 0.9), "contradicted"),
        (None, "undecided"),
    ],
)
def test_an_interval_reaches_contradicts_or_leaves_open(
    interval: tuple[float, float] | None, result: str
) -> None:
    assert orders.judge(study(interval)(1), Fraction(1), exact=False) == result


def test_a_method_without_any_error_has_every_order() -> None:
    flags = ("rounding",) * 3
    assert orders.judge(study(None, flags=flags)(1), Fraction(5), exact=True) == "reached"


def test_an_undecided_study_is_repeated_with_more_paths_and_then_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def vague(factor: int) -> Study:
        asked.append(factor)
        return study((-1.0, 3.0))(factor)

    monkeypatch.setattr(orders, "strong_measurements", lambda *_: [Measurement(vague, False)])
    with pytest.raises(AssertionError, match="neither confirm nor refute"):
        assert_order("EM", strong="1/2")
    assert asked == [1, 4, 16]


# --- what cannot be asserted ---------------------------------------------------------------------


def test_requests_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ProblemError, match="meant for additive noise"):
        assert_order("SRA1", strong=1, noise="general")
    with pytest.raises(ProblemError, match="noise class"):
        assert_order("SRA1", strong=1, noise="white")
    with pytest.raises(ProblemError, match="multiple of 1/2"):
        assert_order("SRA1", strong="1/3")
    with pytest.raises(ProblemError, match="claims no order"):
        assert_order(RK4)
