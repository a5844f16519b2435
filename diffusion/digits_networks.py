"""The two small networks for 8x8 digits: a denoiser and a classifier.

The denoiser starts from the Gaussian model of the data: with mean m and covariance Q diag(L) Q^T
of the training images, ``E[x0 | x]`` is linear and known, and each principal coordinate is scaled
by its own standard deviation before the network sees it and by its own posterior standard
deviation after. (Karras et al., arXiv 2206.00364, do this with one standard deviation for all
pixels.) At equal training time a multilayer perceptron in these coordinates beat a U-Net with four
times its cost per evaluation on held-out images. A second, pointwise network corrects each pixel
from its noisy value, the Gaussian estimate and a few channels of the first: principal coordinates
cannot express that most pixels of a digit are exactly black.

Neither network normalises over the batch: an item's output depends on that item alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from diffusion.processes import VP

PIXELS = 64
# Beyond these noise levels the network answers as at the nearest of them: it was trained between,
# and at sigma = 0 the scaling of a pixel that never varies would divide by zero.
LAMBDA_RANGE = (-5.1, 5.0)


class _Block(nn.Module):
    """A residual layer whose hidden units are scaled and shifted by the noise level."""

    def __init__(self, width: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulate = nn.Linear(embedding, 2 * width)
        self.enter = nn.Linear(width, width)
        self.leave = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.modulate, self.leave):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, h: Tensor, embedded: Tensor) -> Tensor:
        scale, shift = self.modulate(embedded).chunk(2, dim=1)
        inner = functional.silu(self.enter(self.norm(h) * (1 + scale) + shift))
        out: Tensor = h + self.leave(self.dropout(inner))
        return out


class DigitsDenoiser(nn.Module):
    """A network that predicts v = alpha eps - sigma x0 for 8x8 digits in [-1, 1] under VP.

    Call it with `x` of shape ``(batch, 1, 8, 8)`` and `t` a number or of shape ``(batch,)``. It
    computes in float32 and returns the dtype of `x`.

    Parameters
    ----------
    width, depth : int
        Hidden units and residual layers.
    channels, head : int
        Channels for each pixel that the pointwise network receives, and its hidden units.
    dropout : float
        Used in training only.
    chunk : int
        In evaluation, rows are computed `chunk` at a time, the last group padded. A matrix product
        may sum in another order for another number of rows; with the number fixed, an item's
        result has the same bits in any batch (on one machine).

    Attributes
    ----------
    process : VP
    prediction : str
        ``"v"``.
    """

    prediction = "v"

    def __init__(
        self,
        width: int = 152,
        depth: int = 3,
        channels: int = 4,
        head: int = 32,
        dropout: float = 0.1,
        chunk: int = 128,
    ) -> None:
        super().__init__()
        self.process = VP()
        self.chunk = chunk
        self.channels = channels
        embedding = 32
        self.mean: Tensor
        self.variances: Tensor
        self.axes: Tensor
        self.frequencies: Tensor
        self.register_buffer("mean", torch.zeros(PIXELS))
        self.register_buffer("variances", torch.ones(PIXELS))
        self.register_buffer("axes", torch.eye(PIXELS))
        self.register_buffer("frequencies", 0.25 * 2.0 ** torch.linspace(0, 4, 8))
        self.embed = nn.Linear(16, embedding)
        self.enter = nn.Linear(PIXELS, width)
        self.blocks = nn.ModuleList(_Block(width, embedding, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, PIXELS)
        self.to_pixels = nn.Linear(width, PIXELS * channels)
        self.pixel_modulate = nn.Linear(embedding, 2 * head)
        self.pixel_enter = nn.Linear(channels + 3, head)
        self.pixel_leave = nn.Linear(head, 1)
        # The untrained network is the Gaussian model exactly.
        for layer in (self.leave, self.pixel_modulate, self.pixel_leave):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @torch.no_grad()
    def fit_gaussian(self, images: Tensor) -> None:
        """Set the mean, principal variances and axes from training images ``(n, 1, 8, 8)``."""
        pixels = images.flatten(1).double()
        variances, axes = torch.linalg.eigh(pixels.mT.cov())
        self.mean.copy_(pixels.mean(0))
        self.variances.copy_(variances.clamp_min(0.0))
        self.axes.copy_(axes)

    def forward(self, x: Tensor, t: float | Tensor) -> Tensor:
        if x.shape[1:] != (1, 8, 8):
            raise ValueError(f"x has shape {tuple(x.shape)}; it must be (batch, 1, 8, 8)")
        t = torch.as_tensor(t, dtype=torch.float64, device=x.device)
        if t.ndim > 1 or (t.ndim == 1 and len(t) != len(x)):
            raise ValueError(
                f"t has shape {tuple(t.shape)}; it must be a number or ({len(x)},) as x has items"
            )
        level = self.process.lambda_(t).clamp(*LAMBDA_RANGE).expand(len(x)).unsqueeze(1)
        pixels = x.reshape(-1, PIXELS).float()
        if self.training:
            return self.velocity(pixels, level).reshape(x.shape).to(x.dtype)
        padding = -len(pixels) % self.chunk
        if padding:
            pixels = functional.pad(pixels, (0, 0, 0, padding))
            level = functional.pad(level, (0, 0, 0, padding))
        out = torch.empty_like(pixels)
        for first in range(0, len(pixels), self.chunk):
            rows = slice(first, first + self.chunk)
            out[rows] = self.velocity(pixels[rows], level[rows])
        return out[: len(x)].reshape(x.shape).to(x.dtype)

    def velocity(self, pixels: Tensor, level: Tensor) -> Tensor:
        """v for rows of pixels ``(n, 64)`` at lambdas ``(n, 1)``, float64."""
        alpha64, sigma64 = torch.sigmoid(2 * level).sqrt(), torch.sigmoid(-2 * level).sqrt()
        alpha, sigma = alpha64.to(pixels), sigma64.to(pixels)
        variances = (alpha64**2 * self.variances + sigma64**2).to(pixels)
        deviations = variances.sqrt()
        y = (pixels - alpha * self.mean) @ self.axes
        # The velocity of the Gaussian model is (alpha x - E[x0 | x]) / sigma. Its difference is
        # taken in closed form: alpha - alpha L / V = alpha sigma**2 (1 - L) / V.
        gain = alpha * (1 - self.variances) / variances
        gaussian = sigma * ((gain * y) @ self.axes.mT - self.mean)

        angles = level.to(pixels) * self.frequencies
        embedded = functional.silu(self.embed(torch.cat([angles.sin(), angles.cos()], dim=1)))
        h = self.enter(y / deviations)
        for block in self.blocks:
            h = block(h, embedded)
        h = self.norm(h)
        principal = (self.leave(h) * self.variances.sqrt() / deviations) @ self.axes.mT

        estimate = alpha * pixels - sigma * gaussian
        known = torch.stack([pixels, estimate, gaussian], dim=-1)
        features = torch.cat([self.to_pixels(h).view(-1, PIXELS, self.channels), known], dim=-1)
        scale, shift = self.pixel_modulate(embedded).unsqueeze(1).chunk(2, dim=-1)
        hidden = functional.silu(self.pixel_enter(features) * (1 + scale) + shift)
        out: Tensor = gaussian - principal - self.pixel_leave(hidden).squeeze(-1)
        return out


class DigitsClassifier(nn.Module):
    """A perceptron that names a digit; its last hidden layer gives features for Frechet distances.

    Parameters
    ----------
    hidden, features : int
        Units of the two hidden layers.
    """

    def __init__(self, hidden: int = 128, features: int = 32) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Linear(PIXELS, hidden),
            nn.SiLU(),
            nn.Dropout(0.3),
            nn.Linear(hidden, features),
            nn.SiLU(),
        )
        self.head = nn.Linear(features, 10)

    def features(self, x: Tensor) -> Tensor:
        """Features of images ``(batch, 1, 8, 8)``, shape ``(batch, 32)``."""
        out: Tensor = self.trunk(x.flatten(1).float())
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the ten digits, shape ``(batch, 10)``."""
        out: Tensor = self.head(self.features(x))
        return out
