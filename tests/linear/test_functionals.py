"""The joint law of Gaussian functionals against quadrature in high precision, and its identities."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from torch import Tensor

from sdeint.brownian import chen
from sdeint.brownian.tree_path import TreePath
from sdeint.linear import conditional_functionals, gaussian_functionals, join, joining
from sdeint.phi import phis
from tests.linear import reference

F64 = torch.float64
NAMES = ["W", "H", "phi_0", "phi_0@1/2", "phi_1", "exp_1@1/3", "pol_0@1/2", "phi_4", "K", "U"]
SHARES = [Fraction(1, 2), Fraction(1, 3)]
RATES = st.one_of(
    st.floats(-1e4, 300), st.floats(-3, 3), st.sampled_from([0.0, 1e-12, -1e-8, 1e-5, -1e-3, -1e4])
)


def size(matrix: Tensor) -> Tensor:
    """Root of the product of the variances."""
    diagonal = matrix.diagonal(dim1=-2, dim2=-1).abs().sqrt()
    return (diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)).clamp_min(1e-300)


def covariance(l: Tensor | float | complex, h: float, names: Sequence[str]) -> Tensor:
    factor = gaussian_functionals(l, h, names)
    return factor @ factor.mH


def assert_equal_laws(one: Tensor, two: Tensor, tolerance: float) -> None:
    assert float(((one - two).abs() / size(two)).max()) <= tolerance


@pytest.mark.parametrize("z", [0.0, 1e-12, -1e-8, -1e-4, 1e-2, 0.4, -1.0, 6.0, -35.0, 150.0, -1e4])
def test_covariances_of_all_families_against_mpmath(z: float) -> None:
    exact = reference.covariance(NAMES, z, SHARES)
    got = covariance(z, 1.0, NAMES)
    for i, j in itertools.product(range(len(NAMES)), repeat=2):
        error = abs(mp.mpf(float(got[i, j])) - exact[i, j]) / mp.sqrt(exact[i, i] * exact[j, j])
        # A growing mode takes the rounding of h l with it.
        assert error < 5e-15 + 1e-16 * max(z, 0.0), (NAMES[i], NAMES[j])


@pytest.mark.parametrize("z", [2j, -3 + 5j, 0.5 - 40j, -200 + 100j])
def test_complex_modes_of_a_real_path(z: complex) -> None:
    names = ["phi_0", "W", "phi_1@1/2", "exp_2"]
    exact = reference.covariance(names, z, SHARES[:1])
    exact_real = reference.covariance([*names], z.conjugate(), SHARES[:1])
    factor = gaussian_functionals(z, 1.0, names)
    assert factor.shape == (4, 8)
    for got, wanted in ((factor @ factor.mH, exact), (factor.conj() @ factor.mT, exact_real)):
        for i, j in itertools.product(range(4), repeat=2):
            error = abs(complex(wanted[i, j]) - complex(got[i, j]))
            assert error < 1e-14 * abs(mp.sqrt(exact[i, i] * exact[j, j]))


@pytest.mark.parametrize("z", [1e-3, -0.3, 2.0, -60.0])
def test_what_is_left_given_the_path_against_mpmath(z: float) -> None:
    """The residual itself to 1e-15, not its square: given W and H it is of the order z^2."""
    names = ["W", "H", "phi_0"]
    with mp.workdps(30):
        exact = mp.cholesky(reference.covariance(names, z))
    regression, factor = conditional_functionals(z, 1.0, ["phi_0"])
    scale = float(mp.sqrt(mp.fsum(exact[2, j] ** 2 for j in range(3))))
    assert float(factor[0, 0]) == pytest.approx(float(exact[2, 2]), abs=2e-15 * scale, rel=0)
    assert float(regression[0, 0]) == pytest.approx(float(exact[2, 0]), rel=2e-15)
    assert float(regression[0, 1]) == pytest.approx(
        float(exact[2, 1] / exact[1, 1]), abs=1e-14 * scale
    )


@given(RATES, st.sampled_from([0.3, -2.0, 1e-3]))
def test_variances_are_phi_functions(z: float, h: float) -> None:
    l = torch.tensor(z / h / 2, dtype=F64)
    got = covariance(l, h, ["phi_0", "W"])
    one, double = phis(l * h), phis(2 * l * h)
    exact = torch.stack(
        [torch.stack([double[1], one[1]]), torch.stack([one[1], torch.ones(()).to(l)])]
    )
    assert_equal_laws(got, exact * abs(h), 5e-15 + 2e-16 * abs(z))


@given(RATES, st.permutations(NAMES))
@settings(max_examples=30)
def test_the_factor_is_triangular_finite_and_its_law_does_not_depend_on_the_order(
    z: float, names: list[str]
) -> None:
    factor = gaussian_functionals(z, 1.0, names)
    assert bool(torch.isfinite(factor).all())
    assert torch.equal(factor, factor.tril())
    assert bool((factor.diagonal() >= 0).all())
    place = [names.index(name) for name in NAMES]
    permuted = (factor @ factor.mT)[place][:, place]
    assert_equal_laws(permuted, covariance(z, 1.0, NAMES), 5e-15)


def test_where_functionals_coincide_nothing_is_left() -> None:
    factor = gaussian_functionals(
        torch.zeros(2, dtype=F64), 0.25, ["W", "phi_0", "phi_1", "H", "phi_2"]
    )
    exact = torch.tensor([0.5, 0.0, 0.25 / 3**0.5, 0.0, 0.5 / 24 / 5**0.5 * 2], dtype=F64)
    diagonal = factor.diagonal(dim1=-2, dim2=-1)
    assert bool((diagonal[:, [1, 3]] == 0).all())
    torch.testing.assert_close(diagonal[0, [0, 2]], exact[[0, 2]])
    torch.testing.assert_close(
        factor[:, 0], factor[:, 0] * 0 + torch.tensor([0.5, 0, 0, 0, 0]).to(factor)
    )
    torch.testing.assert_close(factor[:, 1], factor[:, 0])  # phi_0 is W


@given(RATES, st.sampled_from([("W",), ("W", "H"), ("H", "W", "K")]), st.sampled_from([0.5, -0.5]))
def test_given_the_path_the_law_is_the_same_in_all(
    z: float, known: tuple[str, ...], h: float
) -> None:
    names = ["phi_0", "phi_1@1/2", "exp_1"]
    l = z / h
    regression, factor = conditional_functionals(l, h, names, known)
    variances = {"W": 1.0, "H": 1 / 12, "K": 1 / 720}
    path = torch.diag(torch.tensor([variances[name] for name in known], dtype=F64)) * abs(h)
    whole = covariance(l, h, [*known, *names])
    among = regression @ path @ regression.mT + factor @ factor.mT
    n = len(known)
    assert_equal_laws(among, whole[n:, n:], 2e-14)
    cross = (regression @ path - whole[n:, :n]).abs() / size(whole)[n:, :n]
    assert float(cross.max()) <= 1e-14


JOINED = ["W", "H", "phi_0", "K", "phi_1", "exp_1", "phi_2", "exp_0"]


@given(RATES, st.floats(0.01, 0.99), st.sampled_from([1.0, -0.4]))
def test_the_law_of_joined_steps_is_the_law_of_the_whole(z: float, share: float, h: float) -> None:
    l = z / h
    h1, h2 = h * share, h * (1 - share)
    one, two = joining(l, h1, h2, JOINED)
    first, second = covariance(l, h1, JOINED), covariance(l, h2, JOINED)
    joined = one @ first @ one.mT + two @ second @ two.mT
    assert_equal_laws(joined, covariance(l, h1 + h2, JOINED), 1e-13 + 4e-16 * abs(z))


@given(st.floats(-50, 50), st.lists(st.floats(0.1, 1.0), min_size=3, max_size=3))
def test_joining_is_associative(l: float, h: list[float]) -> None:
    names = JOINED[:5]
    parts = torch.randn(3, 2, 5, dtype=F64, generator=torch.Generator().manual_seed(1))
    rates = torch.tensor([l, 0.0], dtype=F64)
    left = join(
        rates,
        join(rates, parts[0], h[0], parts[1], h[1], names),
        h[0] + h[1],
        parts[2],
        h[2],
        names,
    )
    right = join(
        rates,
        parts[0],
        h[0],
        join(rates, parts[1], h[1], parts[2], h[2], names),
        h[1] + h[2],
        names,
    )
    scale = torch.exp((rates.clamp_min(0) * sum(h)).unsqueeze(-1))
    assert float(((left - right).abs() / scale).max()) < 1e-11


def test_joining_agrees_with_chens_relation_and_the_noise_of_the_mode() -> None:
    names = ["W", "H", "K", "phi_0", "U"]
    parts = torch.randn(2, 7, 5, dtype=F64, generator=torch.Generator().manual_seed(1))
    parts[..., 4] = parts[..., 0] / 2 - parts[..., 1]
    whole = join(-3.0, parts[0], 0.3, parts[1], 0.5, names)
    values = [dict(zip("WHK", part[:, :3].unbind(-1))) for part in parts]
    lengths = (torch.tensor([h], dtype=F64) for h in (0.3, 0.5))
    for name, value in chen.join(values[0], values[1], *lengths).items():
        torch.testing.assert_close(whole[:, "WHK".index(name)], value)
    torch.testing.assert_close(whole[:, 4], whole[:, 0] / 2 - whole[:, 1])
    torch.testing.assert_close(whole[:, 3], math.exp(-1.5) * parts[0][:, 3] + parts[1][:, 3])


@pytest.mark.parametrize("direction", [1, -1])
def test_on_a_path_coarse_steps_are_joined_fine_ones(direction: int) -> None:
    """The functional of a path's W and H on 2n steps, joined, has W and H of the path on n steps."""
    path = TreePath(3, (40,), (2,), t0=0.0, t1=1.0, dtype=F64)
    fine, coarse = (
        path.on(torch.linspace(0, 1, n + 1, dtype=F64)).draw(0, n, ["W", "H"]) for n in (8, 4)
    )
    rates = torch.tensor([-5.0, 0.0], dtype=F64)
    names = ["W", "H", "phi_0"]
    regression, factor = conditional_functionals(rates, 1 / 8, names[2:])
    known = torch.stack([fine["W"], fine["H"]], dim=-1)
    normals = torch.randn(8, 40, 2, 1, dtype=F64, generator=torch.Generator().manual_seed(1))
    noise = (regression @ known.unsqueeze(-1)).squeeze(-1) + (
        factor @ normals.unsqueeze(-1)
    ).squeeze(-1)
    all_of = torch.cat([known, noise], dim=-1)
    joined = join(rates, all_of[0::2], 1 / 8, all_of[1::2], 1 / 8, names)
    for i, name in enumerate("WH"):
        torch.testing.assert_close(joined[..., i], coarse[name], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(noise[..., 1, 0], fine["W"][..., 1])  # without decay: W itself


def test_shapes_precision_and_many_modes() -> None:
    wave = torch.arange(-20.0, 20.0)
    rates = -(wave[:, None] ** 2 + wave**2)
    factor = gaussian_functionals(rates, 0.01, ["W", "phi_0"])
    assert factor.dtype is torch.float32
    assert factor.shape == (40, 40, 2, 2)
    exact = gaussian_functionals(rates[:3, :5].double(), 0.01, ["W", "phi_0"])
    torch.testing.assert_close(factor[:3, :5], exact.float(), rtol=1e-6, atol=1e-9)
    assert gaussian_functionals(-1, 0.1, ["W"]).shape == (1, 1)
    assert [m.dtype for m in joining(rates, 0.1, 0.2, ["W", "phi_0"])] == [torch.float32] * 2
    stationary = gaussian_functionals(rates.double(), 1e3, ["phi_0"]).squeeze() ** 2
    keep = rates < 0
    torch.testing.assert_close(stationary[keep], -0.5 / rates.double()[keep], rtol=3e-15, atol=0)


def test_gradients_in_the_rates() -> None:
    l = torch.tensor([-7.0, 0.6, -0.02], dtype=F64, requires_grad=True)
    names = ["phi_0", "phi_1", "phi_0@1/2"]
    assert torch.autograd.gradcheck(lambda a: gaussian_functionals(a, 0.5, ["W", *names[:1]]), l)
    assert torch.autograd.gradcheck(lambda a: conditional_functionals(a, 0.5, names[1:]), l)
    zero = torch.zeros(1, dtype=F64, requires_grad=True)
    gaussian_functionals(zero, 0.5, ["W", "phi_0"]).sum().backward()
    assert zero.grad is not None
    assert bool(torch.isfinite(zero.grad).all())
