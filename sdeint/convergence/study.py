"""What a study found."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdeint import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Study:
    """Errors at several step sizes and the order that they show.

    Attributes
    ----------
    kind : str
        ``"strong"``, ``"weak"`` or ``"moments"``.
    method, problem : str
        Names.
    what : str
        How the error was found, in words.
    steps : tuple of int
        Numbers of steps, increasing.
    h : tuple of float
        Step sizes, positive also in backward studies.
    errors, lower, upper : tuple of float
        Errors in the unit of the state (or of the functional), and their confidence intervals.
    flags : tuple of str
        For each point ``""`` if the fit uses it, else why not: ``"rounding"``, ``"noise"`` (below
        its own confidence interval), ``"sign"`` (the error changes sign further down) or
        ``"coarse"``.
    order : float or None
        Fitted slope; None where too few points are left to tell.
    order_interval : tuple of two floats, or None
    confidence : float
        Of every interval here.
    paths : int
        Sampled paths; 0 for exact expectations.
    note : str
        What was done about points that do not lie on a line, or why there is no order.
    """

    kind: str
    method: str
    problem: str
    what: str
    steps: tuple[int, ...]
    h: tuple[float, ...]
    errors: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    flags: tuple[str, ...]
    order: float | None
    order_interval: tuple[float, float] | None
    confidence: float
    paths: int
    note: str

    @property
    def rows(self) -> list[tuple[int, float, float, float, float, str]]:
        """One ``(steps, h, error, lower, upper, flag)`` a step size."""
        columns = (self.steps, self.h, self.errors, self.lower, self.upper, self.flags)
        return list(zip(*columns))

    def agrees(self, order: float) -> bool:
        """Whether the interval of the order contains `order`; False where there is none."""
        if self.order_interval is None:
            return False
        return self.order_interval[0] <= order <= self.order_interval[1]

    @property
    def verdict(self) -> str:
        """The order in one line."""
        if self.order is None or self.order_interval is None:
            return f"no order: {self.note}"
        low, high = self.order_interval
        sure = "limits" if self.paths == 0 else f"{percent(self.confidence)} interval"
        note = f" ({self.note})" if self.note else ""
        return f"order {self.order:.3f}, {sure} [{low:.3f}, {high:.3f}]{note}"

    @property
    def title(self) -> str:
        """What was measured, in one line."""
        return f"{self.kind} convergence of {self.method} on {self.problem}: {self.what}"

    def __str__(self) -> str:
        head = (
            f"{'steps':>7}  {'h':>10}  {'error':>10}  {percent(self.confidence) + ' interval':>24}"
        )
        lines = [self.title, head]
        for steps, h, error, low, high, flag in self.rows:
            span = f"[{low:.3e}, {high:.3e}]"
            lines.append(f"{steps:>7}  {h:>10.4g}  {error:>10.3e}  {span:>24}  {flag}".rstrip())
        return "\n".join([*lines, self.verdict])

    def _repr_html_(self) -> str:
        head = ("steps", "h", "error", "lower", "upper", "")
        cells = [
            (str(n), f"{h:.4g}", f"{e:.3e}", f"{a:.3e}", f"{b:.3e}", flag)
            for n, h, e, a, b, flag in self.rows
        ]
        body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in cells)
        return (
            f"<p>{html.escape(self.title)}</p><table><tr>"
            + "".join(f"<th>{c}</th>" for c in head)
            + f"</tr>{body}</table><p>{html.escape(self.verdict)}</p>"
        )

    def plot(self, ax: Axes | None = None, *, guides: Sequence[float] | None = None) -> Axes:
        """Draw the errors with their intervals; see `sdeint.plots.convergence`.

        Parameters
        ----------
        ax : Axes, optional
            New ones if not given.
        guides : sequence of float, optional
            Slopes of guide lines; by default the multiple of 1/2 nearest to the order.
        """
        if guides is None:
            guides = () if self.order is None else (max(0.5, round(2 * self.order) / 2),)
        order = "" if self.order is None else f", order {self.order:.2f}"
        ax = plots.convergence(
            self.h,
            self.errors,
            lower=self.lower,
            upper=self.upper,
            used=[not flag for flag in self.flags],
            label=f"{self.method}{order}",
            guides=guides,
            ax=ax,
        )
        ax.set_ylabel({"strong": "root mean square error"}.get(self.kind, "weak error"))
        return ax


def percent(confidence: float) -> str:
    return f"{100 * confidence:.12g} %"
