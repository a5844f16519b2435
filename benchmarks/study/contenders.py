"""Who is compared, and how each draws samples with a number of evaluations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from benchmarks.study import schedulers
from benchmarks.study.problems import Target
from benchmarks.study.requests import Draw, Request
from diffusion import NoiseClock, sample
from diffusion.budget import steps_for
from diffusion.grids import time_grid
from tableaux import Tableau

Equation = Literal["fitted", "plain", "flow"]


@dataclass(frozen=True)
class Contender:
    """A sampler as the tables name it.

    Attributes
    ----------
    name : str
    kind : {"ours", "published", "flow", "diffusers", "diffusers flow"}
        "flow" has no noise in its steps, and is no rival of the stochastic ones: shown, not ranked.
    draw : callable
    method, fitted, eta, grid
        For those of the catalogue, how `diffusion.sample` is called.
    """

    name: str
    kind: str
    draw: Draw
    method: str | Tableau = ""
    fitted: bool = False
    eta: float = 1.0
    grid: str = "uniform_lambda"

    @property
    def stochastic(self) -> bool:
        return "flow" not in self.kind

    @property
    def equation(self) -> Equation:
        """What it solves: samplers of one equation have one limit on equal paths."""
        return "flow" if not self.stochastic else "fitted" if self.fitted else "plain"

    def times(self, target: Target, nfe: int) -> Tensor:
        """In the clock of its noise; none of a scheduler, which has times of its own.

        Raises
        ------
        ProblemError
            If not even one step can be made.
        """
        if not self.method:
            return torch.empty(0, dtype=torch.float64)
        variance = target.variance if self.fitted else 0.0
        clock = NoiseClock(target.denoiser, target.process, "x0", eta=self.eta, variance=variance)
        steps = steps_for(self.method, nfe)
        return clock.of(time_grid(self.grid, target.process, steps))


#: (method, fitted to the data's variance) of our samplers.
OURS = (
    ("NoiseAdams", True),
    ("NoiseRK3", True),
    ("OneStageStored", True),
    ("OneStage", True),
    ("TwoStep", False),
)
#: The one of them that we recommend, if it is to be one.
SINGLE = ("NoiseAdams", True)
#: The one from so many evaluations on, on mixtures that are not in the study.
SECOND, FROM = ("NoiseRK3", True), 24
PUBLISHED = (
    "EM",
    "DPMSolver2M",
    "DPMSolver2MHeun",
    "DPMSolver3M",
    "DPMSolver2S",
    "RES2S",
    "RES3S",
    "SEEDS3",
    "RandomMidpoint",
    "SASolver",
    "ERSDE2",
    "ERSDE3",
    "AB2",
    "AcceleratedDDPM",
    "ScoreDifference",
    "Overshoot",
    "SRA1",
)
FLOW = ("DPMSolver2M", "UniPC2", "HeunEDM")


def contenders(grid: str = "uniform_lambda") -> list[Contender]:
    """Ours, the published ones, and those of diffusers if it is installed."""
    found = [of_catalogue(named(*o), "ours", *o, 1.0, grid) for o in OURS]
    found += [of_catalogue(name, "published", name, False, 1.0, grid) for name in PUBLISHED]
    found += [of_catalogue(f"{name}, flow", "flow", name, False, 0.0, grid) for name in FLOW]
    if grid == "uniform_lambda":
        found += [
            Contender(f"diffusers {name}", "diffusers flow" if flow else "diffusers", draw)
            for name, flow, draw in schedulers.available()
        ]
    return found


def by_budget(nfe: int) -> tuple[str, bool]:
    """The one of ours that we recommend for a number of evaluations."""
    return SINGLE if nfe < FROM else SECOND


def named(method: str, fitted: bool) -> str:
    """A sampler of ours in the tables."""
    return f"**{method}**" + (", fitted" if fitted else "")


def limit(equation: Equation) -> Contender:
    """What others of an equation tend to, on the same paths; of strong order 3/2."""
    method = "HeunEDM" if equation == "flow" else "OneStageStored"
    eta = 0.0 if equation == "flow" else 1.0
    return of_catalogue("limit", "limit", method, equation == "fitted", eta, "uniform_lambda")


def of_catalogue(
    label: str,
    kind: str,
    method: str | Tableau,
    fitted: bool,
    eta: float = 1.0,
    grid: str = "uniform_lambda",
) -> Contender:
    """A sampler by its method, one of the catalogue or another."""

    def draw(request: Request) -> Tensor:
        return sample(
            request.denoiser,
            request.shape,
            process=request.process,
            prediction="x0",
            method=method,
            nfe=request.nfe,
            seed=request.seed,
            eta=eta,
            grid=grid,
            variance=request.variance if fitted else 0.0,
            path="grid" if request.path is None else request.path,
            start=request.start,
            dtype=torch.float32,
        )

    return Contender(label, kind, draw, method, fitted, eta, grid)
