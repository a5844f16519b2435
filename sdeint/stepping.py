"""One step of a lowered program, in plain tensor operations.

Sums are accumulated in place on tensors made here, which autograd allows; the current value itself
is never written to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch

from sdeint.lowering import Contribution, Evaluation, Monomial, Program, Weight
from sdeint.problem import Field

__all__ = ["Stepper"]

Tensor = torch.Tensor
#: A float or, when times carry a gradient, a 0-dimensional tensor.
Scalar = Any


class Stepper:
    """Carries out the steps of a program for given f and g.

    Parameters
    ----------
    program : Program
    f, g : callable
        g in the form that the program's layout says.
    channels : int
        Number m of channels where g is a matrix (*batch, d, m); 0 where it is elementwise.
    sign : float
        The direction of time: -1 where the grid decreases.
    """

    def __init__(self, program: Program, f: Field, g: Field, *, channels: int, sign: float) -> None:
        self.program, self.f, self.g = program, f, g
        self.channels, self.sign = channels, sign

    def __call__(
        self,
        y: Tensor,
        times: Sequence[Tensor],
        h: Scalar,
        ratio: float,
        noise: Mapping[str, Tensor],
        memory: Sequence[Tensor] = (),
    ) -> tuple[Tensor, list[Tensor]]:
        """The next value, and the values that the step after it remembers.

        Parameters
        ----------
        y : tensor
        times : sequence of 0-dimensional tensors
            The time of each evaluation of the program.
        h : float or tensor
            Absolute value of the step.
        ratio : float
            Step ratio to the step before.
        noise : mapping of primitive name to tensor
        memory : sequence of tensors
            What the step before kept.
        """
        step = _Step(self, y, h, ratio, noise, memory)
        for evaluation, time in zip(self.program.evaluations, times):
            step.evaluate(evaluation, time)
        new = step.output(self.program.outputs)
        return new, [step.values[i] for i in self.program.keep]


class _Step:
    def __init__(
        self,
        stepper: Stepper,
        y: Tensor,
        h: Scalar,
        ratio: float,
        noise: Mapping[str, Tensor],
        memory: Sequence[Tensor],
    ) -> None:
        self.stepper, self.y, self.h, self.ratio = stepper, y, h, ratio
        self.noise, self.memory = noise, memory
        self.values: list[Tensor] = []
        self._powers: dict[float, Scalar] = {}
        self._products: dict[tuple[Monomial, str], Tensor] = {}
        self._weights: dict[int, tuple[Scalar, Tensor | None]] = {}

    def value(self, source: int) -> Tensor:
        return self.values[source] if source >= 0 else self.memory[-1 - source]

    # ------------------------------------------------------------------ weights

    def power(self, exponent: float) -> Scalar:
        if exponent not in self._powers:
            self._powers[exponent] = (
                1.0 if exponent == 0 else self.h if exponent == 1 else self.h**exponent
            )
        return self._powers[exponent]

    def product(self, monomial: Monomial, axes: str) -> Tensor:
        """A product of primitives; `axes` is "k" (channel last) or "kl" (two channel axes)."""
        key = (monomial, axes)
        if key not in self._products:
            result: Tensor | None = None
            for name, role, exponent in monomial:
                factor = self.noise[name]
                if axes == "kl" and role != "kl":
                    factor = factor.unsqueeze(-2 if role == "l" else -1)
                factor = factor if exponent == 1 else factor**exponent
                result = factor if result is None else result * factor
            assert result is not None
            self._products[key] = result
        return self._products[key]

    def weight(self, weight: Weight, axes: str = "k") -> tuple[Scalar, Tensor | None]:
        """The deterministic part, as a scalar, and the random part, as a tensor."""
        if id(weight) in self._weights:
            return self._weights[id(weight)]
        scalar: Scalar = 0.0
        tensor: Tensor | None = None
        for factor, monomial in weight.resolve(self.power, self.ratio):
            if not monomial:
                scalar = scalar + factor
            elif tensor is None:
                product = self.product(monomial, axes)
                tensor = product if _is_one(factor) else product * factor
            else:
                tensor = _add(tensor, self.product(monomial, axes), factor)
        self._weights[id(weight)] = scalar, tensor
        return scalar, tensor

    def full_weight(self, weight: Weight) -> Scalar | Tensor:
        scalar, tensor = self.weight(weight)
        return scalar if tensor is None else tensor if _is_zero(scalar) else tensor + scalar

    # ------------------------------------------------------------------ sums and evaluations

    def output(self, contributions: Sequence[Contribution]) -> Tensor:
        if self.stepper.channels:
            return _MatrixSum(self, contributions).total("once")
        return self.elementwise(contributions)

    def evaluate(self, evaluation: Evaluation, time: Tensor) -> None:
        stepper = self.stepper
        if not evaluation.argument:
            state = self.y
            replication = "once"
        elif stepper.channels:
            replication = evaluation.replication
            state = _MatrixSum(self, evaluation.argument).total(replication)
        else:
            replication = "once"
            state = self.elementwise(evaluation.argument)
        value: Tensor = (stepper.f if evaluation.drift else stepper.g)(time, state)
        if replication == "channel":
            # (m, *batch, d) of f, or (m, *batch, d, m) of g whose column k is wanted at stage k.
            value = (
                value.movedim(0, -1) if evaluation.drift else torch.diagonal(value, dim1=0, dim2=-1)
            )
        elif replication == "pair":
            # (k, r, *batch, d[, m]) -> (*batch, d, k, r)
            value = (
                value.movedim((0, 1), (-2, -1))
                if evaluation.drift
                else torch.diagonal(value, dim1=0, dim2=-1).movedim(0, -1)
            )
        elif stepper.channels:
            # One state stood for all: f gets the channel axes, and g the partner's, by expansion.
            axes = {"once": 0, "channel": 1, "pair": 2}[evaluation.replication]
            extra = axes if evaluation.drift else max(0, axes - 1)
            channels = (stepper.channels,) * extra
            value = value.reshape(*value.shape, *(1,) * extra).expand(*value.shape, *channels)
        self.values.append(value)

    def elementwise(self, contributions: Sequence[Contribution]) -> Tensor:
        total = self.y
        for c in contributions:
            value = self.value(c.source)
            sign = self.stepper.sign if c.drift else 1.0
            scalar, tensor = self.weight(c.weights[0])
            if not _is_zero(scalar):
                total = _add(total, value, scalar * sign, own=total is not self.y)
            if tensor is not None:
                total = _add_product(total, value, tensor, sign, own=total is not self.y)
        return total


class _MatrixSum:
    """A sum over sources with channels, for a target with none, one or two channel axes.

    The parts are kept apart by what they depend on, and only joined at the end: `common`
    (*batch, d), `own` (*batch, d, k), `partner` (*batch, d, r), `both` (*batch, d, k, r).
    """

    def __init__(self, step: _Step, contributions: Sequence[Contribution]) -> None:
        self.step = step
        self.common = step.y
        self.own: Tensor | None = None
        self.partner: Tensor | None = None
        self.both: Tensor | None = None
        for c in contributions:
            self.add(c)

    def add(self, c: Contribution) -> None:
        sign = self.step.stepper.sign if c.drift else 1.0
        value = self.step.value(c.source)
        axes = value.ndim - self.step.y.ndim
        if axes == 2:
            self.add_common(self.over_pairs(c, value), sign)
        elif len(c.weights) == 3:
            self.add_two_index(c, value, sign)
        elif axes == 0:
            self.add_plain(c, value, sign)
        else:
            self.add_channels(c, value, sign)

    def add_common(self, value: Tensor, factor: Scalar) -> None:
        self.common = _add(self.common, value, factor, own=self.common is not self.step.y)

    def add_own(self, value: Tensor) -> None:
        self.own = value if self.own is None else self.own + value

    def add_plain(self, c: Contribution, value: Tensor, sign: float) -> None:
        """A drift value without a channel; its label may carry the target's channel, or none."""
        scalar, tensor = self.step.weight(c.weights[0])
        if not _is_zero(scalar):
            self.add_common(value, scalar * sign)
        if tensor is not None:
            of_target = any(r == "l" for _, _, m in c.weights[0].terms for _, r, _ in m)
            if of_target:
                self.add_own(value.unsqueeze(-1) * (tensor * sign).unsqueeze(-2))
            else:
                self.add_common(value * tensor, sign)

    def add_channels(self, c: Contribution, value: Tensor, sign: float) -> None:
        """Values (*batch, d, l) with a weight for each source channel."""
        weight = self.step.full_weight(c.weights[0])
        if isinstance(weight, Tensor) and weight.ndim > 0:
            weight = weight.expand(*weight.shape[:-1], value.shape[-1])  # eta has one channel
            if c.selector == "all":  # the common case: never forms the weighted columns
                self.add_common(torch.matmul(value, weight.unsqueeze(-1)).squeeze(-1), sign)
                return
            weight = weight.unsqueeze(-2)
        weighted = value * (weight * sign)
        if c.selector == "all":
            self.add_common(weighted.sum(-1), 1.0)
        elif c.selector == "own":
            self.add_own(weighted)
        elif c.selector == "other":
            self.add_common(weighted.sum(-1), 1.0)
            self.add_own(-weighted)
        elif c.selector == "less":
            self.add_own(weighted.cumsum(-1) - weighted)
        elif c.selector == "greater":
            self.add_own(weighted.flip(-1).cumsum(-1).flip(-1) - weighted)
        else:
            self.partner = weighted if self.partner is None else self.partner + weighted

    def add_two_index(self, c: Contribution, value: Tensor, sign: float) -> None:
        """Labels such as I_kl: a matrix (*batch, k, l) from source channel to target channel."""
        matrix = self.pair_matrix(c) * sign
        if c.selector == "partner":
            # Source channel r into the target pair (k, r): weight [r, k].
            part = value.unsqueeze(-2) * matrix.transpose(-1, -2).unsqueeze(-3)
            self.both = part if self.both is None else self.both + part
            return
        if c.selector == "own":
            self.add_own(value * torch.diagonal(matrix, dim1=-2, dim2=-1).unsqueeze(-2))
        else:
            self.add_own(torch.matmul(value, _masked(matrix, c.selector)))

    def pair_matrix(self, c: Contribution) -> Tensor:
        """The weight for every ordered pair, rows the inner channel and columns the outer one."""
        parts = []
        for weight in c.weights:
            scalar, tensor = self.step.weight(weight, "kl")
            parts.append(scalar if tensor is None else tensor + scalar)
        before, after = _triangles(self.step.stepper.channels, self.step.y.device)
        less, equal, greater = (
            torch.as_tensor(p, dtype=self.step.y.dtype, device=self.step.y.device) for p in parts
        )
        return torch.where(before, less, torch.where(after, greater, equal))

    def over_pairs(self, c: Contribution, value: Tensor) -> Tensor:
        """Sum values (*batch, d, l, r) of pairs l != r into the output."""
        channels = value.shape[-1]
        if len(c.weights) == 3:
            weight = self.pair_matrix(c).transpose(-1, -2)  # [l, r] from rows r, columns l
        else:
            one = self.step.full_weight(c.weights[0])
            weight = (
                one.unsqueeze(-1).expand(*one.shape, channels)
                if isinstance(one, Tensor) and one.ndim > 0
                else torch.ones(channels, channels, dtype=value.dtype, device=value.device) * one
            )
        # The selector relates the partner r to the evaluated channel l; axes here are [l, r].
        kept = {"all": "other", "less": "greater", "greater": "less"}[c.selector]
        return (value * _masked(weight, kept).unsqueeze(-3)).sum((-2, -1))

    def total(self, replication: str) -> Tensor:
        if replication == "once":
            return self.common
        channels = self.step.stepper.channels
        if replication == "channel":
            total = self.common.unsqueeze(-1)
            total = (
                total.expand(*self.common.shape, channels) if self.own is None else total + self.own
            )
            return total.movedim(-1, 0).contiguous()
        total = self.common[..., None, None].expand(*self.common.shape, channels, channels)
        if self.own is not None:
            total = total + self.own.unsqueeze(-1)
        if self.partner is not None:
            total = total + self.partner.unsqueeze(-2)
        if self.both is not None:
            total = total + self.both
        return total.movedim((-2, -1), (0, 1))


@cache
def _triangles(channels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where row < column, and where row > column: the same in every step."""
    # Outside of inference mode, whose tensors a later solve with gradients could not use.
    with torch.inference_mode(False):
        row = torch.arange(channels, device=device)
        return row.unsqueeze(-1) < row, row.unsqueeze(-1) > row


def _masked(matrix: Tensor, selector: str) -> Tensor:
    """Keep the entries [row, column] with row < column for "less", and so on."""
    if selector == "less":
        return matrix.triu(1)
    if selector == "greater":
        return matrix.tril(-1)
    return matrix.triu(1) + matrix.tril(-1) if selector == "other" else matrix


def _is_zero(scalar: Scalar) -> bool:
    return isinstance(scalar, float) and scalar == 0.0


def _is_one(scalar: Scalar) -> bool:
    return isinstance(scalar, float) and scalar == 1.0


def _add(total: Tensor, value: Tensor, factor: Scalar, own: bool = False) -> Tensor:
    if isinstance(factor, torch.Tensor):
        return total + value * factor
    if own:
        return total.add_(value, alpha=factor)
    return torch.add(total, value, alpha=factor)


def _add_product(total: Tensor, value: Tensor, weight: Tensor, sign: float, own: bool) -> Tensor:
    if own:
        return total.addcmul_(value, weight, value=sign)
    return torch.addcmul(total, value, weight, value=sign)
