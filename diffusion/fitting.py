"""What the clock can be fitted to: the variance of data."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["data_variance"]


def data_variance(data: Tensor | Iterable[Tensor]) -> float:
    r"""The variance of a coordinate of the data about its own mean, averaged over all coordinates.

    Parameters
    ----------
    data : tensor (items, \*event), or batches of that form
        In the units that the model was trained in.

    Returns
    -------
    float
        For `variance` of `diffusion.sample`.

    Raises
    ------
    ValueError
        If there are fewer than two items.

    Examples
    --------
    >>> data_variance(torch.tensor([[0.0, 5.0], [2.0, 5.0]]))
    1.0
    """
    count, mean, squares = 0, torch.tensor(0.0), torch.tensor(0.0)
    for batch in [data] if isinstance(data, Tensor) else data:
        x, total = batch.double(), count + len(batch)
        if len(x) == 0:
            continue
        gap = x.mean(0) - mean
        # About each batch's own mean: sums of squares would cancel where the mean is large.
        squares = squares + (x - x.mean(0)).square().sum(0) + gap**2 * (count * len(x) / total)
        mean, count = mean + gap * (len(x) / total), total
    if count < 2:
        raise ValueError(f"a variance takes two items or more, not {count}")
    return float(squares.mean()) / (count - 1)
