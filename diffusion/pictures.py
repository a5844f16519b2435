"""Pictures of samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

__all__ = ["contact_sheet"]


def contact_sheet(groups: Mapping[str, Tensor], path: Path, *, rows: int = 8) -> None:
    """Write one grid of images a group, side by side.

    Parameters
    ----------
    groups : mapping of title to tensor (n, 1, height, width) in [-1, 1]
    path : Path
        A PNG file; its folder must exist.
    rows : int
        Images in a column.
    """
    widest = max(-(-len(images) // rows) for images in groups.values())
    figure = Figure(figsize=(len(groups) * (0.3 * widest + 0.3), 0.3 * rows + 0.4))
    axes = figure.subplots(1, len(groups), squeeze=False)[0]
    for ax, (title, images) in zip(axes, groups.items()):
        columns = max(1, len(images) // rows)
        # A white frame of one pixel on two sides keeps neighbours apart.
        shown = functional.pad(images[: rows * columns, 0].cpu(), (0, 1, 0, 1), value=-1.0)
        height, width = shown.shape[1:]
        sheet = shown.reshape(rows, columns, height, width).transpose(1, 2)
        ax.imshow(
            sheet.reshape(rows * height, columns * width).numpy(), cmap="gray_r", vmin=-1, vmax=1
        )
        ax.set_title(title, fontsize=9)
        ax.set_axis_off()
    figure.savefig(path, dpi=150, bbox_inches="tight")
