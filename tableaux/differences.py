"""Outputs that are larger than their field allows, but taken of differences of stages only."""

from __future__ import annotations

from functools import lru_cache

from tableaux.blocks import Output
from tableaux.tableau import Tableau
from tableaux.weights import excess

__all__ = ["differences_cancel"]


@lru_cache(maxsize=256)
def differences_cancel(tableau: Tableau) -> bool:
    """Whether the excess of every output cancels because its stages are nearly the same.

    An output that lacks one power of sqrt(h) does no harm if its weights add to zero over stages that
    differ only by terms which have that power to spare: of their values the parts without it are
    equal.  This is sufficient, not necessary.
    """
    outputs = [*tableau.outputs, *tableau.embedded]
    return all(_cancels(tableau, output) for output in outputs if excess(tableau, output) < 0)


def _cancels(tableau: Tableau, output: Output) -> bool:
    stages = [j for j, _ in output.entries()]
    if excess(tableau, output) < -1 or sum(weight for _, weight in output.entries()) != 0:
        return False
    if len({tableau.block(output.source).nodes[j] for j in stages}) > 1:
        return False
    return all(
        len({coupling.matrix[j] for j in stages}) == 1
        for coupling in tableau.couplings
        if coupling.target == output.source and excess(tableau, coupling) == 0
    )
