"""The random variables of the steps of an exponential method with exact noise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sdeint.brownian import BrownianPath, GridPath, NestedPath
from sdeint.brownian.chen import Values, coarse_steps, join
from sdeint.brownian.path import Steps
from sdeint.errors import ProblemError
from sdeint.linear.joining import joining

if TYPE_CHECKING:
    from sdeint.linear.flow import Flow

__all__ = ["MODES", "drawn_for", "normal", "steps_of"]

#: Primitives of tableaux that are functionals of the path and L, by the weights that they have.
MODES: Mapping[str, str] = MappingProxyType({"E": "phi_0", "F": "phi_1"})


#: How many pairs of lengths a nested path keeps the joining of.
_JOINS = 256
#: The lengths of two neighbouring intervals; (part, variable, multiplier) to be added up.
Lengths = tuple[float, float]
Terms = list[tuple[int, str, Tensor]]


def normal(name: str) -> str:
    """The standard normal that a functional needs besides W and H."""
    return f"{name} normal"


def drawn_for(names: Iterable[str]) -> tuple[str, ...]:
    """What the path draws for a program's primitives."""
    wanted = set(names)
    found = wanted & MODES.keys()
    path = {"W", "H"} if found else set()
    return tuple(sorted((wanted - found) | path | {normal(name) for name in found}))


def steps_of(
    path: BrownianPath,
    grid: Tensor,
    flow: Flow,
    sizes: Sequence[float],
    names: Iterable[str],
    matrix: bool,
) -> Steps:
    """The variables of the steps of a grid, those that depend on L among them.

    On a `NestedPath` the functionals of a step are those of its fine steps, joined: one path for all
    step sizes. A `GridPath` draws them for each step.

    Parameters
    ----------
    path : BrownianPath
    grid : Tensor
    flow : Flow
    sizes : sequence of float
        The signed sizes of the steps.
    names : iterable of str
        Primitives of the program.
    matrix : bool
        Whether g is a matrix.

    Raises
    ------
    ProblemError
        If the functionals have no law mode by mode, or the path cannot give them.
    """
    found = [name for name in MODES if name in set(names)]
    rates = flow.noise(0.0, sizes[0], [MODES[name] for name in found])[0].shape[:-2]
    if rates and (matrix or tuple(path.channels) != flow.event):
        raise ProblemError(
            "exact noise of modes with different rates needs a channel of its own for each "
            f"component, {flow.event}, but the noise has channels {tuple(path.channels)}; take a "
            "method whose noise is moved by phi_0, such as LordTambue"
        )
    if isinstance(path, NestedPath) and not flow.transforms:
        return _JoinedSteps(path, grid, flow, found)
    if not isinstance(path, GridPath):
        raise ProblemError(
            f"a {type(path).__name__} has no exact noise of modes"
            + (" of a transformed L" if flow.transforms else "")
            + "; take path='grid', or for one path at several step sizes a NestedPath and a scalar "
            "or diagonal L"
        )
    # Elementwise, the functionals are never formed: steps add what they are made of.
    return _DrawnSteps(path.on(grid), flow, sizes, found) if matrix else path.on(grid)


class _DrawnSteps:
    """Functionals drawn for each step."""

    def __init__(
        self, steps: Steps, flow: Flow, sizes: Sequence[float], found: Sequence[str]
    ) -> None:
        self.steps, self.flow, self.sizes, self.found = steps, flow, sizes, found

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        normals = {normal(name) for name in self.found}
        wanted = ({"W", "H"} | normals).union(names).difference(self.found)
        drawn = self.steps.draw(first, count, sorted(wanted))
        rows: list[list[Tensor]] = []
        start = 0
        for h, equal in groupby(self.sizes[first : first + count]):
            stop = start + len(list(equal))
            some = {name: value[start:stop] for name, value in drawn.items()}
            rows.append(_functionals(self.flow, h, self.found, some))
            start = stop
        made = {name: torch.cat([row[j] for row in rows]) for j, name in enumerate(self.found)}
        return {name: value for name, value in drawn.items() if name not in normals} | made


def _functionals(
    flow: Flow, h: float, found: Sequence[str], drawn: Mapping[str, Tensor]
) -> list[Tensor]:
    """The functionals of steps of one size from W and H, and normals for what they leave open."""
    regression, root = flow.noise(0.0, h, [MODES[name] for name in found])
    results = []
    for i in range(len(found)):
        total = drawn["W"] * regression[..., i, 0] + drawn["H"] * regression[..., i, 1]
        for j, name in enumerate(found[: i + 1]):
            total = total + drawn[normal(name)] * root[..., i, j]
        results.append(total)
    return results


class _JoinedSteps:
    """Functionals of coarse steps, joined from those of the fine steps of a nested path."""

    def __init__(self, path: NestedPath, grid: Tensor, flow: Flow, found: Sequence[str]) -> None:
        self.path, self.flow, self.found = path, flow, found
        self._joins: dict[Lengths, list[Terms]] = {}
        self.coarse = path.on(grid)
        fine = path.fine_grid
        self.backward = bool(grid[1] < grid[0])
        if self.backward:
            # The functionals belong to the path run backwards, so its fine steps do too.
            fine = fine.flip(0)
        # Sizes that differ by the rounding of the grid's times only are one.
        first: dict[str, float] = {}
        sizes = [first.setdefault(f"{h:.10e}", h) for h in torch.diff(fine).tolist()]
        self.fine = _DrawnSteps(path.fine_path.on(fine), flow, sizes, found)
        self.widths = torch.tensor(sizes, dtype=torch.float64).abs()
        places = path._places(grid.flip(0) if self.backward else grid)
        self.places = len(fine) - 1 - places.flip(0) if self.backward else places

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        joined = ("W", "H", *self.found)
        bounds = self.places[first : first + count + 1]
        size = 2 * self.path._size(joined)
        drawn = coarse_steps(self.fine, self.widths, bounds, joined, size, self._join)
        others = [name for name in names if name not in {*joined, *map(normal, self.found)}]
        plain = self.coarse.draw(first, count, others)
        return plain | {name: value.to(self.path.dtype) for name, value in drawn.items()}

    def _join(self, one: Values, two: Values, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        """W, H and the functionals of intervals, from those of their two parts."""
        pieces: list[list[Tensor]] = []
        start = 0
        # On an even grid nearly all pairs have the same lengths, and so the same multipliers.
        for lengths, equal in groupby(zip(map(_rounded, first), map(_rounded, second))):
            rows = slice(start, start + len(list(equal)))
            start = rows.stop
            parts = [{name: value[rows] for name, value in part.items()} for part in (one, two)]
            pieces.append([_combined(parts, terms) for terms in self._terms(lengths)])
        modes = {name: torch.cat([row[j] for row in pieces]) for j, name in enumerate(self.found)}
        return join(one, two, first, second) | modes

    def _terms(self, lengths: Lengths) -> list[Terms]:
        """What each functional of an interval takes of the variables of its two parts."""
        terms = self._joins.get(lengths)
        if terms is None:
            rate, names = self.flow.rate_now(), ["W", "H", *self.found]
            one, two = (-length if self.backward else length for length in lengths)
            matrices = joining(rate, one, two, [MODES.get(name, name) for name in names])
            terms = [
                [
                    (part, source, matrix[..., row, column])
                    for part, matrix in enumerate(matrices)
                    for column, source in enumerate(names)
                    if bool(matrix[..., row, column].any())
                ]
                for row in range(2, len(names))
            ]
            if len(self._joins) < _JOINS and not rate.requires_grad:
                self._joins[lengths] = terms
        return terms


def _rounded(length: Tensor) -> float:
    """Without the rounding of the sums that lengths are."""
    return float(f"{float(length):.10e}")


def _combined(parts: Sequence[Values], terms: Terms) -> Tensor:
    total: Any = sum(parts[part][source] * multiplier for part, source, multiplier in terms)
    return total  # type: ignore[no-any-return]
