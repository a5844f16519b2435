"""The random variables of the steps of an exponential method with exact noise."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sdeint.brownian import BrownianPath, GridPath, NestedPath
from sdeint.brownian.chen import Values, coarse_steps, join
from sdeint.brownian.counters import NORMALS
from sdeint.brownian.path import STANDARD, Steps
from sdeint.errors import ProblemError
from sdeint.linear.joining import joining
from tableaux.variables import of_part

if TYPE_CHECKING:
    from sdeint.linear.flow import Flow

__all__ = ["drawn_for", "modes", "normal", "steps_of"]

#: Letters of primitives that are functionals of the path and L, by the weights that they have.
_WEIGHTS = {"E": "phi_0", "F": "phi_1", **{f"P{n}": f"pol_{n}" for n in range(4)}}

#: Shares of a step that differ by the rounding of times only.
_NEAR = 1e-7
#: How many pairs of lengths a nested path keeps the joining of.
_JOINS = 256
#: The lengths of two neighbouring intervals; (part, variable, multiplier) to be added up.
Lengths = tuple[float, float]
Terms = list[tuple[int, str, Tensor]]


def modes(names: Iterable[str]) -> dict[str, str]:
    """The primitives that are functionals of the path and L, with the names of their weights.

    With one over a part of the step comes that over the whole, from which a path joins it.

    Examples
    --------
    >>> modes(["W", "E@1/2"])
    {'E': 'phi_0', 'E@1/2': 'phi_0@1/2'}
    """
    found = {}
    for name in names:
        base, share = of_part(name) or (name, None)
        if base in _WEIGHTS:
            if base in ("E", "F"):
                found[base] = _WEIGHTS[base]
            if share is not None:
                found[name] = f"{_WEIGHTS[base]}@{share}"
    return dict(sorted(found.items()))


def normal(place: int) -> str:
    """A standard normal that functionals need besides W and H."""
    return f"normal {place}"


def drawn_for(names: Collection[str], flow: Flow | None, sizes: Iterable[float]) -> tuple[str, ...]:
    """What the path draws for a program's primitives, in steps of some signed sizes."""
    found = modes(names)
    if flow is None or not found:
        return tuple(sorted(names))
    count = flow.normals(sizes, list(found.values()))
    if count > NORMALS:
        raise ProblemError(
            f"the exact noise of this L takes {count} normals a step and channel, and a path has "
            f"{NORMALS}; take a method whose noise is moved by phi_0, such as LordTambue"
        )
    return tuple(sorted({*names, "W", "H", *map(normal, range(count))} - found.keys()))


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
    found = modes(names)
    rates = flow.noise(0.0, sizes[0], list(found.values()))[0].shape[:-2]
    if rates and (matrix or tuple(path.channels) != flow.event):
        raise ProblemError(
            "exact noise of modes with different rates needs a channel of its own for each "
            f"component, {flow.event}, but the noise has channels {tuple(path.channels)}; take a "
            "method whose noise is moved by phi_0, such as LordTambue"
        )
    if isinstance(path, NestedPath) and not (flow.transforms or flow.dense):
        return _JoinedSteps(path, grid, flow, found)
    if not isinstance(path, GridPath):
        raise ProblemError(
            f"a {type(path).__name__} has no exact noise of modes"
            + (" of a transformed L" if flow.transforms else " of a dense L" if flow.dense else "")
            + "; take path='grid', or for one path at several step sizes a NestedPath and a scalar "
            "or diagonal L"
        )
    # Elementwise, the functionals are never formed: steps add what they are made of.
    return _DrawnSteps(path.on(grid), flow, sizes, found) if matrix else path.on(grid)


class _DrawnSteps:
    """Functionals drawn for each step."""

    def __init__(
        self, steps: Steps, flow: Flow, sizes: Sequence[float], found: Mapping[str, str]
    ) -> None:
        self.steps, self.flow, self.sizes, self.found = steps, flow, sizes, found

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        normals = set(map(normal, range(len(self.found))))
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
    flow: Flow, h: float, found: Mapping[str, str], drawn: Mapping[str, Tensor]
) -> list[Tensor]:
    """The functionals of steps of one size from W and H, and normals for what they leave open."""
    regression, root = flow.noise(0.0, h, list(found.values()))
    results = []
    for i in range(len(found)):
        total = drawn["W"] * regression[..., i, 0] + drawn["H"] * regression[..., i, 1]
        for j in range(i + 1):
            total = total + drawn[normal(j)] * root[..., i, j]
        results.append(total)
    return results


class _JoinedSteps:
    """Functionals of coarse steps, joined from those of the fine steps of a nested path.

    A part of a coarse step may end inside a fine step: at a share that is one of the method's own,
    where the method on the fine grid sees the path too.
    """

    def __init__(
        self, path: NestedPath, grid: Tensor, flow: Flow, found: Mapping[str, str]
    ) -> None:
        self.path, self.flow, self.found = path, flow, found
        self.whole = [name for name in found if not of_part(name)]
        self.parts = {name: part for name in found if (part := of_part(name))}
        for name, (letter, _) in self.parts.items():
            if letter not in ("E", "P0"):
                raise ProblemError(
                    f"a nested path does not join {found[name]!r} over a part of a step; "
                    "take path='grid'"
                )
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
        bounds = self.places[first : first + count + 1]
        drawn = self._between(bounds)
        drawn |= {name: self._part(name, bounds) for name in self.parts}
        others = [name for name in names if name not in {*drawn, *STANDARD}]
        plain = self.coarse.draw(first, count, others)
        return plain | {name: value.to(self.path.dtype) for name, value in drawn.items()}

    def _between(self, bounds: Tensor) -> dict[str, Tensor]:
        """W, H and the functionals of whole intervals between places of the fine grid."""
        joined = ("W", "H", *self.whole)
        size = 2 * self.path._size(joined)
        return coarse_steps(self.fine, self.widths, bounds, joined, size, self._join)

    def _part(self, name: str, bounds: Tensor) -> Tensor:
        """A functional over the first part of each interval."""
        letter, share = self.parts[name]
        times = torch.nn.functional.pad(self.widths.cumsum(0), (1, 0))
        begin, stop = bounds[:-1], bounds[1:]
        end = times[begin] + float(share) * (times[stop] - times[begin])
        place = torch.searchsorted(times, end, right=True) - 1
        inside = (end - times[place]) / self.widths[place]
        place, inside = place + (inside > 1 - _NEAR), inside * (inside < 1 - _NEAR)
        # Up to the last place of the fine grid; some intervals have none before the end of the part.
        every = torch.unique(torch.cat([bounds, place]))
        until = self._between(every)["W" if letter == "P0" else letter]
        until = until[torch.searchsorted(every, begin)]
        total = torch.where((place > begin).view(-1, *(1,) * (until.ndim - 1)), until, 0.0)
        for n in torch.nonzero(inside > _NEAR).flatten().tolist():
            own = self._ending(name, float(inside[n]))
            rest = self.fine.draw(int(place[n]), 1, [own])[own][0]
            size = float(inside[n] * self.widths[place[n]]) * (-1.0 if self.backward else 1.0)
            growth = torch.exp(self.flow.rate_now() * size) if letter == "E" else 1.0
            total[n] = growth * total[n] + rest
        return total

    def _ending(self, name: str, inside: float) -> str:
        """The functional of a fine step that ends at a share of it."""
        letter = self.parts[name][0]
        for own, (other, share) in self.parts.items():
            if other == letter and abs(float(share) - inside) < _NEAR:
                return own
        raise ProblemError(
            f"{self.found[name]!r} of a step ends inside a step of the nested path's grid, at its share "
            f"{inside:.6g}, where the method does not see the path; let that grid divide the step "
            "into parts that hold it"
        )

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
        modes = {name: torch.cat([row[j] for row in pieces]) for j, name in enumerate(self.whole)}
        return join(one, two, first, second) | modes

    def _terms(self, lengths: Lengths) -> list[Terms]:
        """What each functional of an interval takes of the variables of its two parts."""
        terms = self._joins.get(lengths)
        if terms is None:
            rate, names = self.flow.rate_now(), ["W", "H", *self.whole]
            one, two = (-length if self.backward else length for length in lengths)
            matrices = joining(rate, one, two, [self.found.get(name, name) for name in names])
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
