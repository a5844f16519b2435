"""Noise of parts of a step, and of a matrix L, on the engine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion import VP, GaussianMixture
from sdeint import SDE, GridPath, NestedPath, ProblemError, SemilinearSDE, solve
from sdeint.linear import (
    Dense,
    Diagonal,
    Scalar,
    conditional_functionals,
    dense_functionals,
    gaussian_functionals,
)
from sdeint.linear.matrix_noise import matrix_functionals
from sdeint.linear.noise import steps_of
from tableaux import Tableau, catalogue
from tableaux.words import covariance

F64 = torch.float64
NORMALS = tuple(f"normal {i}" for i in range(6))


class Impulses(GridPath):
    """Path 1 + i of the batch is struck by the i-th noise variable of the grid alone.

    With the spread of each in its place, the covariance of an affine method is that of its gains.
    """

    def __init__(self, steps: int, h: float, channels: int) -> None:
        self.sizes = {"W": h**0.5, "H": (h / 12) ** 0.5, **dict.fromkeys(NORMALS, 1.0)}
        self.steps = steps
        count = 1 + len(self.sizes) * steps * channels
        super().__init__(0, (count,), (channels,), dtype=F64)

    def on(self, grid: Tensor) -> Impulses:  # type: ignore[override]
        return self

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        found = {}
        d = self.channels[0]
        for i, (name, size) in enumerate(self.sizes.items()):
            value = torch.zeros(self.steps, *self.batch, d, dtype=F64)
            for n in range(self.steps):
                for k in range(d):
                    value[n, 1 + (i * self.steps + n) * d + k, k] = size
            found[name] = value[first : first + count]
        return {name: found[name] for name in names}


def law(
    L: Any, force: Tensor, noise: Tensor, method: str | Tableau, steps: int, t: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Mean and covariance at t from the start 1, of ``dX = (L X + force X) dt + noise dW``, exactly."""
    path = Impulses(steps, t / steps, len(noise))
    sde = SemilinearSDE(L, lambda s, y: y @ force.mT, lambda s, y: noise, noise="additive")
    y0 = torch.ones(*path.batch, len(noise), dtype=F64)
    end = solve(sde, y0, [0.0, t], method=method, steps=steps, path=path, save_at="end").y[-1]
    gains = end[1:] - end[0]
    return end[0], gains.mT @ gains


def exact(matrix: Tensor, noise: Tensor, t: float = 1.0) -> tuple[Tensor, Tensor]:
    root = dense_functionals(matrix, t, ["phi_0"], noise=torch.diag(noise))[1]
    return torch.linalg.matrix_exp(matrix * t).sum(1), root @ root.mT


GAMMA = 1.5
LANGEVIN = torch.tensor([[0.0, 1.0], [0.0, -GAMMA]], dtype=F64)
SPRING = torch.tensor([[0.0, 0.0], [-2.0, 0.0]], dtype=F64)
HEAT = torch.tensor([0.0, math.sqrt(2 * GAMMA)], dtype=F64)


@pytest.mark.parametrize(
    ("name", "orders"), [("SEEDS2Noise", (2, 2)), ("SEEDS3Noise", (3, 2)), ("UBU", (1, 1))]
)
def test_the_weak_order_for_linear_equations_to_rounding(name: str, orders: Any) -> None:
    force, noise = torch.tensor([[0.7]], dtype=F64), torch.ones(1, dtype=F64)
    truth = exact(force - 1.0, noise)
    coarse, fine = (law(-1.0, force, noise, name, n) for n in (16, 32))
    for a, b, right, p in zip(coarse, fine, truth, orders):
        assert math.log2(float((a - right).abs() / (b - right).abs())) == pytest.approx(p, abs=0.15)


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize("name", ["ExponentialEM", "SETDRK2D", "UBU", "SEEDS3Noise"])
@pytest.mark.parametrize("L", [LANGEVIN, LANGEVIN * torch.tensor([[1.0, 1.0], [1.0, 0.0]])])
def test_a_matrix_has_the_exact_joint_noise_of_position_and_velocity(
    name: str, steps: int, L: Tensor
) -> None:
    # Also for the defective matrix without friction.
    found = law(L, torch.zeros(2, 2, dtype=F64), HEAT, name, steps, t=3.0)
    for value, right in zip(found, exact(L, HEAT, 3.0)):
        torch.testing.assert_close(value, right, rtol=1e-13, atol=1e-13)


def test_functionals_that_a_matrix_moves_on_are_moved_by_the_matrix() -> None:
    euler = catalogue["ExponentialEM"]
    outputs = [
        replace(o, weights=("phi_0(z)",)) if o.source == "diffusion" else o for o in euler.outputs
    ]
    moved = replace(euler, name="moved", outputs=outputs, orders={})
    _, found = law(LANGEVIN, torch.zeros(2, 2, dtype=F64), HEAT, moved, 1, t=0.7)
    growth = torch.linalg.matrix_exp(0.7 * LANGEVIN)
    torch.testing.assert_close(found, growth @ exact(LANGEVIN, HEAT, 0.7)[1] @ growth.mT)


class Outcomes(GridPath):
    """One step's Gaussian variables at the nodes of Gauss and Hermite, all at once."""

    def __init__(self, h: float, names: Sequence[str], nodes: int = 5) -> None:
        x, w = np.polynomial.hermite_e.hermegauss(nodes)
        sizes = {"W": h**0.5, "H": (h / 12) ** 0.5}
        grid = np.meshgrid(*[x] * len(names), indexing="ij")
        self.found = {
            name: torch.tensor(values.reshape(1, -1, 1) * sizes.get(name, 1.0))
            for name, values in zip(names, grid)
        }
        weights = np.meshgrid(*[w / w.sum()] * len(names), indexing="ij")
        self.weights = torch.tensor(np.prod(weights, axis=0).reshape(-1))
        super().__init__(0, (nodes ** len(names),), (1,), dtype=F64)

    def on(self, grid: Tensor) -> Outcomes:  # type: ignore[override]
        return self

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        return {name: self.found[name] for name in names}


@pytest.mark.parametrize(
    ("name", "order"), [("SEEDS2Noise", 3), ("SEEDS3Noise", 3), ("ExponentialEM", 2), ("UBU", 2)]
)
def test_the_local_weak_order_for_a_nonlinear_equation_to_rounding(name: str, order: int) -> None:
    # Against SETDRK2D, whose local order 3 is that of other tests.
    def moments(method: str, h: float) -> Tensor:
        count = {"SEEDS3Noise": 3, "ExponentialEM": 1}.get(method, 2)
        path = Outcomes(h, ("W", "H", *NORMALS[:count]))
        sde = SemilinearSDE(-1.0, lambda t, y: y - y**2, lambda t, y: 1.0, noise="additive")
        y0 = torch.full((*path.batch, 1), 0.7, dtype=F64)
        end = solve(sde, y0, [0.0, h], method=method, steps=1, path=path).y[-1, :, 0]
        return torch.stack([path.weights @ end**k for k in (1, 2, 3)])

    gaps = [moments(name, h) - moments("SETDRK2D", h) for h in (0.02, 0.01)]
    observed = math.log2(float(gaps[0].norm() / gaps[1].norm()))
    assert observed == pytest.approx(order, abs=0.15)


def test_ubu_has_weak_order_two_for_underdamped_langevin_dynamics() -> None:
    truth = exact(LANGEVIN + SPRING, HEAT, 2.0)
    coarse, fine = (law(LANGEVIN, SPRING, HEAT, "UBU", n, t=2.0) for n in (10, 20))
    for a, b, right in zip(coarse, fine, truth):
        ratio = float((a - right).norm() / (b - right).norm())
        assert math.log2(ratio) == pytest.approx(2.0, abs=0.1)


def test_ubu_has_strong_order_two_for_a_double_well() -> None:
    # Against the same path on the finest grid: the noise of a matrix has no nested path, but that of
    # its modes, position + velocity/gamma and velocity, is one: W and E of one rate.
    fine, paths = 128, 200
    path = GridPath(4, (paths,), (1,), dtype=F64)
    noise = path.on(torch.linspace(0, 2, 2 * fine + 1, dtype=F64))
    drawn = noise.draw(0, 2 * fine, ["W", "H", "normal 0"])
    h = 1.0 / fine
    regression, root = (v.squeeze() for v in conditional_functionals(-GAMMA, h, ["phi_0"]))
    e = regression[0] * drawn["W"] + regression[1] * drawn["H"] + root * drawn["normal 0"]

    def joined(first: int, stop: int) -> tuple[Tensor, Tensor]:
        kept = [torch.exp(torch.tensor(-GAMMA * h * (stop - 1 - i))) for i in range(first, stop)]
        whole = sum(share * e[i] for share, i in zip(kept, range(first, stop)))
        return drawn["W"][first:stop].sum(0), whole

    def flow(q: Tensor, v: Tensor, size: float, w: Tensor, ou: Tensor) -> tuple[Tensor, Tensor]:
        decay = math.exp(-GAMMA * size)
        scale = math.sqrt(2 * GAMMA)
        moved = q + (1 - decay) / GAMMA * v + scale * (w - ou) / GAMMA
        return moved, decay * v + scale * ou

    ends = {}
    for steps in (8, 16, 128):
        q, v = torch.ones(paths, 1, dtype=F64), torch.zeros(paths, 1, dtype=F64)
        each = 2 * fine // steps
        for n in range(steps):
            half = each // 2
            q, v = flow(q, v, half * h, *joined(n * each, n * each + half))
            v = v + 2.0 / steps * (q - q**3)
            q, v = flow(q, v, half * h, *joined(n * each + half, (n + 1) * each))
        ends[steps] = torch.cat([q, v], dim=1)
    coarse, finer = ((ends[n] - ends[128]).square().mean().sqrt() for n in (8, 16))
    assert math.log2(float(coarse / finer)) == pytest.approx(2.0, abs=0.25)


@pytest.mark.parametrize(
    "matrix",
    [
        LANGEVIN,
        torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=F64),
        torch.tensor([[-300.0, 100.0], [0.0, -1.0]], dtype=F64),
        torch.tensor([[0.0, 1.0], [-25.0, -0.1]], dtype=F64),
        torch.tensor([[0.0, 1.0], [0.0, -2e5]], dtype=F64),
        torch.randn(5, 5, dtype=F64, generator=torch.Generator().manual_seed(0)),
    ],
)
def test_the_matrix_law_is_that_of_the_stacked_system(matrix: Tensor) -> None:
    names, h = ["phi_0", "phi_1"], 0.3
    regression, root = matrix_functionals(matrix, h, names)
    spread = torch.tensor([h, h / 12], dtype=F64).sqrt()
    rows = torch.cat([regression * spread, root], dim=-1).permute(2, 0, 1, 3).flatten(0, 1)
    covariance = torch.einsum("akr,bkr->ab", rows, rows)
    right = dense_functionals(matrix, h, names)[1]
    right = right @ right.mT
    size = right.diagonal().sqrt()
    assert float(((covariance - right) / (size[:, None] * size)).abs().max()) < 2e-13
    if matrix is LANGEVIN:
        assert root.shape[-1] == 1  # 1 and e^{-gamma x}, of which W has the first


def test_a_grid_draws_as_many_normals_as_its_richest_step_takes() -> None:
    matrix = torch.randn(5, 5, dtype=F64, generator=torch.Generator().manual_seed(0))
    flow = Dense(matrix).flow(torch.ones(5, dtype=F64))
    counts = [flow.normals(sizes, ["phi_0"]) for sizes in ([1e-5], [1.0], [1e-5, 1.0], [1.0, 1e-5])]
    assert counts[0] < counts[1] == counts[2] == counts[3]


def test_a_nested_path_joins_no_other_functionals_over_parts() -> None:
    grid = torch.linspace(0, 1, 5, dtype=F64)
    path = NestedPath(GridPath(2, (4,), (3,), dtype=F64), grid)
    flow = Diagonal(RATES).flow(torch.ones(4, 3, dtype=F64))
    with pytest.raises(ProblemError, match=r"does not join 'pol_1@1/2' over a part"):
        steps_of(path, grid, flow, [0.25] * 4, ["P1@1/2"], False)


def test_parts_of_a_diagonal_matrix_have_the_law_of_their_modes() -> None:
    rates, names = (-1.0, -3.0, 0.0), ["phi_0", "phi_0@1/3", "phi_1@1/2", "pol_1@1/2"]
    regression, root = matrix_functionals(torch.diag(torch.tensor(rates, dtype=F64)), 0.5, names)
    spread = torch.tensor([0.5, 0.5 / 12], dtype=F64).sqrt()
    rows = torch.cat([regression * spread, root], dim=-1)
    for i, rate in enumerate(rates):
        factor = gaussian_functionals(rate, 0.5, names)
        own = rows[i, i]
        torch.testing.assert_close(own @ own.mT, factor @ factor.mT, rtol=1e-13, atol=1e-14)


def test_the_proof_and_the_engine_mean_the_same_functionals() -> None:
    names = {
        "W": "W",
        "H": "H",
        "P0@1/2": "pol_0@1/2",
        "P1@1/3": "pol_1@1/3",
        "P3@2/3": "pol_3@2/3",
    }
    factor = gaussian_functionals(-1.0, 1.0, list(names.values()))
    right = [[float(covariance(a, b)) for b in names] for a in names]
    torch.testing.assert_close(factor @ factor.mT, torch.tensor(right, dtype=F64))


def seeds(x: Tensor, alpha: Any, sigma: Any, eps: Any, lam: Tensor, noise: Any) -> Tensor:
    """One step of SEEDS-2 (one inner share) or SEEDS-3 (two) for noise prediction, as printed."""
    h, shares = lam[1] - lam[0], sorted(noise)[:-1]

    def start(c: float) -> Tensor:
        part = x * (alpha(lam[0] + c * h) / alpha(lam[0])) + sigma(lam[0] + c * h) * noise[c]
        return part - 2 * sigma(lam[0] + c * h) * torch.expm1(c * h) * first

    first = eps(x, lam[0])
    value = eps(start(shares[0]), lam[0] + shares[0] * h)
    end, grown = sigma(lam[1]), torch.expm1(h)
    if len(shares) == 1:
        return start(1.0) - 2 * end * grown * (value - first)
    r1, r2 = shares
    here = sigma(lam[0] + r2 * h)
    inner = start(r2) - 2 * here * r2 / r1 * (torch.expm1(r2 * h) / (r2 * h) - 1) * (value - first)
    last = eps(inner, lam[0] + r2 * h)
    return start(1.0) - 2 * end / r2 * (grown / h - 1) * (last - first)


@pytest.mark.parametrize(("name", "parts"), [("SEEDS2Noise", (2,)), ("SEEDS3Noise", (3, 3))])
def test_seeds_are_their_published_updates_for_the_reverse_vp_equation(
    name: str, parts: tuple[int, ...]
) -> None:
    # x/sigma in lambda: dy = (y - 2 eps) d lambda + sqrt(2) dW.
    process, mixture = VP(), GaussianMixture([0.4, 0.6], [[-1.0], [1.5]], [0.2, 0.1])

    def alpha(lam: Tensor) -> Tensor:
        return process.alpha(process.t_of_lambda(lam))

    def sigma(lam: Tensor) -> Tensor:
        return process.sigma(process.t_of_lambda(lam))

    def eps(x: Tensor, lam: Tensor) -> Tensor:
        return (x - alpha(lam) * mixture.x0hat(x, alpha(lam), sigma(lam))) / sigma(lam)

    lam = torch.tensor([-1.0, -0.3, 0.1, 0.9], dtype=F64)
    sde = SemilinearSDE(
        1.0,
        lambda t, y: -2 * eps(y * sigma(t), t),
        lambda t, y: math.sqrt(2.0),
        noise="additive",
    )
    path = GridPath(5, (6,), (1,), dtype=F64)
    x = torch.linspace(-2, 2, 6, dtype=F64)[:, None]
    end = solve(sde, x / sigma(lam[0]), lam, method=name, path=path).y[-1] * sigma(lam[-1])
    count = len(parts) + 1
    drawn = path.on(lam).draw(0, 3, ["W", "H", *NORMALS[:count]])
    shares = [(i + 1) / parts[0] for i in range(len(parts))]
    for n in range(3):
        h = float(lam[n + 1] - lam[n])
        names = ["phi_0", *(f"phi_0@{i + 1}/{p}" for i, p in enumerate(parts))]
        regression, root = conditional_functionals(1.0, h, names)
        known = torch.stack([drawn["W"][n], drawn["H"][n]], dim=-1)
        fresh = torch.stack([drawn[k][n] for k in NORMALS[:count]], dim=-1)
        made = math.sqrt(2) * (known @ regression.mT + fresh @ root.mT)
        noise = dict(zip([1.0, *shares], made.unbind(-1)))
        x = seeds(x, alpha, sigma, eps, lam[n : n + 2], noise)
    torch.testing.assert_close(end, x, rtol=1e-11, atol=1e-12)


RATES = torch.tensor([-2.0, 0.0, 0.5], dtype=F64)


@pytest.mark.parametrize("backward", [False, True])
def test_on_a_nested_path_a_part_of_a_step_is_one_of_its_fine_steps(backward: bool) -> None:
    grid = torch.linspace(0, 1, 13, dtype=F64)
    path = NestedPath(GridPath(2, (4,), (3,), dtype=F64), grid)
    flow = Diagonal(RATES).flow(torch.ones(4, 3, dtype=F64))
    names = ["E", "E@1/3", "E@2/3", "P0@1/3", "P0@2/3"]

    def drawn(every: int) -> dict[str, Tensor]:
        part = grid[::every].flip(0) if backward else grid[::every]
        sizes = torch.diff(part).tolist()
        steps = steps_of(path, part, flow, sizes, names, False)
        return steps.draw(0, len(sizes), ["W", *names])

    h = -1 / 12 if backward else 1 / 12
    one, two, three = (drawn(every) for every in (1, 2, 3))
    growth = torch.exp(RATES * h)
    # Three fine steps: their ends are those of the parts. Two: the parts end inside.
    torch.testing.assert_close(three["E@1/3"], one["E"][0::3])
    torch.testing.assert_close(three["P0@1/3"], one["W"][0::3])
    torch.testing.assert_close(three["E@2/3"], growth * one["E"][0::3] + one["E"][1::3])
    torch.testing.assert_close(two["E@1/3"], one["E@2/3"][0::2])
    inside = torch.exp(RATES * h / 3) * one["E"][0::2] + one["E@1/3"][1::2]
    torch.testing.assert_close(two["E@2/3"], inside)


def test_a_part_that_ends_where_a_nested_path_is_not_seen_is_refused() -> None:
    grid = torch.tensor([0.0, 0.2, 0.6, 1.0], dtype=F64)
    sde = SemilinearSDE(RATES, lambda t, y: -y, lambda t, y: 1.0, noise="additive")
    y0 = torch.ones(4, 3, dtype=F64)
    path = NestedPath(GridPath(2, (4,), (3,), dtype=F64), grid)
    # The half of [0.2, 1.0] is a time of the grid, a third of it is at two thirds of a step of it,
    # and two thirds at a third; but that of [0, 1] at a third of [0.2, 0.6], and two thirds at a sixth.
    solve(sde, y0, [0.2, 1.0], steps=1, method="UBU", path=path)
    solve(sde, y0, [0.2, 1.0], steps=1, method="SEEDS3Noise", path=path)
    with pytest.raises(ProblemError, match=r"ends inside a step of the nested path's grid"):
        solve(sde, y0, [0.0, 1.0], steps=1, method="SEEDS3Noise", path=path)


def test_with_shorter_steps_they_follow_one_path() -> None:
    fine = torch.linspace(0, 1, 65, dtype=F64)
    path = NestedPath(GridPath(7, (200,), (3,), dtype=F64), fine)
    sde = SemilinearSDE(RATES, lambda t, y: torch.sin(3 * y), lambda t, y: 1.0, noise="additive")
    y0 = torch.ones(200, 3, dtype=F64)
    ends = [
        solve(sde, y0, [0.0, 1.0], steps=n, method="SEEDS3Noise", path=path).y[-1]
        for n in (4, 16, 64)
    ]
    coarse, finer = ((end - ends[-1]).square().mean().sqrt() for end in ends[:2])
    assert math.log2(float(coarse / finer)) / 2 == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("L", [Scalar(-1.0), Diagonal(RATES[:2]), LANGEVIN])
def test_results_do_not_depend_on_how_a_batch_is_split(L: Any) -> None:
    sde = SemilinearSDE(L, lambda t, y: torch.sin(y), lambda t, y: HEAT, noise="additive")
    y0 = torch.ones(5, 2, dtype=F64)
    whole = solve(sde, y0, [0.0, 1.0], steps=3, method="SEEDS3Noise", seed=3).y[-1]
    rest = solve(sde, y0[2:], [0.0, 1.0], steps=3, method="SEEDS3Noise", seed=3, first_path=2).y[-1]
    assert torch.equal(whole[2:], rest)


def test_without_a_linear_part_they_are_methods_for_any_sde() -> None:
    force, noise = torch.tensor([[0.7]], dtype=F64), torch.ones(1, dtype=F64)
    path = Impulses(4, 0.25, 1)
    sde = SDE(lambda t, y: y @ force.mT, lambda t, y: noise, noise="additive")
    y0 = torch.ones(*path.batch, 1, dtype=F64)
    found = solve(sde, y0, [0.0, 1.0], method="SEEDS2Noise", steps=4, path=path)
    gains = found.y[-1, 1:] - found.y[-1, 0]
    mean, variance = law(0.0, force, noise, "SEEDS2Noise", 4)
    torch.testing.assert_close(found.y[-1, 0], mean)
    torch.testing.assert_close(gains.mT @ gains, variance)
    assert found.stats.f_evaluations == 8
