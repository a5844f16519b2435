"""Joining the variables of neighbouring steps: Chen's relation for W, H, K and A.

Parts [s, u] and [u, t] of shares lam and mu, lam + mu = 1, of the whole:

    W = W1 + W2
    H = lam H1 + mu H2 + (mu W1 - lam W2)/2
    K = lam^2 K1 + mu^2 K2 + lam mu (H1 - H2)/2 + (mu - lam)(mu W1 - lam W2)/12
    A_kl = A1_kl + A2_kl + (W1_k W2_l - W2_k W1_l)/2

Under time reversal W, K and A change sign and H does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from sdeint.brownian import bridge
from sdeint.brownian.path import Steps

#: What joining a variable needs of the parts.
NEEDS = {"W": ("W",), "H": ("W", "H"), "K": ("W", "H", "K"), "A": ("W", "A")}
ODD = frozenset({"W", "K", "A"})
_AT_ONCE = 1 << 21

Values = Mapping[str, Tensor]
#: The variables of intervals from those of their two parts, and the lengths of these.
Join = Callable[[Values, Values, Tensor, Tensor], dict[str, Tensor]]


def reversed_steps(values: Values) -> dict[str, Tensor]:
    """The variables of the steps of the reversed path, the last step first."""
    return {n: -v.flip(0) if n in ODD else v.flip(0) for n, v in values.items()}


def join(one: Values, two: Values, first: Tensor, second: Tensor) -> dict[str, Tensor]:
    """The variables of intervals, from those of their two parts.

    Parameters
    ----------
    one, two : mapping of str to Tensor
        W, and H, K, A where they are wanted: (n, ...).
    first, second : Tensor
        Lengths of the parts, (n,).
    """
    w1, w2 = one["W"], two["W"]
    joined = {"W": w1 + w2}
    if "H" in one:
        shape = (-1, *(1,) * (w1.ndim - 1))
        first, second = first.to(w1).view(shape), second.to(w1).view(shape)
        joined["W"], joined["H"] = bridge.join(w1, one["H"], w2, two["H"], first, second)
        if "K" in one:
            lam, mu = first / (first + second), second / (first + second)
            joined["K"] = (
                (one["K"] * lam**2 + two["K"] * mu**2)
                + (one["H"] - two["H"]) * (lam * mu / 2)
                + (w1 * mu - w2 * lam) * ((mu - lam) / 12)
            )
    if "A" in one:
        outer = w1.unsqueeze(-1) * w2.unsqueeze(-2)
        joined["A"] = one["A"] + two["A"] + (outer - outer.transpose(-1, -2)) * 0.5
    return joined


def join_runs(
    values: Values, lengths: Tensor, runs: Tensor, join: Join = join
) -> tuple[dict[str, Tensor], Tensor]:
    """Join each run of neighbouring pieces into one, in pairs counted from the run's beginning.

    The order of additions within a run depends on the run alone.

    Parameters
    ----------
    values : mapping of str to Tensor
        (n, ...).
    lengths : Tensor
        Of the pieces, (n,).
    runs : Tensor
        int64: the number of pieces of each run, at least 1; their sum is n.
    join : callable
        `join`, or what else joins two pieces.
    """
    joined = dict(values)
    while len(lengths) > len(runs):
        halved = (runs + 1) // 2
        run = torch.repeat_interleave(torch.arange(len(runs)), halved)
        within = 2 * (torch.arange(len(run)) - (torch.cumsum(halved, 0) - halved)[run])
        left = (torch.cumsum(runs, 0) - runs)[run] + within
        paired = within + 1 < runs[run]
        first = left[paired]
        both = join(
            {n: _rows(v, first) for n, v in joined.items()},
            {n: _rows(v, first + 1) for n, v in joined.items()},
            lengths[first],
            lengths[first + 1],
        )
        total = lengths[left]
        total[paired] += lengths[first + 1]
        if len(first) < len(left):
            alone = {n: _rows(v, left) for n, v in joined.items()}
            for n, v in both.items():
                alone[n][paired.to(v.device)] = v
            both = alone
        joined, lengths, runs = both, total, halved
    return joined, lengths


def coarse_steps(
    fine: Steps,
    widths: Tensor,
    bounds: Tensor,
    names: Sequence[str],
    size: int,
    join: Join = join,
) -> dict[str, Tensor]:
    """The variables of coarse steps, each made of whole fine steps, in float64.

    The fine steps are drawn some at a time, and a long coarse step in aligned parts, so that the
    memory is bounded and the bits are the same however they are dealt out.

    Parameters
    ----------
    fine : Steps
    widths : Tensor
        Lengths of the fine steps, all of them.
    bounds : Tensor
        int64, increasing: coarse step i consists of the fine steps bounds[i] to bounds[i+1] - 1.
    names : sequence of str
        W, H, K and A; others need what `join` joins to be named too.
    size : int
        Numbers that one fine step fills.
    join : callable
        As of `join_runs`.
    """
    needed = tuple(dict.fromkeys(n for name in names for n in NEEDS.get(name, (name,))))
    at_once = 1 << max(0, (_AT_ONCE // max(1, size)).bit_length() - 1)
    runs = torch.diff(bounds)
    parts = (runs + at_once - 1) // at_once
    run = torch.repeat_interleave(torch.arange(len(runs)), parts)
    part = torch.arange(len(run)) - (torch.cumsum(parts, 0) - parts)[run]
    cuts = torch.cat([bounds[run] + part * at_once, bounds[-1:]])
    drawn: list[dict[str, Tensor]] = []
    lengths: list[Tensor] = []
    i = 0
    while i < len(run):
        j = int(torch.searchsorted(cuts, int(cuts[i]) + at_once, right=True)) - 1
        first, stop = int(cuts[i]), int(cuts[j])
        values = fine.draw(first, stop - first, needed)
        double = {n: v.to(torch.float64) for n, v in values.items()}
        joined, length = join_runs(double, widths[first:stop], torch.diff(cuts[i : j + 1]), join)
        drawn.append(joined)
        lengths.append(length)
        i = j
    pieces = {n: torch.cat([values[n] for values in drawn]) for n in needed}
    joined, _ = join_runs(pieces, torch.cat(lengths), parts, join)
    return {name: joined[name] for name in names}


def _rows(values: Tensor, rows: Tensor) -> Tensor:
    return values[rows.to(values.device)]
