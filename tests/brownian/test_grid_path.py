"""Grid mode: laws of the variables, and the same bits in any split.

Statistical tests compare at six standard errors: a false alarm has probability 2e-9 a comparison,
and below 1e-6 for each test (at most two hundred comparisons each). Seeds are fixed.
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sdeint.brownian import GridPath, normals
from sdeint.brownian.grid_path import SIXTH

SIX = 6.0
GRIDS = {
    "uniform": torch.linspace(0.0, 2.0, 6, dtype=torch.float64),
    "geometric": torch.tensor([1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0], dtype=torch.float64),
    "decreasing": torch.tensor([3.0, 2.5, 2.4, 1.0, 0.2, 0.1], dtype=torch.float64),
}
ALL = ("W", "H", "K", "theta", "sign", "eta")
GRID = torch.linspace(0, 1, 24, dtype=torch.float64)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_gaussian_variables_have_their_joint_law(grid: Tensor, dtype: torch.dtype) -> None:
    n = 40_000
    drawn = GridPath(17, (n,), (2,), dtype=dtype).on(grid).draw(0, 5, ("W", "H", "K"))
    h = torch.diff(grid).abs().view(-1, 1, 1)
    exact = {"W": h, "H": h / 12, "K": h / 720}
    z = torch.stack([(drawn[name].double() / exact[name].sqrt()) for name in exact])
    z = z.movedim(2, -1).reshape(-1, n)  # 3 kinds x 5 steps x 2 channels
    assert z.mean(dim=1).abs().max().item() < SIX / math.sqrt(n)
    covariance = z @ z.T / n
    assert (covariance.diagonal() - 1).abs().max().item() < SIX * math.sqrt(2 / n)
    assert covariance.fill_diagonal_(0).abs().max().item() < SIX / math.sqrt(n)


def test_discrete_variables_have_their_law() -> None:
    n, h = 50_000, 0.4
    steps = GridPath(17, (n,), (2,), dtype=torch.float64).on(GRIDS["uniform"])
    drawn = steps.draw(0, 5, ("theta", "sign", "eta"))
    theta, sign, eta = drawn["theta"] / math.sqrt(3 * h), drawn["sign"], drawn["eta"]
    theta = theta.round(decimals=12)
    assert set(theta.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert set(sign.unique().tolist()) == set(eta.unique().tolist()) == {-1.0, 1.0}
    assert eta.shape == (5, n, 1)
    for value in (-1.0, 1.0):
        share = (theta == value).double().mean(dim=1)
        assert (share - 1 / 6).abs().max().item() < SIX * math.sqrt(5 / 36 / n)
    for two_point in (sign, eta):
        assert two_point.mean(dim=1).abs().max().item() < SIX / math.sqrt(n)
    products = torch.stack(
        [
            theta[0, :, 0] * theta[0, :, 1] * 3,
            sign[0, :, 0] * sign[0, :, 1],
            sign[0, :, 0] * eta[0, :, 0],
            theta[0, :, 0] * sign[0, :, 0] * math.sqrt(3),
            theta[0, :, 0] * eta[0, :, 0] * math.sqrt(3),
        ]
    )
    assert products.mean(dim=1).abs().max().item() < SIX / math.sqrt(n)


def test_three_point_probability_is_the_nearest_to_a_sixth() -> None:
    assert abs(SIXTH / 2**32 - 1 / 6) <= 2.0**-33


@pytest.mark.parametrize("name", ["theta", "sign", "eta"])
def test_discrete_variables_split_the_word_where_they_say(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    edges = [0, SIXTH - 1, SIXTH, (1 << 31) - 1, 1 << 31, (1 << 32) - SIXTH - 1, (1 << 32) - SIXTH,
             (1 << 32) - 1]  # fmt: skip
    import sdeint.brownian.grid_path as module

    monkeypatch.setattr(
        module, "words", lambda lanes, place, tag: torch.tensor(edges).view(2, 4, 1, 1)
    )
    steps = GridPath(0, (), (1,), dtype=torch.float64).on(
        torch.arange(9, dtype=torch.float64) / 3.0
    )
    values = steps.draw(0, 8, (name,))[name].flatten().round(decimals=12).tolist()
    if name == "theta":
        assert values == [1, 1, 0, 0, 0, 0, -1, -1]
    else:
        assert values == [1, 1, 1, 1, -1, -1, -1, -1]


@given(st.integers(0, 2**64 - 1), st.lists(st.integers(0, 9), max_size=8), st.booleans())
@settings(max_examples=20, deadline=None)
def test_any_split_of_the_steps_gives_the_same_bits(
    seed: int, counts: list[int], back: bool
) -> None:
    path = GridPath(seed, (3,), (2,))
    steps = path.on(GRID.flip(0) if back else GRID)
    whole = steps.draw(0, 23, ALL)
    first = 0
    for count in (*counts, 23):
        count = min(count, 23 - first)
        part = steps.draw(first, count, ALL)
        assert same(part, {name: value[first : first + count] for name, value in whole.items()})
        first += count


@given(st.integers(1, 6), st.integers(0, 5), st.sampled_from([torch.float32, torch.float64]))
@settings(max_examples=15, deadline=None)
def test_any_split_of_the_batch_gives_the_same_bits(
    size: int, start: int, dtype: torch.dtype
) -> None:
    base = (1 << 32) - 5  # path indices on both sides of 2**32
    whole = GridPath(1, (11,), (3,), dtype=dtype, first_path=base).on(GRID).draw(0, 5, ALL)
    part = GridPath(1, (size,), (3,), dtype=dtype, first_path=base + start).on(GRID)
    expected = {name: value[:, start : start + size] for name, value in whole.items()}
    assert same(part.draw(0, 5, ALL), expected)
    chosen = torch.tensor([[base + start], [base + 2]])
    picked = GridPath(1, (2, 1), (3,), dtype=dtype, path_index=chosen).on(GRID).draw(0, 5, ALL)
    rows = (chosen - base).flatten()
    assert all(torch.equal(picked[n][:, :, 0], whole[n][:, rows]) for n in ALL)


def test_shape_of_batch_and_channels_only_shapes() -> None:
    flat = GridPath(1, (6,), (12,)).on(GRID).draw(3, 4, ALL)
    shaped = GridPath(1, (2, 3), (2, 3, 2)).on(GRID).draw(3, 4, ALL)
    for name in ALL:
        assert shaped[name].shape == (4, 2, 3, *((1, 1, 1) if name == "eta" else (2, 3, 2)))
        assert torch.equal(shaped[name].reshape(flat[name].shape), flat[name])
    alone = GridPath(1, (), (12,), first_path=4).on(GRID).draw(3, 4, ALL)
    assert same(alone, {name: value[:, 4] for name, value in flat.items()})


def test_asking_for_more_variables_changes_none() -> None:
    steps = GridPath(1, (6,), (2,)).on(GRID)
    together = steps.draw(0, 23, ALL)
    assert same({name: steps.draw(0, 23, (name,))[name] for name in reversed(ALL)}, together)


def test_more_paths_and_channels_leave_the_first_ones() -> None:
    small = GridPath(1, (2,), (1,)).on(GRID).draw(0, 5, ALL)
    large = GridPath(1, (9,), (7,)).on(GRID).draw(0, 5, ALL)
    assert same(small, {name: value[:, :2, :1] for name, value in large.items()})


def test_an_item_with_its_own_seed_does_not_depend_on_its_batch() -> None:
    seeds = torch.tensor([4, 2**63 - 1, 9, 4])
    batch = GridPath(seeds, (4,), (3,)).on(GRID).draw(0, 9, ALL)
    for item, seed in enumerate(seeds.tolist()):
        alone = GridPath(seed, (1,), (3,)).on(GRID).draw(0, 9, ALL)
        assert same(alone, {name: value[:, item : item + 1] for name, value in batch.items()})
    paths = torch.tensor([0, 7, 1, 8])
    batch = GridPath(seeds, (4,), (3,), path_index=paths).on(GRID).draw(0, 9, ALL)
    for item, (seed, index) in enumerate(zip(seeds.tolist(), paths.tolist())):
        alone = GridPath(seed, (1,), (3,), first_path=index).on(GRID).draw(0, 9, ALL)
        assert same(alone, {name: value[:, item : item + 1] for name, value in batch.items()})


def test_paths_channels_seeds_steps_and_kinds_all_differ() -> None:
    values = []
    for seed in (0, 1, 1 << 32, 1 << 63):
        path = GridPath(seed, (40,), (5,), dtype=torch.float64)
        drawn = path.on(torch.arange(24, dtype=torch.float64)).draw(0, 23, ("W", "H", "K"))
        scales = {"W": 1.0, "H": 12.0**0.5, "K": 720.0**0.5}
        values += [(drawn[name] * scale).flatten() for name, scale in scales.items()]
    everything = torch.cat(values)
    # n = 55200 doubles with spacings below 2**-51: two alike by chance have probability of about
    # n**2 / 2 * 0.4 * 2**-51 = 3e-7. A counter used twice would give thousands.
    assert len(everything.unique()) == len(everything)


def test_reversed_grid_retraces_the_path() -> None:
    path = GridPath(8, (5,), (2,))
    forward = path.on(GRID).draw(0, 23, ALL)
    backward = path.on(GRID.flip(0)).draw(0, 23, ALL)
    for name in ALL:
        sign = -1.0 if name in ("W", "K") else 1.0
        assert torch.equal(backward[name], sign * forward[name].flip(0))


def test_float32_and_float64_see_the_same_path() -> None:
    narrow = GridPath(8, (500,), (2,), dtype=torch.float32).on(GRID).draw(0, 23, ALL)
    wide = GridPath(8, (500,), (2,), dtype=torch.float64).on(GRID).draw(0, 23, ALL)
    for name in ALL:
        assert narrow[name].dtype is torch.float32
        assert wide[name].dtype is torch.float64
        # The further 32 bits of a uniform show beyond float32's rounding only next to 0 and 1.
        torch.testing.assert_close(narrow[name], wide[name].float(), rtol=1e-5, atol=1e-5)


def test_gradients_reach_the_grid() -> None:
    grid = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    path = GridPath(8, (3,), (2,), dtype=torch.float64)
    for times in (grid, grid.flip(0)):
        drawn = path.on(times).draw(0, 2, ("W", "H", "K", "theta"))
        for name in drawn:
            (slope,) = torch.autograd.grad(drawn[name].sum(), grid, retain_graph=True)
            per_step = drawn[name].detach().sum(dim=(1, 2))
            if times is not grid:
                per_step = per_step.flip(0)
            by_width = per_step / (2 * torch.diff(grid.detach()))  # d sqrt(h) z / dh
            exact = torch.stack([-by_width[0], by_width[0] - by_width[1], by_width[1]])
            torch.testing.assert_close(slope, exact)


def test_functional_form_compiles_without_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    lanes = GridPath(8, (3,), (2,))._lanes
    compiled = torch.compile(
        lambda place: normals.standard_normals(lanes, place, 1, torch.float32),
        backend="eager",
        fullgraph=True,
    )
    place = torch.arange(5)
    expected = normals.standard_normals(lanes, place, 1, torch.float32)
    torch.testing.assert_close(compiled(place), expected)


def test_block_length_fills_a_buffer_of_two_megabytes() -> None:
    assert GridPath(0, (1 << 10,), (2,), dtype=torch.float32).block_length() == 256
    assert GridPath(0, (1 << 10,), (2,), dtype=torch.float64).block_length() == 128
    assert GridPath(0, (1 << 20,), (2,)).block_length() == 4


def test_empty_requests_and_batches() -> None:
    assert GridPath(0, (3,), (2,)).on(GRID).draw(5, 0, ALL)["H"].shape == (0, 3, 2)
    assert GridPath(0, (0,), (2,)).on(GRID).draw(5, 3, ALL)["H"].shape == (3, 0, 2)
    assert GridPath(0, (3,), (0,)).on(GRID).draw(5, 3, ALL)["W"].shape == (3, 3, 0)
    assert GridPath(0, (3,), (2,)).on(GRID).draw(5, 3, ()) == {}


def test_repr_says_who_and_where() -> None:
    path = GridPath(7, (5, 3), (2,), dtype=torch.float64, first_path=100)
    assert repr(path) == (
        "GridPath(seed=7, batch=(5, 3), channels=(2,), first_path=100, dtype=float64, device=cpu)"
    )
    assert "seed=per item" in repr(GridPath(torch.tensor([1, 2]), (2,), (1,)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_cuda_sees_the_same_path() -> None:
    host = GridPath(8, (500,), (3,), dtype=torch.float64).on(GRID).draw(0, 23, ALL)
    device = GridPath(8, (500,), (3,), dtype=torch.float64, device="cuda").on(GRID).draw(0, 23, ALL)
    for name in ("theta", "sign", "eta"):
        assert torch.equal(device[name].cpu(), host[name])
    for name in ("W", "H", "K"):
        torch.testing.assert_close(device[name].cpu(), host[name], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("error", "message", "keywords"),
    [
        (TypeError, r"int in \[0, 2\*\*64\), not 1.5", {"seed": 1.5}),
        (TypeError, "not True", {"seed": True}),
        (ValueError, r"int in \[0, 2\*\*64\), not -1", {"seed": -1}),
        (ValueError, "not 18446744073709551616", {"seed": 1 << 64}),
        (TypeError, "int64 tensor, not torch.int32", {"seed": torch.zeros(2, dtype=torch.int32)}),
        (ValueError, r"shape of the batch, \(2,\); got \(3,\)", {"seed": torch.zeros(3).long()}),
        (ValueError, "at least 0; the least of these is -4", {"seed": torch.tensor([1, -4])}),
        (ValueError, "path indices lie in", {"first_path": (1 << 40) - 1}),
        (ValueError, "path indices lie in", {"first_path": -1}),
        (TypeError, "first_path is an int", {"first_path": 0.0}),
        (ValueError, "path indices lie in", {"path_index": torch.tensor([0, 1 << 40])}),
        (ValueError, r"shape of the batch, \(2,\)", {"path_index": torch.tensor([0])}),
        (TypeError, "int64 tensor, not torch.float32", {"path_index": torch.zeros(2)}),
        (ValueError, "not both", {"path_index": torch.tensor([0, 1]), "first_path": 1}),
        (ValueError, "give path_index", {"seed": torch.tensor([0, 1]), "first_path": 1}),
        (ValueError, "16777217 in all", {"channels": ((1 << 24) + 1,)}),
        (ValueError, "cannot be negative", {"batch": (-1,)}),
        (ValueError, "float32 or torch.float64, not torch.float16", {"dtype": torch.float16}),
    ],
)
def test_wrong_paths_are_refused(
    error: type[Exception], message: str, keywords: dict[str, object]
) -> None:
    arguments: dict[str, object] = {"seed": 0, "batch": (2,), "channels": (1,), **keywords}
    with pytest.raises(error, match=message):
        GridPath(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "grid"),
    [
        ("at least two times", [1.0]),
        ("1-D tensor", [[0.0, 1.0], [1.0, 2.0]]),
        (r"t\[1\] = 1.0 is followed by t\[2\] = 1.0", [0.0, 1.0, 1.0]),
        (r"t\[1\] = 1.0 is followed by t\[2\] = 0.5", [0.0, 1.0, 0.5]),
        (r"t\[1\] = 1.0 is followed by t\[2\] = 1.5", [2.0, 1.0, 1.5]),
        ("NaN or infinity", [0.0, 1.0, float("inf")]),
        ("NaN or infinity", [0.0, float("nan"), 1.0]),
    ],
)
def test_wrong_grids_are_refused(message: str, grid: list[float]) -> None:
    with pytest.raises(ValueError, match=message):
        GridPath(0, (2,), (1,)).on(torch.tensor(grid, dtype=torch.float64))


def test_wrong_requests_are_refused() -> None:
    steps = GridPath(0, (2,), (1,)).on(GRID)
    for first, count in ((-1, 2), (22, 2), (0, -1)):
        with pytest.raises(ValueError, match="the grid has 23"):
            steps.draw(first, count, ("W",))
    with pytest.raises(ValueError, match="unknown variable 'Z'; the variables are W, H"):
        steps.draw(0, 1, ("W", "Z"))
