"""The path of a fine grid on coarser ones: Chen's relation, and the same bits in any division.

Statistical comparisons have a false alarm with probability below 1e-7 each. Seeds are fixed.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sdeint import convergence, problems
from sdeint.brownian import BrownianPath, GridPath, NestedPath, TreePath, chen
from tableaux import Block, Coupling, Output, Tableau, Variable, variables

ALL = ("W", "H", "K", "A")
FINE = 37
GRADED = torch.linspace(0.0, 1.5, FINE + 1, dtype=torch.float64) ** 2


def nested(
    batch: tuple[int, ...] = (3,), dtype: torch.dtype = torch.float64, m: int = 3, first: int = 0
) -> NestedPath:
    return NestedPath(GridPath(2, batch, (m,), dtype=dtype, first_path=first), GRADED)


CHOICE = st.lists(st.integers(0, FINE), min_size=2, max_size=20, unique=True).map(sorted)


def piecewise_linear(w: Tensor, lengths: Tensor) -> dict[str, Tensor]:
    """W, H, K and A of a path made of straight lines, from their definitions.

    Their integrands are quadratic on each line, for which Simpson's rule is exact.
    """
    h = lengths.sum()
    shape = (-1, *(1,) * (w.ndim - 1))
    left = torch.cumsum(w, 0) - w
    start = (torch.cumsum(lengths, 0) - lengths).view(shape)
    width = lengths.view(shape)
    total = w.sum(0)

    def integral(weight: object) -> Tensor:
        out = torch.zeros_like(total)
        for share, part in ((0.0, 1 / 6), (0.5, 4 / 6), (1.0, 1 / 6)):
            u = start + share * width
            bridge = left + share * w - total * u / h
            out += (bridge * weight(u) * width).sum(0) * part  # type: ignore[operator]
        return out

    middle = left + w / 2
    double = torch.einsum("n...k,n...l->...kl", middle, w)
    return {
        "W": total,
        "H": integral(lambda u: 1 / h),
        "K": integral(lambda u: (h / 2 - u) / h**2),
        "A": (double - double.transpose(-1, -2)) / 2,
    }


@given(st.lists(st.floats(1e-2, 1e2), min_size=1, max_size=9), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_joined_variables_are_those_of_the_joined_path(lengths: list[float], seed: int) -> None:
    """Straight lines have no H, K and A of their own: all of those arise in the joining."""
    make = torch.Generator().manual_seed(seed)
    widths = torch.tensor(lengths, dtype=torch.float64)
    w = torch.randn(len(lengths), 2, 3, dtype=torch.float64, generator=make)
    lines = {"W": w, "H": torch.zeros_like(w), "K": torch.zeros_like(w)}
    lines["A"] = torch.zeros(*w.shape, 3, dtype=torch.float64)
    joined, length = chen.join_runs(lines, widths, torch.tensor([len(lengths)]))
    torch.testing.assert_close(length, widths.sum().view(1))
    exact = piecewise_linear(w, widths)
    for name in ALL:
        torch.testing.assert_close(joined[name][0], exact[name], rtol=1e-11, atol=1e-11)


@given(st.floats(1e-2, 1e2), st.floats(1e-2, 1e2), st.floats(1e-2, 1e2), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_joining_is_associative_and_reverses(a: float, b: float, c: float, seed: int) -> None:
    make = torch.Generator().manual_seed(seed)
    parts: list[dict[str, Tensor]] = []
    for _ in range(3):
        values = {n: torch.randn(1, 2, dtype=torch.float64, generator=make) for n in "WHK"}
        square = torch.randn(1, 2, 2, dtype=torch.float64, generator=make)
        parts.append({**values, "A": square - square.transpose(-1, -2)})
    lengths = [torch.tensor([x], dtype=torch.float64) for x in (a, b, c)]

    def joined(
        one: dict[str, Tensor], two: dict[str, Tensor], *, at: tuple[int, int, int]
    ) -> dict[str, Tensor]:
        """Of parts at[0] to at[1] - 1 and at[1] to at[2] - 1."""
        first, second = (sum(lengths[i:j], torch.zeros(1)) for i, j in pairwise(at))
        return chen.join(one, two, first, second)

    left = joined(joined(parts[0], parts[1], at=(0, 1, 2)), parts[2], at=(0, 2, 3))
    right = joined(parts[0], joined(parts[1], parts[2], at=(1, 2, 3)), at=(0, 1, 3))
    turned = [chen.reversed_steps(part) for part in reversed(parts)]
    lengths = lengths[::-1]
    back = joined(joined(turned[0], turned[1], at=(0, 1, 2)), turned[2], at=(0, 2, 3))
    back = chen.reversed_steps(back)
    for name in ALL:
        torch.testing.assert_close(left[name], right[name], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(left[name], back[name], rtol=1e-10, atol=1e-10)


def test_the_law_of_joined_variables_is_that_of_one_step() -> None:
    """K too: its variance h/720, and nothing in common with W and H."""
    n = 40_000
    path = nested((n,), m=1)
    drawn = path.on(GRADED[[3, 17, 30]]).draw(0, 2, ("W", "H", "K"))
    h = torch.diff(GRADED[[3, 17, 30]]).view(-1, 1, 1)
    variances = {"W": h, "H": h / 12, "K": h / 720}
    z = torch.cat([(drawn[name] / variances[name].sqrt())[..., 0] for name in variances])
    covariance = z @ z.T / n
    assert float(z.mean(1).abs().max()) < 6 / n**0.5
    assert float((covariance - torch.eye(6)).abs().max()) < 6 * (2 / n) ** 0.5


@given(CHOICE)
@settings(max_examples=20, deadline=None)
def test_coarse_steps_join_the_fine_ones(choice: list[int]) -> None:
    path = nested()
    fine = path.on(GRADED).draw(0, FINE, ALL)
    drawn = path.on(GRADED[choice]).draw(0, len(choice) - 1, ALL)
    widths = torch.diff(GRADED)
    for i, (a, b) in enumerate(pairwise(choice)):
        one = {name: value[a : a + 1] for name, value in fine.items()}
        for n in range(a + 1, b):
            step = {name: value[n : n + 1] for name, value in fine.items()}
            one = chen.join(one, step, widths[a:n].sum().view(1), widths[n : n + 1])
        for name in ALL:
            torch.testing.assert_close(drawn[name][i], one[name][0], rtol=1e-12, atol=1e-13)


def test_the_fine_steps_are_those_of_the_fine_path() -> None:
    path = nested(dtype=torch.float32)
    one, other = path.on(GRADED), path.fine_path.on(GRADED)
    for name in ALL:
        assert torch.equal(one.draw(5, 9, (name,))[name], other.draw(5, 9, (name,))[name])
    down = NestedPath(path.fine_path, GRADED.flip(0))
    assert torch.equal(down.on(GRADED).draw(0, 9, ("A",))["A"], one.draw(0, 9, ("A",))["A"])


@given(CHOICE, st.data(), st.sampled_from([torch.float32, torch.float64]), st.booleans())
@settings(max_examples=20, deadline=None)
def test_any_division_of_steps_and_batch_gives_the_same_bits(
    choice: list[int], data: st.DataObject, dtype: torch.dtype, back: bool
) -> None:
    grid = GRADED[choice].flip(0) if back else GRADED[choice]
    steps = len(choice) - 1
    whole = nested((11,), dtype).on(grid).draw(0, steps, ALL)
    first = data.draw(st.integers(0, steps))
    count = data.draw(st.integers(0, steps - first))
    at_once = data.draw(st.sampled_from([1, 100, 1000]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chen, "_AT_ONCE", at_once)
        part = nested((4,), dtype, first=5).on(grid).draw(first, count, ALL)
        alone = nested((11,), dtype).on(grid).draw(first, count, ("A",))["A"]
    for name in ALL:
        assert torch.equal(part[name], whole[name][first : first + count, 5:9])
    assert torch.equal(alone, whole["A"][first : first + count])


@given(CHOICE)
@settings(max_examples=10, deadline=None)
def test_a_decreasing_grid_sees_the_reversed_path(choice: list[int]) -> None:
    path, steps = nested(), len(choice) - 1
    forward = path.on(GRADED[choice]).draw(0, steps, ALL)
    backward = path.on(GRADED[choice].flip(0)).draw(0, steps, ALL)
    for name in ALL:
        sign = 1.0 if name == "H" else -1.0
        assert torch.equal(backward[name], sign * forward[name].flip(0))


def test_memory_is_that_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    times = torch.linspace(0, 1, 4097, dtype=torch.float64)
    path = NestedPath(GridPath(0, (100,), (2,)), times)
    counts = []
    draw = path._fine.draw

    def counted(first: int, count: int, names: object) -> dict[str, Tensor]:
        counts.append(count)
        return draw(first, count, names)  # type: ignore[arg-type]

    monkeypatch.setattr(path._fine, "draw", counted)
    monkeypatch.setattr(chen, "_AT_ONCE", 1 << 18)
    path.on(times[[0, 4096]]).draw(0, 1, ("W", "A"))
    assert sum(counts) == 4096
    assert max(counts) * path._size(("W", "A")) <= 1 << 18
    assert len(counts) < 30


def test_equal_grids_but_for_rounding_are_nested() -> None:
    times = 0.1 + 0.6 * torch.arange(193, dtype=torch.float64) / 192
    path = NestedPath(GridPath(0, (2,), (2,)), times)
    for n in (1, 2, 3, 64, 96, 192):
        for grid in (torch.linspace(0.1, 0.7, n + 1, dtype=torch.float64), times[:: 192 // n]):
            assert torch.equal(path._places(grid), torch.arange(0, 193, 192 // n))


def test_a_tree_can_be_the_fine_path() -> None:
    tree = TreePath(3, (5,), (2,), t0=0.0, t1=2.25, dtype=torch.float64)
    path: BrownianPath = NestedPath(tree, GRADED)
    coarse = GRADED[[0, 9, 37]]
    for name in ("W", "H"):
        one = path.on(coarse).draw(0, 2, (name,))[name]
        torch.testing.assert_close(one, tree.on(coarse).draw(0, 2, (name,))[name])


def milstein(label: str) -> Tableau:
    """``X + f h + sum g_k W_k + sqrt(h) sum (g_k(X + sum_l g_l Z_lk/sqrt(h)) - g_k)``."""
    return Tableau(
        f"Milstein with {label}",
        (
            Block("drift", "drift", (0,)),
            Block("here", "diffusion", (0,)),
            Block("moved", "diffusion", (0, 0), "channel"),
        ),
        (Coupling("moved", "here", label, ((1,), (0,))),),
        (
            Output("drift", "h", (1,)),
            Output("here", "I_k", (1,)),
            Output("moved", "sqrt(h)", (1, -1)),
        ),
    )


@pytest.mark.parametrize(
    ("label", "order", "reference"),
    [("I_kl/sqrt(h)", 1.0, True), ("I_kl/sqrt(h)", 1.0, False), ("I_lk/sqrt(h)", 0.5, True)],
)
def test_a_strong_study_of_a_method_with_areas_shows_its_order(
    label: str, order: float, reference: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Non-commutative noise needs the area; the transposed one is no better than none."""
    kinds = {"equal": "(W_k**2 - h)/(2*sqrt(h))"}
    kinds |= dict.fromkeys(("less", "greater"), "(W_k*W_l/2 - A_kl)/sqrt(h)")
    transposed = Variable("I_lk/sqrt(h)", 2, **kinds)
    monkeypatch.setitem(variables._by_label, "I_lk/sqrt(h)", transposed)  # type: ignore[attr-defined]
    study = convergence.strong(
        problems.triple(),
        milstein(label),
        steps=(4, 8, 16, 32, 64) if reference else (4, 8, 16, 32, 64, 128),
        paths=300 if reference else 400,
        reference=(milstein("I_kl/sqrt(h)"), 256) if reference else "half",
        confidence=1 - 1e-8,
    )
    assert study.agrees(order), str(study)
    assert not study.agrees(1.5 - order), str(study)


def test_a_strong_study_takes_a_path_with_all_of_its_times() -> None:
    """Numbers of steps of which none divides the other, and a reference that alone needs areas."""
    study = convergence.strong(
        problems.unicycle(),
        "EM",
        steps=(3, 5, 7),
        paths=50,
        reference=(milstein("I_kl/sqrt(h)"), 11),
        t=(0.0, 0.3),
        y0=torch.zeros(3),
    )
    assert study.what == "Milstein with I_kl/sqrt(h) with 11 steps on the same path"
    assert all(0 < error < 0.2 for error in study.errors)


def test_images_and_empty_requests() -> None:
    path = NestedPath(GridPath(0, (2,), (3, 4, 4)), GRADED)
    steps = path.on(GRADED[::4])
    assert steps.draw(1, 3, ("W", "K"))["K"].shape == (3, 2, 3, 4, 4)
    assert steps.draw(1, 0, ("H",))["H"].shape == (0, 2, 3, 4, 4)
    assert steps.draw(1, 3, ()) == {}
    assert nested().on(GRADED).draw(2, 0, ("A",))["A"].shape == (0, 3, 3, 3)
    assert nested((0,)).on(GRADED[::5]).draw(2, 2, ("A",))["A"].shape == (2, 0, 3, 3)


def test_repr_says_the_fine_grid() -> None:
    assert repr(nested()) == (
        "NestedPath(seed=2, batch=(3,), channels=(3,), fine_grid=0..2.25 in 37 steps, "
        "dtype=float64, device=cpu)"
    )


def test_wrong_requests_are_refused() -> None:
    steps = nested().on(GRADED)
    for name in ("theta", "sign", "eta"):
        with pytest.raises(ValueError, match=f"{name} is a discrete variable.*path='grid'"):
            steps.draw(0, 1, ("W", name))
    with pytest.raises(ValueError, match="the grid has 37"):
        steps.draw(30, 8, ("W",))
    with pytest.raises(ValueError, match="unknown variable"):
        steps.draw(0, 1, ("Z",))
    for bad in (0.5, 2.3, -0.1):
        with pytest.raises(ValueError, match=f"time {bad} is not among the 38 times"):
            nested().on(torch.tensor(sorted([bad, 0.0, 2.25]), dtype=torch.float64))
    with pytest.raises(ValueError, match="no derivative in it"):
        nested().on(GRADED.clone().requires_grad_())
    with pytest.raises(ValueError, match="no derivative"):
        NestedPath(GridPath(0, (), (1,)), GRADED.clone().requires_grad_())
    with pytest.raises(ValueError, match=r"channels \(m,\)"):
        NestedPath(GridPath(0, (2,), (3, 4)), GRADED).on(GRADED).draw(0, 1, ("A",))
