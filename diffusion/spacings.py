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

__all__ = ["leading", "linspace", "shifted", "spacings", "trailing"]

#: From an end without data to where a sampler can begin: what float32 does not tell apart.
_BEFORE = 2.0**-24
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


def shifted(process: Process, steps: int, *, shift: float = 1.0) -> Tensor:
    """Equal steps in time, moved to more noise by ``s t / (1 + (s - 1) t)`` as for large images.

    As the published code has it, they end at the first label's shifted time, and are then shifted. A
    dynamic shift mu is ``s = exp(mu)``. Where nothing of the data is left at the last time of the
    process, the first is the float32 before it. (Esser et al., arXiv 2403.03206, equation 23.)
    """
    if not shift > 0:
        raise ValueError(f"shift = {shift} must be positive")

    def moved(share: Tensor) -> Tensor:
        return shift * share / (1 + (shift - 1) * share)

    n, labels = _sizes(process, steps)
    last = float(moved(torch.tensor(1 / labels, dtype=torch.float64)))
    times = process.T * moved(torch.linspace(1.0, last, n, dtype=torch.float64))
    if float(process.alpha(process.T)) == 0:
        times[0] *= 1 - _BEFORE
    return times


spacings: Mapping[str, Callable[..., Tensor]] = {
    "leading": leading,
    "trailing": trailing,
    "linspace": linspace,
    "shifted": shifted,
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
