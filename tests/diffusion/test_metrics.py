"""Metrics: laws of a distance, and closed forms on Gaussians."""

from __future__ import annotations

import math

import pytest
import scipy.linalg
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from diffusion import GaussianMixture
from diffusion.metrics import (
    bin_masses,
    energy_distance,
    frechet_distance,
    gaussian_kl,
    gaussian_w2,
    grid_kl,
    mmd,
    sliced_w2,
    total_variation,
    w1,
)


def normals(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def biased_energy(x: Tensor, y: Tensor) -> float:
    return energy_distance(x, y, unbiased=False)


DISTANCES = [biased_energy, frechet_distance, sliced_w2]


@pytest.mark.parametrize("distance", DISTANCES)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), n=st.integers(2, 300), m=st.integers(2, 300))
def test_distances_are_zero_on_equal_sets_symmetric_and_not_negative(distance, seed, n, m) -> None:  # type: ignore[no-untyped-def]
    x, y = normals(seed, n, 2, 3), normals(seed + 100, m, 2, 3) + 0.1
    assert distance(x, x.flip(0)) == pytest.approx(0, abs=1e-12)
    assert distance(x, y) == pytest.approx(distance(y, x), rel=1e-9)
    assert distance(x, y) > 0


def test_energy_distance_over_all_pairs() -> None:
    x, y = normals(0, 700, 3), normals(1, 300, 3)
    between = torch.stack([(x - b).norm(dim=1) for b in y]).sum()
    within_x = torch.stack([(x - b).norm(dim=1) for b in x]).sum()
    within_y = torch.stack([(y - b).norm(dim=1) for b in y]).sum()
    unbiased = 2 * between / (700 * 300) - within_x / (700 * 699) - within_y / (300 * 299)
    assert energy_distance(x, y) == pytest.approx(float(unbiased), rel=1e-10)
    biased = 2 * between / (700 * 300) - within_x / 700**2 - within_y / 300**2
    assert biased_energy(x, y) == pytest.approx(float(biased), rel=1e-10)


def test_unbiased_energy_distance_has_the_closed_form_as_its_mean() -> None:
    # E|N(m, 2)| = 2/sqrt(pi) exp(-m^2/4) + m erf(m/2); two sets one apart, 400 small draws.
    # z of the mean of 400 draws: |z| < 5.5 has false-alarm probability about 4e-8.
    def folded(m: float) -> float:
        return 2 / math.sqrt(math.pi) * math.exp(-(m**2) / 4) + m * math.erf(m / 2)

    for shift in (0.0, 1.0):
        truth = 2 * folded(shift) - 2 * folded(0.0)
        draws = torch.tensor(
            [
                energy_distance(normals(2 * i, 12, 1), normals(2 * i + 1, 7, 1) + shift)
                for i in range(400)
            ]
        )
        assert abs(draws.mean() - truth) < 5.5 * draws.std() / 20


def test_energy_distance_sees_close_pairs_far_from_the_origin() -> None:
    x = normals(0, 50, 4)
    near = energy_distance(x, x + 1e-3)
    assert energy_distance(x + 1e6, x + 1e6 + 1e-3) == pytest.approx(near, rel=1e-4)


def test_frechet_distance_of_shifted_and_scaled_sets() -> None:
    x = normals(0, 500, 4)
    shift = torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64)
    # a scaled copy shares the eigenvectors: W2^2 = |m1 - m2|^2 + (s - 1)^2 tr C
    moved = (2.5 * x) + shift
    covariance = x.mT.cov()
    expected = (1.5 * x.mean(0) + shift).square().sum() + 1.5**2 * covariance.trace()
    assert frechet_distance(x, moved) == pytest.approx(float(expected), rel=1e-10)


def test_gaussian_w2_agrees_with_the_matrix_square_root() -> None:
    a, b = normals(0, 5, 5), normals(1, 5, 5)
    c1, c2 = a @ a.mT, b @ b.mT
    product = torch.tensor(scipy.linalg.sqrtm((c1 @ c2).numpy()).real)
    m1, m2 = normals(2, 2, 5)
    expected = (m1 - m2).square().sum() + (c1 + c2 - 2 * product).trace()
    assert gaussian_w2(m1, c1, m2, c2) ** 2 == pytest.approx(float(expected), rel=1e-7)


def test_gaussian_w2_of_degenerate_covariances() -> None:
    c1, c2 = torch.diag(torch.tensor([4.0, 0.0, 1.0])), torch.diag(torch.tensor([1.0, 9.0, 1.0]))
    zero = torch.zeros(3)
    assert gaussian_w2(zero, c1, zero, c2) == pytest.approx(math.sqrt(1 + 9), rel=1e-14)
    # rounding of a rank-deficient covariance does not show up as its square root
    root = normals(0, 20, 3)
    c = root @ root.mT
    assert gaussian_w2(torch.zeros(20), c, torch.zeros(20), c) < 2e-6


def test_gaussian_kl_closed_forms() -> None:
    one, four = torch.tensor([[1.0]]), torch.tensor([[4.0]])
    mean = torch.tensor([0.0])
    assert gaussian_kl(mean, one, mean, one) == pytest.approx(0, abs=1e-15)
    assert gaussian_kl(mean, one, mean + 3, four) == pytest.approx(
        math.log(2) + (1 + 9) / 8 - 0.5, rel=1e-14
    )
    a, b = normals(0, 4, 4), normals(1, 4, 4)
    c1, c2 = a @ a.mT + torch.eye(4), b @ b.mT + torch.eye(4)
    m1, m2 = normals(2, 2, 4)
    p = torch.distributions.MultivariateNormal(m1, c1)
    q = torch.distributions.MultivariateNormal(m2, c2)
    expected = float(torch.distributions.kl_divergence(p, q))
    assert gaussian_kl(m1, c1, m2, c2) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 60), m=st.integers(1, 60), seed=st.integers(0, 99))
def test_w1_agrees_with_scipy_for_any_sizes(n: int, m: int, seed: int) -> None:
    x, y = normals(seed, n), 2 * normals(seed + 100, m) + 1
    expected = scipy.stats.wasserstein_distance(x.numpy(), y.numpy())
    assert w1(x, y) == pytest.approx(expected, rel=1e-10)


def test_w1_and_sliced_w2_of_a_shift() -> None:
    x = normals(0, 1000)
    assert w1(x, x + 0.7) == pytest.approx(0.7, rel=1e-12)
    assert sliced_w2(x, x.repeat_interleave(3) + 0.7) == pytest.approx(0.7, rel=1e-12)
    # in d dimensions a shift has the mean square length |shift|^2 / d along a random direction;
    # 4000 directions: relative standard error of the mean square 0.02, so 6 of them
    shift = torch.tensor([3.0, 0.0, 4.0], dtype=torch.float64)
    y = normals(1, 100, 3)
    squared = sliced_w2(y, y + shift, directions=4000) ** 2
    assert squared == pytest.approx(25 / 3, rel=6 * math.sqrt(0.8 / 4000))
    assert sliced_w2(y, y + shift, seed=3) == sliced_w2(y, y + shift, seed=3)


def test_total_variation_of_two_gaussians_a_shift_apart() -> None:
    # 2 Phi(m/2) - 1; the bins have an edge where the densities cross, so that nothing is lost
    edges = torch.linspace(-8, 9, 35, dtype=torch.float64)
    p = GaussianMixture([1.0], [[0.0]], 1.0).cdf(edges).diff()
    q = GaussianMixture([1.0], [[1.0]], 1.0).cdf(edges).diff()
    assert total_variation(p, q) == pytest.approx(2 * scipy.stats.norm.cdf(0.5) - 1, rel=1e-10)
    assert total_variation(p, p) == 0


def test_mass_outside_the_grid_counts() -> None:
    edges = torch.tensor([0.0, 1.0, 2.0])
    inside = bin_masses(torch.tensor([0.0, 0.5, 1.0, 1.5]), edges)
    outside = bin_masses(torch.tensor([-1.0, 2.0, 3.0, 0.5]), edges)
    assert inside.tolist() == [0.5, 0.5]
    assert outside.tolist() == [0.25, 0.0]
    assert total_variation(inside, outside) == 0.75


def test_wrong_sets_are_refused() -> None:
    x = torch.zeros(4, 2)
    with pytest.raises(ValueError, match="same event shape"):
        energy_distance(x, torch.zeros(4, 3))
    with pytest.raises(ValueError, match="y has 1 samples; at least 2"):
        energy_distance(x, torch.zeros(1, 2))
    with pytest.raises(ValueError, match="x has samples that are infinite or NaN"):
        sliced_w2(x / 0, x)
    with pytest.raises(ValueError, match="compares numbers"):
        w1(x, x)
    with pytest.raises(ValueError, match="directions = 0"):
        sliced_w2(x, x, directions=0)
    with pytest.raises(ValueError, match="sum to at most 1"):
        total_variation(torch.ones(3), torch.ones(3))
    with pytest.raises(ValueError, match="increasing"):
        bin_masses(x, torch.tensor([1.0, 0.0]))


def test_kl_on_a_grid_is_the_sum_over_bins_and_what_is_outside_of_them() -> None:
    p, q = torch.tensor([0.5, 0.3]), torch.tensor([0.25, 0.25])
    expected = 0.5 * math.log(2) + 0.3 * math.log(1.2) + 0.2 * math.log(0.4)
    assert grid_kl(p, q) == pytest.approx(expected, abs=1e-7)
    assert grid_kl(p, p) == pytest.approx(0.0, abs=1e-7)
    assert grid_kl(p, torch.tensor([1.0, 0.0])) == math.inf
    assert grid_kl(torch.tensor([1.0, 0.0]), p) == pytest.approx(math.log(2), abs=1e-7)


def test_the_maximum_mean_discrepancy_is_that_of_its_sums_over_pairs() -> None:
    x, y = normals(0, 7, 2), normals(1, 5, 2) + 0.5

    def kernel(a: Tensor, b: Tensor) -> float:
        return math.exp(-float((a - b).square().sum()) / (2 * 0.7**2))

    def mean(pairs: list[tuple[Tensor, Tensor]]) -> float:
        return sum(kernel(a, b) for a, b in pairs) / len(pairs)

    own = [[(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j] for s in (x, y)]
    expected = mean(own[0]) + mean(own[1]) - 2 * mean([(a, b) for a in x for b in y])
    assert mmd(x, y, bandwidth=0.7) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match="bandwidth = 0 must be positive"):
        mmd(x, y, bandwidth=0)


def test_responsibilities_are_bayes_rule() -> None:
    data = GaussianMixture([0.3, 0.7], [[-1.0], [2.0]], [0.25, 0.5])
    x = torch.tensor([[0.2], [1.5]], dtype=torch.float64)
    joint = torch.stack(
        [
            w * torch.exp(-((x[:, 0] - m) ** 2) / (2 * v)) / math.sqrt(v)
            for w, m, v in ((0.3, -1.0, 0.25), (0.7, 2.0, 0.5))
        ],
        dim=1,
    )
    torch.testing.assert_close(data.responsibilities(x), joint / joint.sum(1, keepdim=True))
