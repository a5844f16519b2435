"""Test problems with closed forms, one factory each, and `library`, all of them with their default
numbers. Semilinear ones, which are fields or stiff, are in `semilinear`.

>>> from sdeint import problems
>>> sorted(problems.library)[:3]
['bounded', 'bounded plane', 'denoiser']
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sdeint.problems.additive import denoiser, fading, growth, ornstein_uhlenbeck, swirl
from sdeint.problems.closed_form import Functional, LinearFields, PathValues, Problem
from sdeint.problems.linear import diagonal, linear, oscillator, pair, spiral, triple
from sdeint.problems.quiet import orbit
from sdeint.problems.scalar import bounded, gbm, hyperbolic
from sdeint.problems.semilinear import (
    Modes,
    Semilinear,
    allen_cahn,
    burgers,
    heat,
    heat_covariance,
    langevin,
    neuron,
    reverse_vp,
)
from sdeint.problems.several import bounded_plane, unicycle

_DEFAULTS = (
    gbm(),
    bounded(),
    hyperbolic(),
    fading(),
    growth(),
    swirl(),
    swirl(pulse=1.0),
    ornstein_uhlenbeck(),
    denoiser(),
    diagonal(),
    oscillator(),
    spiral(),
    bounded_plane(),
    pair(),
    triple(),
    unicycle(),
    orbit(),
)

library: Mapping[str, Problem] = MappingProxyType({p.name: p for p in _DEFAULTS})
"""Name -> problem with its default numbers."""

__all__ = [
    "Functional",
    "LinearFields",
    "Modes",
    "PathValues",
    "Problem",
    "Semilinear",
    "allen_cahn",
    "bounded",
    "bounded_plane",
    "burgers",
    "denoiser",
    "diagonal",
    "fading",
    "gbm",
    "growth",
    "heat",
    "heat_covariance",
    "hyperbolic",
    "langevin",
    "library",
    "linear",
    "neuron",
    "orbit",
    "ornstein_uhlenbeck",
    "oscillator",
    "pair",
    "reverse_vp",
    "spiral",
    "swirl",
    "triple",
    "unicycle",
]
