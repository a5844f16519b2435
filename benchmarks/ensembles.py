"""Large ensembles, float32: ours, the peers, loops by hand, and the random numbers alone."""

from __future__ import annotations

import math
from functools import partial

import torch

import sdeint
from benchmarks.peers import diffrax_solve, has_diffrax, torchsde_solve
from benchmarks.timing import median_seconds, table

__all__ = ["additive", "euler", "general", "strong"]

Tensor = torch.Tensor
PATHS, STEPS, MU, SIGMA = 100_000, 1000, 0.5, 0.4
#: Eager peers are timed over fewer steps; their time is linear in them.
FEW = 10
HEAD = ("work", "ns a path and step", "relative to the loop by hand")


def drift(t: Tensor, y: Tensor) -> Tensor:
    return MU * y


def noise(t: Tensor, y: Tensor) -> Tensor:
    return SIGMA * y


def constant(t: Tensor, y: Tensor) -> Tensor:
    return torch.full_like(y, SIGMA)


def euler() -> str:
    """Euler on geometric Brownian motion."""
    rows = [
        ("random numbers alone: torch.randn", _randn(1)),
        ("loop by hand: torch.randn, in place", _euler_by_hand()),
        ("sdeint EM, compiled", _ours("EM", True)),
        ("sdeint EM, eager", _ours("EM", False)),
        ("sdeint EM, eager, path='tree'", _ours("EM", False, "tree")),
        *_diffrax("Euler"),
        ("torchsde euler", _torchsde("euler")),
    ]
    return _report(rows)


def strong() -> str:
    """SRIW1 on geometric Brownian motion; diffrax's nearest has strong order 1 (Stratonovich)."""
    rows = [
        ("random numbers alone: torch.randn, W and H", _randn(2)),
        ("SRIW1 by hand: torch.randn, in place", _sriw1_by_hand()),
        ("sdeint SRIW1, compiled", _ours("SRIW1", True)),
        ("sdeint SRIW1, eager", _ours("SRIW1", False)),
        *_diffrax("GeneralShARK"),
        ("torchsde srk", _torchsde("srk")),
    ]
    return _report(rows)


def additive() -> str:
    """SRA1, strong order 1.5 for additive noise."""
    rows = [
        ("random numbers alone: torch.randn, W and H", _randn(2)),
        ("SRA1 by hand: torch.randn, in place", _sra1_by_hand()),
        ("sdeint SRA1, compiled", _ours("SRA1", True, additive=True)),
        ("sdeint SRA1, eager", _ours("SRA1", False, additive=True)),
        *_diffrax("SRA1"),
        ("torchsde srk", _torchsde("srk", additive=True)),
    ]
    return _report(rows)


def general() -> str:
    """Weak order 2 with general noise: d = 10, m = 10, 10^4 paths."""
    paths, d, m = 10_000, 10, 10
    mix = torch.randn(d, m, generator=torch.Generator().manual_seed(1)) / 10
    sde = sdeint.SDE(lambda t, y: -y, lambda t, y: torch.cos(y)[..., None] * mix, noise="general")
    y0 = torch.ones(paths, d)
    rows = []
    for method in ("EM", "W2Ito1", "RI6"):
        for compile, steps in ((False, 9), (True, 404)):
            work = partial(sdeint.solve, sde, y0, [0.0, 1.0], method=method)
            seconds = median_seconds(partial(work, steps=steps, compile=compile), 3)
            name = f"sdeint {method}, {'compiled' if compile else 'eager'}"
            rows.append((name, f"{1e6 * seconds / (paths * steps):.2f}"))
    return table(("work", "microseconds a path and step"), rows)


def _report(rows: list[tuple[str, float]]) -> str:
    reference = next(ns for name, ns in rows if "by hand" in name)
    cells = [(name, f"{ns:.2f}", f"{ns / reference:.2f}") for name, ns in rows]
    return table(HEAD, cells)


def _ns(seconds: float, steps: int) -> float:
    return 1e9 * seconds / (PATHS * steps)


def _randn(kinds: int) -> float:
    out, steps = torch.empty(PATHS), 100
    return _ns(median_seconds(lambda: [out.normal_() for _ in range(kinds * steps)]), steps)


def _euler_by_hand() -> float:
    h, steps = 1 / STEPS, 100
    normal = torch.empty(PATHS, 1)

    def work() -> None:
        y = torch.ones(PATHS, 1)
        for _ in range(steps):
            y.mul_(normal.normal_().mul_(SIGMA * math.sqrt(h)).add_(1 + MU * h))

    return _ns(median_seconds(work), steps)


def _sriw1_by_hand() -> float:
    """SRIW1 with its coefficients written out: two drifts, four diffusions."""
    h, steps = 1 / STEPS, 50
    root = math.sqrt(h)
    dw, dz = torch.empty(PATHS, 1), torch.empty(PATHS, 1)

    def work() -> None:
        y = torch.ones(PATHS, 1)
        for _ in range(steps):
            dw.normal_().mul_(root)
            # I_(1,0)/h, from the increment and an independent normal.
            i10 = dz.normal_().mul_(root / math.sqrt(3)).add_(dw).mul_(0.5)
            i11 = (dw * dw).sub_(h).mul_(0.5 / root)
            i111 = (dw * dw).sub_(3 * h).mul_(dw).div_(6 * h)
            f1, g1 = MU * y, SIGMA * y
            h2 = torch.add(y, f1, alpha=0.75 * h).add_(g1 * i10, alpha=1.5)
            f2 = MU * h2
            g2 = SIGMA * torch.add(y, f1, alpha=0.25 * h).add_(g1, alpha=0.5 * root)
            g3 = SIGMA * torch.add(y, f1, alpha=h).sub_(g1, alpha=root)
            g4 = SIGMA * torch.add(y, f1, alpha=0.25 * h).add_(
                (-5 * g1).add_(g2, alpha=3).add_(g3, alpha=0.5), alpha=root
            )
            y = y.add(f1, alpha=h / 3).add_(f2, alpha=2 * h / 3)
            y.addcmul_(g1, -dw - i11 + 2 * i10 - 2 * i111)
            y.addcmul_(g2, (4 * dw + 4 * i11 - 4 * i10 + 5 * i111).div_(3))
            y.addcmul_(g3, (2 * dw - i11 - 2 * i10 - 2 * i111).div_(3))
            y.addcmul_(g4, i111)

    return _ns(median_seconds(work, 3), steps)


def _sra1_by_hand() -> float:
    h, steps = 1 / STEPS, 50
    dw, dz = torch.empty(PATHS, 1), torch.empty(PATHS, 1)

    def work() -> None:
        y = torch.ones(PATHS, 1)
        for _ in range(steps):
            dw.normal_().mul_(math.sqrt(h))
            i10 = dz.normal_().mul_(math.sqrt(h / 3)).add_(dw).mul_(0.5)
            f1 = MU * y
            f2 = MU * torch.add(y, f1, alpha=0.75 * h).add_(i10, alpha=1.5 * SIGMA)
            y = y.add(f1, alpha=h / 3).add_(f2, alpha=2 * h / 3).add_(dw, alpha=SIGMA)

    return _ns(median_seconds(work, 3), steps)


def _ours(method: str, compile: bool, path: str = "grid", additive: bool = False) -> float:
    sde = sdeint.SDE(
        drift, constant if additive else noise, noise="additive" if additive else "diagonal"
    )
    y0, steps = torch.ones(PATHS, 1), STEPS if compile else 32
    seconds = median_seconds(
        lambda: sdeint.solve(
            sde, y0, [0.0, 1.0], method=method, steps=steps, path=path, compile=compile
        ),
        3,
    )
    return _ns(seconds, steps)


def _diffrax(solver: str) -> list[tuple[str, float]]:
    if not has_diffrax():
        return []
    import jax.numpy as jnp

    steps = 100
    g = (lambda t, y: jnp.full_like(y, SIGMA)) if solver == "SRA1" else lambda t, y: SIGMA * y
    work = diffrax_solve(solver, lambda t, y: MU * y, g, (PATHS,), steps)
    return [
        (f"diffrax {solver}, compiled, one vector of paths", _ns(median_seconds(work, 3), steps))
    ]


def _torchsde(method: str, additive: bool = False) -> float:
    work = torchsde_solve(
        method,
        drift,
        constant if additive else noise,
        (PATHS, 1),
        FEW,
        "diagonal",
    )
    return _ns(median_seconds(work, 3), FEW)
