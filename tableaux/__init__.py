"""What a stochastic Runge-Kutta method is, as exact data, and what order it has."""

from tableaux.blocks import Block, Coupling, Output
from tableaux.errors import TableauError
from tableaux.families import catalogue
from tableaux.files import load
from tableaux.tableau import Tableau
from tableaux.variables import PRIMITIVES, Variable, register, variables

__all__ = [
    "PRIMITIVES",
    "Block",
    "Coupling",
    "Output",
    "Tableau",
    "TableauError",
    "Variable",
    "catalogue",
    "load",
    "register",
    "variables",
]
