"""Phi functions, weights and covariances in high precision, from their definitions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import mpmath
import torch
from mpmath import mp, mpf

DIGITS = 50


def phi(k: int, z: Any) -> Any:
    """By the series near zero, else by the formula, with digits to spare for its cancellation."""
    with mp.workdps(DIGITS):
        z = mp.mpmathify(z)
        if abs(z) < 1e-3:
            return mp.fsum(z**n / mp.factorial(n + k) for n in range(20))
        return (mp.exp(z) - mp.fsum(z**j / mp.factorial(j) for j in range(k))) / z**k


def size(k: int, z: complex) -> Any:
    """The size of phi_k around z, zeros smoothed over: the terms of its formula do not cancel, or
    those of its integral.
    """
    with mp.workdps(DIGITS):
        bound = phi(k, z.real)
        if z == 0:
            return bound
        r = mp.mpmathify(abs(z))
        terms = mp.exp(z.real) + mp.fsum(r**j / mp.factorial(j) for j in range(k))
        return min(bound, terms / r**k)


def matrix_phi(matrix: torch.Tensor) -> list[mpmath.matrix]:
    """phi_0, ..., phi_4 from the exponential of the matrix enlarged by a chain of identities."""
    d = len(matrix)
    with mp.workdps(40):
        block = mp.zeros(5 * d, 5 * d)
        for i in range(d):
            for j in range(d):
                block[i, j] = mp.mpmathify(matrix[i, j].item())
            for k in range(4):
                block[k * d + i, (k + 1) * d + i] = 1
        # Scaled and squared by hand: mpmath's own scaling is slow for a large norm.
        norm = mp.mnorm(block, 1)
        squarings = max(0, int(mp.ceil(mp.log(norm, 2))) + 3)
        small = block * mpf(2) ** -squarings
        total = term = mp.eye(5 * d)
        for n in range(1, 25):
            term = term * small / n
            total = total + term
        for _ in range(squarings):
            total = total * total
        return [total[:d, k * d : (k + 1) * d] for k in range(5)]


def weight(name: str, s: Any, z: Any) -> Any:
    """The weight of a functional at the share s of the step."""
    base, _, share = name.partition("@")
    c = mpf(1)
    if share:
        fraction = Fraction(share)
        c = mpf(fraction.numerator) / fraction.denominator
    x = c - s
    if x < 0:
        return mpf(0)
    if base in ("W", "U", "H", "K"):
        return {"W": mpf(1), "U": s, "H": mpf(1) / 2 - s, "K": (6 * s**2 - 6 * s + 1) / 12}[base]
    k = int(base[-1])
    if base.startswith("phi"):
        return x**k * phi(k, x * z)
    return x**k / mp.factorial(k) * (mp.exp(x * z) if base.startswith("exp") else 1)


@lru_cache(maxsize=1)
def gauss(n: int = 16) -> list[tuple[Any, Any]]:
    """Nodes and weights on [0, 1]."""
    rule = []
    for i in range(n):
        x = mp.cos(mp.pi * (i + mpf(3) / 4) / (n + mpf(1) / 2))
        for _ in range(7):
            before, now = mpf(1), x
            for k in range(2, n + 1):
                before, now = now, ((2 * k - 1) * x * now - (k - 1) * before) / k
            slope = n * (x * now - before) / (x * x - 1)
            x -= now / slope
        rule.append(((x + 1) / 2, 1 / ((1 - x * x) * slope**2)))
    return rule


def covariance(names: Sequence[str], z: complex, shares: Sequence[Fraction] = ()) -> mpmath.matrix:
    """E[X Y*] of the functionals for |h| = 1, panels halved towards each end of a weight."""
    with mp.workdps(30):
        ends = [mpf(0), mpf(1), *(mpf(c.numerator) / c.denominator for c in shares)]
        cuts = set(ends)
        halvings = int(max(0, mp.ceil(mp.log(abs(z) + 1e-9, 2)))) if z else 0
        for end in ends:
            for j in range(halvings):
                cuts |= {q for q in (end - mpf(2) ** -j, end + mpf(2) ** -j) if 0 < q < 1}
        places = sorted(cuts)
        total = mp.zeros(len(names), len(names))
        for a, b in itertools.pairwise(places):
            for x, w in gauss():
                values = [weight(name, a + (b - a) * x, mp.mpmathify(z)) for name in names]
                for i, one in enumerate(values):
                    for j, other in enumerate(values):
                        total[i, j] += w * (b - a) * one * mp.conj(other)
        return total
