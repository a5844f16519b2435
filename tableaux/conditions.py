r"""Order conditions of a family, in the notation of the literature.

The matrices of a family are kept as symbols.  A weight is then a polynomial in random variables
whose coefficients are *formal scalars* such as ``beta3^T (A1 (B0 e))``; the conditions are
polynomial equations between them, whatever the number of stages.  The products inside a scalar are
componentwise: ``(B1 e)^2``.

Equations are put in order and those that follow from the ones before are dropped, so that the
number of conditions that are left is the number of independent ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, lru_cache
from math import factorial
from typing import Any, TypeVar, overload

import sympy
from sympy import QQ
from sympy.polys.rings import PolyElement

from tableaux.blocks import Block, Coupling, Output
from tableaux.constraints import Combination
from tableaux.errors import TableauError, unknown
from tableaux.expansion import expansion
from tableaux.phi import phi
from tableaux.rooted_trees import Forest, forest_latex, forest_text
from tableaux.tableau import Tableau
from tableaux.verdict import CLASSES, Prover
from tableaux.weights import Channels, EntryAlgebra, Weights, homogeneous
from tableaux.words import Functional, Word, exact_mean, exact_weight

__all__ = ["FAMILIES", "Condition", "Conditions", "Family", "order_conditions"]

# A vector over stages is a product of factors; a factor is a matrix applied to such a product, or
# a vector of nodes, which is written as a name applied to None.
Product = tuple[tuple[str, Any], ...]
Scalar = tuple[str, Product]
"""A weight vector applied to a product: ``beta3^T ((A1 e) (B1 e))``."""

Monomial = tuple[Scalar, ...]
Equation = dict[Monomial, Fraction]
"""A polynomial in formal scalars that must vanish; the empty monomial is the constant."""

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
                _accumulate(found, _sorted(u + v), self.random.reduced(a * b))
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
        _accumulate(found, key, value)
    return found


def _accumulate(table: dict[Any, PolyElement], key: Any, value: PolyElement) -> None:
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


def _symbol(scalar: Scalar) -> sympy.Symbol:
    return sympy.Symbol(scalar_text(scalar))


# --- conditions ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Condition:
    """One equation that a family must satisfy.

    Attributes
    ----------
    kind : {"mean square", "mean", "weak"}
    forest : Forest
        The tree (strong) or forest (weak) that it comes from.
    order : Fraction
        Its order.
    equation : sympy.Eq
        Between symbols that are named after formal scalars, such as ``alpha^T e``.
    polynomial : tuple of (monomial of formal scalars, Fraction)
        The same, as data: the sum of ``coefficient * product of scalars`` must vanish.
    """

    kind: str
    forest: Forest
    order: Fraction
    equation: sympy.Eq
    polynomial: tuple[tuple[Monomial, Fraction], ...]

    @property
    def text(self) -> str:
        """The equation as text."""
        return f"{_sum(self.polynomial, False)} = {_right(self.polynomial)}"

    def latex(self) -> str:
        """The equation as LaTeX."""
        return f"{_sum(self.polynomial, True)} = {sympy.latex(_right(self.polynomial))}"

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"

    def __str__(self) -> str:
        return f"{self.text}    [{self.kind}, order {self.order}: {forest_text(self.forest)}]"

    def source_latex(self) -> str:
        """The tree or forest as LaTeX."""
        return forest_latex(self.forest)


def _right(polynomial: Iterable[tuple[Monomial, Fraction]]) -> sympy.Rational:
    constant = -dict(polynomial).get((), Fraction(0))
    return sympy.Rational(constant.numerator, constant.denominator)


def _sum(polynomial: Iterable[tuple[Monomial, Fraction]], latex: bool) -> str:
    text = ""
    for monomial, weight in polynomial:
        if not monomial:
            continue
        counted = Counter(monomial)
        plain = len(counted) == 1 and abs(weight) == 1 and counted.most_common(1)[0][1] == 1
        factors = []
        for scalar, power in counted.items():
            written = scalar_text(scalar, latex)
            written = written if plain else f"({written})"
            factors.append(written if power == 1 else f"{written}^{power}")
        size = "" if abs(weight) == 1 else f"{abs(weight)} "
        if latex and size:
            size = sympy.latex(sympy.Rational(abs(weight).numerator, weight.denominator)) + r"\,"
        sign = ("-" if weight < 0 else "") if not text else (" - " if weight < 0 else " + ")
        text += sign + size + " ".join(factors)
    return text or "0"


class Conditions(Sequence[Condition]):
    """The independent conditions, in the order of their trees.

    Attributes
    ----------
    raw : int
        How many different equations the trees and forests gave before dependent ones were dropped.
    """

    def __init__(self, conditions: Iterable[Condition], raw: int) -> None:
        self._conditions = tuple(conditions)
        self.raw = raw

    @overload
    def __getitem__(self, index: int) -> Condition: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Condition, ...]: ...
    def __getitem__(self, index: int | slice) -> Condition | tuple[Condition, ...]:
        return self._conditions[index]

    def __len__(self) -> int:
        return len(self._conditions)

    def __str__(self) -> str:
        width = max((len(c.text) for c in self), default=0)
        lines = [
            f"{i:>3}. {c.text:<{width}}  [{c.kind}, order {c.order}: {forest_text(c.forest)}]"
            for i, c in enumerate(self, 1)
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def latex(self) -> str:
        """All equations, aligned."""
        lines = (c.latex().replace(" = ", " &= ", 1) for c in self)
        return r"\begin{aligned}" + r" \\ ".join(lines) + r"\end{aligned}"

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"


# --- families ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Family:
    """A skeleton whose matrices are symbols.

    Attributes
    ----------
    skeleton : Tableau
        One stage a block stands for any number.
    names : tuple of (coupling or output, name)
    nodes : tuple of (block name, name of its nodes)
    pairs : frozenset of str
        Blocks that exist only with two channels or more, since they receive other channels' noise.
    noise : str
        The noise class that the family is for.
    """

    skeleton: Tableau
    names: tuple[tuple[Coupling | Output, str], ...]
    nodes: tuple[tuple[str, str], ...]
    pairs: frozenset[str] = frozenset()
    noise: str = "general"


def _literature(form: str, matrices: str, vectors: str, nodes: str, **given: str) -> Family:
    """A printed form with one symbolic stage a block, each matrix recognised by its symbol."""
    symbols = {name: sympy.Symbol(name) for name in f"{matrices} {vectors}".split()}
    arrays: dict[str, Any] = {name: [[symbols[name]]] for name in matrices.split()}
    arrays |= {name: [symbols[name]] for name in vectors.split()}
    arrays |= {name: [sympy.Symbol(name)] for name in given}
    skeleton: Tableau = getattr(Tableau, form)(form.upper(), implicit=True, **arrays)
    by_symbol = {symbol: name for name, symbol in symbols.items()}
    names: list[tuple[Coupling | Output, str]] = []
    for coupling in skeleton.couplings:
        names.append((coupling, by_symbol[coupling.matrix[0][0]]))
    for output in skeleton.outputs:
        names.append((output, by_symbol[output.weights[0]]))
    labels = {block.name: name for block, name in zip(skeleton.blocks, nodes.split())}
    mixed = frozenset(
        c.target
        for c in skeleton.couplings
        if c.selector == "other"
        and not any(d.target == c.target and d.selector == "own" for d in skeleton.couplings)
    )
    return Family(skeleton, tuple(names), tuple(labels.items()), mixed, skeleton.noise)


@cache
def _named(name: str) -> Family:
    if name == "sra":
        return _literature("sra", "A0 B0", "alpha beta1 beta2", "c0 c1", c1="c1")
    if name == "sri":
        return _literature("sri", "A0 A1 B0 B1", "alpha beta1 beta2 beta3 beta4", "c0 c1")
    if name == "ri":
        return _literature("ri", "A0 A1 A2 B0 B1 B2", "alpha beta1 beta2 beta3 beta4", "c0 c1 c2")
    return _literature("rs", "A0 A1 A2 B0 B1 B2 B3", "alpha beta1 beta2", "c0 c1 c2")


FAMILIES = ("sra", "sri", "ri", "rs")
"""Names that `order_conditions` knows: the forms that `Tableau` can be made from."""


def _family_of(tableau: Tableau) -> Family:
    """Any tableau as a family: each matrix is named after its blocks and label."""
    nodes = tuple((block.name, f"c[{block.name}]") for block in tableau.blocks)
    if tableau.exponential:
        skeleton, expanded = _expanded_family(tableau)
        return Family(skeleton, expanded, nodes, frozenset(), tableau.noise)
    parts: list[Coupling | Output] = [*tableau.couplings, *tableau.outputs]
    names = tuple((part, _name_of(part)) for part in parts)
    return Family(tableau, names, nodes, frozenset(), tableau.noise)


def _name_of(part: Coupling | Output) -> str:
    selector = "" if part.selector == "all" else f",{part.selector}"
    if isinstance(part, Coupling):
        return f"Z[{part.target},{part.source},{part.label}{selector}]"
    return f"z[{part.source},{part.label}{selector}]"


#: Up to which power of h L the coefficients of exponential families have names.
_POWERS = 6


def _expanded_family(
    tableau: Tableau,
) -> tuple[Tableau, tuple[tuple[Coupling | Output, str], ...]]:
    """A skeleton whose entries tell their matrix and power of z, and the names of those.

    With the entries ``s phi_1(z)``, a symbol s for each matrix, the coefficient of z^n is s/(n + 1)!.
    """
    base: dict[sympy.Symbol, str] = {}

    def marked(part: Coupling | Output) -> Any:
        symbol = sympy.Symbol(f"matrix{len(base)}")
        base[symbol] = _name_of(part)
        if isinstance(part, Coupling):
            rows = tuple(tuple(symbol * phi(1) if e else e for e in row) for row in part.matrix)
            return replace(part, matrix=rows)
        return replace(part, weights=tuple(symbol * phi(1) if e else e for e in part.weights))

    skeleton = replace(
        tableau,
        couplings=tuple(map(marked, tableau.couplings)),
        outputs=tuple(map(marked, tableau.outputs)),
        embedded=(),
        orders={},
    )
    powers = {sympy.Rational(1, factorial(n + 1)): n for n in range(_POWERS + 1)}
    names: dict[Coupling | Output, str] = {}
    for depth in range(_POWERS + 1):
        found = expansion(skeleton, depth)
        parts: list[Coupling | Output] = [*found.couplings, *found.outputs]
        for part in parts:
            entry = next(value for *_, value in part.entries() if value)
            (symbol,) = entry.free_symbols
            power = powers[sympy.cancel(entry / symbol)]
            names[part] = base[symbol] + (str(power) if power else "")
    return skeleton, tuple(names.items())


def order_conditions(
    kind: str,
    order: Fraction | int | str,
    family: str | Tableau,
    *,
    calculus: str | None = None,
    noise: str | None = None,
    channels: int | None = 3,
    independent: bool = True,
) -> Conditions:
    """The conditions for a strong or weak order of a family, derived from its trees.

    Parameters
    ----------
    kind : {"strong", "weak"}
    order : Fraction, int or str
        The order wanted, such as ``"3/2"``.
    family : {"sra", "sri", "ri", "rs"} or Tableau
        A form of the literature, or a tableau whose blocks and labels define a family.
    calculus : {"ito", "stratonovich"}, optional
        By default that of the family.
    noise : str, optional
        By default the class that the family is meant for.
    channels : int or None
        Up to how many channels at once; 1 gives the conditions for a single channel, in which
        blocks that only receive other channels' noise do not occur.  None: as many as the order
        needs.
    independent : bool
        Drop conditions that follow from the others.

    Returns
    -------
    Conditions

    Notes
    ----- Nodes are taken to be the row sums of the drift's matrices, ``c = A e``, except where
    noise stages have no drift coupling.  With several channels, the conditions for a single one
    are included: the family must then serve every number of channels.

    An exponential tableau stands for all with its blocks and labels.  A matrix is then a series in
    z = h L, and the coefficient of z^n of ``b`` is written ``bn``: ``b^T e = 1, b1^T e = 1/2`` say
    what phi_1 does.  Nodes are those of ``phi_0(c z) X``.
    """
    if kind not in ("strong", "weak"):
        raise TableauError(unknown("kind of order", kind, ("strong", "weak")))
    if isinstance(family, str):
        if family not in FAMILIES:
            raise TableauError(unknown("family", family, FAMILIES))
        template = _named(family)
    else:
        template = _family_of(family)
    name = template.noise if noise is None else noise
    if name not in CLASSES:
        raise TableauError(unknown("noise class", name, CLASSES))
    wanted = Fraction(order)
    if wanted <= 0 or (2 * wanted).denominator != 1:
        raise TableauError(f"an order is a positive multiple of 1/2, not {order}")
    return _conditions(
        kind, wanted, template, calculus or template.skeleton.calculus, name, channels, independent
    )


@lru_cache(maxsize=64)
def _conditions(
    kind: str,
    order: Fraction,
    family: Family,
    calculus: str,
    noise: str,
    channels: int | None,
    independent: bool,
) -> Conditions:
    maker = _Maker(family, calculus, noise, channels)
    found = list(maker.strong(order) if kind == "strong" else maker.weak(order))
    distinct: dict[tuple[tuple[Monomial, Fraction], ...], _Raw] = {}
    for raw in found:
        key = tuple(sorted(raw.equation.items(), key=_monomial_key))
        distinct.setdefault(key, raw)
    raws = list(distinct.values())
    kept = _Elimination().run(raws) if independent else raws
    conditions = [raw.condition() for raw in kept]
    conditions.sort(key=lambda c: (c.order, c.kind != "mean square", len(c.text)))
    return Conditions(conditions, len(raws))


def _monomial_key(item: tuple[Monomial, Fraction]) -> tuple[int, str]:
    return len(item[0]), repr(item[0])


@dataclass(frozen=True)
class _Raw:
    kind: str
    forest: Forest
    order: Fraction
    equation: Equation

    def condition(self) -> Condition:
        terms = sorted(self.equation.items(), key=_monomial_key)
        scale = next((weight for monomial, weight in terms if monomial), Fraction(1))
        terms = [(m, w / scale) for m, w in terms]
        left = sympy.Add(
            *(
                sympy.Rational(w.numerator, w.denominator) * sympy.Mul(*map(_symbol, m))
                for m, w in terms
                if m
            )
        )
        equation = sympy.Eq(left, _right(terms), evaluate=False)
        return Condition(self.kind, self.forest, self.order, equation, tuple(terms))


class _Maker:
    """Raw equations of a family."""

    def __init__(self, family: Family, calculus: str, noise: str, channels: int | None) -> None:
        if not homogeneous(family.skeleton):
            raise TableauError(
                f"tableau {family.skeleton.name!r}: conditions of a family need labels of size h "
                "for drift "
                "and sqrt(h) for diffusion values"
            )
        self.family = family
        self.calculus = calculus
        self.noise = noise
        # Row sums are taken for granted, so that only noise nodes of additive noise bear time
        # leaves.
        self.prover = Prover(family.skeleton, noise, channels=channels)
        self.prover.time = noise == "additive"
        if noise == "additive":
            self.prover.rule = "driven"
        self._weights: dict[tuple[int, bool], Weights[FormalVector, FormalScalar]] = {}
        self._products: dict[tuple[Forest, int, bool], FormalScalar] = {}

    def weights(self, channels: int, alone: bool) -> Weights[FormalVector, FormalScalar]:
        key = (channels, alone)
        if key not in self._weights:
            algebra = FormalAlgebra(
                self.family.skeleton,
                channels,
                dict(self.family.names),
                dict(self.family.nodes),
            )
            weights = Weights(self.family.skeleton, channels, algebra)
            if alone:
                weights.parts = tuple(
                    part for part in weights.parts if part.source not in self.family.pairs
                )
            self._weights[key] = weights
        return self._weights[key]

    def settings(self, combination: Combination) -> Iterator[tuple[int, bool]]:
        """Numbers of channels, and whether the channel is the only one."""
        alone = combination.channels <= 1 and bool(self.family.pairs)
        if alone:
            yield 1, True
        if self.prover.limit is not None and self.prover.limit < 2 and alone:
            return
        for channels in self.prover.numbers_of_channels(combination):
            yield channels, False

    def random(self, weights: Weights[FormalVector, FormalScalar]) -> EntryAlgebra:
        algebra = weights.algebra
        assert isinstance(algebra, FormalAlgebra)
        return algebra.random

    def strong(self, order: Fraction) -> Iterator[_Raw]:
        for halves in range(1, int(2 * order) + 1):
            level = Fraction(halves, 2)
            for combination in self.prover.combinations(level, True, False):
                for channels, alone in self.settings(combination):
                    yield from self._squares(combination, level, channels, alone)
        level = order + Fraction(1, 2)
        for combination in self.prover.combinations(level, True, True):
            for channels, alone in self.settings(combination):
                yield from self._means("mean", combination, level, channels, alone)

    def weak(self, order: Fraction) -> Iterator[_Raw]:
        for halves in range(1, int(2 * order) + 2):
            level = Fraction(halves, 2)
            for combination in self.prover.combinations(level, False, True):
                for channels, alone in self.settings(combination):
                    yield from self._means("weak", combination, level, channels, alone)

    def _squares(
        self, combination: Combination, level: Fraction, channels: int, alone: bool
    ) -> Iterator[_Raw]:
        weights = self.weights(channels, alone)
        random = self.random(weights)
        rows: dict[Word, Equation] = {}
        parts: list[tuple[Monomial, Functional]] = []
        for forest, weight in combination.terms:
            exact = exact_weight(forest[0], self.calculus).scaled(-weight)
            parts.append(((), exact))
            for monomial, value in weights.output(forest[0]).items():
                image = random.functional(value, self.calculus, forest[0].halves)
                image = Functional(
                    {w: _fraction(c) * weight for w, c in image.terms.items()},
                    self.calculus,
                    image.divisor,
                )
                parts.append((monomial, image))
        divisor = max(image.divisor for _, image in parts)
        for monomial, image in parts:
            for word, value in image.raised(divisor).terms.items():
                row = rows.setdefault(word, {})
                row[monomial] = row.get(monomial, Fraction(0)) + value
        for equation in _solved(rows.values()):
            yield _Raw("mean square", combination.forest, level, equation)

    def _means(
        self, kind: str, combination: Combination, level: Fraction, channels: int, alone: bool
    ) -> Iterator[_Raw]:
        random = self.random(self.weights(channels, alone))
        equation: Equation = {}
        for forest, weight in combination.terms:
            for monomial, value in self._product(forest, channels, alone).items():
                mean = _fraction(random.mean(value)) * weight
                equation[monomial] = equation.get(monomial, Fraction(0)) + mean
            exact = exact_mean(forest, self.calculus) * weight
            equation[()] = equation.get((), Fraction(0)) - exact
        equation = {monomial: weight for monomial, weight in equation.items() if weight}
        if equation:
            yield _Raw(kind, combination.forest, level, equation)

    def _product(self, forest: Forest, channels: int, alone: bool) -> FormalScalar:
        key = (forest, channels, alone)
        found = self._products.get(key)
        if found is None:
            weights = self.weights(channels, alone)
            found = weights.output(forest[-1])
            if len(forest) > 1:
                random = self.random(weights)
                product: FormalScalar = {}
                for u, a in self._product(forest[:-1], channels, alone).items():
                    for v, b in found.items():
                        monomial = tuple(sorted(u + v, key=repr))
                        _accumulate(product, monomial, random.reduced(a * b))
                found = product
            self._products[key] = found
        return found


def _fraction(value: Any) -> Fraction:
    return Fraction(int(value.numerator), int(value.denominator))


def _solved(rows: Iterable[Equation]) -> Iterator[Equation]:
    """Linear equations in formal scalars, row reduced."""
    pivots: list[tuple[Monomial, Equation]] = []
    for given in rows:
        row = {m: w for m, w in given.items() if w}
        for monomial, other in pivots:
            if monomial in row:
                row = _combined(row, other, -row[monomial])
        if not row:
            continue
        pivot = min((m for m in row if m), key=repr, default=None)
        if pivot is None:
            yield row  # 1 = 0: the family cannot have this order
            return
        row = {m: w / row[pivot] for m, w in row.items()}
        pivots = [
            (m, _combined(other, row, -other[pivot]) if pivot in other else other)
            for m, other in pivots
        ]
        pivots.append((pivot, row))
    for _, row in pivots:
        yield row


def _combined(left: Equation, right: Equation, factor: Fraction) -> Equation:
    found = dict(left)
    for monomial, weight in right.items():
        value = found.get(monomial, Fraction(0)) + factor * weight
        if value:
            found[monomial] = value
        else:
            found.pop(monomial, None)
    return found


class _Elimination:
    """Which equations are independent.

    Almost every condition determines one new scalar linearly once those of lower order are known;
    the few that do not are squares such as ``(beta1^T e)^2 = 1``.  So: solve for a scalar where an
    equation is linear in it with an invertible coefficient, and adopt a square only when nothing
    linear is left.
    """

    def __init__(self) -> None:
        self.values: dict[Scalar, Equation] = {}
        self.squares: dict[Scalar, Fraction] = {}

    def run(self, raws: Sequence[_Raw]) -> list[_Raw]:
        kept: list[_Raw] = []
        waiting = sorted(
            raws, key=lambda raw: (raw.order, _degree(raw.equation), len(raw.equation))
        )
        while waiting:
            later: list[_Raw] = []
            progress = False
            for raw in waiting:
                equation = self._plain(self.reduced(raw.equation))
                if not equation:
                    continue
                reduced = _Raw(raw.kind, raw.forest, raw.order, equation)
                if self._solve(equation):
                    kept.append(reduced)
                    progress = True
                else:
                    later.append(reduced)
            waiting = later
            if not progress and waiting:
                waiting.sort(key=lambda raw: (_degree(raw.equation), len(raw.equation)))
                index = next(
                    (i for i, raw in enumerate(waiting) if self._adopt(raw.equation)), None
                )
                if index is None:
                    kept.extend(_outside_ideal(waiting))
                    break
                kept.append(waiting.pop(index))
        return kept

    def reduced(self, equation: Equation) -> Equation:
        """Known scalars replaced by their values, squares by their constants."""
        found: Equation = {}
        for monomial, weight in equation.items():
            terms: Equation = {(): weight}
            for scalar in monomial:
                value = self.values.get(scalar)
                factor: Equation = {(scalar,): Fraction(1)} if value is None else value
                terms = self._multiplied(terms, factor)
            found = _combined(found, terms, Fraction(1))
        return found

    def _plain(self, equation: Equation) -> Equation:
        """A product that vanishes, without the factors that cannot."""
        if len(equation) != 1:
            return equation
        ((monomial, weight),) = equation.items()
        rest = [scalar for scalar in monomial if scalar not in self.squares]
        if len(set(rest)) == 1:
            rest = rest[:1]
        return {tuple(rest): weight}

    def _multiplied(self, left: Equation, right: Equation) -> Equation:
        found: Equation = {}
        for u, a in left.items():
            for v, b in right.items():
                weight = a * b
                counts = Counter(u + v)
                for scalar, square in self.squares.items():
                    while counts.get(scalar, 0) > 1:
                        counts[scalar] -= 2
                        weight *= square
                key = tuple(sorted(counts.elements(), key=repr))
                found[key] = found.get(key, Fraction(0)) + weight
        return {m: w for m, w in found.items() if w}

    def _solve(self, equation: Equation) -> bool:
        linear: dict[Scalar, list[tuple[Monomial, Fraction]]] = {}
        nonlinear: set[Scalar] = set()
        for monomial, weight in equation.items():
            unknown_ = [s for s in monomial if s not in self.squares]
            if len(unknown_) == 1:
                rest = tuple(s for s in monomial if s in self.squares)
                linear.setdefault(unknown_[0], []).append((rest, weight))
            else:
                nonlinear.update(unknown_)
        for scalar, coefficients in sorted(linear.items(), key=lambda item: -len(repr(item[0]))):
            if scalar in nonlinear or len(coefficients) != 1:
                continue
            units, weight = coefficients[0]
            # The inverse of a square root s of c is s / c.
            inverse: Equation = {units: Fraction(-1) / weight}
            for unit in units:
                inverse = {m: w / self.squares[unit] for m, w in inverse.items()}
            others = {
                m: w
                for m, w in equation.items()
                if [s for s in m if s not in self.squares] != [scalar]
            }
            value = self._multiplied(others, inverse)
            self.values[scalar] = value
            self.values = {
                s: self.reduced(v) if any(scalar in m for m in v) else v
                for s, v in self.values.items()
            }
            return True
        return False

    def _adopt(self, equation: Equation) -> bool:
        monomials = [m for m in equation if m]
        constant = equation.get((), Fraction(0))
        if len(monomials) == 1 and constant:
            monomial = monomials[0]
            if len(monomial) == 2 and monomial[0] == monomial[1]:
                square = -constant / equation[monomial]
                if square > 0:
                    self.squares[monomial[0]] = square
                    return True
        return False


def _outside_ideal(raws: Sequence[_Raw]) -> list[_Raw]:
    """Those equations that do not follow from the ones before them, by polynomial division.

    Where nothing is linear, as in the weak conditions of a family whose noise weights enter only
    through their mean squares, elimination stops; a Groebner basis of so few equations is quick.
    """
    scalars = sorted({s for raw in raws for m in raw.equation for s in m}, key=repr)
    symbols = {scalar: sympy.Symbol(f"x{i}") for i, scalar in enumerate(scalars)}
    kept: list[_Raw] = []
    polynomials: list[sympy.Expr] = []
    basis: sympy.GroebnerBasis | None = None
    for raw in raws:
        if set(raw.equation) == {()}:  # 1 = 0: no member of the family has this order
            kept.append(raw)
            continue
        polynomial = sympy.Add(
            *(
                sympy.Rational(w.numerator, w.denominator) * sympy.Mul(*(symbols[s] for s in m))
                for m, w in raw.equation.items()
            )
        )
        if basis is not None and basis.contains(polynomial):
            continue
        kept.append(raw)
        polynomials.append(polynomial)
        basis = sympy.groebner(polynomials, *symbols.values(), order="grevlex")
    return kept


def _degree(equation: Equation) -> int:
    return max((len(monomial) for monomial in equation), default=0)
