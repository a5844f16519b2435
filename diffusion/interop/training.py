"""How a network of diffusers was trained: what it sees as time and state, and what its output means.

All is in the network's own units, and in the terms of the parameters of `TableauScheduler`, into which
the configurations of diffusers' own schedulers are translated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from diffusion.discrete import DiscreteVP
from diffusion.edm import EDM, preconditioning
from diffusion.predictions import to_x0
from diffusion.processes import VE, Flow, Process
from tableaux.errors import unknown

__all__ = ["Training", "discrete_process", "training_of", "translated"]

PREDICTIONS = {
    "epsilon": "epsilon",
    "sample": "x0",
    "v_prediction": "v",
    "flow_prediction": "flow",
    "score": "score",
}


@dataclass(frozen=True)
class Training:
    """A network with discrete times, which sees the state as it is.

    Attributes
    ----------
    process : Process
    prediction : str
        A name in `diffusion.predictions`.
    """

    process: Process
    prediction: str

    def label(self, t: Tensor) -> Tensor:
        """What the network sees as its time, float64."""
        assert isinstance(self.process, DiscreteVP)
        return self.process.label(t)

    def time(self, label: Tensor) -> Tensor:
        """The process's time of a label, float64; beyond the labels, the nearest one's."""
        assert isinstance(self.process, DiscreteVP)
        return self.process.t_of_label(label.double().clamp(-1.0, self.process.labels - 1))

    def entered(self, x: Tensor, label: Any) -> Tensor:
        """What the network sees as its state, at a label."""
        return x

    def x0(self, output: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """The denoised state, from the network's output."""
        return to_x0(output, x, self.process.alpha(t), self.process.sigma(t), self.prediction)


@dataclass(frozen=True)
class Scaled(Training):
    """One whose label is its time, times a constant: rectified flow."""

    factor: float = 1000.0

    def label(self, t: Tensor) -> Tensor:
        return t * self.factor

    def time(self, label: Tensor) -> Tensor:
        return (label.double() / self.factor).clamp(0.0, self.process.T)


class BySigma(Training):
    """One whose label is the standard deviation of the noise: the score networks of VE."""

    def label(self, t: Tensor) -> Tensor:
        return self.process.sigma(t)

    def time(self, label: Tensor) -> Tensor:
        low, high = (float(self.process.sigma(t)) for t in (0.0, self.process.T))
        return self.process.t_of_lambda(-torch.log(label.double().clamp(low, high)))


@dataclass(frozen=True)
class Preconditioned(Training):
    """EDM's, which sees a quarter of log(sigma)."""

    sigma_data: float = 0.5

    def label(self, t: Tensor) -> Tensor:
        return torch.log(t) / 4

    def time(self, label: Tensor) -> Tensor:
        return torch.exp(4 * label.double()).clamp(0.0, self.process.T)

    def entered(self, x: Tensor, label: Any) -> Tensor:
        t = self.time(torch.as_tensor(label))
        return x * preconditioning(t, self.sigma_data)[2].to(x)

    def x0(self, output: Tensor, x: Tensor, t: Tensor) -> Tensor:
        skip, out, _ = preconditioning(t, self.sigma_data)
        sign = -1.0 if self.prediction == "v" else 1.0
        return skip.to(x) * x + (sign * out).to(x) * output.to(x)


PROCESSES = ("betas", "edm", "ve", "flow")


def training_of(config: Mapping[str, Any]) -> Training:
    """From parameters of `TableauScheduler`; what is missing is as in its defaults.

    Raises
    ------
    ValueError
        If the process or the prediction is unknown, or they do not go together.
    """
    kind, wanted = config.get("process", "betas"), config.get("prediction_type", "epsilon")
    if kind not in PROCESSES:
        raise ValueError(unknown("process", kind, PROCESSES))
    if wanted not in PREDICTIONS:
        raise ValueError(unknown("prediction_type", wanted, PREDICTIONS))
    prediction = PREDICTIONS[wanted]
    if kind == "betas":
        return Training(discrete_process(config), prediction)
    if kind == "flow":
        return Scaled(Flow(), prediction, float(config.get("num_train_timesteps", 1000)))
    low, high = config.get("sigma_min"), config.get("sigma_max")
    if low is None or high is None:
        raise ValueError(f"the process {kind!r} needs sigma_min and sigma_max")
    if kind == "ve":
        return BySigma(VE(low, high), prediction)
    if prediction not in ("epsilon", "v"):
        raise ValueError(
            f"a network of EDM has prediction_type 'epsilon' or 'v_prediction', not {wanted!r}"
        )
    return Preconditioned(EDM(low, high), prediction, config.get("sigma_data", 0.5))


#: Parameters that only this scheduler has, or after those before it.
_SIGNS = {
    "EDMDPMSolverMultistepScheduler": {"sigma_schedule", "algorithm_type"},
    "CosineDPMSolverMultistepScheduler": {"sigma_schedule", "solver_order"},
    "EDMEulerScheduler": {"sigma_schedule"},
    "ScoreSdeVeScheduler": {"snr", "correct_steps"},
    "KarrasVeScheduler": {"s_churn"},
    "FlowMatchEulerDiscreteScheduler": {"shift"},
}


def translated(config: Mapping[str, Any]) -> dict[str, Any]:
    """What the configuration of a scheduler of diffusers says, in the parameters of `TableauScheduler`.

    Parameters
    ----------
    config : mapping
        If it has no ``_class_name``, as the configuration of a living scheduler, its keys tell.

    Returns
    -------
    dict
        Parameters that have another name or default there; empty for networks with betas.

    Raises
    ------
    ValueError
        If the scheduler is of a kind that is not known here.
    """
    if "process" in config:
        return {}
    known = (name for name, keys in _SIGNS.items() if keys <= set(config))
    name = str(config.get("_class_name") or next(known, ""))
    if name.startswith("EDM"):
        spacing = "edm" if config.get("sigma_schedule", "karras") == "karras" else "uniform_lambda"
        ends = config.get("sigma_min", 0.002), config.get("sigma_max", 80.0)
        data = config.get("sigma_data", 0.5)
        return _edm(*ends, data, spacing, config.get("prediction_type", "epsilon"))
    if name == "ScoreSdeVeScheduler":
        ends = config.get("sigma_min", 0.01), config.get("sigma_max", 1348.0)
        return _ve(*ends)
    if name == "KarrasVeScheduler":
        # Its networks are those of VE, for images in [0, 1]; its own sigma is for [-1, 1].
        return _ve(config.get("sigma_min", 0.02) / 2, config.get("sigma_max", 100.0) / 2)
    if config.get("invert_sigmas"):
        raise ValueError(f"a network with inverted sigmas ({name}) is not known here")
    if name.startswith("FlowMatch") or config.get("prediction_type") == "flow_prediction":
        return {
            "process": "flow",
            "prediction_type": "flow_prediction",
            "timestep_spacing": _flow_spacing(name, config),
        }
    if not ({"beta_schedule", "beta_start"} & set(config) or config.get("trained_betas")):
        raise ValueError(
            f"a network with the scheduler {name or 'of no name'} is not known here; those with "
            "betas, and those of EDM's, FlowMatch's, ScoreSdeVe and KarrasVe are"
        )
    if config.get("timestep_type") == "continuous":
        low, high = config.get("sigma_min"), config.get("sigma_max")
        if low is None or high is None:
            process = discrete_process(config)
            low, high = (math.exp(-float(process.lambda_(t))) for t in process.trained)
        # Euler's form of EDM's preconditioning, for data of variance 1.
        return _edm(low, high, 1.0, "edm", config.get("prediction_type", "epsilon"))
    return {}


def _flow_spacing(name: str, config: Mapping[str, Any]) -> str:
    """FlowMatch schedulers' own, unless a pipeline tells them the shift, or they go by other sigmas."""
    others = {"use_dynamic_shifting", "shift_terminal"}
    others |= {f"use_{kind}_sigmas" for kind in ("karras", "exponential", "beta")}
    if name.startswith("FlowMatch") and not any(config.get(key) for key in others):
        return f"shifted({config.get('shift', 1.0)})"
    return "uniform_lambda"


def _edm(low: float, high: float, data: float, spacing: str, kind: str) -> dict[str, Any]:
    return {
        "process": "edm",
        "sigma_min": low,
        "sigma_max": high,
        "sigma_data": data,
        "prediction_type": kind,
        "timestep_spacing": spacing,
    }


def _ve(low: float, high: float) -> dict[str, Any]:
    return {"process": "ve", "sigma_min": low, "sigma_max": high, "prediction_type": "score"}


def discrete_process(config: Any) -> DiscreteVP:
    """The process of a scheduler's configuration, as diffusers' own schedulers define it.

    Parameters
    ----------
    config : mapping
        ``num_train_timesteps``, ``beta_start``, ``beta_end``, ``beta_schedule``, ``trained_betas``,
        ``rescale_betas_zero_snr``; what is missing is as in DDPM.
    """
    n = config.get("num_train_timesteps", 1000)
    low, high = config.get("beta_start", 1e-4), config.get("beta_end", 0.02)
    schedule = config.get("beta_schedule", "linear")
    trained = config.get("trained_betas")
    line = torch.linspace(0, 1, n, dtype=torch.float64)
    if trained is not None:
        betas = torch.as_tensor(trained, dtype=torch.float64)
    elif schedule == "linear":
        betas = low + (high - low) * line
    elif schedule == "scaled_linear":
        betas = (low**0.5 + (high**0.5 - low**0.5) * line) ** 2
    elif schedule == "sigmoid":
        betas = low + (high - low) * torch.sigmoid(12 * line - 6)
    elif schedule == "squaredcos_cap_v2":
        angle = (torch.arange(n + 1, dtype=torch.float64) / n + 0.008) / 1.008 * math.pi / 2
        f = torch.cos(angle) ** 2
        betas = (1 - f[1:] / f[:-1]).clamp_max(0.999)
    else:
        known = ("linear", "scaled_linear", "sigmoid", "squaredcos_cap_v2")
        raise ValueError(unknown("beta_schedule", schedule, known))
    if config.get("rescale_betas_zero_snr", False):
        root = torch.cumprod(1 - betas, 0).sqrt()
        products = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
        # Nothing of the data left would put the last label at rho = 0, where epsilon says nothing.
        products[-1] = min(2.0**-24, float(products[-2]) / 2)
        return DiscreteVP.from_alphas_cumprod(products)
    return DiscreteVP.from_betas(betas)
