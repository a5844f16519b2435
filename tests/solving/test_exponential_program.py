"""Exponential methods do on the engine what their tableaux say, for every form of L."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sdeint import SemilinearSDE, solve
from sdeint.linear import Dense, Diagonal, Scalar, Transformed, conditional_functionals
from sdeint.linear.noise import modes
from sdeint.phi import matrix_phis
from tableaux import Tableau, catalogue, lawson
from tableaux.phi import phi

from .reference import Reference
from .test_program import (
    BATCH,
    D,
    FixedNoise,
    M,
    draw_noise,
    f_numpy,
    f_torch,
    g_diagonal,
    g_diagonal_matrix,
    g_numpy,
    g_torch,
    general_tableaux,
)

NAMES = sorted(name for name, t in catalogue.items() if t.exponential)
RATES = torch.tensor([-8.0, 0.0, 1.5], dtype=torch.float64)
TURN = torch.linalg.qr(torch.tensor([[1.0, 2, 0], [0, 1, 1], [1, 0, 1]], dtype=torch.float64)).Q
FULL = torch.tensor([[-3.0, 1.0, 0.0], [0.0, -3.0, 1.0], [0.5, 0.0, 0.2]], dtype=torch.float64)
#: The operator, and the same as a matrix.
OPERATORS = {
    "scalar": (Scalar(-2.0), -2.0 * torch.eye(D, dtype=torch.float64)),
    "diagonal": (Diagonal(RATES), torch.diag(RATES)),
    "dense": (Dense(FULL), FULL),
    "transformed": (
        Transformed(lambda x: x @ TURN, lambda v: v @ TURN.mT, RATES),
        TURN @ torch.diag(RATES) @ TURN.mT,
    ),
}


def compare(tableau, kind, noise_class, g):
    operator, matrix = OPERATORS[kind]
    steps, h = 2, 0.1
    noise = draw_noise(steps, h, 1)
    rng = np.random.default_rng(3)
    noise |= {f"normal {i}": rng.normal(size=(steps, BATCH, M)) for i in range(3)}
    y0 = torch.tensor(rng.normal(size=(BATCH, D)))
    sde = SemilinearSDE(operator, f_torch, g[0], noise=noise_class, calculus=tableau.calculus)
    grid = [0.2 + h * n for n in range(steps + 1)]
    m = 1 if noise_class == "none" else M
    path = FixedNoise(noise, (BATCH,), (m,))
    solution = solve(sde, y0, grid, method=tableau, path=path)
    with_functionals(noise, tableau, matrix, h)

    def phi_of(k, c, size):
        return matrix_phis(matrix * (c * size))[k].numpy()

    for b in range(BATCH):
        x = y0[b].numpy()
        for n in range(steps):
            here = {name: values[n, b] for name, values in noise.items()}
            here["eta"] = {(): here["eta"][0]}
            x = Reference(tableau, f_numpy, g[1], m, phi_of)(x, grid[n], h, here)
        np.testing.assert_allclose(solution.y[-1, b].numpy(), x, rtol=1e-10, atol=1e-10)


def with_functionals(noise, tableau, matrix, h):
    """Functionals of channels that belong to modes, from W, H and the normals."""
    names = modes(tableau.primitives)
    regression, root = (
        value.numpy()
        for value in conditional_functionals(
            matrix.diagonal().contiguous(), h, list(names.values())
        )
    )
    for i, name in enumerate(names):
        noise[name] = noise["W"] * regression[:, i, 0] + noise["H"] * regression[:, i, 1]
        for j in range(i + 1):
            noise[name] = noise[name] + noise[f"normal {j}"] * root[:, i, j]


# Not the same for all components: it does not commute with a basis of L.
SIZES = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
ADDITIVE = (lambda t, y: (0.5 + t) * SIZES, lambda t, x: (0.5 + t) * np.diag(SIZES.numpy()))
SILENT = (None, lambda t, x: np.zeros((D, 1)))


@pytest.mark.parametrize("kind", OPERATORS)
@pytest.mark.parametrize("name", NAMES)
def test_the_methods_of_the_catalogue_word_by_word(name, kind):
    tableau = catalogue[name]
    exact = bool(modes(tableau.primitives))
    if tableau.noise == "none":
        compare(tableau, kind, "none", SILENT)
        return
    if not (exact and kind in ("dense", "transformed")):
        compare(tableau, kind, "additive", ADDITIVE)
    if tableau.noise in ("general", "diagonal") and not (exact and kind != "diagonal"):
        compare(tableau, kind, "diagonal", (g_diagonal, g_diagonal_matrix))
    if tableau.noise == "general" and not (exact and kind != "scalar"):
        compare(tableau, kind, "general", (g_torch, g_numpy))


@given(general_tableaux(), st.sampled_from(sorted(OPERATORS)))
@settings(max_examples=20)
def test_the_lawson_form_of_any_tableau_word_by_word(tableau, kind):
    compare(lawson(tableau), kind, "general", (g_torch, g_numpy))


@given(general_tableaux(), st.sampled_from(sorted(OPERATORS)), st.integers(0, 4))
@settings(max_examples=20)
def test_phi_functions_in_any_place_word_by_word(tableau, kind, k):
    def entered(rows):
        return tuple(
            tuple(e * (phi(k, f"{i + 1}/3") - phi((k + j) % 5) / 2 + i) for j, e in enumerate(row))
            for i, row in enumerate(rows)
        )

    couplings = [replace(c, matrix=entered(c.matrix)) for c in tableau.couplings]
    outputs = [replace(o, weights=entered([o.weights])[0]) for o in tableau.outputs]
    changed = Tableau("changed", tableau.blocks, couplings, outputs)
    compare(changed, kind, "general", (g_torch, g_numpy))


@pytest.mark.parametrize("kind", OPERATORS)
def test_diagonal_noise_whose_stages_L_mixes_becomes_a_matrix(kind):
    compare(lawson(catalogue["SRIW1"]), kind, "diagonal", (g_diagonal, g_diagonal_matrix))


@pytest.mark.parametrize("kind", OPERATORS)
def test_backwards_in_time_is_the_reversed_equation(kind):
    operator, matrix = OPERATORS[kind]
    y0 = torch.ones(2, D, dtype=torch.float64)
    back = solve(SemilinearSDE(operator, f_torch), y0, [0.5, 0.0], method="ETDRK4", steps=3).y
    turned = SemilinearSDE(Dense(-matrix), lambda s, y: -f_torch(0.5 - s, y))
    forth = solve(turned, y0, [0.0, 0.5], method="ETDRK4", steps=3).y
    torch.testing.assert_close(back, forth, rtol=1e-12, atol=1e-12)
