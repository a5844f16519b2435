"""One Brownian path for every time grid: a dyadic tree of bridges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from sdeint.brownian import levy
from sdeint.brownian.bridge import Split
from sdeint.brownian.chen import coarse_steps, reversed_steps
from sdeint.brownian.counters import TAGS
from sdeint.brownian.grid_path import unit_steps
from sdeint.brownian.normals import standard_normals
from sdeint.brownian.path import DISCRETE, UNIFORM, BrownianPath, checked_block, checked_grid

Warp = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]

MAX_DEPTH = 44
# Times within this fraction of the domain of a node are that node: four bits more than the rounding
# of a time such as 3 * (1/3), and less than a sixteenth of the finest interval.
_SAME = 2.0**-48
_AT_ONCE = 1 << 20


class TreePath(BrownianPath):
    """The same path whatever the grid and the order of queries.

    The domain [t0, t1] is halved again and again; the variables (W, H) of a node's two halves are
    drawn from their exact law given the node's own (`sdeint.brownian.bridge`), with normals keyed
    by the node. A query descends level by level, all its nodes at once; nothing is remembered.

    A time that is no node down to level ``depth`` cuts its finest interval in two, by the bridge
    with unequal parts. The law of the variables of any one grid is therefore exact, dyadic or not.
    What is approximate: two times within one finest interval, queried by different grids, see the
    path interpolated with the same two normals (their increment has mean square at most of the
    order of that interval's length, (t1 - t0) / 2**depth); a step that lies inside a finest
    interval is refused.

    Parameters
    ----------
    seed, batch, channels, dtype, device, first_path, path_index
        See `BrownianPath`.
    t0, t1 : float
        The domain, t0 < t1.
    warp : pair of callables, optional
        Increasing maps u -> t of [0, 1] onto [t0, t1], and t -> u its inverse, both on float64
        tensors; the nodes are dyadic in u. By default linear. `logarithmic` suits clocks whose
        steps span decades. Another warp is another path.
    depth : int
        Levels of the tree, 1 to 44. A greater depth refines the same path; a query away from the
        nodes costs one call of the generator a level.
    accuracy : float
        Bound of the root mean square error of a Levy area over ``h**1.5``, in 1/sqrt(time).

    Raises
    ------
    ValueError
        If the domain is empty, the accuracy is not positive, the depth is out of range, or the
        warp does not map as it should.
    """

    def __init__(
        self,
        seed: int | Tensor,
        batch: Sequence[int],
        channels: Sequence[int],
        *,
        t0: float,
        t1: float,
        warp: Warp | None = None,
        depth: int = 24,
        accuracy: float = 1.0,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        first_path: int = 0,
        path_index: Tensor | None = None,
    ) -> None:
        super().__init__(
            seed,
            batch,
            channels,
            dtype=dtype,
            device=device,
            first_path=first_path,
            path_index=path_index,
        )
        self.t0, self.t1, self.warp, self.depth = float(t0), float(t1), warp, depth
        levy.check_accuracy(accuracy)
        self.accuracy = accuracy
        if not 0.0 < self.t1 - self.t0 < float("inf"):
            raise ValueError(f"a tree needs finite t0 < t1; got t0 = {t0}, t1 = {t1}")
        if not 1 <= depth <= MAX_DEPTH:
            raise ValueError(f"depth must lie in [1, {MAX_DEPTH}]; got {depth}")
        if warp is not None:
            _check_warp(warp, self.t0, self.t1)

    def on(self, grid: Tensor) -> TreeSteps:
        """The steps of ``grid``, a 1-D float64 tensor of N + 1 times in [t0, t1], either way."""
        return TreeSteps(self, grid)

    def increment(self, s: float, t: float, names: Sequence[str] = ("W",)) -> dict[str, Tensor]:
        """The named variables of the interval from s to t, each (*batch, *channels).

        If t < s they are those of the reversed path: W and A have the other sign, H has not. If
        s = t they are zero.
        """
        if s == t:
            checked_block(0, 1, 1, names)
            self._positions(torch.tensor([s], dtype=torch.float64))
            return {name: value[0] for name, value in self._zeros(1, _carried(names)).items()}
        steps = self.on(torch.tensor([s, t], dtype=torch.float64))
        return {name: value[0] for name, value in steps.draw(0, 1, names).items()}

    def _zeros(self, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        """No increment at all, for so many steps."""
        shapes = dict.fromkeys(names, self.channels)
        shapes |= dict.fromkeys({*names} & {*UNIFORM}, (1,) * len(self.channels))
        if "A" in shapes:
            shapes["A"] = (levy.channels_of(self.channels),) * 2
        return {
            name: torch.zeros((count, *self.batch, *shape), dtype=self.dtype, device=self.device)
            for name, shape in shapes.items()
        }

    def _details(self) -> list[str]:
        warp = [] if self.warp is None else ["warp=..."]
        return [f"t0={self.t0:g}", f"t1={self.t1:g}", *warp, f"depth={self.depth}"]

    def _time(self, index: Tensor, level: int) -> Tensor:
        """Times of the nodes' left ends, float64: index / 2**level of the way."""
        u = index.to(torch.float64) * 2.0**-level
        if self.warp is None:
            return self.t0 + (self.t1 - self.t0) * u
        inside = self.warp[0](u).clamp(self.t0, self.t1)
        return torch.where(u <= 0, self.t0, torch.where(u >= 1, self.t1, inside))

    def _positions(self, times: Tensor) -> Tensor:
        """Places on the finest level: 2 i at the left end of interval i, 2 i + 1 inside."""
        u = (times - self.t0) / (self.t1 - self.t0) if self.warp is None else self.warp[1](times)
        outside = torch.nonzero((times < self.t0) | (times > self.t1) | torch.isnan(u))
        outside = outside[
            (u[outside] < -_SAME) | (u[outside] > 1 + _SAME) | torch.isnan(u[outside])
        ]
        if len(outside):
            raise ValueError(
                f"time {float(times[outside[0]])!r} lies outside the tree's domain "
                f"[{self.t0!r}, {self.t1!r}]; make the TreePath with a t0 and t1 around the grid"
            )
        scaled = u.clamp(0.0, 1.0) * 2.0**self.depth
        nearest = torch.round(scaled)
        at_node = (scaled - nearest).abs() <= _SAME * 2.0**self.depth
        return torch.where(at_node, 2.0 * nearest, 2.0 * torch.floor(scaled) + 1.0).to(torch.int64)


class TreeSteps:
    """The variables of the steps of one grid; made by `TreePath.on`.

    Attributes
    ----------
    drawn : int
        Normals drawn so far for each path and channel.
    """

    def __init__(self, path: TreePath, grid: Tensor) -> None:
        if isinstance(grid, Tensor) and grid.requires_grad:
            raise ValueError(
                "a tree path is a fixed function of time, nowhere differentiable in it; "
                "for gradients in the grid use a GridPath (path='grid')"
            )
        self.path = path
        grid, self.decreasing = checked_grid(grid)
        times = grid.flip(0) if self.decreasing else grid
        self._position = path._positions(times)
        # A time that is a node but for rounding becomes the node's, so that shares add up to one.
        node = path._time(self._position >> 1, path.depth)
        self._times = torch.where(self._position & 1 == 0, node, times)
        self.count = len(grid) - 1
        self.drawn = 0
        short = torch.nonzero(torch.diff(self._position) == 0)
        if len(short):
            n = int(short[0])
            raise ValueError(
                f"the step between {float(self._times[n])!r} and {float(self._times[n + 1])!r} "
                f"lies inside one finest interval of the tree (depth {path.depth} on [{path.t0!r}, "
                f"{path.t1!r}]); take a greater depth, a narrower domain or longer steps"
            )

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        """The variables W, H and A, and random nodes, of the steps first, ..., first + count - 1.

        Neighbouring steps share their ancestors: ask for many at once. On a dyadic grid in order
        each step then costs two normals, plus four a block and level above it.

        Parameters
        ----------
        first, count : int
            Which steps; any division of the grid into calls gives the same bits.
        names : sequence of str
            Among W, H and A; and u and bridge, which are the steps', not the path's. W is the same
            whether or not the others are asked for.

        Returns
        -------
        dict of str to Tensor
            (count, *batch, *channels); A is (count, *batch, m, m); u and bridge have channels of
            size 1. On a decreasing grid the variables are those of the reversed path: W and A
            change their sign, H does not.

        Raises
        ------
        ValueError
            If the steps lie outside the grid, or a name is not a functional of the path.
        """
        checked_block(first, count, self.count, names)
        names = _carried(names)
        if count == 0 or not names:
            return self.path._zeros(count, names)
        if self.decreasing:
            first = self.count - first - count
        ends = slice(first, first + count + 1)
        drawn = {n: unit_steps(self.path, n, first, count) for n in names if n in UNIFORM}
        if "W" in names or "H" in names:
            w, h = self._descend(ends)
            drawn |= {"W": self.path._shaped(w), "H": self.path._shaped(h)}
        if "A" in names:
            drawn["A"] = self._areas(ends)
        if self.decreasing:
            drawn = reversed_steps(drawn)
        return {name: drawn[name] for name in names}

    def _areas(self, ends: slice) -> Tensor:
        """Levy areas of the steps between the grid points ``ends``."""
        path = self.path
        levy.channels_of(path.channels)
        times, position = self._refined(ends)
        fine = TreeSteps(path, times)
        bounds = torch.searchsorted(fine._position, position)
        size = path._size(("A",))
        areas = coarse_steps(_MeanAreas(fine), torch.diff(fine._times), bounds, ("A",), size)
        return areas["A"].to(path.dtype)

    def _refined(self, ends: slice) -> tuple[Tensor, Tensor]:
        """The times of the grid points ``ends`` and of enough nodes between; and their positions.

        Which nodes cut a step depends on that step alone.
        """
        path, position, times = self.path, self._position[ends], self._times[ends]
        parts = torch.ceil(1.0 / (12.0 * path.accuracy**2 * torch.diff(times)))
        share = torch.diff(position).to(torch.float64) * 2.0 ** -(path.depth + 1)
        level = torch.ceil(torch.log2(parts / share)).clamp(min=0.0).to(torch.int64)
        if bool((level > path.depth).any()):
            n = int(torch.argmax(level))
            raise ValueError(
                f"Levy areas of a step of length {float(times[n + 1] - times[n]):.3g} at accuracy "
                f"{path.accuracy!r} need {int(parts[n])} parts, which are nodes on level "
                f"{int(level[n])} of the tree; give the path a greater depth than {path.depth} "
                "or a larger accuracy, or use a NestedPath"
            )
        shift = path.depth + 1 - level
        first = (position[:-1] >> shift) + 1
        count = ((position[1:] - 1) >> shift) - first + 1
        step = torch.repeat_interleave(torch.arange(len(count)), count)
        within = torch.arange(len(step)) - (torch.cumsum(count, 0) - count)[step]
        node = (first[step] + within) << (shift[step] - 1)
        inner = path._time(node, path.depth)
        order = torch.argsort(torch.cat([position, 2 * node]))
        return torch.cat([times, inner])[order], position

    def _descend(self, ends: slice) -> tuple[Tensor, Tensor]:
        """W and H of the steps between the grid points ``ends``, each (count, paths, channels).

        From the root down, a node is split if a grid point lies strictly inside it. A part with no
        point inside, between the first point and the last, is a piece of exactly one step.
        """
        path, position, times = self.path, self._position[ends], self._times[ends]
        pieces = _Pieces(position, times, path.dtype, path.device)
        splits = self._splits(position)
        normals = self._normals(splits)
        nodes = torch.zeros(1, dtype=torch.int64)
        z_w, z_h = next(normals)
        length = path.t1 - path.t0
        w, h = z_w * length**0.5, z_h * (length / 12.0) ** 0.5
        pieces.add(nodes, path.depth + 1, path._time(nodes, 0), path._time(nodes + 1, 0), w, h)
        for level, split in enumerate(splits):
            rows = torch.searchsorted(nodes, split)
            w, h = _rows(w, rows), _rows(h, rows)
            left, right = path._time(split, level), path._time(split + 1, level)
            if level < path.depth:
                cut = path._time(2 * split + 1, level + 1)
            else:
                cut = times[torch.searchsorted(position, 2 * split + 1)]
            w1, h1, w2, h2 = self._law(level, left, cut, right)(w, h, *next(normals))
            nodes = torch.stack([2 * split, 2 * split + 1], dim=1).flatten()
            w, h = (torch.stack(two, dim=1).flatten(0, 1) for two in ((w1, w2), (h1, h2)))
            starts = torch.stack([left, cut], dim=1).flatten()
            stops = torch.stack([cut, right], dim=1).flatten()
            pieces.add(nodes, path.depth - level, starts, stops, w, h)
        return pieces.joined()

    def _splits(self, position: Tensor) -> list[Tensor]:
        """The nodes to split on each level, ascending: those with a grid point strictly inside."""
        splits = []
        for level in range(self.path.depth + 1):
            shift = self.path.depth + 1 - level
            inside = (position & ((1 << shift) - 1)) != 0
            split = torch.unique_consecutive(position[inside] >> shift)
            if not len(split):
                break
            splits.append(split)
        return splits

    def _law(self, level: int, left: Tensor, cut: Tensor, right: Tensor) -> Split:
        path = self.path
        if path.warp is None and level < path.depth:
            return Split.halves((path.t1 - path.t0) * 2.0**-level)
        tiny = torch.finfo(torch.float64).tiny  # a cut that rounding has put on an end
        return Split.parts(
            (cut - left).clamp(min=tiny), (right - cut).clamp(min=tiny), path.dtype, path.device
        )

    def _normals(self, splits: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Two normals for the root, then two for each node of each level.

        Which nodes will be split does not depend on their values, so one call of the generator
        serves as many levels as fit into `_AT_ONCE` numbers: small batches pay by the call.
        """
        path = self.path
        heaps = [torch.zeros(1, dtype=torch.int64)]
        heaps += [split + (1 << level) for level, split in enumerate(splits)]
        budget = max(1, _AT_ONCE // (4 * max(1, path._lanes.paths * path._lanes.channels)))
        while heaps:
            taken, size = 0, 0
            while taken < len(heaps) and (taken == 0 or size + len(heaps[taken]) <= budget):
                size += len(heaps[taken])
                taken += 1
            level_heaps, heaps = heaps[:taken], heaps[taken:]
            heap = torch.cat(level_heaps)
            place = torch.unique_consecutive(heap >> 1)
            z = standard_normals(path._lanes, place.to(path.device), TAGS["tree"], path.dtype)
            self.drawn += 4 * len(place)
            z = z.view(2 * len(place), 2, *z.shape[2:])
            z = _rows(z, 2 * torch.searchsorted(place, heap >> 1) + (heap & 1))
            for part in torch.split(z, [len(level_heap) for level_heap in level_heaps]):
                yield part[:, 0], part[:, 1]


class _MeanAreas:
    """Steps of a tree with the conditional mean of their Levy areas given W and H."""

    def __init__(self, steps: TreeSteps) -> None:
        self._steps = steps

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        drawn = self._steps.draw(first, count, ("W", "H"))
        w, h = drawn["W"].to(torch.float64), drawn["H"].to(torch.float64)
        values = {"W": w, "A": levy.mean_area(w, h)}
        return {name: values[name] for name in names}


class _Pieces:
    """Sums up the pieces of each step: W = sum W_i, H = sum (h_i/h) H_i + ((m - m_i)/h) W_i.

    m and m_i are the midpoints; for two pieces this is `bridge.join`. Pieces arrive level by level
    from the root, at most two of a step on a level, and are added in that order whatever else is in
    the block: that, and each index occurring once, keeps the bits the same in any block.
    """

    def __init__(
        self, position: Tensor, times: Tensor, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._position, self._times, self._dtype, self._device = position, times, dtype, device
        self._steps = len(position) - 1
        self._sums: tuple[Tensor, Tensor] | None = None

    def add(
        self, nodes: Tensor, shift: int, starts: Tensor, stops: Tensor, w: Tensor, h: Tensor
    ) -> None:
        """Take those nodes that are pieces; node i spans positions i << shift to (i+1) << shift."""
        if shift:
            first, last = nodes << shift, (nodes + 1) << shift
        else:  # parts of a finest interval: from its left end (even) to the cut (odd), and on
            first, last = nodes, nodes + 1
        step = torch.searchsorted(self._position, first, right=True) - 1
        within = (step >= 0) & (step < self._steps)
        step = step.clamp(0, self._steps - 1)
        within &= last <= self._position[step + 1]
        rows = torch.nonzero(within).flatten()
        if not len(rows):
            return
        step = step[rows]
        again = torch.zeros(len(rows), dtype=torch.bool)
        again[1:] = step[1:] == step[:-1]
        for some in (~again, again):
            if bool(some.any()):
                taken = rows[some]
                self._sum(step[some], starts[taken], stops[taken], _rows(w, taken), _rows(h, taken))

    def _sum(self, step: Tensor, start: Tensor, stop: Tensor, w: Tensor, h: Tensor) -> None:
        begin, end = self._times[step], self._times[step + 1]
        length = end - begin
        whole = _is_range(step, self._steps) and self._sums is None
        share = ((stop - start) / length).to(self._dtype)
        lead = (((end - stop) - (start - begin)) / (2.0 * length)).to(self._dtype)
        if not (bool((share == 1).all()) and bool((lead == 0).all())):
            shape = (-1, 1, 1)
            share, lead = share.to(self._device).view(shape), lead.to(self._device).view(shape)
            h = h * share + w * lead
        if whole:
            self._sums = (w, h)
            return
        if self._sums is None:
            zero = torch.zeros((self._steps, *w.shape[1:]), dtype=w.dtype, device=w.device)
            self._sums = (zero, zero.clone())
        where = step.to(self._device)
        for total, part in zip(self._sums, (w, h)):
            total[where] = total[where] + part

    def joined(self) -> tuple[Tensor, Tensor]:
        """W and H of all steps."""
        assert self._sums is not None
        return self._sums


def logarithmic(t0: float, t1: float) -> Warp:
    """A warp that spaces the nodes evenly in ln t, 0 < t0 < t1: for clocks that span decades."""
    if not 0.0 < t0 < t1:
        raise ValueError(f"a logarithmic warp needs 0 < t0 < t1; got t0 = {t0}, t1 = {t1}")
    start = torch.tensor(t0, dtype=torch.float64).log()
    span = torch.tensor(t1, dtype=torch.float64).log() - start
    return (lambda u: torch.exp(start + span * u)), (lambda t: (torch.log(t) - start) / span)


def _carried(names: Sequence[str]) -> Sequence[str]:
    """Refuse what a tree does not carry."""
    for name in names:
        if name in DISCRETE:
            raise ValueError(
                f"{name} is a discrete variable, not a functional of a Brownian path, so a tree "
                "path has none; use a GridPath (path='grid')"
            )
        if name == "K":
            raise ValueError(
                "a tree path carries W, H and A; K would cost every W a third normal a node. Use a "
                "GridPath (path='grid') for methods that need K, or a NestedPath for one path on "
                "nested grids"
            )
    return names


def _rows(values: Tensor, rows: Tensor) -> Tensor:
    """The given rows, without copying when they are all of them in order."""
    if _is_range(rows, len(values)):
        return values
    return values[rows.to(values.device)]


def _is_range(rows: Tensor, length: int) -> bool:
    return len(rows) == length and bool((rows == torch.arange(length)).all())


def _check_warp(warp: Warp, t0: float, t1: float) -> None:
    u = torch.linspace(0.0, 1.0, 33, dtype=torch.float64)
    t = warp[0](u)
    size = t1 - t0
    if abs(float(t[0]) - t0) > 1e-9 * size or abs(float(t[-1]) - t1) > 1e-9 * size:
        raise ValueError(
            f"the warp must map [0, 1] onto [{t0!r}, {t1!r}]; it maps 0 to {float(t[0])!r} "
            f"and 1 to {float(t[-1])!r}"
        )
    if not bool((torch.diff(t) > 0).all()):
        raise ValueError("the warp must be strictly increasing")
    back = float((warp[1](t) - u).abs().max())
    if not back <= 1e-9:
        raise ValueError(
            f"the second function of the warp must invert the first; "
            f"going to and fro misses by {back:.1e}"
        )
