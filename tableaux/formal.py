"""Weights of a family as polynomials in random variables, with formal scalars as coefficients.

A formal scalar is a weight vector applied to a product of matrices that stay symbols, such as
``beta3^T (A1 (B0 e))``; the products inside are componentwise: ``(B1 e)^2``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import factorial
from typing import Any, TypeVar

from sympy import QQ
from sympy.polys.rings import PolyElement

from tableaux.blocks import Block, Coupling, Output
from tableaux.tableau import Tableau
from tableaux.weights import Channels, EntryAlgebra

__all__ = [
    "FormalAlgebra",
    "FormalScalar",
    "FormalVector",
    "Monomial",
    "Scalar",
    "accumulate",
    "scalar_text",
]

# A vector over stages is a product of factors; a factor is a matrix applied to such a product, or
# a vector of nodes, which is written as a name applied to None.
Product = tuple[tuple[str, Any], ...]
Scalar = tuple[str, Product]
"""A weight vector applied to a product: ``beta3^T ((A1 e) (B1 e))``."""

Monomial = tuple[Scalar, ...]
FormalVector = dict[Product, PolyElement]
FormalScalar = dict[Monomial, PolyElement]


class FormalAlgebra:
    """Matrices as symbols: see :class:`tableaux.weights.Algebra`.

    Parameters
    ----------
    tableau : Tableau
        The skeleton: which blocks are coupled by which labels.
    channels : int
    names : mapping of coupling or output to the name of its matrix
    nodes : mapping of block name to the name of its nodes
    """

    def __init__(
        self,
        tableau: Tableau,
        channels: int,
        names: Mapping[Coupling | Output, str],
        nodes: Mapping[str, str],
    ) -> None:
        self.random = EntryAlgebra(tableau, channels, QQ)
        self.names = names
        self.node_names = nodes

    def zero(self) -> FormalScalar:
        return {}

    def ones(self, block: Block) -> FormalVector:
        return {(): self.random.ring.one}

    def nodes(self, block: Block) -> FormalVector:
        return {((self.node_names[block.name], None),): self.random.ring.one}

    def carried(self, block: Block, depth: int) -> FormalVector:
        """c^n/n!: what L^n X_n is multiplied by at the stages."""
        product = ((self.node_names[block.name], None),) * depth
        return {product: self.carried_on(depth)[()]}

    def carried_on(self, depth: int) -> FormalScalar:
        """The same in the new value."""
        return {(): self.random.ring(QQ(1, factorial(depth)))}

    def multiply(self, left: FormalVector, right: FormalVector) -> FormalVector:
        found: FormalVector = {}
        for u, a in left.items():
            for v, b in right.items():
                accumulate(found, _sorted(u + v), self.random.reduced(a * b))
        return found

    def add(self, left: FormalVector, right: FormalVector) -> FormalVector:
        return _total(left, right)

    def add_scalars(self, left: FormalScalar, right: FormalScalar) -> FormalScalar:
        return _total(left, right)

    def _times(self, name: str, values: FormalVector, variable: PolyElement) -> FormalVector:
        if not variable:
            return {}
        images = (
            ((name, product), self.random.reduced(value * variable))
            for product, value in values.items()
        )
        return {(key,): value for key, value in images if value}

    def couple(self, coupling: Coupling, values: FormalVector, label: Channels) -> FormalVector:
        return self._times(self.names[coupling], values, self.random.scaled(coupling, label))

    def collect(self, output: Output, values: FormalVector, label: Channels) -> FormalScalar:
        return self._times(self.names[output], values, self.random.scaled(output, label))


Key = TypeVar("Key")


def _total(left: dict[Key, PolyElement], right: dict[Key, PolyElement]) -> dict[Key, PolyElement]:
    found = dict(left)
    for key, value in right.items():
        accumulate(found, key, value)
    return found


def accumulate(table: dict[Any, PolyElement], key: Any, value: PolyElement) -> None:
    if key in table:
        value = table[key] + value
    if value:
        table[key] = value
    else:
        table.pop(key, None)


def _sorted(product: Product) -> Product:
    return tuple(sorted(product, key=_size))


def _size(factor: tuple[str, Any]) -> tuple[int, str]:
    text = _factor(factor)
    return len(text), text


# --- how a formal scalar is written --------------------------------------------------------------


def _factor(factor: tuple[str, Any], latex: bool = False) -> str:
    name, inside = factor
    shown = _latex_name(name) if latex else name
    return shown if inside is None else f"{shown} {_product(inside, latex)}"


def _product(product: Product, latex: bool = False) -> str:
    if not product:
        return "e"
    parts = []
    for factor, power in Counter(product).items():
        text = _factor(factor, latex)
        alone = len(product) == 1 and (factor[1] is None or not factor[1])
        bare = factor[1] is None and power == 1
        text = text if (alone and power == 1) or bare else f"({text})"
        parts.append(text if power == 1 else f"{text}^{power}")
    return " ".join(parts) if len(parts) == 1 else f"({' '.join(parts)})"


def scalar_text(scalar: Scalar, latex: bool = False) -> str:
    """``beta3^T (A1 B0 e)``, as text or LaTeX."""
    name, product = scalar
    if latex:
        # Braces: TeX refuses the double superscript of beta^{(1)}^T.
        return f"{{{_latex_name(name)}}}^T {_product(product, True)}"
    return f"{name}^T {_product(product)}"


def _latex_name(name: str) -> str:
    stem = name.rstrip("0123456789")
    index = name[len(stem) :]
    greek = {"alpha": r"\alpha", "beta": r"\beta"}
    return greek.get(stem, stem) + (f"^{{({index})}}" if index else "")
