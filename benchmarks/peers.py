"""The other libraries, each in the form its documentation recommends for speed.

diffrax runs compiled (`jax.jit`), forward only, on its unsafe Brownian path, with all paths as one
vector: some times faster than mapping over paths, which is what its examples do.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["diffrax_solve", "has_diffrax", "torchsde_problem", "torchsde_solve"]

Tensor = torch.Tensor
Field = Callable[[Tensor, Tensor], Tensor]


def has_diffrax() -> bool:
    """Whether diffrax is installed: it is an extra of the benchmarks."""
    from importlib.util import find_spec

    return find_spec("diffrax") is not None


def diffrax_solve(
    solver: str,
    f: Callable[[Any, Any], Any],
    g: Callable[[Any, Any], Any],
    shape: tuple[int, ...],
    steps: int,
) -> Callable[[], object]:
    """A call that solves dX = f dt + g dW, elementwise noise, from ones over [0, 1]."""
    import diffrax
    import jax
    import jax.numpy as jnp
    import lineax

    levy = diffrax.BrownianIncrement if solver == "Euler" else diffrax.SpaceTimeLevyArea

    def run(y0: Any, key: Any) -> Any:
        path = diffrax.UnsafeBrownianPath(shape=shape, key=key, levy_area=levy)
        diagonal = lambda t, y, _: lineax.DiagonalLinearOperator(g(t, y))  # noqa: E731
        terms = diffrax.MultiTerm(
            diffrax.ODETerm(lambda t, y, _: f(t, y)), diffrax.ControlTerm(diagonal, path)
        )
        return diffrax.diffeqsolve(
            terms,
            getattr(diffrax, solver)(),
            0.0,
            1.0,
            dt0=1 / steps,
            y0=y0,
            saveat=diffrax.SaveAt(t1=True),
            adjoint=diffrax.ForwardMode(),
            max_steps=None,
        ).ys

    compiled, y0, key = jax.jit(run), jnp.ones(shape), jax.random.key(0)
    return lambda: compiled(y0, key).block_until_ready()


def torchsde_solve(
    method: str,
    f: Field,
    g: Field,
    shape: tuple[int, int],
    steps: int,
    noise: str = "diagonal",
) -> Callable[[], object]:
    """A call that solves dX = f dt + g dW from ones over [0, 1]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchsde

    problem = torchsde_problem(f, g, noise)
    y0, times = torch.ones(shape), torch.tensor([0.0, 1.0])

    def work() -> None:
        with torch.no_grad():
            torchsde.sdeint(problem, y0, times, method=method, dt=1 / steps)

    return work


def torchsde_problem(f: Field, g: Field, noise: str) -> torch.nn.Module:
    """An Ito equation in torchsde's form."""

    class Problem(torch.nn.Module):
        noise_type, sde_type = noise, "ito"

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return f(t, y)

        def g(self, t: Tensor, y: Tensor) -> Tensor:
            return g(t, y)

    return Problem()
