"""The methods of the literature and ours, one file a family; together they are `catalogue`."""

from tableaux.families import (  # noqa: F401  (each import enters its methods)
    designed,
    euler,
    milstein,
    reverse,
    shifted,
    sra,
    sri,
    weak,
)
from tableaux.families.entries import catalogue

__all__ = ["catalogue"]
