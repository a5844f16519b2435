"""The Frechet distance of images in features, from folders, samplers or statistics on file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusion.imaging import as_numbers, read_images
from diffusion.metrics import gaussian_w2

__all__ = ["Features", "Statistics", "load_features", "load_statistics", "statistics"]

#: uint8 images (n, channels, height, width) -> features (n, d).
Features = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Statistics:
    """Mean (d,) and covariance (d, d) of features, float64."""

    mean: Tensor
    covariance: Tensor

    def distance(self, other: Statistics) -> float:
        """The Frechet distance: squared Wasserstein-2 distance of the Gaussians with these moments.

        With Inception's features, the FID.
        """
        if self.mean.shape != other.mean.shape:
            raise ValueError(
                f"statistics of {len(self.mean)} features cannot be compared with those of "
                f"{len(other.mean)}: both need the same extractor"
            )
        return gaussian_w2(self.mean, self.covariance, other.mean, other.covariance) ** 2

    def save(self, path: Path) -> None:
        """Write an .npz file with ``mu`` and ``sigma``, as other tools name them."""
        np.savez(path, mu=self.mean.numpy(), sigma=self.covariance.numpy())


def statistics(batches: Iterable[Tensor], features: Features) -> Statistics:
    """Statistics of the features of batches of images; one pass, nothing is kept.

    Raises
    ------
    ValueError
        If there are fewer than two images, or a feature is infinite or NaN.
    """
    count, mean, scatter = 0, torch.zeros(0), torch.zeros(0)
    for images in batches:
        with torch.no_grad():
            values = features(images).flatten(1).double().cpu()
        if not bool(torch.isfinite(values).all()):
            raise ValueError("a feature is infinite or NaN")
        own = values.mean(0)
        centred = values - own
        within = centred.mT @ centred
        if count == 0:
            mean, scatter = torch.zeros_like(own), torch.zeros_like(within)
        # Merged by means, since sums of squares would cancel.
        shift, total = own - mean, count + len(values)
        scatter = scatter + within + torch.outer(shift, shift) * (count * len(values) / total)
        mean = mean + shift * (len(values) / total)
        count = total
    if count < 2:
        raise ValueError(f"{count} image(s) have no covariance: at least two are needed")
    return Statistics(mean, scatter / (count - 1))


def load_statistics(source: Path, features: Features | None) -> Statistics:
    """Statistics of a folder of images, or from an .npz file with ``mu`` and ``sigma``."""
    source = Path(source)
    if source.is_dir():
        if features is None:
            raise ValueError(f"{source} is a folder of images: a feature extractor is needed")
        return statistics(read_images(source), features)
    with np.load(source, allow_pickle=False) as file:
        missing = {"mu", "sigma"} - set(file)
        if missing:
            raise ValueError(f"{source} has no {min(missing)!r}; it must have 'mu' and 'sigma'")
        mean, covariance = (torch.from_numpy(file[key]).double() for key in ("mu", "sigma"))
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise ValueError(
            f"{source}: mu of shape {tuple(mean.shape)} and sigma of {tuple(covariance.shape)} "
            "must be (d,) and (d, d)"
        )
    return Statistics(mean, covariance)


def load_features(source: str, device: str | None = None) -> Features:
    """A feature extractor.

    Parameters
    ----------
    source : str
        A file with the weights of `diffusion.inception.Inception` (the distance is then the FID);
        "digits" for the classifier that comes with the package; or ``module:name`` of a callable of
        your own, uint8 images (n, channels, height, width) -> (n, d).
    device : str, optional
        Where Inception runs.

    Raises
    ------
    ValueError
        If there is no such thing.
    """
    if source == "digits":
        from diffusion.digits import load_digits_classifier

        classifier = load_digits_classifier()
        return lambda images: classifier.features(as_numbers(images[:, :1]))
    if Path(source).is_file():
        from diffusion.inception import load_inception

        network = load_inception(Path(source)).to(device)
        return lambda images: network(images.to(device))
    module, _, name = source.partition(":")
    if not name:
        raise ValueError(f"features: {source!r} is no file, not 'digits', and not module:name")
    try:
        found: Features = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"features: {error}") from None
    return found
