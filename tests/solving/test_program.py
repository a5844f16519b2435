"""The lowered program does what the tableau says, with no evaluation too many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sdeint import SDE, GridPath, solve
from sdeint.linear.noise import modes
from sdeint.lowering import lower
from tableaux import Block, Coupling, Output, Tableau, catalogue

from .reference import Reference

D, M, BATCH = 3, 3, 2
_rng = np.random.default_rng(7)
A_F, A_G = _rng.normal(size=(D, D)), _rng.normal(size=(D, D, M)) / 3


def f_numpy(t, x):
    return np.tanh(A_F @ x) * (1 + t)


def g_numpy(t, x):
    return np.sin(np.einsum("ijm,j->im", A_G, x) + t)


def f_torch(t, y):
    return torch.tanh(y @ torch.tensor(A_F).T) * (1 + t)


def g_torch(t, y):
    return torch.sin(torch.einsum("ijm,...j->...im", torch.tensor(A_G), y) + t)


class FixedNoise(GridPath):
    """The variables of given arrays, Levy areas included."""

    def __init__(self, noise, batch, channels):
        super().__init__(0, batch, channels, dtype=torch.float64)
        self.noise = noise

    def on(self, grid):
        return self

    def draw(self, first, count, names):
        return {name: torch.tensor(self.noise[name][first : first + count]) for name in names}


def draw_noise(steps, h, seed):
    rng = np.random.default_rng(seed)
    shape = (steps, BATCH, M)
    a = rng.normal(size=(*shape, M)) * h / 4
    return {
        "W": rng.normal(size=shape) * h**0.5,
        "H": rng.normal(size=shape) * (h / 12) ** 0.5,
        "K": rng.normal(size=shape) * (h / 720) ** 0.5,
        "A": a - a.swapaxes(-1, -2),
        "theta": rng.choice([-1, 0, 0, 0, 0, 1], size=shape) * (3 * h) ** 0.5,
        "xi": rng.choice([-1.0, 1.0], size=shape)
        * np.sqrt((2 + rng.choice([-1, 1], size=shape) * 3**0.5) * h),
        "sign": rng.choice([-1.0, 1.0], size=shape),
        "eta": rng.choice([-1.0, 1.0], size=(steps, BATCH, 1)),
        "u": (u := rng.uniform(size=(steps, BATCH, 1))),
        "bridge": np.sqrt(12 * u * (1 - u)),
    }


ONE = ("I_k", "H_k", "I_kk/sqrt(h)", "I_k0/h", "theta_k")
NONE = ("h", "sqrt(h)", "1")
TWO = ("I_kl/sqrt(h)", "I^_kl/sqrt(h)", "A^_kl/sqrt(h)")
WEIGHT = st.integers(-4, 4).map(lambda n: f"{n}/8")


@st.composite
def general_tableaux(draw):
    """Any blocks, replications, selectors and labels that a tableau may have."""
    count = draw(st.integers(1, 3))
    blocks = [
        Block(
            f"b{i}",
            draw(st.sampled_from(["drift", "diffusion"])),
            [draw(WEIGHT) for _ in range(draw(st.integers(1, 2)))],
            draw(st.sampled_from(["once", "channel", "pair"])),
        )
        for i in range(count)
    ]
    couplings = [
        coupling(draw, target, source, WEIGHT, within=si == ti)
        for ti, target in enumerate(blocks)
        for si, source in enumerate(blocks[: ti + 1])
        if source.replication != "pair" and draw(st.integers(0, 3))
    ]
    return Tableau("drawn", blocks, couplings, [output(draw, block, WEIGHT) for block in blocks])


def coupling(draw, target, source, weight, within=False):
    replicated = target.replication != "once"
    selectors = ["all"]
    if replicated and source.has_channel:
        selectors += ["own", "other", "less", "greater"]
        selectors += ["partner"] if target.replication == "pair" else []
    arity = int(source.has_channel) + int(replicated)
    labels = NONE + (ONE if arity else ()) + (TWO if arity == 2 else ())
    matrix = [
        [0 if within and j >= i else draw(weight) for j in range(source.stages)]
        for i in range(target.stages)
    ]
    label = draw(st.sampled_from(labels))
    return Coupling(target.name, source.name, label, matrix, draw(st.sampled_from(selectors)))


def output(draw, block, weight):
    pair = block.replication == "pair"
    labels = NONE + (ONE if block.has_channel else ()) + (TWO if pair else ())
    return Output(
        block.name,
        draw(st.sampled_from(labels)),
        ["1/2", *(draw(weight) for _ in range(block.stages - 1))],
        draw(st.sampled_from(["all", "less", "greater"])) if pair else "all",
    )


@st.composite
def tableaux_with_memory(draw):
    """Any of those, with values of up to three earlier steps, and entries in their ratios and w."""
    now = draw(general_tableaux())
    lags = draw(st.sampled_from([(1,), (1, 2), (1, 1), (1, 2, 3), (1, 1, 2)]))
    remembered = [
        Block(f"m{i}", b.colour, b.nodes, b.replication, b.name, lag)
        for i, (lag, b) in enumerate((lag, draw(st.sampled_from(now.blocks))) for lag in lags)
    ]
    couplings, outputs = [], []
    for block in remembered:
        symbols = ["h_t", "h_t**2", "r", "r_2", "r_3"][: 2 + block.lag]
        weight = st.one_of(WEIGHT, st.sampled_from(symbols).map(lambda s: f"{s}/8"))
        targets = [b for b in now.blocks if block.replication != "pair" and draw(st.booleans())]
        couplings += [coupling(draw, target, block, weight) for target in targets]
        outputs.append(output(draw, block, weight))

    def remembering(steps):
        """The tableau with what it can remember after some steps."""
        kept = [b for b in remembered if b.lag <= steps]
        names = {b.name for b in (*now.blocks, *kept)}
        return Tableau(
            f"drawn, after {steps}",
            (*now.blocks, *kept),
            [c for c in (*now.couplings, *couplings) if c.source in names],
            [o for o in (*now.outputs, *outputs) if o.source in names],
            start=remembering(steps - 1) if kept else None,
        )

    return remembering(max(lags) + draw(st.integers(0, 1)))


#: Steps of any ratio, in any order.
GRID = [0.2, 0.3, 0.42, 0.5, 0.57, 0.7]


def compare(tableau, noise_class="general", steps=2, g=(g_torch, g_numpy), seed=1, m=M):
    noise = draw_noise(steps, 0.1, seed)
    noise = {n: v[..., :m, :m] if n == "A" else v[..., :m] for n, v in noise.items()}
    y0 = _rng.normal(size=(BATCH, D))
    sde = SDE(f_torch, g[0], noise=noise_class, calculus=tableau.calculus)
    grid = GRID[: steps + 1]
    solution = solve(
        sde, torch.tensor(y0), grid, method=tableau, path=FixedNoise(noise, (BATCH,), (m,))
    )
    for b in range(BATCH):
        x, past = y0[b], []
        for n in range(steps):
            here = {name: values[n, b] for name, values in noise.items()}
            here |= {name: {(): here[name][0]} for name in ("eta", "u", "bridge")}
            method = (*tableau.starts, tableau)[min(n, len(tableau.starts))]
            step = Reference(method, f_numpy, g[1], m, symbols=symbols_at(grid, n))
            x = step(x, grid[n], grid[n + 1] - grid[n], here, past)
            past = [step, *past]
        np.testing.assert_allclose(solution.y[-1, b].numpy(), x, rtol=1e-10, atol=1e-10)


def symbols_at(grid, n):
    """What the symbols of a tableau stand for in step n of a grid."""
    h = [grid[i + 1] - grid[i] for i in range(n, -1, -1)]
    ratios = {name: h[i] / h[i + 1] for i, name in enumerate(("r", "r_2", "r_3")[:n])}
    return {"h_t": h[0] / grid[n], **ratios}


@given(general_tableaux())
def test_the_program_of_any_tableau_equals_the_tableau_word_by_word(tableau):
    compare(tableau)


@given(tableaux_with_memory())
def test_the_program_of_any_tableau_with_memory_equals_the_tableau_word_by_word(tableau):
    compare(tableau, steps=5)


@pytest.mark.parametrize("label", ["I_k", "I_kl/sqrt(h)"])
@pytest.mark.parametrize("selector", ["all", "own", "other", "less", "greater", "partner"])
def test_a_stage_of_a_pair_depends_on_what_its_selector_says(selector, label):
    compare(
        Tableau(
            "pairs",
            (Block("g", "diffusion", (0,)), Block("pair", "diffusion", (0,), "pair")),
            (Coupling("pair", "g", label, (("1/2",),), selector),),
            (Output("pair", "I_k", (1,)),),
        )
    )


def g_torch_scalar(t, y):
    return g_torch(t, y)[..., 0]


def g_diagonal(t, y):
    return torch.sin(y + t)


def g_diagonal_matrix(t, x):
    return np.diag(np.sin(x + t))


@given(general_tableaux())
def test_diagonal_noise_equals_the_same_noise_as_a_matrix(tableau):
    compare(tableau, "diagonal", g=(g_diagonal, g_diagonal_matrix))


@pytest.mark.parametrize("name", sorted(catalogue))
def test_every_method_of_the_catalogue_equals_its_tableau_word_by_word(name):
    tableau = catalogue[name].without_linear_part
    if modes(tableau.primitives):
        pytest.skip("functionals of parts of a step: test_exponential_program")
    along = np.array([1.0, 0.5, -0.4]) / 2
    fields = {
        "general": (g_torch, g_numpy),
        "commutative": (  # all columns along one direction, so that they commute
            lambda t, y: (torch.sin(y.sum(-1) + t)[..., None, None] * torch.tensor(along)).expand(
                *y.shape, M
            ),
            lambda t, x: np.tile(np.sin(x.sum() + t) * along, (D, 1)),
        ),
        "scalar": (g_torch_scalar, lambda t, x: g_numpy(t, x)[:, :1]),
        "diagonal": (g_diagonal, g_diagonal_matrix),
        "additive": (
            lambda t, y: torch.cos(torch.tensor(A_G[0]) + t).expand(*y.shape, M),
            lambda t, x: np.cos(A_G[0] + t),
        ),
        "none": (None, None),
    }
    m = 1 if tableau.noise in ("scalar", "none") else M
    compare(tableau, tableau.noise, steps=5 if tableau.start else 3, g=fields[tableau.noise], m=m)


def counted_by_hand():
    """The rows of docs/evaluations.md: name -> (f, g, f with m channels, g with m channels)."""
    lines = (Path(__file__).parents[2] / "docs" / "evaluations.md").read_text().splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines if "|" in line]
    return {name: counts for name, *counts in cells[2:]}


MINIMUM = counted_by_hand()
#: What the first steps of a method with memory evaluate beyond the others.
STARTING = dict.fromkeys(("OneStageStored", "TwoStep", "NoiseRK3", "AB3"), 1)
STARTING |= dict.fromkeys(("DPMSolver3M", "UniPC2", "UniPC3", "SASolver", "SASolver3"), 1)


def formula(text, m):
    """A count such as ``1 + 4m``."""
    terms = [term.strip() for term in text.split("+")]
    return sum(int(t[:-1] or 1) * m if t.endswith("m") else int(t) for t in terms)


def test_every_method_has_been_counted_by_hand():
    assert set(MINIMUM) == set(catalogue)


@pytest.mark.parametrize("name", sorted(catalogue))
def test_f_and_g_are_called_no_more_often_than_the_method_needs(name):
    calls = {"f": 0, "g": 0}
    tableau = catalogue[name]
    noise = tableau.noise if tableau.noise in ("additive", "scalar", "none") else "diagonal"

    def f(t, y):
        calls["f"] += 1
        return -y

    def g(t, y):
        calls["g"] += 1
        return torch.ones_like(y) if noise == "additive" else torch.sin(y)

    sde = SDE(f, None if noise == "none" else g, noise=noise, calculus=tableau.calculus)
    minimum = [int(n) for n in MINIMUM[name][:2]]
    counts = []
    for steps in (2, 5):
        calls.update(f=0, g=0)
        y0 = torch.full((4, 1 if uses_pairs(tableau) else 2), 0.5)
        solution = solve(sde, y0, [0.5, 1.0], steps=steps, method=name)
        counts.append((calls["f"], calls["g"]))
        first = STARTING.get(name, 0)
        assert calls["f"] >= solution.stats.f_evaluations
        if tableau.implicit:
            # Beyond its stages, an iteration costs one evaluation of each of them, and a Jacobian.
            assert solution.stats.newton_iterations >= steps
            continue
        assert calls["f"] == solution.stats.f_evaluations == steps * minimum[0] + first
        assert solution.stats.g_evaluations == steps * minimum[1]
    # g is also looked at a few times, at the door, whatever the number of steps.
    if not tableau.implicit:
        assert counts[1][1] - counts[0][1] == 3 * minimum[1]


def uses_pairs(tableau):
    """Whether elementwise noise becomes a matrix, where each channel is a state."""
    return any(
        b.replication == "pair" or (b.replication == "channel" and b.colour == "drift")
        for b in tableau.blocks
    )


@pytest.mark.parametrize(
    "name", sorted(n for n, t in catalogue.items() if t.noise in ("general", "commutative"))
)
@pytest.mark.parametrize("m", [1, 2, 3])
def test_with_m_channels_no_more_states_are_evaluated_than_the_method_needs(name, m):
    tableau = catalogue[name]
    program = lower(tableau, matrix=True, additive=False)
    for drift, text in zip((True, False), MINIMUM[name][2:]):
        assert program.count(drift=drift, channels=m) == formula(text, m)
    if tableau.implicit:
        return
    states = {"f": 0, "g": 0}

    def f(t, y):
        states["f"] += y[..., 0].numel()
        return -y

    def g(t, y):
        states["g"] += y[..., 0].numel()
        return torch.sin(y.sum(-1))[..., None, None].expand(*y.shape, m)

    sde = SDE(f, g, noise=tableau.noise, calculus=tableau.calculus)
    seen = []
    for steps in (1, 3):
        states.update(f=0, g=0)
        solve(sde, torch.ones(5, 2), [0.0, 0.1], steps=steps, method=name)
        seen.append(dict(states))
    for which, text in zip("fg", MINIMUM[name][2:]):
        assert seen[1][which] - seen[0][which] == 2 * 5 * formula(text, m)


def test_a_general_method_evaluates_all_channels_of_a_stage_in_one_call():
    calls = []

    def g(t, y):
        calls.append(tuple(y.shape))
        return g_torch(t, y)

    solve(SDE(f_torch, g, noise="general"), torch.ones(5, D).double(), [0.0, 0.1], method="RI6")
    # Once at X, then the two own and the two mixed stages for all channels together.
    assert calls[-5:] == [(5, D), (M, 5, D), (M, 5, D), (M, 5, D), (M, 5, D)]


def test_stages_with_equal_arguments_are_evaluated_once():
    program = lower(catalogue["Heun"], matrix=False, additive=False)
    assert len(program.evaluations) == 4
    padded = Tableau.shared(
        "padded", [[0, 0, 0], [1, 0, 0], [1, 0, 0]], ["1/2", "1/4", "1/4"], calculus="stratonovich"
    )
    assert lower(padded, matrix=False, additive=False) == program


def test_only_the_variables_that_occur_are_drawn():
    asked = []

    class Listening(GridPath):
        def on(self, grid):
            steps = super().on(grid)
            draw = steps.draw
            steps.draw = lambda first, count, names: (
                asked.extend(names) or draw(first, count, names)
            )
            return steps

    for name, needs in (("EM", {"W"}), ("SRA1", {"W", "H"}), ("RI6", {"theta", "sign"})):
        asked.clear()
        sde = SDE(lambda t, y: -y, lambda t, y: torch.ones_like(y), noise="additive")
        solve(
            sde, torch.ones(4, 2), [0.0, 1.0], steps=2, method=name, path=Listening(0, (4,), (2,))
        )
        assert set(asked) <= needs
        assert "W" in asked or "theta" in asked
