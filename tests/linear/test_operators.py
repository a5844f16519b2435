"""Operators apply the phi functions that they should, once a step size, and differentiably."""

from __future__ import annotations

import itertools
import math
import pickle
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import sdeint.linear.flow as flow_module
from sdeint.linear import Dense, Diagonal, Scalar, Term, Transformed, linear_operator
from sdeint.phi import phis

F64 = torch.float64
EIGENVALUES = torch.tensor([-300.0, -2.0, 0.0, 0.7], dtype=F64)


def heat(points: int = 16, scale: float = 1.0) -> Transformed:
    wave = torch.arange(points // 2 + 1, dtype=F64)
    return Transformed(torch.fft.rfft, lambda v: torch.fft.irfft(v, n=points), -scale * wave**2)


@given(
    st.sampled_from([0.25, -0.5, 1.0]),
    st.integers(0, 4),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_the_same_operator_in_four_forms(h: float, k: int, c: float) -> None:
    values = torch.tensor([-3.0, -2.0, 0.0, 0.7], dtype=F64)
    generator = torch.Generator().manual_seed(3)
    q = torch.linalg.qr(torch.randn(4, 4, generator=generator, dtype=F64)).Q
    y = torch.randn(3, 2, 4, generator=generator, dtype=F64)
    exact = y * phis(values * (c * h))[k]
    turned = y @ q.mT
    forms = {
        "diagonal": (Diagonal(values), y, exact),
        "dense": (Dense(q @ torch.diag(values) @ q.mT), turned, exact @ q.mT),
        "transformed": (
            Transformed(lambda x: x @ q, lambda v: v @ q.mT, values),
            turned,
            exact @ q.mT,
        ),
        "scalar": (Scalar(0.7), y[..., 3:], exact[..., 3:]),
    }
    for operator, state, result in forms.values():
        (got,) = operator.flow(state).apply(0.0, h, [(k, c)], state)
        torch.testing.assert_close(got, result, rtol=1e-12, atol=1e-13)
        linear = operator.drift(0.0, state)
        difference = operator.flow(state).apply(0.0, 1e-6, [(1, 1.0)], linear)[0] * 1e-6
        moved = operator.flow(state).apply(0.0, 1e-6, [(0, 1.0)], state)[0]
        torch.testing.assert_close(moved - state, difference, rtol=1e-6, atol=1e-14)


def test_single_precision_combines_in_double() -> None:
    """phi_3 - phi_2/3 + ... of 1e-3: what cancels does so in double precision."""
    y = torch.ones(2)
    terms = [Term(1.0, 3), Term(-1 / 3, 2)]
    z = torch.tensor([-1e-3, -2.0], dtype=F64)
    exact = phis(z)[3] - phis(z)[2] / 3
    factor = Diagonal(z.float()).flow(y).factor(0.0, 1.0, terms)
    assert factor.value.dtype is torch.float32
    torch.testing.assert_close(factor(y), exact.float(), rtol=2e-7, atol=0)


def test_complex_states_and_rates() -> None:
    y = torch.tensor([1 + 1j, 2.0], dtype=torch.complex128)
    rates = torch.tensor([2j, -1 + 1j], dtype=torch.complex128)
    (moved,) = Diagonal(rates).flow(y).apply(0.0, 0.5, [(0, 1.0)], y)
    torch.testing.assert_close(moved, y * torch.exp(0.5 * rates))
    real = Diagonal(torch.tensor([-1.0, -2.0])).flow(y).phi(0.0, 0.5, 1)
    assert real.value.dtype is torch.complex128
    matrix = torch.tensor([[0.0, 1j], [1.0, 0.0]], dtype=torch.complex128)
    (moved,) = Dense(matrix).flow(y).apply(0.0, 0.5, [(0, 1.0)], y)
    torch.testing.assert_close(moved, torch.linalg.matrix_exp(0.5 * matrix) @ y)


def test_fields_keep_their_batch_and_stay_real() -> None:
    y = torch.randn(5, 3, 16, dtype=F64, generator=torch.Generator().manual_seed(1))
    flow = heat().flow(y)
    one, half = flow.phi(0.0, 0.2, 0), flow.phi(0.0, 0.1, 0)
    v = flow.enter(y)
    assert v.shape == (5, 3, 2 * 9)  # pairs of real numbers
    torch.testing.assert_close(one(v), half(half(v)), rtol=1e-13, atol=1e-15)
    assert flow.leave(one(v)).dtype is F64
    images = torch.randn(2, 8, 8, dtype=F64, generator=torch.Generator().manual_seed(2))
    wave = torch.fft.fftfreq(8, 1 / 8, dtype=F64)
    square = wave[:, None] ** 2 + wave[:5] ** 2
    plane = Transformed(torch.fft.rfft2, lambda v: torch.fft.irfft2(v, s=(8, 8)), -square)
    flow = plane.flow(images, event_dims=2)
    smooth = flow.apply(0.0, 50.0, [(0, 1.0)], images)[0]
    torch.testing.assert_close(smooth, images.mean((-2, -1), keepdim=True).expand_as(images))


@pytest.mark.parametrize("kind", ["scalar", "diagonal", "transformed"])
def test_time_dependent_operators_move_by_the_integral(kind: str) -> None:
    y = torch.randn(3, 4, dtype=F64, generator=torch.Generator().manual_seed(1))
    rates = torch.tensor([1.0, -1.0, 2.0, 0.0], dtype=F64)
    if kind == "scalar":
        rates = torch.tensor(1.0, dtype=F64)
        operator: Any = Scalar(torch.cos, torch.sin)
    elif kind == "diagonal":
        operator = Diagonal(lambda t: rates * torch.cos(t), lambda t: rates * torch.sin(t))
    else:
        operator = Transformed(
            lambda x: x.flip(-1),
            lambda v: v.flip(-1),
            lambda t: rates * torch.cos(t),
            lambda t: rates * torch.sin(t),
        )
        y = y.flip(-1)
    flow = operator.flow(y, times=(0.0, 2.0))
    for t, h, c, start in [(0.3, 0.5, 1.0, 0.0), (0.3, 0.5, 0.75, 0.25), (1.0, -0.5, 1.0, 0.0)]:
        moved = flow.leave(flow.phi(t, h, 0, c, start)(flow.enter(y)))
        growth = torch.exp(rates * (math.sin(t + c * h) - math.sin(t + start * h)))
        expected = y * (growth.flip(-1) if kind == "transformed" else growth)
        torch.testing.assert_close(moved, expected, rtol=1e-14, atol=0)


class Counting:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.calls, original = 0, getattr(flow_module, name)

        def counted(z: Tensor) -> Any:
            self.calls += 1
            return original(z)

        monkeypatch.setattr(flow_module, name, counted)


def test_each_step_size_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch, "phis")
    flow = Diagonal(EIGENVALUES).flow(torch.ones(4, dtype=F64))
    for n in range(20):
        for k in range(5):
            first = flow.phi(0.1 * n, 0.1, k)
            flow.factor(0.1 * n, 0.1, [Term(1.0, 0), Term(2.0, k, 0.5), Term(1.0, k, 1.0, 0.5)])
    assert counting.calls == 2  # c = 1 and c = 1/2, which is also 1 - 1/2
    assert flow.phi(7.0, 0.1, 4).value is first.value
    flow.phi(0.0, 0.2, 1)
    assert counting.calls == 3


def test_another_solve_finds_what_constant_rates_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch, "phis")
    y = torch.ones(4, dtype=F64)
    rates = EIGENVALUES.clone()
    constant, learned = Diagonal(rates), Diagonal(EIGENVALUES.clone().requires_grad_())

    def value(operator: Diagonal, state: Tensor = y) -> Tensor:
        return operator.flow(state).phi(0.0, 0.1, 1).value

    first = value(constant)
    assert value(constant) is first
    assert counting.calls == 1
    assert value(constant, y.float()).dtype is torch.float32
    assert counting.calls == 2
    rates *= 2.0
    torch.testing.assert_close(value(constant), phis(0.1 * rates)[1])
    assert counting.calls == 3
    assert value(learned) is not value(learned)
    with torch.inference_mode():  # whose tensors do not say that they were overwritten
        unknown = Diagonal(EIGENVALUES.clone())
        assert value(unknown) is not value(unknown)
    assert not pickle.loads(pickle.dumps(constant)).rate.results


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_module, "_ENTRIES", 6)
    flow = Diagonal(EIGENVALUES).flow(torch.ones(4, dtype=F64))
    for n in range(1, 50):
        flow.phi(0.0, 0.01 * n, 1)
    assert len(flow._kept) <= 6
    assert flow._bytes == sum(map(flow_module._size, flow._kept.values()))
    monkeypatch.setattr(flow_module, "_BYTES", 1)
    monkeypatch.setattr(flow_module, "KEPT_TENSORS", 1)
    flow.phi(0.0, 3.0, 1)
    assert len(flow._kept) == 1


def test_a_large_matrix_is_not_computed_anew_for_want_of_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(flow_module, "_BYTES", 1)
    counting = Counting(monkeypatch, "matrix_phis")
    flow = Dense(torch.eye(3)).flow(torch.ones(3))
    for _ in range(3):
        for k, c in itertools.product(range(5), (0.5, 1.0)):
            flow.phi(0.0, 0.1, k, c)
    assert counting.calls == 2


def test_gradients_reach_the_parameters_of_l_through_the_cache() -> None:
    y = torch.randn(2, 3, dtype=F64, generator=torch.Generator().manual_seed(1))
    matrix = torch.tensor([[-2.0, 1.0, 0.0], [0.0, -2.0, 1.0], [0.3, 0.0, -1.0]], dtype=F64)

    def steps(operator: Any, state: Tensor) -> Tensor:
        flow = operator.flow(state)
        v = flow.enter(state)
        for _ in range(3):
            v = flow.phi(0.0, 0.5, 0)(v) + flow.factor(0.0, 0.5, [Term(0.5, 1), Term(0.1, 2, 0.5)])(
                v
            )
        return flow.leave(v)

    scalar = torch.tensor(-0.7, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: steps(Scalar(a), y), scalar)
    diagonal = torch.tensor([-0.7, 0.0, -5.0], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: steps(Diagonal(a), y), diagonal)
    assert torch.autograd.gradcheck(lambda a: steps(Dense(a), y), matrix.requires_grad_())
    factor = torch.tensor(0.1, dtype=F64, requires_grad=True)
    field = torch.randn(2, 8, dtype=F64, generator=torch.Generator().manual_seed(1))
    wave = torch.arange(5, dtype=F64)

    def on_ring(a: Tensor) -> Tensor:
        ring = Transformed(torch.fft.rfft, lambda v: torch.fft.irfft(v, n=8), -a * wave**2)
        return steps(ring, field)

    assert torch.autograd.gradcheck(on_ring, factor)
    time = torch.tensor(0.4, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda h: Diagonal(diagonal.detach()).flow(y).phi(0.0, h, 2)(y), time
    )


def test_two_solves_two_graphs_and_an_update_in_between() -> None:
    rate = torch.tensor([-1.0, -2.0], requires_grad=True)
    operator, y = Diagonal(rate), torch.ones(2)
    for _ in range(2):
        moved = operator.flow(y).phi(0.0, 1.0, 0)(y)
        torch.testing.assert_close(moved, torch.exp(rate))
        moved.sum().backward()
        with torch.no_grad():
            rate -= 0.1 * rate.grad  # type: ignore[operator]
    flow = operator.flow(y)
    with torch.no_grad():
        before = flow.phi(0.0, 1.0, 0).value
        rate.mul_(2.0)
    assert not before.requires_grad
    kept = operator.flow(y)
    with torch.no_grad():
        kept.phi(0.0, 1.0, 0)
    assert kept.phi(0.0, 1.0, 0).value.requires_grad
    after = flow.phi(0.0, 1.0, 0).value
    assert after.requires_grad
    torch.testing.assert_close(after, torch.exp(rate))


def test_what_users_write() -> None:
    assert isinstance(linear_operator(-1), Scalar)
    assert isinstance(linear_operator(torch.tensor(-1.0)), Scalar)
    assert isinstance(linear_operator(torch.ones(3)), Diagonal)
    assert isinstance(linear_operator(torch.eye(3)), Dense)
    operator = heat()
    assert linear_operator(operator) is operator
