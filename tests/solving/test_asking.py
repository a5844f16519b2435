"""A solve that asks for its drift takes the steps of `solve`, to the bit."""

from __future__ import annotations

import pytest
import torch

from sdeint import SDE, GridPath, ProblemError, solve
from sdeint.asking import Asking

T = torch.tensor([0.0, 0.2, 0.5, 1.1], dtype=torch.float64)
Y0 = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(3, 2)


def drift(t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.sin(2 * y) + t


def path() -> GridPath:
    return GridPath(7, (3,), (2,), dtype=torch.float64)


def answered(asking: Asking) -> torch.Tensor:
    while not asking.finished:
        asking.answer(drift(asking.time, asking.state))
    return asking.y


@pytest.mark.parametrize("method", ["EM", "SRA1", "SRA3", "ShARK", "OneStageStored", "TwoStep"])
def test_its_steps_are_those_of_solve(method: str) -> None:
    sde = SDE(drift, lambda t, y: 1.0, noise="additive")
    expected = solve(sde, Y0, T, method=method, path=path(), compile=False).y[-1]
    assert torch.equal(answered(Asking(Y0, T, method=method, path=path())), expected)
    still = solve(SDE(drift), Y0, T, method=method, compile=False).y[-1]
    assert torch.equal(answered(Asking(Y0, T, method=method, path=None)), still)


@pytest.mark.parametrize("method", ["EM", "SRA1", "TwoStep"])
def test_a_value_that_is_put_is_gone_on_from(method: str) -> None:
    # before the first answer it is as another start; between two stages it moves the later ones
    asking = Asking(Y0, T, method=method, path=path())
    asking.put(Y0 + 0.5)
    assert torch.equal(answered(asking), answered(Asking(Y0 + 0.5, T, method=method, path=path())))
    asking = Asking(Y0, T, method="SRA1", path=path())
    asking.answer(drift(asking.time, asking.state))
    state = asking.state
    asking.put(Y0 + 0.5)
    torch.testing.assert_close(asking.state, state + 0.5)
    asking = Asking(Y0, T, method=method, path=path())
    answered(asking)
    asking.put(Y0)
    assert torch.equal(asking.state, Y0)


def test_gains_are_the_factors_of_the_noise() -> None:
    names, states, output = Asking(Y0, T, method="SRA1", path=path()).gains()
    factors = {name: (states[:, i].tolist(), float(output[i])) for i, name in enumerate(names)}
    assert factors == {"W": ([0.0, 0.75], 1.0), "H": ([0.0, 1.5], 0.0)}  # 3/2 (W/2 + H)


def test_wrong_answers_are_refused() -> None:
    asking = Asking(Y0, T, method="EM", path=path())
    with pytest.raises(
        ProblemError, match=r"the drift has shape \(3,\), but the state has \(3, 2\)"
    ):
        asking.answer(torch.zeros(3))
    answered(asking)
    with pytest.raises(ProblemError, match="all steps are finished"):
        asking.answer(Y0)
    with pytest.raises(ProblemError, match="is implicit"):
        Asking(Y0, T, method="ImplicitEM")
