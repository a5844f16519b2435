"""Training of the two networks for digits, on one CPU core, deterministic for a seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional

from diffusion.digits_networks import LAMBDA_RANGE, DigitsClassifier, DigitsDenoiser

Record = dict[str, str]


def train_denoiser(
    images: Tensor,
    held_out: Tensor,
    *,
    steps: int = 6_000,
    batch: int = 256,
    seed: int = 0,
    rate: float = 2e-3,
    progress: bool = True,
) -> tuple[DigitsDenoiser, Record]:
    """Fit a denoiser by the mean squared error of v, and average its weights over the run's end.

    Parameters
    ----------
    images, held_out : (n, 1, 8, 8)
        Training images, and those on which only the final loss is measured.
    steps, batch : int
        Steps of AdamW and images in each.
    seed : int
        Of initialisation, noise, and dropout.
    rate : float
        Highest learning rate; a short warm-up precedes it and a cosine follows.
    progress : bool
        Show a progress bar.

    Returns
    -------
    DigitsDenoiser
        With the averaged weights, in evaluation mode.
    dict
        What made it: steps, batch, seed and the losses, as text.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DigitsDenoiser()
        model.fit_gaussian(images)
        generator = torch.Generator().manual_seed(seed)

        def loss() -> Tensor:
            chosen = torch.randint(len(images), (batch,), generator=generator)
            return _velocity_error(model, images[chosen], _levels(batch, generator), generator)

        average = _descend(model, loss, steps, rate, decay=0.1, average=0.9995, progress=progress)
    model.load_state_dict(average)
    model.eval()
    record = {
        "steps": str(steps),
        "batch": str(batch),
        "seed": str(seed),
        "loss_train": f"{denoising_loss(model, images):.4f}",
        "loss_held_out": f"{denoising_loss(model, held_out):.4f}",
    }
    return model, record


def train_classifier(
    images: Tensor,
    labels: Tensor,
    held_out: Tensor,
    held_out_labels: Tensor,
    *,
    steps: int = 3000,
    batch: int = 128,
    seed: int = 0,
    progress: bool = True,
) -> tuple[DigitsClassifier, Record]:
    """Fit a classifier by cross-entropy on slightly noisy images; returns as `train_denoiser`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DigitsClassifier()
        generator = torch.Generator().manual_seed(seed)

        def loss() -> Tensor:
            chosen = torch.randint(len(images), (batch,), generator=generator)
            noise = torch.randn(batch, *images.shape[1:], generator=generator)
            return functional.cross_entropy(model(images[chosen] + 0.2 * noise), labels[chosen])

        average = _descend(model, loss, steps, 2e-3, decay=0.05, average=0.99, progress=progress)
    model.load_state_dict(average)
    model.eval()
    record = {
        "steps": str(steps),
        "batch": str(batch),
        "seed": str(seed),
        "accuracy_train": f"{accuracy(model, images, labels):.4f}",
        "accuracy_held_out": f"{accuracy(model, held_out, held_out_labels):.4f}",
    }
    return model, record


@torch.no_grad()
def accuracy(model: DigitsClassifier, images: Tensor, labels: Tensor) -> float:
    """Fraction of images that the classifier names rightly."""
    return float((model(images).argmax(1) == labels).double().mean())


@torch.no_grad()
def denoising_loss(model: DigitsDenoiser, images: Tensor, seed: int = 1) -> float:
    """Mean squared error of v, with the training's distribution of noise levels, 16 per image."""
    generator = torch.Generator().manual_seed(seed)
    images = images.repeat(16, 1, 1, 1)
    levels = _levels(len(images), generator)
    levels = levels[torch.randperm(len(levels), generator=generator)]
    return float(_velocity_error(model, images, levels, generator))


def _velocity_error(
    model: DigitsDenoiser, x0: Tensor, levels: Tensor, generator: torch.Generator
) -> Tensor:
    alpha = torch.sigmoid(2 * levels).sqrt().float().view(-1, 1, 1, 1)
    sigma = torch.sigmoid(-2 * levels).sqrt().float().view(-1, 1, 1, 1)
    epsilon = torch.randn(x0.shape, generator=generator)
    predicted = model(alpha * x0 + sigma * epsilon, model.process.t_of_lambda(levels))
    return functional.mse_loss(predicted, alpha * epsilon - sigma * x0)


def _levels(n: int, generator: torch.Generator) -> Tensor:
    """Values of lambda, normal about where digits take shape; stratified for a steadier loss."""
    strata = torch.arange(n) + torch.rand(n, generator=generator, dtype=torch.float64)
    lowest = -5.0  # VP ends at lambda = -5.02
    values: Tensor = -0.5 + 1.6 * torch.special.ndtri(strata / n)
    return values.clamp(lowest, LAMBDA_RANGE[1])


def _descend(
    model: nn.Module,
    loss: Callable[[], Tensor],
    steps: int,
    rate: float,
    *,
    decay: float,
    average: float,
    progress: bool,
) -> dict[str, Tensor]:
    """Minimise `loss` by AdamW; returns the exponential moving average of the state."""
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=decay, fused=True
    )
    names, parameters = zip(*model.named_parameters(), strict=True)
    averaged = {name: value.detach().clone() for name, value in model.state_dict().items()}
    model.train()
    count: Iterator[int] = iter(range(steps))
    if progress:
        count = iter(track(range(steps), description=type(model).__name__))
    for step in count:
        cosine = 0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2
        for group in optimiser.param_groups:
            group["lr"] = rate * cosine * min(1.0, (step + 1) / 200)
        value = loss()
        optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        # A young average would remember the initial weights: let it forget faster at first.
        weight = 1 - min(average, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, parameter in zip(names, parameters, strict=True):
                averaged[name].lerp_(parameter, weight)
    return averaged
