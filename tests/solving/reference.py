"""A tableau carried out word by word, one channel and one stage at a time: slow, and plainly right."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache

import numpy as np

from tableaux import Tableau, variables
from tableaux.phi import combination
from tableaux.tableau import RANDOM_NODE

Field = Callable[[float, np.ndarray], np.ndarray]


class Reference:
    """One step of a tableau for f: (t, x) -> (d,) and g: (t, x) -> (d, m)."""

    def __init__(
        self, tableau: Tableau, f: Field, g: Field, channels: int, phi=None, symbols=None
    ) -> None:
        self.tableau, self.f, self.g, self.m = tableau, f, g, channels
        self.symbols = symbols or {}  # the values of w, r, r_2, ... in this step
        self.phi = phi  # (k, c, h) -> phi_k(c h L) as a matrix, for exponential tableaux

    def __call__(self, x: np.ndarray, t: float, h: float, noise: dict[str, np.ndarray], past=()):
        """The new value, from the primitives' values of this step and earlier steps, newest first."""
        self.x, self.t, self.h, self.noise, self.past = x, t, h, noise, past
        self.values, self.before = {}, None
        if not self.tableau.implicit:
            return self.output()
        # Implicit stages by plain iteration, from the value at the start of the step.
        self.before = {}
        for _ in range(200):
            self.values = {}
            new = self.output()
            self.before = self.values
        return new

    def times(self, entry, value):
        """An entry applied to a value."""
        if not self.tableau.exponential:
            return self.number(entry) * value
        total = np.zeros_like(value)
        for term, factor in combination(entry).items():
            part = value if term is None else self.phi(term[0], float(term[1]), self.h) @ value
            total = total + float(factor) * part
        return total

    def number(self, entry):
        return number(entry, tuple(self.symbols.items()))

    def carried(self, c):
        """The value at the start of the step, moved by L."""
        return self.phi(0, c, self.h) @ self.x if self.tableau.exponential else self.x.copy()

    def output(self):
        new = self.carried(1.0)
        for output in self.tableau.outputs:
            block = self.tableau.block(output.source)
            for j, weight in output.entries():
                for source in self.instances(block):
                    l, r = source[0], (source[1] if len(source) > 1 else None)
                    if r is not None:
                        kept = {"all": True, "less": r < l, "greater": r > l}[output.selector]
                        if not kept:
                            continue
                        variable = self.variable(output.label, r, l, one=l)
                    else:
                        variable = self.variable(output.label, l, None, one=l)
                    new = new + self.times(weight, variable * self.value(block, j, source))
        return new

    def instances(self, block):
        """Index tuples of a block's values: (channel or None,) or (channel, partner)."""
        m = range(self.m)
        if block.replication == "pair":
            return [(k, l) for k, l in itertools.product(m, m) if k != l]
        if block.replication == "channel" or block.colour == "diffusion":
            return [(k,) for k in m]
        return [(None,)]

    def value(self, block, stage, index):
        if block.remembers is not None:
            then = self.past[block.lag - 1]
            return then.value(then.tableau.block(block.remembers), stage, index)
        key = (block.name, stage, index)
        if key not in self.values:
            if self.before is not None:
                # An iteration reads the values of the one before; the first one, those at x.
                self.values[key] = self.before.get(key, self.field(block, stage, index, self.x))
            target = index if block.replication != "once" else (None,)
            c = block.nodes[stage]
            state = self.carried(None if c == RANDOM_NODE else self.number(c))
            for c in self.tableau.couplings:
                if c.target != block.name:
                    continue
                source = self.tableau.block(c.source)
                for i, j, weight in c.entries():
                    if i != stage:
                        continue
                    for l in self.instances(source):
                        if not selected(c.selector, l[0], target):
                            continue
                        one = l[0] if l[0] is not None else target[0]
                        variable = self.variable(c.label, l[0], target[0], one=one)
                        state = state + self.times(weight, variable * self.value(source, j, l))
            self.values[key] = self.field(block, stage, index, state)
        return self.values[key]

    def field(self, block, stage, index, state):
        node = block.nodes[stage]
        at = self.noise["u"][()] if node == RANDOM_NODE else self.number(node)
        time = self.t + at * self.h
        return self.f(time, state) if block.colour == "drift" else self.g(time, state)[:, index[0]]

    def variable(self, label, inner, outer, one):
        """The value of a label: `one` is the channel of a one-index label."""
        v = variables[label]
        if v.arity == 2:
            terms = v.terms(inner, outer)
        elif v.arity == 1:
            terms = v.terms(one)
        else:
            terms = v.terms()
        total = 0.0
        for coefficient, power, monomial in terms:
            product = float(coefficient) * abs(self.h) ** float(power)
            for (name, indices), exponent in monomial:
                product *= self.noise[name][indices] ** exponent
            total += product
        return total


@cache
def number(entry, symbols):
    return float(entry.subs(symbols).evalf(40)) if entry.free_symbols else float(entry)


def selected(selector, source, target):
    k = target[0]
    if selector == "all":
        return True
    if selector == "partner":
        return source == target[1]
    return {
        "own": source == k,
        "other": source != k,
        "less": source < k,
        "greater": source > k,
    }[selector]
