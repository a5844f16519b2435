"""Brownian motion as a pure function of (seed, path, channel, time interval)."""

from sdeint.brownian.antithetic import Antithetic
from sdeint.brownian.grid_path import GridPath
from sdeint.brownian.nested_path import NestedPath
from sdeint.brownian.path import BrownianPath
from sdeint.brownian.philox import philox4x32
from sdeint.brownian.timed_path import TimedPath
from sdeint.brownian.tree_path import TreePath, logarithmic

__all__ = [
    "Antithetic",
    "BrownianPath",
    "GridPath",
    "NestedPath",
    "TimedPath",
    "TreePath",
    "logarithmic",
    "philox4x32",
]
