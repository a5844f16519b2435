"""One step of an exponential method: its values, in the basis of L."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sdeint.linear.flow import Factor, Flow, Kept, Term
from sdeint.linear.recipes import Recipe, recipe
from sdeint.lowering import Contribution, StepNumbers

__all__ = ["Moving"]


class Moving:
    """One step of an exponential method, in the basis of L.

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
    kept : Kept, optional
        For compiled steps, which are given all that their size makes; else it is the flow's.
    """

    def __init__(
        self,
        flow: Flow,
        t: Any,
        sign: float,
        numbers: StepNumbers,
        y: Tensor,
        noise: Mapping[str, Tensor],
        kept: Kept | None = None,
    ) -> None:
        self.flow, self.t, self.y = flow, t, y
        self.sign, self.numbers, self.noise = sign, numbers, noise
        self._kept = flow.kept(t, self.h, numbers.ratios) if kept is None else kept
        self._entered: dict[Hashable, Tensor] = {}
        if self._kept.last is not None and self._kept.last[0] is y:
            self._entered["y"] = self._kept.last[1]  # the step before left it: no transform

    @property
    def h(self) -> Any:
        """The signed size of the step."""
        return self.numbers.h * self.sign

    def recipe(
        self,
        key: Hashable,
        contributions: Sequence[Contribution],
        fixed: Collection[int],
        primitives: Collection[str],
    ) -> Recipe:
        """The recipe of a sum, kept for all steps of this size; `key` says which sum it is."""
        if key not in self._kept.made:
            self._kept.made[key] = recipe(
                contributions,
                self.flow,
                self.t,
                self.h,
                self.sign,
                self.numbers,
                self.noise,
                fixed,
                primitives,
            )
        found: Recipe = self._kept.made[key]
        return found

    def factor(self, terms: tuple[Term, ...]) -> Factor:
        """A combination of phi functions, kept for all steps of this size."""
        if terms not in self._kept.made:
            self._kept.made[terms] = self.flow.factor(self.t, self.h, terms)
        found: Factor = self._kept.made[terms]
        return found

    def entered(self, key: Hashable, value: Tensor) -> Tensor:
        """A value in the basis of L; `key` says which it is."""
        if key not in self._entered:
            self._entered[key] = self.flow.enter(value)
        return self._entered[key]

    def carried(self, c: float) -> Tensor:
        """phi_0(c h L) y, in the basis. Never to be written to."""
        if not c:
            return self.entered("y", self.y)
        key = ("y", c)
        if key not in self._entered:
            self._entered[key] = self.factor((Term(1.0, 0, c),))(self.entered("y", self.y))
        return self._entered[key]

    def moved(self, operator: tuple[Term, ...], value: Tensor) -> Tensor:
        """A state with an operator applied to it, in the basis."""
        value = self.flow.enter(value)
        return self.factor(operator)(value) if operator else value

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
        self._kept.last = (state, total) if self.flow.transforms else None
        return state
