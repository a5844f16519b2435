"""The order that every method of the catalogue claims is the one that it shows.

Each interval is at confidence 1 - 3e-9 and there are fewer than 300 of them: a correct catalogue
fails one of these tests by chance with probability below 1e-6. An interval must also be narrow
enough to tell half orders apart. The orders without noise are those of test_without_noise.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

from sdeint import TreePath, convergence, problems
from sdeint.brownian import BrownianPath
from sdeint.convergence import Study
from sdeint.convergence.setting import Setting
from sdeint.problems import Problem
from sdeint.testing.last_step import STEPS, enumerable, last_step
from sdeint.testing.local import local_means
from tableaux import PRIMITIVES, Output, Tableau, Variable, catalogue, variables
from tableaux.variables import of_part

SURE = 1 - 3e-9
#: Steps of a reference.
FINE = 1024

# Problem class -> the problems that show it. Special problems flatter methods (linear additive
# noise gives SRA1 strong order 2), so each class is measured where its own error terms are present.
SHOWN_ON = {
    "general": ("unicycle", "triple"),
    "commutative": ("spiral", "bounded plane"),
    "diagonal": ("diagonal", "bounded"),
    "scalar": ("oscillator",),
    "additive": ("pulsed swirl",),
    "constant": ("swirl",),
    "martingale": ("denoiser",),
}
#: Not measured there, for the reason given.
ELSEWHERE = {
    # Its terms of order 3/2 vanish: the Stratonovich drift is zero.
    ("SlowRK", "bounded plane"),
    ("SRSC1", "bounded plane"),
    # Its large shifts by the noise scatter: test_large_noise_shifts_show_their_order_late.
    ("SKenCarp", "pulsed swirl"),
}
#: Strong orders for three channels that do not commute; weak ones are measured there for all methods.
ON_THREE_CHANNELS = ("EM", "Heun", "SRI1", "MilsteinGeneralStratonovich")
#: Their second moments on "fading" drown in the noise of the study; exact local means show them.
NOISY = {"SOSRI", "SMEB"}
#: Errors whose noise is larger than they are: exact propagation shows them (tests/diffusion).
DROWNED = {"AB2", "AB3"}


def claims(which: int) -> Iterator[tuple[str, str, Fraction]]:
    for name, tableau in catalogue.items():
        if name == "StochasticTheta":
            continue  # the same as ImplicitTrapezoid, by default
        if any(map(of_part, tableau.primitives)):
            continue  # of semilinear equations and no tree: tests/linear/test_parts.py
        for kind, orders in tableau.orders.items():
            if orders[which] is not None and kind != "none":
                yield name, kind, orders[which]


def strong_cases() -> Iterator[object]:
    for name, kind, order in claims(0):
        for place, problem in enumerate(SHOWN_ON[kind]):
            if (name, problem) in ELSEWHERE:
                continue
            if problem == "triple" and name not in ON_THREE_CHANNELS:
                continue
            # Implicit methods and Levy areas take longest; and samplers of diffusion models are
            # there for weak orders.
            later = place or catalogue[name].relative or catalogue[name].implicit
            later = later or (problem == "unicycle" and name not in ON_THREE_CHANNELS)
            marks = [pytest.mark.slow] if later else []
            yield pytest.param(name, problem, order, marks=marks, id=f"{name}-{problem}")


def where(method: str | Tableau) -> dict[str, Any]:
    """The interval, for methods that take steps relative to times, which must be positive."""
    tableau = catalogue[method] if isinstance(method, str) else method
    return {"t": (1.0, 2.0)} if tableau.relative else {}


def check(study: Study, order: Fraction) -> None:
    assert study.order_interval is not None, str(study)
    low, high = study.order_interval
    assert high - low < 0.5, f"too wide to tell half orders apart\n{study}"
    assert low <= order <= high, f"claimed {order}\n{study}"


def measure(method: str | Tableau, problem: Problem) -> Study:
    """A strong study in the asymptotic range of the problem."""
    if problem.name in ("denoiser", "swirl", "pulsed swirl"):
        paths = 1500 if problem.name == "denoiser" else 1300
        options = {
            "steps": (16, 32, 64, 128, 256),
            "paths": paths,
            "reference": ("SRA3", FINE),
        }
    elif problem.solution is None:
        # No closed form; differences show the order without the bias of a reference.
        paths = 2500 if problem.name == "triple" else 1500
        options = {"steps": (8, 16, 32, 64, 128), "paths": paths, "reference": "half"}
    else:
        paths = {"bounded": 12000, "bounded plane": 4000, "diagonal": 3000}.get(problem.name, 1500)
        options = {"steps": (16, 32, 64, 128, 256), "paths": paths}
    return convergence.strong(
        problem,
        method,
        confidence=SURE,
        **options,  # type: ignore[arg-type]
        **where(method),
    )


@pytest.mark.parametrize(("name", "problem", "order"), list(strong_cases()))
def test_the_claimed_strong_order_is_observed(name: str, problem: str, order: Fraction) -> None:
    check(measure(name, problems.library[problem]), order)


@pytest.mark.slow
def test_large_noise_shifts_show_their_order_late() -> None:
    study = convergence.strong(
        problems.library["pulsed swirl"],
        "SKenCarp",
        steps=(64, 128, 256, 512),
        paths=200,
        reference=("SRA3", 2048),
        confidence=SURE,
    )
    assert study.order_interval is not None
    assert 1 < study.order_interval[0] < 1.5 < study.order_interval[1], str(study)


@pytest.mark.parametrize("name", ["SRA1", "SRA2", "SRA3", "SOSRA", "ShARK"])
def test_linear_additive_noise_flatters_methods_of_order_three_halves(name: str) -> None:
    """The terms of order 3/2 vanish on `growth`, whose drift is nilpotent: order 2 is seen."""
    study = convergence.strong(problems.growth(sigma=0.4), name, paths=1500, confidence=SURE)
    check(study, Fraction(2))


@pytest.mark.parametrize("name", ["SRA1", "SRA2", "SRA3", "SOSRA"])
def test_noise_that_depends_on_time_keeps_the_order_of_methods_with_noise_nodes(name: str) -> None:
    study = convergence.strong(problems.fading(), name, paths=1500, confidence=SURE)
    assert study.order_interval is not None
    assert study.order_interval[0] > 1.5


@pytest.mark.parametrize("name", ["SEA", "ShARK"])
def test_shifted_methods_have_order_one_for_noise_that_depends_on_time(name: str) -> None:
    """Their noise has no second node: they are for constant g, as their advice says."""
    study = convergence.strong(problems.fading(), name, paths=1500, confidence=SURE)
    check(study, Fraction(1))


# ---------------------------------------------------------------------- weak order


def linear_problem(kind: str) -> str | None:
    places = {"general": "triple", "commutative": "spiral", "diagonal": "gbm"}
    return {**places, "scalar": "oscillator"}.get(kind)


@pytest.mark.parametrize(
    ("name", "kind", "order"),
    [(n, k, o) for n, k, o in claims(1) if linear_problem(k)],
)
def test_the_claimed_weak_order_is_that_of_exact_moments(
    name: str, kind: str, order: Fraction
) -> None:
    """No sampling: the expectation over one step is enumerated, and its power is the moment after N steps."""
    where = linear_problem(kind)
    assert where is not None
    study = convergence.moments(
        problems.library[where], name, steps=tuple(2**k for k in range(5, 13))
    )
    assert study.order_interval is not None
    low, high = study.order_interval
    # SRIW1 does better on linear problems.
    best = Fraction(2) if name == "SRIW1" else order
    assert order - 0.01 <= high, str(study)
    assert low <= best + 0.01, str(study)
    assert high - low < 0.25, str(study)


@pytest.mark.parametrize("name", ["SRIW2", "SOSRI"])
def test_order_three_halves_is_all_that_some_sri_methods_have_in_the_weak_sense(name: str) -> None:
    study = convergence.moments(problems.gbm(), name, steps=tuple(2**k for k in range(5, 13)))
    assert study.agrees(1.5)
    assert not study.agrees(1.75)


@pytest.mark.parametrize("name", ["RI6", "RS2"])
@pytest.mark.parametrize("problem", ["pair", "triple"])
def test_weak_order_two_holds_for_two_and_for_three_noncommuting_channels(
    name: str, problem: str
) -> None:
    study = convergence.moments(problems.library[problem], name, steps=(16, 32, 64, 128, 256))
    assert study.order == pytest.approx(2.0, abs=0.01)


def discrete(name: str) -> bool:
    return any(PRIMITIVES[p].law != "path" for p in catalogue[name].primitives)


def later(name: str) -> list[Any]:
    """Marks of the methods whose studies take longest."""
    return [pytest.mark.slow] * (catalogue[name].implicit or name == "W3A3")


def additive_claims() -> list[object]:
    places = {"additive": "fading", "constant": "growth"}
    return [
        pytest.param(n, places[k], o, marks=later(n))
        for n, k, o in claims(1)
        if k in places
        and o < 3
        and not discrete(n)
        and n not in NOISY | DROWNED
        # Without time, exact local means say all that implicit methods claim.
        and not (k == "constant" and catalogue[n].implicit)
        # Those of diffusion models: tests/diffusion.
        and not catalogue[n].relative
    ]


@pytest.mark.parametrize(
    ("name", "order"),
    [
        pytest.param(n, o, marks=later(n))
        for n, o in sorted(
            {(n, o) for n, k, o in claims(1) if k in ("additive", "constant") and o >= 2}
            - {(n, o) for n, k, o in claims(1) if catalogue[n].start or catalogue[n].relative}
        )
    ],
)
def test_the_claimed_weak_order_for_additive_noise_is_that_of_exact_local_means(
    name: str, order: Fraction
) -> None:
    if catalogue[name].primitives & {"A"}:
        pytest.skip("no finite rule for the areas; on linear problems they have one")
    study = local_means(catalogue[name], "constant")
    assert study.order is not None
    assert abs(study.order - float(order)) < 0.06, str(study)


@pytest.mark.parametrize(("name", "problem", "order"), additive_claims())
def test_the_claimed_weak_order_is_observed_on_common_paths(
    name: str, problem: str, order: Fraction
) -> None:
    study = convergence.weak(
        problems.library[problem],
        name,
        {"growth": "mean", "fading": "second moment"}[problem],
        steps=(8, 16, 32, 64, 128),
        paths=4000,
        confidence=SURE,
    )
    assert study.order_interval is not None, str(study)
    low, high = study.order_interval
    assert high - low < 1.0, str(study)
    assert low <= order <= high, str(study)


#: Shown by steps smaller than those of the others.
LATE = {
    "SKenCarp": (1024, 2048, 4096, 8192, 16384),
    "SASolver3": (512, 1024, 2048, 4096, 8192),
}


def martingale_claims() -> Iterator[object]:
    for name, tableau in catalogue.items():
        if tableau.noise != "additive" or tableau.exponential or not enumerable(tableau):
            continue
        yield pytest.param(name, tableau.claimed("martingale")[1], id=name)


@pytest.mark.parametrize(("name", "order"), list(martingale_claims()))
def test_a_martingale_drift_gives_the_claimed_weak_order(name: str, order: Fraction) -> None:
    """No sampling: all outcomes of a few steps are enumerated."""
    study = last_step(catalogue[name], LATE.get(name, STEPS))
    assert study.order == pytest.approx(float(order), abs=0.06), str(study)


def test_only_variables_without_a_density_are_left_out_of_the_enumeration() -> None:
    additive = [t for t in catalogue.values() if t.noise == "additive" and not t.exponential]
    left = {t.name for t in additive if not enumerable(t)}
    assert left == {n for n in catalogue if catalogue[n] in additive and discrete(n)}


def test_the_last_of_a_few_steps_shows_a_wrong_coefficient_of_memory() -> None:
    method = catalogue["NoiseRK3"]
    (stored, *others) = method.couplings
    (here, far), other = stored.matrix
    wrong = replace(
        method,
        couplings=(replace(stored, matrix=((here, far + Fraction(1, 10)), other)), *others),
        orders={},
    )
    study = last_step(wrong)
    assert study.order == pytest.approx(1, abs=0.06), str(study)


# ---------------------------------------------------------------------- backwards


@pytest.mark.parametrize(
    ("name", "problem", "order"),
    [
        ("Heun", "bounded plane", 1),
        ("Midpoint", "spiral", 1),
        ("EulerHeun", "oscillator", 1),
        ("Heun", "gbm", 1),
        ("SRA1", "growth", 2),
        ("SRA2", "fading", 2),
        ("SEA", "fading", 1),
        ("EM", "growth", 1),
        ("ShARK", "growth", 2),
    ],
)
def test_going_back_retraces_the_path_at_the_forward_order(
    name: str, problem: str, order: int
) -> None:
    study = convergence.strong(
        problems.library[problem], name, backward=True, paths=1500, confidence=SURE
    )
    check(study, Fraction(order))


# ---------------------------------------------------------------------- can these tests fail?


def test_a_lost_coefficient_is_seen_as_a_lost_order() -> None:
    """Milstein without its correction is Euler; Heun without its second stage goes to another limit."""
    milstein = catalogue["DFMilstein"]
    weakened = replace(
        milstein,
        name="weakened",
        outputs=tuple(
            o if "kk" not in o.label else Output(o.source, o.label, tuple(w / 2 for w in o.weights))
            for o in milstein.outputs
        ),
    )
    check(measure(weakened, problems.diagonal()), Fraction(1, 2))
    wrong = Tableau.shared("wrong", A=[[0]], b=[1], calculus="stratonovich")
    study = convergence.strong(problems.gbm(), wrong, paths=1000, confidence=SURE)
    assert study.order is not None
    assert study.order_interval is not None
    assert study.order_interval[1] < 0.25


def test_a_pair_variable_that_is_shared_across_pairs_is_caught_by_three_channels_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The usual I^_kl, one two-point variable a channel, keeps order 2 for m = 2, not for m = 3."""
    label = "I~_kl/sqrt(h)"
    customary = Variable(
        label,
        2,
        equal="(theta_k**2 - h)/(2*sqrt(h))",
        less="(theta_k*theta_l - h*sign_k)/(2*sqrt(h))",
        greater="(theta_k*theta_l + h*sign_l)/(2*sqrt(h))",
    )
    monkeypatch.setitem(variables._by_label, label, customary)  # type: ignore[attr-defined]
    good = catalogue["RI6"]
    old = replace(
        good,
        name="RI6 with the customary variable",
        couplings=tuple(replace(c, label=c.label.replace("I^", "I~")) for c in good.couplings),
        outputs=tuple(replace(o, label=o.label.replace("I^", "I~")) for o in good.outputs),
    )
    assert old != good
    two = convergence.moments(problems.pair(), old, steps=(16, 32, 64, 128, 256))
    three = convergence.moments(problems.triple(), old, steps=(16, 32, 64, 128, 256))
    assert two.order == pytest.approx(2.0, abs=0.02)
    assert three.order == pytest.approx(1.0, abs=0.05)


def test_no_claim_is_left_unmeasured() -> None:
    for name, kind, _ in claims(0):
        assert SHOWN_ON[kind], name
    for name, kind, _ in claims(1):
        assert linear_problem(kind) or kind in {"additive", "constant", "martingale"}, (name, kind)


@pytest.fixture(scope="module", autouse=True)
def one_reference_for_all_methods() -> Iterator[None]:
    """Most of a study is its reference, which is the same for all methods on the same paths."""
    kept: dict[object, Tensor] = {}
    solve = Setting.solve

    def once(self: Setting, tableau: Tableau, n: int, path: BrownianPath, count: int) -> Tensor:
        key = (self.name, self.t, tableau.name, n, count, path.first_path)
        if key not in kept:
            kept[key] = solve(self, tableau, n, path, count)
        return kept[key]

    def shared(
        self: Setting, tableau: Tableau, n: int, path: BrownianPath, count: int, *rest: Any
    ) -> Tensor:
        # All paths here have the seed of the study's default.
        if n == FINE and isinstance(path, TreePath):
            return once(self, tableau, n, path, count)
        return solve(self, tableau, n, path, count, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Setting, "solve", shared)
        yield


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
