"""Solve stochastic differential equations by tableaux: SDEs, Brownian paths, ensembles, studies.

The distribution is ``sdeint-tableaux``; the project called ``sdeint`` on PyPI is another one.
"""

from sdeint.brownian import BrownianPath, GridPath, TreePath
from sdeint.errors import NonFiniteError, ProblemError
from sdeint.problem import SDE
from sdeint.solution import Solution, Stats
from sdeint.solving import solve

__all__ = [
    "SDE",
    "BrownianPath",
    "GridPath",
    "NonFiniteError",
    "ProblemError",
    "Solution",
    "Stats",
    "TreePath",
    "solve",
]
