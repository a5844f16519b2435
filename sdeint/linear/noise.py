"""The random variables of the steps of an exponential method with exact noise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sdeint.brownian import BrownianPath, GridPath, NestedPath
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
        drawn = self.steps.draw(first, count, [n for n in names if n not in self.found])
        rows = [
            _functionals(self.flow, h, self.found, {name: v[i] for name, v in drawn.items()})
            for i, h in enumerate(self.sizes[first : first + count])
        ]
        for j, name in enumerate(self.found):
            drawn[name] = torch.stack([row[j] for row in rows])
        return drawn


def _functionals(
    flow: Flow, h: float, found: Sequence[str], drawn: Mapping[str, Tensor]
) -> list[Tensor]:
    """The functionals of a step from its W and H, and normals for what they leave open."""
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
        self._joins: dict[tuple[str, float], tuple[Tensor, Tensor]] = {}
        self.coarse = path.on(grid)
        fine = path.fine_grid
        self.backward = bool(grid[1] < grid[0])
        if self.backward:
            # The functionals belong to the path run backwards, so its fine steps do too.
            fine = fine.flip(0)
        self.fine = path.fine_path.on(fine)
        # Sizes that differ by the rounding of the grid's times only are one.
        first: dict[str, float] = {}
        self.sizes = [first.setdefault(f"{h:.10e}", h) for h in torch.diff(fine).tolist()]
        places = path._places(grid.flip(0) if self.backward else grid)
        self.places = (len(fine) - 1 - places.flip(0) if self.backward else places).tolist()

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        modes = {*self.found, *map(normal, self.found)}
        plain = [name for name in names if name not in modes]
        drawn = self.coarse.draw(first, count, plain)
        rows = [self._joined(n) for n in range(first, first + count)]
        for j, name in enumerate(self.found):
            drawn[name] = torch.stack([row[..., 2 + j] for row in rows]).to(self.path.dtype)
        return drawn

    def _joined(self, n: int) -> Tensor:
        """W, H and the functionals of a coarse step, (*batch, *channels, 2 + functionals)."""
        start, stop = self.places[n], self.places[n + 1]
        names = ["W", "H", *map(normal, self.found)]
        drawn = {k: v.double() for k, v in self.fine.draw(start, stop - start, names).items()}
        rate = self.flow.rate_now()
        joins = {} if rate.requires_grad else self._joins
        total, length = None, 0.0
        for i, h in enumerate(self.sizes[start:stop]):
            step = {name: value[i] for name, value in drawn.items()}
            modes = _functionals(self.flow, h, self.found, step)
            values = torch.stack([step["W"], step["H"], *modes], dim=-1)
            if total is None:
                total, length = values, h
                continue
            key = f"{length:.10e}", h
            found = joins.get(key)
            if found is None:
                found = joining(rate, length, h, ["W", "H", *(MODES[n] for n in self.found)])
                if len(joins) < _JOINS:
                    joins[key] = found
            one, two = found
            total = (one @ total.unsqueeze(-1) + two @ values.unsqueeze(-1)).squeeze(-1)
            length += h
        assert total is not None
        return total
