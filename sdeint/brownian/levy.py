r"""Levy areas of a step, given the path's own increment W and space-time areas H and K.

``A_kl = (I_kl - I_lk)/2`` with ``I_kl = int W_k dW_l``. The bridge ``B_u = W_u - (u/h) W`` of each
channel has the Fourier series

    B_u = a_0/2 + sum_r a_r cos(2 pi r u/h) + b_r sin(2 pi r u/h),

with independent coefficients of variance ``h/(2 pi^2 r^2)`` and ``a_0 = -2 sum a_r``, hence

    H = -sum_r a_r,    K = sum_r b_r/(2 pi r),
    A_kl = H_k W_l - W_k H_l + pi sum_r r (a_rk b_rl - b_rk a_rl).

The first p terms are drawn, together with the tails ``S = sum_{r>p} a_r`` and ``T = sum_{r>p}
b_r/r``, and all of them are moved to their conditional law given the H and K that the path has
drawn: Gaussians under one linear condition each, ``a_r += (Cov/Var) * gap``. What the truncation
approximates is only the tail of the double sum, of variance ``h^2/(2 pi^2) sum_{r>p} r^-2``.

`"mrongowius-roessler"`
    The part with W is exact, as it is the path's own H. The tail is its exact conditional mean
    given S and T, ``pi/zeta_2 (S_k T_l - T_k S_l)`` with ``zeta_2 = sum_{r>p} r^-2``, plus
    independent Gaussians of the variance that is left. The published method takes Gaussians for
    all of it; with this mean, those of A given (W, H, K) and of A^2 given W are exact for any p.
`"wiktorsson"`
    The tails of both parts together are Gaussian with their covariance given W. That W part is
    independent of the tail S of H, so A fits the path's W, and the path's H and K only in the
    first p terms: for methods that use A with H the other one is better. (Given S as well as W,
    this Gaussian is the published one of Mrongowius and Roessler: there is no third way.)

Error. There are Gaussians as near to the true tail as ``E (A - A~)^2 <= C h^2/(12 pi^2 p^2)`` in
every entry, with ``C = m`` for the first method and ``C = 5 m`` for the second (as published);
jointly with K the first has ``C = m + 2``, which is what `numbers_of_terms` uses. Terms are drawn
until the root of that is at most ``accuracy h^(3/2)``: the local error that strong order 1 allows.

M. Wiktorsson, "Joint characteristic function and simultaneous simulation of iterated Ito integrals
for multiple independent Brownian motions", Ann. Appl. Probab. 11 (2001);
J. Mrongowius, A. Roessler, "On the approximation and simulation of iterated stochastic integrals
and the corresponding Levy areas in terms of a multidimensional Brownian motion", Stoch. Anal.
Appl. 40 (2022);
J. Foster, K. Habermann, "Brownian bridge expansions for Levy area approximations and particular
values of the Riemann zeta function", Combin. Probab. Comput. 32 (2023), for the mean given H and K.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sdeint.brownian.counters import MAX_CHANNELS, MAX_SERIES

METHODS = ("mrongowius-roessler", "wiktorsson")
ZETA_2, ZETA_4 = math.pi**2 / 6, math.pi**4 / 90
_ROOT = math.sqrt(2.0) * math.pi


def check_method(method: str, accuracy: float) -> None:
    """Refuse an unknown method and an accuracy that is no positive number."""
    if method not in METHODS:
        raise ValueError(f"areas must be one of {', '.join(map(repr, METHODS))}, not {method!r}")
    check_accuracy(accuracy)


def check_accuracy(accuracy: float) -> None:
    """Refuse an accuracy that is no positive number."""
    if not 0.0 < accuracy < math.inf:
        raise ValueError(f"accuracy must be positive and finite, not {accuracy!r}")


def channels_of(shape: tuple[int, ...]) -> int:
    """The number m of channels of noise that can have Levy areas: of shape (m,)."""
    if len(shape) != 1:
        raise ValueError(
            f"Levy areas (A) belong to pairs of channels and need channels (m,), not {shape}; "
            "flatten the channels"
        )
    (m,) = shape
    if m * (m - 1) // 2 > MAX_CHANNELS:
        raise ValueError(
            f"{m} channels have {m * (m - 1) // 2} Levy areas; a step has at most {MAX_CHANNELS}"
        )
    return m


def numbers_of_terms(widths: Tensor, channels: int, method: str, accuracy: float) -> Tensor:
    """The number p of terms of each step: odd, and with few different values on any grid.

    A step's p depends on its own width only, so it is the same in any block of steps.
    """
    constant = channels + 2 if method == METHODS[0] else 5 * channels
    least = math.sqrt(constant / 12.0) / (math.pi * accuracy) / torch.sqrt(widths)
    calls = torch.ceil((least - 1.0) / 2.0).clamp(min=0.0)
    # Up to the next 1, 2, 3, 4, 6, 8, 12, ...: steps with equal numbers are drawn together.
    power = torch.exp2(torch.ceil(torch.log2(calls.clamp(min=1.0))))
    rounded = torch.where(calls <= 0.75 * power, 0.75 * power, power)
    calls = torch.where(calls <= 2.0, calls, rounded)
    if bool((calls >= MAX_SERIES).any()):
        raise ValueError(
            f"a step of length {float(widths.min()):.3g} needs {float(least.max()):.3g} terms of "
            f"the Levy area for accuracy {accuracy!r}, and at most {2 * MAX_SERIES - 1} can be "
            "drawn; give the path a larger accuracy"
        )
    return (2 * calls + 1).to(torch.int64)


def unit_areas(
    w: Tensor,
    h: Tensor,
    k: Tensor,
    terms: int,
    series: Callable[[int], Tensor],
    last: Callable[[], Tensor],
    method: str,
) -> Tensor:
    """Levy areas of steps of length 1.

    Only sums and products of elements in a fixed order: a matrix product would make bits depend on
    the shape of the batch.

    Parameters
    ----------
    w, h, k : Tensor
        W, H and K of the steps, (steps, paths, m).
    terms : int
        Odd number p of terms.
    series : callable
        q -> standard normals (steps, 4, paths, m): for q = 0 those of S, T, a_1, b_1, and then
        those of a_r, b_r for r = 2 q and 2 q + 1.
    last : callable
        () -> standard normals of the pairs, (steps, paths, m (m - 1)/2), in the order of `pairs`.
    method : str

    Returns
    -------
    Tensor
        (steps, paths, m, m), antisymmetric; rows are the inner channel.
    """
    zeta_2, zeta_4 = (
        float(torch.special.zeta(torch.tensor(s, dtype=torch.float64), float(terms + 1)))
        for s in (2.0, 4.0)
    )
    zero = torch.zeros_like(w)
    sum_a, sum_a3, sum_b2 = zero, zero.clone(), zero.clone()
    double = torch.zeros((*w.shape, w.shape[-1]), dtype=w.dtype, device=w.device)
    first = series(0)
    tail_a, tail_b = first[:, 0] * math.sqrt(zeta_2), first[:, 1] * math.sqrt(zeta_4)
    for r, x, y in _terms(first, series, terms):
        x = x * (1.0 / r)
        sum_a = sum_a + x
        sum_a3 += x * (1.0 / r**2)
        double += x.unsqueeze(-1) * y.unsqueeze(-2)
        sum_b2 += y * (1.0 / r**2)
    # Everything so far in units of 1/(sqrt(2) pi). The gaps to the path's own H and K:
    gap_a = h * -_ROOT - sum_a - tail_a
    gap_b = k * (2.0 * math.pi * _ROOT) - sum_b2 - tail_b
    tail_a = tail_a + gap_a * (zeta_2 / ZETA_2)
    tail_b = tail_b + gap_b * (zeta_4 / ZETA_4)
    both = (ZETA_4 - zeta_4) / (ZETA_2 * ZETA_4)
    double += gap_a.unsqueeze(-1) * (sum_b2 * (1.0 / ZETA_2) + gap_b * both).unsqueeze(-2)
    double += sum_a3.unsqueeze(-1) * (gap_b * (1.0 / ZETA_4)).unsqueeze(-2)
    if method == METHODS[0]:
        double += tail_a.unsqueeze(-1) * (tail_b * (1.0 / zeta_2)).unsqueeze(-2)
        double += h.unsqueeze(-1) * (w * (2.0 * math.pi)).unsqueeze(-2)
        rest = antisymmetric(last(), w.shape[-1])
        rest *= math.sqrt((zeta_2 - zeta_4 / zeta_2) / 2.0) / math.pi
    else:
        own = h + tail_a * (1.0 / _ROOT)
        double += own.unsqueeze(-1) * (w * (2.0 * math.pi)).unsqueeze(-2)
        rest = _given_increment(antisymmetric(last(), w.shape[-1]), w)
        rest *= math.sqrt(zeta_2 / 2.0) / math.pi
    return (double - double.transpose(-1, -2)) * (1.0 / (2.0 * math.pi)) + rest


def _terms(
    first: Tensor, series: Callable[[int], Tensor], terms: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """r and the standard normals of a_r and b_r, r = 1, ..., p."""
    yield 1, first[:, 2], first[:, 3]
    for q in range(1, (terms + 1) // 2):
        four = series(q)
        yield 2 * q, four[:, 0], four[:, 1]
        yield 2 * q + 1, four[:, 2], four[:, 3]


def _given_increment(g: Tensor, w: Tensor) -> Tensor:
    """Antisymmetric standard normals with the covariance of ``g + w y' - y w'`` given w.

    That covariance is ``1 + L`` with ``L G = (G w) w' - w (G w)'``, whose eigenvalues are 0 and
    ``|w|^2``; its root is ``1 + L/(1 + sqrt(1 + |w|^2))``.
    """
    product, square = torch.zeros_like(w), torch.zeros_like(w[..., :1])
    for channel in range(w.shape[-1]):
        one = w[..., channel : channel + 1]
        product = product + g[..., channel] * one
        square = square + one * one
    product = product / (1.0 + torch.sqrt(1.0 + square))
    outer = product.unsqueeze(-1) * w.unsqueeze(-2)
    return g + (outer - outer.transpose(-1, -2))


def mean_area(w: Tensor, h: Tensor) -> Tensor:
    """``E[A_kl | W, H] = H_k W_l - W_k H_l``, (..., m, m)."""
    outer = h.unsqueeze(-1) * w.unsqueeze(-2)
    return outer - outer.transpose(-1, -2)


def pairs(channels: int) -> tuple[Tensor, Tensor]:
    """Rows and columns (k, l), k < l, in an order that further channels continue."""
    l, k = torch.tril_indices(channels, channels, -1)
    return k, l


def antisymmetric(values: Tensor, channels: int) -> Tensor:
    """The matrices (..., m, m) whose entries k < l are given, in the order of `pairs`."""
    k, l = pairs(channels)
    out = torch.zeros(
        (*values.shape[:-1], channels, channels), dtype=values.dtype, device=values.device
    )
    out[..., k, l] = values
    out[..., l, k] = -values
    return out
