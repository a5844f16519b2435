"""Steps fused with their random numbers, by `torch.compile`.

A *chunk* is a fixed number of steps, unrolled: the counter-based generator, the evaluations of f and
g and the sums between them become one graph.  For elementwise problems that is one loop over the
paths in which nothing but the state touches memory.  All that differs between chunks, solves, seeds
and grids enters as a tensor, so one compilation serves them all; and any number of paths, where
the batch has one axis.

Where only ends of chunks are wanted, and no gradient, the loop over chunks is part of the graph too
(`while_loop`, in C++): a call of a graph from Python costs as much as a hundred steps of one path.

Rejected: one graph a step, whose calls cost more than the steps of a small problem; a loop inside
the graph over single steps, between which nothing is fused; drawing the noise ahead, which sends it
through memory.
"""

from __future__ import annotations

import itertools
import types
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch._higher_order_ops.while_loop import while_loop

from sdeint.brownian.counters import Lanes
from sdeint.brownian.grid_path import unit_variables
from sdeint.brownian.path import DISCRETE, SHARED, STANDARD, UNIFORM
from sdeint.linear.flow import Flow, Kept
from sdeint.lowering import Coefficient, Program, Ratios, StepNumbers, Weight
from sdeint.problem import Field
from sdeint.stepping import Stepper
from sdeint.timeline import Timeline

__all__ = ["FUSED", "Chunk", "is_compiler_error", "steps_a_chunk", "why_not", "worth_compiling"]

Tensor = torch.Tensor
#: Variables whose generator is part of the graph; others, as Levy areas, are drawn ahead.
FUSED = ("W", "H", "K", *DISCRETE, *UNIFORM, *STANDARD)
#: Steps a chunk: multiples of the four that one call of the generator serves.  Code, and with it the
#: time to compile, grows with the steps; a single path has few numbers to a step and wants more.
#: The first and last steps of a grid, which fill no chunk, are eager; so the length must not depend
#: on how many paths there are, or the last bits of a path would.
SHORT, LONG = 4, 16

#: Numbers the copies of `_own_copy`.
_copies = itertools.count()

#: About what an eager step costs, on a core of 2020: seconds a call, and seconds a number.
_CALL, _ARITHMETIC, _NORMAL = 4e-5, 3e-9, 2e-8
#: Seconds of eager work that are worth a compilation.
_WORTH = 30.0


def steps_a_chunk(program: Program, batch: Sequence[int]) -> int:
    """Steps a chunk: long ones for a single path, which has no batch."""
    fewer = max(1, len(program.evaluations) // 2)
    return SHORT if batch else max(SHORT, LONG // fewer // 4 * 4)


def why_not(
    program: Program,
    timeline: Timeline,
    flow: Flow | None = None,
    sizes: Sequence[Hashable] = (),
) -> str:
    """Why the steps of a program cannot be compiled; empty if they can."""
    if program.clusters:
        return "the stages of an implicit method are solved until they converge"
    if timeline.grid.requires_grad:
        return "the times carry a gradient"
    if flow is not None and flow.varies:
        return "the phi functions of an L that depends on time differ from step to step"
    if flow is not None and len(set(sizes)) > 1:
        return "the phi functions of an exponential method are compiled for steps of one size"
    return ""


def is_compiler_error(error: Exception) -> bool:
    """Whether an error says that steps could not be compiled."""
    # Imported here: the compiler takes longer to import than all of this package.
    from torch._dynamo.exc import TorchDynamoException

    return isinstance(error, TorchDynamoException)


def worth_compiling(program: Program, numbers: int, steps: int) -> bool:
    """Whether eager steps would take much longer than compiling does."""
    evaluations = len(program.evaluations)
    number = evaluations * _ARITHMETIC + len(program.primitives) * _NORMAL
    return steps * (evaluations * _CALL + numbers * number) > _WORTH


class _Row(StepNumbers):
    """`StepNumbers` of one step, read from a row of a table."""

    def __init__(self, powers: dict[float, Tensor], values: dict[int, Tensor]) -> None:
        self.powers, self.values = powers, values

    def power(self, exponent: float) -> Any:
        return 1.0 if exponent == 0 else self.powers[exponent]

    def coefficient(self, coefficient: Coefficient) -> Any:
        return self.values[id(coefficient)] if callable(coefficient) else coefficient


class Chunk:
    """A fixed number of steps of a program as one compiled function.

    Parameters
    ----------
    program : Program
        Without clusters, whose iterations end by a look at their values.
    f, g, channels, sign, event_dims
        As of `Stepper`.
    steps : int
        How many, a multiple of 4.
    names : sequence of str
        The random variables of a step.
    fused : sequence of str
        Those of them, among `FUSED`, that the steps draw themselves.
    shape : tuple of int
        Of the noise of one path.
    every : bool
        Whether the values after all steps are returned, rather than after the last.
    loop : bool
        Whether one call does many chunks.
    flow : Flow, optional
        The linear part, for the program of an exponential method.
    """

    def __init__(
        self,
        program: Program,
        f: Field,
        g: Field,
        *,
        channels: int,
        sign: float,
        event_dims: int,
        steps: int,
        names: Sequence[str],
        fused: Sequence[str],
        shape: tuple[int, ...],
        every: bool,
        loop: bool,
        flow: Flow | None = None,
    ) -> None:
        self.channels = tuple(shape)
        self.program, self.steps, self.every, self.loop = program, steps, every, loop
        self.event_dims, self.backwards = event_dims, sign < 0
        self.fused = tuple(fused)
        self.given = tuple(name for name in names if name not in fused)
        self.stepper = Stepper(
            program, f, g, channels=channels, sign=sign, event_dims=event_dims, flow=flow
        )
        terms = [term for weight in _weights(program) for term in weight.terms]
        self.exponents = tuple(sorted({power for _, power, _ in terms} - {0.0}))
        self.functions = tuple({id(c): c for c, _, _ in terms if callable(c)}.values())
        options: dict[str, Any] = {}
        if loop or (steps > SHORT and flow is None):
            # Small steps spend their time between kernels: in C++ that takes half as long.
            options["cpp_wrapper"] = True
        if steps > SHORT:
            # Drifts stack their components; each would be a tensor, which costs more than its number.
            options["force_pointwise_cat"] = True
        work = _own_copy(_loop if loop else _run)
        self.compiled = torch.compile(work, fullgraph=True, options=options or None)

    def table(
        self,
        times: Tensor,
        widths: Tensor,
        ratios: Sequence[Ratios],
        scales: Mapping[str, Tensor],
    ) -> Tensor:
        """All numbers of some steps, one row a step: made at once, before the first of them.

        Parameters
        ----------
        times : tensor (steps, evaluations)
            Of the evaluations, float64.
        widths : tensor (steps,)
            Float64, positive.
        ratios : sequence of tuple of float
        scales : mapping of name to tensor (steps,)
            Of the variables in `fused`, on any device.
        """
        columns = [times, *(widths[:, None] ** power for power in self.exponents)]
        for function in self.functions:
            columns.append(torch.tensor([[function(r)] for r in ratios], dtype=torch.float64))
        columns += [scales[name].to("cpu", torch.float64)[:, None] for name in self.fused]
        return torch.cat(columns, dim=1)

    def __call__(
        self,
        y: Tensor,
        memory: list[Tensor],
        place: Tensor,
        table: Tensor,
        lanes: Lanes,
        shared_lane: Lanes,
        given: list[Tensor],
        made: dict[Any, Any],
    ) -> tuple[Tensor, list[Tensor]]:
        """The value after the chunk (or after each step of it), and what is remembered then.

        Parameters
        ----------
        y : tensor
        memory : list of tensors
        place : int64 tensor (steps / 4,)
            The generator's places, in the order of the path.
        table : tensor (steps, columns)
            Rows of `Chunk.table` in the state's precision.
        lanes, shared_lane : Lanes
            As `Lanes.traceable` gives them.
        given : list of tensors (steps, ...)
            The variables that are drawn ahead.
        made : dict
            What the steps' size makes of the linear part: `Kept.made`.
        """
        result: tuple[Tensor, list[Tensor]] = self.compiled(
            self, y, memory, place, table, lanes, shared_lane, given, made
        )
        return result

    def repeat(
        self,
        y: Tensor,
        memory: list[Tensor],
        places: Tensor,
        tables: Tensor,
        lanes: Lanes,
        shared_lane: Lanes,
        begin: Tensor,
        stop: Tensor,
    ) -> tuple[Tensor, list[Tensor]]:
        """The value after some chunks, of one that was made with `loop`.

        Parameters
        ----------
        y : tensor
        memory : list of tensors
        places : int64 tensor (chunks, steps / 4)
        tables : tensor (chunks, steps, columns)
        lanes, shared_lane : Lanes
        begin, stop : int64 tensors without axes
            Of the chunks, counted in `places` and `tables`.
        """
        y, *memory = self.compiled(self, y, memory, places, tables, lanes, shared_lane, begin, stop)
        return y, memory


def _loop(
    chunk: Chunk,
    y: Tensor,
    memory: list[Tensor],
    places: Tensor,
    tables: Tensor,
    lanes: Lanes,
    shared_lane: Lanes,
    begin: Tensor,
    stop: Tensor,
) -> tuple[Tensor, ...]:
    """What is compiled: a loop over chunks, the steps of each without one."""

    def unfinished(at: Tensor, *values: Tensor) -> Tensor:
        return at < stop

    def advance(at: Tensor, y: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        here = at.reshape(1)
        place, table = (x.index_select(0, here)[0] for x in (places, tables))
        y, kept = _run(chunk, y, list(memory), place, table, lanes, shared_lane, [], {})
        # Copies, for a loop's results must be neither each other nor what went in.
        return at + 1, *(x.clone(memory_format=torch.contiguous_format) for x in (y, *kept))

    ends: tuple[Tensor, ...] = while_loop(  # type: ignore[no-untyped-call]
        unfinished, advance, (begin, y, *memory)
    )
    return ends[1:]


def _run(
    chunk: Chunk,
    y: Tensor,
    memory: list[Tensor],
    place: Tensor,
    table: Tensor,
    lanes: Lanes,
    shared_lane: Lanes,
    given: list[Tensor],
    made: dict[Any, Any],
) -> tuple[Tensor, list[Tensor]]:
    """What is compiled: a chunk's steps, without a loop."""
    units = {name: _units(name, lanes, shared_lane, place, table.dtype) for name in chunk.fused}
    batch = y.shape[: y.ndim - chunk.event_dims]
    evaluations = len(chunk.program.evaluations)
    values = []
    kept = Kept(made)
    for n in range(chunk.steps):
        row = table[n].unbind()
        times, row = row[:evaluations], row[evaluations:]
        powers, row = row[: len(chunk.exponents)], row[len(chunk.exponents) :]
        functions, scales = row[: len(chunk.functions)], row[len(chunk.functions) :]
        at = chunk.steps - 1 - n if chunk.backwards else n
        noise = {name: tensor[n] for name, tensor in zip(chunk.given, given)}
        for name, scale in zip(chunk.fused, scales):
            unit = units[name][at]
            axes = (1,) * len(chunk.channels) if name in SHARED else chunk.channels
            noise[name] = (unit * scale).reshape(*batch, *axes).to(y.dtype)
        numbers = _Row(
            dict(zip(chunk.exponents, powers)),
            {id(function): value for function, value in zip(chunk.functions, functions)},
        )
        y, memory = chunk.stepper(y, times, numbers, noise, memory, kept=kept)
        values.append(y)
    return torch.stack(values) if chunk.every else y, memory


def _units(
    name: str, lanes: Lanes, shared_lane: Lanes, place: Tensor, dtype: torch.dtype
) -> list[Tensor]:
    """A variable of each step, (paths, channels), in the order of the path."""
    steps = 4 * len(place)
    if len(place) > 1:
        # All places at once: many numbers to each instruction, where the steps have few.
        quarters = unit_variables(name, lanes, shared_lane, place, dtype)
        return [quarters[n % 4][n // 4] for n in range(steps)]
    # Place by place: what a path needs of a place never leaves its loop.
    return [
        quarter[0]
        for n in range(0, steps, 4)
        for quarter in unit_variables(name, lanes, shared_lane, place[n // 4 : n // 4 + 1], dtype)
    ]


def _weights(program: Program) -> Iterator[Weight]:
    for c in program.outputs:
        yield from c.weights
    for evaluation in program.evaluations:
        for c in evaluation.argument:
            yield from c.weights


def _own_copy(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with a code object of its own.

    The compiler keeps what it compiled with the code object, and at most eight of it; and by the
    code's name it remembers which numbers differed, and makes variables of them. The numbers of two
    problems differ, but for each of them they are constants.
    """
    assert isinstance(function, types.FunctionType)
    name = f"{function.__name__}_{next(_copies)}"
    code = function.__code__.replace(co_name=name)
    return types.FunctionType(code, function.__globals__, name)
