"""What a sampling run is, but for its model: the steps that `sample` takes and others retrace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from diffusion.churn import Churn
from diffusion.corrections import Correction
from diffusion.processes import Process
from diffusion.reverse import Evaluated, Model, NoiseClock
from diffusion.stochasticity import Eta
from sdeint.brownian import BrownianPath
from tableaux import Tableau

__all__ = ["Plan"]


@dataclass(frozen=True, eq=False)
class Plan:
    """A run with any model.

    Attributes
    ----------
    process : Process
    prediction : str
        What a model predicts.
    method : Tableau
    times : tensor (steps + 1,)
        Of the process, decreasing.
    eta : float, (float, float, float) or callable
        Stochasticity.
    variance : float
        Of the Gaussian model of the data, in `NoiseClock`.
    corrections : tuple of callables (x0, t) -> x0
    path : BrownianPath
        The Brownian motion of the steps, in the clock of `NoiseClock.noise`, or of lambda in `LogSNR`.
    drift : {"x0", "epsilon"}
        What the method takes for its drift.
    churn : Churn, optional
        Noise at the beginning of steps.
    """

    process: Process
    prediction: str
    method: Tableau
    times: Tensor
    eta: Eta
    variance: float
    corrections: tuple[Correction, ...]
    path: BrownianPath
    drift: str
    churn: Churn | None

    def clock(
        self, model: Model, callback: Callable[[Evaluated], None] | None = None
    ) -> NoiseClock:
        """The reverse diffusion of a model."""
        return NoiseClock(
            model,
            self.process,
            self.prediction,
            corrections=self.corrections,
            callback=callback,
            eta=self.eta,
            variance=self.variance,
        )
