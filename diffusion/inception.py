"""The Inception network whose features the Frechet inception distance is defined by.

Inception v3 as TensorFlow released it in 2015: unlike later variants it leaves zeros of the border
out of its averages, and takes a maximum in its last block. Weights are not part of this package; the
names of the parameters are those of the ports to PyTorch, so that their files fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Inception", "load_inception"]

Sizes = int | tuple[int, int]
#: A convolution: name, channels out, kernel, stride.
Spec = tuple[str, int, Sizes, int]


class _Convolution(nn.Module):
    """Convolution, batch normalisation, rectifier; padded to keep the size where the stride is 1."""

    def __init__(self, channels: int, out: int, kernel: Sizes, stride: int, keep: bool) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if keep else 0
        self.conv = nn.Conv2d(channels, out, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(x)))


class _Mixed(nn.Module):
    """Branches side by side; a branch is a chain of convolutions, whose last may fork into two."""

    def __init__(self, channels: int, branches: Sequence[Sequence[Spec]], pool: str) -> None:
        super().__init__()
        self.pool, self.branches = pool, list[list[str]]()
        self.out = 0
        for branch in branches:
            width = channels
            for name, out, kernel, stride in branch:
                self.add_module(name, _Convolution(width, out, kernel, stride, keep=stride == 1))
                # The two ends of a fork, "...a" and "...b", have the same source.
                width = width if name.endswith("a") else out
                self.out += out if name.endswith("a") else 0
            self.out += width
            self.branches.append([name for name, *_ in branch])
        if pool == "maximum, smaller":
            self.out += channels

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for names in self.branches:
            y = self._pooled(x) if names == ["branch_pool"] else x
            for name in names:
                if name.endswith("a"):
                    outputs.append(self.get_submodule(name)(y))
                else:
                    y = self.get_submodule(name)(y)
            outputs.append(y)
        if self.pool == "maximum, smaller":
            outputs.append(self._pooled(x))
        return torch.cat(outputs, 1)

    def _pooled(self, x: Tensor) -> Tensor:
        if self.pool == "mean":
            return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        if self.pool == "maximum":
            return functional.max_pool2d(x, 3, 1, 1)
        return functional.max_pool2d(x, 3, 2)


def _blocks() -> Mapping[str, tuple[Sequence[Sequence[Spec]], str]]:
    """Each mixed block: its branches in the order of their outputs, and its pooling."""
    across, down = (1, 7), (7, 1)

    def first(pooled: int) -> Sequence[Sequence[Spec]]:
        return (
            [("branch1x1", 64, 1, 1)],
            [("branch5x5_1", 48, 1, 1), ("branch5x5_2", 64, 5, 1)],
            [
                ("branch3x3dbl_1", 64, 1, 1),
                ("branch3x3dbl_2", 96, 3, 1),
                ("branch3x3dbl_3", 96, 3, 1),
            ],
            [("branch_pool", pooled, 1, 1)],
        )

    def long(c: int) -> Sequence[Sequence[Spec]]:
        return (
            [("branch1x1", 192, 1, 1)],
            [
                ("branch7x7_1", c, 1, 1),
                ("branch7x7_2", c, across, 1),
                ("branch7x7_3", 192, down, 1),
            ],
            [
                ("branch7x7dbl_1", c, 1, 1),
                ("branch7x7dbl_2", c, down, 1),
                ("branch7x7dbl_3", c, across, 1),
                ("branch7x7dbl_4", c, down, 1),
                ("branch7x7dbl_5", 192, across, 1),
            ],
            [("branch_pool", 192, 1, 1)],
        )

    forked: Sequence[Sequence[Spec]] = (
        [("branch1x1", 320, 1, 1)],
        [
            ("branch3x3_1", 384, 1, 1),
            ("branch3x3_2a", 384, (1, 3), 1),
            ("branch3x3_2b", 384, (3, 1), 1),
        ],
        [
            ("branch3x3dbl_1", 448, 1, 1),
            ("branch3x3dbl_2", 384, 3, 1),
            ("branch3x3dbl_3a", 384, (1, 3), 1),
            ("branch3x3dbl_3b", 384, (3, 1), 1),
        ],
        [("branch_pool", 192, 1, 1)],
    )
    return {
        "Mixed_5b": (first(32), "mean"),
        "Mixed_5c": (first(64), "mean"),
        "Mixed_5d": (first(64), "mean"),
        "Mixed_6a": (
            (
                [("branch3x3", 384, 3, 2)],
                [
                    ("branch3x3dbl_1", 64, 1, 1),
                    ("branch3x3dbl_2", 96, 3, 1),
                    ("branch3x3dbl_3", 96, 3, 2),
                ],
            ),
            "maximum, smaller",
        ),
        "Mixed_6b": (long(128), "mean"),
        "Mixed_6c": (long(160), "mean"),
        "Mixed_6d": (long(160), "mean"),
        "Mixed_6e": (long(192), "mean"),
        "Mixed_7a": (
            (
                [("branch3x3_1", 192, 1, 1), ("branch3x3_2", 320, 3, 2)],
                [
                    ("branch7x7x3_1", 192, 1, 1),
                    ("branch7x7x3_2", 192, across, 1),
                    ("branch7x7x3_3", 192, down, 1),
                    ("branch7x7x3_4", 192, 3, 2),
                ],
            ),
            "maximum, smaller",
        ),
        "Mixed_7b": (forked, "mean"),
        "Mixed_7c": (forked, "maximum"),
    }


class Inception(nn.Module):
    """Images to 2048 features: the averages before the last layer.

    References
    ----------
    Szegedy et al., Rethinking the Inception architecture for computer vision, CVPR 2016
    (arXiv 1512.00567); Heusel et al., NeurIPS 2017 (arXiv 1706.08500) for its use.
    """

    def __init__(self) -> None:
        super().__init__()
        stem: list[tuple[str, int, int, int, int, bool]] = [
            ("Conv2d_1a_3x3", 3, 32, 3, 2, False),
            ("Conv2d_2a_3x3", 32, 32, 3, 1, False),
            ("Conv2d_2b_3x3", 32, 64, 3, 1, True),
            ("Conv2d_3b_1x1", 64, 80, 1, 1, False),
            ("Conv2d_4a_3x3", 80, 192, 3, 1, False),
        ]
        for name, channels, out, kernel, stride, keep in stem:
            self.add_module(name, _Convolution(channels, out, kernel, stride, keep))
        self.stem, self.mixed = [name for name, *_ in stem], list[str]()
        width = 192
        for name, (branches, pool) in _blocks().items():
            block = _Mixed(width, branches, pool)
            self.add_module(name, block)
            self.mixed.append(name)
            width = block.out

    def forward(self, images: Tensor) -> Tensor:
        """Features of uint8 images (n, 1 or 3, height, width): (n, 2048).

        Images are resized to 299 x 299 bilinearly, without antialiasing, and scaled to [-1, 1], as
        the PyTorch ports of the original do.
        """
        x = images.expand(-1, 3, -1, -1).float() / 255
        x = functional.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
        x = 2 * x - 1
        for name in self.stem:
            x = self.get_submodule(name)(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = functional.max_pool2d(x, 3, 2)
        for name in self.mixed:
            x = self.get_submodule(name)(x)
        return x.mean((2, 3))


def load_inception(path: Path) -> Inception:
    """The network with the weights of a file: safetensors, or a state dict that ``torch.save`` wrote.

    Raises
    ------
    ValueError
        If parameters are missing or of another shape.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        weights = load_file(path)
    else:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    with torch.device("meta"):  # no numbers that are overwritten
        network = Inception()
    wanted = network.state_dict()
    for name, value in wanted.items():
        if name.endswith("num_batches_tracked"):
            weights.setdefault(name, torch.tensor(0))  # of no use here, left out of older files
        if name not in weights or weights[name].shape != value.shape:
            found = "missing" if name not in weights else f"of shape {tuple(weights[name].shape)}"
            raise ValueError(f"{path}: {name} is {found}, but {tuple(value.shape)} is wanted")
    network.load_state_dict({name: weights[name].float() for name in wanted}, assign=True)
    return network.eval().requires_grad_(False)
