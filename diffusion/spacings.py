"""Time grids by the labels of a network with discrete times, as the published samplers chose them.

The names are those of Lin et al., Common diffusion noise schedules and sample steps are flawed
(arXiv 2305.08891), table 2. A grid of `steps` steps has ``n = steps + 1`` times, at each of which a
method of one evaluation a step evaluates the network: the last for the final denoising. Label k of N
is the time ``(k + 1) / N``, in units of the process's last time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from diffusion.discrete import DiscreteVP
from diffusion.processes import Process

__all__ = ["leading", "linspace", "spacings", "trailing"]

#: Labels that a process of continuous time is taken to have, as nearly all published networks do.
_USUAL_LABELS = 1000


def leading(process: Process, steps: int, *, offset: int = 0) -> Tensor:
    """Labels ``offset + i (N // n)``: DDPM's; the last label, of most noise, is left out."""
    n, labels = _sizes(process, steps)
    return _times(process, (torch.arange(n - 1, -1, -1) * (labels // n) + offset).double())


def trailing(process: Process, steps: int) -> Tensor:
    """Labels ``round(N - i N / n) - 1``: from the last label, without the first."""
    n, labels = _sizes(process, steps)
    back = torch.arange(n, dtype=torch.float64) * labels / n
    return _times(process, torch.round(labels - back) - 1)


def linspace(process: Process, steps: int) -> Tensor:
    """Labels rounded from N - 1 to 0 in equal parts: both ends."""
    n, labels = _sizes(process, steps)
    return _times(process, torch.round(torch.linspace(labels - 1, 0, n, dtype=torch.float64)))


spacings: Mapping[str, Callable[[Process, int], Tensor]] = {
    "leading": leading,
    "trailing": trailing,
    "linspace": linspace,
}


def _labels(process: Process) -> int:
    return process.labels if isinstance(process, DiscreteVP) else _USUAL_LABELS


def _sizes(process: Process, steps: int) -> tuple[int, int]:
    labels = _labels(process)
    if steps + 1 > labels:
        raise ValueError(f"{steps} steps need {steps + 1} labels; {process} has {labels}")
    return steps + 1, labels


def _times(process: Process, labels: Tensor) -> Tensor:
    return (labels + 1) / _labels(process) * process.T
