"""Which member of a family is best at the budgets that people use: ``python -m benchmarks.study.tuning``.

Errors at equal evaluations, over those of NoiseAdams, on mixtures of their own: a problem of the study
that had chosen a method could not judge it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import sympy
import torch

from benchmarks.study.comparison import compare
from benchmarks.study.contenders import of_catalogue
from benchmarks.study.problems import Problem, exact, normal, uniform
from benchmarks.study.tables import table
from diffusion import GaussianMixture
from tableaux import Tableau, catalogue
from tableaux.families.adams import displaced_adams
from tableaux.families.two_displaced import two_displaced

BUDGETS = (8, 12, 16, 24, 32, 48, 64)
FINE = 257
PLACES = ("1/2", "13/20", "2/3", "3/4")
FIRST_PLACES = ("1/5", "1/4", "7/24")
BRIDGES = ("0", "3/4", "9/8", "3/2")


def training() -> list[tuple[Problem, int]]:
    """Mixtures, with how many samples."""
    apart = GaussianMixture([0.2, 0.5, 0.3], [[-1.5], [0.2], [2.0]], [0.1, 0.02, 0.2])
    overlapping = GaussianMixture([0.5, 0.5], [[-0.8], [1.0]], [0.3, 0.15])
    four = GaussianMixture([0.2] * 5, 1.5 * normal(141, 5, 4), uniform(142, 0.02, 0.2, 5, 4))
    sixteen = GaussianMixture([1 / 6] * 6, normal(131, 6, 16), uniform(132, 0.02, 0.4, 6, 16))
    return [
        (exact("1-d, apart", "", apart), 1 << 16),
        (exact("1-d, overlapping", "", overlapping), 1 << 16),
        (exact("4-d", "", four), 1 << 15),
        (exact("16-d", "", sixteen), 1 << 14),
    ]


def over_adams(
    methods: Sequence[Tableau], budgets: Sequence[int] = BUDGETS, share: float = 1.0
) -> dict[str, list[float]]:
    """By method and budget, the mean over the problems (geometric) of the errors over NoiseAdams'.

    An error counts as no less than its noise, so that what cannot be told apart is level.

    Parameters
    ----------
    methods : sequence of Tableau
    budgets : sequence of int
        Evaluations.
    share : float
        Of the samples.
    """
    reference = catalogue["NoiseAdams"]
    samplers = [of_catalogue(m.name, "ours", m, fitted=True) for m in (reference, *methods)]
    logs = {m.name: [0.0] * len(budgets) for m in methods}
    problems = training()
    for problem, items in problems:
        found = compare(problem, samplers, budgets, int(items * share), FINE).errors
        for name, row in logs.items():
            for i, nfe in enumerate(budgets):
                one, other = found[name][nfe], found[reference.name][nfe]
                sizes = [max(e.squared, 0.0) + e.error for e in (one, other)]
                row[i] += math.log(sizes[0] / sizes[1]) / 2 / len(problems)
    return {name: [math.exp(value) for value in row] for name, row in logs.items()}


def main() -> None:
    """Compare members of the families of NoiseAdams and NoiseRK3."""
    torch.set_num_threads(1)
    one = [displaced_adams(f"NoiseAdams, k = {k}", sympy.Rational(k)) for k in PLACES]
    two = [
        two_displaced(f"NoiseRK3, k = {k}, {b} H", sympy.Rational(k), sympy.Rational(b))
        for k, b in product(FIRST_PLACES, BRIDGES)
    ]
    found = over_adams([*one, *two])
    ranked = sorted(found, key=lambda name: math.prod(found[name]))
    print("errors over NoiseAdams' with k = 3/5; the best first")
    rows = [[name, *(f"{value:.2f}" for value in found[name])] for name in ranked]
    print(table(["evaluations", *map(str, BUDGETS)], rows))


if __name__ == "__main__":
    main()
