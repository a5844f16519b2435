"""The steps of a run in compiled chunks: where they begin, and what each is given."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import torch

from sdeint.brownian.grid_path import GridSteps
from sdeint.brownian.nested_path import NestedPath
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
        # Chunks begin where a call of the generator does, counted in the path's own order; the first
        # steps of a method with memory are not those of the chunk.
        start = (steps - 1) % 4 + 1 if run.sign < 0 else 4
        # An exponential method keeps what its steps' size makes of L in the second step.
        eager = max(len(run.starters), 1 if run.flow is None else 2)
        start += 4 * math.ceil(max(0, eager - start) / 4)
        start = min(start, steps)
        self.range = (start, start + (steps - start) // length * length)
        inside = [s for s in run.timeline.saved if start < s < self.range[1]]
        self.every = any((s - start) % length for s in inside)
        names = tuple(sorted(run.program.primitives))
        if run.flow is not None:
            # Functionals of L and the path: steps make them of what a grid's own path draws;
            # other paths may draw them as they stand.
            names = run.needs if self.own else tuple(run.drawn(0, 1, y0.dtype))
        fused = tuple(name for name in names if self.own is not None and name in FUSED)
        self.names, self.variables = names, fused
        # A single path's steps cost less than what is done once a block.
        self.length, self.block = length, length * (64 if run.path.batch else 256)
        if len(fused) < len(names):
            self.block = max(1, min(self.block, run.path.block_length()) // length) * length
        keys = run.path.fine_path if isinstance(run.path, NestedPath) else run.path
        self.lanes = (keys._lanes.traceable(), keys._shared_lane.traceable())
        self.quarters = torch.arange(length // 4, device=run.path.device)
        # Only the processor's loops are in C++, where other devices have Python between kernels; and
        # not those of transforms, whose numbers are complex.
        in_cpp = run.path.device.type == "cpu" and run.flow is None
        self.loops = in_cpp and not self.every and fused == names
        self.one_axis = y0.ndim - run.sde.event_dims == 1 and len(y0) > 1

    def advance(
        self, y: Tensor, memory: list[Tensor], first: int, count: int, saved: Collection[int]
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Some chunks; also the values to be kept."""
        run = self.run
        steps, length = run.timeline.steps, self.length
        loop = self.loops and not any(x.requires_grad for x in (y, *memory))
        chunk = self.chunk(loop)
        scales = {}
        if self.own is not None:
            scales = {name: self.own.scale(name, first, count) for name in chunk.fused}
        table = chunk.table(
            run.node_times(first, count, run.program),
            torch.diff(run.timeline.grid[first : first + count + 1]).abs(),
            run.ratios[first : first + count],
            scales,
        )
        ends = range(first + length, first + count + 1, length)
        tables = table.to(run.path.device, run.clock).reshape(len(ends), length, -1)
        starts = torch.arange(first, first + count, length, device=run.path.device)
        starts = steps - starts - length if run.sign < 0 else starts
        places = starts[:, None] // 4 + self.quarters
        y, memory = y.contiguous(), [x.contiguous() for x in memory]
        if self.one_axis:
            torch._dynamo.maybe_mark_dynamic(y, 0)
        if loop:
            return self.looped(chunk, y, memory, places, tables, ends, saved)
        ahead = run.drawn(first, count, y.dtype, chunk.given)
        given = [torch.split(ahead[name], length) for name in chunk.given]
        made: dict[Any, Any] = {}
        if run.flow is not None:
            made = run.flow.kept(run.starts[1], run.sign * run.spans[1], run.ratios[1]).made
        kept = []
        for c, end in enumerate(ends):
            parts = [part[c] for part in given]
            values, memory = chunk(y, memory, places[c], tables[c], *self.lanes, parts, made)
            y = values[-1] if chunk.every else values
            kept += [
                values[m - end - 1] if chunk.every else values
                for m in range(end - length + 1, end + 1)
                if m in saved
            ]
        return y, memory, kept

    def looped(
        self,
        chunk: Chunk,
        y: Tensor,
        memory: list[Tensor],
        places: Tensor,
        tables: Tensor,
        ends: Sequence[int],
        saved: Collection[int],
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """`advance` with one call from each value that is kept to the next."""
        # All blocks have the size of the first one, so that they share a graph.
        missing = self.block // self.length - len(ends)
        places, tables = (
            torch.cat((x, x[:1].expand(missing, *x.shape[1:]))) for x in (places, tables)
        )
        kept = []
        begin = 0
        for stop, end in enumerate(ends, 1):
            if end in saved or stop == len(ends):
                bounds = (torch.tensor(n, device=y.device) for n in (begin, stop))
                y, memory = chunk.repeat(y, memory, places, tables, *self.lanes, *bounds)
                begin = stop
                if end in saved:
                    kept.append(y)
        return y, memory, kept

    def chunk(self, loop: bool) -> Chunk:
        """The chunk of the problem, made once and kept with it."""
        run = self.run
        sde, layout, every = run.sde, run.layout, self.every
        key = (
            sde.f, sde.g, run.program, layout.channels, run.sign, self.length, self.names,
            self.variables, every, loop,
            None if run.flow is None else (run.flow.dtype, run.flow.device, run.flow.event),
        )  # fmt: skip
        chunk: Chunk | None = sde.chunks.get(key)
        if chunk is None:
            chunk = sde.chunks[key] = Chunk(
                run.program,
                run.drift,
                layout.g,
                channels=run.channels,
                sign=run.sign,
                event_dims=sde.event_dims,
                steps=self.length,
                names=self.names,
                fused=self.variables,
                shape=layout.channels,
                every=every,
                loop=loop,
                flow=None if run.flow is None else run.flow.empty(),
            )
        return chunk
