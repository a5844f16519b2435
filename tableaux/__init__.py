"""What a stochastic Runge-Kutta method is, as exact data, and what order it has."""

from tableaux.blocks import Block, Coupling, Output
from tableaux.conditions import order_conditions
from tableaux.errors import TableauError
from tableaux.families import catalogue
from tableaux.files import load
from tableaux.rooted_trees import Tree, forests, trees
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
    "forests",
    "load",
    "order",
    "order_conditions",
    "register",
    "trees",
    "variables",
]
