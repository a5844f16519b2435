"""The few plots that this package draws, on any axes or on new ones.

matplotlib is imported when a plot is asked for, never before. New figures are plain `Figure`
objects: they work without a display, show themselves in a notebook, and are not held by pyplot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tableaux import Tableau

__all__ = ["convergence", "fan", "new_axes", "save", "stability", "work"]

Numbers = Sequence[float]


def new_axes(width: float = 5.0, height: float = 3.6) -> Axes:
    """Axes on a new figure that needs no display.

    Parameters
    ----------
    width, height : float
        In inches.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained").add_subplot()


def save(ax: Axes, path: str | PathLike[str]) -> None:
    """Write the figure of these axes to a file; the suffix says in which format."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.savefig(path, dpi=150)


def convergence(
    h: Numbers,
    errors: Numbers,
    *,
    lower: Numbers | None = None,
    upper: Numbers | None = None,
    used: Sequence[bool] | None = None,
    label: str = "",
    guides: Iterable[float] = (),
    ax: Axes | None = None,
) -> Axes:
    """Errors against step sizes on logarithmic axes, with interval bars and guide slopes.

    Parameters
    ----------
    h, errors : sequence of float
        Step sizes and errors; errors that are not positive are left out.
    lower, upper : sequence of float, optional
        Ends of the confidence intervals; a lower end of 0 is drawn to the bottom.
    used : sequence of bool, optional
        Points that are not used are drawn hollow.
    label : str
        For the legend.
    guides : iterable of float
        Slopes of grey lines through the error of the smallest step used.
    ax : Axes, optional
        New ones if not given.

    Returns
    -------
    Axes
        Its ``.figure.savefig(path)`` writes a file.
    """
    ax = new_axes() if ax is None else ax
    used = [True] * len(h) if used is None else used
    shown = [i for i in range(len(h)) if errors[i] > 0]
    solid = [i for i in shown if used[i]]
    colour = ax._get_lines.get_next_color()  # type: ignore[attr-defined]  # no public way to share it
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    if lower is not None and upper is not None:
        tiny = min((errors[i] for i in shown), default=1.0) * 1e-3
        for i in shown:
            ax.vlines(h[i], max(lower[i], tiny), max(upper[i], tiny), color=colour, lw=1.2)
    ax.plot(
        [h[i] for i in solid], [errors[i] for i in solid], "o-", color=colour, ms=4, label=label
    )
    hollow = [i for i in shown if not used[i]]
    ax.plot(
        [h[i] for i in hollow], [errors[i] for i in hollow], "o", color=colour, ms=4, mfc="none"
    )
    if solid:
        anchor = min(solid, key=lambda i: h[i])
        widest = max(h[i] for i in shown)
        for slope in guides:
            top = errors[anchor] * (widest / h[anchor]) ** slope
            ax.plot([h[anchor], widest], [errors[anchor], top], ":", color="0.5", lw=1)
            ax.annotate(f"{slope:.3g}", (widest, top), color="0.4", fontsize="small")
    ax.set_xlabel("step size h")
    ax.set_ylabel("error")
    if label:
        ax.legend(frameon=False, fontsize="small")
    return ax


def fan(
    t: Tensor,
    y: Tensor,
    *,
    quantiles: Numbers = (0.05, 0.25, 0.75, 0.95),
    paths: int = 8,
    exact_mean: Tensor | None = None,
    ax: Axes | None = None,
) -> Axes:
    """An ensemble over time: nested quantile bands, the median, and a few single paths.

    Parameters
    ----------
    t : Tensor
        Times, shape (T,).
    y : Tensor
        One coordinate of an ensemble, shape (T, paths).
    quantiles : sequence of float
        In (0, 1), an even number, paired from the outside in.
    paths : int
        How many paths to draw.
    exact_mean : Tensor, optional
        Shape (T,), drawn dashed.
    ax : Axes, optional
        New ones if not given.

    Raises
    ------
    ValueError
        If `y` is not (T, paths), or the quantiles do not pair.
    """
    if y.ndim != 2 or len(t) != len(y):
        raise ValueError(
            f"fan needs y of shape (T, paths) with T = {len(t)} times, but it is {tuple(y.shape)}; "
            "choose one coordinate, as in y[..., 0]"
        )
    levels = sorted(quantiles)
    if len(levels) % 2 or not all(0 < q < 1 for q in levels):
        raise ValueError(f"quantiles come in pairs within (0, 1), but are {tuple(quantiles)}")
    ax = new_axes() if ax is None else ax
    times, values = t.detach().double().cpu(), y.detach().double().cpu()
    bands = torch.quantile(values, torch.tensor([*levels, 0.5], dtype=values.dtype), dim=1)
    count = len(levels) // 2
    for i in range(count):
        ax.fill_between(
            times.numpy(),
            bands[i].numpy(),
            bands[len(levels) - 1 - i].numpy(),
            color="C0",
            alpha=0.5 / (count + 1),
            lw=0,
            label=f"{100 * (levels[-1 - i] - levels[i]):.0f} % of paths",
        )
    ax.plot(times.numpy(), values[:, :paths].numpy(), color="C0", lw=0.5, alpha=0.7)
    ax.plot(times.numpy(), bands[-1].numpy(), color="C0", lw=1.5, label="median")
    if exact_mean is not None:
        exact = exact_mean.detach().double().cpu()
        ax.plot(times.numpy(), exact.numpy(), "--", color="C1", lw=1.5, label="exact mean")
    ax.set_xlabel("t")
    ax.legend(frameon=False, fontsize="small")
    return ax


def work(
    curves: Mapping[str, tuple[Numbers, Numbers]],
    *,
    floor: float | None = None,
    xlabel: str = "evaluations",
    ylabel: str = "error",
    ax: Axes | None = None,
) -> Axes:
    """Errors against evaluations, one curve a method, on logarithmic axes.

    Parameters
    ----------
    curves : mapping
        Name -> (evaluations, errors), equally long.
    floor : float, optional
        The error that no method can beat (two halves of the data, say), drawn dashed.
    xlabel, ylabel : str
        Axis labels.
    ax : Axes, optional
        New ones if not given.

    Raises
    ------
    ValueError
        If a curve's two sequences differ in length.
    """
    for name, (evaluations, errors) in curves.items():
        if len(evaluations) != len(errors):
            raise ValueError(
                f"curve {name!r} has {len(evaluations)} evaluations but {len(errors)} errors"
            )
    ax = new_axes() if ax is None else ax
    for name, (evaluations, errors) in curves.items():
        ax.plot(list(evaluations), list(errors), "o-", ms=4, lw=1.2, label=name)
    if floor is not None:
        ax.axhline(floor, color="0.5", ls="--", lw=1, label="floor")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    if curves:
        ax.legend(frameon=False, fontsize="small")
    return ax


def stability(
    tableaux: Sequence[Tableau],
    *,
    z: tuple[float, float] = (-3.0, 0.5),
    k2: tuple[float, float] = (0.0, 4.0),
    points: int = 241,
    ax: Axes | None = None,
) -> Axes:
    """Where methods are mean-square stable for ``dX = lambda X dt + mu X dW``.

    Parameters
    ----------
    tableaux : sequence of Tableau
        All of one calculus; the equation's own region is that of the Ito calculus, ``2 z + k2 < 0``,
        or of the Stratonovich calculus, ``2 z + 2 k2 < 0``.
    z, k2 : (float, float)
        Ranges of ``lambda h`` and ``mu^2 h``.
    points : int
        Grid points an axis.
    ax : Axes, optional
        New ones if not given.

    Raises
    ------
    ValueError
        If the methods are of different calculi, or there is none.
    """
    import numpy as np

    from tableaux.stability import stability_region

    calculi = {tableau.calculus for tableau in tableaux}
    if len(calculi) != 1:
        raise ValueError(f"one plot shows methods of one calculus, not {sorted(calculi)}")
    ax = new_axes() if ax is None else ax
    across, up = np.linspace(*z, points), np.linspace(*k2, points)
    exact = -across * (2.0 if calculi == {"ito"} else 1.0)
    ax.fill_between(across, 0, np.clip(exact, 0, k2[1]), color="0.92", label="the equation itself")
    for i, tableau in enumerate(tableaux):
        inside = stability_region(tableau, across, up).astype(float)
        color = f"C{i % 10}"
        ax.contour(across, up, inside, levels=[0.5], colors=[color], linewidths=1.5)
        ax.plot([], [], color=color, label=tableau.name)
    ax.set_xlim(*z)
    ax.set_ylim(*k2)
    ax.set_xlabel("lambda h")
    ax.set_ylabel("mu^2 h")
    ax.legend(frameon=False, fontsize="small")
    return ax
