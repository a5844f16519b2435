"""Corrections of the denoised state: thresholds and inpainting."""

from __future__ import annotations

import pytest
import torch

from diffusion import VP, GaussianMixture, clip, dynamic_threshold, inpaint, sample, trajectory

DATA = GaussianMixture([0.5, 0.5], [[-1.0, -1.0], [1.0, 1.0]], [0.05, 0.05])
MODEL = DATA.model(VP(), "epsilon")
NOW = torch.tensor(0.5, dtype=torch.float64)
X0 = 3 * torch.randn(5, 2, 4, 4, generator=torch.Generator().manual_seed(1))


def test_static_thresholds_cut():
    assert torch.equal(clip()(X0, NOW), X0.clamp(-1, 1))
    assert torch.equal(clip(0.0, 2.0)(X0, NOW), X0.clamp(0, 2))


@pytest.mark.parametrize("limit", [0.5, 1.0])
def test_dynamic_thresholds_are_imagens(limit):
    got = dynamic_threshold(0.9, limit)(X0, NOW)
    for item, x in zip(got, X0):
        s = max(float(torch.quantile(x.abs().flatten(), 0.9)), limit)
        torch.testing.assert_close(item, x.clamp(-s, s) * limit / s)
    assert float(got.abs().max()) <= limit


def test_dynamic_thresholds_leave_small_states_and_go_item_by_item():
    got = dynamic_threshold(0.9)(X0, NOW)
    small = X0 / X0.abs().max() / 2
    assert torch.equal(dynamic_threshold(0.9)(small, NOW), small)
    # each item by its own values alone
    assert torch.equal(dynamic_threshold(0.9)(X0[2:3], NOW), got[2:3])
    # quantiles are none of half precision
    half = dynamic_threshold(0.9)(X0.half(), NOW)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), got, rtol=3e-3, atol=1e-3)


@pytest.mark.parametrize("method", ["EM", "SRA1", "TwoStep"])
def test_thresholds_bound_every_prediction_and_the_result(method):
    seen = []
    run = trajectory(
        lambda x, t: -5 * x,
        (6, 2),
        method=method,
        nfe=12,
        corrections=[clip(-0.25, 0.25)],
        callback=lambda e: seen.append(e.x0),
    )
    assert float(torch.stack(seen).abs().max()) <= 0.25
    assert float(run.final.abs().max()) <= 0.25


@pytest.mark.parametrize("method", ["EM", "SRA1", "OneStage", "OneStageStored", "TwoStep"])
@pytest.mark.parametrize("path", ["grid", "tree"])
def test_what_is_known_is_noised_exactly_along_one_path(method, path):
    # In the noise clock Z(rho) = rho x0 + W(rho) where x0 is known: with the same seed, the noise is
    # that of any other known value, at every step and for every method.
    mask = torch.tensor([True, False])
    known = torch.tensor([0.75, 0.0])
    options = {"method": method, "nfe": 13, "path": path, "seed": 3, "dtype": torch.float64}

    def run(value):
        return trajectory(
            MODEL, (400, 2), corrections=[inpaint(value, mask)], start=value, **options
        )

    here, there = run(known), run(0 * known)
    alpha, sigma = VP().alpha(here.t)[:, None], VP().sigma(here.t)[:, None]
    noised = here.x[:, :, 0] - there.x[:, :, 0]
    torch.testing.assert_close(noised, (0.75 * alpha).expand_as(noised), rtol=1e-9, atol=1e-9)
    assert torch.equal(here.final[:, 0], torch.full((400,), 0.75, dtype=torch.float64))
    # 400 standard normals at each time: mean and variance within 6 standard errors
    noise = there.x[:, :, 0] / sigma
    assert float(noise.mean(1).abs().max()) < 6 / 400**0.5
    assert float((noise.var(1) - 1).abs().max()) < 6 * (2 / 400) ** 0.5


def test_a_mask_of_shares_blends():
    mask = torch.tensor([0.0, 0.25, 1.0])
    got = inpaint(torch.full((3,), 8.0), mask)(torch.zeros(2, 3), NOW)
    assert torch.equal(got, 8 * mask.expand(2, 3))


def test_inpainting_finds_what_fits():
    # The two coordinates have the same sign: what is unknown follows what is known, mostly, since
    # replacing is not conditioning.
    mask = torch.tensor([1.0, 0.0])
    for sign in (-1.0, 1.0):
        known = torch.tensor([sign, 0.0])
        x = sample(MODEL, (300, 2), nfe=65, seed=5, corrections=[inpaint(known, mask)])
        assert torch.equal(x[:, 0], torch.full((300,), sign))
        assert float((x[:, 1] * sign > 0).double().mean()) > 0.85


def test_corrections_are_applied_in_order():
    both = [inpaint(torch.full((2,), 4.0), torch.ones(2)), clip()]
    assert torch.equal(sample(MODEL, (3, 2), nfe=5, corrections=both), torch.ones(3, 2))
    other = sample(MODEL, (3, 2), nfe=5, corrections=both[::-1])
    assert torch.equal(other, torch.full((3, 2), 4.0))


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="first bound must be below"):
        clip(1.0, 1.0)
    for ratio, limit in ((1.5, 1.0), (0.0, 1.0), (0.9, 0.0)):
        with pytest.raises(ValueError, match=r"must lie in \(0, 1\] and limit = .* be positive"):
            dynamic_threshold(ratio, limit)
