"""One step of an exponential method: its values, in the basis of L."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sdeint.linear.flow import Flow, Term
from sdeint.linear.recipes import Recipe, recipe
from sdeint.lowering import Contribution, StepNumbers

__all__ = ["Moving"]


class Moving:
    """The linear part in one step; each value is taken into the basis of L once.

    Parameters
    ----------
    flow : Flow
    t : float or Tensor
        Begin of the step.
    sign : float
        The direction of time.
    numbers : StepNumbers
    y : Tensor
        The value at its begin.
    noise : mapping of str to Tensor
    """

    def __init__(
        self,
        flow: Flow,
        t: Any,
        sign: float,
        numbers: StepNumbers,
        y: Tensor,
        noise: Mapping[str, Tensor],
    ) -> None:
        self.flow, self.t, self.h, self.y = flow, t, numbers.h * sign, y
        self.sign, self.numbers, self.noise = sign, numbers, noise
        self._kept = flow.recipes(t, self.h, numbers.ratio)
        self._entered: dict[Hashable, Tensor] = {}
        if flow.last is not None and flow.last[0] is y:
            self._entered["y"] = flow.last[1]  # the step before left it: no transform

    def recipe(self, contributions: Sequence[Contribution], flat: Collection[int]) -> Recipe:
        """The recipe of a sum, kept for all steps of this size."""
        key = (id(contributions), flat)
        if key not in self._kept:
            self._kept[key] = recipe(
                contributions, self.flow, self.t, self.h, self.sign, self.numbers, self.noise, flat
            )
        found: Recipe = self._kept[key]
        return found

    def entered(self, key: Hashable, value: Tensor) -> Tensor:
        """A value in the basis of L; `key` says which it is."""
        if key not in self._entered:
            value = value if value.shape == self.y.shape else value.expand(self.y.shape)
            self._entered[key] = self.flow.enter(value)
        return self._entered[key]

    def carried(self, c: float) -> Tensor:
        """phi_0(c h L) y, in the basis."""
        if not c:
            return self.entered("y", self.y)
        key = ("y", c)
        if key not in self._entered:
            if key not in self._kept:
                self._kept[key] = self.flow.phi(self.t, self.h, 0, c)
            self._entered[key] = self._kept[key](self.entered("y", self.y))
        return self._entered[key]

    def moved(self, operator: tuple[Term, ...], value: Tensor) -> Tensor:
        """A state with an operator applied to it, in the basis."""
        value = self.flow.enter(value)
        return self.flow.factor(self.t, self.h, operator)(value) if operator else value

    def add(self, total: Tensor, value: Tensor, multiplier: Tensor | float, own: bool) -> Tensor:
        """A total plus a value times a multiplier of a recipe, all in the basis.

        `own`: the total was made by such a sum, and may be written to.
        """
        if not isinstance(multiplier, Tensor):
            if own:
                return total.add_(value, alpha=multiplier)
            return torch.add(total, value, alpha=multiplier)
        if self.flow.dense and multiplier.ndim:
            moved = value @ multiplier.mT
            return total.add_(moved) if own else total + moved
        # One pass for the product and the sum.
        if own:
            return total.addcmul_(value, multiplier)
        return torch.addcmul(total, value, multiplier)

    def left(self, total: Tensor) -> Tensor:
        """A total as a state."""
        state = self.flow.leave(total)
        self.flow.last = (state, total) if self.flow.transforms else None
        return state
