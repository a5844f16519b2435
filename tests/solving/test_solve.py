"""What `solve` promises: batches, times, directions, gradients, and clear refusals."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdeint import SDE, GridPath, NonFiniteError, ProblemError, TreePath, solve
from tableaux import Tableau, catalogue

NAMES = sorted(catalogue)
#: Implicit methods take longest; some of them are checked with the others.
LONG = {n for n in NAMES if catalogue[n].implicit} - {"ImplicitEM", "RIA1", "SRAL1"}
GBM = SDE(lambda t, y: 0.3 * y, lambda t, y: 0.5 * y)


def problem_for(name, dtype=torch.float64):
    """A nonlinear, time-dependent problem of the method's noise class, with two components."""
    tableau = catalogue[name]
    mix = torch.tensor([[0.3, -0.4], [0.5, 0.2]], dtype=dtype)

    def f(t, y):
        return torch.sin(y @ mix) - y / 2 + torch.cos(t)

    def general(t, y):
        return torch.stack([torch.cos(y), torch.sin(y).flip(-1) * (1 + t)], dim=-1) / 2

    def parallel(t, y):  # all columns along one direction, so that they commute
        return (torch.cos(y.sum(-1) + t)[..., None, None] * mix[0]).expand(*y.shape, 2) / 2

    g = {
        "general": general,
        "commutative": parallel,
        "diagonal": lambda t, y: torch.cos(y + t) / 2,
        "scalar": lambda t, y: torch.sin(y.flip(-1) + t) / 2,
        "additive": lambda t, y: (0.5 + 0.1 * t) * torch.ones_like(y),
        "none": None,
    }[tableau.noise]
    return SDE(f, g, noise=tableau.noise, calculus=tableau.calculus)


def start(*batch, dtype=torch.float64):
    count = int(np.prod(batch))
    return torch.linspace(-1, 1, 2 * count, dtype=dtype).reshape(*batch, 2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_split_of_a_batch_reproduces_the_whole_bit_for_bit(name, dtype):
    sde, y0 = problem_for(name, dtype), start(6, dtype=dtype)
    path = "tree" if catalogue[name].primitives <= {"W", "H"} else "grid"
    options = {"method": name, "steps": 5, "seed": 11, "path": path}
    times = [1.0, 2.0] if catalogue[name].relative else [0.0, 1.0]
    whole = solve(sde, y0, times, **options)
    parts = [
        solve(sde, y0[a:b], times, first_path=a, **options).y for a, b in ((0, 1), (1, 4), (4, 6))
    ]
    assert torch.equal(torch.cat(parts, dim=1), whole.y)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 2**63))
def test_batch_splits_of_any_sizes_and_any_seed_reproduce_the_whole(sizes, seed):
    y0 = torch.ones(sum(sizes), 2)
    whole = solve(GBM, y0, [0.0, 1.0], method="SRIW1", steps=3, seed=seed).y
    first = 0
    for size in sizes:
        part = solve(
            GBM, y0[:size], [0.0, 1.0], method="SRIW1", steps=3, seed=seed, first_path=first
        ).y
        assert torch.equal(part, whole[:, first : first + size])
        first += size


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (2, 1, 3)])
def test_the_batch_may_have_any_leading_axes(batch):
    flat = solve(GBM, torch.ones(int(np.prod(batch)), 2), [0.0, 1.0], method="EM", steps=4).y
    shaped = solve(GBM, torch.ones(*batch, 2), [0.0, 1.0], method="EM", steps=4).y
    assert shaped.shape == (2, *batch, 2)
    assert torch.equal(shaped.reshape(flat.shape), flat)


def test_the_number_of_threads_does_not_change_a_bit():
    y0 = torch.ones(4096, 4)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(solve(GBM, y0, [0.0, 1.0], method="SRIW1", steps=8).y)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


def test_an_event_of_several_axes_has_a_channel_for_each_element():
    sde = SDE(lambda t, y: -y, lambda t, y: 0.5, noise="additive", event_dims=3)
    image = solve(sde, torch.zeros(5, 1, 4, 4), [0.0, 1.0], method="SRA1", steps=3).y
    flat = SDE(lambda t, y: -y, lambda t, y: 0.5, noise="additive")
    assert torch.equal(
        image.flatten(2), solve(flat, torch.zeros(5, 16), [0.0, 1.0], method="SRA1", steps=3).y
    )


@pytest.mark.parametrize("form", ["elementwise", "column"])
def test_scalar_noise_moves_all_components_by_one_channel(form):
    def g(t, y):
        return 0.5 * (y if form == "elementwise" else y.unsqueeze(-1))

    sde = SDE(lambda t, y: torch.zeros_like(y), g, noise="scalar")
    y = solve(sde, torch.tensor([[1.0, 2.0, 3.0]]), [0.0, 1.0], method="SRIW1", steps=4).y[-1]
    torch.testing.assert_close(y / y[..., :1], torch.tensor([[1.0, 2.0, 3.0]]))


def test_commutative_noise_as_a_matrix_equals_it_as_a_diagonal():
    matrix = SDE(GBM.f, lambda t, y: torch.diag_embed(0.5 * y), noise="commutative")
    y0 = torch.ones(3, 2, dtype=torch.float64)
    results = [solve(s, y0, [0.0, 1.0], method="EM", steps=8).y for s in (GBM, matrix)]
    torch.testing.assert_close(*results, rtol=1e-13, atol=1e-13)


# ---------------------------------------------------------------------- times


def test_values_are_returned_at_the_times_of_t():
    y0 = torch.ones(3, 2, dtype=torch.float64)
    grid = [0.0, 0.1, 0.25, 0.7, 1.0]
    solution = solve(GBM, y0, grid, method="EM")
    assert solution.t.tolist() == grid
    assert torch.equal(solution.y[0], y0)
    assert solution.stats.steps == 4
    ends = solve(GBM, y0, grid, method="EM", save_at="end")
    assert ends.t.tolist() == [1.0]
    assert torch.equal(ends.y[0], solution.y[-1])


def test_saved_times_are_landed_on_and_never_interpolated():
    y0 = torch.ones(3, 2, dtype=torch.float64)
    solution = solve(GBM, y0, [0.0, 1.0], steps=4, save_at=[0.3, 0.75], method="EM", path="tree")
    assert solution.t.tolist() == [0.3, 0.75]
    assert solution.stats.steps == 5
    by_hand = solve(GBM, y0, [0.0, 0.25, 0.3, 0.5, 0.75, 1.0], method="EM", path="tree")
    assert torch.equal(solution.y, by_hand.y[[2, 4]])
    everything = solve(GBM, y0, [0.0, 1.0], steps=4, save_at="all", method="EM")
    assert everything.t.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_uniform_steps_that_already_hit_a_time_are_not_split_by_rounding():
    for steps in (3, 7, 10, 49, 100):
        times = [k / steps for k in range(steps + 1)]
        assert solve(GBM, torch.ones(1, 1), times, steps=steps, method="EM").stats.steps == steps


@given(st.integers(1, 40), st.floats(-3, 3), st.floats(0.1, 5))
def test_a_uniform_grid_ends_exactly_at_both_ends(steps, t0, length):
    t = solve(GBM, torch.ones(1), [t0, t0 + length], steps=steps, save_at="all", method="EM").t
    assert t[0] == t0
    assert t[-1] == t0 + length
    assert bool((torch.diff(t) > 0).all())


def test_time_is_float64_whatever_the_state():
    # A million steps after t = 1000 a float32 clock would stand still.
    seen = []

    def f(t, y):
        seen.append(float(t))
        return torch.zeros_like(y)

    sde = SDE(f, lambda t, y: 0.0, noise="additive")
    solution = solve(sde, torch.zeros(1), [1000.0, 1000.0 + 1e-5], steps=2, save_at="all")
    assert solution.t.dtype == torch.float64
    assert bool((torch.diff(solution.t) > 0).all())


@pytest.mark.parametrize("name", ["EulerHeun", "Heun", "Midpoint", "DFMilsteinStratonovich"])
def test_a_stratonovich_method_run_backwards_retraces_its_path(name):
    y0 = torch.linspace(0.5, 1.5, 64, dtype=torch.float64).unsqueeze(-1)
    sde = SDE(lambda t, y: torch.sin(y), lambda t, y: torch.cos(y) / 2, calculus="stratonovich")
    errors = []
    for steps in (64, 512):
        path = TreePath(5, (64,), (1,), t0=0.0, t1=1.0, dtype=torch.float64)
        there = solve(sde, y0, [0.0, 1.0], method=name, steps=steps, path=path).y[-1]
        back = solve(sde, there, [1.0, 0.0], method=name, steps=steps, path=path).y[-1]
        errors.append(float((back - y0).abs().mean()))
    assert errors[1] < errors[0] / 4
    assert errors[1] < 2e-3


def test_additive_noise_run_backwards_retraces_its_path_for_either_calculus():
    y0 = torch.linspace(0.5, 1.5, 16, dtype=torch.float64).unsqueeze(-1)
    sde = SDE(lambda t, y: torch.sin(y) + t, lambda t, y: 0.3 * (1 + t), noise="additive")
    errors = []
    for steps in (16, 64):
        path = TreePath(5, (16,), (1,), t0=0.0, t1=1.0, dtype=torch.float64)
        there = solve(sde, y0, [0.0, 1.0], method="SRA1", steps=steps, path=path).y[-1]
        back = solve(sde, there, [1.0, 0.0], method="SRA1", steps=steps, path=path).y[-1]
        errors.append(float((back - y0).abs().mean()))
    assert errors[1] < errors[0] / 4**1.5 * 1.5


def test_a_backward_ito_solve_integrates_against_the_reversed_path():
    # dX = X dW from t = 1 to 0 with the backward Ito integral: X = exp(-(W_1 - W_0) - 1/2), since the
    # reversed path is a Brownian motion and f plays no part.
    path = TreePath(3, (256,), (1,), t0=0.0, t1=1.0, dtype=torch.float64)
    sde = SDE(lambda t, y: torch.zeros_like(y), lambda t, y: y)
    y = solve(sde, torch.ones(256, 1).double(), [1.0, 0.0], method="SRIW1", steps=256, path=path).y[
        -1
    ]
    exact = torch.exp(-path.increment(0.0, 1.0, ["W"])["W"] - 0.5)
    assert float((y - exact).abs().mean()) < 2e-3


# ---------------------------------------------------------------------- gradients


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n in LONG)) for n in NAMES],
)
def test_gradients_reach_the_start_the_parameters_and_the_times(name):
    tableau = catalogue[name]
    noise = tableau.noise

    def run(y0, a, b, t):
        def g(time, y):
            if noise == "additive":
                return b * (1 + time)
            value = torch.sin(b * y + time)
            if noise == "commutative":  # along one direction
                return torch.sin(b * y.sum(-1) + time)[..., None, None].expand(*y.shape, 2)
            return torch.stack([value, value.flip(-1)], -1) if noise == "general" else value

        sde = SDE(
            lambda time, y: a * torch.cos(b * y) + time,
            None if noise == "none" else g,
            noise=noise,
            calculus=tableau.calculus,
        )
        return solve(sde, y0, t, method=name, steps=3, seed=4).y[-1]

    inputs = (
        torch.tensor([[0.3, -0.2], [0.5, 0.1]], dtype=torch.float64, requires_grad=True),
        torch.tensor(0.7, dtype=torch.float64, requires_grad=True),
        torch.tensor(0.4, dtype=torch.float64, requires_grad=True),
        torch.tensor([0.1, 0.9], dtype=torch.float64, requires_grad=not tableau.relative),
    )
    assert torch.autograd.gradcheck(run, inputs)


def test_gradients_in_times_are_refused_where_coefficients_depend_on_them():
    sde = SDE(lambda t, y: -y, lambda t, y: 1.0, noise="additive")
    uneven = torch.tensor([0.5, 0.7, 1.0], dtype=torch.float64, requires_grad=True)
    even = torch.tensor([0.5, 0.75, 1.0], dtype=torch.float64, requires_grad=True)
    for method, times in (("DPMSolver2S", even[:2]), ("TwoStep", uneven), ("TwoStep", even)):
        with pytest.raises(ProblemError, match="has coefficients that depend on the steps"):
            solve(sde, torch.ones(2, 1), times, method=method)


def test_gradients_reach_the_parameters_of_modules():
    torch.manual_seed(0)

    class Drift(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(2, 2)

        def forward(self, t, y):
            return torch.tanh(self.layer(y))

    drift, diffusion = Drift(), Drift()
    sde = SDE(drift, lambda t, y: torch.diag_embed(diffusion(t, y)), noise="general")
    solve(sde, torch.ones(4, 2), [0.0, 1.0], method="EM", steps=4).y[-1].sum().backward()
    for module in (drift, diffusion):
        assert all(float(p.grad.abs().sum()) > 0 for p in module.parameters())


def test_the_initial_value_is_never_written_to():
    y0 = torch.ones(4, 2)
    solve(GBM, y0, [0.0, 1.0], method="SRIW1", steps=4)
    assert torch.equal(y0, torch.ones(4, 2))


# ---------------------------------------------------------------------- refusals


def refused(message, sde=GBM, y0=None, t=(0.0, 1.0), error=ProblemError, **options):
    options = {"method": "EM", "steps": 2, **options}
    with pytest.raises(error, match=message):
        solve(sde, torch.ones(3, 2) if y0 is None else y0, list(t), **options)


def test_wrong_times_are_refused():
    refused(r"t\[1\] = 1.0 is followed by t\[2\] = 0.5", t=(0.0, 1.0, 0.5), steps=None)
    refused("strictly increasing or strictly decreasing", t=(0.0, 0.0))
    refused("needs a start and an end, got 1", t=(0.0,))
    refused("NaN or infinite times", t=(0.0, float("nan")))
    refused("steps must be a positive int, got 0", steps=0)
    refused("steps must be a positive int, got 2.5", steps=2.5)
    refused("save_at time 2.0 lies outside of t", save_at=[2.0])
    refused("save_at runs against", save_at=[0.5, 0.25])
    refused("save_at is empty", save_at=[])
    refused("'end', 'all' or times, got 'last'", save_at="last")
    with pytest.raises(ProblemError, match="1-dimensional"):
        solve(GBM, torch.ones(3, 2), torch.zeros(2, 2))


def test_wrong_methods_are_refused_with_the_ones_that_fit():
    refused("unknown method 'SRIW'; did you mean 'SRIW", method="SRIW")
    refused("method must be a name or a Tableau, got int", method=3)
    refused(
        "meant for additive noise .* on diagonal noise; for it take SRID1 or W2F1, and those that "
        "`python -m sdeint methods --noise diagonal --calculus ito` lists",
        method="SRA1",
    )
    general = SDE(lambda t, y: y, lambda t, y: torch.stack([y, y], -1), noise="general")
    refused(
        "'SRIW1' is meant for diagonal noise .* general noise; for it take MilsteinGeneral or W2F1",
        general,
        method="SRIW1",
    )
    strat = SDE(GBM.f, GBM.g, calculus="stratonovich")
    refused(
        "converges to the Ito solution, but the problem is Stratonovich; for it take SlowRK or",
        strat,
    )
    refused("converges to the Stratonovich solution, but the problem is Ito", method="Heun")
    family = Tableau.rk("family", [[0, 0], ["a", 0]], ["1-b", "b"])
    refused("is a family: fix a, b with", method=family)
    quiet = Tableau.rk("rk", [[0]], [1])
    refused("'rk' has no noise stages; for it take SRID1", method=quiet)


def test_an_additive_problem_takes_methods_of_either_calculus():
    sde = SDE(lambda t, y: -y, lambda t, y: 0.5, noise="additive", calculus="stratonovich")
    for name in ("EM", "Heun", "SRA1", "SEA", "RS2"):
        solve(sde, torch.ones(3, 2), [0.0, 1.0], steps=2, method=name)


def test_a_state_dependent_g_is_not_believed_to_be_additive():
    def clamped(t, y):  # flat near the start, not further out
        return torch.relu(y.abs() - 0.5) + 1

    for g in (lambda t, y: 0.1 * y, clamped, lambda t, y: torch.where(y > 1.05, 1.0, 2.0)):
        refused("noise='additive', but g depends on the state", SDE(GBM.f, g, noise="additive"))


def test_noise_that_mixes_components_is_not_believed_to_be_diagonal():
    sde = SDE(GBM.f, lambda t, y: y.sum(-1, keepdim=True).expand_as(y))
    refused("component i of g depends on other components", sde)


def test_noise_that_does_not_commute_is_not_believed_to_commute():
    def g(t, y):
        return torch.stack([torch.stack([y[..., 1], 0 * y[..., 0]], -1), y], -1)

    shear = torch.tensor([[[0.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 0.0]]])
    refused(
        "noise='commutative', but g_k' g_l differs",
        SDE(GBM.f, lambda t, y: torch.einsum("mij,...j->...im", shear, y), noise="commutative"),
    )
    solve(SDE(GBM.f, g, noise="commutative"), torch.ones(3, 2), [0.0, 1.0], steps=2, method="EM")


def test_wrong_shapes_of_f_and_g_are_refused_with_the_right_ones():
    refused(
        r"f returned shape \(3, 1\) for y of shape \(3, 2\)", SDE(lambda t, y: y[..., :1], GBM.g)
    )
    refused("f must return a tensor, got float", SDE(lambda t, y: 1.0, GBM.g))
    refused(
        r"diagonal noise needs \(3, 2\), one channel", SDE(GBM.f, lambda t, y: torch.diag_embed(y))
    )
    refused(r"general noise needs \(3, 2, 'm'\)", SDE(GBM.f, GBM.g, noise="general"))
    refused("one channel for all", SDE(GBM.f, lambda t, y: torch.diag_embed(y), noise="scalar"))
    refused("f returned torch.float64 for y of torch.float32", SDE(lambda t, y: y.double(), GBM.g))
    refused("g must return a tensor, got NoneType", SDE(GBM.f, lambda t, y: None))


def test_wrong_states_seeds_and_paths_are_refused():
    refused("floating-point", y0=torch.ones(3, 2, dtype=torch.int64))
    refused("NaN or infinite values", y0=torch.full((3, 2), float("nan")))
    refused("event_dims=1 axes make up a state", y0=torch.tensor(1.0))
    refused("'grid', 'tree' or a BrownianPath, got 'line'", path="line")
    refused(
        r"the path has batch \(4,\) and channels \(2,\), but y0 and g need batch \(3,\)",
        path=GridPath(0, (4,), (2,)),
    )
    refused("the path gives torch.float64", path=GridPath(0, (3,), (2,), dtype=torch.float64))
    refused("seed", seed=-1, error=ValueError)
    with pytest.raises(ProblemError, match="y0 must be a tensor, got list"):
        solve(GBM, [1.0], [0.0, 1.0])


def test_discrete_variables_have_no_tree():
    sde = SDE(GBM.f, lambda t, y: torch.diag_embed(y), noise="general")
    refused("is a discrete variable", sde, method="RI6", path="tree", error=ValueError)


def test_gradients_in_the_times_of_a_tree_are_refused():
    t = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    with pytest.raises(ProblemError, match="use path='grid' for gradients"):
        solve(GBM, torch.ones(3, 2), t, steps=2, path="tree")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_mixed_devices_are_refused():
    weight = torch.ones(2)
    refused("cpu", SDE(lambda t, y: y.cpu() * weight, GBM.g), y0=torch.ones(3, 2, device="cuda"))


def test_mixed_devices_are_refused_without_a_gpu():
    refused("f returned a tensor on meta", SDE(lambda t, y: y.to("meta"), GBM.g))
    refused("g returned a tensor on meta", SDE(GBM.f, lambda t, y: y.to("meta")))


@pytest.mark.parametrize("steps", [10, 3000])
def test_a_path_that_is_lost_is_reported_with_time_step_and_index(steps):
    lost_at = 7 if steps == 10 else 2345

    def f(t, y):
        late = t > (lost_at - 0.5) / steps
        bad = torch.zeros_like(y)
        bad[4] = torch.nan
        return torch.where(late, bad, torch.zeros_like(y))

    sde = SDE(f, lambda t, y: 0.1, noise="additive")
    with pytest.raises(
        NonFiniteError, match=rf"path 4 became NaN or infinite in step {lost_at}"
    ) as e:
        solve(sde, torch.zeros(6, 2, dtype=torch.float64), [0.0, 1.0], steps=steps)
    assert e.value.step == lost_at
    assert e.value.t == pytest.approx((lost_at + 1) / steps)
    assert e.value.paths == [(4,)]
    assert e.value.count == 1


def test_an_explosion_is_reported_with_its_batch_index():
    sde = SDE(lambda t, y: y**3, lambda t, y: 0.0, noise="additive")
    y0 = torch.zeros(2, 3, 1)
    y0[1, 2] = 100.0
    with pytest.raises(NonFiniteError) as caught:
        solve(sde, y0, [0.0, 1.0], steps=50)
    assert caught.value.paths == [(1, 2)]


# ---------------------------------------------------------------------- the outside


def test_progress_is_shown_only_on_request(capsys):
    solve(GBM, torch.ones(3, 2), [0.0, 1.0], steps=2)
    assert capsys.readouterr().out == ""
    solve(GBM, torch.ones(3, 2), [0.0, 1.0], steps=2, method="SRIW1", progress=True)
    assert "SRIW1" in capsys.readouterr().out


def test_the_result_says_what_was_done():
    solution = solve(GBM, torch.ones(3, 2), [0.0, 1.0], steps=4, method="SRIW1")
    assert repr(solution) == (
        "Solution(t=0..1 (2 times), y=(2, 3, 2) float32, SRIW1: 4 steps, 8 f and 16 g evaluations)"
    )
    assert solution.stats.variables_drawn == 4 * 2 * 2


@pytest.mark.parametrize(
    ("name", "peer", "calculus", "noise"),
    [
        ("EM", "euler", "ito", "diagonal"),
        ("EM", "euler", "ito", "additive"),
        ("DFMilstein", "milstein", "ito", "diagonal"),
        ("SRIW2", "srk", "ito", "diagonal"),
        ("SRA1", "srk", "ito", "additive"),
        ("Heun", "heun", "stratonovich", "diagonal"),
        ("Midpoint", "midpoint", "stratonovich", "diagonal"),
        ("Midpoint", "midpoint", "stratonovich", "general"),
        ("EulerHeun", "euler_heun", "stratonovich", "diagonal"),
        ("EulerHeun", "euler_heun", "stratonovich", "general"),
    ],
)
def test_torchsde_on_the_same_path_gives_the_same_numbers(name, peer, calculus, noise):
    import torchsde

    y0 = start(8)
    path = TreePath(9, (8,), (2,), t0=0.0, t1=1.0, dtype=torch.float64)

    class Noise(torchsde.BaseBrownian):
        dtype, device, shape = torch.float64, y0.device, (8, 2)
        levy_area_approximation = "space-time"

        def __call__(self, ta, tb=None, return_U=False, return_A=False):
            drawn = path.increment(float(ta), float(tb), ["W", "H"])
            time_integral = float(tb - ta) * (drawn["W"] / 2 + drawn["H"])
            return (drawn["W"], time_integral) if return_U else drawn["W"]

        def __repr__(self):
            return "Noise()"

        def to(self, *args, **kwargs):
            raise AttributeError

    class Peer:
        noise_type, sde_type = noise, calculus

        def f(self, t, y):
            return torch.sin(y)

        def g(self, t, y):
            if noise == "diagonal":  # torchsde evaluates the stage of its Milstein at the old time
                return torch.cos(y + (0 if peer == "milstein" else t))
            level = 1 + t if noise == "additive" else torch.cos(y.flip(-1) + t)[..., None]
            return level * y0.new_tensor([[1.0, 0.3], [-0.4, 0.8]]).expand(*y.shape, 2)

    theirs = torchsde.sdeint(
        Peer(),
        y0,
        torch.tensor([0.0, 0.5, 1.0]).double(),
        bm=Noise(),
        method=peer,
        dt=1 / 16,
        options={"grad_free": True} if peer == "milstein" else {},
    )
    ours = solve(
        SDE(Peer().f, Peer().g, noise=noise, calculus=calculus),
        y0,
        [0.0, 0.5, 1.0],
        steps=16,
        method=name,
        path=path,
    )
    torch.testing.assert_close(ours.y, theirs, rtol=1e-12, atol=1e-12)


def test_modules_are_reached_as_attributes_without_being_imported_at_once():
    code = (
        "import sys, sdeint;"
        "assert not {'sympy', 'tableaux', 'sdeint.solving'} & set(sys.modules);"
        "assert {'solve', 'SDE', 'convergence'} <= set(dir(sdeint));"
        "import tableaux, diffusion; sdeint.solve, sdeint.SDE;"
        "assert not {'sdeint.convergence', 'tableaux.design', 'diffusion.metrics'} & set(sys.modules);"
        "sdeint.expect, sdeint.convergence.strong, sdeint.problems.library;"
        "tableaux.design.solve, diffusion.metrics.w1;"
        "assert not hasattr(sdeint, 'nothing')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
