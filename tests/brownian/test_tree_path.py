"""Tree mode: one path for every grid and every order of queries.

Statistical tests compare at six standard errors: a false alarm has probability 2e-9 a comparison,
and below 1e-6 for each test (at most four hundred comparisons each). Seeds are fixed.
"""

from __future__ import annotations

import inspect
import math
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sdeint.brownian import TreePath, logarithmic
from sdeint.brownian.chen import join_runs

SIX = 6.0
DTYPES = [torch.float32, torch.float64]
BOTH = ("W", "H")


def linear(batch: tuple[int, ...] = (3,), **keywords: Any) -> TreePath:
    options: dict[str, Any] = {"t0": -1.0, "t1": 3.0, "dtype": torch.float64, **keywords}
    return TreePath(21, batch, (2,), **options)


def warped(batch: tuple[int, ...] = (3,), **keywords: Any) -> TreePath:
    options: dict[str, Any] = {"t0": 1e-4, "t1": 1e4, "dtype": torch.float64, **keywords}
    return TreePath(21, batch, (2,), warp=logarithmic(1e-4, 1e4), **options)


KINDS = {"linear": linear, "warped": warped}


def at(path: TreePath, shares: Tensor | list[float]) -> Tensor:
    """Times at the given shares of the domain, in its own parameter."""
    shares = torch.as_tensor(shares, dtype=torch.float64)
    if path.warp is not None:
        return path.warp[0](shares).clamp(path.t0, path.t1)
    return path.t0 + (path.t1 - path.t0) * shares


# Shares of the domain; dyadic ones with coarse and fine denominators, and arbitrary ones.
SHARE = st.one_of(
    st.floats(0.0, 1.0),
    st.integers(0, 64).map(lambda k: k / 64),
    st.integers(0, 1 << 20).map(lambda k: k / (1 << 20)),
    st.integers(0, 30).map(lambda k: k / 30),
)


def spaced(shares: list[float]) -> Tensor:
    """Sorted, without those that share one finest interval."""
    kept = [
        s for i, s in enumerate(sorted(shares)) if i == 0 or s - sorted(shares)[i - 1] > 2.0**-20
    ]
    return torch.tensor(kept, dtype=torch.float64)


PARTITION = st.lists(SHARE, min_size=4, max_size=12).map(spaced).filter(lambda s: len(s) >= 3)


def joined(w: Tensor, h: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """W and H of the whole from its parts, by int W_u du = sum of h_i (W_before + W_i/2 + H_i)."""
    widths = torch.diff(times).view(-1, *(1,) * (w.ndim - 1)).to(w.dtype)
    before = torch.cumsum(w, dim=0) - w
    total, length = w.sum(dim=0), float(times[-1] - times[0])
    return total, (widths * (before + w / 2 + h)).sum(dim=0) / length - total / 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "shares", [[0, 0.25, 0.5, 0.75, 1], [0.1, 0.11, 1 / 3, 0.5, 0.7001, 1], [0.2, 0.9]]
)
def test_steps_are_independent_with_their_law(
    kind: str, shares: list[float], dtype: torch.dtype
) -> None:
    n = 10_000
    path = KINDS[kind]((n,), dtype=dtype)
    times = at(path, shares)
    steps = len(times) - 1
    drawn = path.on(times).draw(0, steps, BOTH)
    h = torch.diff(times).view(-1, 1, 1)
    z = torch.stack([drawn["W"].double() / h.sqrt(), drawn["H"].double() / (h / 12).sqrt()])
    z = z.movedim(2, -1).reshape(-1, n)  # 2 kinds x steps x 2 channels
    assert z.mean(dim=1).abs().max().item() < SIX / math.sqrt(n)
    covariance = z @ z.T / n
    assert (covariance.diagonal() - 1).abs().max().item() < SIX * math.sqrt(2 / n)
    assert covariance.fill_diagonal_(0).abs().max().item() < SIX / math.sqrt(n)


def test_covariance_of_a_whole_grid_is_exact_not_only_statistically(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a unit vector for every normal of the tree, the covariance of the steps is algebra."""
    import sdeint.brownian.tree_path as module

    columns: dict[tuple[int, int], int] = {}
    size = 400

    def units(lanes: object, place: Tensor, tag: int, dtype: torch.dtype) -> Tensor:
        out = torch.zeros((len(place), 4, 1, size), dtype=dtype)
        for row, where in enumerate(place.tolist()):
            base = columns.setdefault((tag, where), 4 * len(columns))
            for j in range(4):
                out[row, j, 0, base + j] = 1.0
        return out

    monkeypatch.setattr(module, "standard_normals", units)
    for path, shares in (
        (TreePath(0, (), (size,), t0=0.0, t1=2.0, depth=6, dtype=torch.float64),
         [0.0, 0.013, 0.25, 0.3, 0.62, 0.63, 0.97, 1.0]),
        (TreePath(0, (), (size,), t0=0.1, t1=50.0, depth=6, warp=logarithmic(0.1, 50.0),
                  dtype=torch.float64), [0.013, 0.04, 0.25, 0.3, 0.62, 0.64, 0.97]),
    ):  # fmt: skip
        columns.clear()
        times = at(path, shares)
        steps = len(times) - 1
        drawn = path.on(times).draw(0, steps, BOTH)
        rows = torch.cat([drawn["W"], drawn["H"]])
        h = torch.diff(times)
        exact = torch.cat([h, h / 12])
        correlation = (rows @ rows.T) / torch.sqrt(torch.outer(exact, exact))
        # In the linear tree every length is exact to rounding, hence the law as well.
        torch.testing.assert_close(
            correlation, torch.eye(2 * steps, dtype=torch.float64), rtol=0, atol=1e-12
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@given(shares=PARTITION)
@settings(max_examples=12, deadline=None)
def test_coarse_increments_join_the_fine_ones(
    kind: str, dtype: torch.dtype, shares: Tensor
) -> None:
    path = KINDS[kind](dtype=dtype)
    times = at(path, shares)
    fine = path.on(times).draw(0, len(times) - 1, BOTH)
    coarse = path.increment(float(times[0]), float(times[-1]), BOTH)
    w, h = joined(fine["W"].double(), fine["H"].double(), times)
    size = 200 * torch.finfo(dtype).eps * math.sqrt(float(times[-1] - times[0]))
    if (
        path.warp is not None
    ):  # times on a clock of eight decades are rounded to 1e-16 of 18 e-folds
        size *= 4
    assert (coarse["W"].double() - w).abs().max().item() < size
    assert (coarse["H"].double() - h).abs().max().item() < size


@pytest.mark.parametrize("kind", KINDS)
@given(shares=PARTITION, data=st.data())
@settings(max_examples=12, deadline=None)
def test_order_and_split_of_queries_do_not_change_bits(
    kind: str, shares: Tensor, data: st.DataObject
) -> None:
    path = KINDS[kind](dtype=torch.float32)
    times = at(path, shares)
    n = len(times) - 1
    whole = path.on(times).draw(0, n, BOTH)
    for step in data.draw(st.permutations(range(n))):
        alone = path.increment(float(times[step]), float(times[step + 1]), BOTH)
        assert all(torch.equal(alone[name], whole[name][step]) for name in BOTH)
    first = data.draw(st.integers(0, n))
    count = data.draw(st.integers(0, n - first))
    part = path.on(times).draw(first, count, BOTH)
    assert all(torch.equal(part[name], whole[name][first : first + count]) for name in BOTH)


@pytest.mark.parametrize("kind", KINDS)
@given(shares=PARTITION)
@settings(max_examples=12, deadline=None)
def test_reversal_changes_the_sign_of_w_and_not_of_h(kind: str, shares: Tensor) -> None:
    path = KINDS[kind]()
    times = at(path, shares)
    n = len(times) - 1
    forward = path.on(times).draw(0, n, BOTH)
    backward = path.on(times.flip(0)).draw(0, n, BOTH)
    assert torch.equal(backward["W"], -forward["W"].flip(0))
    assert torch.equal(backward["H"], forward["H"].flip(0))
    s, t = float(times[0]), float(times[1])
    assert torch.equal(path.increment(t, s)["W"], -path.increment(s, t)["W"])
    assert torch.equal(path.increment(t, s, ("H",))["H"], path.increment(s, t, ("H",))["H"])


def test_w_is_the_same_whether_or_not_h_is_asked_for() -> None:
    steps = linear().on(at(linear(), [0.1, 0.4, 0.5]))
    assert torch.equal(steps.draw(0, 2, ("W",))["W"], steps.draw(0, 2, ("H", "W"))["W"])
    assert set(steps.draw(0, 2, ("H",))) == {"H"}


def test_a_part_of_the_batch_reproduces_the_whole() -> None:
    times = at(linear(), [0.0, 0.25, 1 / 3, 0.5, 1.0])
    whole = linear((40,), dtype=torch.float32).on(times).draw(0, 4, BOTH)
    part = linear((7,), dtype=torch.float32, first_path=13).on(times).draw(0, 4, BOTH)
    assert all(torch.equal(part[name], whole[name][:, 13:20]) for name in BOTH)
    wide = (
        TreePath(21, (40,), (5,), t0=-1.0, t1=3.0, dtype=torch.float32).on(times).draw(0, 4, BOTH)
    )
    assert all(torch.equal(wide[name][..., :2], whole[name]) for name in BOTH)
    seeds = torch.tensor([21, 5])
    items = TreePath(seeds, (2,), (2,), t0=-1.0, t1=3.0, dtype=torch.float32)
    mine = items.on(times).draw(0, 4, BOTH)
    assert all(torch.equal(mine[name][:, 0], whole[name][:, 0]) for name in BOTH)


@pytest.mark.parametrize("kind", KINDS)
def test_float32_and_float64_see_the_same_path(kind: str) -> None:
    path = KINDS[kind]((200,))
    times = at(path, [0.0, 0.1, 0.5, 0.75, 0.751, 1.0])
    wide = path.on(times).draw(0, 5, BOTH)
    narrow = KINDS[kind]((200,), dtype=torch.float32).on(times).draw(0, 5, BOTH)
    for name in BOTH:
        assert narrow[name].dtype is torch.float32
        scale = torch.diff(times).sqrt().view(-1, 1, 1)
        error = (narrow[name].double() - wide[name]).abs() / scale
        assert error.max().item() < 1e-3  # a uniform's further bits, where they are many
        assert error.median().item() < 1e-6


def test_greater_depth_refines_the_same_path() -> None:
    dyadic = at(linear(), [0.0, 0.25, 0.375, 1.0])
    coarse, fine = linear(depth=3), linear(depth=40)
    for name in BOTH:
        one = coarse.on(dyadic).draw(0, 3, BOTH)[name]
        assert torch.equal(one, fine.on(dyadic).draw(0, 3, BOTH)[name])
    # Elsewhere they differ by the bridge within the coarse tree's finest interval.
    apart = (
        linear(depth=10).increment(-1.0, 0.123)["W"] - linear(depth=20).increment(-1.0, 0.123)["W"]
    )
    assert 0 < apart.abs().max().item() < 6 * math.sqrt(4.0 * 2.0**-10)


def test_rounded_dyadic_times_are_the_nodes() -> None:
    path = TreePath(3, (2,), (1,), t0=0.1, t1=0.7, dtype=torch.float64)
    exact = path.on(0.1 + (0.7 - 0.1) * torch.arange(9, dtype=torch.float64) / 8)
    rounded = path.on(torch.linspace(0.1, 0.7, 9, dtype=torch.float64) * (1 + 2e-16))
    assert torch.equal(exact.draw(0, 8, BOTH)["H"], rounded.draw(0, 8, BOTH)["H"])
    assert rounded.drawn == exact.drawn < 30


def test_a_deep_tree_neither_recurses_nor_is_left_by_rounding() -> None:
    # The traps: a call for each level; and a last time that rounding has put beyond the end.
    path = TreePath(3, (2,), (1,), t0=0.1, t1=0.7, depth=44, dtype=torch.float64)
    grid = torch.tensor([0.1 - 1e-17, 0.3, 0.7 + 1.2e-16], dtype=torch.float64)
    assert float(grid[-1]) > path.t1
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 40)
    try:
        drawn = path.on(grid).draw(0, 2, BOTH)
    finally:
        sys.setrecursionlimit(limit)
    whole = path.increment(path.t0, path.t1)["W"]
    torch.testing.assert_close(drawn["W"].sum(0), whole, rtol=0, atol=1e-14)


def test_a_dyadic_grid_in_order_costs_a_constant_number_of_normals_a_step() -> None:
    for level in (10, 14):
        path = linear(())
        steps = path.on(at(path, torch.arange((1 << level) + 1) / (1 << level)))
        block = 64
        for first in range(0, 8 * block, block):
            steps.draw(first, block, ("W",))
        per_step = steps.drawn / (8 * block)
        # Two for each of the 62 splits below the block's own node; four for that node and for each
        # of its level - 6 ancestors, the last of which shares them with the root.
        assert per_step == (2 * 62 + 4 + 4 * (level - 6)) / block
    whole = linear(()).on(at(linear(), torch.arange(1025) / 1024))
    whole.draw(0, 1024, ("W",))
    assert whole.drawn / 1024 < 2.01


def test_a_query_stops_at_the_node() -> None:
    path = linear(())
    steps = path.on(at(path, [0.0, 1.0]))
    steps.draw(0, 1, BOTH)
    assert steps.drawn == 4
    steps = path.on(at(path, [0.0, 0.3]))
    steps.draw(0, 1, BOTH)
    assert steps.drawn == 4 * (path.depth + 1)  # the levels and the finest interval


def test_zero_length_and_empty_requests() -> None:
    path = linear()
    nothing = path.increment(0.5, 0.5, BOTH)
    assert all(
        torch.equal(value, torch.zeros(3, 2, dtype=torch.float64)) for value in nothing.values()
    )
    steps = path.on(torch.tensor([0.0, 1.0]))
    assert steps.draw(1, 0, BOTH)["H"].shape == (0, 3, 2)
    assert steps.draw(0, 1, ()) == {}
    assert steps.draw(1, 0, ("A",))["A"].shape == (0, 3, 2, 2)
    assert torch.equal(
        path.increment(0.5, 0.5, ("A",))["A"], torch.zeros(3, 2, 2, dtype=torch.float64)
    )


# ---------------------------------------------------------------------- Levy areas

THREE = ("W", "H", "A")


@pytest.mark.parametrize("kind", KINDS)
@given(shares=PARTITION, data=st.data())
@settings(max_examples=6, deadline=None)
def test_areas_have_the_same_bits_in_any_order_and_change_sign_with_the_direction(
    kind: str, shares: Tensor, data: st.DataObject
) -> None:
    path = KINDS[kind](dtype=torch.float32, accuracy=5.0, depth=40)
    times = at(path, shares)
    n = len(times) - 1
    whole = path.on(times).draw(0, n, THREE)
    assert all(torch.equal(whole[m], path.on(times).draw(0, n, BOTH)[m]) for m in BOTH)
    first = data.draw(st.integers(0, n))
    count = data.draw(st.integers(0, n - first))
    part = path.on(times).draw(first, count, ("A",))["A"]
    assert torch.equal(part, whole["A"][first : first + count])
    back = path.on(times.flip(0)).draw(0, n, ("A",))["A"]
    assert torch.equal(back, -whole["A"].flip(0))
    s, t = float(times[0]), float(times[1])
    assert torch.equal(path.increment(s, t, ("A",))["A"], whole["A"][0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 4])
def test_areas_of_a_coarse_step_are_those_of_fine_steps_to_the_stated_error(
    kind: str, count: int
) -> None:
    """``E (A - A~)^2`` is at most ``accuracy^2 h^3``, and ``h^2/(12 N)`` where N parts are nodes."""
    n = 2000
    path = KINDS[kind]((n,), accuracy=0.2 if kind == "linear" else 10.0)
    times = at(path, torch.linspace(0.125, 0.25, 17, dtype=torch.float64))
    fine = path.on(times).draw(0, 16, THREE)
    names = {name: fine[name] for name in ("W", "A")}
    each = 16 // count
    joined, lengths = join_runs(names, torch.diff(times), torch.full((count,), each))
    coarse = path.on(times[::each]).draw(0, count, THREE)
    torch.testing.assert_close(joined["W"], coarse["W"])
    error = (joined["A"] - coarse["A"])[..., 0, 1].square().mean(1)
    assert bool((error < path.accuracy**2 * lengths**3 * (1 + SIX * 3 / math.sqrt(n))).all())
    if kind == "linear" and count == 1:
        parts = 2 ** math.ceil(math.log2(1 / (12 * path.accuracy**2 * 0.5)))
        # The fine steps have an error of their own.
        expected = 0.5**2 / (12 * parts)
        assert float(error) == pytest.approx(expected, rel=0.3)


def test_areas_of_steps_too_short_for_the_tree_are_refused() -> None:
    with pytest.raises(ValueError, match=r"greater depth than 5 .*or use a NestedPath"):
        linear(depth=5, accuracy=0.1).increment(0.0, 0.3, ("A",))
    with pytest.raises(ValueError, match=r"channels \(m,\), not \(2, 2\)"):
        TreePath(0, (), (2, 2), t0=0.0, t1=1.0).increment(0.0, 1.0, ("A",))


def test_repr_says_the_domain() -> None:
    assert repr(warped()) == (
        "TreePath(seed=21, batch=(3,), channels=(2,), t0=0.0001, t1=10000, warp=..., depth=24, "
        "dtype=float64, device=cpu)"
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
def test_cuda_sees_the_same_path() -> None:
    for kind in KINDS.values():
        times = at(kind(), [0.0, 0.1, 0.5, 0.75, 0.751, 1.0])
        host = kind().on(times).draw(0, 5, BOTH)
        device = kind(device="cuda").on(times).draw(0, 5, BOTH)
        for name in BOTH:
            torch.testing.assert_close(device[name].cpu(), host[name], rtol=1e-10, atol=1e-12)


def test_wrong_trees_are_refused() -> None:
    def half(u: Tensor) -> Tensor:
        return u / 2

    def double(u: Tensor) -> Tensor:
        return u * 2

    def wave(u: Tensor) -> Tensor:
        return u + torch.sin(6.283185307179586 * u)

    def tree(**keywords: Any) -> TreePath:
        return TreePath(0, (), (1,), **{"t0": 0.0, "t1": 1.0, **keywords})

    for keywords, message in (
        ({"t1": 0.0}, "t0 < t1; got t0 = 0.0, t1 = 0.0"),
        ({"t0": float("nan")}, "finite t0 < t1"),
        ({"t1": float("inf")}, "finite t0 < t1"),
        ({"depth": 0}, r"\[1, 44\]; got 0"),
        ({"depth": 45}, r"\[1, 44\]; got 45"),
        ({"warp": (half, double)}, "1 to 0.5"),
        ({"warp": (wave, wave)}, "strictly increasing"),
        ({"warp": (lambda u: u, half)}, "must invert the first"),
    ):
        with pytest.raises(ValueError, match=message):
            tree(**keywords)
    with pytest.raises(ValueError, match="0 < t0 < t1"):
        logarithmic(0.0, 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_times_outside_the_domain_are_refused(kind: str) -> None:
    path = KINDS[kind]()
    for s, t, bad in ((path.t0, path.t1 * 1.01, path.t1 * 1.01), (-7.0, path.t1, -7.0)):
        with pytest.raises(ValueError, match=f"time {bad!r} lies outside the tree's domain"):
            path.increment(s, t)
    with pytest.raises(ValueError, match="outside"):
        path.increment(1e9, 1e9)


def test_wrong_requests_are_refused() -> None:
    path = linear()
    steps = path.on(torch.tensor([0.0, 1.0]))
    for name in ("theta", "sign", "eta", "K"):
        with pytest.raises(ValueError, match="path='grid'"):
            steps.draw(0, 1, ("W", name))
    with pytest.raises(ValueError, match="unknown variable 'w'"):
        path.increment(0.0, 1.0, ("w",))
    with pytest.raises(ValueError, match="the grid has 1"):
        steps.draw(0, 2, ("W",))
    with pytest.raises(ValueError, match="inside one finest interval"):
        path.increment(0.3, 0.3 + 1e-8)
    with pytest.raises(ValueError, match="nowhere differentiable"):
        path.on(torch.tensor([0.0, 1.0], requires_grad=True))
