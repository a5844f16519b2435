"""Semilinear equations: what exact treatment of L gives, and what is refused."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import sdeint.linear.flow as flow_module
from sdeint import SDE, GridPath, NestedPath, ProblemError, SemilinearSDE, TreePath, solve
from sdeint.brownian import chen
from sdeint.linear import Diagonal, Scalar, Transformed, conditional_functionals, join
from sdeint.linear.noise import steps_of
from tableaux import Tableau, catalogue, lawson

F64 = torch.float64
EXPONENTIAL = sorted(name for name, t in catalogue.items() if t.exponential)
#: Those that take N, moved by phi_0, at one time.
LAWSON = {"UBU", *(name for name in EXPONENTIAL if name.startswith("Lawson"))}
MIX = torch.tensor([[0.3, -0.4, 0.1], [0.5, 0.2, 0.0], [0.2, 0.3, -0.5]], dtype=F64)


def zero(t: Tensor, y: Tensor) -> Tensor:
    return torch.zeros_like(y)


def rest(t: Tensor, y: Tensor) -> Tensor:
    return torch.sin(y @ MIX) + torch.cos(3 * t)


def ring(points: int) -> Transformed:
    wave = torch.arange(points // 2 + 1, dtype=F64)
    return Transformed(torch.fft.rfft, lambda v: torch.fft.irfft(v, n=points), -(wave**2))


def rms(x: Tensor) -> float:
    return float(x.square().sum(-1).mean().sqrt())


@given(st.floats(-1e6, 3.0), st.sampled_from(EXPONENTIAL), st.integers(1, 4))
@settings(max_examples=25)
def test_linear_equations_are_solved_exactly_at_any_step(
    rate: float, name: str, steps: int
) -> None:
    y0 = torch.ones(1, dtype=F64)
    noise: Any = {"none": "none", "additive": "additive"}.get(catalogue[name].noise, "diagonal")
    sde = SemilinearSDE(rate, zero, None if noise == "none" else zero, noise=noise)
    end = solve(sde, y0, [0.0, 0.7], method=name, steps=steps).y[-1]
    assert float(end) == pytest.approx(math.exp(0.7 * rate), rel=1e-12 + 1e-15 * abs(rate))


def operator(kind: str, seed: int) -> tuple[Any, Tensor]:
    """A random L of a kind, and the same as a matrix."""
    generator = torch.Generator().manual_seed(seed)
    full = torch.randn(4, 4, generator=generator, dtype=F64)
    size = 10.0 ** float(3 * torch.rand((), generator=generator) - 1)
    if kind == "zero":
        return torch.zeros(4, 4, dtype=F64), torch.zeros(4, 4, dtype=F64)
    if kind == "diagonal":
        return -size * full[0].abs(), torch.diag(-size * full[0].abs())
    if kind == "waves":  # advection: real fields, imaginary rates
        rates = -1j * size * torch.arange(3, dtype=F64)
        rates[2] = 0.0  # the rate of the alternating mode must be real
        moved = torch.fft.irfft(torch.fft.rfft(torch.eye(4, dtype=F64)) * rates, n=4)
        return Transformed(torch.fft.rfft, lambda v: torch.fft.irfft(v, n=4), rates), moved.mT
    if kind == "defective":
        matrix = -size * torch.eye(4, dtype=F64) + torch.diag(full[0, :3], 1)
    elif kind == "turning":
        matrix = size * (full - full.mT)
    else:
        matrix = full - size * torch.eye(4, dtype=F64)
    return matrix, matrix


@given(
    st.sampled_from(["zero", "diagonal", "waves", "defective", "turning", "any"]),
    st.integers(0, 2**20),
    st.sampled_from(sorted(set(EXPONENTIAL) - LAWSON)),
    st.integers(1, 3),
    st.floats(0.01, 0.5),
    st.booleans(),
)
@settings(max_examples=40)
def test_a_constant_force_on_any_L_is_solved_exactly_in_both_directions(
    kind: str, seed: int, name: str, steps: int, duration: float, back: bool
) -> None:
    """Lawson forms, which have phi_0 only, do not."""
    L, matrix = operator(kind, seed)
    force = torch.arange(1.0, 5.0, dtype=F64)
    noise = catalogue[name].noise if catalogue[name].noise != "general" else "diagonal"
    # A channel for each component: an operator that mixes them wants moved noise, or none.
    if noise != "none" and catalogue[name].primitives & {"E", "F"} and kind != "diagonal":
        L, matrix = -2.0, -2.0 * torch.eye(4, dtype=F64)
    g: Any = {"none": None, "commutative": lambda t, y: torch.zeros(4, 1, dtype=F64)}.get(
        noise, zero
    )
    sde = SemilinearSDE(L, lambda t, y: force.expand(y.shape), g, noise=noise)  # type: ignore[arg-type]
    y0 = torch.linspace(-1, 1, 4, dtype=F64)
    ends = [duration, 0.0] if back else [0.0, duration]
    end = solve(sde, y0, ends, method=name, steps=steps).y[-1]
    h = -duration if back else duration
    whole = torch.zeros(5, 5, dtype=F64)
    whole[:4, :4], whole[:4, 4] = h * matrix, h * force
    exact = torch.linalg.matrix_exp(whole) @ torch.cat((y0, torch.ones(1, dtype=F64)))
    size = float(torch.linalg.matrix_exp(h * matrix.abs()).abs().max()) if back else 1.0
    torch.testing.assert_close(end, exact[:4], rtol=1e-9, atol=1e-10 * (1.0 + size))


@pytest.mark.parametrize("name", ["ExponentialEM", "SETDRK2"])
def test_every_mode_has_its_variance_at_any_step(name: str) -> None:
    """False alarm: ten variances, each off by six standard deviations: 2e-8."""
    rates = torch.tensor([-1e4, -50.0, -1.0, 0.0, 0.8], dtype=F64)
    sde = SemilinearSDE(rates, zero, lambda t, y: 0.7, noise="additive")
    paths = 40_000
    exact = 0.49 * torch.where(rates == 0, 1.0, torch.expm1(2 * rates) / (2 * rates))
    for steps in (1, 3):
        y0 = torch.zeros(paths, 5, dtype=F64)
        end = solve(sde, y0, [0.0, 1.0], method=name, steps=steps, seed=3).y[-1]
        gap = (end.square().mean(0) / exact - 1).abs()
        assert float(gap.max()) < 6 * math.sqrt(2 / paths)


def test_a_stiff_heat_equation_has_its_stationary_variance() -> None:
    """False alarm: nine means of squares, each off by seven standard deviations: 1e-11."""
    points, paths = 16, 20_000
    sde = SemilinearSDE(ring(points), zero, lambda t, y: 1.0, noise="additive")
    y0 = torch.zeros(paths, points, dtype=F64)
    end = solve(sde, y0, [0.0, 50.0], method="ExponentialEM", steps=2).y[-1]
    power = torch.fft.rfft(end, norm="ortho").abs().square().mean(0)
    wave = torch.arange(1, points // 2 + 1, dtype=F64)
    assert float((power[1:] * 2 * wave**2 - 1).abs().max()) < 7 * math.sqrt(2 / paths)


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("ExponentialEM", 1.0),
        ("LordTambue", 1.0),
        ("SETDRK2", 1.5),
        ("SETDRK2D", 1.5),
        ("LawsonSRA1", 1.5),
    ],
)
@pytest.mark.parametrize("ends", [(0.0, 1.0), (1.0, 0.0)])
def test_one_path_for_all_step_sizes(name: str, order: float, ends: tuple[float, float]) -> None:
    grid = torch.linspace(0, 1, 257, dtype=F64)
    path = NestedPath(GridPath(1, (100,), (3,), dtype=F64), grid)
    rates = torch.tensor([-3.0, -1.0, 0.5], dtype=F64)
    sde = SemilinearSDE(rates, rest, lambda t, y: 0.5, noise="additive")
    y0 = torch.ones(100, 3, dtype=F64)

    def end(method: str, steps: int) -> Tensor:
        return solve(sde, y0, ends, method=method, steps=steps, path=path, save_at="end").y[-1]

    exact = end("LawsonSRA1" if name.startswith("SETDRK2") else "SETDRK2", 256)
    errors = [rms(end(name, steps) - exact) for steps in (8, 32)]
    assert math.log2(errors[0] / errors[1]) / 2 > order - 0.1


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_functionals_of_a_long_step_are_those_of_its_uneven_parts(
    sign: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, or in pairs of what is drawn four at a time."""
    monkeypatch.setattr(chen, "_AT_ONCE", 1500)
    sizes = torch.tensor([1.0, 1, 2, 0.5, 1, 1, 3.001, 3, 0.25, 0.75, 1, 1, 2], dtype=F64) / 8
    times = torch.cat((torch.zeros(1, dtype=F64), sizes.cumsum(0)))
    path = NestedPath(GridPath(4, (20,), (3,), dtype=F64), times)
    times = times if sign > 0 else times.flip(0)
    rates = torch.tensor([-3.0, 0.0, 0.5], dtype=F64)
    flow = Diagonal(rates).flow(torch.ones(3, dtype=F64))
    asked = ("W", "H", "normal 0", "normal 1")

    def drawn(grid: Tensor) -> Tensor:
        widths = torch.diff(grid).tolist()
        steps = steps_of(path, grid, flow, widths, {"E", "F"}, False)
        found = steps.draw(0, len(widths), asked)
        return torch.stack([found[name] for name in ("W", "H", "E", "F")], dim=-1)

    widths, parts = torch.diff(times).tolist(), drawn(times)
    raw = path.fine_path.on(times).draw(7, 1, asked)
    given = torch.stack([raw[name][0] for name in asked], dim=-1)
    law = conditional_functionals(rates, widths[7], ["phi_0", "phi_1"])
    exact = (torch.cat(law, dim=-1) @ given.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(parts[7, ..., 2:], exact)
    total, length = parts[0], widths[0]
    for h, part in zip(widths[1:], parts[1:]):
        total = join(rates, total, length, part, h, ["W", "H", "phi_0", "phi_1"])
        length += h
    torch.testing.assert_close(drawn(times[[0, -1]])[0], total, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["ExponentialMilstein", "ExponentialMilsteinCommutative"])
def test_exponential_milstein_methods_have_strong_order_1(name: str) -> None:
    grid = torch.linspace(0, 1, 129, dtype=F64)
    path = NestedPath(GridPath(2, (200,), (3,), dtype=F64), grid)
    rates = torch.tensor([-20.0, -1.0, 0.5], dtype=F64)
    diagonal = name == "ExponentialMilstein"

    def g(t: Tensor, y: Tensor) -> Tensor:
        value = 0.6 * torch.sin(y) + 0.5
        return value if diagonal else torch.diag_embed(value)

    sde = SemilinearSDE(rates, rest, g, noise="diagonal" if diagonal else "commutative")
    y0 = torch.ones(200, 3, dtype=F64)
    exact, coarse, fine = (
        solve(sde, y0, [0.0, 1.0], method=name, steps=n, path=path).y[-1] for n in (128, 4, 16)
    )
    assert 0.85 < math.log2(rms(coarse - exact) / rms(fine - exact)) / 2 < 1.35


class Outcomes(GridPath):
    """All outcomes of the variables of one step of ETDW2F1, one an item."""

    def __init__(self, channels: int, h: float) -> None:
        # xi is +-sqrt((2 +- sqrt(3)) h) with the probabilities (3 -+ sqrt(3))/12.
        sizes = [math.sqrt((2 + sign * math.sqrt(3)) * h) for sign in (1, -1)]
        law = {size: (3 - sign * math.sqrt(3)) / 12 for size, sign in zip(sizes, (1, -1))}
        points = [(s * x, p) for x, p in law.items() for s in (1.0, -1.0)]
        cases = list(itertools.product(points, repeat=channels))
        self.share = torch.tensor(
            [math.prod(p for _, p in c) / 2 for c in cases for _ in "+-"], dtype=F64
        )
        self.xi = torch.tensor([[x for x, _ in c] for c in cases for _ in "+-"], dtype=F64)
        self.eta = torch.tensor([[s] for _ in cases for s in (1.0, -1.0)], dtype=F64)
        super().__init__(0, (len(self.eta),), (channels,), dtype=F64)

    def on(self, grid: Tensor) -> Outcomes:  # type: ignore[override]
        return self

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        return {name: getattr(self, name).unsqueeze(0) for name in names}


def test_etdw2f1_has_weak_order_2_for_noise_that_does_not_commute() -> None:
    """No sampling: E X X^T after one step, by all outcomes, is exact up to order 3 in h."""
    L = torch.tensor([[-2.0, 1.0], [0.0, -3.0]], dtype=F64)
    A = torch.tensor([[0.2, -0.4], [0.3, 0.1]], dtype=F64)
    B = torch.tensor([[[0.5, 0.2], [0.0, -0.3]], [[0.1, 0.0], [0.6, 0.4]]], dtype=F64)
    sde = SemilinearSDE(
        L,
        lambda t, y: y @ A.mT,
        lambda t, y: torch.einsum("kij,...j->...ik", B, y),
        noise="general",
    )
    y0 = torch.tensor([1.0, -0.5], dtype=F64)
    eye, drift = torch.eye(2, dtype=F64), L + A
    moments = torch.kron(drift, eye) + torch.kron(eye, drift) + sum(torch.kron(b, b) for b in B)
    errors = []
    for h in (0.02, 0.01):
        path = Outcomes(2, h)
        start = y0.expand(path.batch[0], 2)
        end = solve(sde, start, [0.0, h], method="ETDW2F1", steps=1, path=path).y[-1]
        second = torch.einsum("b,bi,bj->ij", path.share, end, end)
        exact = torch.linalg.matrix_exp(h * moments) @ torch.kron(y0, y0)
        errors.append(float((second.flatten() - exact).abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(3.0, abs=0.1)


def test_with_stiff_modes_the_error_stays() -> None:
    """The error of SETDRK2 grows by less than a third while L grows by four decades."""
    found = []
    for stiffness in (1e2, 1e4, 1e6):
        rates = torch.tensor([-stiffness, -stiffness / 10, -1.0], dtype=F64)
        sde = SemilinearSDE(rates, rest, lambda t, y: 0.5, noise="additive")
        grid = torch.linspace(0, 1, 129, dtype=F64)
        path = NestedPath(GridPath(1, (100,), (3,), dtype=F64), grid)
        y0 = torch.ones(100, 3, dtype=F64)
        ends = [
            solve(sde, y0, [0.0, 1.0], method="SETDRK2", steps=n, path=path).y[-1]
            for n in (16, 128)
        ]
        found.append(rms(ends[0] - ends[1]))
    assert max(found) < 4 / 3 * found[0]


@pytest.mark.parametrize("name", ["EM", "SRA1", "SRIW1", "Heun"])
def test_other_methods_solve_the_sum(name: str) -> None:
    rates = torch.tensor([-1.0, 0.5, 0.0], dtype=F64)
    calculus: Any = catalogue[name].calculus
    noise: Any = "additive" if name == "SRA1" else "diagonal"

    def g(t: Tensor, y: Tensor) -> Tensor:
        return 0.1 + 0 * y

    semilinear = SemilinearSDE(rates, rest, g, noise=noise, calculus=calculus)
    plain = SDE(lambda t, y: rates * y + rest(t, y), g, noise=noise, calculus=calculus)
    y0 = torch.ones(4, 3, dtype=F64)
    one, two = (solve(s, y0, [0.0, 1.0], method=name, steps=5).y for s in (semilinear, plain))
    torch.testing.assert_close(one, two)


def test_L_of_time_moves_by_its_integral() -> None:
    operator = Diagonal(
        lambda t: torch.cos(t) * torch.ones(3, dtype=F64),
        lambda t: torch.sin(t) * torch.ones(3, dtype=F64),
    )
    sde = SemilinearSDE(operator, rest)
    y0 = torch.ones(3, dtype=F64)
    exact = solve(sde, y0, [0.0, 2.0], method="DormandPrince", steps=400).y[-1]
    form = lawson(catalogue["RK4"])
    errors = [rms(solve(sde, y0, [0.0, 2.0], method=form, steps=n).y[-1] - exact) for n in (10, 40)]
    assert math.log2(errors[0] / errors[1]) / 2 > 3.8
    back = solve(sde, exact, [2.0, 0.0], method=form, steps=40).y[-1]
    assert rms(back - y0) < 1e-4
    etd = [
        rms(solve(sde, y0, [0.0, 2.0], method="ETD2RK", steps=n).y[-1] - exact) for n in (10, 40)
    ]
    assert math.log2(etd[0] / etd[1]) / 2 > 1.8


def test_phi_functions_are_computed_once_a_step_size(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = flow_module.phis

    def counted(z: Tensor) -> list[Tensor]:
        calls.append(z)
        return original(z)

    monkeypatch.setattr(flow_module, "phis", counted)
    rates = torch.tensor([-1.0, 0.5, 0.0], dtype=F64)
    solve(
        SemilinearSDE(rates, rest), torch.ones(3, dtype=F64), [0.0, 0.7], method="ETDRK4", steps=97
    )
    assert len(calls) == 2  # at z and z/2


@pytest.mark.parametrize("name", ["ETDRK4", "SETDRK2", "LordTambue"])
def test_gradients_reach_L_and_the_start(name: str) -> None:
    rates = torch.tensor([-1.0, 0.5, 0.0], dtype=F64, requires_grad=True)
    y0 = torch.ones(3, dtype=F64, requires_grad=True)
    noise: Any = "none" if name == "ETDRK4" else "additive"

    def end(l: Tensor, y: Tensor) -> Tensor:
        g = None if noise == "none" else (lambda t, x: 0.3)
        return solve(SemilinearSDE(l, rest, g, noise=noise), y, [0.0, 0.5], method=name, steps=3).y[
            -1
        ]

    assert torch.autograd.gradcheck(end, (rates, y0))


def test_batches_split_and_single_precision() -> None:
    sde = SemilinearSDE(torch.tensor([-1.0, -1e3]), zero, lambda t, y: 1.0,
                        noise="additive")  # fmt: skip
    y0 = torch.ones(6, 2)
    whole = solve(sde, y0, [0.0, 1.0], method="SETDRK2", steps=4, seed=5).y
    part = solve(sde, y0[2:], [0.0, 1.0], method="SETDRK2", steps=4, seed=5, first_path=2).y
    assert whole.dtype is torch.float32
    assert torch.equal(whole[:, 2:], part)


def test_on_a_nested_path_single_precision_stays_single() -> None:
    path = NestedPath(GridPath(1, (2,), (2,)), torch.linspace(0, 1, 5, dtype=F64))
    sde = SemilinearSDE(torch.tensor([-1.0, -2.0]), zero, lambda t, y: 1.0, noise="additive")
    end = solve(sde, torch.ones(2, 2), [0.0, 1.0], method="SETDRK2", steps=2, path=path).y
    assert end.dtype is torch.float32


@pytest.mark.parametrize("conjugate", [False, True])
def test_a_transformed_L_is_its_matrix_on_an_uneven_grid(conjugate: bool) -> None:
    # Steps of two sizes in turn: what one leaves in the basis is not where the next of its size begins.
    there, back = torch.fft.rfft, lambda v: torch.fft.irfft(v, n=8)
    if conjugate:  # also in a basis that is a view
        there, back = (
            (lambda x: torch.fft.rfft(x).conj()),
            (lambda v: torch.fft.irfft(v.conj(), n=8)),
        )
    wave = torch.arange(5, dtype=F64)
    matrix = torch.fft.irfft(torch.fft.rfft(torch.eye(8, dtype=F64)) * -(wave**2), n=8)
    y0 = torch.randn(2, 8, dtype=F64, generator=torch.Generator().manual_seed(1))
    grid = [0.0, 0.1, 0.3, 0.4, 0.6, 0.7]
    ends = [
        solve(SemilinearSDE(L, lambda t, y: torch.sin(y)), y0, grid, method="ETD2RK").y[-1]
        for L in (Transformed(there, back, -(wave**2)), matrix)
    ]
    torch.testing.assert_close(*ends, rtol=1e-11, atol=1e-12)


Y = torch.ones(4, 3, dtype=F64)


def run(operator: Any, method: str | Tableau = "ExponentialEM", **options: Any) -> None:
    g = options.pop("g", lambda t, y: torch.ones_like(y))
    sde = SemilinearSDE(operator, rest, g, noise=options.pop("noise", "additive"))
    solve(sde, Y, [0.0, 1.0], method=method, steps=2, **options)


RATES = torch.tensor([-1.0, -2.0, 0.0], dtype=F64)
REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "shape": (torch.ones(4, dtype=F64), {}, r"got shape \(4,\)"),
    "time and exact noise": (Scalar(torch.cos, torch.sin), {}, "LordTambue"),
    "wrong integral": (Scalar(torch.cos, torch.cos), {"method": "LordTambue"}, "does not belong"),
    "growing": (Diagonal(RATES + 3e3), {"method": "LordTambue"}, "phi overflows"),
    "tree": (RATES, {"path": "tree"}, "NestedPath"),
    "one channel for all modes": (
        RATES,
        {"noise": "scalar"},
        "channel of its own for each component",
    ),
    "matrix": (
        RATES,
        {"g": lambda t, y: torch.ones(*y.shape, 2, dtype=F64)},
        "channel of its own for each component",
    ),
    "dense, its noise a matrix": (
        torch.eye(3, dtype=F64),
        {"g": lambda t, y: torch.ones(*y.shape, 2, dtype=F64)},
        "LordTambue",
    ),
    "dense and to be learned": (torch.eye(3, dtype=F64, requires_grad=True), {}, "LordTambue"),
    "dense and many oscillations": (
        torch.tensor([[0.0, 1e5, 0], [-1e5, 0, 0], [0, 0, 0]], dtype=F64),
        {},
        "oscillates 7.96e\\+03 times",
    ),
    "oscillating modes": (
        Transformed(
            torch.fft.rfft,
            lambda v: torch.fft.irfft(v, n=3),
            torch.tensor([0, 1j], dtype=torch.complex128),
        ),
        {},
        "oscillating modes",
    ),
    "a part and a path of whole steps": (RATES, {"method": "UBU", "path": "tree"}, "NestedPath"),
    "transformed on a nested path": (
        Transformed(lambda x: x, lambda v: v, RATES),
        {
            "path": NestedPath(
                GridPath(0, (4,), (3,), dtype=F64), torch.linspace(0, 1, 5, dtype=F64)
            )
        },
        "transformed L",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    operator, options, message = REFUSED[name]
    with pytest.raises(ProblemError, match=message):
        run(operator, **options)


def test_noise_of_more_normals_than_a_path_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_module.MatrixFlow, "normals", lambda self, sizes, names: 33)
    with pytest.raises(ProblemError, match="takes 33 normals a step and channel"):
        run(torch.eye(3, dtype=F64))


def test_what_is_refused_with_exact_noise_runs_with_noise_that_is_moved() -> None:
    for operator in (torch.eye(3, dtype=F64), Scalar(torch.cos, torch.sin)):
        run(operator, "LordTambue")
        run(operator, "LordTambue", path=TreePath(0, (4,), (3,), t0=0.0, t1=1.0, dtype=F64))
    run(RATES, "LordTambue", noise="scalar")
    run(-1.0, noise="scalar")


def test_it_says_what_it_is() -> None:
    assert (
        repr(SemilinearSDE(-1.0, zero)) == "SemilinearSDE(noise='none', calculus='ito', L=Scalar)"
    )
