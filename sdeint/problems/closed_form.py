"""What a test problem is: an equation together with what is known exactly about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import cast

import torch
from torch import Tensor

from sdeint.errors import ProblemError
from sdeint.problem import SDE, Calculus, NoiseClass

Time = float | Tensor
Field = Callable[[Time, Tensor], Tensor | float]
"""A drift or a diffusion: ``(t, y (*batch, d)) -> values``."""


@dataclass(frozen=True)
class PathValues:
    """What a closed form may use of one Brownian path on ``[t0, t]``.

    Attributes
    ----------
    W : tensor
        ``W(t) - W(t0)``, shape ``(*batch, m)``, units of square-root time.
    integral : tensor
        The time integral ``int_{t0}^t (W(s) - W(t0)) ds``, same shape.
    """

    W: Tensor
    integral: Tensor


@dataclass(frozen=True)
class Functional:
    """A functional of the end value whose expectation is known exactly.

    Attributes
    ----------
    name : str
        A few words, for tables.
    of : callable
        ``(*batch, d) -> (*batch)``.
    exact : callable
        ``t -> E of(X(t))`` for the problem's fixed start at its interval's beginning; `t` is the
        time elapsed since then.
    """

    name: str
    of: Callable[[Tensor], Tensor]
    exact: Callable[[float], float]


@dataclass(frozen=True)
class LinearFields:
    """The matrices of ``dX = A X dt + sum_k B_k X dW_k`` (Ito): moments follow by exponentials."""

    A: tuple[tuple[float, ...], ...]
    B: tuple[tuple[tuple[float, ...], ...], ...]

    def matrices(self) -> tuple[Tensor, Tensor]:
        """``A`` of shape (d, d) and ``B`` of shape (m, d, d), float64."""
        return torch.tensor(self.A, dtype=torch.float64), torch.tensor(self.B, dtype=torch.float64)

    def mean(self, y0: Tensor, t: float) -> Tensor:
        """``E X(t) = exp(A t) y0``, shape (d,)."""
        A, _ = self.matrices()
        moment: Tensor = torch.linalg.matrix_exp(A * t) @ y0.to(A)
        return moment

    def second(self, y0: Tensor, t: float) -> Tensor:
        """``E X(t) X(t)^T``, shape (d, d).

        With ``M = A (x) I + I (x) A + sum_k B_k (x) B_k`` the second moment is ``exp(M t) (y0 (x)
        y0)``.
        """
        A, B = self.matrices()
        d = A.shape[0]
        one = torch.eye(d, dtype=A.dtype)
        M = torch.kron(A, one) + torch.kron(one, A)
        for b in B:
            M = M + torch.kron(b, b)
        y = y0.to(A)
        moment: Tensor = torch.linalg.matrix_exp(M * t) @ torch.kron(y, y)
        return moment.reshape(d, d)


@dataclass(frozen=True)
class Problem:
    """An SDE with its closed forms.

    Attributes
    ----------
    name : str
        The name in `sdeint.problems.library`.
    noise : {"additive", "scalar", "diagonal", "commutative", "general", "none"}
    y0 : tuple of float
        Start, one number a coordinate (d of them).
    channels : int
        Number m of independent Brownian motions; without noise, one that moves nothing.
    drifts : mapping
        Calculus -> drift. Both entries describe the *same* process.
    diffusion : callable or None
        The diffusion, the same in either calculus; None without noise.
    citation : str
        Where the problem is from.
    interval : (float, float)
        ``(t0, t1)``.
    solution : callable or None
        Strong solution ``(t, path values) -> (*batch, d)``, `t` elapsed since the start; None if it
        is not a function of W(t) and its time integral.
    functionals : mapping
        Name -> functional with its exact expectation; the first is the one used unless another is
        named.
    linear : LinearFields or None
        The matrices, for linear problems.
    """

    name: str
    noise: NoiseClass
    y0: tuple[float, ...]
    channels: int
    drifts: Mapping[str, Field]
    diffusion: Field | None
    citation: str
    interval: tuple[float, float] = (0.0, 1.0)
    solution: Callable[[float, PathValues], Tensor] | None = None
    functionals: Mapping[str, Functional] = field(default_factory=dict)
    linear: LinearFields | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "drifts", MappingProxyType(dict(self.drifts)))
        object.__setattr__(self, "functionals", MappingProxyType(dict(self.functionals)))

    def sde(self, calculus: str = "ito") -> SDE:
        """The problem as an SDE of the given calculus (the same process in both).

        Raises
        ------
        ProblemError
            If `calculus` is neither ``"ito"`` nor ``"stratonovich"``.
        """
        if calculus not in self.drifts:
            raise ProblemError(
                f"problem {self.name!r} has no calculus {calculus!r}; "
                f"take one of {sorted(self.drifts)}"
            )
        return SDE(
            self.drifts[calculus],
            self.diffusion,
            noise=self.noise,
            calculus=cast(Calculus, calculus),
        )

    def start(
        self,
        paths: int,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """`y0` for every path, shape ``(paths, d)``."""
        return torch.tensor(self.y0, dtype=dtype, device=device).expand(paths, len(self.y0))

    def functional(self, name: str | None = None) -> Functional:
        """The functional called `name`; without a name the first.

        Raises
        ------
        ProblemError
            If there is none of that name, or none at all.
        """
        if not self.functionals:
            raise ProblemError(f"problem {self.name!r} has no functional with a known expectation")
        if name is None:
            return next(iter(self.functionals.values()))
        if name not in self.functionals:
            raise ProblemError(
                f"problem {self.name!r} has no functional {name!r}; it has {list(self.functionals)}"
            )
        return self.functionals[name]


def named(*functionals: Functional) -> dict[str, Functional]:
    """The functionals by their names, in the order given."""
    return {item.name: item for item in functionals}
