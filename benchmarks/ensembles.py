"""Geometric Brownian motion, float32: ours, torchsde, a loop by hand, and the random numbers alone."""

from __future__ import annotations

import math
import warnings

import torch

import sdeint
from benchmarks.timing import median_seconds, table

PATHS, STEPS, MU, SIGMA = 100_000, 100, 0.5, 0.4


def ensembles() -> str:
    """Time a path and step of each side."""
    rows: list[tuple[str, float]] = [
        ("random numbers alone: torch.randn", _randn()),
        ("random numbers alone: our generator, W", _ours_alone(("W",))),
        ("random numbers alone: our generator, W and H", _ours_alone(("W", "H"))),
        ("Euler by hand (torch.randn, in place)", _by_hand()),
    ]
    for method in ("EM", "SRIW1"):
        for path in ("grid", "tree"):
            rows.append((f"sdeint {method}, path={path!r}", _ours(method, path)))
    rows += [("torchsde euler", _torchsde("euler", 10)), ("torchsde srk", _torchsde("srk", 10))]
    reference = dict(rows)["Euler by hand (torch.randn, in place)"]
    cells = [(name, f"{ns:.1f}", f"{ns / reference:.2f}") for name, ns in rows]
    head = ("work", "ns a path and step", "relative to the loop by hand")
    return f"{PATHS} paths, {STEPS} steps (torchsde: 10 steps), float32\n\n" + table(head, cells)


def _per_path_step(seconds: float, steps: int = STEPS) -> float:
    return 1e9 * seconds / (PATHS * steps)


def _randn() -> float:
    out = torch.empty(PATHS)
    return _per_path_step(median_seconds(lambda: [out.normal_() for _ in range(STEPS)]))


def _ours_alone(names: tuple[str, ...]) -> float:
    path = sdeint.GridPath(0, (PATHS,), (1,), dtype=torch.float32)
    steps = path.on(torch.linspace(0, 1, STEPS + 1, dtype=torch.float64))
    block = path.block_length()

    def work() -> None:
        for first in range(0, STEPS, block):
            steps.draw(first, min(block, STEPS - first), names)

    return _per_path_step(median_seconds(work))


def _by_hand() -> float:
    h = 1 / STEPS
    noise = torch.empty(PATHS, 1)

    def work() -> None:
        y = torch.ones(PATHS, 1)
        for _ in range(STEPS):
            y.mul_(noise.normal_().mul_(SIGMA * math.sqrt(h)).add_(1 + MU * h))

    return _per_path_step(median_seconds(work))


def _ours(method: str, path: str) -> float:
    sde = sdeint.SDE(lambda t, y: MU * y, lambda t, y: SIGMA * y)
    y0 = torch.ones(PATHS, 1)
    grid_steps = 128 if path == "tree" else STEPS
    seconds = median_seconds(
        lambda: sdeint.solve(sde, y0, [0.0, 1.0], method=method, steps=grid_steps, path=path), 3
    )
    return _per_path_step(seconds, grid_steps)


def _torchsde(method: str, steps: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchsde

    class Peer(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return MU * y

        def g(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return SIGMA * y

    sde, y0, ts = Peer(), torch.ones(PATHS, 1), torch.tensor([0.0, 1.0])

    def work() -> None:
        with torch.no_grad():
            torchsde.sdeint(sde, y0, ts, method=method, dt=1 / steps)

    return _per_path_step(median_seconds(work, 3), steps)
