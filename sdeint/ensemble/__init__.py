"""Ensembles: expectations over any number of paths, in bounded memory."""

from sdeint.ensemble.estimate import Estimate, Histogram
from sdeint.ensemble.expectation import expect
from sdeint.ensemble.failures import CheckpointError, ChunkError
from sdeint.ensemble.levels import Level, LevelsEstimate
from sdeint.ensemble.telescoping import multilevel

__all__ = [
    "CheckpointError",
    "ChunkError",
    "Estimate",
    "Histogram",
    "Level",
    "LevelsEstimate",
    "expect",
    "multilevel",
]
