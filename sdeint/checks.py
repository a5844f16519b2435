"""Bad input is refused at the door, with what was wrong, where, and what would be right.

The class of the noise is detected, not trusted: g is evaluated at a few states near the initial one.
That costs a handful of evaluations once, and turns a silently wrong order into a message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from sdeint.errors import ProblemError
from sdeint.problem import SDE, Field
from tableaux import Tableau
from tableaux.tableau import STEP_SYMBOLS

__all__ = ["Layout", "check_method", "checked_drift", "examine"]


@dataclass(frozen=True)
class Layout:
    """How the noise enters, as found by calling g once.

    Attributes
    ----------
    matrix : bool
        g is (*batch, d, m); otherwise it is elementwise.
    channels : tuple of int
        Shape of the noise of one path: the event shape, (1, ...) for scalar noise, or (m,).
    g : callable
        The diffusion, brought to exactly one of the two forms.
    """

    matrix: bool
    channels: tuple[int, ...]
    g: Field


def check_method(sde: SDE, tableau: Tableau) -> None:
    """Refuse a method for a calculus or a class of noise that it is not meant for."""
    family = sorted(map(str, tableau.free_symbols - STEP_SYMBOLS))
    if family:
        raise ProblemError(
            f"method {tableau.name!r} is a family: fix {', '.join(family)} with "
            "tableau.substitute(...) before solving"
        )
    if not tableau.accepts(sde.noise):
        meant = (
            "has no noise stages"
            if tableau.noise == "none"
            else f"is meant for {tableau.noise} noise and would lose its order on {sde.noise} noise"
        )
        raise ProblemError(f"method {tableau.name!r} {meant}; for it take {_names(sde)}")
    if tableau.calculus != sde.calculus and sde.noise not in ("additive", "none"):
        raise ProblemError(
            f"method {tableau.name!r} converges to the {_TITLES[tableau.calculus]} solution, but "
            f"the problem is {_TITLES[sde.calculus]}; for it take {_names(sde)}, or rewrite "
            "the drift with the correction term g' g / 2"
        )


_TITLES = {"ito": "Ito", "stratonovich": "Stratonovich"}


def _names(sde: SDE) -> str:
    """Methods that fit, the recommended ones by name."""
    from sdeint.choosing import PURPOSES, choose

    names = dict.fromkeys(choose(sde, purpose=purpose).method for purpose in PURPOSES)
    noise = "" if sde.noise == "none" else f" --noise {sde.noise}"
    same = "" if sde.noise in ("additive", "none") else f" --calculus {sde.calculus}"
    return f"{' or '.join(names)}, and those that `python -m sdeint methods{noise}{same}` lists"


def examine(sde: SDE, y0: torch.Tensor, t0: torch.Tensor) -> Layout:
    """Call g a few times and find out, or refuse, what it is.

    f is not called here: a network's evaluations are counted, so its first one is the solve's own,
    looked at by `checked_drift`.
    """
    if y0.ndim < sde.event_dims:
        raise ProblemError(
            f"y0 has shape {tuple(y0.shape)}, but event_dims={sde.event_dims} axes make up a state"
        )
    if not y0.is_floating_point():
        raise ProblemError(f"y0 must be a floating-point tensor, got {y0.dtype}")
    if not bool(torch.isfinite(y0).all()):
        raise ProblemError("y0 holds NaN or infinite values")
    y = y0.detach()
    with torch.no_grad():
        layout = _layout(sde, y, t0)
        _check_class(sde, layout, y, t0)
    return layout


def checked_drift(f: Field) -> Field:
    """The drift, with a look at what it returns: for the first step of a solve."""

    def drift(t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        value = f(t, y)
        _check_tensor("f", value, y)
        if value.shape != y.shape:
            raise ProblemError(
                f"f returned shape {tuple(value.shape)} for y of shape {tuple(y.shape)}; "
                "the drift must have the shape of the state"
            )
        return value  # type: ignore[no-any-return]

    return drift


class _Number:
    """A diffusion that is a number, as a tensor: the same one as long as the number is the same."""

    def __init__(self, g: Field) -> None:
        self.g = g
        self.last: tuple[object, torch.Tensor] | None = None

    def __call__(self, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        number = self.g(t, x)
        if isinstance(number, torch.Tensor) or torch.compiler.is_compiling():
            return torch.as_tensor(number, dtype=x.dtype, device=x.device)
        if self.last is None or self.last[0] != number:
            # Outside of inference mode, whose tensors a later solve with gradients could not use.
            with torch.inference_mode(False):
                self.last = number, torch.as_tensor(number, dtype=x.dtype, device=x.device)
        return self.last[1]


def _check_tensor(name: str, value: object, y: torch.Tensor) -> None:
    if not isinstance(value, torch.Tensor):
        raise ProblemError(f"{name} must return a tensor, got {type(value).__name__}")
    if value.device != y.device and value.ndim > 0:
        raise ProblemError(f"{name} returned a tensor on {value.device}, but y is on {y.device}")
    if value.dtype != y.dtype and value.ndim > 0:
        raise ProblemError(
            f"{name} returned {value.dtype} for y of {y.dtype}; make its constants and parameters "
            f"{y.dtype} (or y0 {value.dtype})"
        )


def _layout(sde: SDE, y: torch.Tensor, t0: torch.Tensor) -> Layout:
    event = tuple(y.shape[y.ndim - sde.event_dims :])
    if sde.noise == "none":
        # As scalar noise of size zero, which every method takes: one channel.
        return Layout(False, (1,) * sde.event_dims, sde.g)
    value = sde.g(t0, y)
    if sde.noise == "additive" and isinstance(value, (int, float)):
        return Layout(False, event, _Number(sde.g))
    _check_tensor("g", value, y)
    assert isinstance(value, torch.Tensor)
    shape, state = tuple(value.shape), tuple(y.shape)
    ones = (1,) * sde.event_dims
    expected = {
        "diagonal": f"{state}, one channel a component",
        "scalar": f"{state} or {(*state, 1)}, one channel for all components",
        "additive": f"{state}, or {(*state, 'm')} for m channels, or what broadcasts to them",
        "commutative": f"{(*state, 'm')} for m channels",
        "general": f"{(*state, 'm')} for m channels",
    }[sde.noise]
    elementwise = shape == state
    column = len(shape) == len(state) + 1 and shape[:-1] == state
    if sde.noise == "diagonal" and elementwise:
        return Layout(False, event, sde.g)
    if sde.noise == "scalar" and elementwise:
        return Layout(False, ones, sde.g)
    if sde.noise == "scalar" and column and shape[-1] == 1:
        g_column = sde.g
        return Layout(False, ones, lambda t, x: g_column(t, x)[..., 0])
    if sde.noise == "additive":
        if len(shape) <= len(state) and _broadcasts(shape, state):
            return Layout(False, event, sde.g)
        if len(shape) == len(state) + 1 and _broadcasts(shape[:-1], state):
            g_matrix = sde.g
            return _matrix_layout(
                sde, y, lambda t, x: g_matrix(t, x).expand(*x.shape, shape[-1]), shape[-1]
            )
    if sde.noise in ("commutative", "general") and column:
        return _matrix_layout(sde, y, sde.g, shape[-1])
    raise ProblemError(
        f"g returned shape {shape} for y of shape {state}; {sde.noise} noise needs {expected}"
    )


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    return all(a in (1, b) for a, b in zip(reversed(shape), reversed(to)))


def _matrix_layout(sde: SDE, y: torch.Tensor, g: Field, channels: int) -> Layout:
    if sde.event_dims != 1:
        raise ProblemError(
            f"{sde.noise} noise with a matrix g needs event_dims=1, got {sde.event_dims}; "
            "flatten the state"
        )
    if channels == 0:
        raise ProblemError("g has no channels (last axis of length 0)")
    return Layout(True, (channels,), g)


def _check_class(sde: SDE, layout: Layout, y: torch.Tensor, t0: torch.Tensor) -> None:
    if sde.noise == "additive":
        _check_additive(layout.g, y, t0)
    elif sde.noise == "diagonal":
        _check_diagonal(sde, layout.g, y, t0)
    elif sde.noise == "commutative" and layout.channels[0] > 1:
        _check_commutative(layout, y, t0)


def _probes(y: torch.Tensor) -> list[torch.Tensor]:
    # Fixed directions: the same problem is always judged alike.  Two scales, since a g that is flat
    # near y0 (a clamp, a relu) may still depend on the state further out.
    generator = torch.Generator().manual_seed(20240229)
    unit = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y)
    scale = max(1.0, float(y.abs().max())) if y.numel() else 1.0
    return [y + 0.1 * scale * unit, y - scale * unit]


def _check_additive(g: Field, y: torch.Tensor, t0: torch.Tensor) -> None:
    here = g(t0, y)
    for probe in _probes(y):
        there = g(t0, probe)
        if not torch.equal(there, here):
            difference = float((there - here).abs().max())
            raise ProblemError(
                "noise='additive', but g depends on the state: moving y changed g by up to "
                f"{difference:.3g}; declare noise='diagonal', 'scalar', 'commutative' or 'general'"
            )


def _check_diagonal(sde: SDE, g: Field, y: torch.Tensor, t0: torch.Tensor) -> None:
    event = tuple(y.shape[y.ndim - sde.event_dims :])
    size = 1
    for length in event:
        size *= length
    if size < 2:
        return
    # Move every second component: the values at the others must not change.
    moved = (torch.arange(size, device=y.device) % 2 == 0).reshape(event)
    here = g(t0, y)
    for probe in _probes(y):
        there = g(t0, torch.where(moved, probe, y))
        changed = (there != here) & ~moved & torch.isfinite(there) & torch.isfinite(here)
        if bool(changed.any()):
            raise ProblemError(
                "noise='diagonal', but component i of g depends on other components of the state; "
                "write g as a matrix (*batch, d, d) with torch.diag_embed and declare "
                "noise='commutative' or 'general'"
            )


def _check_commutative(layout: Layout, y: torch.Tensor, t0: torch.Tensor) -> None:
    def columns(x: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = layout.g(t0, x)
        return value

    probe = _probes(y)[0]
    value = columns(probe)
    derivative = _along_columns(columns, probe, value)
    if derivative is None:
        return
    gap = (derivative - derivative.transpose(-1, -2)).abs().max()
    size = derivative.abs().max()
    if bool(gap > 1e3 * torch.finfo(y.dtype).eps * size):
        raise ProblemError(
            "noise='commutative', but g_k' g_l differs from g_l' g_k by up to "
            f"{float(gap):.3g}; declare noise='general'"
        )


def _along_columns(
    columns: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, value: torch.Tensor
) -> torch.Tensor | None:
    """g_k' g_l as (*batch, d, k, l); None where g has no forward derivative."""
    try:
        return torch.stack(
            [
                torch.func.jvp(columns, (x,), (value[..., i].contiguous(),))[1]
                for i in range(value.shape[-1])
            ],
            dim=-1,
        )
    except (NotImplementedError, RuntimeError):
        # A g without forward-mode derivative (a custom kernel) cannot be examined; its class is then
        # the user's word, as in every other library.
        return None
