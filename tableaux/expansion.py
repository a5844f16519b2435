"""Exponential tableaux in powers of h L, for the order theory.

L has a colour of its own, `rooted_trees.LINEAR`, whose nodes bear at most one child. A chain of n
such nodes on top of a tree is L^n applied to its elementary differential, so that its weight comes
from the coefficients of (h L)^n in the entries and in the labels: plain couplings, for each n. A
chain on top of nothing is L^n X_n, whose weight c^n/n! comes from the factor phi_0(c z) of X_n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple, TypeVar

from tableaux.blocks import Coupling, Output
from tableaux.phi import coefficient
from tableaux.rooted_trees import LINEAR, Tree
from tableaux.tableau import Tableau
from tableaux.variables import FUNCTIONALS

__all__ = ["Parts", "beneath", "expansion"]

Part = TypeVar("Part", Coupling, Output)


class Parts(NamedTuple):
    """The couplings and outputs of a tableau at one power of h L."""

    couplings: tuple[Coupling, ...]
    outputs: tuple[Output, ...]
    embedded: tuple[Output, ...]


def beneath(tree: Tree) -> tuple[int, Tree | None]:
    """How many nodes of L stand on top of a tree, and what is beneath: None for X_n itself."""
    depth = 0
    while tree.colour == LINEAR:
        depth += 1
        if not tree.children:
            return depth, None
        tree = tree.children[0]
    return depth, tree


@lru_cache(maxsize=2048)
def expansion(tableau: Tableau, depth: int) -> Parts:
    """The parts of a tableau that multiply (h L)^depth, with plain numbers and labels."""
    whole = Parts(tableau.couplings, tableau.outputs, tableau.embedded)
    if not tableau.exponential:
        return whole if depth == 0 else Parts((), (), ())
    return Parts(*(_expanded(parts, depth) for parts in whole))  # type: ignore[arg-type, type-var]


def _expanded(parts: Sequence[Part], depth: int) -> tuple[Part, ...]:
    found: list[Part] = []
    for part in parts:
        labels = FUNCTIONALS.get(part.label, (part.label,))
        for power in range(depth + 1):
            new = _at(part, depth - power)
            if not any(new.entries()):
                continue
            if power < len(labels):
                new = replace(new, label=labels[power])
            elif part.label not in FUNCTIONALS:
                continue
            # A functional beyond W, H and K keeps its label: no weight that needs it can be computed.
            found.append(new)
    return tuple(found)


def _at(part: Part, n: int) -> Part:
    """A part with the coefficients of z^n of its entries."""
    if isinstance(part, Coupling):
        rows = tuple(tuple(coefficient(e, n) for e in row) for row in part.matrix)
        return replace(part, matrix=rows)
    return replace(part, weights=tuple(coefficient(e, n) for e in part.weights))
