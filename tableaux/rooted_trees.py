"""Coloured rooted trees: the index set of stochastic B-series.

A tree is a root colour and a multiset of subtrees.  Colour 0 is the drift, colours ``1..m`` are
the noise channels, and :data:`TIME` marks a leaf that stands for the time variable of a
non-autonomous equation (autonomised, ``t`` is one more component, with drift 1, so that it can
only be a leaf).

Trees are interned: equal trees are the same object, so that a look-up in a table keyed by trees
costs the same whatever the size of the tree.  The rejected alternative, nested tuples, hashes
every node again at each look-up, and a weak verdict makes millions of them.

Sources: Roessler, *SIAM J. Numer. Anal.* 47 (2009) and 48 (2010); Debrabant and Kvaerno (2008).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cache
from math import factorial
from typing import Any, ClassVar

TIME = -1
"""Colour of a leaf that stands for time; it counts 1 towards the order, as a drift node does."""

LINEAR = -2
"""Colour of the linear part L of a semilinear drift ``L x + N``; it counts 1, and bears one child at
most, as the second derivative of L x vanishes."""

Forest = tuple["Tree", ...]
"""A multiset of trees, written as a sorted tuple."""

Content = tuple[tuple[int, int], ...]
"""How many nodes of each colour: sorted pairs (colour, count), counts positive."""


class Tree:
    """A coloured rooted tree ``[t1, ..., tn]_colour``, canonical and hashable.

    Parameters
    ----------
    colour : int
        0 for the drift, ``1..m`` for a noise channel, :data:`TIME` for a time leaf, :data:`LINEAR`
        for the linear part of a drift.
    children : iterable of Tree, optional
        The subtrees, in any order.

    Examples
    --------
    >>> leaf = Tree(1)
    >>> Tree(0, [leaf, leaf])
    [1, 1]_0
    >>> Tree(0, [leaf, leaf]).order, Tree(0, [leaf, leaf]).symmetry
    (Fraction(2, 1), 2)
    """

    __slots__ = ("_symmetry", "children", "colour", "halves", "key")

    colour: int
    children: Forest
    halves: int
    key: tuple[Any, ...]
    _symmetry: int

    _known: ClassVar[dict[tuple[int, Forest], Tree]] = {}

    def __new__(cls, colour: int, children: Iterable[Tree] = ()) -> Tree:
        branches = sort_forest(children)
        known = cls._known.get((colour, branches))
        if known is not None:
            return known
        if colour < LINEAR:
            raise ValueError(
                f"a tree's colour is 0 (drift), 1..m (noise), TIME ({TIME}) or LINEAR ({LINEAR}), "
                f"not {colour}"
            )
        if colour == LINEAR and (len(branches) > 1 or TIME in (b.colour for b in branches)):
            raise ValueError("a node of the linear part bears one child at most, and no time leaf")
        if colour == TIME and branches:
            raise ValueError("a time leaf bears no children: the drift of time is the constant 1")
        self = super().__new__(cls)
        own = 1 if colour > 0 else 2
        self.colour = colour
        self.children = branches
        self.halves = own + sum(child.halves for child in branches)
        self.key = (self.halves, colour, tuple(child.key for child in branches))
        self._symmetry = forest_symmetry(branches)
        cls._known[colour, branches] = self
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (Tree, (self.colour, self.children))

    def __lt__(self, other: Tree) -> bool:
        return bool(self.key < other.key)

    @property
    def order(self) -> Fraction:
        """Number of drift and time nodes plus half the number of noise nodes."""
        return Fraction(self.halves, 2)

    @property
    def symmetry(self) -> int:
        """Number of automorphisms that keep the colours."""
        return self._symmetry

    @property
    def content(self) -> Content:
        """How many nodes of each colour the tree has."""
        return forest_content((self,))

    def nodes(self) -> Iterator[Tree]:
        """Every subtree, the tree itself first."""
        yield self
        for child in self.children:
            yield from child.nodes()

    def recoloured(self, mapping: dict[int, int]) -> Tree:
        """The same shape with its colours sent through ``mapping`` (others are kept)."""
        return Tree(
            mapping.get(self.colour, self.colour),
            [child.recoloured(mapping) for child in self.children],
        )

    def __repr__(self) -> str:
        if not self.children:
            return _name(self.colour)
        return f"[{', '.join(map(repr, self.children))}]_{_name(self.colour)}"

    def latex(self) -> str:
        r"""LaTeX in the bracket notation: ``\left[\tau_{1}, \tau_{1}\right]_{0}``."""
        if not self.children:
            return rf"\tau_{{{_name(self.colour)}}}"
        inside = ", ".join(child.latex() for child in self.children)
        return rf"\left[{inside}\right]_{{{_name(self.colour)}}}"

    def _repr_latex_(self) -> str:
        return f"${self.latex()}$"

    def _repr_svg_(self) -> str:
        return forest_svg((self,))


def _name(colour: int) -> str:
    return {TIME: "t", LINEAR: "L"}.get(colour, str(colour))


def sort_forest(trees: Iterable[Tree]) -> Forest:
    """The canonical tuple of a multiset of trees."""
    found = tuple(trees)
    return found if len(found) < 2 else tuple(sorted(found, key=lambda tree: tree.key))


def forest_order(forest: Forest) -> Fraction:
    """Sum of the orders of the trees."""
    return Fraction(sum(tree.halves for tree in forest), 2)


def forest_symmetry(forest: Forest) -> int:
    """Automorphisms of the forest: those of each tree, and permutations of equal trees."""
    count = 1
    for tree, repeats in Counter(forest).items():
        count *= factorial(repeats) * tree.symmetry**repeats
    return count


def forest_content(forest: Forest) -> Content:
    """How many nodes of each colour the forest has."""
    tally: Counter[int] = Counter(node.colour for tree in forest for node in tree.nodes())
    return tuple(sorted(tally.items()))


def forest_text(forest: Forest) -> str:
    """The forest as text: its trees side by side."""
    return " . ".join(map(repr, forest)) if forest else "empty"


def forest_latex(forest: Forest) -> str:
    """The forest as LaTeX: its trees side by side."""
    return r"\,".join(tree.latex() for tree in forest) if forest else r"\emptyset"


# --- which trees exist ---------------------------------------------------------------------------


def admits(noise: str, parent: int, child: Tree) -> bool:
    """Whether an edge can occur when the vector fields belong to a noise class.

    ``additive``: g depends on time alone, so a noise node bears only leaves that stand for time.
    ``unit``: g is constant, so a noise node is a leaf. ``diagonal``: g_k = gamma_k(x_k) e_k, so d
    g_k / d x_l = 0 and no noise node hangs from a noise node of another channel (it may do so
    through a drift node, which mixes components). Any other class removes no tree.

    Two variants of ``additive`` tell time from the drift by its own leaf, as weights need when
    nodes are not row sums: ``driven`` lets only noise nodes bear time leaves, ``timed`` drift
    nodes too.
    """
    if parent == LINEAR:
        return child.colour != TIME
    if parent <= 0:
        return noise != "driven" or child.colour != TIME
    if noise == "unit":
        return False
    if noise == "additive":
        return child.colour in (0, TIME) and not child.children
    if noise in ("driven", "timed"):
        return child.colour == TIME
    if noise == "diagonal":
        return child.colour <= 0 or child.colour == parent
    return True


def _minus(content: Content, part: Content) -> Content | None:
    counts = dict(content)
    for colour, number in part:
        left = counts.get(colour, 0) - number
        if left < 0:
            return None
        counts[colour] = left
    return tuple((colour, number) for colour, number in sorted(counts.items()) if number)


@cache
def trees_of_content(content: Content, noise: str = "general") -> tuple[Tree, ...]:
    """Every tree with exactly these numbers of nodes of each colour, sorted."""
    found: list[Tree] = []
    for colour, _ in content:
        rest = _minus(content, ((colour, 1),))
        assert rest is not None
        if colour == TIME:
            if not rest:
                found.append(Tree(TIME))
            continue
        found.extend(
            Tree(colour, forest)
            for forest in forests_of_content(rest, noise)
            if all(admits(noise, colour, child) for child in forest)
            and (colour != LINEAR or len(forest) < 2)
        )
    return tuple(sorted(found))


@cache
def forests_of_content(content: Content, noise: str = "general") -> tuple[Forest, ...]:
    """Every multiset of trees with exactly these numbers of nodes of each colour."""
    if not content:
        return ((),)
    found: list[Forest] = []
    # Trees are taken in increasing order of their key, so that each multiset is met once.
    parts = [(part, tree) for part in _parts(content) for tree in trees_of_content(part, noise)]
    parts.sort(key=lambda pair: pair[1].key)

    def extend(start: int, rest: Content, chosen: list[Tree]) -> None:
        if not rest:
            found.append(tuple(chosen))
            return
        for index in range(start, len(parts)):
            part, tree = parts[index]
            left = _minus(rest, part)
            if left is not None:
                chosen.append(tree)
                extend(index, left, chosen)
                chosen.pop()

    extend(0, content, [])
    return tuple(found)


@cache
def _parts(content: Content) -> tuple[Content, ...]:
    """Every non-empty content that fits into ``content``."""
    found: list[dict[int, int]] = [{}]
    for colour, number in content:
        found = [{**part, colour: take} for part in found for take in range(number + 1)]
    cleaned = (
        tuple((colour, number) for colour, number in sorted(part.items()) if number)
        for part in found
    )
    return tuple(part for part in cleaned if part)


def contents(order: Fraction | int, colours: Iterable[int]) -> Iterator[Content]:
    """Every content of the given order over the given colours."""
    halves = Fraction(order) * 2
    if halves.denominator != 1 or halves < 0:
        raise ValueError(f"an order is a non-negative multiple of 1/2, not {order}")
    palette = sorted(set(colours))

    def extend(index: int, left: int, chosen: Content) -> Iterator[Content]:
        if index == len(palette):
            if left == 0:
                yield chosen
            return
        weight = 1 if palette[index] > 0 else 2
        for number in range(left // weight + 1):
            part = ((palette[index], number),) if number else ()
            yield from extend(index + 1, left - weight * number, chosen + part)

    yield from extend(0, int(halves), ())


def _palette(colours: int | Iterable[int]) -> list[int]:
    return list(range(colours)) if isinstance(colours, int) else sorted(set(colours))


def trees(
    order: Fraction | int | str, colours: int | Iterable[int] = 2, *, noise: str = "general"
) -> tuple[Tree, ...]:
    """The coloured rooted trees of an order, canonical and sorted.

    Parameters
    ----------
    order : Fraction, int or str
        A positive multiple of 1/2; ``"3/2"`` is read as a fraction.
    colours : int or iterable of int
        The number of colours, the drift included (2 is one noise channel), or the colours
        themselves.
    noise : str
        ``"general"`` (every tree), ``"additive"`` (noise nodes bear only leaves of colour 0, which
        then stand for time), ``"diagonal"``, or ``"unit"`` (noise nodes are leaves).

    Examples
    --------
    >>> [len(trees(Fraction(n, 2), 2)) for n in range(1, 5)]
    [1, 2, 4, 10]
    """
    palette = _palette(colours)
    found = [
        tree
        for part in contents(Fraction(order), palette)
        for tree in trees_of_content(part, noise)
    ]
    return tuple(sorted(found))


def forests(
    order: Fraction | int | str, colours: int | Iterable[int] = 2, *, noise: str = "general"
) -> tuple[Forest, ...]:
    """The multisets of trees of a total order; parameters as in :func:`trees`.

    Examples
    --------
    >>> [len(forests(Fraction(n, 2), 2)) for n in range(1, 5)]
    [1, 3, 7, 20]
    """
    palette = _palette(colours)
    return tuple(
        forest
        for part in contents(Fraction(order), palette)
        for forest in forests_of_content(part, noise)
    )


# --- pictures ------------------------------------------------------------------------------------

_FILLS = ("#111111", "#d1495b", "#2e86ab", "#3c9d4e", "#b8860b", "#7b4fa3")


def forest_svg(forest: Forest) -> str:
    """A picture of the forest, roots at the bottom: black drift nodes, numbered noise nodes,
    square time leaves.
    """
    step = 26
    marks: list[str] = []
    edges: list[str] = []

    def place(tree: Tree, left: float, level: int) -> tuple[float, float]:
        """Draw a subtree from ``left``; return its root's abscissa and its width."""
        spots: list[float] = []
        width = 0.0
        for child in tree.children:
            spot, taken = place(child, left + width, level + 1)
            spots.append(spot)
            width += taken
        width = max(width, 1.0)
        x = sum(spots) / len(spots) if spots else left + width / 2
        edges.extend(_line(x, level, spot, level + 1) for spot in spots)
        marks.append(_mark(tree.colour, x, level))
        return x, width

    def _line(x1: float, y1: int, x2: float, y2: int) -> str:
        return (
            f'<line x1="{x1 * step:g}" y1="{-y1 * step}" x2="{x2 * step:g}" y2="{-y2 * step}" '
            'stroke="#555" stroke-width="1.4"/>'
        )

    def _mark(colour: int, x: float, y: int) -> str:
        cx, cy = x * step, -y * step
        if colour == TIME:
            return f'<rect x="{cx - 6:g}" y="{cy - 6}" width="12" height="12" fill="#888"/>'
        fill = _FILLS[colour % len(_FILLS)]
        label = (
            f'<text x="{cx:g}" y="{cy + 4}" font-size="11" fill="#fff" text-anchor="middle">'
            f"{colour}</text>"
        )
        return f'<circle cx="{cx:g}" cy="{cy}" r="8" fill="{fill}"/>{label}'

    total = 0.0
    height = 0
    for tree in forest:
        _, width = place(tree, total, 0)
        total += width
        height = max(height, _height(tree))
    w, h = total * step, (height + 1) * step
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w:g}" height="{h}" '
        f'viewBox="0 {-h + step / 2:g} {w:g} {h}">{"".join(edges)}{"".join(marks)}</svg>'
    )


def _height(tree: Tree) -> int:
    return 1 + max((_height(child) for child in tree.children), default=-1)
