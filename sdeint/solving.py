"""Fixed-step solution of an SDE by any tableau."""

from __future__ import annotations

import math
from typing import Any

import torch

from sdeint.brownian import BrownianPath, GridPath, NestedPath, TreePath
from sdeint.checks import Layout, check_method, examine
from sdeint.choosing import choose
from sdeint.errors import ProblemError
from sdeint.linear.flow import Flow
from sdeint.linear.noise import modes
from sdeint.linear.operators import Scalar, Transformed
from sdeint.newton import Newton
from sdeint.problem import SDE, SemilinearSDE
from sdeint.running import Run
from sdeint.solution import Solution
from sdeint.timeline import Timeline, plan
from tableaux import Tableau, TableauError, catalogue

__all__ = ["prepare", "resolve_method", "solve"]

Tensor = torch.Tensor


def solve(
    sde: SDE,
    y0: Tensor,
    t: Any,
    *,
    method: str | Tableau = "EM",
    steps: int | None = None,
    seed: int | Tensor = 0,
    path: str | BrownianPath = "grid",
    save_at: Any = None,
    first_path: int = 0,
    purpose: str = "paths",
    newton: Newton | None = None,
    compile: bool | str = "auto",
    progress: bool = False,
) -> Solution:
    r"""Solve an SDE along Brownian paths, with fixed steps.

    Parameters
    ----------
    sde : SDE
    y0 : tensor (\*batch, \*event)
        Initial values, one for each path; floating-point of any precision, on any device.  The
        noise of a state in half precision is drawn in float32.
    t : sequence of float or tensor
        The times to return, the first being that of `y0`; increasing or decreasing.  On a decreasing
        grid the Brownian path runs backwards: a Stratonovich method retraces its path, and an Ito
        integral is a backward Ito integral.
    method : str or Tableau
        A name of `tableaux.catalogue`, or any tableau; ``"auto"`` picks one by noise class, calculus
        and purpose, and the solution's ``stats`` say which and why.
    steps : int, optional
        Number of uniform steps from ``t[0]`` to ``t[-1]``; times in between that fall into a step
        divide it.  Without it, `t` itself is the grid of steps.
    seed : int or int64 tensor
        Seed of the paths; a tensor of shape `batch` gives each item its own.
    path : {"grid", "tree"} or BrownianPath
        ``"grid"``: cheapest; another grid is another path.  ``"tree"``: one path for every grid.
        Or a path of your own, whose batch and channels must fit.
    save_at : optional
        ``None``: at `t`; ``"end"``; ``"all"`` steps; or a sequence of times, which are landed on.
    first_path : int
        Index of the first path of the batch, so that a part of a batch reproduces that part.
    purpose : {"paths", "moments"}
        What ``"auto"`` picks a method for: each path, or expectations only.
    newton : Newton, optional
        How the stages of an implicit method are solved.
    compile : {"auto", True, False}
        Whether steps are fused with their random numbers by `torch.compile`, which takes seconds
        once for a problem and method: ``"auto"`` does where the work is worth it.  The numbers are
        the same to rounding.  See `sdeint.compiling`.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Solution
        ``.t`` (T,), ``.y`` (T, \*y0.shape) and ``.stats``.

    Raises
    ------
    ProblemError
        If the problem, the method, the times or the path do not fit together, or `compile` is True
        where it cannot be.
    NonFiniteError
        If a path becomes NaN or infinite, with time, step and path index.
    StageError
        If the stages of an implicit method are not solved on a path.

    Examples
    --------
    >>> import torch, sdeint
    >>> sde = sdeint.SDE(lambda t, y: -y, lambda t, y: 0.5 + 0 * y, noise="additive")
    >>> solution = sdeint.solve(sde, torch.ones(1000, 1), [0.0, 1.0], method="SRA1", steps=20)
    >>> solution
    Solution(t=0..1 (2 times), y=(2, 1000, 1) float32, SRA1: 20 steps, 40 f and 40 g evaluations)
    """
    if not isinstance(y0, torch.Tensor):
        raise ProblemError(f"y0 must be a tensor, got {type(y0).__name__}")
    chosen, layout = "", None
    timeline = plan(t, steps, save_at)
    if isinstance(method, str) and method == "auto":
        layout = _layout(sde, y0, timeline)
        exact = isinstance(sde, SemilinearSDE) and _exact_noise(sde, y0, layout, path)
        choice = choose(sde, purpose=purpose, discrete=path == "grid", exact=exact)
        method, chosen = choice.method, choice.reason
    run = prepare(sde, y0, timeline, method, seed, path, first_path, newton, layout)
    return run(y0, compile, progress, chosen)


def prepare(
    sde: SDE,
    y0: Tensor,
    timeline: Timeline,
    method: str | Tableau,
    seed: int | Tensor = 0,
    path: str | BrownianPath = "grid",
    first_path: int = 0,
    newton: Newton | None = None,
    layout: Layout | None = None,
) -> Run:
    """What `solve` does before the first step; its arguments, and the layout where it is known."""
    tableau = resolve_method(method)
    check_method(sde, tableau)
    if not isinstance(sde, SemilinearSDE):
        tableau = tableau.without_linear_part
    clock = _clock(y0)
    layout = _layout(sde, y0, timeline) if layout is None else layout
    flow = _flow(sde, tableau, y0, timeline)
    layout = _with_channel_axis(layout, tableau, sde, flow)
    driver = _driver(path, sde, layout, y0, clock, timeline, seed, first_path)
    return Run(sde, layout, tableau, timeline, driver, clock, newton, flow)


def resolve_method(method: str | Tableau) -> Tableau:
    """The tableau that a method argument means."""
    if isinstance(method, Tableau):
        return method
    if not isinstance(method, str):
        raise ProblemError(
            f"method must be a name or a Tableau, got {type(method).__name__}; names are "
            + ", ".join(catalogue)
        )
    try:
        return catalogue[method]
    except TableauError as error:
        raise ProblemError(str(error)) from None


def _clock(y0: Tensor) -> torch.dtype:
    """The precision of times and noise."""
    return y0.dtype if y0.dtype in (torch.float32, torch.float64) else torch.float32


def _layout(sde: SDE, y0: Tensor, timeline: Timeline) -> Layout:
    """What the equation's noise looks like, from its first time."""
    return examine(sde, y0, timeline.grid[0].detach().to(y0.device, _clock(y0)))


def _exact_noise(sde: SemilinearSDE, y0: Tensor, layout: Layout, path: object) -> bool:
    """Whether each mode of L can be given its exact noise."""
    if layout.matrix or not sde.operator.own_noise:
        return False
    event = tuple(y0.shape[y0.ndim - sde.event_dims :])
    if layout.channels != event and not isinstance(sde.operator, Scalar):
        return False
    if isinstance(sde.operator, Transformed) and (
        sde.noise != "additive" or isinstance(path, NestedPath)
    ):
        return False
    return path == "grid" or isinstance(path, (GridPath, NestedPath))


def _flow(sde: SDE, tableau: Tableau, y0: Tensor, timeline: Timeline) -> Flow | None:
    """The linear part, where a method treats it apart."""
    if isinstance(sde, SemilinearSDE) and tableau.exponential:
        operator = sde.operator
    elif modes(tableau.primitives):
        # Parts of a step are functionals of the path also where there is no L.
        operator = Scalar(0.0)
    else:
        return None
    first, last = timeline.grid.detach()[[0, -1]].tolist()
    return operator.flow(y0, sde.event_dims, (first, last))


def _with_channel_axis(layout: Layout, tableau: Tableau, sde: SDE, flow: Flow | None) -> Layout:
    """Give elementwise noise its channel axis where a method needs to tell channels apart.

    Elementwise noise lets all channels share one stage, because channel k sees component k only.
    A drift that is evaluated at the stage of each channel mixes components, so it must see them all.
    A single channel has no others to be told from.
    """
    mixes = any(
        b.replication == "pair" or (b.replication == "channel" and b.colour == "drift")
        for b in tableau.blocks
    )
    if flow is not None and (flow.dense or flow.transforms) and sde.noise != "additive":
        # So does a linear part that mixes components, between the stages of channels.
        mixes |= any(b.replication == "channel" for b in tableau.blocks)
    if layout.matrix or not mixes or math.prod(layout.channels) == 1:
        return layout
    if len(layout.channels) != 1:
        raise ProblemError(
            f"method {tableau.name!r} needs a stage for each channel; it runs on states with one "
            f"event axis, not on noise of shape {layout.channels}"
        )
    g = layout.g
    return Layout(True, layout.channels, lambda t, y: torch.diag_embed(g(t, y).expand(y.shape)))


def _driver(
    path: str | BrownianPath,
    sde: SDE,
    layout: Layout,
    y0: Tensor,
    clock: torch.dtype,
    timeline: Timeline,
    seed: int | Tensor,
    first_path: int,
) -> BrownianPath:
    """The Brownian path that drives the solve."""
    batch = tuple(y0.shape[: y0.ndim - sde.event_dims])
    if isinstance(path, BrownianPath):
        if (path.batch, path.channels) != (batch, layout.channels):
            raise ProblemError(
                f"the path has batch {path.batch} and channels {path.channels}, but y0 and g need "
                f"batch {batch} and channels {layout.channels}"
            )
        if path.device != y0.device or path.dtype != clock:
            raise ProblemError(
                f"the path gives {path.dtype} on {path.device}, but y0 is {y0.dtype} on {y0.device}"
                + (f", whose noise is {clock}" if clock != y0.dtype else "")
            )
        return path
    options: dict[str, Any] = {"dtype": clock, "device": y0.device, "first_path": first_path}
    if path == "grid":
        return GridPath(seed, batch, layout.channels, **options)
    if path == "tree":
        if timeline.grid.requires_grad:
            raise ProblemError(
                "a tree path is a fixed function of time and has no derivative in it; "
                "use path='grid' for gradients with respect to times"
            )
        ends = sorted((float(timeline.grid[0]), float(timeline.grid[-1])))
        return TreePath(seed, batch, layout.channels, t0=ends[0], t1=ends[1], **options)
    raise ProblemError(f"path must be 'grid', 'tree' or a BrownianPath, got {path!r}")
