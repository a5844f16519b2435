"""The weights of Gaussian functionals: their names, and what they are made of."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import NamedTuple

from sdeint.errors import ProblemError
from sdeint.phi import HIGHEST

__all__ = ["Row", "Weight", "row_of", "weight_of"]

_NAME = re.compile(r"(W|U|H|K|(?:pol|phi|exp)_([0-4]))(?:@([0-9./]+))?")


class Weight(NamedTuple):
    """A weight by family, degree and the share of the step on which it lives."""

    family: str
    degree: int
    c: float


def weight_of(name: str) -> Weight:
    """The weight of a name; of H, K and U the leading one."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ProblemError(
            f"unknown functional {name!r}; there are W, U, H, K and pol_k, phi_k, exp_k for "
            f"k = 0..{HIGHEST}, each of these with a part of the step as in 'phi_0@1/2'"
        )
    try:
        c = float(Fraction(match[3])) if match[3] else 1.0
    except (ValueError, ZeroDivisionError):
        c = math.nan
    if not 0.0 < c <= 1.0:
        raise ProblemError(f"{name!r}: a part of the step is a number in (0, 1]")
    if match[1] in _AREAS:
        if c != 1.0 and match[1] != "W":
            raise ProblemError(f"{name!r}: {match[1]} is of the whole step")
        return Weight("pol", len(_AREAS[match[1]]) - 1, c)
    return Weight(match[1][:3], int(match[2]), c)


#: W, U, H and K as combinations of pol_0, pol_1, pol_2.
_AREAS: dict[str, tuple[float, ...]] = {
    "W": (1.0,),
    "U": (1.0, -1.0),
    "H": (-0.5, 1.0),
    "K": (1.0 / 12.0, -0.5, 1.0),
}


Row = tuple[tuple[Weight, float], ...]


def row_of(name: str) -> Row:
    """A functional as a combination of weights."""
    weight = weight_of(name)
    area = _AREAS.get(name.split("@")[0])
    if area is None:
        return ((weight, 1.0),)
    return tuple((Weight("pol", k, weight.c), value) for k, value in enumerate(area))
