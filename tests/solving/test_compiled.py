"""Compiled steps: the same numbers, one graph, nothing that waits for the device."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters
from torch.utils._python_dispatch import TorchDispatchMode

from sdeint import SDE, Columns, NonFiniteError, ProblemError, Product, TreePath, compiling, solve

Tensor = torch.Tensor
DOUBLE = torch.float64
MIX = torch.tensor([[0.3, 0.1, 0.2], [-0.2, 0.25, 0.1]], dtype=DOUBLE)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def decay(t: Tensor, y: Tensor) -> Tensor:
    return -y * torch.cos(t)


def mixing(t: Tensor, y: Tensor) -> Tensor:
    return torch.sin(y + 1)[..., None] * MIX + 0.1 * y.flip(-1)[..., None]


def wave(t: Tensor, y: Tensor) -> Tensor:
    return 0.3 * torch.cos(y)


def agree(sde: SDE, method: str, y0: Tensor, times: list[float], **options: Any) -> None:
    solutions = [
        solve(sde, y0, times, method=method, compile=compile, save_at="all", **options)
        for compile in (False, True)
    ]
    assert [s.stats.compiled for s in solutions] == [False, True]
    torch.testing.assert_close(solutions[0].y, solutions[1].y, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("method", "times"),
    [
        ("SRIW1", [0.0, 1.0]),
        pytest.param("SlowRK", [1.0, 0.0], marks=pytest.mark.slow),
        ("MilsteinCommutative", [0.0, 1.0]),
        ("W2F1", [1.0, 0.0]),
    ],
)
@pytest.mark.usefixtures("traced")
def test_compiled_steps_are_the_steps(method: str, times: list[float]) -> None:
    calculus = "stratonovich" if method == "SlowRK" else "ito"
    noise = "commutative" if method == "MilsteinCommutative" else "diagonal"

    def diffusion(t: Tensor, y: Tensor) -> Tensor:
        return torch.diag_embed(wave(t, y)) if noise == "commutative" else wave(t, y)

    sde = SDE(decay, diffusion, noise=noise, calculus=calculus)  # type: ignore[arg-type]
    agree(sde, method, torch.full((3, 2), 0.7, dtype=DOUBLE), times, steps=11)


@pytest.mark.parametrize("method", ["EM", "RS2"])
@pytest.mark.usefixtures("traced")
def test_compiled_steps_mix_channels(method: str) -> None:
    calculus = "ito" if method == "EM" else "stratonovich"
    sde = SDE(decay, mixing, noise="general", calculus=calculus)  # type: ignore[arg-type]
    agree(sde, method, torch.full((3, 2), 0.7, dtype=DOUBLE), [1.0, 0.0], steps=9)


@pytest.mark.usefixtures("traced")
def test_compiled_steps_remember_the_step_before_on_any_grid() -> None:
    sde = SDE(decay, lambda t, y: 0.3 + 0.0 * y, noise="additive")
    grid = (torch.linspace(0, 1, 15, dtype=DOUBLE) ** 1.5).tolist()
    agree(sde, "TwoStep", torch.ones(3, 2, dtype=DOUBLE), grid)


@pytest.mark.usefixtures("traced")
def test_paths_of_any_kind_drive_compiled_steps() -> None:
    sde, y0 = SDE(decay, wave), torch.ones(3, 2, dtype=DOUBLE)
    tree = TreePath(5, (3,), (2,), t0=0.0, t1=1.0, dtype=DOUBLE)
    agree(sde, "SRIW1", y0, [0.0, 1.0], steps=16, path=tree)
    agree(sde, "EM", y0, [0.0, 1.0], steps=9, seed=torch.tensor([4, 1 << 40, 7]))
    image = SDE(decay, wave, event_dims=3)
    agree(image, "EM", torch.ones(2, 1, 3, 2, dtype=DOUBLE), [0.0, 1.0], steps=9)


@pytest.mark.usefixtures("traced")
def test_columns_and_products_are_compiled_too() -> None:
    columns = Columns(*(lambda t, y, k=k: mixing(t, y)[..., k] for k in range(3)))  # type: ignore
    product = Product(lambda t, y, v: (mixing(t, y) @ v[..., None])[..., 0], 3)
    for g in (columns, product):
        sde = SDE(decay, g, noise="general")
        agree(sde, "EM", torch.full((3, 2), 0.7, dtype=DOUBLE), [0.0, 1.0], steps=9)


def test_one_graph_serves_any_number_of_steps_paths_seeds_and_times() -> None:
    sde = SDE(lambda t, y: -t * y, lambda t, y: 0.3 * torch.cos(y))
    for seed, steps, paths, end in (
        (0, 40, 3000, 1.0),
        (9, 101, 4097, 2.0),
        (1 << 60, 9, 2049, -1.0),
    ):
        end = abs(end)
        y0 = torch.linspace(-1, 1, paths)[:, None]
        eager, compiled = (
            solve(sde, y0, [0.0, end], steps=steps, seed=seed, compile=choice).y[-1]
            for choice in (False, True)
        )
        torch.testing.assert_close(eager, compiled, rtol=0, atol=1e-5)
    assert counters["stats"]["unique_graphs"] == 1


def test_a_compiled_path_has_the_same_bits_in_any_part_of_a_batch_and_on_any_threads() -> None:
    sde = SDE(lambda t, y: torch.sin(y) - t, lambda t, y: 0.3 * torch.cos(y))
    y0 = torch.linspace(-1, 1, 10_001)[:, None]
    options: dict[str, Any] = {"steps": 12, "compile": True, "seed": 3}
    whole = solve(sde, y0, [0.0, 1.0], **options).y
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if threads == 1 else 1)
        assert torch.equal(solve(sde, y0, [0.0, 1.0], **options).y, whole)
    finally:
        torch.set_num_threads(threads)
    for cut in (2049, 5003):
        parts = [
            solve(sde, y0[:cut], [0.0, 1.0], **options).y,
            solve(sde, y0[cut:], [0.0, 1.0], first_path=cut, **options).y,
        ]
        assert torch.equal(torch.cat(parts, dim=1), whole)


def test_gradients_pass_through_compiled_steps() -> None:
    gradients = []
    for compile in (False, True):
        rate = torch.tensor(0.7, dtype=DOUBLE, requires_grad=True)
        y0 = torch.ones(5, 2, dtype=DOUBLE, requires_grad=True)
        sde = SDE(lambda t, y: -rate * y**3, lambda t, y: 0.3 * torch.sin(rate * y))  # noqa: B023
        solution = solve(sde, y0, [0.0, 1.0], steps=12, method="EM", compile=compile)
        assert solution.stats.compiled == compile
        gradients.append(torch.autograd.grad(solution.y[-1].square().sum(), (rate, y0)))
    torch.testing.assert_close(*gradients, rtol=1e-11, atol=1e-12)


@pytest.mark.usefixtures("traced")
def test_what_cannot_be_traced_is_solved_eagerly_or_refused() -> None:
    def peeking(t: Tensor, y: Tensor) -> Tensor:
        return -y if float(y.sum()) > 0 else -2 * y

    sde, y0 = SDE(peeking, wave), torch.ones(3, 1)
    with pytest.raises(ProblemError, match="cannot be compiled"):
        solve(sde, y0, [0.0, 1.0], steps=12, compile=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "_WORTH", 0.0)
        with pytest.warns(UserWarning, match="eager"):
            fallback = solve(sde, y0, [0.0, 1.0], steps=12)
    assert not fallback.stats.compiled
    assert torch.equal(fallback.y, solve(sde, y0, [0.0, 1.0], steps=12, compile=False).y)


def test_implicit_stages_and_gradients_in_time_are_not_compiled() -> None:
    sde, y0 = SDE(decay, wave), torch.ones(3, 1)
    with pytest.raises(ProblemError, match="compile=True, but the stages of an implicit method"):
        solve(sde, y0, [0.0, 1.0], steps=12, method="ImplicitEM", compile=True)
    times = torch.tensor([0.0, 1.0], dtype=DOUBLE, requires_grad=True)
    with pytest.raises(ProblemError, match="compile=True, but the times carry a gradient"):
        solve(sde, y0, times, steps=12, compile=True)
    with pytest.raises(ProblemError, match="compile must be True, False or 'auto', got 'yes'"):
        solve(sde, y0, [0.0, 1.0], steps=12, compile="yes")


@pytest.mark.usefixtures("traced")
def test_auto_compiles_long_work_only(monkeypatch: pytest.MonkeyPatch) -> None:
    sde, y0 = SDE(decay, wave), torch.ones(3, 1)
    assert not solve(sde, y0, [0.0, 1.0], steps=12).stats.compiled
    monkeypatch.setattr(compiling, "_WORTH", 0.0)
    solution = solve(sde, y0, [0.0, 1.0], steps=12)
    assert solution.stats.compiled
    assert repr(solution).endswith("12 f and 12 g evaluations, compiled)")


@pytest.mark.usefixtures("traced")
def test_a_path_lost_in_a_compiled_step_is_named_with_its_step() -> None:
    sde = SDE(lambda t, y: y**3 * torch.where(t > 0.57, 1e30, 0.0), wave)
    y0 = torch.tensor([[0.0], [1e3]])
    with pytest.raises(NonFiniteError) as caught:
        solve(sde, y0, [0.0, 1.0], steps=20, compile=True)
    assert (caught.value.step, caught.value.paths) == (12, [(1,)])


class _Waits(TorchDispatchMode):
    """Counts the operations that make the host wait for a number."""

    count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", ["EM", "SRIW1", "RI1"])
def test_no_step_waits_for_the_device(method: str) -> None:
    waits = []
    for steps in (8, 48):
        noise = "general" if method == "RI1" else "diagonal"
        sde = SDE(decay, mixing if noise == "general" else wave, noise=noise)  # type: ignore
        y0 = torch.ones(3, 2, dtype=DOUBLE)
        with _Waits() as mode:
            solve(sde, y0, [0.0, 1.0], steps=steps, method=method, compile=False)
        waits.append(mode.count)
    assert waits[0] == waits[1]


@pytest.mark.parametrize("times", [[0.0, 1.0], [1.0, 0.0]])
@pytest.mark.usefixtures("traced")
def test_a_single_path_is_compiled_in_longer_chunks(
    times: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "LONG", 8)
    sde = SDE(decay, wave)
    agree(sde, "EM", torch.ones(2, dtype=DOUBLE), times, steps=22)


@pytest.mark.usefixtures("traced")
def test_a_path_that_only_compiled_steps_lose_is_reported_at_their_end() -> None:
    def lost(t: Tensor, y: Tensor) -> Tensor:
        return y / 0.0 if torch.compiler.is_compiling() else -y

    with pytest.raises(NonFiniteError) as caught:
        solve(SDE(lost, wave), torch.ones(3, 1), [0.0, 1.0], steps=9, compile=True)
    assert (caught.value.step, caught.value.count) == (7, 3)


@pytest.mark.parametrize("method", ["SRIW1", "TwoStep"])
@pytest.mark.parametrize(
    ("start", "steps"), [(0.0, 300), pytest.param(1.0, 40, marks=pytest.mark.slow)]
)
@pytest.mark.usefixtures("traced")
def test_a_loop_over_chunks_takes_the_same_steps(method: str, start: float, steps: int) -> None:
    noise = "diagonal" if method == "SRIW1" else "additive"
    sde = SDE(decay, wave if noise == "diagonal" else lambda t, y: 0.3 + 0.0 * y, noise=noise)  # type: ignore
    times = [abs(start - x) for x in (0.0, 0.2, 0.6, 1.0)]
    y0 = torch.full((3, 2), 0.7, dtype=DOUBLE)
    solutions = [
        solve(sde, y0, times, steps=steps, method=method, compile=compile)
        for compile in (False, True)
    ]
    assert [chunk.loop for chunk in sde.chunks.values()] == [True]
    torch.testing.assert_close(solutions[0].y, solutions[1].y, rtol=1e-12, atol=1e-13)


@pytest.mark.usefixtures("traced")
def test_a_loop_over_chunks_is_called_from_one_saved_value_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []
    repeat = compiling.Chunk.repeat

    def counted(self: Any, *arguments: Any) -> Any:
        calls.append(tuple(map(int, arguments[-2:])))
        return repeat(self, *arguments)

    monkeypatch.setattr(compiling.Chunk, "repeat", counted)
    solve(SDE(decay, wave), torch.ones(3, 2), [0.0, 0.3, 1.0], steps=40, compile=True)
    assert calls == [(0, 2), (2, 9)]


def test_the_numbers_of_one_problem_stay_constants_beside_those_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The compiler makes variables of numbers that differ between two calls of one code."""
    compile, numbers = torch.compile, []

    def record(graph: Any, inputs: list[Any]) -> Any:
        numbers.append(
            [x for x in inputs if isinstance(x, Tensor) and x.ndim == 0 and x.is_floating_point()]
        )
        return graph.forward

    def trace(function: Any, *, fullgraph: bool, options: object) -> Any:
        return compile(function, fullgraph=fullgraph, backend=record)

    monkeypatch.setattr(compiling.torch, "compile", trace)
    for method in ("EM", "SRIW1", "DFMilstein"):
        solve(SDE(decay, wave), torch.ones(5, 1), [0.0, 1.0], method=method, steps=8, compile=True)
    assert numbers == [[], [], []]
