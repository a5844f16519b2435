"""The digits: a learned model, measured through a classifier."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from benchmarks.study.problems import Target
from diffusion.digits import load_digits, load_digits_classifier, load_digits_model
from diffusion.metrics import energy_distance, frechet_distance
from diffusion.predictions import to_x0

__all__ = ["digits", "held_out", "measures"]


@cache
def digits() -> Target:
    """The digits model."""
    model = load_digits_model()
    variance = float(load_digits()[0].images.var(0).mean())

    def denoiser(x: Tensor, t: Tensor) -> Tensor:
        times = t.reshape(-1, 1, 1, 1)
        alpha, sigma = model.process.alpha(times), model.process.sigma(times)
        with torch.no_grad():
            return to_x0(model(x, t), x, alpha, sigma, model.prediction)

    what = "a small network trained on images of 8 x 8 pixels"
    return Target("digits", what, (1, 8, 8), denoiser, variance, model.process)


def measures(x: Tensor, limit: Tensor) -> dict[str, float]:
    """Distances and checks; what is left against the limit is discretisation."""
    if not bool(torch.isfinite(x).all()):
        return {}
    train, held_out = load_digits()
    classifier = load_digits_classifier()
    with torch.no_grad():
        features, own, true = (
            classifier.features(images) for images in (x, limit, held_out.images)
        )
        sure = classifier(x).softmax(1).max(1).values
    near = torch.cdist(x.flatten(1), train.images.flatten(1)).min(1).values
    return {
        "Frechet to the limit": frechet_distance(features, own),
        "Frechet to held out": frechet_distance(features, true),
        "energy to the limit": energy_distance(x, limit),
        "sure": float((sure > 0.9).float().mean()),
        "nearest": float(near.mean()),
    }


def held_out(limit: Tensor) -> dict[str, float]:
    """Held-out digits in the place of samples, as far as there are."""
    return measures(load_digits()[1].images[: len(limit)], limit)
