"""Settings shared by all tests."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings

from sdeint import compiling

# The suite runs in parallel processes; threads inside each would only fight over the cores.
torch.set_num_threads(1)

# Derandomised: a law is tried on the same examples every time, so that a red run is a change of ours.
settings.register_profile(
    "steady",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("steady")


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are traced into graphs, but not translated: many seconds less for each graph."""
    compile = torch.compile

    def trace(function: Any, *, fullgraph: bool, options: object) -> Any:
        return compile(function, fullgraph=fullgraph, backend="eager")

    monkeypatch.setattr(compiling.torch, "compile", trace)
    monkeypatch.setattr(compiling, "LONG", 4)
