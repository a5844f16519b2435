"""Compiled steps of exponential methods are the eager ones, for every form of L and of the noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from sdeint import GridPath, NestedPath, ProblemError, SemilinearSDE, solve
from sdeint.linear import Scalar, Transformed

Tensor = torch.Tensor
F64 = torch.float64
RATES = torch.tensor([-8.0, 0.0, 1.5, -300.0], dtype=F64)
FULL = torch.diag(RATES) + torch.diag(torch.ones(3, dtype=F64), 1)
WAVE = torch.arange(3, dtype=F64)
RING = Transformed(torch.fft.rfft, lambda v: torch.fft.irfft(v, n=4), -(WAVE**2))


pytestmark = pytest.mark.usefixtures("traced")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def drift(t: Tensor, y: Tensor) -> Tensor:
    return torch.sin(y.flip(-1)) + t


def number(t: Tensor, y: Tensor) -> float:
    return 0.4


def vector(t: Tensor, y: Tensor) -> Tensor:
    return (0.4 + t) * torch.arange(1.0, 5.0, dtype=F64)


def wave(t: Tensor, y: Tensor) -> Tensor:
    return 0.3 * torch.cos(y)


def matrix(t: Tensor, y: Tensor) -> Tensor:
    return wave(t, y)[..., None] * torch.ones(2, dtype=F64)


def agree(sde: SemilinearSDE, method: str, times: list[float], **options: Any) -> None:
    y0 = torch.linspace(-1, 1, 12, dtype=F64).view(3, 4)
    options = {"steps": 11, "save_at": "all", "method": method} | options
    eager, compiled = (solve(sde, y0, times, compile=c, **options) for c in (False, True))
    assert [eager.stats.compiled, compiled.stats.compiled] == [False, True]
    torch.testing.assert_close(eager.y, compiled.y, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(
    ("method", "L", "g", "noise", "times"),
    [
        ("ExponentialEM", RATES, vector, "additive", [1.0, 0.0]),
        ("SETDRK2", RING, number, "additive", [0.0, 1.0]),
        ("ExponentialEM", -2.0, matrix, "general", [0.0, 1.0]),
        ("LordTambue", FULL, wave, "diagonal", [0.0, 1.0]),
        ("LawsonMilstein", RATES, wave, "diagonal", [0.0, 1.0]),
    ],
)
def test_compiled_exponential_steps_are_the_steps(
    method: str, L: Any, g: Any, noise: Any, times: list[float]
) -> None:
    agree(SemilinearSDE(L, drift, g, noise=noise), method, times)


def test_the_functionals_of_a_nested_path_are_drawn_ahead_of_compiled_steps() -> None:
    fine = torch.linspace(0, 1, 13, dtype=F64)
    path = NestedPath(GridPath(3, (3,), (4,), dtype=F64), fine)
    sde = SemilinearSDE(RATES, drift, number, noise="additive")
    agree(sde, "ExponentialEM", [0.0, 1.0], steps=12, path=path)


def test_one_compilation_serves_all_step_sizes() -> None:
    sde = SemilinearSDE(RATES, drift, number, noise="additive")
    agree(sde, "SETDRK2", [0.0, 1.0])
    with torch._dynamo.config.patch(error_on_recompile=True):
        agree(sde, "SETDRK2", [0.5, 3.0])


def test_steps_whose_phi_functions_differ_are_not_compiled() -> None:
    y0 = torch.ones(2, 4, dtype=F64)
    sde = SemilinearSDE(RATES, drift, number, noise="additive")
    grid = [0.0, 0.1, 0.3, 0.4, 0.9, 1.0, 1.1, 1.3, 1.8, 2.0]
    with pytest.raises(ProblemError, match=r"compile=True, but the phi functions .* of one size"):
        solve(sde, y0, grid, method="SETDRK2", compile=True)
    moving = SemilinearSDE(Scalar(lambda t: -t, lambda t: -t * t / 2), drift, wave)
    with pytest.raises(ProblemError, match=r"compile=True, but .* depends on time"):
        solve(moving, y0, [0.0, 1.0], steps=12, method="LordTambue", compile=True)
