"""What studies are: their inputs, their refusals, their tables and plots."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import sdeint
from sdeint import convergence, problems
from sdeint.convergence.linear_moments import Outcomes
from tableaux import catalogue


def small(**changes: object) -> convergence.Study:
    options = {"steps": (8, 16, 32), "paths": 64} | changes
    return convergence.strong(problems.gbm(), "EM", **options)  # type: ignore[arg-type]


def test_a_study_is_reproducible_and_independent_of_its_chunks() -> None:
    whole, parts = small(), small(chunk=17)
    assert whole.errors == pytest.approx(parts.errors, rel=1e-12)
    assert whole.order == pytest.approx(parts.order, rel=1e-9)
    assert whole == small()
    assert whole.errors != small(seed=1).errors


def test_a_method_may_be_a_name_or_a_tableau() -> None:
    assert small() == convergence.strong(
        problems.gbm(), catalogue["EM"], steps=(8, 16, 32), paths=64
    )


def test_the_strong_error_is_the_root_mean_square_on_the_path_of_solve() -> None:
    """One step size by hand: the same tree path, the same seed, the closed form at its end."""
    problem = problems.gbm()
    path = sdeint.TreePath(3, (50,), (1,), t0=0.0, t1=1.0, dtype=torch.float64)
    W = path.on(torch.tensor([0.0, 1.0], dtype=torch.float64)).draw(0, 1, ("W",))["W"][0]
    end = sdeint.solve(
        problem.sde("ito"), problem.start(50), (0.0, 1.0), method="EM", steps=8, path=path
    ).y[-1]
    exact = torch.exp((0.5 - 0.18) * 1.0 + 0.6 * W)
    wanted = float(((end - exact) ** 2).mean().sqrt())
    study = convergence.strong(problem, "EM", steps=(8,), paths=50, seed=3)
    assert study.errors[0] == pytest.approx(wanted, rel=1e-12)
    assert study.order is None


def test_the_closed_form_sees_the_time_integral_of_the_path() -> None:
    """On `growth` a third-order-accurate solve must land on the closed form, integral and all."""
    study = convergence.strong(problems.growth(), "SRA1", steps=(256,), paths=100)
    assert study.errors[0] < 5e-5


def test_an_exact_method_has_no_order_and_its_errors_are_rounding() -> None:
    """EM solves dX = dW exactly."""
    sde = sdeint.SDE(lambda t, y: 0 * y, lambda t, y: 1 + 0 * y, noise="additive")
    y0 = torch.zeros(1, dtype=torch.float64)
    study = convergence.strong(sde, "EM", y0=y0, t=(0, 1), steps=(4, 8, 16), paths=20, reference=64)
    assert study.order is None
    assert set(study.flags) == {"rounding"}
    assert "rounding" in study.verdict
    assert not study.agrees(0.5)


def test_a_problem_without_noise_is_fitted_as_the_exact_thing_it_is() -> None:
    study = convergence.strong(problems.gbm(sigma=0.0), "EM", steps=(32, 64, 128, 256), paths=8)
    assert study.order == pytest.approx(1.0, abs=1e-3)
    assert study.agrees(1.0)


def test_half_step_differences_show_the_order_without_a_reference() -> None:
    # interval at 1 - 1e-8
    study = convergence.strong(
        problems.gbm(), "EM", reference="half", paths=1500, confidence=1 - 1e-8
    )
    assert study.agrees(0.5)
    assert "half the step" in study.what


def test_an_sde_of_ones_own_is_measured_against_a_finer_solution() -> None:
    sde = problems.gbm().sde("ito")
    y0 = torch.ones(1, dtype=torch.float64)
    own = convergence.strong(
        sde, "EM", y0=y0, t=(0.0, 1.0), steps=(4, 8, 16), paths=200, reference=("SRIW1", 512)
    )
    known = convergence.strong(problems.gbm(), "EM", steps=(4, 8, 16), paths=200)
    assert own.errors == pytest.approx(known.errors, rel=1e-3)
    assert "SRIW1 with 512 steps" in own.what


def test_the_three_couplings_of_a_weak_study_agree() -> None:
    # EM on gbm: E X_N = (1 + mu h)^N exactly. Bars at 1 - 1e-8 contain the truth; three step sizes
    # each.
    truth = [abs((1 + 0.5 / n) ** n - math.exp(0.5)) for n in (2, 4, 8)]
    for coupling in ("solution", "independent"):
        study = convergence.weak(
            problems.gbm(),
            "EM",
            steps=(2, 4, 8),
            coupling=coupling,
            paths=20_000,
            confidence=1 - 1e-8,
        )
        for low, exact, high in zip(study.lower, truth, study.upper):
            assert low <= exact <= high
    halves = [abs((1 + 0.5 / n) ** n - (1 + 0.25 / n) ** (2 * n)) for n in (2, 4, 8)]
    study = convergence.weak(
        problems.gbm(), "EM", steps=(2, 4, 8), coupling="half", confidence=1 - 1e-8
    )
    for low, exact, high in zip(study.lower, halves, study.upper):
        assert low <= exact <= high


def test_coupling_removes_most_of_the_noise() -> None:
    def bar(coupling: str) -> float:
        study = convergence.weak(
            problems.gbm(), "SRIW1", steps=(16,), coupling=coupling, paths=4000
        )
        return study.upper[0] - study.lower[0]

    assert bar("solution") < bar("independent") / 20


def test_antithetic_pairs_cancel_odd_functionals() -> None:
    """The mean of EM on dX = -X dt + dW is linear in the noise: antithetic pairs have no noise
    left."""
    study = convergence.weak(
        problems.ornstein_uhlenbeck(), "EM", "mean", steps=(4, 8, 16), paths=128
    )
    exact = problems.ornstein_uhlenbeck().functional("mean").exact(1.0)
    for n, error in zip(study.steps, study.errors):
        assert error == pytest.approx(abs(0.5 + 1.5 * (1 - 1.5 / n) ** n - exact), rel=1e-9)


def test_points_in_the_noise_are_excluded_and_no_order_is_invented() -> None:
    study = convergence.weak(
        problems.pair(), "RI6", "mean 1", steps=(16, 32, 64), paths=200, coupling="independent"
    )
    assert study.order is None
    assert set(study.flags) == {"noise"}
    assert "noise" in study.verdict


def test_discrete_methods_are_sampled_independently_by_default() -> None:
    study = convergence.weak(problems.pair(), "RI6", steps=(1, 2, 4), paths=20_000)
    assert "antithetic" in study.what
    assert study.paths == 20_000
    exact = convergence.moments(problems.pair(), "RI6", steps=(1, 2, 4))
    assert exact.paths == 0


def test_enumerated_moments_of_euler_are_those_by_hand() -> None:
    """E X_N = (1 + mu h)^N and E X_N^2 = ((1 + mu h)^2 + sigma^2 h)^N."""
    study = convergence.moments(problems.gbm(), "EM", steps=(1, 4, 16))
    for n, error in zip(study.steps, study.errors):
        first = (1 + 0.5 / n) ** n - math.exp(0.5)
        second = ((1 + 0.5 / n) ** 2 + 0.36 / n) ** n - math.exp(1.36)
        assert error == pytest.approx(math.hypot(first, second), rel=1e-12)


def test_sampled_expectations_are_the_enumerated_ones() -> None:
    """EM on `triple` from 2 steps: E |X_N|^2 - exact, bar at 1 - 1e-8 around the value by hand."""
    problem = problems.triple()
    assert problem.linear is not None
    A, B = problem.linear.matrices()
    step = torch.eye(2, dtype=A.dtype) + A / 2
    second = torch.outer(*2 * [torch.tensor(problem.y0, dtype=A.dtype)])
    for _ in range(2):
        second = step @ second @ step.T + sum(b @ second @ b.T for b in B) / 2
    wanted = abs(float(second.trace()) - problem.functional("squared norm").exact(1.0))
    study = convergence.weak(problem, "EM", steps=(2,), paths=100_000, confidence=1 - 1e-8)
    assert study.lower[0] <= wanted <= study.upper[0]
    assert study.upper[0] - study.lower[0] < 0.6 * wanted


def test_enumerated_levy_areas_have_their_moments_given_the_path() -> None:
    """In a step of length 1, 12 E[A_kl A_kn | W] = W_l W_n, and 1 + W_k^2 more where n is l."""
    path = Outcomes(frozenset({"W", "A"}), channels=3, copies=1, nodes=5)
    W, A = path.values["W"], path.values["A"]

    def mean(values: torch.Tensor) -> float:
        return float(path.weights @ values)

    assert torch.equal(A, -A.transpose(-2, -1))
    assert mean(A[:, 0, 1]) == pytest.approx(0, abs=1e-14)
    assert mean(A[:, 0, 1] ** 2) == pytest.approx(1 / 4)
    assert mean(W[:, 0] ** 2 * A[:, 0, 1] ** 2) == pytest.approx((1 + 3 + 1) / 12)
    assert mean(A[:, 0, 1] * A[:, 0, 2]) == pytest.approx(0, abs=1e-14)
    assert mean(W[:, 1] * W[:, 2] * A[:, 0, 1] * A[:, 0, 2]) == pytest.approx(1 / 12)


def test_enumeration_does_not_depend_on_the_number_of_nodes() -> None:
    eight = convergence.moments(problems.gbm(), "SRIW1", steps=(4, 8), nodes=8)
    more = convergence.moments(problems.gbm(), "SRIW1", steps=(4, 8), nodes=11)
    assert eight.errors == pytest.approx(more.errors, rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": (16, 8)}, "increasing"),
        ({"steps": (8, 8)}, "increasing"),
        ({"steps": ()}, "increasing"),
        ({"steps": (0, 8)}, "positive integers"),
        ({"steps": (8.0, 16.0)}, "positive integers"),
        ({"paths": 1}, "at least 2"),
        ({"paths": 10.0}, "at least 2"),
        ({"seed": -1}, "seed"),
        ({"confidence": 1.0}, "between 0 and 1"),
        ({"chunk": 0}, "chunk"),
        ({"reference": 16}, "more steps than the study's finest"),
        ({"reference": "double"}, "reference must be"),
        ({"reference": ("EulerHeun", 512)}, "different solutions"),
        ({"t": (1.0, 1.0)}, "two different finite times"),
        ({"y0": torch.ones(2, 1)}, "start of one path"),
        ({"backward": True}, "does not retrace"),
        ({"backward": True, "reference": 99}, "takes no reference"),
    ],
)
def test_wrong_requests_of_strong_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(sdeint.ProblemError, match=message):
        small(**changes)


def test_other_wrong_requests_are_refused() -> None:
    sde = problems.gbm().sde("ito")
    y0 = torch.ones(1, dtype=torch.float64)
    refused = pytest.raises
    with refused(sdeint.ProblemError, match=r"needs y0 .* and t"):
        convergence.strong(sde, "EM")
    with refused(sdeint.ProblemError, match=r"must be an sdeint\.SDE or a Problem"):
        convergence.strong("gbm", "EM")  # type: ignore[arg-type]
    with refused(sdeint.ProblemError, match="Euler"):
        convergence.strong(problems.gbm(), "Euler")
    with refused(sdeint.ProblemError, match="needs a functional"):
        convergence.weak(sde, "EM", y0=y0, t=(0, 1))
    with refused(sdeint.ProblemError, match="no functional with a known expectation"):
        convergence.weak(problems.swirl(), "EM")
    with refused(sdeint.ProblemError, match="no functional 'median'"):
        convergence.weak(problems.gbm(), "EM", "median")
    with refused(sdeint.ProblemError, match="name or callable"):
        convergence.weak(problems.gbm(), "EM", 3)  # type: ignore[arg-type]
    with refused(sdeint.ProblemError, match="coupling must be"):
        convergence.weak(problems.gbm(), "EM", coupling="same")
    with refused(sdeint.ProblemError, match="needs a closed form"):
        convergence.weak(problems.pair(), "EM", coupling="solution")
    with refused(sdeint.ProblemError, match="needs the exact expectation"):
        convergence.weak(problems.gbm(), "EM", lambda y: y[..., 0], coupling="independent")
    with refused(sdeint.ProblemError, match="variables sign, theta, which make no path"):
        convergence.weak(problems.pair(), "RI6", coupling="half")
    with refused(sdeint.ProblemError, match="linear problem"):
        convergence.moments(problems.bounded(), "EM")
    with refused(sdeint.ProblemError, match="closed form at the end time"):
        convergence.strong(problems.swirl(), "SRA1", backward=True)


def test_a_study_is_frozen_and_reads_well() -> None:
    study = small()
    with pytest.raises(dataclasses.FrozenInstanceError):
        study.order = 1.0  # type: ignore[misc]
    text = str(study)
    assert "strong convergence of EM on gbm" in text
    assert "95 % interval" in text
    assert "order 0." in text
    assert len(text.splitlines()) == 2 + 3 + 1
    assert len(study.rows) == 3
    assert study.rows[0][:2] == (8, 0.125)
    html = study._repr_html_()
    assert html.count("<tr>") == 4
    assert "order 0." in html


def test_plots_show_points_bars_and_guides(tmp_path: Path) -> None:
    study = small()
    ax = study.plot()
    assert ax.get_xscale() == "log"
    assert ax.get_yscale() == "log"
    again = small(seed=2).plot(ax=ax, guides=(0.5, 1.0))
    assert again is ax
    ax.figure.savefig(tmp_path / "study.png")
    assert (tmp_path / "study.png").stat().st_size > 5000


def test_the_other_plots_draw_and_refuse(tmp_path: Path) -> None:
    from sdeint import plots

    problem = problems.gbm()
    times = torch.linspace(0, 1, 9, dtype=torch.float64)
    solution = sdeint.solve(problem.sde(), problem.start(200), times, method="EM", steps=8)
    ax = plots.fan(solution.t, solution.y[..., 0], exact_mean=torch.exp(0.5 * times))
    ax.figure.savefig(tmp_path / "fan.png")
    with pytest.raises(ValueError, match="choose one coordinate"):
        plots.fan(solution.t, solution.y)
    with pytest.raises(ValueError, match="pairs"):
        plots.fan(solution.t, solution.y[..., 0], quantiles=(0.1, 0.5, 0.9))
    ax = plots.work({"EM": ([8, 16], [0.1, 0.05]), "SRA1": ([16, 32], [0.05, 0.01])}, floor=0.005)
    ax.figure.savefig(tmp_path / "work.png")
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["EM", "SRA1", "floor"]
    with pytest.raises(ValueError, match="2 evaluations but 1 errors"):
        plots.work({"EM": ([8, 16], [0.1])})


def test_importing_the_package_imports_no_plotting() -> None:
    code = (
        "import sys, sdeint, sdeint.convergence, sdeint.plots, sdeint.problems;"
        "assert not {'matplotlib', 'rich'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_progress_bar_is_shown_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    small(progress=True)
    assert "strong EM" in capsys.readouterr().out
    small()
    assert capsys.readouterr().out == ""
