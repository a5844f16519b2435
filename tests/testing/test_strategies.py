"""Every strategy gives what it says."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import sdeint
from sdeint import ProblemError, problems
from sdeint.problems import Problem
from sdeint.testing import FAMILIES, RandomSDE, grids, sdes, tableaux_of
from tableaux import Tableau, TableauError, load, order
from tableaux.files import save
from tableaux.tableau import CALCULI, NOISE_CLASSES

# Accepted in every class of noise.
METHODS = {"ito": "EM", "stratonovich": "Heun"}


# --- tableaux ------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_drawn_tableaux_are_read_back_as_they_were_written(family: str, tmp_path: Path) -> None:
    @settings(max_examples=30)
    @given(tableaux_of(family))
    def law(tableau: Tableau) -> None:
        save(tableau, tmp_path / "drawn.toml")
        assert load(tmp_path / "drawn.toml") == tableau

    law()


@pytest.mark.parametrize("family", FAMILIES)
def test_drawn_tableaux_are_explicit_rational_and_run(family: str) -> None:
    noise = {"sra": "additive", "sri": "diagonal", "rk": "none"}.get(family, "general")

    @settings(max_examples=25)
    @given(st.data())
    def law(data: st.DataObject) -> None:
        tableau = data.draw(tableaux_of(family, stages=(1, 2)))
        case = data.draw(sdes(noise, tableau.calculus, d=2, m=None if family == "rk" else 2))
        assert not tableau.implicit
        assert all(e.is_Rational for c in tableau.couplings for _, _, e in c.entries())
        solution = sdeint.solve(case.sde, case.start(2), (0.0, 1 / 64), method=tableau, steps=1)
        assert solution.y.shape == (2, 2, 2)
        assert torch.isfinite(solution.y).all()

    law()


@pytest.mark.parametrize("family", ["sra", "sri", "ri"])
def test_consistent_tableaux_are_proved_to_converge(family: str) -> None:
    @settings(max_examples=15)
    @given(tableaux_of(family, stages=(1, 2), consistent=True))
    def law(tableau: Tableau) -> None:
        report = order(tableau, noise=tableau.noise, max_strong="1/2", max_weak="1/2")
        assert report.weak == Fraction(1, 2)
        assert report.strong == (None if family == "ri" else Fraction(1, 2))

    law()


def test_general_tableaux_use_all_that_there_is() -> None:
    seen: set[str] = set()

    @settings(max_examples=150, database=None)
    @given(tableaux_of("general", areas=True))
    def collect(tableau: Tableau) -> None:
        seen.update(b.replication for b in tableau.blocks)
        seen.update(c.selector for c in tableau.couplings)
        seen.update(tableau.primitives)
        seen.add(tableau.calculus)

    collect()
    assert {"once", "channel", "pair"} <= seen
    assert {"all", "own", "other", "less", "greater", "partner"} <= seen
    assert {"W", "H", "K", "A", "theta", "sign", "eta", *CALCULI} <= seen


def test_a_family_that_is_none_is_refused() -> None:
    with pytest.raises(TableauError, match="family"):
        tableaux_of("srk")
    with pytest.raises(TableauError, match="consistent"):
        tableaux_of("rs", consistent=True)
    with pytest.raises(TableauError, match="stages"):
        tableaux_of("rk", stages=(3, 2))


# --- SDEs ----------------------------------------------------------------------------------------


def commutator(problem: Problem, y: Tensor, t: float = 0.25) -> Tensor:
    """Largest entry of g_k' g_l - g_l' g_k."""

    def field(x: Tensor) -> Tensor:
        return cast(Tensor, problem.diffusion(t, x))

    value = field(y)
    moved = torch.stack(
        [torch.func.jvp(field, (y,), (value[..., k].clone(),))[1] for k in range(value.shape[-1])],
        -1,
    )
    return (moved - moved.transpose(-1, -2)).abs().max()


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("noise", NOISE_CLASSES)
def test_the_engine_accepts_every_drawn_sde_as_noise_of_its_class(noise: str, linear: bool) -> None:
    @settings(max_examples=30)
    @given(sdes(noise, linear=linear), st.sampled_from((torch.float32, torch.float64)))
    def law(case: RandomSDE, dtype: torch.dtype) -> None:
        assert case.sde.noise == case.problem.noise == noise
        method = METHODS[case.sde.calculus]
        solution = sdeint.solve(case.sde, case.start(3, dtype), case.t, method=method, steps=4)
        assert solution.y.shape == (2, 3, len(case.y0))
        assert torch.isfinite(solution.y).all()
        assert case.channels in (1, 2, 3)

    law()


@pytest.mark.parametrize("linear", [True, False])
def test_drawn_commutative_noise_commutes(linear: bool) -> None:
    generator = torch.Generator().manual_seed(1)

    @given(sdes("commutative", d=3, m=3, linear=linear))
    def law(case: RandomSDE) -> None:
        y = torch.randn(50, 3, generator=generator, dtype=torch.float64)
        assert commutator(case.problem, y) < 1e-12

    law()


@pytest.mark.parametrize("linear", [True, False])
def test_drawn_general_noise_mostly_does_not_commute(linear: bool) -> None:
    found = []

    @settings(database=None)
    @given(sdes("general", d=2, m=2, linear=linear))
    def collect(case: RandomSDE) -> None:
        y = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
        found.append(float(commutator(case.problem, y)) > 1e-3)

    collect()
    assert sum(found) > len(found) / 3


def test_drawn_commutative_noise_is_mostly_not_diagonal() -> None:
    found = []

    @settings(database=None)
    @given(sdes("commutative", d=2, m=2, linear=False))
    def collect(case: RandomSDE) -> None:
        y = torch.zeros(1, 2, dtype=torch.float64)
        value = cast(Tensor, case.problem.diffusion(0.0, y))
        found.append(bool(value[0, 0, 1].abs() > 1e-6))

    collect()
    assert sum(found) > len(found) / 2


@settings(max_examples=15)
@given(st.sampled_from(("scalar", "diagonal", "commutative", "general")), st.data())
def test_both_calculi_describe_the_same_process(noise: str, data: st.DataObject) -> None:
    """Drift and correction, by central differences: 1/2 sum_k g_k' g_k."""
    case = data.draw(sdes(noise, linear=False))
    problem, y = case.problem, case.start(1)
    ito, other = (cast(Tensor, problem.drifts[c](0.5, y)) for c in CALCULI)

    def columns(x: Tensor) -> Tensor:
        g = cast(Tensor, problem.diffusion(0.5, x))
        if g.ndim > x.ndim:
            return g
        return torch.diag_embed(g) if noise == "diagonal" else g[..., None]

    total = torch.zeros_like(y)
    for k in range(case.channels):
        step = 1e-5 * columns(y)[..., k]
        total += (columns(y + step) - columns(y - step))[..., k] / 2e-5
    assert torch.allclose(ito - other, total / 2, atol=1e-8)


@given(st.sampled_from(("scalar", "diagonal", "commutative", "general")), st.data())
def test_linear_sdes_carry_their_matrices(noise: str, data: st.DataObject) -> None:
    problem = data.draw(sdes(noise, linear=True)).problem
    assert problem.linear is not None
    A, B = problem.linear.matrices()
    y = torch.linspace(-1, 1, len(A), dtype=torch.float64)
    g = cast(Tensor, problem.diffusion(0.0, y))
    columns = torch.diag(g) if noise == "diagonal" else g
    assert torch.allclose(columns, (B @ y).T)
    assert torch.allclose(cast(Tensor, problem.drifts["ito"](0.0, y)), A @ y)


def test_a_failing_example_shows_its_coefficients() -> None:
    shown: list[str] = []

    @settings(max_examples=1, database=None)
    @given(sdes("general", "ito", d=2, m=1))
    def collect(case: RandomSDE) -> None:
        shown.append(repr(case))

    collect()
    assert "general problem A=[[" in shown[0]
    assert "0x" not in shown[0]


def test_impossible_sdes_are_refused() -> None:
    with pytest.raises(ProblemError, match="one channel"):
        sdes("scalar", m=2)
    with pytest.raises(ProblemError, match="d=2 and m=3"):
        sdes("diagonal", d=2, m=3)
    with pytest.raises(ProblemError, match="noise class"):
        sdes("multiplicative")
    with pytest.raises(ProblemError, match="at least 1"):
        sdes(d=0)


# --- grids ---------------------------------------------------------------------------------------


@given(st.sampled_from((None, True, False)), st.data())
def test_grids_are_strictly_monotone_and_solvable(
    decreasing: bool | None, data: st.DataObject
) -> None:
    grid = data.draw(grids(steps=(2, 5), decreasing=decreasing, longest=0.25))
    widths = [b - a for a, b in pairwise(grid)]
    assert 2 <= len(widths) <= 5
    assert all(0 < abs(w) <= 0.25 for w in widths)
    signs = {w > 0 for w in widths}
    assert len(signs) == 1
    if decreasing is not None:
        assert signs == {not decreasing}
    problem = problems.ornstein_uhlenbeck()
    solution = sdeint.solve(problem.sde(), problem.start(2), grid, method="SRA1")
    assert solution.t.tolist() == list(grid)


def test_impossible_grids_are_refused() -> None:
    with pytest.raises(ProblemError, match="fewest"):
        grids(steps=(0, 3))
    with pytest.raises(ProblemError, match="1/64"):
        grids(longest=0.01)


# --- without hypothesis --------------------------------------------------------------------------


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_the_package_does_not_import_hypothesis() -> None:
    code = (
        "import sys, sdeint, sdeint.testing; sdeint.testing.assert_order; "
        "print('hypothesis' in sys.modules)"
    )
    assert python(code) == "False"


def test_without_hypothesis_the_message_says_how_to_get_it() -> None:
    code = """
import sys
sys.modules["hypothesis"] = None
import sdeint.testing
try:
    sdeint.testing.sdes
except ImportError as error:
    print(error)
"""
    assert "pip install 'sdeint-tableaux[test]'" in python(code)
