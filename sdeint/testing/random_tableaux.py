"""Random tableaux: explicit, with small rational entries."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from tableaux import PRIMITIVES, Block, Coupling, Output, Tableau, TableauError, variables
from tableaux.errors import unknown
from tableaux.tableau import CALCULI

Draw = Callable[[st.SearchStrategy[Any]], Any]

FAMILIES = ("rk", "sra", "sri", "ri", "rs", "general")
#: Families for which `consistent=True` is a matter of sums of weights.
SUMMING = ("rk", "sra", "sri", "ri")

# Numerator first: examples shrink towards 0, then towards integers.
ENTRIES = st.builds(Fraction, st.integers(-12, 12), st.sampled_from((1, 2, 3, 4, 6)))


def tableaux_of(
    family: str,
    *,
    stages: tuple[int, int] = (1, 3),
    consistent: bool = False,
    areas: bool = False,
) -> st.SearchStrategy[Tableau]:
    """Random explicit tableaux of a family, with exact rational entries.

    Parameters
    ----------
    family : {"rk", "sra", "sri", "ri", "rs", "general"}
        A printed form of `tableaux.Tableau`, or ``"general"``: one or two blocks of drift and of
        diffusion stages with every replication, label and selector that a tableau may have.
    stages : (int, int)
        Fewest and most stages of a block.
    consistent : bool
        Let the weights sum to 1 for h and for the increment and to 0 for every other variable. An
        Ito method of the families "sra", "sri" and "ri" then converges: weak order 1/2 at least,
        and of the first two strong order 1/2. Not for "rs" and "general", where products of weights
        matter.
    areas : bool
        Let "general" use Levy areas too, which not every path can draw.

    Returns
    -------
    SearchStrategy of Tableau
        Most are poor methods, and those of "general" need not converge at all; every one of them
        is a tableau, can be written, read and run, and none claims an order.

    Raises
    ------
    TableauError
        If the family is unknown or has no consistent variant.
    """
    if family not in FAMILIES:
        raise TableauError(unknown("family", family, FAMILIES))
    if consistent and family not in SUMMING:
        raise TableauError(
            f"consistent=True is for the families {', '.join(SUMMING)}; that of {family!r} is no "
            "matter of sums of weights"
        )
    fewest, most = stages
    if not 1 <= fewest <= most:
        raise TableauError(f"a block needs 1 <= fewest <= most stages, got stages={stages}")

    @st.composite
    def tableaux(draw: st.DrawFn) -> Tableau:
        if family == "general":
            return _general(draw, stages, areas)
        return _printed(draw, family, draw(st.integers(fewest, most)), consistent)

    return tableaux()


# --- the printed forms ---------------------------------------------------------------------------

#: Matrices, then weights with the sum that consistency asks for, of each printed form.
FORMS: dict[str, tuple[tuple[str, ...], dict[str, int]]] = {
    "rk": (("A",), {"b": 1}),
    "sra": (("A0", "B0"), {"alpha": 1, "beta1": 1, "beta2": 0}),
    "sri": (
        ("A0", "A1", "B0", "B1"),
        {"alpha": 1, "beta1": 1, "beta2": 0, "beta3": 0, "beta4": 0},
    ),
    "ri": (
        ("A0", "A1", "A2", "B0", "B1", "B2"),
        {"alpha": 1, "beta1": 1, "beta2": 0, "beta3": 0, "beta4": 0},
    ),
    "rs": (
        ("A0", "A1", "A2", "B0", "B1", "B2", "B3"),
        {"alpha": 1, "beta1": 1, "beta2": 0},
    ),
}


def _printed(draw: Draw, family: str, stages: int, consistent: bool) -> Tableau:
    matrices, sums = FORMS[family]
    arrays: dict[str, Any] = {}
    for name in matrices:
        # B0 of SRA couples to diffusion values that depend on time alone; still kept explicit.
        arrays[name] = draw(_lower(stages))
    for i, (name, total) in enumerate(sums.items()):
        row = draw(_row(stages, nonzero=i == 0 and not consistent))
        if consistent:
            row[-1] = total - sum(row[:-1], Fraction(0))
        arrays[name] = row
    if family == "sra":
        arrays["c1"] = draw(_row(stages))
    build: Callable[..., Tableau] = getattr(Tableau, family)
    return build(f"random {family}", **arrays)


def _row(length: int, *, nonzero: bool = False) -> st.SearchStrategy[list[Fraction]]:
    rows = st.lists(ENTRIES, min_size=length, max_size=length)
    return rows.filter(any) if nonzero else rows


def _lower(rows: int, columns: int | None = None) -> st.SearchStrategy[list[list[Fraction]]]:
    """Matrices with entries below the diagonal only."""
    width = rows if columns is None else columns

    def fill(entries: list[Fraction]) -> list[list[Fraction]]:
        left = iter(entries)
        return [[next(left) if j < i else Fraction(0) for j in range(width)] for i in range(rows)]

    count = sum(min(i, width) for i in range(rows))
    return st.lists(ENTRIES, min_size=count, max_size=count).map(fill)


# --- the general form ----------------------------------------------------------------------------


def _labels(use: set[str], colour: str, arity: int) -> list[str]:
    """Labels of these primitives that scale as a drift (h) or diffusion (sqrt(h)) value is to."""
    size = 1 if colour == "drift" else Fraction(1, 2)
    return [
        label
        for label, variable in variables.items()
        if variable.size == size and variable.arity <= arity and variable.primitives <= use
    ]


def _general(draw: Draw, stages: tuple[int, int], areas: bool) -> Tableau:
    left_out = {"E", "F"} if areas else {"A", "E", "F"}  # E and F are those of exponential methods
    path = {name for name, p in PRIMITIVES.items() if p.law == "path"} - left_out
    discrete = {name for name, p in PRIMITIVES.items() if p.law not in ("path", "uniform")}
    use = draw(st.sampled_from((path, discrete)))
    blocks = []
    for colour, replications in (
        ("drift", ("once", "channel")),
        ("diffusion", ("once", "channel", "pair")),
    ):
        for number in range(1, draw(st.integers(1, 2)) + 1):
            replication = draw(st.sampled_from(replications))
            nodes = draw(_row(draw(st.integers(*stages))))
            blocks.append(Block(f"{colour}{number}", colour, tuple(nodes), replication))
    couplings = [
        _coupling(draw, use, target, source)
        for target in blocks
        for source in blocks
        # Values of pairs feed only the output.
        if source.replication != "pair" and draw(st.booleans())
    ]
    return Tableau(
        "random general",
        tuple(blocks),
        tuple(couplings),
        tuple(_output(draw, use, i, block) for i, block in enumerate(blocks)),
        calculus=draw(st.sampled_from(CALCULI)),
    )


def _coupling(draw: Draw, use: set[str], target: Block, source: Block) -> Coupling:
    replicated = target.replication != "once"
    selectors = ["all"]
    if replicated and source.has_channel:
        selectors += ["own", "other", "less", "greater"]
        selectors += ["partner"] * (target.replication == "pair")
    label = draw(
        st.sampled_from(_labels(use, source.colour, int(source.has_channel) + int(replicated)))
    )
    # Stage i sees only stages j < i of every block: no cycles.
    matrix = draw(_lower(target.stages, source.stages))
    return Coupling(target.name, source.name, label, matrix, draw(st.sampled_from(selectors)))


def _output(draw: Draw, use: set[str], index: int, block: Block) -> Output:
    pair = block.replication == "pair"
    label = draw(st.sampled_from(_labels(use, block.colour, 2 if pair else int(block.has_channel))))
    selector = draw(st.sampled_from(("all", "less", "greater") if pair else ("all",)))
    weights = draw(_row(block.stages, nonzero=index == 0))
    return Output(block.name, label, tuple(weights), selector)
