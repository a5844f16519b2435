"""Small problems, where the loop and not the arithmetic is what is paid for."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

import sdeint
from benchmarks.peers import diffrax_solve, has_diffrax, torchsde_solve
from benchmarks.timing import median_seconds, table

__all__ = ["network", "one_path"]

Tensor = torch.Tensor


def lorenz(t: Tensor, y: Tensor) -> Tensor:
    a, b, c = y.unbind(-1)
    return torch.stack((10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c), -1)


def tenth(t: Tensor, y: Tensor) -> Tensor:
    return 0.1 * y


def one_path() -> str:
    """Euler for the noisy Lorenz equation, one path of three components, float32."""
    sde, y0 = sdeint.SDE(lorenz, tenth), torch.ones(3)
    rows = []
    for compile, steps in ((True, 100_000), (False, 1000)):
        work = partial(sdeint.solve, sde, y0, [0.0, 10.0], save_at="end")
        with torch.no_grad():
            seconds = median_seconds(partial(work, steps=steps, compile=compile), 3)
        name = f"sdeint EM, {'compiled' if compile else 'eager'}"
        rows.append((name, f"{1e6 * seconds / steps:.2f}"))
    if has_diffrax():
        import jax.numpy as jnp

        def f(t: Any, y: Any) -> Any:
            return jnp.stack(
                (10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2])
            )

        work = diffrax_solve("Euler", f, lambda t, y: 0.1 * y, (3,), 100_000)
        rows.append(("diffrax Euler, compiled", f"{1e6 * median_seconds(work, 3) / 100_000:.2f}"))
    work = torchsde_solve("euler", lorenz, tenth, (1, 3), 500)
    rows.append(("torchsde euler", f"{1e6 * median_seconds(work, 3) / 500:.2f}"))
    return table(("work", "microseconds a step"), rows)


def network() -> str:
    """64 paths, drift a network of two layers of 64, 1000 Euler steps, float32."""
    steps = 1000
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(8, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(),
        torch.nn.Linear(64, 8),
    )  # fmt: skip
    y0 = torch.randn(64, 8)

    def bare() -> None:
        y = y0
        for _ in range(steps):
            y = net(y)

    compiled_net = torch.compile(net)

    def bare_compiled() -> None:
        y = y0
        for _ in range(steps):
            y = compiled_net(y)

    sde = sdeint.SDE(lambda t, y: net(y), lambda t, y: torch.full_like(y, 0.1), noise="additive")
    rows = []
    with torch.no_grad():
        times = {
            "the network's evaluations alone, eager": median_seconds(bare, 3),
            "the network's evaluations alone, compiled": median_seconds(bare_compiled, 3),
        }
        for compile in (True, False):
            work = partial(sdeint.solve, sde, y0, [0.0, 1.0], steps=steps, compile=compile)
            times[f"sdeint EM, {'compiled' if compile else 'eager'}"] = median_seconds(work, 3)
        work = torchsde_solve("euler", lambda t, y: net(y), tenth, (64, 8), steps)
        times["torchsde euler"] = median_seconds(work, 1)
    least = times["the network's evaluations alone, eager"]
    rows = [(n, f"{1e6 * s / steps:.1f}", f"{s / least:.2f}") for n, s in times.items()]
    return table(("work", "microseconds a step", "relative"), rows)
