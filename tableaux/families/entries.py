"""How a family file puts its methods into the catalogue.

A method is built when it is first asked for: importing the package must not cost the exact
arithmetic of every method in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from tableaux.errors import TableauError, unknown

if TYPE_CHECKING:
    from tableaux.tableau import Tableau

__all__ = ["Catalogue", "catalogue", "method"]


class Catalogue(Mapping[str, "Tableau"]):
    """All methods by name, built on demand and kept."""

    def __init__(self) -> None:
        self._builders: dict[str, Callable[[str], Tableau]] = {}
        self._built: dict[str, Tableau] = {}

    def __getitem__(self, name: str) -> Tableau:
        if name not in self._built:
            if name not in self._builders:
                raise CatalogueKeyError(unknown("method", name, self._builders))
            self._built[name] = self._builders[name](name)
        return self._built[name]

    def __contains__(self, name: object) -> bool:
        return name in self._builders

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

    def add(self, name: str, builder: Callable[[str], Tableau]) -> None:
        """Enter a method under a name that is still free."""
        if name in self._builders:
            raise TableauError(f"the catalogue already has a method {name!r}")
        self._builders[name] = builder


class CatalogueKeyError(TableauError, KeyError):
    """An unknown method name, as the KeyError that a mapping owes its callers."""

    def __str__(self) -> str:  # KeyError would show the repr of the message
        return str(self.args[0])


catalogue = Catalogue()


def method(name: str) -> Callable[[Callable[[str], Tableau]], Callable[[str], Tableau]]:
    """Enter the decorated builder into the catalogue; it receives its own name."""

    def enter(builder: Callable[[str], Tableau]) -> Callable[[str], Tableau]:
        catalogue.add(name, builder)
        return builder

    return enter
