"""Weak errors without sampling noise: every outcome of a step's random variables is enumerated.

Discrete variables have finitely many outcomes; the Gaussian ones W, H and K are replaced by
Gauss-Hermite nodes, which give the exact mean of any polynomial of low degree, and one step of an
explicit method on a polynomial equation is a polynomial in them.  This is a check on proofs that
shares nothing with them but the tableau: it runs the method.

Linear equations close under moments, so that errors at a final time are available; but they only
see trees without branches above the root.  For nonlinear equations :func:`one_step_mean` gives
local errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from tableaux.blocks import Coupling, Output
from tableaux.errors import TableauError
from tableaux.memory import Nothing
from tableaux.tableau import Tableau
from tableaux.variables import PRIMITIVES, variables
from tableaux.weights import Weights, Where, primitives_of

__all__ = [
    "linear_moment_error",
    "observed_linear_order",
    "one_step_mean",
    "second_moment_step",
]

Array = NDArray[np.float64]
Field = Callable[[Array], Array]
Outcomes = dict[tuple[str, Where], Array]

SWEEPS = 400


def outcomes(tableau: Tableau, channels: int, h: float, nodes: int = 6) -> tuple[Outcomes, Array]:
    """Every joint outcome of the primitives of one step, and its probability.

    Parameters
    ----------
    tableau : Tableau
    channels : int
    h : float
        Step size.
    nodes : int
        Gauss-Hermite nodes for each Gaussian primitive: means of degree up to ``2 nodes - 1`` are
        exact.

    Returns
    -------
    dict of (name, indices) to array of shape (n,), and array of shape (n,)
    """
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    w = w / w.sum()
    laws: dict[str, tuple[Array, Array]] = {
        "W": (x * np.sqrt(h), w),
        "H": (x * np.sqrt(h / 12), w),
        "K": (x * np.sqrt(h / 720), w),
        "theta": (np.sqrt(3 * h) * np.array([-1.0, 0.0, 1.0]), np.array([1, 4, 1]) / 6),
        "xi": (
            np.sqrt(h * (2 + np.array([1, -1, -1, 1]) * np.sqrt(3))) * np.array([-1, -1, 1, 1]),
            (3 + np.array([-1, 1, 1, -1]) * np.sqrt(3)) / 12,
        ),
        "sign": (np.array([-1.0, 1.0]), np.array([0.5, 0.5])),
        "eta": (np.array([-1.0, 1.0]), np.array([0.5, 0.5])),
        "u": _uniform(nodes),
    }
    found = primitives_of(tableau, channels)
    keys = [key for key in found if key[0] != "bridge"]
    for name, _ in keys:
        if name not in laws:
            raise TableauError(
                f"tableau {tableau.name!r}: the outcomes of {name!r} "
                f"({PRIMITIVES[name].meaning}) cannot be "
                "enumerated; only discrete and Gaussian variables can"
            )
    grids = np.meshgrid(*(laws[name][0] for name, _ in keys), indexing="ij")
    weights = np.array([np.prod(p) for p in product(*(laws[name][1] for name, _ in keys))])
    values = {key: grid.reshape(-1) for key, grid in zip(keys, grids)}
    if len(keys) < len(found):
        u = values["u", ()]
        values["bridge", ()] = np.sqrt(12 * u * (1 - u))
    return values, weights.reshape(-1)


def _uniform(nodes: int) -> tuple[Array, Array]:
    """The rule of Gauss and Legendre on (0, 1)."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    return (x + 1) / 2, w / 2


class _Step:
    """One step on arrays: state axis first, outcomes last."""

    def __init__(self, tableau: Tableau, channels: int, h: float, nodes: int) -> None:
        if tableau.free_symbols or any(b.remembers for b in tableau.blocks):
            raise TableauError(
                f"tableau {tableau.name!r}: moments need a one-step method without free symbols"
            )
        tableau = tableau.without_linear_part
        self.tableau = tableau
        self.channels = channels
        self.h = h
        self.values, self.weights = outcomes(tableau, channels, h, nodes)
        # Only the list of sources is used: no weight is computed.
        self._graph: Weights[Any, Any] = Weights(tableau, channels, Nothing())
        every = range(1, channels + 1)
        copies: dict[str, list[Where]] = {
            "once": [()],
            "channel": [(k,) for k in every],
            "pair": [(k, r) for k in every for r in every if k != r],
        }
        self.copies = [(b, where) for b in tableau.blocks for where in copies[b.replication]]

    def label(self, part: Coupling | Output, channels: tuple[int, ...]) -> Array:
        total = np.zeros_like(self.weights)
        for coefficient, power, monomial in variables[part.label].terms(*(channels or (1, 1))):
            term = np.full_like(self.weights, float(coefficient) * self.h ** float(power))
            for key, exponent in monomial:
                term = term * self.values[key] ** exponent
            total = total + term
        return total

    def run(self, f: Field, g: Sequence[Field], x: Array) -> Array:
        """The new state for each outcome; ``x`` broadcasts against the outcomes."""
        start = np.broadcast_to(x, (*x.shape[:-1], self.weights.size)).astype(float)
        stages = {
            (block.name, where, s): start
            for block, where in self.copies
            for s in range(block.stages)
        }
        parts = []
        for coupling in self.tableau.couplings:
            target, source = (
                self.tableau.block(coupling.target),
                self.tableau.block(coupling.source),
            )
            for block, where in self.copies:
                if block.name != target.name:
                    continue
                for colour in range(self.channels + 1):
                    for there, label in self._graph.sources(source, coupling, colour, where):
                        z = self.label(coupling, label)
                        for i, j, entry in coupling.entries():
                            key = (target.name, where, i)
                            parts.append((key, (source.name, there, j), colour, float(entry) * z))
        fields = [f, *g]
        for _ in range(SWEEPS):
            new = dict.fromkeys(stages, start)
            seen: dict[tuple[Any, int], Array] = {}
            for key, origin, colour, factor in parts:
                if (origin, colour) not in seen:
                    seen[origin, colour] = fields[colour](stages[origin])
                new[key] = new[key] + factor * seen[origin, colour]
            moved = max((float(np.max(np.abs(new[k] - stages[k]))) for k in stages), default=0.0)
            stages = new
            if moved <= 1e-15:
                break
        else:
            raise TableauError(
                f"tableau {self.tableau.name!r}: the stages did not settle at h = {self.h}"
            )
        total = start
        for output in self.tableau.outputs:
            source = self.tableau.block(output.source)
            for colour in range(self.channels + 1):
                for there, label in self._graph.sources(source, output, colour, None):
                    z = self.label(output, label)
                    for j, entry in output.entries():
                        value = fields[colour](stages[source.name, there, j])
                        total = total + float(entry) * z * value
        return total


def one_step_mean(
    tableau: Tableau,
    f: Field,
    g: Sequence[Field],
    x0: Sequence[float],
    h: float,
    functional: Callable[[Array], Array],
    nodes: int = 6,
) -> float:
    """E functional(X_1) after one step, over all outcomes.

    Parameters
    ----------
    tableau : Tableau
        Without memory; an implicit one is iterated to a fixed point.
    f, g : callables
        Autonomous vector fields: arrays of shape (d, n) to the same shape; one g for each channel.
    x0 : sequence of d floats
    h : float
    functional : callable
        Array of shape (d, n) to (n,).
    """
    step = _Step(tableau, len(g), h, nodes)
    state = np.asarray(x0, dtype=float)[:, None]
    return float(functional(step.run(f, g, state)) @ step.weights)


def second_moment_step(
    tableau: Tableau, drift: Array, noises: Iterable[Array], h: float, nodes: int = 6
) -> Array:
    """E[M (x) M] of one step X+ = M X on ``dX = A X dt + sum_k B_k X dW_k``.

    Parameters
    ----------
    drift : array (d, d)
    noises : iterable of arrays (d, d)

    Returns
    -------
    array (d^2, d^2)
    """
    matrices = [np.asarray(b, dtype=float) for b in noises]
    drift = np.asarray(drift, dtype=float)
    step = _Step(tableau, len(matrices), h, nodes)

    def field(matrix: Array) -> Field:
        return lambda x: np.einsum("ij,jkn->ikn", matrix, x)

    eye = np.eye(drift.shape[0])[:, :, None]
    m = step.run(field(drift), [field(b) for b in matrices], eye)
    d = drift.shape[0]
    moments: Array = np.einsum("ijn,kln,n->ikjl", m, m, step.weights).reshape(d * d, d * d)
    return moments


def _exact_generator(drift: Array, noises: Sequence[Array], calculus: str) -> Array:
    """The operator whose exponential moves E[X (x) X]."""
    a = np.array(drift, dtype=float)
    if calculus == "stratonovich":
        a = a + sum((b @ b for b in noises), np.zeros_like(a)) / 2
    eye = np.eye(a.shape[0])
    total = np.kron(a, eye) + np.kron(eye, a)
    moved: Array = total + sum((np.kron(b, b) for b in noises), np.zeros_like(total))
    return moved


def linear_moment_error(
    tableau: Tableau,
    drift: Array,
    noises: Sequence[Array],
    *,
    t: float = 1.0,
    steps: int,
    nodes: int = 6,
) -> float:
    """Largest error among all second moments at time ``t``, over all starts; parameters as above."""
    one = second_moment_step(tableau, drift, noises, t / steps, nodes)
    exact = expm(t * _exact_generator(drift, noises, tableau.calculus))
    return float(np.max(np.abs(np.linalg.matrix_power(one, steps) - exact)))


def observed_linear_order(
    tableau: Tableau,
    drift: Array,
    noises: Sequence[Array],
    *,
    t: float = 1.0,
    steps: tuple[int, int] = (32, 64),
    nodes: int = 6,
) -> float:
    """Slope of the second-moment error between two step counts: the observed weak order."""
    coarse, fine = (
        linear_moment_error(tableau, drift, noises, t=t, steps=n, nodes=nodes) for n in steps
    )
    return float(np.log(coarse / fine) / np.log(steps[1] / steps[0]))
