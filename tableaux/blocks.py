"""The parts of a tableau: stage blocks, couplings between them, outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sympy

from tableaux.errors import TableauError, unknown
from tableaux.exact import Matrix, Vector, exact_matrix, exact_vector
from tableaux.variables import variables

__all__ = ["Block", "Coupling", "Output"]

COLOURS = ("drift", "diffusion")
REPLICATIONS = ("once", "channel", "pair")
SELECTORS = ("all", "own", "other", "less", "greater", "partner")


def member(value: str, allowed: Sequence[str], what: str) -> None:
    """Refuse a value that is not among those allowed."""
    if value not in allowed:
        raise TableauError(f"{what} " + unknown("choice", value, allowed))


@dataclass(frozen=True)
class Block:
    """A group of stages with one colour.

    Attributes
    ----------
    name : str
    colour : {"drift", "diffusion"}
        Which vector field is evaluated at the stages.
    nodes : tuple of exact numbers
        The times t_n + c h of the evaluations; their number is the number of stages.
    replication : {"once", "channel", "pair"}
        ``once``: one value H_s; a diffusion block evaluates all columns g_1..g_m there.
        ``channel``: a value H_s^(k) for each channel k, where a diffusion block evaluates g_k.
        ``pair``: a value H_s^(k,l) for each ordered pair k != l, where it evaluates g_k.
    remembers : str or None
        Of a memory block: the block whose values in an earlier step it holds.
    lag : int
        Of a memory block: how many steps earlier.
    """

    name: str
    colour: str
    nodes: Vector
    replication: str = "once"
    remembers: str | None = None
    lag: int = 1

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name):
            raise TableauError(f"block name {self.name!r}: a non-empty text is needed")
        where = f"block {self.name!r}"
        member(self.colour, COLOURS, f"{where}: colour")
        member(self.replication, REPLICATIONS, f"{where}: replication")
        object.__setattr__(self, "nodes", exact_vector(self.nodes, where=f"{where}: nodes"))
        if not self.nodes:
            raise TableauError(f"{where}: a block needs at least one stage; nodes are empty")
        if isinstance(self.lag, bool) or not isinstance(self.lag, int) or self.lag < 1:
            raise TableauError(f"{where}: lag is a number of steps from 1 on, got {self.lag!r}")
        if self.remembers is None and self.lag != 1:
            raise TableauError(f"{where}: a lag is given, but the block remembers nothing")

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.nodes)

    @property
    def has_channel(self) -> bool:
        """Whether the values of the block, as a source, are indexed by a channel."""
        return self.colour == "diffusion" or self.replication != "once"


@dataclass(frozen=True)
class Coupling:
    """Stages of `target` receive ``matrix @ values(source) * label``.

    Attributes
    ----------
    target, source : str
        Names of blocks.
    label : str
        A label of `tableaux.variables`.
    matrix : tuple of tuples of exact numbers, target stages x source stages
    selector : {"all", "own", "other", "less", "greater", "partner"}
        Which source channels l take part for the target channel k.
    """

    target: str
    source: str
    label: str
    matrix: Matrix
    selector: str = "all"

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", exact_matrix(self.matrix, where=str(self)))
        member(self.selector, SELECTORS, f"{self}: selector")
        if self.label not in variables:
            raise TableauError(f"{self}: " + unknown("random variable", self.label, variables))

    def __str__(self) -> str:
        return f"coupling {self.source!r} -> {self.target!r} ({self.label}, {self.selector})"

    def entries(self) -> Iterator[tuple[int, int, sympy.Expr]]:
        """The non-zero entries as (target stage, source stage, coefficient)."""
        for i, row in enumerate(self.matrix):
            for j, entry in enumerate(row):
                if entry != 0:
                    yield i, j, entry


@dataclass(frozen=True)
class Output:
    """The new value receives ``weights @ values(source) * label``; see `Coupling`."""

    source: str
    label: str
    weights: Vector
    selector: str = "all"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", exact_vector(self.weights, where=str(self)))
        member(self.selector, ("all", "less", "greater"), f"{self}: selector")
        if self.label not in variables:
            raise TableauError(f"{self}: " + unknown("random variable", self.label, variables))

    def __str__(self) -> str:
        return f"output of {self.source!r} ({self.label}, {self.selector})"

    def entries(self) -> Iterator[tuple[int, sympy.Expr]]:
        """The non-zero weights as (source stage, coefficient)."""
        for j, entry in enumerate(self.weights):
            if entry != 0:
                yield j, entry
