"""Gaussian mixtures: data whose score and denoiser are exact at every noise level.

If ``x0`` has components ``N(m_j, C_j)``, then ``x = alpha x0 + sigma eps`` has components
``N(alpha m_j, alpha**2 C_j + sigma**2 I)``. Each covariance is diagonalised once, so that an
evaluation at any noise level costs one rotation a component (none if it is diagonal).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion.predictions import Scalar, check_prediction, compose
from diffusion.processes import Process

ArrayLike = Tensor | Sequence[object] | float


class GaussianMixture:
    """A mixture of k Gaussians in d dimensions.

    Parameters
    ----------
    weights : (k,)
        Positive, summing to one.
    means : (k, d)
    covariances : (), (k,), (k, d) or (k, d, d)
        One variance for all, one for each component, the diagonals, or full symmetric positive
        semidefinite matrices.

    Raises
    ------
    ValueError
        If a shape does not fit, a weight is not positive, or a covariance is not symmetric
        positive semidefinite.

    Notes
    -----
    Parameters are kept in float64; a result has the dtype and device of its argument. States `x`
    have shape ``(*batch, d)``; `alpha` and `sigma` are numbers, or tensors that broadcast against
    `x` with a last axis of one (a noise level for each item). By default ``alpha = 1, sigma = 0``:
    the mixture itself. Where a covariance is singular, density and score need ``sigma > 0``.
    """

    def __init__(self, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike) -> None:
        self.weights = torch.as_tensor(weights, dtype=torch.float64)
        self.means = torch.as_tensor(means, dtype=torch.float64)
        self.covariances = torch.as_tensor(covariances, dtype=torch.float64)
        if self.weights.ndim != 1 or self.means.ndim != 2 or len(self.weights) != len(self.means):
            raise ValueError(
                f"weights {tuple(self.weights.shape)} and means {tuple(self.means.shape)} "
                "must have shapes (k,) and (k, d)"
            )
        total = float(self.weights.sum())
        if not bool((self.weights > 0).all()) or abs(total - 1) > 1e-6:
            raise ValueError(f"weights must be positive and sum to 1; they sum to {total:.9g}")
        self.weights = self.weights / total
        k, d = self.means.shape
        shape = tuple(self.covariances.shape)
        if shape not in ((), (k,), (k, d), (k, d, d)):
            raise ValueError(
                f"covariances have shape {shape}; with k = {k} and d = {d} they must have "
                f"(), ({k},), ({k}, {d}) or ({k}, {d}, {d})"
            )
        # eigenvalues (k, 1, d or 1), and for full matrices the eigenvectors (k, d, d), by column
        self._rotations: Tensor | None = None
        if self.covariances.ndim == 3:
            if not torch.allclose(self.covariances, self.covariances.mT, rtol=1e-10, atol=0.0):
                raise ValueError("a covariance matrix is not symmetric")
            self._variances, self._rotations = torch.linalg.eigh(self.covariances)
            tolerance = 1e-12 * float(self._variances.abs().max())
            smallest = float(self._variances.min())
            if smallest < -tolerance:
                raise ValueError(f"a covariance matrix has the negative eigenvalue {smallest:.3g}")
            self._variances = self._variances.clamp_min(0.0).unsqueeze(1)
        else:
            if not bool((self.covariances >= 0).all()):
                raise ValueError("a variance is negative or NaN")
            self._variances = self.covariances.expand(shape if shape else (k,)).reshape(k, 1, -1)

    def __repr__(self) -> str:
        kind = ("one variance", "isotropic", "diagonal", "full")[self.covariances.ndim]
        return f"GaussianMixture(components={len(self.weights)}, d={self.d}, covariances={kind})"

    @property
    def d(self) -> int:
        """The dimension."""
        return self.means.shape[1]

    def mean(self) -> Tensor:
        """Exact mean, shape ``(d,)``, float64."""
        return self.weights @ self.means

    def covariance(self) -> Tensor:
        """Exact covariance, shape ``(d, d)``, float64."""
        centred = self.means - self.mean()
        between = (centred * self.weights[:, None]).mT @ centred
        return between + torch.einsum("k,kij->ij", self.weights, self._full_covariances())

    def noised(self, alpha: float, sigma: float) -> GaussianMixture:
        """The mixture that ``alpha x0 + sigma eps`` has; its moments are those at a noise level."""
        covariances = self.covariances * alpha**2
        if covariances.ndim == 3:
            covariances = covariances + sigma**2 * torch.eye(self.d, dtype=torch.float64)
        else:
            covariances = covariances + sigma**2
        return GaussianMixture(self.weights, alpha * self.means, covariances)

    def along(self, axis: Tensor) -> GaussianMixture:
        """The mixture on the line that ``x0 @ axis`` has, for an `axis` (d,)."""
        axis = axis.double()
        variances = torch.einsum("i,kij,j->k", axis, self._full_covariances(), axis)
        return GaussianMixture(self.weights, (self.means @ axis)[:, None], variances)

    def sample(self, n: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """`n` independent samples, shape ``(n, d)`` on the CPU; equal seeds give equal samples."""
        generator = torch.Generator().manual_seed(seed)
        which = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        normals = torch.randn(n, self.d, generator=generator, dtype=torch.float64)
        spread = self._variances[which, 0].sqrt() * normals
        if self._rotations is not None:
            # by component, since gathering a (d, d) matrix for each sample would not fit in memory
            for j, rotation in enumerate(self._rotations):
                spread[which == j] = spread[which == j] @ rotation.mT
        drawn: Tensor = self.means[which] + spread
        return drawn.to(dtype)

    def log_density(self, x: Tensor, alpha: Scalar = 1.0, sigma: Scalar = 0.0) -> Tensor:
        """Log density of ``alpha x0 + sigma eps`` at `x`, shape ``(*batch,)``."""
        parts = self._parts(x, alpha, sigma)
        return parts.log_joint.logsumexp(0).reshape(x.shape[:-1])

    def score(self, x: Tensor, alpha: Scalar = 1.0, sigma: Scalar = 0.0) -> Tensor:
        """Gradient of `log_density`, of the shape of `x`."""
        parts = self._parts(x, alpha, sigma)
        return parts.average(self._unrotate(-parts.offsets / parts.variances.to(x))).reshape(
            x.shape
        )

    def x0hat(self, x: Tensor, alpha: Scalar, sigma: Scalar) -> Tensor:
        """The denoiser E[x0 | x], of the shape of `x`.

        Formed from the components' own posterior means, so that it is accurate at both ends:
        the mean of the mixture at ``alpha = 0``, ``x / alpha`` at ``sigma = 0``.
        """
        if x.dtype is torch.float32 and self._rotations is None and _is_common(alpha, sigma):
            return self._denoised(x, float(alpha), float(sigma))
        parts = self._parts(x, alpha, sigma)
        gain = parts.alpha * self._variances.to(x.device) / parts.variances
        posterior_means = self.means.to(x)[:, None] + self._unrotate(gain.to(x) * parts.offsets)
        return parts.average(posterior_means).reshape(x.shape)

    def _denoised(self, x: Tensor, alpha: float, sigma: float) -> Tensor:
        """`x0hat` at one noise level and without rotations: products of matrices alone.

        The squares are expanded, which in float64 costs float32 states nothing.
        """
        self._check(x)
        rows = x.reshape(-1, self.d)
        wide, own = rows.double(), self._variances[:, 0].expand(-1, self.d).to(x.device)
        means = self.means.to(x.device)
        variances = alpha**2 * own + sigma**2
        centres = alpha * means / variances
        constant = self.weights.log().to(x.device) - variances.log().sum(1) / 2
        constant = constant - alpha * (means * centres).sum(1) / 2
        log_joint = centres @ wide.mT - (0.5 / variances) @ wide.square().mT + constant[:, None]
        # Where they are small enough to be rounded: the greatest is 0.
        shares = (log_joint - log_joint.amax(0)).to(x).softmax(0).mT
        gain, rest = alpha * own / variances, sigma**2 * means / variances
        found: Tensor = shares @ rest.to(x) + rows * (shares @ gain.to(x))
        return found.reshape(x.shape)

    def responsibilities(self, x: Tensor) -> Tensor:
        """Probability of each component given `x` (n, d): shape (n, k), of x's dtype.

        Their mean over samples of the mixture is its weights.
        """
        log_joint = self._parts(x, 1.0, 0.0).log_joint
        return log_joint.reshape(len(self.weights), -1).softmax(0).mT.to(x)

    def cdf(self, x: Tensor, alpha: float = 1.0, sigma: float = 0.0) -> Tensor:
        """Distribution function of ``alpha x0 + sigma eps``, for d = 1; `x` of any shape."""
        if self.d != 1:
            raise ValueError(f"a distribution function needs d = 1; this mixture has d = {self.d}")
        noised = self.noised(alpha, sigma)
        offsets = x.double()[..., None] - noised.means[:, 0].to(x.device)
        scores = offsets / noised._variances[:, 0, 0].sqrt().to(x.device)
        probability: Tensor = torch.special.ndtr(scores) @ self.weights.to(x.device)
        return probability.to(x.dtype)

    def model(self, process: Process, prediction: str = "x0") -> MixtureModel:
        """The network that would have learned this mixture perfectly."""
        return MixtureModel(self, process, prediction)

    def _full_covariances(self) -> Tensor:
        if self._rotations is not None:
            return self.covariances
        k, d = self.means.shape
        return torch.diag_embed(self._variances[:, 0].expand(k, d))

    def _check(self, x: Tensor) -> None:
        if x.ndim == 0 or x.shape[-1] != self.d:
            raise ValueError(f"x has shape {tuple(x.shape)}; its last axis must be d = {self.d}")
        if not x.is_floating_point():
            raise ValueError(f"x has dtype {x.dtype}; it must be a floating-point tensor")

    def _parts(self, x: Tensor, alpha: Scalar, sigma: Scalar) -> _Parts:
        self._check(x)
        rows = x.reshape(-1, self.d)
        alpha, sigma = _level(alpha, x), _level(sigma, x)
        variances = alpha**2 * self._variances.to(x.device) + sigma**2
        offsets = rows - (alpha * self.means.to(x.device)[:, None]).to(x)
        if self._rotations is not None:
            offsets = offsets @ self._rotations.to(x)
        # An isotropic component has one variance for all d axes.
        repeats = self.d // variances.shape[-1]
        log_volume = repeats * torch.log(2 * math.pi * variances).sum(-1) / 2
        log_scale = self.weights.log().to(x.device)[:, None] - log_volume
        log_joint = log_scale.to(x) - (offsets**2 / variances.to(x)).sum(-1) / 2
        return _Parts(alpha, variances, offsets, log_joint)

    def _unrotate(self, values: Tensor) -> Tensor:
        return values if self._rotations is None else values @ self._rotations.mT.to(values)


@dataclass(frozen=True)
class _Parts:
    """What one evaluation shares; n states in their components' rotated coordinates."""

    alpha: Tensor  # (1, 1) or (n, 1), float64
    variances: Tensor  # (k, 1 or n, 1 or d), float64
    offsets: Tensor  # (k, n, d): x - alpha m_j
    log_joint: Tensor  # (k, n): log of weight times density

    def average(self, values: Tensor) -> Tensor:
        """Posterior average over the components of `values`, shape (k, n, d)."""
        return (self.log_joint.softmax(0)[..., None] * values).sum(0)


def _is_common(*levels: Scalar) -> bool:
    """Whether all items have one noise level, which needs no gradient."""
    return all(not isinstance(v, Tensor) or (v.ndim == 0 and not v.requires_grad) for v in levels)


def _level(value: Scalar, x: Tensor) -> Tensor:
    """A noise level as float64 of shape (1, 1), or (n, 1) if it differs between the n states."""
    value = torch.as_tensor(value, dtype=torch.float64, device=x.device)
    if value.ndim == 0:
        return value.reshape(1, 1)
    if value.shape[-1] != 1:
        raise ValueError(
            f"alpha or sigma has shape {tuple(value.shape)}: a noise level for each state of "
            f"shape {tuple(x.shape)} needs a last axis of one"
        )
    return value.expand(*x.shape[:-1], 1).reshape(-1, 1)


@dataclass(frozen=True)
class MixtureModel:
    """A mixture in the role of a network: call it with ``(x, t)``.

    Attributes
    ----------
    mixture : GaussianMixture
        The distribution of the data.
    process : Process
        Gives alpha and sigma at `t`.
    prediction : {"x0", "epsilon", "v", "flow", "score"}
        What a call returns; none is formed by dividing by a vanishing alpha or sigma.
    """

    mixture: GaussianMixture
    process: Process
    prediction: str = "x0"

    def __post_init__(self) -> None:
        check_prediction(self.prediction)

    def __call__(self, x: Tensor, t: float | Tensor) -> Tensor:
        """Predict at `x`, shape ``(*batch, d)``; `t` a number or of shape ``(*batch,)``."""
        t = t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64)
        # One number, expanded: its coefficients need not be (batch,) too.  A conversion would copy it.
        if t.ndim and not any(t.stride()):
            t = t.flatten()[0]
        t = t.double()
        if t.ndim:
            t = t.unsqueeze(-1)
        alpha, sigma = self.process.alpha(t), self.process.sigma(t)
        if self.prediction == "x0":
            return self.mixture.x0hat(x, alpha, sigma)
        if self.prediction == "score":
            return self.mixture.score(x, alpha, sigma)
        x0 = self.mixture.x0hat(x, alpha, sigma)
        epsilon = -sigma.to(x) * self.mixture.score(x, alpha, sigma)
        return compose(x0, epsilon, alpha, sigma, self.prediction)
