"""Sampling images to files, with a record that repeats the run."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffusion.churn import Churn
from diffusion.imaging import ImageModel, as_bytes, save_images, sheet
from diffusion.reverse import Evaluated
from diffusion.sampling import sample
from sdeint import ProblemError
from sdeint.progress import track
from tableaux import Tableau, catalogue
from tableaux.errors import unknown
from tableaux.files import dumps, loads

__all__ = ["Request", "draw", "write"]

RECORD = "record.json"
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_SHOWN = 64


@dataclass(frozen=True)
class Request:
    """What to sample; with the same versions of everything it determines the images.

    Attributes
    ----------
    model : str
        "digits", the model that comes with the package; or a folder or hub id for
        `diffusion.interop.pretrained`.
    method : str
        A name of the catalogue, or a tableau as TOML text.
    items, nfe, seed
        As for `diffusion.sample`; item i is path i of the seed, whatever the batch.
    grid, path, eta, drift, variance
        As for `diffusion.sample`.
    churn : sequence of 1 to 4 numbers, optional
        Those of `diffusion.Churn`, in its order.
    batch : int
        How many items the network sees at once.
    dtype : str
        Of the network: float32, float16 or bfloat16. The state is float32.
    """

    model: str = "digits"
    method: str = "TwoStep"
    nfe: int = 32
    items: int = 64
    seed: int = 0
    grid: str = "uniform_lambda"
    path: str = "grid"
    eta: float | Sequence[float] = 1.0
    drift: str = "x0"
    churn: Sequence[float] | None = None
    variance: float = 0.0
    batch: int = 64
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in ("items", "batch"):
            if getattr(self, name) < 1:
                raise ProblemError(f"{name} must be positive, not {getattr(self, name)}")
        if self.dtype not in _DTYPES:
            raise ProblemError(unknown("dtype", self.dtype, _DTYPES))
        if self.churn is not None and not 1 <= len(self.churn) <= 4:
            raise ProblemError(
                f"churn has 1 to 4 numbers, amount, low, high and noise; got {list(self.churn)}"
            )

    @classmethod
    def read(cls, path: Path) -> Request:
        """The request of a record."""
        try:
            values = json.loads(Path(path).read_text())["request"]
        except (KeyError, TypeError, json.JSONDecodeError):
            raise ValueError(f"{path} is no record of a run: it has no request") from None
        strangers = set(values) - {field.name for field in fields(cls)}
        if strangers:
            raise ValueError(f"{path} asks for {min(strangers)!r}, which is not known here")
        return cls(**values)

    @property
    def tableau(self) -> Tableau:
        """The method."""
        return loads(self.method) if "\n" in self.method else catalogue[self.method]

    def load(self, device: str | None = None) -> ImageModel:
        """The model."""
        if self.model == "digits":
            from diffusion.digits import load_digits_model

            network = load_digits_model().to(device)
            return ImageModel(lambda first: network, network.process, network.prediction, (1, 8, 8))
        from diffusion.interop.pretrained import load_pretrained

        return load_pretrained(self.model, dtype=_DTYPES[self.dtype], device=device)


def draw(
    request: Request, *, device: str | None = None, progress: bool = False
) -> Iterator[tuple[Tensor, int]]:
    """Batches of images, uint8 (n, channels, height, width), with the evaluations that each took."""
    model, tableau = request.load(device), request.tableau
    with track(request.items, "images", progress) as advance:
        for first in range(0, request.items, request.batch):
            count = min(request.batch, request.items - first)
            seen = list[int]()

            def count_calls(e: Evaluated, seen: list[int] = seen) -> None:
                seen[:] = [e.number]

            images = sample(
                model.model(first),
                (count, *model.shape),
                process=model.process,
                prediction=model.prediction,
                method=tableau,
                nfe=request.nfe,
                seed=request.seed,
                first_item=first,
                grid=request.grid,
                path=request.path,
                eta=request.eta,
                drift=request.drift,
                churn=None if request.churn is None else Churn(*request.churn),
                variance=request.variance,
                callback=count_calls,
                device=device,
            )
            advance(count)
            yield as_bytes(images), seen[0]


def write(
    request: Request, out: Path, *, device: str | None = None, progress: bool = False
) -> dict[str, Any]:
    """Sample to a folder: images, ``sheet.png`` with the first 64 of them, and the record.

    Returns
    -------
    dict
        The record: ``request``, ``evaluations`` of the network for each image, ``sha256`` of all
        images as bytes in their order, ``versions``, and the ``tableau`` as TOML text.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    digest, shown, done, evaluations = hashlib.sha256(), list[Tensor](), 0, 0
    for images, used in draw(request, device=device, progress=progress):
        evaluations = used
        save_images(images, out, done)
        digest.update(images.contiguous().numpy().tobytes())
        if done < _SHOWN:
            shown.append(images[: _SHOWN - done])
        done += len(images)
    sheet(torch.cat(shown)).save(out / "sheet.png")
    record = {
        "request": asdict(request),
        "evaluations": evaluations,
        "sha256": digest.hexdigest(),
        "tableau": dumps(request.tableau),
        "device": device or "cpu",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    (out / RECORD).write_text(json.dumps(record, indent=2) + "\n")
    return record
