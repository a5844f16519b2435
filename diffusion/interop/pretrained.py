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
from diffusion.imaging import ImageModel
from diffusion.interop.diffusers import TableauScheduler
from diffusion.interop.training import Preconditioned, Training, training_of, translated
from diffusion.processes import VE, Process
from diffusion.reverse import Model
from diffusion.wrappers import InDtype, Labelled

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
    process, prediction, trained = _process(config)
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

        return InDtype(_with_times(called, process, trained), dtype)

    return ImageModel(model, process, prediction, (channels, *sides))


def _process(config: Any) -> tuple[Process, str, Training]:
    """The process of images in [-1, 1], what its model predicts, and how its network was trained."""
    trained = training_of({**config, **translated(config)})
    process = trained.process
    if isinstance(process, VE):
        # Such networks see images in [0, 1], half as large.
        process = VE(2 * process.sigma_min, 2 * process.sigma_max)
    return process, "x0" if isinstance(trained, Preconditioned) else trained.prediction, trained


def _with_times(network: Model, process: Process, trained: Training) -> Model:
    """A network in the role of a model of the process: it sees the times that it was trained with."""
    if isinstance(process, DiscreteVP):
        return Labelled(network, process)

    def called(x: Tensor, t: Tensor) -> Tensor:
        times = t.double().clamp(0.0, process.T)
        label = trained.label(times)
        if isinstance(process, VE):
            return network((x + 1) / 2, label.to(t)) / 2
        if not isinstance(trained, Preconditioned):
            return network(x, label.to(t))
        each = (-1, *(1,) * (x.ndim - 1))
        output = network(trained.entered(x, label.reshape(each)), label.to(t))
        return trained.x0(output, x, times.reshape(each))

    return called
