"""How far apart two sets of samples, or two Gaussians, are.

Sets are tensors of shape ``(n, *event)``; the event axes are flattened. Everything is computed in
float64 and returned as a Python number.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Rows of a block of pairwise distances: with it and 10^5 samples a block takes about 200 MB.
_BLOCK = 256


def energy_distance(x: Tensor, y: Tensor, *, unbiased: bool = True) -> float:
    """Squared energy distance ``2 E|X - Y| - E|X - X'| - E|Y - Y'|`` with Euclidean norms.

    Parameters
    ----------
    x, y : (n, *event), (m, *event)
        Samples; every pair is used.
    unbiased : bool
        True: a sample is not paired with itself (U-statistic). The mean is then the distance of
        the distributions whatever n and m, so that sets of different sizes compare; equal
        distributions give values about zero, of either sign. False: all pairs (V-statistic), never
        negative and zero for equal sets, but too large by about ``E|X - X'| (1/n + 1/m)``.

    Returns
    -------
    float
        In the units of the data.

    References
    ----------
    Szekely, Rizzo, Energy statistics, J. Stat. Plan. Inference 143, 2013.
    """
    x, y = _pair(x, y, at_least=2)
    n, m = len(x), len(y)
    within_x = _sum_of_distances(x, x) / (n * (n - 1) if unbiased else n * n)
    within_y = _sum_of_distances(y, y) / (m * (m - 1) if unbiased else m * m)
    return 2 * _sum_of_distances(x, y) / (n * m) - within_x - within_y


def frechet_distance(x: Tensor, y: Tensor) -> float:
    """Squared `gaussian_w2` of Gaussians with the sets' means and covariances.

    With features of a classifier as samples this is the Frechet (Inception) distance, without
    Inception. It is biased upwards for small sets: compare at equal sizes.

    Parameters
    ----------
    x, y : (n, *event), (m, *event)
        At least two samples each.

    References
    ----------
    Heusel et al., GANs trained by a two time-scale update rule, 2017 (arXiv 1706.08500).
    """
    x, y = _pair(x, y, at_least=2)
    return gaussian_w2(x.mean(0), _covariance(x), y.mean(0), _covariance(y)) ** 2


def gaussian_w2(mean1: Tensor, covariance1: Tensor, mean2: Tensor, covariance2: Tensor) -> float:
    """Wasserstein-2 distance of two Gaussians.

    ``|m1 - m2|**2 + tr(C1 + C2 - 2 (C1^1/2 C2 C1^1/2)^1/2)``, and its root. The trace of the last
    term is the sum of the singular values of ``C1^1/2 C2^1/2``: their squares, as an eigenvalue
    solver would give them, are only good to the rounding of the largest.

    Parameters
    ----------
    mean1, mean2 : (d,)
    covariance1, covariance2 : (d, d)
        Symmetric positive semidefinite; rank-deficient ones are welcome.
    """
    c1, c2 = covariance1.double(), covariance2.double()
    overlap = torch.linalg.svdvals(_square_root(c1) @ _square_root(c2)).sum()
    shift = (mean1.double() - mean2.double()).square().sum()
    return math.sqrt(max(0.0, float(shift + c1.trace() + c2.trace() - 2 * overlap)))


def gaussian_kl(mean1: Tensor, covariance1: Tensor, mean2: Tensor, covariance2: Tensor) -> float:
    """Kullback-Leibler divergence ``KL(N1 || N2)`` in nats; both covariances positive definite."""
    c1, c2 = covariance1.double(), covariance2.double()
    root1, root2 = torch.linalg.cholesky(c1), torch.linalg.cholesky(c2)
    shift = (mean2.double() - mean1.double())[:, None]
    spread = torch.linalg.solve_triangular(root2, root1, upper=False).square().sum()
    moved = torch.linalg.solve_triangular(root2, shift, upper=False).square().sum()
    volumes = 2 * (root2.diagonal().log().sum() - root1.diagonal().log().sum())
    return float(spread + moved - len(c1) + volumes) / 2


def w1(x: Tensor, y: Tensor) -> float:
    """Wasserstein-1 distance of numbers ``(n,)`` and ``(m,)``; exact, also for ``n != m``."""
    x, y = _pair(x, y, at_least=1)
    if x.shape[1] != 1:
        raise ValueError(f"w1 compares numbers; these samples have {x.shape[1]} coordinates each")
    left, right, mass = _monotone_coupling(len(x), len(y))
    gaps = (x[:, 0].sort().values[left] - y[:, 0].sort().values[right]).abs()
    return float(gaps @ mass.to(gaps))


def random_axes(d: int, count: int, seed: int = 0) -> Tensor:
    """Unit vectors in uniformly distributed directions, float64 (d, count)."""
    generator = torch.Generator().manual_seed(seed)
    axes = torch.randn(d, count, generator=generator, dtype=torch.float64)
    unit: Tensor = axes / axes.norm(dim=0)
    return unit


def sliced_w2(x: Tensor, y: Tensor, *, directions: int = 256, seed: int = 0) -> float:
    """Sliced Wasserstein-2 distance: root mean square of W2 along random directions.

    Parameters
    ----------
    x, y : (n, *event), (m, *event)
        Samples; along each direction the distance is exact, also for ``n != m``.
    directions : int
        How many directions, uniform on the sphere.
    seed : int
        Of the directions: equal seeds compare along the same ones.

    References
    ----------
    Bonneel et al., Sliced and Radon Wasserstein barycenters of measures, JMIV 51, 2015.
    """
    x, y = _pair(x, y, at_least=1)
    if directions < 1:
        raise ValueError(f"directions = {directions} must be at least 1")
    axes = random_axes(x.shape[1], directions, seed).to(x.device)
    left, right, mass = _monotone_coupling(len(x), len(y))
    total = 0.0
    for axis in axes.mT:  # one at a time, since all projections at once may not fit in memory
        gaps = (x @ axis).sort().values[left] - (y @ axis).sort().values[right]
        total += float(gaps.square() @ mass.to(gaps))
    return math.sqrt(total / directions)


def total_variation(p: Tensor, q: Tensor) -> float:
    """Total variation ``sum |p - q| / 2`` of the masses that two laws give to the same bins.

    Parameters
    ----------
    p, q : (bins,)
        Not negative, sum at most one; what is missing from one lies outside the grid, and counts
        as a last bin. `bin_masses` makes them of samples, differences of a distribution function
        of a law; the value is then a lower bound of the laws' total variation.
    """
    p, q = p.double(), q.double()
    if p.shape != q.shape or p.ndim != 1:
        raise ValueError(f"masses have shapes {tuple(p.shape)} and {tuple(q.shape)}, not (bins,)")
    for mass in (p, q):
        if bool((mass < 0).any()) or float(mass.sum()) > 1 + 1e-9:
            raise ValueError(f"masses must be >= 0 and sum to at most 1, not {float(mass.sum())}")
    return float((p - q).abs().sum() + (p.sum() - q.sum()).abs()) / 2


def grid_kl(p: Tensor, q: Tensor) -> float:
    """Kullback-Leibler divergence ``sum p log(p/q)`` of the masses of the same bins, as `total_variation`.

    Infinite where p has mass and q has none. With the masses p of n samples, and q of their own law,
    its mean is about ``(bins - 1)/(2 n)`` instead of 0.
    """
    total_variation(p, q)  # the same refusals
    p, q = (torch.cat([m.double(), (1 - m.double().sum()).clamp_min(0.0)[None]]) for m in (p, q))
    return float(torch.special.xlogy(p, p).sum() - torch.special.xlogy(p, q).sum())


def mmd(x: Tensor, y: Tensor, *, bandwidth: float) -> float:
    """Squared maximum mean discrepancy with a Gaussian kernel; a U-statistic, about 0 for equal laws.

    Parameters
    ----------
    x, y : (n, *event), (m, *event)
        At least two samples each; every pair is used.
    bandwidth : float
        The kernel is ``exp(-|x - y|^2 / (2 bandwidth^2))``.

    References
    ----------
    Gretton et al., A kernel two-sample test, JMLR 13, 2012.
    """
    x, y = _pair(x, y, at_least=2)
    if not bandwidth > 0:
        raise ValueError(f"bandwidth = {bandwidth} must be positive")

    def mean(a: Tensor, b: Tensor, own: bool) -> float:
        rows = (a[i : i + _BLOCK] for i in range(0, len(a), _BLOCK))
        sums = (torch.exp(-torch.cdist(r, b).square() / (2 * bandwidth**2)).sum() for r in rows)
        total = math.fsum(map(float, sums))
        return (total - len(a)) / (len(a) * (len(a) - 1)) if own else total / (len(a) * len(b))

    return mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)


def bin_masses(samples: Tensor, edges: Tensor) -> Tensor:
    """Fraction of the samples ``(n,)`` in each bin ``[edges[i], edges[i + 1])``: ``(bins,)``."""
    samples, edges = samples.double().flatten(), edges.double()
    if edges.ndim != 1 or len(edges) < 2 or not bool((edges[1:] > edges[:-1]).all()):
        raise ValueError("edges must be at least two increasing numbers")
    which = torch.bucketize(samples, edges, right=True)
    return torch.bincount(which, minlength=len(edges) + 1)[1:-1].double() / len(samples)


def _pair(x: Tensor, y: Tensor, *, at_least: int) -> tuple[Tensor, Tensor]:
    if x.ndim == 0 or y.ndim == 0 or x.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"sets of shapes {tuple(x.shape)} and {tuple(y.shape)} must be (n, *event) and "
            "(m, *event) with the same event shape"
        )
    for name, values in (("x", x), ("y", y)):
        if len(values) < at_least:
            raise ValueError(f"{name} has {len(values)} samples; at least {at_least} are needed")
        if not bool(torch.isfinite(values).all()):
            raise ValueError(f"{name} has samples that are infinite or NaN")
    return x.double().reshape(len(x), -1), y.double().reshape(len(y), -1)


def _sum_of_distances(x: Tensor, y: Tensor) -> float:
    # The matrix-product form would be faster, but |x|^2 - 2 x.y + |y|^2 cancels for close pairs.
    exact = "donot_use_mm_for_euclid_dist"
    blocks = (x[i : i + _BLOCK] for i in range(0, len(x), _BLOCK))
    return math.fsum(float(torch.cdist(rows, y, compute_mode=exact).sum()) for rows in blocks)


def _covariance(x: Tensor) -> Tensor:
    centred = x - x.mean(0)
    return centred.mT @ centred / (len(x) - 1)


def _square_root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = (vectors * values.clamp_min(0.0).sqrt()) @ vectors.mT
    return root


def _monotone_coupling(n: int, m: int) -> tuple[Tensor, Tensor, Tensor]:
    """Which order statistics of n and of m points meet in one dimension, and with what mass.

    Quantile functions of the two sets jump at multiples of 1/n and of 1/m; between two jumps both
    are constant. Levels are counted in units of ``1 / (n m)``, exactly.
    """
    levels = torch.unique(torch.cat([torch.arange(n + 1) * m, torch.arange(1, m) * n]))
    lower = levels[:-1]
    return lower // m, lower // n, levels.diff().double() / (n * m)
