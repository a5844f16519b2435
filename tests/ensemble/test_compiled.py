"""Compiled ensembles: settled once, the same for every chunk."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from sdeint import SDE, compiling, expect
from sdeint.brownian import normals

Tensor = torch.Tensor


def decay(t: Tensor, y: Tensor) -> Tensor:
    return -y


def wave(t: Tensor, y: Tensor) -> Tensor:
    return 0.3 * torch.cos(y)


def first(y: Tensor) -> Tensor:
    return y[:, 0]


def test_compiled_chunks_of_any_size_give_the_same_bits_and_the_eager_mean_to_rounding() -> None:
    sde = SDE(decay, wave)
    settings = {"method": "EM", "steps": 16, "paths": 5000}
    found = [
        expect(sde, torch.ones(1), [0.0, 1.0], first, chunk=chunk, compile=True, **settings)  # type: ignore[arg-type]
        for chunk in (5000, 1203)
    ]
    assert found[0].mean == found[1].mean
    assert found[0].error == found[1].error  # to the last bit
    eager = expect(sde, torch.ones(1), [0.0, 1.0], first, compile=False, **settings)  # type: ignore[arg-type]
    assert float(found[0].mean) == pytest.approx(float(eager.mean), abs=1e-6)


def test_auto_settles_on_compiling_before_the_first_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling.torch, "compile", partial(torch.compile, backend="aot_eager"))
    drawn = []
    original = normals.standard_normals
    monkeypatch.setattr(
        "sdeint.brownian.grid_path.standard_normals",
        lambda lanes, place, *rest: drawn.append(len(place)) or original(lanes, place, *rest),
    )
    for worth in (0.0, 1e9):
        monkeypatch.setattr("sdeint.compiling._WORTH", worth)
        drawn.clear()
        sde = SDE(decay, wave)
        expect(sde, torch.ones(1), [0.0, 1.0], first, method="EM", steps=40, paths=64)
        assert bool(sde.chunks) == (worth == 0)
        # Compiled, only the first four steps are drawn outside of the graph.
        assert sum(drawn) == (2 if worth == 0 else 10)
