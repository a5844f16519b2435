"""One step of an exponential method: phi functions applied to its values, in the basis of L."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from torch import Tensor

from sdeint.linear.flow import Flow, Term
from sdeint.linear.noise import MODES, normal
from sdeint.lowering import StepNumbers, Weight

__all__ = ["Moving"]


class Moving:
    """The linear part in one step; each value is taken into the basis of L once.

    Parameters
    ----------
    flow : Flow
    t, h : float or Tensor
        Begin and signed size of the step.
    y : Tensor
        The value at its begin.
    noise : mapping of str to Tensor
    """

    def __init__(self, flow: Flow, t: Any, h: Any, y: Tensor, noise: Mapping[str, Tensor]) -> None:
        self.flow, self.t, self.h, self.y, self.noise = flow, t, h, y, noise
        self._entered: dict[Hashable, Tensor] = {}
        if flow.last is not None and flow.last[0] is y:
            self._entered["y"] = flow.last[1]  # the step before left it: no transform

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
            y = self.entered("y", self.y)
            self._entered[key] = self.flow.phi(self.t, self.h, 0, c)(y)
        return self._entered[key]

    def add(
        self,
        total: Tensor,
        operator: tuple[Term, ...],
        value: Tensor,
        factor: Any,
        own: bool = False,
    ) -> Tensor:
        """A total plus an operator applied to a value, both in the basis, times a factor.

        `own`: the total was made by such a sum, and may be written to.
        """
        moved = self.flow.factor(self.t, self.h, operator) if operator else None
        if isinstance(factor, Tensor):
            return total + (value if moved is None else moved(value)) * factor
        own = own and total.shape == value.shape
        if moved is not None and not moved.dense:
            # One pass for the product and the sum.
            if own:
                return total.addcmul_(value, moved.value, value=factor)
            return torch.addcmul(total, value, moved.value, value=factor)
        value = value if moved is None else moved(value)
        return total.add_(value, alpha=factor) if own else torch.add(total, value, alpha=factor)

    def left(self, total: Tensor) -> Tensor:
        """A total as a state."""
        state = self.flow.leave(total)
        self.flow.last = (state, total) if self.flow.transforms else None
        return state

    # ------------------------------------------------------------------ Gaussian functionals

    def functional(self, weight: Weight) -> bool:
        """Whether a weight is a functional of the path and L, that was not drawn as it stands."""
        names = {name for _, _, monomial in weight.terms for name, _, _ in monomial}
        return any(name in MODES and name not in self.noise for name in names)

    def add_functionals(
        self, total: Tensor, operator: tuple[Term, ...], value: Tensor, weight: Weight
    ) -> Tensor:
        """The functional from the path's W and H, and from normals for what they leave open."""
        start = total
        names = [name for name in MODES if normal(name) in self.noise]
        regression, root = self.flow.noise(self.t, self.h, [MODES[name] for name in names])
        parts = {"W": regression[..., 0], "H": regression[..., 1]}
        parts |= {normal(name): root[..., i] for i, name in enumerate(names)}
        for factor, monomial in weight.resolve(StepNumbers(1.0)):
            row = names.index(monomial[0][0])
            for name, column in parts.items():
                entered = self.entered((id(value), name), value * self.noise[name])
                part = entered * (column[..., row] * factor)
                total = self.add(total, operator, part, 1.0, own=total is not start)
        return total
