"""How a family file puts its methods into the catalogue.

A method is built when it is first asked for: importing the package must not cost the exact
arithmetic of every method in it.  A family with parameters, such as a number of stages, is one
entry: ``catalogue["SROCK1"]`` is the member with the default parameters, and
``catalogue["SROCK1(20)"]`` the one with 20 stages.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tableaux.errors import TableauError, unknown
from tableaux.exact import exact

if TYPE_CHECKING:
    from tableaux.tableau import Tableau

__all__ = ["Builder", "Catalogue", "catalogue", "method"]

#: Makes a method from its name and, for a family, from parameters that have defaults.
Builder = Callable[..., "Tableau"]


class Catalogue(Mapping[str, "Tableau"]):
    """All methods by name, built on demand and kept."""

    def __init__(self) -> None:
        self._builders: dict[str, Builder] = {}
        self._built: dict[str, Tableau] = {}

    def __getitem__(self, name: str) -> Tableau:
        if name not in self._built:
            family, values = _arguments(name)
            if family not in self._builders:
                raise CatalogueKeyError(unknown("method", family, self._builders))
            self._built[name] = self._builders[family](name, **self._parameters(family, values))
        return self._built[name]

    def _parameters(self, family: str, values: list[str]) -> dict[str, Any]:
        """The parameters that stand in parentheses after a name, as exact numbers or ints."""
        takes = list(inspect.signature(self._builders[family]).parameters.values())[1:]
        if len(values) > len(takes):
            known = ", ".join(f"{p.name}={p.default}" for p in takes) or "none"
            raise CatalogueKeyError(
                f"method {family!r} was given {len(values)} parameters; it has {known}"
            )
        found: dict[str, Any] = {}
        for parameter, text in zip(takes, values):
            where = f"method {family!r}: parameter {parameter.name!r}"
            number = exact(text, where=where)
            if isinstance(parameter.default, int):
                if not number.is_Integer:
                    raise TableauError(f"{where} is an integer, not {text!r}")
                number = int(number)
            found[parameter.name] = number
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _arguments(name)[0] in self._builders

    def __iter__(self) -> Iterator[str]:
        return iter(self._builders)

    def __len__(self) -> int:
        return len(self._builders)

    def __repr__(self) -> str:
        from tableaux.show import catalogue_text

        return catalogue_text(self)

    def _repr_html_(self) -> str:
        from tableaux.show import catalogue_html

        return catalogue_html(self)

    def add(self, name: str, builder: Builder) -> None:
        """Enter a method under a name that is still free."""
        if name in self._builders:
            raise TableauError(f"the catalogue already has a method {name!r}")
        self._builders[name] = builder


def _arguments(name: str) -> tuple[str, list[str]]:
    """A name such as ``SROCK1(20)`` as the family's name and its parameters."""
    if not isinstance(name, str) or not name.endswith(")") or "(" not in name:
        return name, []
    family, _, inside = name[:-1].partition("(")
    return family.strip(), [text.strip() for text in inside.split(",")]


class CatalogueKeyError(TableauError, KeyError):
    """An unknown method name, as the KeyError that a mapping owes its callers."""

    def __str__(self) -> str:  # KeyError would show the repr of the message
        return str(self.args[0])


catalogue = Catalogue()


def method(name: str) -> Callable[[Builder], Builder]:
    """Enter the decorated builder into the catalogue.

    It receives its own name and, for a family, the parameters by their names: those with an int as
    default are ints, all others exact numbers.
    """

    def enter(builder: Builder) -> Builder:
        catalogue.add(name, builder)
        return builder

    return enter
