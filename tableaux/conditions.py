r"""Order conditions of a family, in the notation of the literature.

The matrices of a family are kept as symbols (``tableaux.formal``): the conditions are polynomial
equations between formal scalars, whatever the number of stages.

Those that follow from the ones before are dropped (``tableaux.elimination``), so that the number of
conditions that are left is the number of independent ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, lru_cache
from math import factorial
from typing import Any, overload

import sympy

from tableaux.blocks import Coupling, Output
from tableaux.constraints import Combination
from tableaux.elimination import Equation, RawCondition, independent_ones, row_reduced
from tableaux.errors import TableauError, unknown
from tableaux.expansion import expansion
from tableaux.formal import (
    FormalAlgebra,
    FormalScalar,
    FormalVector,
    Monomial,
    Scalar,
    accumulate,
    scalar_text,
)
from tableaux.phi import phi
from tableaux.prover import CLASSES, Prover
from tableaux.rooted_trees import Forest, forest_latex, forest_text
from tableaux.tableau import Tableau
from tableaux.weights import EntryAlgebra, Weights, homogeneous
from tableaux.words import Functional, Word, exact_mean, exact_weight

__all__ = ["FAMILIES", "Condition", "Conditions", "Family", "order_conditions"]


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


def _symbol(scalar: Scalar) -> sympy.Symbol:
    return sympy.Symbol(scalar_text(scalar))


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
    -----
    Nodes are taken to be the row sums of the drift's matrices, ``c = A e``, except where
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
    distinct: dict[tuple[tuple[Monomial, Fraction], ...], RawCondition] = {}
    for raw in found:
        key = tuple(sorted(raw.equation.items(), key=_monomial_key))
        distinct.setdefault(key, raw)
    raws = list(distinct.values())
    kept = independent_ones(raws) if independent else raws
    conditions = [_condition(raw) for raw in kept]
    conditions.sort(key=lambda c: (c.order, c.kind != "mean square", len(c.text)))
    return Conditions(conditions, len(raws))


def _monomial_key(item: tuple[Monomial, Fraction]) -> tuple[int, str]:
    return len(item[0]), repr(item[0])


def _condition(raw: RawCondition) -> Condition:
    terms = sorted(raw.equation.items(), key=_monomial_key)
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
    return Condition(raw.kind, raw.forest, raw.order, equation, tuple(terms))


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

    def strong(self, order: Fraction) -> Iterator[RawCondition]:
        for halves in range(1, int(2 * order) + 1):
            level = Fraction(halves, 2)
            for combination in self.prover.combinations(level, True, False):
                for channels, alone in self.settings(combination):
                    yield from self._squares(combination, level, channels, alone)
        level = order + Fraction(1, 2)
        for combination in self.prover.combinations(level, True, True):
            for channels, alone in self.settings(combination):
                yield from self._means("mean", combination, level, channels, alone)

    def weak(self, order: Fraction) -> Iterator[RawCondition]:
        for halves in range(1, int(2 * order) + 2):
            level = Fraction(halves, 2)
            for combination in self.prover.combinations(level, False, True):
                for channels, alone in self.settings(combination):
                    yield from self._means("weak", combination, level, channels, alone)

    def _squares(
        self, combination: Combination, level: Fraction, channels: int, alone: bool
    ) -> Iterator[RawCondition]:
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
        for equation in row_reduced(rows.values()):
            yield RawCondition("mean square", combination.forest, level, equation)

    def _means(
        self, kind: str, combination: Combination, level: Fraction, channels: int, alone: bool
    ) -> Iterator[RawCondition]:
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
            yield RawCondition(kind, combination.forest, level, equation)

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
                        accumulate(product, monomial, random.reduced(a * b))
                found = product
            self._products[key] = found
        return found


def _fraction(value: Any) -> Fraction:
    return Fraction(int(value.numerator), int(value.denominator))
