"""Tableaux in TOML files, exact both ways.

A file is read as data only: TOML is parsed, numbers go through the parser of `tableaux.exact`, and
nothing is ever unpickled or evaluated.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from tableaux.blocks import Block, Coupling, Output
from tableaux.errors import TableauError, unknown
from tableaux.exact import write_exact
from tableaux.tableau import Tableau

if sys.version_info >= (3, 11) or TYPE_CHECKING:
    import tomllib
else:
    import tomli as tomllib

__all__ = ["dumps", "load", "loads", "save"]

_TABLEAU_KEYS = (
    "name", "calculus", "noise", "implicit", "citation", "advice",
    "blocks", "couplings", "outputs", "embedded", "orders", "start",
)  # fmt: skip
_PART_KEYS = {
    "blocks": ("name", "colour", "nodes", "replication", "remembers", "lag"),
    "couplings": ("target", "source", "label", "matrix", "selector"),
    "outputs": ("source", "label", "weights", "selector"),
}
_PART_TYPES: Mapping[str, type] = {"blocks": Block, "couplings": Coupling, "outputs": Output}
_REQUIRED = {
    "blocks": ("name", "colour", "nodes"),
    "couplings": ("target", "source", "label", "matrix"),
    "outputs": ("source", "label", "weights"),
}


def load(path: str | PathLike[str]) -> Tableau:
    """Read a tableau from a TOML file.

    Raises
    ------
    TableauError
        If the file is no TOML, or describes no method; the message names file and place.
    OSError
        If the file cannot be read.
    """
    try:
        return loads(Path(path).read_text(encoding="utf-8"))
    except (TableauError, UnicodeDecodeError) as error:
        raise TableauError(f"{path}: {error}") from None


def loads(text: str) -> Tableau:
    """Read a tableau from TOML text; see `load`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TableauError(f"malformed TOML: {error}") from None
    return _tableau(data)


def save(tableau: Tableau, path: str | PathLike[str]) -> None:
    """Write a tableau to a TOML file that `load` reads back to an equal one."""
    Path(path).write_text(dumps(tableau), encoding="utf-8")


def dumps(tableau: Tableau) -> str:
    """The TOML text of a tableau."""
    return tomli_w.dumps(_table(tableau), multiline_strings=False)


def _table(tableau: Tableau) -> dict[str, Any]:
    table: dict[str, Any] = {
        "name": tableau.name,
        "calculus": tableau.calculus,
        "noise": tableau.noise,
    }
    if tableau.implicit:
        table["implicit"] = True
    for key in ("citation", "advice"):
        if getattr(tableau, key):
            table[key] = getattr(tableau, key)
    table["orders"] = {
        noise: {
            kind: str(order) for kind, order in zip(("strong", "weak"), claim) if order is not None
        }
        for noise, claim in tableau.orders.items()
    }
    table["blocks"] = [
        {
            "name": b.name,
            "colour": b.colour,
            "replication": b.replication,
            **({} if b.remembers is None else {"remembers": b.remembers}),
            **({} if b.lag == 1 else {"lag": b.lag}),
            "nodes": [write_exact(c) for c in b.nodes],
        }
        for b in tableau.blocks
    ]
    table["couplings"] = [
        {
            "target": c.target,
            "source": c.source,
            "label": c.label,
            "selector": c.selector,
            "matrix": [[write_exact(e) for e in row] for row in c.matrix],
        }
        for c in tableau.couplings
    ]
    for key in ("outputs", "embedded"):
        outputs = [
            {
                "source": o.source,
                "label": o.label,
                "selector": o.selector,
                "weights": [write_exact(e) for e in o.weights],
            }
            for o in getattr(tableau, key)
        ]
        if outputs:
            table[key] = outputs
    if tableau.start is not None:
        table["start"] = _table(tableau.start)
    return table


def _tableau(data: Mapping[str, Any]) -> Tableau:
    _only(data, _TABLEAU_KEYS, "tableau")
    for key in ("name", "blocks", "outputs"):
        if key not in data:
            raise TableauError(f"a tableau needs the key {key!r}")
    texts = {key: data[key] for key in ("calculus", "noise", "citation", "advice") if key in data}
    for key, value in {"name": data["name"], **texts}.items():
        if not isinstance(value, str):
            raise TableauError(f"{key}: expected text, got {value!r}")
    implicit = data.get("implicit", False)
    if not isinstance(implicit, bool):
        raise TableauError(f"implicit: expected true or false, got {implicit!r}")
    return Tableau(
        name=data["name"],
        blocks=_parts(data, "blocks", "blocks"),
        couplings=_parts(data, "couplings", "couplings"),
        outputs=_parts(data, "outputs", "outputs"),
        embedded=_parts(data, "embedded", "outputs"),
        orders=_orders(data.get("orders", {})),
        implicit=implicit,
        start=_tableau(data["start"]) if "start" in data else None,
        **texts,
    )


def _parts(data: Mapping[str, Any], key: str, kind: str) -> tuple[Any, ...]:
    entries = data.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise TableauError(f"{key}: expected an array of tables ([[{key}]]), got {entries!r}")
    parts = []
    for i, entry in enumerate(entries):
        where = f"{key}[{i + 1}]"
        _only(entry, _PART_KEYS[kind], where)
        for needed in _REQUIRED[kind]:
            if needed not in entry:
                raise TableauError(f"{where}: the key {needed!r} is missing")
        for name, value in entry.items():
            if name not in ("nodes", "matrix", "weights", "lag") and not isinstance(value, str):
                raise TableauError(f"{where}: {name}: expected text, got {value!r}")
        try:
            parts.append(_PART_TYPES[kind](**entry))
        except TableauError as error:
            raise TableauError(f"{where}: {error}") from None
    return tuple(parts)


def _orders(data: Any) -> dict[str, tuple[Fraction | None, Fraction | None]]:
    if not isinstance(data, dict) or not all(isinstance(v, dict) for v in data.values()):
        raise TableauError(
            'orders: expected tables such as general = {strong = "1/2", weak = "1"}, got '
            f"{data!r}"
        )
    orders = {}
    for noise, claim in data.items():
        _only(claim, ("strong", "weak"), f"orders.{noise}")
        try:
            strong, weak = (
                Fraction(str(claim[kind])) if kind in claim else None for kind in ("strong", "weak")
            )
        except ValueError:
            raise TableauError(
                f'orders.{noise}: {claim!r} holds no fractions; write strong = "3/2"'
            ) from None
        orders[noise] = (strong, weak)
    return orders


def _only(data: Mapping[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in data:
        if key not in keys:
            raise TableauError(f"{where}: " + unknown("key", key, keys))
