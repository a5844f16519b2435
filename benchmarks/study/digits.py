"""The digits: a learned model, measured through a classifier."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.study.contenders import Contender
from benchmarks.study.requests import Request
from diffusion.digits import load_digits, load_digits_classifier, load_digits_model
from diffusion.metrics import energy_distance, frechet_distance
from diffusion.predictions import to_x0

__all__ = ["DigitsStudy"]


@dataclass(frozen=True, eq=False)
class DigitsStudy:
    """Samples of the digits model against its own law, finely sampled, and against held-out digits.

    Attributes
    ----------
    items : int
        Samples of each sampler.
    reference : tensor (items, 1, 8, 8)
        From the model with `fine` evaluations: what is left against it is discretisation.
    """

    items: int
    reference: Tensor

    @classmethod
    def of(cls, items: int, contender: Contender, fine: int) -> DigitsStudy:
        """Use a contender with many evaluations as the reference."""
        study = cls(items, torch.empty(0))
        return cls(items, study.draw(contender, fine, seed=77))

    def draw(self, contender: Contender, nfe: int, seed: int) -> Tensor:
        """Samples of a contender."""
        model = load_digits_model()
        train, _ = load_digits()

        def denoiser(x: Tensor, t: Tensor) -> Tensor:
            alpha, sigma = model.process.alpha(t[0]), model.process.sigma(t[0])
            return to_x0(model(x, t), x, alpha, sigma, model.prediction)

        variance = float(train.images.var(0).mean())
        shape = (self.items, 1, 8, 8)
        with torch.no_grad():
            return contender.draw(Request(denoiser, model.process, shape, variance, nfe, seed))

    def measures(self, x: Tensor) -> dict[str, float]:
        """Distances and checks."""
        if not bool(torch.isfinite(x).all()):
            return {}
        train, held_out = load_digits()
        classifier = load_digits_classifier()
        with torch.no_grad():
            features, own, true = (
                classifier.features(images) for images in (x, self.reference, held_out.images)
            )
            sure = classifier(x).softmax(1).max(1).values
        near = torch.cdist(x.flatten(1), train.images.flatten(1)).min(1).values
        return {
            "Frechet to the model": frechet_distance(features, own),
            "Frechet to held out": frechet_distance(features, true),
            "energy to the model": energy_distance(x, self.reference),
            "sure": float((sure > 0.9).float().mean()),
            "nearest": float(near.mean()),
        }

    def floor(self) -> dict[str, float]:
        """Held-out digits in the place of samples, as far as there are."""
        return self.measures(load_digits()[1].images[: self.items])
