"""Diffusion models: forward processes, what networks predict, and data with exact scores.

The networks and data of `diffusion.digits` are imported on demand.
"""

from importlib import import_module
from types import ModuleType

from diffusion.cosine import CosineVP
from diffusion.discrete import DiscreteVP
from diffusion.edm import EDM, edm_denoiser
from diffusion.grids import grids, time_grid
from diffusion.mixtures import GaussianMixture, MixtureModel
from diffusion.predictions import compose, convert, from_x0, predictions, to_x0
from diffusion.processes import VE, VP, Flow, Process, SubVP
from diffusion.reverse import NoiseClock
from diffusion.sampling import Trajectory, sample, trajectory
from diffusion.spacings import spacings

__all__ = [
    "EDM",
    "VE",
    "VP",
    "CosineVP",
    "DiscreteVP",
    "Flow",
    "GaussianMixture",
    "MixtureModel",
    "NoiseClock",
    "Process",
    "SubVP",
    "Trajectory",
    "compose",
    "convert",
    "edm_denoiser",
    "from_x0",
    "grids",
    "predictions",
    "sample",
    "spacings",
    "time_grid",
    "to_x0",
    "trajectory",
]

#: Modules that are imported when they are first asked for: they cost time that a solve does not need.
_LAZY = ("digits", "metrics")


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
