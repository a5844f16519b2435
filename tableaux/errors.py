"""The one exception of this package, and near names for words that were mistyped."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["TableauError", "unknown"]


class TableauError(ValueError):
    """A method, or a file that describes one, that cannot be what it claims to be."""


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Message for an unknown `name` of a `what`, with the names nearest to it."""
    names = list(known)
    lowered = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(str(name).lower(), lowered, n=3, cutoff=0.5)
    hint = (
        "did you mean " + " or ".join(repr(lowered[n]) for n in near) + "?"
        if near
        else "known are " + ", ".join(map(repr, names)) + "."
    )
    return f"unknown {what} {name!r}; {hint}"
