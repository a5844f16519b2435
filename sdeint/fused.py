"""The steps of a run in compiled chunks: where they begin, and what each is given."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import torch

from sdeint.brownian.grid_path import GridSteps
from sdeint.compiling import FUSED, Chunk, steps_a_chunk

if TYPE_CHECKING:
    from sdeint.running import Run

__all__ = ["FusedSteps"]

Tensor = torch.Tensor


class FusedSteps:
    """The steps of a run in compiled chunks.

    Attributes
    ----------
    range : tuple of int
        The steps (first, stop) that are done in chunks.
    block : int
        How many of them are done before the values are looked at.
    """

    def __init__(self, run: Run, y0: Tensor) -> None:
        self.run = run
        steps = run.timeline.steps
        self.own = run.variables if isinstance(run.variables, GridSteps) else None
        length = steps_a_chunk(run.program, run.path.batch)
        # Chunks begin where a call of the generator does, counted in the path's own order.
        start = (steps - 1) % 4 + 1 if run.sign < 0 else 4
        start = min(start, steps)
        self.range = (start, start + (steps - start) // length * length)
        inside = [s for s in run.timeline.saved if start < s < self.range[1]]
        every = any((s - start) % length for s in inside)
        names = tuple(sorted(run.program.primitives))
        fused = tuple(name for name in names if self.own is not None and name in FUSED)
        self.chunk = _chunk(run, length, names, fused, every)
        self.block = 64 * length
        if len(fused) < len(names):
            self.block = max(1, min(self.block, run.path.block_length()) // length) * length
        self.lanes = (run.path._lanes.traceable(), run.path._shared_lane.traceable())
        self.places = torch.arange(-(-steps // 4), device=run.path.device)
        self.one_axis = y0.ndim - run.sde.event_dims == 1 and len(y0) > 1

    def advance(
        self, y: Tensor, memory: list[Tensor], first: int, count: int, saved: Collection[int]
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Some chunks; also the values to be kept."""
        run, chunk = self.run, self.chunk
        steps, length = run.timeline.steps, chunk.steps
        scales = {}
        if self.own is not None:
            scales = {name: self.own.scale(name, first, count) for name in chunk.fused}
        table = chunk.table(
            run.node_times(first, count, run.program),
            torch.diff(run.timeline.grid[first : first + count + 1]).abs(),
            run.ratios[first : first + count],
            scales,
        )
        tables = torch.split(table.to(run.path.device, run.clock), length)
        ahead = run.drawn(first, count, y.dtype, chunk.given)
        given = [torch.split(ahead[name], length) for name in chunk.given]
        kept = []
        if self.one_axis:
            torch._dynamo.maybe_mark_dynamic(y, 0)
        for c, n in enumerate(range(first, first + count, length)):
            place = (steps - n - length if run.sign < 0 else n) // 4
            end, memory = chunk(
                y,
                memory,
                self.places[place : place + length // 4],
                tables[c],
                *self.lanes,
                [parts[c] for parts in given],
            )
            y = end[-1] if chunk.every else end
            kept += [
                end[m - n - 1] if chunk.every else end
                for m in range(n + 1, n + length + 1)
                if m in saved
            ]
        return y, memory, kept


def _chunk(
    run: Run, length: int, names: tuple[str, ...], fused: tuple[str, ...], every: bool
) -> Chunk:
    """The chunk of a problem, made once and kept with it."""
    sde, layout = run.sde, run.layout
    key = (sde.f, sde.g, run.program, layout.channels, run.sign, length, names, fused, every)
    chunk: Chunk | None = sde.chunks.get(key)
    if chunk is None:
        chunk = sde.chunks[key] = Chunk(
            run.program,
            sde.f,
            layout.g,
            channels=run.channels,
            sign=run.sign,
            event_dims=sde.event_dims,
            steps=length,
            names=names,
            fused=fused,
            shape=layout.channels,
            every=every,
        )
    return chunk
