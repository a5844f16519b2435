"""One step of a lowered program, in plain tensor operations.

Sums are accumulated in place on tensors made here, which autograd allows; the current value itself
is never written to.  Within a cluster of implicit stages nothing is written in place, because
derivatives are pushed forward through it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import torch

from sdeint.diffusions import Columns, Product
from sdeint.linear.flow import Flow, Kept
from sdeint.linear.moving import Moving
from sdeint.linear.recipes import Recipe
from sdeint.lowering import Contribution, Evaluation, Monomial, Program, StepNumbers, Weight
from sdeint.newton import Newton, Unknowns
from sdeint.problem import Field

__all__ = ["Step", "Stepper"]

Tensor = torch.Tensor
#: How many channel axes the state of an evaluation has in front.
AXES = {"once": 0, "channel": 1, "partner": 1, "pair": 2}
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
    event_dims : int
        Number of trailing axes of a state.
    newton : Newton
        How implicit stages are solved.
    flow : Flow, optional
        The linear part, for the program of an exponential method.
    """

    def __init__(
        self,
        program: Program,
        f: Field,
        g: Field,
        *,
        channels: int,
        sign: float,
        event_dims: int = 1,
        newton: Newton | None = None,
        flow: Flow | None = None,
    ) -> None:
        self.flow = flow
        self.program, self.f, self.g = program, f, g
        self.channels, self.sign = channels, sign
        self.event_dims, self.newton = event_dims, newton or Newton()
        #: The cluster that begins at an evaluation, as its stop.
        self.clusters = dict(program.clusters)
        self.inside = {i for first, stop in program.clusters for i in range(first, stop)}
        #: Newton iterations, and states at which f (True) and g (False) were evaluated for them.
        self.iterations = 0
        self.solving = {True: 0, False: 0}

    def states(self, evaluation: Evaluation) -> int:
        """At how many states of one path an evaluation takes place."""
        return int(max(1, self.channels) ** AXES[evaluation.replication])

    def __call__(
        self,
        y: Tensor,
        times: Sequence[Tensor],
        numbers: StepNumbers,
        noise: Mapping[str, Tensor],
        memory: Sequence[Tensor] = (),
        start: Scalar = 0.0,
        kept: Kept | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """The next value, and the values that the step after it remembers.

        Parameters
        ----------
        y : tensor
        times : sequence of 0-dimensional tensors
            The time of each evaluation of the program.
        numbers : StepNumbers
        noise : mapping of primitive name to tensor
        memory : sequence of tensors
            What the step before kept.
        start : float or tensor
            The time at which the step begins, for an L that depends on it.
        kept : Kept, optional
            What the step's size makes of L, where that is not left to the flow.
        """
        step = Step(self, y, numbers, noise, memory, start, kept)
        for i, (evaluation, time) in enumerate(zip(self.program.evaluations, times)):
            if i in self.clusters:
                step.solve(i, self.clusters[i], times)
            elif i not in self.inside:
                time = step.random_time(time) if evaluation.at_random else time
                step.values.append(step.evaluate(evaluation, time, step.argument(evaluation)))
        new = step.output(self.program.outputs)
        return new, [step.value(i) for i in self.program.keep]


class Step:
    """One step under way: the values of its evaluations so far, and its weights."""

    def __init__(
        self,
        stepper: Stepper,
        y: Tensor,
        numbers: StepNumbers,
        noise: Mapping[str, Tensor],
        memory: Sequence[Tensor],
        start: Scalar,
        kept: Kept | None = None,
    ) -> None:
        self.stepper, self.y, self.numbers = stepper, y, numbers
        self.noise, self.memory = noise, memory
        self.values: list[Tensor] = []
        self.moving: Moving | None = None
        if stepper.flow is not None:
            self.moving = Moving(stepper.flow, start, stepper.sign, numbers, y, noise, kept)
        self._products: dict[tuple[Monomial, str], Tensor] = {}
        self._weights: dict[int, tuple[Scalar, Tensor | None]] = {}

    def random_time(self, start: Tensor) -> Tensor:
        """The time of the random node of each path, one number to all of its components."""
        dims = self.stepper.event_dims
        u = self.noise["u"].reshape(*self.y.shape[: self.y.ndim - dims], *(1,) * dims)
        time: Tensor = start + u.to(start.dtype) * (self.numbers.power(1) * self.stepper.sign)
        return time

    def value(self, source: int) -> Tensor:
        return self.values[source] if source >= 0 else self.memory[-1 - source]

    # ------------------------------------------------------------------ weights

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
        for factor, monomial in weight.resolve(self.numbers):
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
        if self.moving is not None:
            return self.moved(contributions, "once", 1.0)
        return self.sum(contributions, "once", self.y)

    def argument(self, evaluation: Evaluation) -> Tensor:
        """The state (or states, one for each channel or pair, in front) of an evaluation."""
        if self.moving is not None and (evaluation.carry or evaluation.argument):
            return self.moved(evaluation.argument, evaluation.replication, evaluation.carry)
        if not evaluation.argument:
            return self.y
        return self.sum(evaluation.argument, evaluation.replication, self.y)

    def sum(
        self,
        contributions: Sequence[Contribution],
        replication: str,
        start: Tensor,
        in_place: bool = True,
    ) -> Tensor:
        """`start` plus contributions; `in_place` allows to write to tensors made here."""
        if self.stepper.channels:
            return _MatrixSum(self, contributions, start, in_place).total(replication)
        total = start
        for c in contributions:
            value = self.value(c.source)
            sign = self.stepper.sign if c.drift else 1.0
            scalar, tensor = self.weight(c.weights[0])
            if not _is_zero(scalar):
                own = in_place and total is not start
                total = _add(total, value, scalar * sign, own=own)
            if tensor is not None:
                own = in_place and total is not start
                total = _add_product(total, value, tensor, sign, own=own)
        return total

    def moved(
        self, contributions: Sequence[Contribution], replication: str, carry: float
    ) -> Tensor:
        """phi_0(carry h L) y plus contributions, to which their operators are applied."""
        if self.stepper.channels:
            return self.moved_columns(contributions, replication, carry)
        moving = self.moving
        assert moving is not None
        fixed = self.fixed()
        # Which sum of which program: the one after so many values.
        key = id(self.stepper.program), len(self.values), fixed
        recipe = moving.recipe(key, contributions, fixed, self.stepper.program.primitives)
        state = self.y
        if carry or not recipe.empty:
            total, own = moving.carried(carry), False
            for source, multiplier in recipe.values:
                value = moving.entered(source, self.value(source))
                total, own = moving.add(total, value, multiplier, own), True
            if recipe.random:
                for value, multiplier in self.entering(recipe, moving):
                    total, own = moving.add(total, value, multiplier, own), True
            state = moving.left(total)
        return self.sum(recipe.plain, replication, state) if recipe.plain else state

    def fixed(self) -> tuple[int, ...]:
        """Values so far that are the same for all paths, as those of a constant diffusion.

        One number for all components; or one a component, where L has no basis but theirs.
        """
        flow, axes = self.stepper.flow, 0
        if flow is not None and not (flow.transforms or flow.dense):
            axes = self.stepper.event_dims
        if axes >= self.y.ndim:
            return ()
        return tuple(i for i, value in enumerate(self.values) if value.ndim <= axes)

    def entering(self, recipe: Recipe, moving: Moving) -> Iterator[tuple[Tensor, Tensor | float]]:
        """The random part of a recipe, in the basis of L, with its multipliers."""
        if recipe.noises:
            for name, multiplier in recipe.merged(dict(enumerate(self.values))):
                yield moving.entered(name, self.noise[name]), multiplier
        for source, name, multiplier in recipe.scaled:
            value = self.value(source) * self.noise[name]
            yield moving.entered((source, name), value), multiplier
        for multiplier, members in recipe.products:
            product: Tensor | None = None
            for source, weight, sign in members:
                tensor = self.weight(weight)[1]
                assert tensor is not None
                part = self.value(source) * (tensor if sign == 1.0 else tensor * sign)
                product = part if product is None else product + part
            assert product is not None
            key = tuple((source, id(weight)) for source, weight, _ in members)
            yield moving.entered(key, product), multiplier

    def moved_columns(
        self, contributions: Sequence[Contribution], replication: str, carry: float
    ) -> Tensor:
        """`moved` where g is a matrix."""
        moving = self.moving
        assert moving is not None
        plain = [c for c in contributions if not c.operator]
        groups: dict[Any, list[Contribution]] = {}
        for c in contributions:
            if c.operator:
                groups.setdefault(c.operator, []).append(c)
        zero = torch.zeros_like(self.y)
        state = self.y
        if carry or groups:
            total = moving.carried(carry)
            for operator, group in groups.items():
                value = _MatrixSum(self, group, zero, True).total(replication)
                total = total + moving.moved(operator, value)
            state = moving.left(total)
        return state + _MatrixSum(self, plain, zero, True).total(replication) if plain else state

    def evaluate(self, evaluation: Evaluation, time: Tensor, state: Tensor) -> Any:
        """The value of f or g, the channels of its source last."""
        stepper = self.stepper
        replication = evaluation.replication
        if not stepper.channels:
            return (stepper.f if evaluation.drift else stepper.g)(time, state)
        if evaluation.drift:
            value: Tensor = stepper.f(time, state)
            if replication == "channel":  # (m, *batch, d)
                return value.movedim(0, -1)
            if replication == "pair":  # (k, r, *batch, d) -> (*batch, d, k, r)
                return value.movedim((0, 1), (-2, -1))
        else:
            g = stepper.g
            if isinstance(g, (Columns, Product)):
                if replication == "channel":
                    return g.own(time, state)
                if replication == "pair":
                    return g.own(time, state).movedim(0, -1)
                if replication == "once":
                    return _Deferred(g, time, state)
            value = g(time, state)
            if replication == "partner":  # (r, *batch, d, m): all columns at the state of r
                return value.movedim(0, -1)
            if replication == "channel":  # (m, *batch, d, m), column k is wanted at stage k
                return torch.diagonal(value, dim1=0, dim2=-1)
            if replication == "pair":
                return torch.diagonal(value, dim1=0, dim2=-1).movedim(0, -1)
        return value

    # ------------------------------------------------------------------ implicit stages

    def solve(self, first: int, stop: int, times: Sequence[Tensor]) -> None:
        """Solve the stages of a cluster for their arguments, and evaluate them there."""
        members = self.stepper.program.evaluations[first:stop]
        inside = range(first, stop)
        # Members that share an argument, as f and g of one stage, are one unknown.
        unique: dict[object, int] = {}
        which = [unique.setdefault((e.argument, e.replication), len(unique)) for e in members]
        distinct = [members[which.index(u)] for u in range(len(unique))]
        outer = [[c for c in e.argument if c.source not in inside] for e in distinct]
        inner = [[c for c in e.argument if c.source in inside] for e in distinct]
        known = [self.sum(part, e.replication, self.y) for part, e in zip(outer, distinct)]
        unknowns = Unknowns(
            self.y.shape,
            self.stepper.event_dims,
            [AXES[e.replication] for e in distinct],
            self.stepper.channels,
        )

        def set_values(states: Sequence[Tensor]) -> None:
            del self.values[first:]
            for evaluation, time, u in zip(members, times[first:stop], which):
                value = self.evaluate(evaluation, time, states[u])
                self.values.append(value)

        def shifts(packed: Tensor) -> Tensor:
            """What the unknowns, (..., *batch, n), add to themselves through their values."""
            for evaluation in members:
                self.stepper.solving[evaluation.drift] += self.stepper.states(evaluation)
            set_values(unknowns.unpack(packed))
            zero = torch.zeros_like(unknowns.one(packed))
            return unknowns.pack(
                [self.sum(c, e.replication, zero, False) for c, e in zip(inner, distinct)]
            )

        # Weights are kept for the step: made here, they have their gradients in the step size.
        for c in (c for part in inner for c in part):
            for weight in c.weights:
                self.weight(weight, "kl" if len(c.weights) == 3 else "k")
        # The first guess of every stage is the value at the start of the step.
        guess = unknowns.pack([self.y.expand(k.shape) for k in known])
        solved, iterations = self.stepper.newton.solve(
            shifts, unknowns.pack(known), guess, unknowns
        )
        self.stepper.iterations += iterations
        states = unknowns.unpack(solved)
        if len(members) == 1 and len(inner[0]) == 1 and members[0].drift:
            scalar, tensor = self.weight(inner[0][0].weights[0])
            if tensor is None:
                # What the stage's equation says its drift is.  Evaluated instead, the drift of a
                # stiff problem would magnify the error that is left in the stage.
                del self.values[first:]
                self.values.append((states[0] - known[0]) / (scalar * self.stepper.sign))
                self.stepper.solving[True] -= 1
                return
        set_values(states)


class _Deferred:
    """All columns of a `Product` or `Columns` at one state, multiplied before they are built."""

    def __init__(self, g: Columns | Product, time: Tensor, state: Tensor) -> None:
        self.g, self.time, self.state = g, time, state
        self._matrix: Tensor | None = None
        self._products: dict[object, Tensor] = {}

    @property
    def ndim(self) -> int:
        return self.state.ndim + 1

    def product(self, key: object, weight: Tensor) -> Tensor:
        """The matrix times a weight; equal keys stand for equal weights."""
        if key not in self._products:
            self._products[key] = self.g.product(self.time, self.state, weight)
        return self._products[key]

    def matrix(self) -> Tensor:
        if self._matrix is None:
            self._matrix = self.g(self.time, self.state)
        return self._matrix


class _MatrixSum:
    """A sum over sources with channels, for a target with none, one or two channel axes.

    The parts are kept apart by what they depend on, and only joined at the end: `common`
    (*batch, d), `own` (*batch, d, k), `partner` (*batch, d, r), `both` (*batch, d, k, r).
    """

    def __init__(
        self,
        step: Step,
        contributions: Sequence[Contribution],
        start: Tensor,
        in_place: bool,
    ) -> None:
        self.step, self.start, self.in_place = step, start, in_place
        self.common = start
        self.own: Tensor | None = None
        self.partner: Tensor | None = None
        self.both: Tensor | None = None
        for c in contributions:
            self.add(c)

    def add(self, c: Contribution) -> None:
        sign = self.step.stepper.sign if c.drift else 1.0
        value = self.step.value(c.source)
        axes = value.ndim - self.start.ndim
        if isinstance(value, _Deferred):
            if c.selector == "all" and len(c.weights) == 1 and c.axes == 1:
                self.add_product(c, value)
                return
            value = value.matrix()
        if axes < c.axes:
            wide = value.reshape(*value.shape, *(1,) * (c.axes - axes))
            channels = (self.step.stepper.channels,) * (c.axes - axes)
            value, axes = wide.expand(*value.shape, *channels), c.axes
        elif axes > c.axes:
            value, axes = torch.diagonal(value, dim1=-2, dim2=-1), c.axes
        if axes == 2:
            self.add_common(self.over_pairs(c, value), sign)
        elif len(c.weights) == 3:
            self.add_two_index(c, value, sign)
        elif axes == 0:
            self.add_plain(c, value, sign)
        else:
            self.add_channels(c, value, sign)

    def add_common(self, value: Tensor, factor: Scalar) -> None:
        own = self.in_place and self.common is not self.start
        self.common = _add(self.common, value, factor, own=own)

    def add_own(self, value: Tensor) -> None:
        self.own = value if self.own is None else self.own + value

    def add_product(self, c: Contribution, value: _Deferred) -> None:
        """All columns with a weight each; weights in proportion share one product."""
        factors = c.weights[0].resolve(self.step.numbers)
        if len(factors) == 1 and factors[0][1]:
            factor, monomial = factors[0]
            weight = self.step.product(monomial, "k")
            key: object = monomial
        else:
            full = self.step.full_weight(c.weights[0])
            weight = torch.as_tensor(full, dtype=self.start.dtype, device=self.start.device)
            factor, key = 1.0, id(c.weights[0])
        weight = weight.expand(*weight.shape[:-1], self.step.stepper.channels)
        self.add_common(value.product(key, weight), factor)

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
        # A tracer would look through the cache, and warn that it does.
        triangles = _triangles.__wrapped__ if torch.compiler.is_compiling() else _triangles
        before, after = triangles(self.step.stepper.channels, self.step.y.device)
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
        if replication == "partner":
            total = self.common.unsqueeze(-1)
            total = (
                total.expand(*self.common.shape, channels)
                if self.partner is None
                else total + self.partner
            )
            return total.movedim(-1, 0).contiguous()
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
