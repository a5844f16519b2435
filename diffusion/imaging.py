"""Images as files: models that make them, pictures on disk, contact sheets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from diffusion.processes import Process
from diffusion.reverse import Model

__all__ = ["ImageModel", "as_bytes", "as_numbers", "read_images", "save_images", "sheet"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


@dataclass(frozen=True)
class ImageModel:
    """A model of images in [-1, 1].

    Attributes
    ----------
    model : callable (first_item) -> model
        The model of a batch whose items are numbered from `first_item` on.
    process : Process
    prediction : str
    shape : tuple of int
        (channels, height, width).
    """

    model: Callable[[int], Model]
    process: Process
    prediction: str
    shape: tuple[int, ...]


def as_bytes(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8, rounded: what files, and Frechet distances, are made of."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()


def as_numbers(images: Tensor) -> Tensor:
    """Images in [-1, 1], float32, from uint8."""
    return images.float() / 127.5 - 1


def save_images(images: Tensor, folder: Path, first: int = 0) -> None:
    """Write uint8 images (n, channels, height, width) as PNG files ``000000.png``, ..."""
    for number, image in enumerate(images, start=first):
        _picture(image).save(folder / f"{number:06d}.png")


def sheet(images: Tensor, columns: int | None = None) -> Image.Image:
    """A contact sheet of uint8 images, in rows, with a white pixel around each."""
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    framed = functional.pad(images, (0, 1, 0, 1), value=255)
    blank = rows * columns - len(images)
    framed = torch.cat([framed, torch.full_like(framed[:1], 255).expand(blank, -1, -1, -1)])
    _, channels, height, width = framed.shape
    laid = framed.reshape(rows, columns, channels, height, width).permute(2, 0, 3, 1, 4)
    return _picture(laid.reshape(channels, rows * height, columns * width))


def read_images(folder: Path, batch: int = 256) -> Iterator[Tensor]:
    """The images of a folder and its subfolders in the order of their names, as uint8 batches.

    Raises
    ------
    ValueError
        If there are none, or they differ in size.
    """
    files = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"no images ({', '.join(SUFFIXES)}) in {folder}")
    shape: tuple[int, ...] | None = None
    for start in range(0, len(files), batch):
        rows = []
        for path in files[start : start + batch]:
            with Image.open(path) as picture:
                row = torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
            shape = shape or tuple(row.shape)
            if tuple(row.shape) != shape:
                raise ValueError(
                    f"{path} is {row.shape[2]} x {row.shape[1]} pixels, but {files[0]} is "
                    f"{shape[2]} x {shape[1]}"
                )
            rows.append(row)
        yield torch.stack(rows)


def _picture(image: Tensor) -> Image.Image:
    channels = image.shape[0]
    if channels not in (1, 3):
        raise ValueError(f"an image file has 1 or 3 channels, not {channels}")
    values = image[0] if channels == 1 else image.permute(1, 2, 0)
    return Image.fromarray(values.contiguous().numpy())
