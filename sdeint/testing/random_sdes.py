"""Random SDEs of a noise class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from hypothesis import strategies as st
from torch import Tensor

from sdeint.errors import ProblemError
from sdeint.problem import SDE, NoiseClass
from sdeint.problems import Problem
from sdeint.problems import linear as linear_problem
from sdeint.problems.closed_form import Field, Time
from tableaux.errors import unknown
from tableaux.tableau import CALCULI, NOISE_CLASSES

Draw = Callable[[st.SearchStrategy[Any]], Any]
Numbers = list[float]
Rows = list[Numbers]

# Dyadic and bounded: equal in float32 and float64, readable in a failing example.
COEFFICIENTS = st.integers(-8, 8).map(lambda i: i / 8)
NONZERO = st.integers(1, 4).flatmap(lambda i: st.sampled_from((i / 8, -i / 8)))


@dataclass(frozen=True)
class RandomSDE:
    """An SDE that a strategy drew.

    Attributes
    ----------
    sde : SDE
    y0 : Tensor
        Start of one path, shape (d,), float64.
    t : (float, float)
        The interval.
    channels : int
        The number m of Brownian motions.
    problem : Problem
        The same process for `sdeint.convergence`, in both calculi.
    """

    sde: SDE
    y0: Tensor
    t: tuple[float, float]
    channels: int
    problem: Problem

    def start(self, paths: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """`y0` for every path, shape (paths, d)."""
        return self.y0.to(dtype).expand(paths, len(self.y0))

    def __repr__(self) -> str:
        # In place of the addresses of functions: the coefficients.
        return f"<{self.problem.name}, y0={self.y0.tolist()}, t={self.t}, {self.sde}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # Hypothesis prints a dataclass by its fields otherwise.
        printer.text(repr(self))


def sdes(
    noise: str | None = None,
    calculus: str | None = None,
    *,
    d: int | None = None,
    m: int | None = None,
    linear: bool | None = None,
) -> st.SearchStrategy[RandomSDE]:
    """Random SDEs of a noise class, smooth, with bounded derivatives of every order.

    Parameters
    ----------
    noise : {"additive", "scalar", "diagonal", "commutative", "general"}, optional
        Any of them if not given.
    calculus : {"ito", "stratonovich"}, optional
        Either if not given.
    d, m : int, optional
        Dimension and number of channels, 1 to 3 if not given. Scalar noise has m = 1, diagonal
        noise m = d.
    linear : bool, optional
        True: fields that are linear in the state (additive noise: constant noise), with their
        matrices in `problem.linear` where the noise is multiplicative. False: sines of the state,
        and time. Either if not given.

    Returns
    -------
    SearchStrategy of RandomSDE
        The engine accepts each as noise of its class. Commutative noise is ``P s(P^T y) B``, P a
        rotation and s a function of each coordinate, or linear with powers of one matrix: its
        channels commute, though it is in general neither diagonal nor scalar.

    Raises
    ------
    ProblemError
        If there is no such SDE.
    """
    if noise is not None and noise not in NOISE_CLASSES:
        raise ProblemError(unknown("noise class", noise, NOISE_CLASSES))
    if calculus is not None and calculus not in CALCULI:
        raise ProblemError(unknown("calculus", calculus, CALCULI))
    for name, value in (("d", d), ("m", m)):
        if value is not None and value < 1:
            raise ProblemError(f"{name} must be at least 1, got {value}")
    if noise == "none" and m is not None:
        raise ProblemError(f"without noise there are no channels, got m={m}")
    if noise == "scalar" and m not in (None, 1):
        raise ProblemError(f"scalar noise has one channel, got m={m}")
    if noise == "diagonal" and None not in (d, m) and d != m:
        raise ProblemError(f"diagonal noise has one channel a coordinate, got d={d} and m={m}")

    @st.composite
    def drawn(draw: st.DrawFn) -> RandomSDE:
        fitting = [c for c in NOISE_CLASSES if _fits(c, d, m)]
        kind = draw(st.sampled_from(fitting)) if noise is None else noise
        size = d or (m if kind == "diagonal" and m else draw(st.integers(1, 3)))
        width = {"diagonal": size, "scalar": 1, "none": 1}.get(kind) or m or draw(st.integers(1, 3))
        straight = draw(st.booleans()) if linear is None else linear
        make = _linear if straight else _sines
        problem = make(draw, cast(NoiseClass, kind), size, width)
        meaning = draw(st.sampled_from(CALCULI)) if calculus is None else calculus
        return RandomSDE(
            problem.sde(meaning),
            torch.tensor(problem.y0, dtype=torch.float64),
            problem.interval,
            problem.channels,
            problem,
        )

    return drawn()


def _fits(noise: str, d: int | None, m: int | None) -> bool:
    if noise == "none":
        return m is None
    if noise == "scalar":
        return m in (None, 1)
    return noise != "diagonal" or d is None or m is None or d == m


# --- pieces --------------------------------------------------------------------------------------


def _numbers(draw: Draw, count: int, of: st.SearchStrategy[float] = COEFFICIENTS) -> Numbers:
    return cast(Numbers, draw(st.lists(of, min_size=count, max_size=count)))


def _rows(draw: Draw, rows: int, columns: int) -> Rows:
    return [_numbers(draw, columns) for _ in range(rows)]


def _tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _problem(
    noise: NoiseClass,
    words: str,
    drift: Field,
    diffusion: Field | None,
    y0: Sequence[float],
    channels: int,
    *,
    matrix: bool,
) -> Problem:
    """`drift` is the Ito drift; the Stratonovich one of the same process follows."""
    other: Field = drift
    if diffusion is not None and noise != "additive":

        def corrected(t: Time, y: Tensor) -> Tensor:
            return cast(Tensor, drift(t, y)) - _correction(diffusion, t, y, matrix)

        other = corrected
    return Problem(
        name=words,
        noise=noise,
        y0=tuple(y0),
        channels=channels,
        drifts={"ito": drift, "stratonovich": other},
        diffusion=diffusion,
        interval=(0.0, 1.0),
        citation="random",
    )


def _correction(g: Field, t: Time, y: Tensor, matrix: bool) -> Tensor:
    """Half the sum of g_k' g_k over the channels, of the shape of y."""

    def field(x: Tensor) -> Tensor:
        return cast(Tensor, g(t, x))

    y = y.contiguous()  # forward derivatives refuse expanded tensors
    value = field(y)
    if not matrix:
        return cast(Tensor, torch.func.jvp(field, (y,), (value,))[1]) / 2
    total = torch.zeros_like(y)
    for k in range(value.shape[-1]):
        moved = torch.func.jvp(field, (y,), (value[..., k].contiguous(),))[1]
        total = total + cast(Tensor, moved)[..., k] / 2
    return total


# --- linear --------------------------------------------------------------------------------------


def _linear(draw: Draw, noise: NoiseClass, d: int, m: int) -> Problem:
    A, y0 = _rows(draw, d, d), _numbers(draw, d)
    words = f"linear {noise} problem A={A}"
    if noise == "none":
        matrix_, shift_ = _tensor(A), _tensor(_numbers(draw, d))
        return _problem(
            noise, words, lambda t, y: y @ matrix_.to(y).T + shift_.to(y), None, y0, m, matrix=False
        )
    if noise == "additive":
        G, shift = _rows(draw, d, m), _numbers(draw, d)
        drift_matrix, level, columns = _tensor(A), _tensor(shift), _tensor(G)
        return _problem(
            noise,
            f"{words}, shift={shift}, G={G}",
            lambda t, y: y @ drift_matrix.to(y).T + level.to(y),
            lambda t, y: columns.to(y).expand(*y.shape, m),
            y0,
            m,
            matrix=True,
        )
    if noise == "diagonal":
        sizes = _numbers(draw, d)
        B = [[[sizes[k] * (i == j == k) for j in range(d)] for i in range(d)] for k in range(d)]
        whole = linear_problem(A, B, y0, name=f"{words}, sigma={sizes}")
        elementwise = _tensor(sizes)
        return replace(whole, noise=noise, diffusion=lambda t, y: elementwise.to(y) * y)
    if noise == "commutative":
        # Polynomials in one matrix commute, exactly so with dyadic entries.
        N, ones, powers = _rows(draw, d, d), _numbers(draw, m), _numbers(draw, m)
        B = [
            [[a * (i == j) + b * N[i][j] for j in range(d)] for i in range(d)]
            for a, b in zip(ones, powers)
        ]
    else:
        B = [_rows(draw, d, d) for _ in range(m)]
    return linear_problem(A, B, y0, noise=noise, name=f"{words}, B={B}")


# --- sines ---------------------------------------------------------------------------------------


def _sines(draw: Draw, noise: NoiseClass, d: int, m: int) -> Problem:
    A, phase, y0 = _rows(draw, d, d), _numbers(draw, d), _numbers(draw, d)
    rate: float = draw(COEFFICIENTS)
    mixing, angles = _tensor(A), _tensor(phase)
    words = f"{noise} problem A={A}, rate={rate}, phase={phase}"

    def drift(t: Time, y: Tensor) -> Tensor:
        return torch.sin(y + angles.to(y)) @ mixing.to(y).T + rate * _cos(t, y)

    if noise == "none":
        return _problem(noise, words, drift, None, y0, m, matrix=False)
    diffusion, matrix, more = _sine_noise(draw, noise, d, m)
    return _problem(noise, words + more, drift, diffusion, y0, m, matrix=matrix)


def _cos(t: Time, y: Tensor) -> Tensor:
    return torch.cos(torch.as_tensor(t, dtype=y.dtype, device=y.device))


def _sine_noise(draw: Draw, noise: str, d: int, m: int) -> tuple[Field, bool, str]:
    """The diffusion, whether it is a matrix, and its coefficients in words."""
    pace: float = draw(COEFFICIENTS) / 2  # |pace| <= 1/2: time never turns the noise off

    def clock(t: Time, y: Tensor) -> Tensor:
        return 1 + pace * _cos(t, y)

    if noise == "additive":
        G = _rows(draw, d, m)
        constant = _tensor(G)

        def additive(t: Time, y: Tensor) -> Tensor:
            return (clock(t, y) * constant.to(y)).expand(*y.shape, m)

        return additive, True, f", pace={pace}, G={G}"
    if noise in ("diagonal", "scalar"):
        level, size, phase = _numbers(draw, d), _numbers(draw, d), _numbers(draw, d)
        a, b, c = _tensor(level), _tensor(size), _tensor(phase)
        # Scalar noise sees every coordinate, diagonal noise its own.
        order = [(i + 1) % d for i in range(d)] if noise == "scalar" else list(range(d))

        def elementwise(t: Time, y: Tensor) -> Tensor:
            value: Tensor = clock(t, y) * (a.to(y) + b.to(y) * torch.sin(y[..., order] + c.to(y)))
            return value

        return elementwise, False, f", pace={pace}, level={level}, size={size}, shift={phase}"
    if noise == "commutative":
        return _commutative(draw, d, m, clock, f", pace={pace}")
    G, T = _rows(draw, d, m), [_rows(draw, d, m) for _ in range(d)]
    base, slopes = _tensor(G), _tensor(T)

    def general(t: Time, y: Tensor) -> Tensor:
        bent = torch.einsum("...j,jik->...ik", torch.sin(y), slopes.to(y) / 2)
        value: Tensor = clock(t, y) * (base.to(y) + bent)
        return value

    return general, True, f", pace={pace}, G={G}, T={T}"


def _commutative(
    draw: Draw, d: int, m: int, clock: Callable[[Time, Tensor], Tensor], words: str
) -> tuple[Field, bool, str]:
    """Constant fields seen through a change of coordinates: ``P s(P^T y) B``.

    No row of B vanishes and every s bends, so that the products g_k' g_l stand well above rounding,
    with which the engine compares their differences.
    """
    B = [[draw(NONZERO), *_numbers(draw, m - 1)] for _ in range(d)]
    bend, turns = _numbers(draw, d, NONZERO), _numbers(draw, d * (d - 1) // 2)
    P, weights, bends = _rotation(d, turns), _tensor(B), _tensor(bend)

    def diffusion(t: Time, y: Tensor) -> Tensor:
        frame = P.to(y)
        s = 1 + bends.to(y) * torch.sin(y @ frame)
        return clock(t, y) * (frame @ (s[..., None] * weights.to(y)))

    return diffusion, True, f"{words}, B={B}, bend={bend}, turns={turns}"


def _rotation(d: int, turns: Numbers) -> Tensor:
    """A product of plane rotations by these angles."""
    P, left = torch.eye(d, dtype=torch.float64), iter(turns)
    for i in range(d):
        for j in range(i):
            turn = _tensor(next(left))
            plane = torch.eye(d, dtype=torch.float64)
            plane[i, i] = plane[j, j] = torch.cos(turn)
            plane[i, j], plane[j, i] = -torch.sin(turn), torch.sin(turn)
            P = P @ plane
    return P
