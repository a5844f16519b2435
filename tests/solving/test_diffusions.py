"""A diffusion given by products or columns gives the numbers of its matrix, without the matrix."""

from __future__ import annotations

import math

import pytest
import torch

from sdeint import SDE, Columns, ProblemError, Product, solve
from tableaux import catalogue

DOUBLE = torch.float64
GENERAL = sorted(n for n, t in catalogue.items() if t.noise == "general")
COEFFICIENTS = torch.randn(
    4, 3, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(0)
)  # (d, m, d)


def drift(t, y):
    return torch.cos(y) - y


def matrix(t, y):
    return torch.sin(torch.einsum("imj,...j->...im", COEFFICIENTS, y) + t) / 3


def column(k):
    return lambda t, y: torch.sin(torch.einsum("ij,...j->...i", COEFFICIENTS[:, k], y) + t) / 3


def product(t, y, v):
    return torch.einsum("...im,...m->...i", matrix(t, y), v.expand(*y.shape[:-1], 3))


FORMS = {
    "product": Product(product, channels=3),
    "columns": Columns(*(column(k) for k in range(3))),
}


@pytest.mark.parametrize("name", GENERAL)
@pytest.mark.parametrize("form", sorted(FORMS))
def test_every_form_gives_the_numbers_of_the_matrix(name: str, form: str) -> None:
    y0 = torch.linspace(-1, 1, 8, dtype=DOUBLE).reshape(2, 4)
    runs = [
        solve(
            SDE(drift, g, noise="general", calculus=catalogue[name].calculus),
            y0,
            [0.0, 0.3],
            method=name,
            steps=3,
        ).y
        for g in (matrix, FORMS[form])
    ]
    torch.testing.assert_close(*runs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["EM", "Heun", "Midpoint", "EulerHeun"])
def test_methods_that_need_only_sums_over_channels_never_build_a_matrix(name: str) -> None:
    shapes = []

    def shy(t, y, v):
        shapes.append((y.shape, v.shape))
        return product(t, y, v)

    sde = SDE(drift, Product(shy, channels=3), noise="general", calculus=catalogue[name].calculus)
    y0 = torch.ones(5, 4, dtype=DOUBLE)
    counts = []
    for steps in (2, 6):
        shapes.clear()
        solution = solve(sde, y0, [0.0, 0.1], method=name, steps=steps)
        counts.append(len(shapes))
    # At the door the class of the noise is looked at; in the loop each evaluation is one product.
    each = solution.stats.g_evaluations // solution.stats.steps
    assert counts[1] - counts[0] == 4 * each
    assert all(y == (5, 4) and v == (5, 3) for y, v in shapes[-6 * each :])


def test_a_column_is_evaluated_at_the_stage_of_its_own_channel_only() -> None:
    states = []

    def counted(k):
        def g(t, y):
            states.append((k, y.shape))
            return column(k)(t, y)

        return g

    sde = SDE(drift, Columns(*(counted(k) for k in range(3))), noise="general")
    solve(sde, torch.ones(5, 4, dtype=DOUBLE), [0.0, 0.1], method="RI6", steps=1)
    # RI6 has four further stages for each channel: each column sees its own (5, 4) states only.
    last = states[-12:]
    assert all(shape == (5, 4) for _, shape in last)
    assert sorted(k for k, _ in last) == [0] * 4 + [1] * 4 + [2] * 4


def test_gradients_pass_through_products() -> None:
    scale = torch.tensor(0.7, dtype=DOUBLE, requires_grad=True)

    def run(scale, y0):
        g = Product(lambda t, y, v: scale * product(t, y, v), channels=3)
        sde = SDE(drift, g, noise="general")
        return solve(sde, y0, [0.0, 0.2], method="RI6", steps=2).y[-1]

    y0 = torch.ones(2, 4, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(run, (scale, y0))


def test_what_is_no_diffusion_is_refused() -> None:
    with pytest.raises(ProblemError, match="number of channels >= 1"):
        Product(product, channels=0)
    with pytest.raises(ProblemError, match=r"function of \(t, y, v\)"):
        Product(torch.ones(3), channels=3)  # type: ignore[arg-type]
    with pytest.raises(ProblemError, match="one for each channel"):
        Columns()
    with pytest.raises(ProblemError, match=r"g returned shape \(2, 4, 3\)"):
        solve(SDE(drift, FORMS["columns"]), torch.ones(2, 4, dtype=DOUBLE), [0.0, 1.0], steps=1)


def test_an_equation_without_noise_draws_nothing_and_takes_any_method() -> None:
    sde = SDE(lambda t, y: -y)
    assert sde.noise == "none"
    y0 = torch.ones(3, 2, dtype=DOUBLE)
    errors = []
    for steps in (10, 20):
        solution = solve(sde, y0, [0.0, 1.0], method="RK4", steps=steps)
        errors.append(float((solution.y[-1] - math.exp(-1)).abs().max()))
        assert solution.stats.variables_drawn == solution.stats.g_evaluations == 0
    assert 14 < errors[0] / errors[1] < 18
    # A stochastic method is its own limit: here Heun's rule of order 2.
    heun = solve(sde, y0, [0.0, 1.0], method="Heun", steps=1).y[-1]
    assert torch.allclose(heun, torch.full_like(heun, 0.5))
    with pytest.raises(ProblemError, match="needs a diffusion g"):
        SDE(lambda t, y: -y, noise="diagonal")
    with pytest.raises(ProblemError, match="has no diffusion g"):
        SDE(lambda t, y: -y, lambda t, y: y, noise="none")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("method", ["EM", "SRIW1", "Heun"])
def test_half_precision_follows_the_path_of_single_precision(dtype, method) -> None:
    def solved(kind):
        sde = SDE(lambda t, y: -y + t, lambda t, y: torch.sin(y) / 2,
                  calculus=catalogue[method].calculus)  # fmt: skip
        return solve(sde, torch.ones(200, 2, dtype=kind), [0.0, 1.0], method=method, steps=8).y

    half, single = solved(dtype), solved(torch.float32)
    assert half.dtype == dtype
    error = float((half[-1].to(torch.float32) - single[-1]).abs().max())
    # A rounding unit a sum and step, at values below two.
    assert 0 < error < 8 * 6 * float(torch.finfo(dtype).eps)
