"""Networks of diffusers as models: unconditional ones, and those with classes.

Loading is diffusers' own, from a local folder or a hub id, and of safetensors only: a pickle is code.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffusion.discrete import DiscreteVP
from diffusion.edm import EDM, edm_denoiser
from diffusion.imaging import ImageModel
from diffusion.interop.diffusers import PREDICTIONS, TableauScheduler, discrete_process
from diffusion.processes import Flow, Process
from diffusion.reverse import Model
from diffusion.wrappers import Denoiser, InDtype, Labelled

__all__ = ["load_pretrained"]

_HUB_ID = re.compile(r"\w[\w.-]*(/[\w.-]+)?")


def load_pretrained(
    source: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> ImageModel:
    """A pretrained UNet2DModel, with the process that its scheduler says it was trained for.

    Parameters
    ----------
    source : str or Path
        A local folder or a hub id, of a pipeline (such as DDPMPipeline) or of the network and its
        ``scheduler_config.json`` beside each other.
    dtype : torch.dtype
        Of the network; the state of a sampler keeps its own.
    device : optional

    Returns
    -------
    ImageModel
        Items of a network with classes have the class of their number, modulo the classes.

    Raises
    ------
    OSError
        If there is no such model, or its weights are not in safetensors.
    ValueError
        If its network or its scheduler is of a kind that is not known here.
    """
    from diffusers import DiffusionPipeline, UNet2DModel

    options: dict[str, Any] = {"use_safetensors": True, "torch_dtype": dtype}
    folder = Path(source)
    if not folder.is_dir() and not _HUB_ID.fullmatch(str(source)):
        raise FileNotFoundError(f"there is no folder {source}, and it is no id of the hub")
    if folder.is_dir() and not (folder / "model_index.json").exists():
        network = UNet2DModel.from_pretrained(folder, **options)
        config = TableauScheduler.load_config(folder)
    else:
        pipeline = DiffusionPipeline.from_pretrained(str(source), **options)
        network = getattr(pipeline, "unet", None)
        config = {**pipeline.scheduler.config, "_class_name": type(pipeline.scheduler).__name__}
    if not isinstance(network, UNet2DModel):
        raise ValueError(f"{source} has a {type(network).__name__} where a UNet2DModel is needed")
    network = network.to(device).eval().requires_grad_(False)
    process, prediction = _process(config)
    size = network.config.sample_size
    sides = (size, size) if isinstance(size, int) else tuple(size)
    channels = network.config.in_channels
    classes = int(network.config.num_class_embeds or 0)

    def model(first_item: int) -> Model:
        def called(x: Tensor, time: Tensor) -> Tensor:
            labels: dict[str, Tensor] = {}
            if classes:
                numbers = torch.arange(first_item, first_item + len(x), device=x.device)
                labels = {"class_labels": numbers % classes}
            output: Tensor = network(x, time, **labels).sample
            return output[:, :channels]  # the rest is a learned variance

        return InDtype(_with_times(called, process, config), dtype)

    return ImageModel(model, process, prediction, (channels, *sides))


def _process(config: Any) -> tuple[Process, str]:
    """What a scheduler's configuration says of the process and of the network's prediction."""
    name = str(config.get("_class_name", ""))
    if name.startswith("EDM"):
        return EDM(config.get("sigma_min", 0.002), config.get("sigma_max", 80.0)), "x0"
    if name.startswith("FlowMatch"):
        return Flow(), "flow"
    if not {"beta_schedule", "beta_start", "trained_betas"} & set(config):
        raise ValueError(
            f"a network with the scheduler {name or 'of no name'} is not known here; those with "
            "betas, EDM's and FlowMatch's are"
        )
    return discrete_process(config), PREDICTIONS[config.get("prediction_type", "epsilon")]


def _with_times(network: Model, process: Process, config: Any) -> Model:
    """A network in the role of a model of the process: it sees the times that it was trained with."""
    if isinstance(process, DiscreteVP):
        return Labelled(network, process)
    if isinstance(process, EDM):
        sign = -1.0 if config.get("prediction_type") == "v_prediction" else 1.0
        raw = network if sign > 0 else (lambda x, noise: -network(x, noise))
        return Denoiser(edm_denoiser(raw, sigma_data=config.get("sigma_data", 0.5)), process)
    labels = config.get("num_train_timesteps", 1000)
    return lambda x, t: network(x, t * labels)
