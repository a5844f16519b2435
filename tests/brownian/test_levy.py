"""Levy areas: their law given the path's own W, H and K, the error of truncation, the bits.

Statistical tests compare means with six of their standard errors: a false alarm has probability
2e-9 a comparison, and below 1e-6 for each test (at most two hundred comparisons each). Seeds are
fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sdeint.brownian import BrownianPath, GridPath, NestedPath, TreePath
from sdeint.brownian import levy as module

SIX = 6.0
METHODS = ["mrongowius-roessler", "wiktorsson"]
PATH = ("W", "H", "K")
ALL = (*PATH, "A")
# Steps that need different numbers of terms, not in order of their length.
GRID = torch.tensor([0.0, 1.0, 1.001, 1.5, 1.51, 1.6, 1.6001, 3.0, 3.02], dtype=torch.float64)


def insignificant(samples: Tensor) -> None:
    """The mean of each row is zero within its standard error."""
    error = samples.std(dim=-1) / math.sqrt(samples.shape[-1])
    assert float((samples.mean(dim=-1).abs() / error).max()) < SIX


def of_length(h: float, path: BrownianPath, names: tuple[str, ...] = ALL) -> dict[str, Tensor]:
    """The variables of the one step of (n,) paths, the channels first: (m, n) and (m, m, n)."""
    drawn = path.on(torch.tensor([0.0, h], dtype=torch.float64)).draw(0, 1, names)
    return {name: value[0].movedim(0, -1) for name, value in drawn.items()}


def grid_path(n: int, m: int, method: str, accuracy: float) -> GridPath:
    return GridPath(5, (n,), (m,), areas=method, accuracy=accuracy, dtype=torch.float64)


def resolved(n: int, m: int, h: float, parts: int = 8) -> NestedPath:
    """Areas of the resolved path: those of the parts, of which one term is drawn, matter little."""
    grid = torch.linspace(0.0, h, parts + 1, dtype=torch.float64)
    return NestedPath(grid_path(n, m, METHODS[0], 100.0), grid)


LAWS: dict[str, Callable[[int, int, float], BrownianPath]] = {
    "mrongowius-roessler": lambda n, m, h: grid_path(n, m, METHODS[0], 0.03),
    "wiktorsson": lambda n, m, h: grid_path(n, m, METHODS[1], 0.06),
    "resolved": resolved,
}


# ---------------------------------------------------------------------- the law


@pytest.mark.parametrize("law", LAWS)
def test_characteristic_function_is_levys(law: str) -> None:
    """E[exp(i <c, A>) | W] for one frequency |c| in any direction of the three areas.

    In the plane that turns, z/sinh z exp(-|w|^2/(2h) (z coth z - 1)), z = |c| h/2, with w the part
    of W in that plane.
    """
    n, h = 40_000, 0.7
    drawn = of_length(h, LAWS[law](n, 3, h), ("W", "A"))
    w, a = drawn["W"], drawn["A"]
    areas = torch.stack([a[1, 2], a[2, 0], a[0, 1]])
    rows = []
    for direction in ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (2 / 3, -1 / 3, 2 / 3)):
        c = torch.tensor(direction, dtype=torch.float64)
        along = c @ w
        plane = (w**2).sum(0) - along**2
        for z in (0.5, 1.5, 4.0):
            turned = c @ areas * (2 * z / h)
            exact = z / math.sinh(z) * torch.exp(-plane / (2 * h) * (z / math.tanh(z) - 1))
            rows += [torch.cos(turned) - exact, (torch.cos(turned) - exact) * torch.exp(-plane / h)]
            rows += [torch.sin(turned), torch.sin(turned) * w[0] * w[1]]
    insignificant(torch.stack(rows))


@pytest.mark.parametrize("law", LAWS)
def test_moments_given_the_increment_are_exact(law: str) -> None:
    n, h = 60_000, 0.7
    drawn = of_length(h, LAWS[law](n, 3, h), ("W", "A"))
    w, a = drawn["W"], drawn["A"]
    rows = []
    for k, l in combinations(range(3), 2):
        square = a[k, l] ** 2 - h**2 / 12 - h * (w[k] ** 2 + w[l] ** 2) / 12
        rows += [a[k, l], a[k, l] * w[k] * w[l], square, square * w[k] ** 2, square * w[k] * w[l]]
        rows += [a[k, l] ** 4 - 5 * h**4 / 16, a[k, l] ** 3]
    for k, l, r in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        product = a[k, l] * a[k, r] - h * w[l] * w[r] / 12
        rows += [product, product * w[l] * w[r], product * w[k] * w[l]]
    insignificant(torch.stack(rows))


@pytest.mark.parametrize("accuracy", [100.0, 0.1])
def test_the_mean_given_all_that_the_path_has_is_exact_for_any_number_of_terms(
    accuracy: float,
) -> None:
    """E[A_kl | W, H, K] = H_k W_l - W_k H_l + 12 (K_k H_l - H_k K_l): rows are the inner channel."""
    n, h = 60_000, 0.7
    drawn = of_length(h, grid_path(n, 3, METHODS[0], accuracy))
    w, s, k, a = (drawn[name] for name in ALL)
    rows = []
    for i, j in combinations(range(3), 2):
        parts = (s[i] * w[j] - w[i] * s[j], 12 * (k[i] * s[j] - s[i] * k[j]))
        rest = a[i, j] - sum(parts)
        rows += [rest, *(rest * part for part in parts), rest * w[i] * k[j], rest * k[i] * k[j]]
        rows += [rest**2 - h**2 / 20]
    insignificant(torch.stack(rows))


@pytest.mark.parametrize("source", ["grid", "resolved", "tree"])
def test_the_sign_of_the_area_is_that_of_its_definition(source: str) -> None:
    """A transposed area changes the sign of its regression on H_k W_l - W_k H_l."""
    n, h = 4000, 0.7
    path = {
        "grid": grid_path(n, 2, METHODS[0], 1.0),
        "resolved": resolved(n, 2, h),
        "tree": TreePath(5, (n,), (2,), t0=0.0, t1=1.0, dtype=torch.float64),
    }[source]
    drawn = of_length(h, path, ("W", "H", "A"))
    w, s, a = drawn["W"], drawn["H"], drawn["A"]
    mean = s[0] * w[1] - w[0] * s[1]
    insignificant(((a[0, 1] - mean) * mean).unsqueeze(0))
    assert torch.equal(module.mean_area(w.T, s.T)[:, 0, 1], mean)


def test_the_sign_of_the_mean_is_that_of_the_areas_of_polygons() -> None:
    """From definitions only: sums of W_k dW_l, and the integral of the bridge by trapezoids."""
    n, parts = 4000, 512
    steps = torch.linspace(0.0, 1.0, parts + 1, dtype=torch.float64)
    fine = grid_path(n, 2, METHODS[0], 1.0).on(steps).draw(0, parts, ("W",))["W"]
    before = torch.cumsum(fine, 0) - fine
    w = fine.sum(0)
    middle = before + fine / 2
    s = (middle - w * (steps[1:] + steps[:-1]).view(-1, 1, 1) / 2).mean(0)
    double = torch.einsum("npk,npl->pkl", middle, fine)
    area = (double[:, 0, 1] - double[:, 1, 0]) / 2
    mean = s[:, 0] * w[:, 1] - w[:, 0] * s[:, 1]
    insignificant(((area - mean) * mean).unsqueeze(0))
    assert float((area * mean).mean()) > 0.1


# ---------------------------------------------------------------------- the error of truncation


class Resolved:
    """A path of length 1 by a long series, and the Gaussians that are as near to its tails as can be.

    Given the tails of one kind of coefficient the rest of the double sum is Gaussian; its covariance
    taken away, it gives the normals that the truncated area wants in its place.
    """

    def __init__(self, m: int, n: int, terms: int) -> None:
        make = torch.Generator().manual_seed(8)
        self.m = m
        self.x, self.y = (
            torch.randn(terms, n, m, dtype=torch.float64, generator=make) for _ in "ab"
        )
        self.r = torch.arange(1, terms + 1, dtype=torch.float64).view(-1, 1, 1)
        self.w = torch.randn(n, m, dtype=torch.float64, generator=make)
        root = math.sqrt(2.0) * math.pi
        self.h = -(self.x / self.r).sum(0) / root
        self.k = (self.y / self.r**2).sum(0) / (2 * math.pi * root)
        self.pairs = module.pairs(m)
        self.area = self.wedge(self.h, self.w) + self.double(self.x, self.y, 0)

    def wedge(self, a: Tensor, b: Tensor) -> Tensor:
        k, l = self.pairs
        return a[..., k] * b[..., l] - b[..., k] * a[..., l]

    def double(self, x: Tensor, y: Tensor, p: int) -> Tensor:
        return (self.wedge(x[p:], y[p:]) / self.r[p:]).sum(0) / (2 * math.pi)

    def covariance(self, fixed: Tensor, p: int, without: Tensor | None) -> Tensor:
        """Of ``sum (fixed_k z_l - z_k fixed_l)/(2 pi r)`` over standard normals z, and, if given,
        conditionally on ``sum z without``."""
        rows = fixed[p:] / (2 * math.pi * self.r[p:])
        k, l = self.pairs
        weights = torch.zeros(*rows.shape, len(k), dtype=torch.float64)
        pair = torch.arange(len(k))
        weights[..., l, pair] = rows[..., k]
        weights[..., k, pair] = -rows[..., l]
        if without is not None:
            unit = (without[p:] / without[p:].square().sum().sqrt()).unsqueeze(-1)
            weights = weights - unit * (unit * weights).sum(0)
        return torch.einsum("rnci,rncj->nij", weights, weights)

    def normals(self, rest: Tensor, covariance: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(covariance)
        inverse = vectors @ torch.diag_embed(values.rsqrt()) @ vectors.transpose(-1, -2)
        return torch.einsum("nij,nj->ni", inverse, rest)

    def last(self, p: int, method: str) -> Tensor:
        """The pairs' normals."""
        if method == METHODS[1]:  # given the b_r and W, all that has a_r with r > p
            fixed = self.y - math.sqrt(2.0) * self.w
            rest = self.double(self.x, fixed, p)
            return self.normals(rest, self.covariance(fixed, p, None))
        square = 1 / self.r**2
        tail = (self.y * square)[p:].sum(0) / square[p:].square().sum()
        mean = self.wedge((self.x / self.r**3)[p:].sum(0), tail) / (2 * math.pi)
        rest = self.double(self.x, self.y, p) - mean
        return self.normals(rest, self.covariance(self.x, p, square))

    def truncated(self, p: int, method: str) -> Tensor:
        tails = [
            (self.x / self.r)[p:].sum(0) / (1 / self.r**2)[p:].sum().sqrt(),
            (self.y / self.r**2)[p:].sum(0) / (1 / self.r**4)[p:].sum().sqrt(),
        ]
        terms = [v for r in range(p) for v in (self.x[r], self.y[r])]
        flat = [*tails, *terms]
        found = module.unit_areas(
            self.w.unsqueeze(0),
            self.h.unsqueeze(0),
            self.k.unsqueeze(0),
            p,
            lambda q: torch.stack(flat[4 * q : 4 * q + 4]).unsqueeze(0),
            lambda: self.last(p, method).unsqueeze(0),
            method,
        )[0]
        k, l = self.pairs
        return found[:, k, l]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("m", [2, 3])
def test_the_mean_square_error_falls_with_the_square_of_the_terms_under_its_bound(
    m: int, method: str
) -> None:
    """Coupled as well as can be, the area is near the resolved path's own; with any normals in place
    of the tail it would be the tail away, whose square falls with the first power only."""
    path = Resolved(m, 1500, 600)
    numbers = (1, 3, 7, 15)
    errors = [
        float((path.truncated(p, method) - path.area).square().mean(0).max()) for p in numbers
    ]
    constant = m + 2 if method == METHODS[0] else 5 * m
    for p, error in zip(numbers, errors):
        assert error < constant / (12 * math.pi**2 * p**2), (p, error)
    slope = math.log(errors[1] / errors[3]) / math.log(numbers[3] / numbers[1])
    assert slope > 1.6, errors


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("m", [2, 5])
@given(width=st.floats(1e-7, 1e3), accuracy=st.floats(1e-1, 1e2))
@settings(max_examples=30, deadline=None)
def test_the_number_of_terms_is_what_the_accuracy_takes(
    m: int, method: str, width: float, accuracy: float
) -> None:
    (p,) = module.numbers_of_terms(
        torch.tensor([width], dtype=torch.float64), m, method, accuracy
    ).tolist()
    constant = m + 2 if method == METHODS[0] else 5 * m
    least = math.sqrt(constant / 12) / (math.pi * accuracy * math.sqrt(width))
    assert p % 2 == 1
    assert least <= p * (1 + 1e-12)
    assert p <= 1.5 * (least + 2) + 1


def test_few_numbers_of_terms_occur_on_a_graded_grid() -> None:
    widths = torch.logspace(-9, 0, 5000, dtype=torch.float64)
    assert len(set(module.numbers_of_terms(widths, 3, METHODS[0], 1.0).tolist())) < 40


# ---------------------------------------------------------------------- bits


@given(st.lists(st.integers(0, 4), max_size=6), st.booleans(), st.sampled_from(METHODS))
@settings(max_examples=20, deadline=None)
def test_any_split_of_the_steps_gives_the_same_bits(
    counts: list[int], back: bool, method: str
) -> None:
    steps = GridPath(1, (3,), (3,), areas=method).on(GRID.flip(0) if back else GRID)
    whole = steps.draw(0, 8, ("A",))["A"]
    first = 0
    for count in (*counts, 8):
        count = min(count, 8 - first)
        part = steps.draw(first, count, ("A",))["A"]
        assert torch.equal(part, whole[first : first + count])
        first += count


@given(st.integers(1, 40), st.integers(0, 30), st.sampled_from([torch.float32, torch.float64]))
@settings(max_examples=10, deadline=None)
def test_any_split_of_the_batch_gives_the_same_bits(
    size: int, start: int, dtype: torch.dtype
) -> None:
    for method in METHODS:
        options: dict[str, Any] = {"areas": method, "dtype": dtype}
        whole = GridPath(1, (70,), (3,), **options).on(GRID).draw(0, 8, ("A",))["A"]
        part = GridPath(1, (size,), (3,), first_path=start, **options).on(GRID)
        assert torch.equal(part.draw(0, 8, ("A",))["A"], whole[:, start : start + size])
        shaped = GridPath(1, (7, 10), (3,), **options).on(GRID).draw(0, 8, ("A",))["A"]
        assert torch.equal(shaped, whole.reshape(8, 7, 10, 3, 3))


def test_threads_do_not_change_bits() -> None:
    before = torch.get_num_threads()
    drawn = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        drawn.append(GridPath(1, (3000,), (3,)).on(GRID).draw(0, 8, ("A",))["A"])
    torch.set_num_threads(before)
    assert torch.equal(*drawn)


def test_areas_and_the_other_variables_do_not_depend_on_what_else_is_asked_for() -> None:
    steps = GridPath(1, (6,), (3,)).on(GRID)
    together = steps.draw(0, 8, (*ALL, "theta"))
    for name in reversed(ALL):
        assert torch.equal(steps.draw(0, 8, (name,))[name], together[name])


def test_an_item_with_its_own_seed_does_not_depend_on_its_batch() -> None:
    seeds = torch.tensor([4, 2**63 - 1, 9])
    batch = GridPath(seeds, (3,), (3,)).on(GRID).draw(0, 8, ("A",))["A"]
    for item, seed in enumerate(seeds.tolist()):
        alone = GridPath(seed, (1,), (3,)).on(GRID).draw(0, 8, ("A",))["A"]
        assert torch.equal(alone, batch[:, item : item + 1])


def test_steps_and_pairs_are_independent() -> None:
    n = 20_000
    grid = torch.arange(6, dtype=torch.float64)
    areas = grid_path(n, 3, METHODS[0], 0.3).on(grid).draw(0, 5, ("A",))["A"]
    k, l = module.pairs(3)
    z = areas[..., k, l].movedim(1, -1).reshape(15, n)
    one, other = torch.triu_indices(15, 15, 1)
    insignificant(z[one] * z[other])


def test_the_matrix_is_antisymmetric_and_one_channel_has_no_area() -> None:
    areas = GridPath(1, (4,), (3,)).on(GRID).draw(0, 8, ("A",))["A"]
    assert torch.equal(areas, -areas.transpose(-1, -2))
    assert float(areas[..., 0, 1].abs().min()) > 0
    alone = GridPath(1, (2, 2), (1,)).on(GRID).draw(2, 3, ("A",))["A"]
    assert torch.equal(alone, torch.zeros(3, 2, 2, 1, 1))
    for count, batch, m in ((0, 4, 3), (2, 0, 3), (2, 4, 0)):
        shape = GridPath(1, (batch,), (m,)).on(GRID).draw(1, count, ("A",))["A"].shape
        assert shape == (count, batch, m, m)


def test_float32_and_float64_see_the_same_areas() -> None:
    narrow = GridPath(8, (200,), (3,), dtype=torch.float32).on(GRID).draw(0, 8, ("A",))["A"]
    wide = GridPath(8, (200,), (3,), dtype=torch.float64).on(GRID).draw(0, 8, ("A",))["A"]
    assert narrow.dtype is torch.float32
    scale = torch.diff(GRID).view(-1, 1, 1, 1)
    assert float(((narrow - wide).abs() / scale).max()) < 1e-4


def test_a_reversed_grid_gives_the_areas_of_the_reversed_path() -> None:
    path = GridPath(8, (5,), (3,))
    forward = path.on(GRID).draw(0, 8, ALL)
    backward = path.on(GRID.flip(0)).draw(0, 8, ALL)
    for name in ALL:
        sign = 1.0 if name == "H" else -1.0
        assert torch.equal(backward[name], sign * forward[name].flip(0))


def test_gradients_reach_the_grid() -> None:
    grid = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    path = GridPath(8, (3,), (2,), dtype=torch.float64)
    for times in (grid, grid.flip(0)):
        areas = path.on(times).draw(0, 2, ("A",))["A"][..., 0, 1]
        (slope,) = torch.autograd.grad(areas.sum(), grid)
        rate = areas.detach().sum(1)
        rate = (rate.flip(0) if times is not grid else rate) / torch.diff(grid.detach())
        torch.testing.assert_close(slope, torch.stack([-rate[0], rate[0] - rate[1], rate[1]]))


def test_wrong_requests_are_refused() -> None:
    steps = GridPath(0, (2,), (2, 3)).on(GRID)
    with pytest.raises(ValueError, match=r"channels \(m,\), not \(2, 3\)"):
        steps.draw(0, 1, ("A",))
    with pytest.raises(ValueError, match="at most 16777216"):
        GridPath(0, (), (6000,)).on(GRID).draw(0, 1, ("A",))
    with pytest.raises(ValueError, match="give the path a larger accuracy"):
        GridPath(0, (), (2,), accuracy=1e-7).on(GRID).draw(0, 1, ("A",))
    with pytest.raises(ValueError, match="'mrongowius-roessler', 'wiktorsson', not 'fourier'"):
        GridPath(0, (), (2,), areas="fourier")
    for accuracy in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="accuracy must be positive"):
            GridPath(0, (), (2,), accuracy=accuracy)
        with pytest.raises(ValueError, match="accuracy must be positive"):
            TreePath(0, (), (2,), t0=0.0, t1=1.0, accuracy=accuracy)
