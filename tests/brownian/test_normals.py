"""Normals: the law, its tails, and the same bits in every form.

Statistical tests compare at six standard errors: a false alarm has probability 2e-9 a comparison,
and below 1e-6 for each test (at most a hundred comparisons each). Seeds are fixed.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from sdeint.brownian import GridPath, normals
from sdeint.brownian.counters import Lanes
from sdeint.brownian.normals import standard_normals
from sdeint.brownian.philox import MASK

SIX = 6.0
DTYPES = [torch.float32, torch.float64]


def lanes(paths: int, channels: int = 1, seed: int = 5) -> Lanes:
    return Lanes(seed, torch.arange(paths), channels, torch.device("cpu"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_moments_are_those_of_independent_standard_normals(dtype: torch.dtype) -> None:
    n = 200_000
    z = standard_normals(lanes(n), torch.arange(2), 1, dtype).reshape(8, n).double()
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        error = ((z**power).mean(dim=1) - mean).abs().max().item()
        assert error < SIX * math.sqrt(variance / n)
    off_diagonal = (z @ z.T / n).fill_diagonal_(0.0)
    assert off_diagonal.abs().max().item() < SIX / math.sqrt(n)
    squares = z**2 - 1
    off_diagonal = (squares @ squares.T / n).fill_diagonal_(0.0)
    assert off_diagonal.abs().max().item() < SIX * 2.0 / math.sqrt(n)


def test_distribution_is_normal_into_the_tails() -> None:
    n = 1 << 20
    z = standard_normals(lanes(n // 4), torch.arange(1), 1, torch.float32).reshape(-1).numpy()
    assert stats.kstest(z.astype(np.float64), "norm").pvalue > 1e-7
    for bound in (3.0, 4.0, 4.5):
        p = 2.0 * stats.norm.sf(bound)
        observed = int((np.abs(z) > bound).sum())
        # Exact binomial tails, 1e-8 on either side.
        assert stats.binom.ppf(1e-8, n, p) <= observed <= stats.binom.isf(1e-8, n, p)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("word", [0, 1, (1 << 31) - 1, 1 << 31, MASK - 1, MASK])
def test_radius_is_accurate_where_uniforms_are_near_zero_and_one(
    monkeypatch: pytest.MonkeyPatch, word: int, dtype: torch.dtype
) -> None:
    # The angle's word is 0 (the angle is then 0 to 1e-9): the first normal of a pair is the radius.
    def constant(counter: object, key: object) -> tuple[torch.Tensor, ...]:
        return tuple(torch.full((1, 1, 1), w) for w in (word, 0, word, 0))

    monkeypatch.setattr(normals, "philox_words", constant)
    radius = normals.four_normals(lanes(1), torch.arange(1), 1, dtype)[0].item()
    half = 0.5 if dtype is torch.float32 else (word + 0.5) * 2.0**-32
    offset = (word - (1 << 32) if word >> 31 else word) + half
    log = math.log1p(offset * 2.0**-32) if word >> 31 else math.log(offset * 2.0**-32)
    assert radius == pytest.approx(math.sqrt(-2.0 * log), rel=4 * torch.finfo(dtype).eps)
    bound = math.sqrt(66 * math.log(2)) if dtype is torch.float32 else math.sqrt(130 * math.log(2))
    assert 0.0 < radius <= bound * (1 + torch.finfo(dtype).eps)


def test_both_precisions_see_the_same_normals() -> None:
    narrow = standard_normals(lanes(1 << 16), torch.arange(4), 1, torch.float32).double()
    wide = standard_normals(lanes(1 << 16), torch.arange(4), 1, torch.float64)
    error = (narrow - wide).abs()
    # Six units in the last place near |z| = 1, but for the few whose uniform is so near 0 or 1 that
    # the 32 further bits show: |dr| = |du| / (u r) > 1e-6 has probability below 2e-4.
    assert error.max().item() < 1e-2
    assert (error > 1.5e-6).double().mean().item() < 5e-4
    assert error.median().item() < 1e-7


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tile", [1, 7, 64, 1 << 14])
def test_tiles_do_not_change_bits(
    monkeypatch: pytest.MonkeyPatch, tile: int, dtype: torch.dtype
) -> None:
    some = Lanes(3, torch.tensor([5, 1, 1 << 33, (1 << 40) - 1, 9]), 3, torch.device("cpu"))
    place = torch.tensor([0, 1, 5, 1 << 40, (1 << 56) - 1])
    whole = torch.stack(normals.four_normals(some, place, 2, dtype), dim=1)
    monkeypatch.setattr(normals, "TILE", tile)
    assert torch.equal(standard_normals(some, place, 2, dtype), whole)


def test_no_two_counters_of_a_block_coincide() -> None:
    index = torch.tensor([0, 1, 1 << 32, (1 << 40) - 1])
    seen = set()
    for tag in (1, 2, 1 | normals.LOW_BITS):
        some = Lanes(3, index, 3, torch.device("cpu"))
        words, _ = some.counter_and_key(torch.tensor([0, 1, 1 << 32, (1 << 56) - 1]), tag)
        for row in torch.stack(torch.broadcast_tensors(*words), dim=-1).reshape(-1, 4).tolist():
            assert all(0 <= word <= MASK for word in row)
            seen.add(tuple(row))
    assert len(seen) == 3 * 4 * 4 * 3


def test_thread_count_does_not_change_bits() -> None:
    path = GridPath(11, (40_000,), (2,), dtype=torch.float32)
    steps = path.on(torch.linspace(0, 1, 6, dtype=torch.float64))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = steps.draw(0, 5, ("W", "theta"))
        torch.set_num_threads(2)
        two = steps.draw(0, 5, ("W", "theta"))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one[name], two[name]) for name in one)
