"""Which studies show which order: problems on which the error terms of a noise class are present.

Special problems flatter methods (linear additive noise gives SRA1 strong order 2), and differences
between two step sizes do not see a wrong limit. So each class has a problem that is generic enough
and one with a closed form or a reference by another method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sdeint import problems
from sdeint.convergence import Study, moments, strong, weak
from sdeint.problems import PathValues, Problem
from sdeint.problems.closed_form import Time
from sdeint.testing.local import local_means
from tableaux import Tableau

__all__ = ["SURE", "Measurement", "strong_measurements", "weak_measurements"]

SURE = 1 - 1e-8

FINE = (16, 32, 64, 128, 256)
COARSE = (8, 16, 32, 64, 128)
#: Where the error would drown in sampling noise at smaller steps.
LARGE = (2, 4, 8, 16, 32)
#: For studies whose cost does not grow with the number of steps.
MANY = tuple(2**k for k in range(5, 13))


@dataclass(frozen=True)
class Measurement:
    """A study that can be run, with a factor on its number of paths.

    Attributes
    ----------
    run : callable int -> Study
    exact : bool
        Nothing in it is sampled.
    """

    run: Callable[[int], Study]
    exact: bool


#: Noise class -> (problem, paths, further arguments of `strong`). No closed form exists for the noise
#: of `unicycle`, and a fine reference would need the Levy areas of all steps: differences show its order.
STRONG: dict[str, tuple[tuple[str, int, dict[str, Any]], ...]] = {
    "general": (
        ("unicycle", 2500, {"steps": COARSE, "reference": "half"}),
        ("spiral", 1500, {"steps": FINE}),
    ),
    "commutative": (
        ("bounded plane", 2000, {"steps": COARSE}),
        ("spiral", 1500, {"steps": FINE}),
    ),
    "diagonal": (("diagonal", 1500, {"steps": FINE}), ("bounded", 3000, {"steps": FINE})),
    "scalar": (("oscillator", 1500, {"steps": FINE}),),
    "constant": (("swirl", 1000, {"steps": COARSE, "reference": ("SRA3", 512)}),),
    "additive": (
        ("swirl", 1000, {"steps": COARSE, "reference": ("SRA3", 512)}),
        ("fading", 1000, {"steps": FINE}),
    ),
    "martingale": (("denoiser", 1500, {"steps": FINE, "reference": ("SRA3", 1024)}),),
}


def strong_measurements(tableau: Tableau, noise: str, seed: int) -> list[Measurement]:
    """The studies of a strong order."""
    if tableau.implicit:
        return []
    if _noiseless(tableau):
        return [_ordinary(tableau)]

    def study(problem: str, paths: int, options: dict[str, Any]) -> Measurement:
        def run(factor: int) -> Study:
            return strong(
                problems.library[problem],
                tableau,
                paths=factor * paths,
                seed=seed,
                confidence=SURE,
                **options,
            )

        return Measurement(run, exact=False)

    return [study(*row) for row in STRONG[noise]]


#: Noise class -> a linear problem, whose moments need no sampling.
LINEAR = {
    "general": "triple",
    "commutative": "spiral",
    "diagonal": "gbm",
    "scalar": "oscillator",
}
#: Noise class -> (problem, functional, paths, coupling) where the outcomes of a step cannot be
#: enumerated. Common paths remove nearly all of the variance.
SAMPLED = {
    "general": (
        ("unicycle", "mean x", 20_000, "half"),
        ("spiral", "squared norm", 8000, "solution"),
    ),
    "commutative": (("spiral", "squared norm", 8000, "solution"),),
    "diagonal": (("diagonal", "squared norm", 8000, "solution"),),
    "scalar": (("oscillator", "squared norm", 8000, "solution"),),
    "constant": (("growth", "mean", 4000, "solution"),),
    "additive": (
        ("growth", "mean", 4000, "solution"),
        ("fading", "second moment", 4000, "solution"),
    ),
    "martingale": (("denoiser", "fourth moment", 60_000, "half"),),
}


def weak_measurements(tableau: Tableau, noise: str, seed: int) -> list[Measurement]:
    """The studies of a weak order: without sampling where the outcomes of a step are enumerable."""
    if _noiseless(tableau):
        return [] if tableau.implicit else [_ordinary(tableau)]
    found = []
    enumerable = tableau.start is None and "A" not in tableau.primitives
    if enumerable and noise in LINEAR and not tableau.implicit:
        linear = problems.library[LINEAR[noise]]
        found.append(Measurement(lambda factor: moments(linear, tableau, steps=MANY), exact=True))
    if enumerable and noise != "martingale":
        found.append(Measurement(lambda factor: local_means(tableau, noise), exact=True))
    if tableau.implicit or (enumerable and noise not in ("additive", "martingale")):
        return found
    discrete = bool(tableau.primitives & {"theta", "sign", "eta"})
    for problem, functional, paths, coupling in SAMPLED[noise]:
        if enumerable and problem == "growth":
            continue  # local means have seen a nonlinear drift already; time they cannot see
        found.append(_sampled(tableau, problem, functional, paths, coupling, discrete, seed))
    return found


def _sampled(
    tableau: Tableau,
    problem: str,
    functional: str,
    paths: int,
    coupling: str,
    discrete: bool,
    seed: int,
) -> Measurement:
    def run(factor: int) -> Study:
        return weak(
            problems.library[problem],
            tableau,
            functional,
            # Discrete variables make no common path: more of them.
            coupling="independent" if discrete else coupling,
            steps=LARGE if discrete or coupling == "half" else COARSE,
            paths=(10 if discrete else 1) * factor * paths,
            seed=seed,
            confidence=SURE,
        )

    return Measurement(run, exact=False)


# --- without noise -------------------------------------------------------------------------------


def _noiseless(tableau: Tableau) -> bool:
    return all(block.colour == "drift" for block in tableau.blocks)


def _ordinary(tableau: Tableau) -> Measurement:
    return Measurement(lambda factor: strong(whirl(), tableau, steps=COARSE, paths=2), exact=True)


def whirl() -> Problem:
    """An ordinary equation in the plane: logistic radius, turning at the rate of the radius.

    ``r' = r (1 - r)``, ``a' = r``: with ``q = 1 + r0 (e^t - 1)`` it is ``r = r0 e^t / q``, ``a = log
    q`` from angle 0.
    """
    r0 = 0.3

    def drift(t: Time, y: Tensor) -> Tensor:
        r = torch.linalg.vector_norm(y, dim=-1, keepdim=True)
        turned = torch.stack((-y[..., 1], y[..., 0]), -1)
        value: Tensor = y * (1 - r) + turned * r
        return value

    def solution(t: float, path: PathValues) -> Tensor:
        time = torch.full_like(path.W[..., 0], t)
        q = 1 + r0 * torch.expm1(time)
        r, a = r0 * torch.exp(time) / q, torch.log(q)
        return torch.stack((r * torch.cos(a), r * torch.sin(a)), -1)

    return Problem(
        name="whirl",
        noise="additive",
        y0=(r0, 0.0),
        channels=2,
        drifts={"ito": drift, "stratonovich": drift},
        diffusion=lambda t, y: torch.zeros_like(y),
        interval=(0.0, 2.0),
        solution=solution,
        citation="elementary: the logistic equation in polar coordinates",
    )
