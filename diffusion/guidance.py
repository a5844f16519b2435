"""Guidance: a model tilted towards a condition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from diffusion.predictions import check_prediction, compose
from diffusion.processes import Process
from diffusion.reverse import Model

__all__ = ["ClassifierFree", "ClassifierGuided"]


@dataclass(frozen=True)
class ClassifierFree:
    """Classifier-free guidance: ``u + scale (c - u)`` of a conditional and an unconditional output.

    All predictions are affine in the score with the same slope, so it does not matter which one
    the network makes. One evaluation calls the network once, on twice the batch.

    Parameters
    ----------
    network : callable (x, t, condition) -> prediction
    condition, null : tensor (batch, ...)
        The condition of each item, and what stands for none.
    scale : float
        0 gives the unconditional model, 1 the conditional one; 1 evaluates no unconditional output.

    References
    ----------
    Ho, Salimans, Classifier-free diffusion guidance, 2022 (arXiv 2207.12598).
    """

    network: Callable[[Tensor, Tensor, Tensor], Tensor]
    condition: Tensor
    null: Tensor
    scale: float

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        if self.scale == 1:
            return self.network(x, t, self.condition)
        both = torch.cat([self.null.expand_as(self.condition), self.condition])
        without, given = self.network(torch.cat([x, x]), torch.cat([t, t]), both).chunk(2)
        return without + self.scale * (given - without)


@dataclass(frozen=True)
class ClassifierGuided:
    """Classifier guidance: ``score + scale grad_x log p(y | x, t)``.

    Parameters
    ----------
    model : callable (x, t) -> prediction
    log_probability : callable (x, t) -> (batch,)
        Log-probability of what is wanted, differentiable in the noisy state `x`. It is called once an
        evaluation of the model.
    process : Process
    prediction : str
        What `model` predicts, and so what the guided model does.
    scale : float

    References
    ----------
    Dhariwal, Nichol, Diffusion models beat GANs on image synthesis, NeurIPS 2021
    (arXiv 2105.05233), section 4.
    """

    model: Model
    log_probability: Callable[[Tensor, Tensor], Tensor]
    process: Process
    prediction: str
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_prediction(self.prediction)

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            log: Any = self.log_probability(leaf, t).sum()
            (gradient,) = torch.autograd.grad(log, leaf)
        gradient = self.scale * gradient
        # Rounded to the dtype of x, the last time may lie beyond the end of the process.
        times = t.double().clamp(0.0, self.process.T).reshape(-1, *(1,) * (x.ndim - 1))
        alpha, sigma = self.process.alpha(times), self.process.sigma(times)
        # A score shifted by G shifts x0 by sigma**2 G / alpha and epsilon by -sigma G.
        shift = compose(
            (sigma**2 / alpha).to(x) * gradient,
            -sigma.to(x) * gradient,
            alpha,
            sigma,
            self.prediction,
        )
        return self.model(x, t) + shift
