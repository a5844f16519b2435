"""Solve stochastic differential equations by tableaux: SDEs, Brownian paths, ensembles, studies.

The distribution is ``sdeint-tableaux``; the project called ``sdeint`` on PyPI is another one.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sdeint.brownian import BrownianPath, GridPath, NestedPath, TreePath
from sdeint.diffusions import Columns, Product
from sdeint.errors import NonFiniteError, ProblemError, StageError
from sdeint.newton import Newton
from sdeint.problem import SDE, SemilinearSDE
from sdeint.solution import Solution, Stats
from sdeint.solving import solve

if TYPE_CHECKING:
    from sdeint.ensemble import expect, multilevel

__all__ = [
    "SDE",
    "BrownianPath",
    "Columns",
    "GridPath",
    "NestedPath",
    "Newton",
    "NonFiniteError",
    "ProblemError",
    "Product",
    "SemilinearSDE",
    "Solution",
    "StageError",
    "Stats",
    "TreePath",
    "expect",
    "multilevel",
    "solve",
]

#: Modules that are imported when they are first asked for: they cost time that a solve does not need.
_LAZY = ("convergence", "ensemble", "plots", "problems", "testing")
#: Functions of such a module.
_OF_ENSEMBLES = ("expect", "multilevel")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return import_module(f"{__name__}.{name}")
    if name in _OF_ENSEMBLES:
        return getattr(import_module(f"{__name__}.ensemble"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
