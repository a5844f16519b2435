"""Stages at random times: uniform in the step, one time for each path, with the noise up to there."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from sdeint import SDE, GridPath, ProblemError, TreePath, solve
from sdeint.asking import Asking
from tableaux import Block, Coupling, Tableau, TableauError, catalogue, order
from tableaux.moments import one_step_mean
from tableaux.words import monomial_mean

F64 = torch.float64
MIDPOINT = catalogue["RandomMidpoint"]
RINGING = SDE(lambda t, y: torch.cos(t) * y, noise="none")
NOISY = SDE(lambda t, y: torch.sin(3 * t) * y - y**3, lambda t, y: 0.5, noise="additive")


@pytest.mark.parametrize(("a", "b"), [(1, 0), (2, 2), (0, 4), (3, 2)])
def test_means_of_a_random_node_and_its_bridge_are_integrals(a: int, b: int) -> None:
    u = (torch.arange(4096, dtype=F64) + 0.5) / 4096
    mean = (u**a * (12 * u * (1 - u)) ** (b / 2)).mean()
    got = monomial_mean(((("bridge", ()), b), (("u", ()), a)))
    assert float(mean) == pytest.approx(float(got), rel=1e-6)
    assert monomial_mean(((("H", (1,)), 1), (("bridge", ()), 1))) == 0


def test_the_noise_at_a_random_node_has_the_law_of_the_path_there() -> None:
    # Given u, Var = u h and its covariance with the increment is u h.
    drawn = (
        GridPath(0, (200_000,), (1,), dtype=F64)
        .on(torch.tensor([0.0, 2.0]))
        .draw(0, 1, ["u", "bridge", "W", "H"])
    )
    u, bridge, w, h = (drawn[name].flatten() for name in ("u", "bridge", "W", "H"))
    inside = u * w + bridge * h
    for early in (u < 0.3, u > 0.6):
        share = float(u[early].mean())
        # Five standard deviations of the sample variance of some 60 000 normals are 3 %.
        assert float(inside[early].var()) == pytest.approx(2 * share, rel=0.03)
        assert float((inside * w)[early].mean()) == pytest.approx(2 * share, rel=0.05)
    assert float(u.mean()) == pytest.approx(0.5, abs=0.004)
    assert float(u.var()) == pytest.approx(1 / 12, rel=0.02)


def test_outcomes_of_a_random_node_have_the_exact_second_moment_of_a_step() -> None:
    # X+ = X (1 + ah + u a^2 h^2) + ah W(uh) + W(h), with Var W(uh) = Cov(W(uh), W(h)) = h/2 in the mean.
    a, h, x = -0.8, 0.6, 1.3
    growth = (1 + a * h) ** 2 + (1 + a * h) * (a * h) ** 2 + (a * h) ** 4 / 3
    exact = x**2 * growth + a**2 * h**3 / 2 + a * h**2 + h
    got = one_step_mean(
        MIDPOINT, lambda y: a * y, [lambda y: 1 + 0 * y], [x], h, lambda y: y[0] ** 2
    )
    assert got == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("ends", [(0.5, 2.0), (2.0, 0.5)])
def test_the_times_are_those_of_the_nodes_drawn_in_either_direction(
    ends: tuple[float, float],
) -> None:
    seen = []

    def drift(t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append(t)
        return torch.ones_like(y)

    grid = torch.linspace(*ends, 4, dtype=F64)
    path = GridPath(3, (5,), (2,), dtype=F64)
    sde = SDE(drift, lambda t, y: 1.0, noise="additive")
    solve(sde, torch.zeros(5, 2, dtype=F64), grid, method=MIDPOINT, path=path, compile=False)
    u = path.on(grid).draw(0, 3, ["u"])["u"]
    for n in range(3):
        # One evaluation at the begin of the step, one at the node of each path.
        assert float(seen[2 * n]) == pytest.approx(float(grid[n]))
        expected = grid[n] + u[n] * (grid[n + 1] - grid[n])
        torch.testing.assert_close(seen[2 * n + 1], expected)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_tree_draws_the_nodes_that_a_grid_does(reverse: bool) -> None:
    times = torch.linspace(0.0, 1.0, 8, dtype=F64)
    times = times.flip(0) if reverse else times
    grid = GridPath(4, (3,), (2,), dtype=F64)
    tree = TreePath(4, (3,), (2,), t0=0.0, t1=1.0, dtype=F64)
    names = ["W", "u", "bridge"]
    whole, other = grid.on(times).draw(0, 7, names), tree.on(times).draw(0, 7, names)
    part = tree.on(times).draw(2, 3, names)
    for name in ("u", "bridge"):
        assert whole[name].shape == (7, 3, 1)
        assert torch.equal(whole[name], other[name])
        assert torch.equal(part[name], other[name][2:5])
    assert tree.increment(0.5, 0.5, ["u"])["u"].shape == (3, 1)


def test_without_noise_the_mean_has_order_two_and_one_path_three_halves() -> None:
    bias, spread = [], []
    for steps in (8, 16, 32):
        y0 = torch.ones(30_000, 1, dtype=F64)
        y = solve(RINGING, y0, [0.0, 2.0], steps=steps, method=MIDPOINT, compile=False).y[-1]
        errors = y - math.exp(math.sin(2.0))
        bias.append(abs(float(errors.mean())))
        spread.append(float(errors.std()))
    # The mean error is some five standard errors at 32 steps, more before.
    assert math.log2(bias[0] / bias[1]) > 1.6
    assert bias[1] / bias[2] > 2.5
    assert math.log2(spread[1] / spread[2]) == pytest.approx(1.5, abs=0.1)


def test_more_steps_refine_the_same_path() -> None:
    def end(steps: int) -> torch.Tensor:
        y0 = torch.ones(200, 1, dtype=F64)
        return solve(NOISY, y0, [0, 1], steps=steps, method=MIDPOINT, path="tree", seed=1).y[-1]

    finest = end(512)
    coarse, fine = (float((end(n) - finest).square().mean().sqrt()) for n in (8, 32))
    assert math.log2(coarse / fine) / 2 == pytest.approx(1.0, abs=0.25)


@pytest.mark.usefixtures("traced")
def test_compiled_steps_take_the_same_random_times() -> None:
    y0 = torch.ones(6, 2, dtype=F64)
    options = {"method": MIDPOINT, "steps": 13, "seed": 1}
    bounded = SDE(lambda t, y: torch.sin(3 * t + y), lambda t, y: 0.5, noise="additive")
    eager = solve(bounded, y0, [0.5, 0.0], compile=False, **options)
    compiled = solve(bounded, y0, [0.5, 0.0], compile=True, **options)
    torch.testing.assert_close(eager.y, compiled.y, rtol=1e-10, atol=1e-12)


def test_with_other_noise_or_another_node_the_order_is_lost() -> None:
    def changed(label: str, matrix: tuple[tuple[object]]) -> Tableau:
        kept = [c for c in MIDPOINT.couplings if c.source != "noise"]
        own = Coupling("stage", "noise", label, matrix)
        return replace(MIDPOINT, name="changed", couplings=(*kept, own), orders={})

    assert order(MIDPOINT, noise="martingale").weak == 2
    assert order(changed("I_k", (("1/2",),)), noise="martingale").weak == 1
    # Of a martingale drift the mean node would do.
    blocks = [replace(b, nodes=(0,)) if b.name == "stage" else b for b in MIDPOINT.blocks]
    still = replace(MIDPOINT, name="still", blocks=blocks, orders={})
    assert order(still, noise="martingale").weak == 1


def test_random_nodes_are_refused_where_they_have_no_meaning() -> None:
    noise = Block("noise", "diffusion", ("u",))
    with pytest.raises(TableauError, match="'noise': a random node u is one of drift stages"):
        replace(MIDPOINT, blocks=(*MIDPOINT.blocks[:2], noise))
    with pytest.raises(TableauError, match="explicit one-step methods"):
        replace(
            MIDPOINT,
            couplings=(*MIDPOINT.couplings, Coupling("stage", "stage", "h", ((1,),))),
            implicit=True,
        )
    with pytest.raises(ProblemError, match="'RandomMidpoint' evaluates the drift at random times"):
        Asking(torch.ones(3, 1), [0.0, 1.0], method="RandomMidpoint")
