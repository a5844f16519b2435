"""Diffusion models: forward processes, what networks predict, and data with exact scores.

The networks and data of `diffusion.digits` are imported on demand.
"""

from importlib import import_module
from types import ModuleType

from diffusion.churn import Churn
from diffusion.corrections import clip, dynamic_threshold, inpaint
from diffusion.cosine import CosineVP
from diffusion.discrete import DiscreteVP
from diffusion.edm import EDM, edm_denoiser
from diffusion.fitting import data_variance
from diffusion.grids import grids, time_grid
from diffusion.guidance import ClassifierFree, ClassifierGuided
from diffusion.likelihood import log_likelihood
from diffusion.log_snr import LogSNR
from diffusion.mixtures import GaussianMixture, MixtureModel
from diffusion.noise_level import NoiseLevel
from diffusion.predictions import compose, convert, from_x0, predictions, to_x0
from diffusion.processes import VE, VP, Flow, Process, SubVP
from diffusion.reverse import Evaluated, NoiseClock
from diffusion.sampling import Trajectory, sample, trajectory
from diffusion.spacings import spacings
from diffusion.transitions import transition_log_probabilities
from diffusion.wrappers import Denoiser, InDtype, Labelled

__all__ = [
    "EDM",
    "VE",
    "VP",
    "Churn",
    "ClassifierFree",
    "ClassifierGuided",
    "CosineVP",
    "Denoiser",
    "DiscreteVP",
    "Evaluated",
    "Flow",
    "GaussianMixture",
    "InDtype",
    "Labelled",
    "LogSNR",
    "MixtureModel",
    "NoiseClock",
    "NoiseLevel",
    "Process",
    "SubVP",
    "Trajectory",
    "clip",
    "compose",
    "convert",
    "data_variance",
    "dynamic_threshold",
    "edm_denoiser",
    "from_x0",
    "grids",
    "inpaint",
    "log_likelihood",
    "predictions",
    "sample",
    "spacings",
    "time_grid",
    "to_x0",
    "trajectory",
    "transition_log_probabilities",
]

#: Modules that are imported when they are first asked for: they cost time that a solve does not need.
_LAZY = ("digits", "metrics")


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
