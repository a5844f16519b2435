"""A solve whose drift someone else evaluates: it asks, and goes on when it is answered.

For hosts that own the loop and the call of the network, such as the pipelines of diffusers. The steps
are those of `sdeint.solve`, of any explicit method, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from sdeint.brownian import BrownianPath
from sdeint.errors import ProblemError
from sdeint.lowering import StepNumbers
from sdeint.problem import SDE
from sdeint.solving import prepare
from sdeint.stepping import Step
from sdeint.timeline import plan
from tableaux import Tableau

__all__ = ["Asking"]

Tensor = torch.Tensor


class Asking:
    """The steps of a method with additive noise of size one, one evaluation of the drift at a time.

    Parameters
    ----------
    y0 : tensor (batch, *event)
    t : sequence of float or tensor
        The grid of steps, increasing.
    method : str or Tableau
        Explicit, for additive noise.
    path : {"grid", "tree"} or BrownianPath or None
        None: no noise at all.

    Attributes
    ----------
    time : 0-dimensional tensor
        Where the drift is wanted next ...
    state : tensor
        ... and at which state.
    y : tensor
        The value after the last finished step.
    step : int
        How many steps are finished.
    finished : bool
        Whether all are; then `time` is the last time and `state` is `y`.

    Examples
    --------
    >>> asking = Asking(torch.ones(3, 1), [0.0, 0.5, 1.0], method="SRA1")
    >>> while not asking.finished:
    ...     asking.answer(-asking.state)
    >>> asking.step, float(asking.time)
    (2, 1.0)
    """

    def __init__(
        self,
        y0: Tensor,
        t: Any,
        *,
        method: str | Tableau,
        path: str | BrownianPath | None = "grid",
    ) -> None:
        dims = y0.ndim - 1
        if path is None:
            sde, path = SDE(_not_ours, noise="none", event_dims=dims), "grid"
        else:
            sde = SDE(_not_ours, lambda t, y: 1.0, noise="additive", event_dims=dims)
        self._run = prepare(sde, y0, plan(t, None, "end"), method, path=path)
        if any(program.clusters for program in (self._run.program, *self._run.first)):
            raise ProblemError(
                f"method {self._run.tableau.name!r} is implicit: it solves for its stages, so it "
                "must call the drift itself"
            )
        if self._run.tableau.random_nodes:
            raise ProblemError(
                f"method {self._run.tableau.name!r} evaluates the drift at random times, for each item "
                "its own, which whoever answers would not know of"
            )
        self.y, self.step, self.finished = y0, 0, False
        self.state: Tensor = y0
        self._memory: list[Tensor] = []
        self._begin()

    def answer(self, drift: Tensor) -> None:
        """Go on with the drift at `time` and `state`."""
        if self.finished:
            raise ProblemError("all steps are finished: nothing was asked")
        if drift.shape != self.state.shape:
            raise ProblemError(
                f"the drift has shape {tuple(drift.shape)}, but the state has "
                f"{tuple(self.state.shape)}"
            )
        self._step.values.append(drift)
        self._place += 1
        self._go_on()

    def put(self, y: Tensor) -> None:
        """Take `y` as the value of the step; what was answered in this step stays as it is."""
        self.y = y
        if self.finished:
            self.state = y
            return
        self._step.y = y
        self.state = self._step.argument(self._program.evaluations[self._place])

    @property
    def noise(self) -> Mapping[str, Tensor]:
        """The random variables of the step under way, each (batch, *event)."""
        return self._step.noise

    def gains(self) -> tuple[tuple[str, ...], Tensor, Tensor]:
        """How the random variables of the step under way enter it.

        Returns
        -------
        names : tuple of str
            The variables; see `tableaux.PRIMITIVES`.
        states : tensor (evaluations, names), float64
            The factor of each in the state at which the drift is evaluated.
        output : tensor (names,), float64
            The factor of each in the next value.
        """
        step, names = self._step, tuple(self._step.noise)
        unit = torch.eye(len(names), dtype=torch.float64)
        zero = torch.zeros(len(names), dtype=torch.float64)
        probe = Step(
            step.stepper,
            zero,
            step.numbers,
            dict(zip(names, unit)),
            [zero] * len(step.memory),
            self._run.starts[self.step],
        )
        states = [zero[None]]
        for evaluation, time in zip(self._program.evaluations, self._times):
            state = probe.argument(evaluation)
            if evaluation.drift:
                states.append(state[None])
                probe.values.append(zero)
            else:
                probe.values.append(probe.evaluate(evaluation, time, state).to(zero))
        return names, torch.cat(states[1:]), probe.output(self._program.outputs)

    def _begin(self) -> None:
        run, n = self._run, self.step
        stepper = run.stepper_of(n)
        noise = {name: values[0] for name, values in run.drawn(n, 1, self.y.dtype).items()}
        numbers = StepNumbers(run.spans[n], run.ratios[n])
        self._program, self._place = stepper.program, 0
        self._times = run.times(n, 1, stepper.program)[0]
        self._step = Step(stepper, self.y, numbers, noise, self._memory, run.starts[n])
        self._go_on()

    def _go_on(self) -> None:
        step, evaluations = self._step, self._program.evaluations
        while self._place < len(evaluations):
            evaluation, time = evaluations[self._place], self._times[self._place]
            state = step.argument(evaluation)
            if evaluation.drift:
                self.time, self.state = time, state
                return
            step.values.append(step.evaluate(evaluation, time, state))
            self._place += 1
        self.y = step.output(self._program.outputs)
        self._memory = [step.value(i) for i in self._program.keep]
        self.step += 1
        if self.step < self._run.timeline.steps:
            self._begin()
            return
        self.finished, self.state = True, self.y
        self.time = self._run.timeline.grid[-1].to(self.y.device, self._run.clock)


def _not_ours(t: Tensor, y: Tensor) -> Tensor:
    raise AssertionError("the drift is evaluated by whoever answers")
