"""What a step size makes of a sum of an exponential program: one multiplier for each value.

All that does not change from step to step is multiplied out once: phi functions, coefficients,
powers of h, the direction of time, the columns of the law of Gaussian functionals. A step then
takes each value into the basis of L once, and adds it in one pass.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sdeint.linear.flow import Flow
from sdeint.linear.noise import modes, normal
from sdeint.lowering import Contribution, Monomial, StepNumbers, Weight

__all__ = ["Recipe", "functional", "recipe"]

#: What a value is multiplied by in the basis of L: a tensor of the modes (or a matrix), or a number.
Multiplier = Tensor | float


@dataclass
class Recipe:
    """A sum, with elementwise noise, at one step size.

    Attributes
    ----------
    plain : tuple of Contribution
        To be added to the state itself.
    values : list of (source, multiplier)
        Values with a deterministic weight.
    random, empty : bool
        Whether random variables enter; whether nothing is moved at all.
    noises : dict of str to list of (source, multiplier)
        Variables times values that are the same for all paths, as those of a constant diffusion:
        only the variable itself is taken into the basis.
    scaled : list of (source, variable, multiplier)
        The same for values with a component each.
    products : list of (multiplier, members)
        Members (source, weight, sign) are multiplied and added as states, and then moved at once.
    """

    plain: tuple[Contribution, ...]
    values: list[tuple[int, Multiplier]]
    noises: dict[str, list[tuple[int, Multiplier]]]
    scaled: list[tuple[int, str, Multiplier]]
    products: list[tuple[Multiplier, list[tuple[int, Weight, float]]]]
    _numbers: tuple[Tensor, ...] = ()
    _merged: list[tuple[str, Multiplier]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fixed = sorted({source for parts in self.noises.values() for source, _ in parts})
        self.random = bool(self.noises or self.scaled or self.products)
        self.empty = not (self.values or self.random)

    def merged(self, numbers: Mapping[int, Tensor]) -> list[tuple[str, Multiplier]]:
        """`noises` with their values multiplied in: kept while those are the same tensors."""
        if torch.compiler.is_compiling():
            return [(name, self._total(parts, numbers)) for name, parts in self.noises.items()]
        given = tuple(numbers[source] for source in self.fixed)
        if len(given) != len(self._numbers) or any(
            a is not b for a, b in zip(given, self._numbers)
        ):
            self._numbers = given
            self._merged = [
                (name, self._total(parts, numbers)) for name, parts in self.noises.items()
            ]
        return self._merged

    def _total(
        self, parts: Sequence[tuple[int, Multiplier]], numbers: Mapping[int, Tensor]
    ) -> Multiplier:
        total: Any = sum(numbers[source] * multiplier for source, multiplier in parts)
        return total  # type: ignore[no-any-return]


def functional(weight: Weight, drawn: Collection[str]) -> bool:
    """Whether a weight is a functional of the path and L that was not drawn as it stands."""
    names = {name for _, _, monomial in weight.terms for name, _, _ in monomial}
    return any(name not in drawn for name in modes(names))


def recipe(
    contributions: Sequence[Contribution],
    flow: Flow,
    t: Any,
    h: Any,
    sign: float,
    numbers: StepNumbers,
    drawn: Collection[str],
    fixed: Collection[int],
    primitives: Collection[str],
) -> Recipe:
    """The recipe of a sum.

    Parameters
    ----------
    contributions : sequence of Contribution
    flow : Flow
    t, h : float or Tensor
        Begin and signed size of the step.
    sign : float
        The direction of time.
    numbers : StepNumbers
    drawn : collection of str
        The random variables that a step is given.
    fixed : collection of int
        Sources whose values are the same for all paths, and commute with the basis.
    primitives : collection of str
        Those of the program: functionals are of one joint law.
    """
    moves = [c for c in contributions if c.operator or functional(c.weights[0], drawn)]
    values: list[tuple[int, Multiplier]] = []
    noises: dict[str, list[tuple[int, Multiplier]]] = {}
    scaled: list[tuple[int, str, Multiplier]] = []
    columns = _columns(flow, t, h, moves, drawn, primitives)
    products: dict[Any, list[tuple[int, Weight, float]]] = {}

    def put(source: int, variable: str, multiplier: Multiplier) -> None:
        if source in fixed:
            noises.setdefault(variable, []).append((source, multiplier))
        else:
            scaled.append((source, variable, multiplier))

    for c in moves:
        operator: Any = flow.factor(t, h, c.operator).value if c.operator else 1.0
        weight, direction = c.weights[0], sign if c.drift else 1.0
        scalar: Any = 0.0
        terms = weight.resolve(numbers)
        monomials = [monomial for _, monomial in terms if monomial]
        # Variable by variable, where that saves products in the step or is the only way.
        apart = all(map(_linear, monomials)) and (
            c.source in fixed or any(monomial[0][0] in columns for monomial in monomials)
        )
        for factor, monomial in terms:
            name = monomial[0][0] if monomial else ""
            if not monomial:
                scalar = scalar + factor
            elif name in columns:
                for variable, column in columns[name].items():
                    moved = operator @ column if flow.dense and c.operator else operator * column
                    put(c.source, variable, moved * factor)
            elif apart:
                put(c.source, name, operator * (factor * direction))
        if not (isinstance(scalar, float) and scalar == 0.0):
            values.append((c.source, operator * (scalar * direction)))
        if monomials and not apart:
            products.setdefault(c.operator, []).append((c.source, weight, direction))
    return Recipe(
        tuple(c for c in contributions if c not in moves),
        values,
        noises,
        scaled,
        [
            (flow.factor(t, h, terms).value if terms else 1.0, members)
            for terms, members in products.items()
        ],
    )


def _linear(monomial: Monomial) -> bool:
    return len(monomial) == 1 and monomial[0][2] == 1


def _columns(
    flow: Flow,
    t: Any,
    h: Any,
    moves: Sequence[Contribution],
    drawn: Collection[str],
    primitives: Collection[str],
) -> dict[str, dict[str, Tensor]]:
    """The functionals by the variables that they are made of: W, H and normals for the rest."""
    if not any(functional(c.weights[0], drawn) for c in moves):
        return {}
    found = modes(primitives)
    regression, root = flow.noise(t, h, list(found.values()))
    return {
        name: {
            "W": regression[..., row, 0],
            "H": regression[..., row, 1],
            # Mode by mode, the factor is triangular.
            **{
                normal(i): root[..., row, i]
                for i in range(root.shape[-1] if flow.dense else row + 1)
            },
        }
        for row, name in enumerate(found)
    }
