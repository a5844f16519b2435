"""Implicit stages: solved for every path on its own, differentiable, and refused loudly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdeint import SDE, Newton, ProblemError, StageError, solve
from sdeint.krylov import gmres
from sdeint.lowering import lower
from tableaux import Block, Coupling, Output, Tableau

DOUBLE = torch.float64
STRUCTURES = ("dense", "diagonal", "matrix-free")


def theta(weight: str = "1/2") -> Tableau:
    """Implicit in the drift, with the noise of the start of the step."""
    other = f"1 - {weight}"
    return Tableau(
        "theta",
        (Block("drift", "drift", (0, 1)), Block("noise", "diffusion", (0,))),
        (
            Coupling("drift", "drift", "h", ((0, 0), (other, weight))),
            Coupling("drift", "noise", "I_k", ((0,), (1,))),
        ),
        (Output("drift", "h", (other, weight)), Output("noise", "I_k", (1,))),
        implicit=True,
        noise="general",
    )


GAUSS = Tableau.rk(
    "Gauss",
    A=[["1/4", "1/4 - sqrt(3)/6"], ["1/4 + sqrt(3)/6", "1/4"]],
    b=["1/2", "1/2"],
    implicit=True,
)
#: Drift and diffusion at one implicit stage, with bounded noise.
MIDPOINT = Tableau.shared(
    "midpoint",
    A=[["1/2"]],
    b=[1],
    calculus="stratonovich",
    implicit=True,
    noise_label="theta_k",
)


def swirl(t, y):
    return torch.stack([-(y[..., 0] ** 3) + y[..., 1], -y[..., 0] - torch.sin(y[..., 1])], -1)


def two_channels(t, y):
    return torch.stack([0.3 * torch.sin(y), 0.2 * y.flip(-1)], -1)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_linear_implicit_step_is_its_rational_function(structure: str) -> None:
    rates = torch.tensor([-1e6, -3.0, 0.5], dtype=DOUBLE)
    sde = SDE(lambda t, y: rates * y, lambda t, y: 0.1 + 0 * y, noise="additive")
    y0 = torch.rand(5, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    solution = solve(
        sde, y0, [0.0, 0.25], steps=1, method=theta(), newton=Newton(jacobian=structure)
    )
    euler = solve(SDE(lambda t, y: 0 * y, sde.g, noise="additive"), y0, [0.0, 0.25], steps=1)
    noise = euler.y[-1] - y0
    z = rates * 0.25
    expected = ((1 + z / 2) * y0 + noise) / (1 - z / 2)
    # h f is as large as z, so that the sum cancels to so many units in the last place.
    bound = 8 * torch.finfo(DOUBLE).eps * (1 + z.abs())
    assert bool(((solution.y[-1] - expected).abs() < bound).all())


def test_all_structures_solve_the_same_equations() -> None:
    sde = SDE(lambda t, y: -(y**3) - t, lambda t, y: 0.3 * torch.cos(y))
    y0 = torch.linspace(-2, 2, 12, dtype=DOUBLE).reshape(4, 3)
    runs = [
        solve(sde, y0, [0.0, 1.0], steps=4, method=theta(), newton=Newton(jacobian=s)).y
        for s in STRUCTURES
    ]
    for other in runs[1:]:
        assert torch.allclose(runs[0], other, rtol=1e-9)


@pytest.mark.parametrize("structure", ["dense", "diagonal"])
def test_coupled_linear_stages_take_one_newton_step_and_one_that_confirms_it(
    structure: str,
) -> None:
    rates = torch.tensor([-4.0, -1.0, 0.5], dtype=DOUBLE)
    y0 = torch.tensor([[1.0, -2.0, 3.0]], dtype=DOUBLE)
    solution = solve(
        SDE(lambda t, y: rates * y), y0, [0.0, 0.5], steps=1, method=GAUSS, newton=Newton(structure)
    )
    z = rates / 2
    expected = (1 + z / 2 + z**2 / 12) / (1 - z / 2 + z**2 / 12) * y0
    assert torch.allclose(solution.y[-1], expected, rtol=1e-12)
    assert solution.stats.newton_iterations == 2


def test_coupled_implicit_stages_are_solved_together() -> None:
    program = lower(GAUSS, matrix=False, additive=False)
    assert program.clusters == ((0, 2),)
    solution = solve(SDE(swirl), torch.tensor([1.0, 0.5], dtype=DOUBLE), [0.0, 1.0], steps=8,
                     method=GAUSS)  # fmt: skip
    fine = solve(SDE(swirl), torch.tensor([1.0, 0.5], dtype=DOUBLE), [0.0, 1.0], steps=64,
                 method=GAUSS)  # fmt: skip
    # Order 4: eight times the steps leave 1/4096 of the error.
    assert float((solution.y[-1] - fine.y[-1]).abs().max()) < 1e-5
    coarse = solve(SDE(swirl), torch.tensor([1.0, 0.5], dtype=DOUBLE), [0.0, 1.0], steps=4,
                   method=GAUSS)  # fmt: skip
    errors = [(s.y[-1] - fine.y[-1]).norm() for s in (coarse, solution)]
    assert 12 < float(errors[0] / errors[1]) < 20


def test_a_stage_that_drift_and_diffusion_share_is_one_unknown() -> None:
    calls = []

    def f(t, y):
        calls.append(y.shape)
        return swirl(t, y)

    sde = SDE(f, two_channels, noise="general", calculus="stratonovich")
    solution = solve(sde, torch.ones(3, 2, dtype=DOUBLE), [0.0, 0.1], steps=1, method=MIDPOINT)
    # Two unknowns a path: unit vectors for d = 2, not for the stages of f and g apart.
    assert max(shape[0] for shape in calls if len(shape) == 3) == 2
    assert solution.stats.newton_iterations >= 1


def test_the_implicit_midpoint_rule_keeps_quadratic_invariants_of_a_stratonovich_rotation() -> None:
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=DOUBLE)
    sde = SDE(
        lambda t, y: y @ turn.T,
        lambda t, y: torch.stack([y @ turn.T, 2 * y @ turn.T], -1),
        noise="commutative",
        calculus="stratonovich",
    )
    y0 = torch.randn(50, 2, dtype=DOUBLE, generator=torch.Generator().manual_seed(0))
    end = solve(sde, y0, [0.0, 2.0], steps=40, method=MIDPOINT).y[-1]
    assert torch.allclose(end.norm(dim=-1), y0.norm(dim=-1), rtol=1e-10)
    assert float((end - y0).norm()) > 1


@pytest.mark.parametrize("structure", STRUCTURES)
def test_gradients_pass_through_the_solution_of_the_stages(structure: str) -> None:
    # Not symmetric: the gradient needs the transpose of the Jacobian.
    mix = torch.tensor([0.0, 0.0] if structure == "diagonal" else [2.0, 0.5], dtype=DOUBLE)

    def run(y0, rate, end):
        sde = SDE(
            lambda t, y: -rate * y**3 - mix * y.flip(-1) + t, lambda t, y: 0.3 * torch.sin(rate * y)
        )
        times = torch.stack([torch.zeros_like(end), end])
        newton = Newton(jacobian=structure)
        return solve(sde, y0, times, steps=2, method=theta("3/4"), newton=newton).y[-1]

    y0 = torch.rand(2, 2, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))
    inputs = (
        y0.requires_grad_(),
        torch.tensor(1.5, dtype=DOUBLE, requires_grad=True),
        torch.tensor(0.6, dtype=DOUBLE, requires_grad=True),
    )
    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("structure", STRUCTURES)
@given(cut=st.integers(1, 6))
def test_a_path_is_solved_alike_in_any_batch(structure: str, cut: int) -> None:
    sde = SDE(lambda t, y: -50 * y**3, lambda t, y: 0.5 * torch.cos(y))
    # The paths far from 0 take more iterations, so that the others converge before them.
    y0 = torch.linspace(0, 3, 14).reshape(7, 2)
    newton = Newton(jacobian=structure)
    options = {"steps": 5, "method": theta(), "newton": newton, "seed": 3}
    whole = solve(sde, y0, [0.0, 1.0], **options).y
    parts = [
        solve(sde, y0[:cut], [0.0, 1.0], **options).y,
        solve(sde, y0[cut:], [0.0, 1.0], first_path=cut, **options).y,
    ]
    assert torch.equal(whole, torch.cat(parts, 1))


@pytest.mark.parametrize("method", [GAUSS, theta()], ids=["Gauss", "trapezoid"])
def test_decreasing_time_is_solved_implicitly_too(method: Tableau) -> None:
    sde = SDE(swirl)
    y0 = torch.tensor([[1.0, 0.5]], dtype=DOUBLE)
    there = solve(sde, y0, [0.0, 1.0], steps=20, method=method).y[-1]
    back = solve(sde, there, [1.0, 0.0], steps=20, method=method).y[-1]
    # Both are symmetric: the way back is the inverse map, to the solver's tolerance.
    assert torch.allclose(back, y0, atol=1e-9)


def test_stages_without_a_solution_are_reported_with_step_time_and_paths() -> None:
    def f(t, y):  # x = x0 + h (1 + x^2) has no real solution for h > 1/2 from 0
        return torch.where(y < 5, 1 + y**2, 0 * y)

    y0 = torch.tensor([[9.0], [0.0], [9.0], [0.5]], dtype=DOUBLE)
    with pytest.raises(StageError, match=r"step 0, from t = 0, .* on path 1 and 1 more") as caught:
        solve(SDE(f), y0, [0.0, 2.0], steps=2, method=theta("1"))
    assert caught.value.paths == [(1,), (3,)]
    assert caught.value.count == 2


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_drift_that_is_not_finite_is_reported_with_its_path(structure: str) -> None:
    y0 = torch.tensor([[1.0, 2.0], [-1.0, 1.0]], dtype=DOUBLE)
    with pytest.raises(StageError) as caught:
        solve(
            SDE(lambda t, y: torch.sqrt(y)), y0, [0.0, 1.0], steps=2, method=theta("1"),
            newton=Newton(structure),
        )  # fmt: skip
    assert caught.value.paths == [(1,)]


def test_settings_of_the_solver_are_checked() -> None:
    with pytest.raises(ProblemError, match="dense"):
        Newton(jacobian="dens")
    with pytest.raises(ProblemError, match=r"\(0, 1\)"):
        Newton(tolerance=2.0)
    with pytest.raises(ProblemError, match=">= 1"):
        Newton(iterations=0)
    milstein = Tableau(
        "channels",
        (Block("drift", "drift", (0,)), Block("g", "diffusion", (0,), "channel")),
        (Coupling("g", "g", "sqrt(h)", (("1/2",),), "own"),),
        (Output("drift", "h", (1,)), Output("g", "theta_k", (1,))),
        implicit=True,
    )
    sde = SDE(swirl, two_channels, noise="general")
    with pytest.raises(ProblemError, match="replicated for each channel"):
        solve(sde, torch.ones(1, 2), [0.0, 0.1], method=milstein, newton=Newton("diagonal"))


def test_a_drift_without_forward_derivatives_is_solved_by_backward_ones() -> None:
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, gradient):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * gradient

    y0 = torch.linspace(-1, 1, 6, dtype=DOUBLE).reshape(3, 2)
    runs = [
        solve(SDE(f), y0, [0.0, 1.0], steps=3, method=theta()).y
        for f in (lambda t, y: -4 * y**3, lambda t, y: -4 * Cube.apply(y))
    ]
    assert torch.allclose(*runs, rtol=1e-12)


@given(st.integers(0, 10_000), st.integers(1, 12))
def test_gmres_solves_what_it_is_given(seed: int, n: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(3, n, n, dtype=DOUBLE, generator=generator)
    matrix = matrix + 3 * n**0.5 * torch.eye(n, dtype=DOUBLE)
    matrix[0] = torch.eye(n)  # one system breaks down happily at once
    b = torch.randn(3, n, dtype=DOUBLE, generator=generator)
    b[1] = 0
    x = gmres(lambda v: (matrix @ v[..., None])[..., 0], b, tolerance=1e-12, restart=5, cycles=200)
    assert np.allclose((matrix @ x[..., None])[..., 0], b, atol=1e-10)
    assert bool((x[1] == 0).all())


def test_gmres_leaves_alone_a_system_that_has_converged() -> None:
    generator = torch.Generator().manual_seed(0)
    n = 12
    *b, u, v = torch.randn(5, n, dtype=DOUBLE, generator=generator)
    right = torch.stack(b)
    matrix = torch.randn(3, n, n, dtype=DOUBLE, generator=generator) + 10 * torch.eye(n)
    # The second is solved within two directions, the first within one space, the third in several.
    matrix[0] += 40 * torch.eye(n)
    matrix[1] = torch.eye(n) + torch.outer(u, v) / n

    def solved(rows: slice) -> torch.Tensor:
        return gmres(
            lambda x: (matrix[rows] * x[..., None, :]).sum(-1),
            right[rows],
            tolerance=1e-6,
            restart=8,
        )

    alone = [solved(slice(i, i + 1)) for i in range(3)]
    assert torch.equal(solved(slice(0, 3)), torch.cat(alone))
