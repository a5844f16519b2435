"""Splitting (W, H) at any point: exact covariance algebra, no statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sdeint.brownian.bridge import Split, join

LENGTH = st.floats(1e-3, 1e3)


def linear_map(law: Split) -> np.ndarray:
    """The matrix from (W, H, z, z') to (W1, H1, W2, H2)."""
    columns = torch.eye(4, dtype=torch.float64).view(4, 4, 1, 1)
    return np.stack([part.reshape(4).numpy() for part in law(*columns.unbind(0))])


def parts(h1: float, h2: float) -> Split:
    lengths = (torch.tensor([h], dtype=torch.float64) for h in (h1, h2))
    return Split.parts(*lengths, torch.float64, torch.device("cpu"))


@given(LENGTH, LENGTH)
@settings(max_examples=200, deadline=None)
def test_parts_of_a_split_are_independent_with_the_law_of_their_lengths(
    h1: float, h2: float
) -> None:
    h = h1 + h2
    matrix = linear_map(parts(h1, h2))
    covariance = matrix @ np.diag([h, h / 12, 1.0, 1.0]) @ matrix.T
    exact = np.array([h1, h1 / 12, h2, h2 / 12])
    scale = np.sqrt(np.outer(exact, exact))
    # W2 = W - W1 cancels when h2 is much the smaller part.
    tolerance = 1e-14 * (1 + h / min(h1, h2))
    np.testing.assert_allclose(covariance / scale, np.eye(4), atol=tolerance)


@given(LENGTH, LENGTH)
@settings(max_examples=200, deadline=None)
def test_joining_undoes_splitting(h1: float, h2: float) -> None:
    rows = (torch.from_numpy(row) for row in linear_map(parts(h1, h2)))
    w, h = join(*rows, h1, h2)
    size = 1e-14 * (1 + np.sqrt(h1 + h2))
    np.testing.assert_allclose(w.numpy(), [1, 0, 0, 0], atol=size)
    np.testing.assert_allclose(h.numpy(), [0, 1, 0, 0], atol=size)


@given(LENGTH, LENGTH)
@settings(max_examples=100, deadline=None)
def test_joined_area_is_the_area_of_the_joined_path(h1: float, h2: float) -> None:
    # From the definition: h (W/2 + H) = int_0^h W_u du adds up over the parts, W1 carried along.
    w1, a1, w2, a2 = torch.randn(4, dtype=torch.float64).unbind()
    w, a = join(w1, a1, w2, a2, h1, h2)
    integral = h1 * (w1 / 2 + a1) + h2 * (w1 + w2 / 2 + a2)
    assert float((h1 + h2) * (w / 2 + a)) == pytest.approx(float(integral), rel=1e-12, abs=1e-12)


def test_halves_are_parts_of_equal_length() -> None:
    np.testing.assert_allclose(
        linear_map(Split.halves(3.0)), linear_map(parts(1.5, 1.5)), atol=1e-15
    )
