"""What a class of vector fields does to the conditions: trees that vanish, trees that are
identified.

The error of one step is a sum over forests of ``residual(forest) / symmetry(forest)`` times an
elementary differential.  When the vector fields are arbitrary the differentials are independent
and every residual must vanish.  In a smaller class

- some differentials vanish (``rooted_trees.admits``): their forests are not generated;
- some are linear combinations of others: only the residuals' images in the quotient must vanish.

A :class:`Combination` is one such image: a linear functional on residuals, with the forest that
leads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import combinations, permutations, product

from tableaux.rooted_trees import (
    LINEAR,
    TIME,
    Content,
    Forest,
    Tree,
    contents,
    forest_content,
    forest_symmetry,
    forest_text,
    forests_of_content,
    sort_forest,
    trees_of_content,
)

_HOLE = 10**6
"""Colour of the node that a relation is written into."""

Linear = dict[Forest, Fraction]


@dataclass(frozen=True)
class Combination:
    """The condition ``sum of weight * residual(forest) = 0``; the first forest has weight 1."""

    terms: tuple[tuple[Forest, Fraction], ...]

    @property
    def forest(self) -> Forest:
        """The forest that leads the combination."""
        return self.terms[0][0]

    @property
    def channels(self) -> int:
        """The highest noise channel that occurs."""
        return max((c for forest, _ in self.terms for c, _ in forest_content(forest)), default=0)

    def __str__(self) -> str:
        parts = [forest_text(self.forest)]
        for forest, weight in self.terms[1:]:
            sign = "-" if weight < 0 else "+"
            size = "" if abs(weight) == 1 else f"{abs(weight)} "
            parts.append(f"{sign} {size}{forest_text(forest)}")
        return " ".join(parts)


def patterns(
    order: Fraction,
    colours: int,
    *,
    time: bool,
    linear: bool = False,
    sorted_only: bool = False,
    even_only: bool = False,
    all_choices: bool = False,
) -> Iterator[Content]:
    """Contents of an order that use exactly the noise channels 1..q, for q = 0..colours.

    A weight depends on the channels that its tree bears, and on their order at most, so that these
    stand for all choices of channels.  ``sorted_only``: one content for each set of contents that
    differ by a permutation of channels.  ``linear``: with nodes of L.  ``even_only``: each channel
    an even number of times.
    ``all_choices``: every content over the channels 1..colours instead, for sums over all trees.
    """
    base = (*((LINEAR,) if linear else ()), 0, *((TIME,) if time else ()))
    if all_choices:
        yield from contents(order, (*base, *range(1, colours + 1)))
        return
    for q in range(colours + 1):
        for content in contents(order, (*base, *range(1, q + 1))):
            counts = [number for colour, number in content if colour > 0]
            if len(counts) != q:
                continue
            if sorted_only and counts != sorted(counts, reverse=True):
                continue
            if even_only and any(number % 2 for number in counts):
                continue
            yield content


def _members(content: Content, noise: str, single: bool) -> tuple[Forest, ...]:
    if single:
        found: Iterable[Forest] = ((tree,) for tree in trees_of_content(content, noise))
    else:
        found = forests_of_content(content, noise)
    return tuple(f for f in found if all(tree.colour != TIME for tree in f))


def free_conditions(content: Content, noise: str, single: bool) -> Iterator[Combination]:
    """One condition for each tree (``single``) or forest of a content: nothing is identified."""
    for forest in _members(content, noise, single):
        yield Combination(((forest, Fraction(1)),))


# --- commutative noise ---------------------------------------------------------------------------


def _distributions(children: Forest) -> Iterator[tuple[Forest, Forest]]:
    """Every way to deal the children (told apart) to two parents: the product rule."""
    for choice in product((0, 1), repeat=len(children)):
        yield (
            tuple(c for c, side in zip(children, choice) if side == 0),
            tuple(c for c, side in zip(children, choice) if side == 1),
        )


def _add(total: Linear, forest: Iterable[Tree], weight: Fraction) -> None:
    key = sort_forest(forest)
    total[key] = total.get(key, Fraction(0)) + weight
    if not total[key]:
        del total[key]


def _fill(tree: Tree, k: int, l: int) -> list[tuple[Tree, int]]:
    """The hole of a tree filled with the derivative of g_k' g_l - g_l' g_k along its children."""
    if tree.colour == _HOLE:
        found = []
        for outer, inner in _distributions(tree.children):
            found.append((Tree(k, (*outer, Tree(l, inner))), 1))
            found.append((Tree(l, (*outer, Tree(k, inner))), -1))
        return found
    for i, child in enumerate(tree.children):
        if any(node.colour == _HOLE for node in child.nodes()):
            rest = tree.children[:i] + tree.children[i + 1 :]
            return [(Tree(tree.colour, (*rest, new)), sign) for new, sign in _fill(child, k, l)]
    return [(tree, 1)]


@cache
def commutative_conditions(content: Content, single: bool) -> tuple[Combination, ...]:
    """The conditions that remain when ``g_k' g_l = g_l' g_k`` for all channels.

    Differentiating the relation along any vectors, inside any tree, gives all linear relations
    among elementary differentials of one content; a functional that vanishes on them is a
    condition.
    """
    members = _members(content, "general", single)
    index = {forest: i for i, forest in enumerate(members)}
    counts = dict(content)
    noises = [colour for colour in counts if colour > 0]
    rows: list[dict[int, Fraction]] = []
    for k, l in combinations(noises, 2):
        left = dict(counts)
        left[k] -= 1
        left[l] -= 1
        left[_HOLE] = 1
        context = tuple(sorted((c, n) for c, n in left.items() if n))
        for forest in _members(context, "general", single):
            row: Linear = {}
            for i, tree in enumerate(forest):
                if any(node.colour == _HOLE for node in tree.nodes()):
                    rest = forest[:i] + forest[i + 1 :]
                    for new, sign in _fill(tree, k, l):
                        _add(row, (*rest, new), Fraction(sign))
                    break
            if row:
                rows.append({index[f]: w for f, w in row.items()})
    pivots = _row_reduce(rows)
    dependent: dict[int, list[tuple[int, Fraction]]] = {}
    for pivot, reduced in pivots.items():
        for column, weight in reduced.items():
            if column != pivot:
                dependent.setdefault(column, []).append((pivot, -weight))
    found = []
    for i, forest in enumerate(members):
        if i in pivots:
            continue
        own = Fraction(forest_symmetry(forest))
        terms = [(forest, Fraction(1))]
        for pivot, weight in dependent.get(i, []):
            terms.append((members[pivot], weight * own / forest_symmetry(members[pivot])))
        found.append(Combination(tuple(terms)))
    return tuple(found)


def _row_reduce(rows: list[dict[int, Fraction]]) -> dict[int, dict[int, Fraction]]:
    """Reduced row echelon form of sparse rows, as {pivot column: row}."""
    pivots: dict[int, dict[int, Fraction]] = {}
    uses: dict[int, set[int]] = {}
    for given in rows:
        row = dict(given)
        for column in list(row):
            if column in pivots and column in row:
                _subtract(row, pivots[column], row[column])
        if not row:
            continue
        # The last forest is eliminated, so that the smaller ones lead conditions.
        pivot = max(row)
        scale = row[pivot]
        row = {column: weight / scale for column, weight in row.items()}
        for other in list(uses.get(pivot, ())):
            target = pivots[other]
            weight = target.get(pivot)
            if weight:
                before = set(target)
                _subtract(target, row, weight)
                for column in set(target) - before:
                    uses.setdefault(column, set()).add(other)
        pivots[pivot] = row
        for column in row:
            if column != pivot:
                uses.setdefault(column, set()).add(pivot)
    return pivots


def _subtract(row: dict[int, Fraction], other: dict[int, Fraction], factor: Fraction) -> None:
    for column, weight in other.items():
        new = row.get(column, Fraction(0)) - factor * weight
        if new:
            row[column] = new
        else:
            row.pop(column, None)


# --- martingale drift ----------------------------------------------------------------------------


@cache
def without_time(tree: Tree, channels: int) -> tuple[tuple[Tree, Fraction], ...]:
    """A tree as a combination of trees without time leaves, when f is a martingale along the
    process.

    With unit noise, ``d_t f = -f' f - sum_k f''(e_k, e_k) / 2``.  Differentiated along v1..vn:
    ``[t, v]_0 = - sum over S of [v_S, [v_rest]_0]_0 - sum_k [k, k, v]_0 / 2``.
    """
    total: dict[Tree, Fraction] = {}
    if tree.colour == 0 and Tree(TIME) in tree.children:
        spot = tree.children.index(Tree(TIME))
        rest = tree.children[:spot] + tree.children[spot + 1 :]
        pieces: list[tuple[Tree, Fraction]] = [
            (Tree(0, (*outer, Tree(0, inner))), Fraction(-1))
            for outer, inner in _distributions(rest)
        ]
        pieces += [
            (Tree(0, (Tree(k), Tree(k), *rest)), Fraction(-1, 2)) for k in range(1, channels + 1)
        ]
        for piece, weight in pieces:
            for image, factor in without_time(piece, channels):
                total[image] = total.get(image, Fraction(0)) + weight * factor
    else:
        for forest, weight in forest_without_time(tree.children, channels):
            image = Tree(tree.colour, forest)
            total[image] = total.get(image, Fraction(0)) + weight
    return tuple((image, weight) for image, weight in total.items() if weight)


@cache
def forest_without_time(forest: Forest, channels: int) -> tuple[tuple[Forest, Fraction], ...]:
    """The product over a forest of :func:`without_time`."""
    total: Linear = {(): Fraction(1)}
    for tree in forest:
        following: Linear = {}
        for done, weight in total.items():
            for image, factor in without_time(tree, channels):
                _add(following, (*done, image), weight * factor)
        total = following
    return tuple(total.items())


Graph = tuple[int, tuple[tuple[int, int], ...]]


@cache
def as_graph(forest: Forest) -> Graph | None:
    """What the elementary differential of a forest is, when f is a gradient.

    All derivatives of a gradient are symmetric in their arguments and the one that they give, so that
    nothing tells the root of a tree: there are nodes of f, a hub for the derivative of the test
    function, and edges.  Summed over the channels of unit noise, two leaves of a channel are one more
    edge.  None for a forest with other leaves than one such pair, which is kept as it is.

    Examples
    --------
    >>> from tableaux.rooted_trees import Tree
    >>> leaf = Tree(1)
    >>> as_graph((leaf, Tree(0, (Tree(0, (leaf,)),)))) == as_graph((Tree(0, (leaf,)),) * 2)
    True
    """
    edges: list[tuple[int, int]] = []
    ends: list[tuple[int, int]] = []
    nodes = 0

    def visit(tree: Tree, parent: int) -> None:
        nonlocal nodes
        if tree.colour != 0:
            ends.append((tree.colour, parent))
            return
        nodes += 1
        own = nodes
        edges.append((parent, own))
        for child in tree.children:
            visit(child, own)

    for tree in forest:
        visit(tree, 0)
    if len(ends) != 2 or ends[0][0] != ends[1][0] or ends[0][0] < 1:
        return None
    edges.append((ends[0][1], ends[1][1]))
    names = (
        tuple(sorted((min(p[a], p[b]), max(p[a], p[b])) for a, b in edges))
        for p in ((0, *order) for order in permutations(range(1, nodes + 1)))
    )
    return ends[0][0], min(names)


@cache
def martingale_conditions(
    order: Fraction, channels: int, single: bool, gradient: bool = False
) -> tuple[Combination, ...]:
    """The conditions that remain for additive unit noise and a drift f with ``L0 f = 0``.

    ``L0 = d_t + f . grad + Laplacian / 2``.  Time derivatives of f are eliminated; trees without
    time leaves stay independent, since f at one time is arbitrary.  With ``gradient`` f is also the
    gradient of a function, and forests with the same graph are one: this takes weights that are
    the same for all channels.
    """
    columns: dict[Forest, Linear] = {}
    leads: dict[Graph, Forest] = {}
    for content in contents(order, (TIME, 0, *range(1, channels + 1))):
        for forest in _members(content, "unit", single):
            symmetry = forest_symmetry(forest)
            for image, weight in forest_without_time(forest, channels):
                graph = as_graph(image) if gradient else None
                lead = image if graph is None else leads.setdefault(graph, image)
                _add(columns.setdefault(lead, {}), forest, weight / symmetry)
    found = []
    for lead, terms in columns.items():
        own = forest_symmetry(lead)
        first = terms.pop(lead) * own
        others = [(f, w * own / first) for f, w in terms.items()]
        found.append(Combination(((lead, Fraction(1)), *others)))
    return tuple(found)
