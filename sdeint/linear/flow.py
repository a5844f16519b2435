"""The phi functions of ``c h L`` that the steps of one solve need, computed once a step size."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sdeint.errors import ProblemError
from sdeint.linear.functionals import conditional_functionals
from sdeint.linear.matrix_noise import matrix_functionals
from sdeint.linear.rate import Rate, as_wide
from sdeint.phi import HIGHEST, matrix_phis, phis

__all__ = ["Factor", "Flow", "Kept", "MatrixFlow", "PointwiseFlow", "Term"]

#: What a flow keeps at most: results, and bytes; of large operators, which a step must not compute
#: anew for want of room, as many tensors as the richest method needs for two step sizes.
_ENTRIES = 256
_BYTES = 1 << 28
KEPT_TENSORS = 32
#: For how many step sizes sums are kept multiplied out.
_SIZES = 2

Time = float | Tensor


class Term(NamedTuple):
    """``coefficient phi_k(Z)`` with Z the integral of L from ``t + start h`` to ``t + c h``.

    For a constant L that is ``phi_k((c - start) h L)``.
    """

    coefficient: float
    k: int
    c: float = 1.0
    start: float = 0.0


class Factor:
    """A combination of phi functions, to be applied to states (in the operator's basis).

    Attributes
    ----------
    value : Tensor
        The multipliers of the modes; or a matrix, where `dense`.
    """

    def __init__(self, value: Tensor, dense: bool) -> None:
        self.value, self.dense = value, dense

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self.value.mT if self.dense else x * self.value


@dataclass
class Kept:
    """What a step leaves to the next of its size.

    Attributes
    ----------
    made : dict
        Recipes and factors, by what they are of.
    last : tuple of Tensor or None
        The state that was left last, and what it was in the operator's basis.
    """

    made: dict[Any, Any]
    last: tuple[Tensor, Tensor] | None = None


class Flow(ABC):
    r"""Phi functions of one operator for one solve; made by `LinearOperator.flow`.

    A flow is made for a solve and dropped with it: what it keeps belongs to one autograd graph. Only
    what comes from constant numbers is left to the next solve.

    States have the shape (\*batch, \*event). An operator that is diagonal in another basis works on
    what `enter` returns; every other `enter` and `leave` returns its argument, so that a solver
    transforms once a stage and combines factors in between.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device, event: tuple[int, ...]) -> None:
        self.dtype, self.device, self.event = dtype, device, event
        self._kept: OrderedDict[Hashable, tuple[Tensor, ...]] = OrderedDict()
        self._bytes = 0
        self._sizes: OrderedDict[Hashable, Kept] = OrderedDict()

    #: Whether the operator's basis is another one than the state's.
    transforms: bool = False

    def enter(self, x: Tensor) -> Tensor:
        """From the state to the operator's basis."""
        return x

    def leave(self, v: Tensor) -> Tensor:
        """From the operator's basis to the state."""
        return v

    def spread(self, value: Tensor, axis: int = -1) -> Tensor:
        """Multipliers of modes, along an axis, as those of what `enter` returns."""
        return value

    def factor(self, t: Time, h: Time, terms: Sequence[Term]) -> Factor:
        """A combination of phi functions for the step from t of size h, forwards or backwards.

        It is combined in double precision, whatever the dtype of the states, and kept.

        Parameters
        ----------
        t, h : float or 0-dimensional Tensor
            With gradients (in a learned time grid), nothing is kept.
        terms : sequence of Term

        Raises
        ------
        ProblemError
            If a growing mode overflows; k outside 0..4.
        """
        for term in terms:
            if not 0 <= term.k <= HIGHEST:
                raise ProblemError(f"phi_{term.k} was asked for; there are phi_0 to phi_{HIGHEST}")
        key = self._key(t, h, tuple(terms))
        kept = self._recall(key)
        if kept is None:
            total: Tensor | None = None
            for coefficient, k, c, start in terms:
                part = self._phis(t, h, start, c)[k] * coefficient
                total = part if total is None else total + part
            if total is None:
                raise ProblemError("a factor needs at least one term")
            # Also real multipliers of complex states: mixed products take twice the time.
            kept = (self.spread(total).to(device=self.device, dtype=self.dtype),)
            self._keep(key, kept)
        return Factor(kept[0], self.dense)

    def kept(self, t: Time, h: Time, ratios: Hashable) -> Kept:
        """Where steps of this size keep what they have multiplied out: see `recipes`."""
        key = self._key(t, h, ratios)
        if key is None:
            return Kept({})
        if key not in self._sizes:
            self._sizes[key] = Kept({})
            if len(self._sizes) > _SIZES:
                self._sizes.popitem(last=False)
        return self._sizes[key]

    def empty(self) -> Flow:
        """The same flow without what it has kept."""
        flow = copy.copy(self)
        flow._kept, flow._sizes, flow._bytes = OrderedDict(), OrderedDict(), 0
        return flow

    def phi(self, t: Time, h: Time, k: int, c: float = 1.0, start: float = 0.0) -> Factor:
        """phi_k alone."""
        return self.factor(t, h, [Term(1.0, k, c, start)])

    def apply(
        self, t: Time, h: Time, wanted: Sequence[tuple[int, float]], x: Tensor
    ) -> list[Tensor]:
        """phi_k(c h L) x for each (k, c), on states."""
        v = self.enter(x)
        return [self.leave(self.phi(t, h, k, c)(v)) for k, c in wanted]

    def noise(self, t: Time, h: Time, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """The law of functionals of the path given W and H: see `conditional_functionals`.

        Raises
        ------
        ProblemError
            If it is not provided for this operator.
        """
        raise NotImplementedError

    def normals(self, sizes: Iterable[float], names: Sequence[str]) -> int:
        """How many normals a channel the law of functionals takes in steps of some sizes."""
        return len(names)

    def rate_now(self) -> Tensor:
        """The rates of the modes, where they do not depend on time."""
        raise NotImplementedError

    dense: bool = False
    _timeless = True

    @property
    def varies(self) -> bool:
        """Whether L depends on time."""
        return not self._timeless

    @abstractmethod
    def _compute(self, t: Time, h: Time, start: float, end: float) -> list[Tensor]:
        """All phi functions over a part of a step, in double precision, checked for overflow."""

    def _version(self) -> Hashable:
        """Changes when a tensor that the operator is made of is overwritten."""
        return None

    def _phis(self, t: Time, h: Time, start: float, end: float) -> tuple[Tensor, ...]:
        # With a constant L only the length counts, so that stages with equal differences share.
        key = self._key(t, h, end - start if self._timeless else (start, end))
        kept = self._recall(key)
        if kept is None:
            kept = tuple(self._compute(t, h, start, end))
            self._keep(key, kept)
        return kept

    def _key(self, t: Time, h: Time, what: Hashable) -> Hashable | None:
        if any(isinstance(time, Tensor) and time.requires_grad for time in (t, h)):
            return None
        # A result made without gradients must not be found by a step that needs them.
        mode = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        return (None if self._timeless else float(t), float(h), what, mode, self._version())

    def _recall(self, key: Hashable | None) -> tuple[Tensor, ...] | None:
        if key is None or key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key]

    def _keep(self, key: Hashable | None, tensors: tuple[Tensor, ...]) -> None:
        if key is None:
            return
        self._kept[key] = tensors
        self._bytes += _size(tensors)
        most = max(_BYTES, KEPT_TENSORS * _size(tensors[:1]))
        while len(self._kept) > 1 and (len(self._kept) > _ENTRIES or self._bytes > most):
            self._bytes -= _size(self._kept.popitem(last=False)[1])

    def _overflow(
        self, rate: complex, mode: str, h: Time, start: float, end: float
    ) -> ProblemError:
        largest = math.log(torch.finfo(self.dtype).max)
        reach = abs(float(h)) * largest / rate.real
        return ProblemError(
            f"phi overflows: a growing mode{mode} has c h lambda = {rate.real:.6g} for the part "
            f"from {start:.6g} to {end:.6g} of a step of size {float(h):.6g}; {self.dtype} holds "
            f"up to {largest:.6g}, so take steps of at most {reach:.3g}"
        )


def version(value: object) -> int | None:
    """How often a tensor has been overwritten; inference tensors do not say."""
    return value._version if isinstance(value, Tensor) and not value.is_inference() else None


def _size(tensors: tuple[Tensor, ...]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class PointwiseFlow(Flow):
    """A scalar or diagonal operator; with a transform, one that is diagonal in another basis."""

    def __init__(
        self, rate: Rate, dtype: torch.dtype, device: torch.device, event: tuple[int, ...]
    ) -> None:
        super().__init__(dtype, device, event)
        self.rate = rate
        self._timeless = not rate.varies
        if rate.lasting:
            # A copy, since other solves may run at the same time.
            kept = rate.results.get((dtype, device), self._kept)
            self._kept = rate.results[dtype, device] = OrderedDict(kept)
            self._bytes = sum(map(_size, kept.values()))

    def _compute(self, t: Time, h: Time, start: float, end: float) -> list[Tensor]:
        z = self.rate.over(t, h, start, end)
        growth = z.detach().real if z.is_complex() else z.detach()
        if growth.numel():
            worst = growth.max().item()
            if math.isnan(worst):
                raise ProblemError(f"the integral of L over the step at t = {float(t):.6g} is NaN")
            if worst > math.log(torch.finfo(self.dtype).max):
                place = torch.nonzero(growth == worst)[0].tolist()
                mode = f" {tuple(place)}" if place else ""
                raise self._overflow(worst, mode, h, start, end)
        return phis(z)

    def rate_now(self) -> Tensor:
        return self.rate.at(0.0)

    def noise(self, t: Time, h: Time, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        if self.rate.varies:
            raise ProblemError(
                "exact noise needs an L that does not depend on time; take a method whose noise is "
                "moved by phi_0, such as LordTambue"
            )
        rate = self.rate.at(0.0)
        if rate.is_complex():
            raise ProblemError(
                "exact noise of oscillating modes (complex L) is not implemented in solves; take a "
                "method whose noise is moved by phi_0, such as LordTambue"
            )
        key = self._key(t, h, ("noise", *names))
        kept = self._recall(key)
        if kept is None:
            size = h if isinstance(h, Tensor) and h.requires_grad else float(h)
            law = conditional_functionals(rate, size, names)
            kept = tuple(
                self.spread(value, -3).to(self.device, self.dtype.to_real()) for value in law
            )
            self._keep(key, kept)
        return kept[0], kept[1]

    def _version(self) -> Hashable:
        return version(self.rate.constant)


class MatrixFlow(Flow):
    """A matrix acting on vectors."""

    dense = True

    def __init__(
        self, matrix: Tensor, dtype: torch.dtype, device: torch.device, event: tuple[int, ...]
    ) -> None:
        super().__init__(dtype, device, event)
        self.matrix = matrix  # as given: see `Rate.constant`

    def _compute(self, t: Time, h: Time, start: float, end: float) -> list[Tensor]:
        z = as_wide(self.matrix, "L") * (h * (end - start))
        values = matrix_phis(z)
        limit = torch.finfo(self.dtype).max
        if not all(bool((value.detach().abs() <= limit).all()) for value in values):
            rate = float(torch.linalg.eigvals(z.detach()).real.max())
            if rate > math.log(limit):
                raise self._overflow(rate, "", h, start, end)
            raise ProblemError(
                f"phi overflows for the part from {start:.6g} to {end:.6g} of a step of size "
                f"{float(h):.6g}: no eigenvalue of c h L exceeds {rate:.6g}, but the matrix is far "
                f"from normal (norm {float(torch.linalg.matrix_norm(z.detach(), 1)):.3g}) and its "
                "exponential grows before it decays; take smaller steps"
            )
        return values

    def noise(self, t: Time, h: Time, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Matrices in place of numbers: see `matrix_functionals`."""
        learned = self.matrix.requires_grad or (isinstance(h, Tensor) and h.requires_grad)
        if self.matrix.is_complex() or learned:
            what = "gradients in a" if learned else "a complex"
            raise ProblemError(
                f"exact noise is not provided for {what} dense L or its steps; take a method whose "
                "noise is moved by phi_0, such as LordTambue"
            )
        key = self._key(t, h, ("noise", *names))
        kept = self._recall(key)
        if kept is None:
            law = matrix_functionals(as_wide(self.matrix, "L"), float(h), names)
            kept = tuple(value.to(self.device, self.dtype.to_real()) for value in law)
            self._keep(key, kept)
        return kept[0], kept[1]

    def normals(self, sizes: Iterable[float], names: Sequence[str]) -> int:
        return max(self.noise(0.0, h, names)[1].shape[-1] for h in dict.fromkeys(sizes))

    def _version(self) -> Hashable:
        return version(self.matrix)
