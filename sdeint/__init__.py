"""Solve stochastic differential equations by tableaux: SDEs, Brownian paths, ensembles, studies.

The distribution is ``sdeint-tableaux``; the project called ``sdeint`` on PyPI is another one.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sdeint.brownian import BrownianPath, GridPath, NestedPath, TreePath
    from sdeint.diffusions import Columns, Product
    from sdeint.ensemble import expect, multilevel
    from sdeint.errors import NonFiniteError, ProblemError, StageError
    from sdeint.newton import Newton
    from sdeint.problem import SDE, SemilinearSDE
    from sdeint.solution import Solution, Stats
    from sdeint.solving import solve

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

#: Everything is imported when it is first asked for: exact arithmetic alone takes half a second, and
#: a program that shows its options, or draws a path, has no need of it.
_HOME = {
    "brownian": ("BrownianPath", "GridPath", "NestedPath", "TreePath"),
    "diffusions": ("Columns", "Product"),
    "ensemble": ("expect", "multilevel"),
    "errors": ("NonFiniteError", "ProblemError", "StageError"),
    "newton": ("Newton",),
    "problem": ("SDE", "SemilinearSDE"),
    "solution": ("Solution", "Stats"),
    "solving": ("solve",),
}
_MODULES = (*_HOME, "compiling", "convergence", "plots", "problems", "testing")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    for module, names in _HOME.items():
        if name in names:
            value = getattr(import_module(f"{__name__}.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
