"""For those who write methods of their own: assertions about orders, and Hypothesis strategies.

`assert_order`
    Proves an order and measures it; neither is trusted without the other.
`tableaux_of`, `sdes`, `grids`
    Hypothesis strategies: random tableaux of a family, random SDEs of a noise class, random grids.
`Impulses`
    A path that tells the law of a method on a linear equation without sampling.

The strategies need hypothesis, which the extra ``sdeint-tableaux[test]`` installs; it is imported
when the first of them is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sdeint.testing.impulses import Impulses
from sdeint.testing.orders import Evidence, assert_order

if TYPE_CHECKING:
    from sdeint.testing.random_grids import grids
    from sdeint.testing.random_sdes import RandomSDE, sdes
    from sdeint.testing.random_tableaux import FAMILIES, tableaux_of

__all__ = [
    "FAMILIES",
    "Evidence",
    "Impulses",
    "RandomSDE",
    "assert_order",
    "grids",
    "sdes",
    "tableaux_of",
]

_STRATEGIES = {
    "grids": "random_grids",
    "sdes": "random_sdes",
    "RandomSDE": "random_sdes",
    "tableaux_of": "random_tableaux",
    "FAMILIES": "random_tableaux",
}


def __getattr__(name: str) -> Any:
    if name not in _STRATEGIES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_STRATEGIES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise ModuleNotFoundError(
            f"sdeint.testing.{name} needs hypothesis, which is not installed: "
            "pip install 'sdeint-tableaux[test]', or pip install hypothesis",
            name="hypothesis",
        ) from None
