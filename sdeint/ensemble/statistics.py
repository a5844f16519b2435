"""Everything that is kept of the values of one functional, however many paths there are.

Statistics of disjoint sets of units can be merged; merging is exactly associative and commutative, so
that the statistics are a function of the set of (unit, value) pairs and of nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdeint.ensemble.exact_sums import ExactSums
from sdeint.ensemble.moments import Moments
from sdeint.ensemble.quantile_sketch import QuantileSketch
from sdeint.errors import ProblemError

__all__ = ["Plan", "Statistics"]

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Plan:
    """What to keep of a functional.

    Attributes
    ----------
    shape : tuple of int
        Of one value.
    size : int
        Paths in a unit: 2 for antithetic pairs.
    covariance, sketch : bool
        Whether products of components, and quantile sketches, are kept.
    edges : tuple of float
        Of the histogram; empty for none.
    """

    shape: tuple[int, ...]
    size: int = 1
    covariance: bool = False
    sketch: bool = False
    edges: tuple[float, ...] = ()

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Plan:
        """The plan whose fields came back from JSON, where tuples are lists."""
        return cls(**{**fields, "shape": tuple(fields["shape"]), "edges": tuple(fields["edges"])})

    @property
    def columns(self) -> int:
        """Components of one value."""
        return int(np.prod(self.shape, dtype=np.int64))


class Statistics:
    """Moments, quantile sketches and histogram counts of one functional.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    counts : int64 array (columns, bins + 2)
        Values below the first edge, in each bin, and from the last edge on.
    both : int64 array (columns, bins + 2)
        Antithetic pairs with both values in the bin.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.moments = Moments(plan.columns, plan.size, plan.covariance)
        self.sketches = [QuantileSketch() for _ in range(plan.columns if plan.sketch else 0)]
        bins = len(plan.edges) + 1 if plan.edges else 0
        self.counts = np.zeros((plan.columns, bins), dtype=np.int64)
        self.both = np.zeros((plan.columns, bins), dtype=np.int64)

    def add(self, first: int, values: Floats) -> None:
        r"""Add the units first, first + 1, ...: values of shape (size, units, \*shape)."""
        values = values.reshape(*values.shape[:2], self.plan.columns)
        self.moments.add(first, values)
        for j, sketch in enumerate(self.sketches):
            sketch.add(np.ascontiguousarray(values[..., j]).reshape(-1))
        if self.plan.edges:
            edges = np.asarray(self.plan.edges)
            bins = np.searchsorted(edges, values, side="right")
            # As is usual, the last bin holds its upper edge.
            bins = np.where(values == edges[-1], len(edges) - 1, bins)
            for j in range(self.plan.columns):
                place = bins[..., j]
                self.counts[j] += np.bincount(place.reshape(-1), minlength=len(edges) + 1)
                if self.plan.size == 2:
                    same = place[0][place[0] == place[1]]
                    self.both[j] += np.bincount(same, minlength=len(edges) + 1)

    @property
    def count(self) -> int:
        """Number of units."""
        return self.moments.count

    def merge(self, other: Statistics) -> None:
        """Add the units of other statistics of the same plan."""
        if other.plan != self.plan:
            raise ProblemError(
                f"a functional gave values of shape {other.plan.shape} after {self.plan.shape}; every "
                "chunk must have the same"
            )
        self.moments.merge(other.moments)
        for own, theirs in zip(self.sketches, other.sketches):
            own.merge(theirs)
        self.counts += other.counts
        self.both += other.both

    def arrays(self) -> Arrays:
        """The state as arrays by name, for a file."""
        m = self.moments
        state: Arrays = {
            "units": m.units,
            "least": m.least,
            "greatest": m.greatest,
            "counts": self.counts,
            "both": self.both,
        }
        for name, sums in self._sums().items():
            state[f"{name}.limbs"] = sums.limbs
            state[f"{name}.low"] = np.asarray([sums.low], dtype=np.int64)
        for j, sketch in enumerate(self.sketches):
            state[f"sketch.{j}.keys"] = sketch.keys
            state[f"sketch.{j}.counts"] = sketch.counts
            state[f"sketch.{j}.shift"] = np.asarray([sketch.shift], dtype=np.int64)
        return state

    @classmethod
    def restored(cls, plan: Plan, arrays: Mapping[str, NDArray[np.generic]]) -> Statistics:
        """The statistics that `arrays` were taken from."""
        self = cls(plan)
        m = self.moments

        def integers(name: str) -> NDArray[np.int64]:
            return np.array(arrays[name], dtype=np.int64)

        m.units = integers("units")
        m.least = np.array(arrays["least"], dtype=np.float64)
        m.greatest = np.array(arrays["greatest"], dtype=np.float64)
        self.counts, self.both = integers("counts"), integers("both")
        for name, sums in self._sums().items():
            sums.limbs, sums.low = integers(f"{name}.limbs"), int(integers(f"{name}.low")[0])
        for j, sketch in enumerate(self.sketches):
            sketch.keys = integers(f"sketch.{j}.keys")
            sketch.counts = integers(f"sketch.{j}.counts")
            sketch.shift = int(integers(f"sketch.{j}.shift")[0])
        return self

    def _sums(self) -> dict[str, ExactSums]:
        m = self.moments
        return {"sums": m.sums, "products": m.products, "mirrored": m.mirrored}
