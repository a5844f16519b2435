"""What a stochastic Runge-Kutta method is, as exact data, and what order it has."""

from importlib import import_module
from types import ModuleType

from tableaux.blocks import Block, Coupling, Output
from tableaux.conditions import order_conditions
from tableaux.errors import TableauError
from tableaux.exponential_family import exponential_family
from tableaux.families import catalogue
from tableaux.files import load
from tableaux.integrating_factor import lawson
from tableaux.rooted_trees import Tree, forests, trees
from tableaux.stiff import stiff_conditions, stiff_order
from tableaux.tableau import NOISE_CLASSES, Tableau
from tableaux.variables import PRIMITIVES, Primitive, Variable, register, variables
from tableaux.verdict import OrderReport, order

__all__ = [
    "NOISE_CLASSES",
    "PRIMITIVES",
    "Block",
    "Coupling",
    "OrderReport",
    "Output",
    "Primitive",
    "Tableau",
    "TableauError",
    "Tree",
    "Variable",
    "catalogue",
    "exponential_family",
    "forests",
    "lawson",
    "load",
    "order",
    "order_conditions",
    "register",
    "stiff_conditions",
    "stiff_order",
    "trees",
    "variables",
]

#: Modules that are imported when they are first asked for: they cost time that a solve does not need.
_LAZY = ("design", "moments", "stability")


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
