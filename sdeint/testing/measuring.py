"""Which studies show which order: problems on which the error terms of a noise class are present.

Special problems flatter methods (linear additive noise gives SRA1 strong order 2), and differences
between two step sizes do not see a wrong limit. So each class has a problem that is generic enough
and one with a closed form or a reference by another method.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sdeint import problems
from sdeint.convergence import Study, moments, strong, weak
from sdeint.testing.last_step import enumerable as steps_enumerable
from sdeint.testing.last_step import last_step
from sdeint.testing.local import local_means
from tableaux import PRIMITIVES, Tableau

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
#: of `unicycle`: differences show the order without the bias of a reference.
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
    "none": (("orbit", 2, {"steps": FINE}),),
}


def strong_measurements(tableau: Tableau, noise: str, seed: int) -> list[Measurement]:
    """The studies of a strong order."""
    if _noiseless(tableau):
        noise = "none"

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

        return Measurement(run, exact=noise == "none")

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
    if _noiseless(tableau) or noise == "none":
        return strong_measurements(tableau, "none", seed)
    if noise == "martingale" and steps_enumerable(tableau):
        return [Measurement(lambda factor: last_step(tableau), exact=True)]
    found = []
    enumerable = tableau.start is None and "A" not in tableau.primitives
    if tableau.start is None and noise in LINEAR:
        linear = problems.library[LINEAR[noise]]
        found.append(Measurement(lambda factor: moments(linear, tableau, steps=MANY), exact=True))
    if enumerable and noise != "martingale":
        found.append(Measurement(lambda factor: local_means(tableau, noise), exact=True))
    if enumerable and noise not in ("additive", "martingale"):
        return found
    discrete = any(PRIMITIVES[name].law != "path" for name in tableau.primitives)
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
