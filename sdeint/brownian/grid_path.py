"""Brownian increments of the steps of a given grid: the cheapest path."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sdeint.brownian import levy
from sdeint.brownian.chen import ODD
from sdeint.brownian.counters import SERIES_SHIFT, TAGS, Lanes
from sdeint.brownian.normals import four_normals, four_words, standard_normals, words
from sdeint.brownian.path import (
    DISCRETE,
    SHARED,
    STANDARD,
    UNIFORM,
    BrownianPath,
    checked_block,
    checked_grid,
)

# The nearest 32 bits come to 1/6: P(theta > 0) = THIRD / 2**32 = 1/6 + 7.8e-11, and the variance of
# theta is h (1 + 4.7e-10).
SIXTH = round(2**32 / 6)
# The larger two of the four values of xi, of 31 bits: |xi| = sqrt((2 + sqrt(3)) h) with probability
# (3 - sqrt(3))/6, else sqrt((2 - sqrt(3)) h).
FAR = round(2**31 * (3 - 3**0.5) / 6)
VARIANCE = {"W": 1.0, "H": 1.0 / 12.0, "K": 1.0 / 720.0, "theta": 3.0, "xi": 1.0}


class GridPath(BrownianPath):
    """The variables of each step drawn for that step: O(1) work, but another grid is another path.

    Step n means the n-th step counted from the earliest time, so that a grid and the same grid
    reversed see the same path, forwards and backwards.

    Parameters
    ----------
    seed, batch, channels, dtype, device, first_path, path_index
        See `BrownianPath`.
    areas : {"mrongowius-roessler", "wiktorsson"}
        How Levy areas are truncated: see `sdeint.brownian.levy`. The first fits W, H and K of the
        path, the second W.
    accuracy : float
        Bound of the root mean square error of an area over ``h**1.5``, in 1/sqrt(time): as many
        terms are drawn as that takes, some ``sqrt(m/h)/(11 accuracy)``. Any fixed number keeps
        strong order 1.

    Raises
    ------
    ValueError
        If `areas` is unknown or the accuracy is not positive.
    """

    def __init__(
        self,
        seed: int | Tensor,
        batch: Sequence[int],
        channels: Sequence[int],
        *,
        areas: str = "mrongowius-roessler",
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
        levy.check_method(areas, accuracy)
        self.areas, self.accuracy = areas, accuracy

    def on(self, grid: Tensor) -> GridSteps:
        """The steps of ``grid``, a 1-D float64 tensor of N + 1 times, monotone either way.

        If the grid requires gradients, the variables have the gradients of their scale
        ``sqrt(|h|)`` in it.
        """
        return GridSteps(self, grid)


class GridSteps:
    """The variables of the steps of one grid; made by `GridPath.on`."""

    def __init__(self, path: GridPath, grid: Tensor) -> None:
        self.path = path
        grid, self.decreasing = checked_grid(grid)
        self.count = len(grid) - 1
        self._width = torch.diff(grid).abs().to(path.device)
        self._scales: dict[str, Tensor] = {}

    def draw(self, first: int, count: int, names: Sequence[str]) -> dict[str, Tensor]:
        """The named variables of the steps first, ..., first + count - 1.

        Parameters
        ----------
        first, count : int
            Which steps; any division of the grid into calls gives the same bits.
        names : sequence of str
            W: increment, N(0, |h|). H: space-time area, N(0, |h|/12). K: space-time-time area,
            N(0, |h|/720). A: Levy areas ``(I_kl - I_lk)/2``, ``I_kl = int W_k dW_l``, of the
            other three. theta: three-point, +-sqrt(3 |h|) with probability 1/6 each, else 0.
            xi: four-point, +-sqrt((2 +- sqrt(3)) |h|) with probabilities (3 -+ sqrt(3))/12.
            sign: two-point, +-1. eta: two-point, +-1, one for each step and path. u: uniform on
            (0, 1), one for each step and path; bridge: sqrt(12 u (1 - u)) of that u. "normal 0",
            "normal 1", ...: N(0, 1), of which `sdeint.linear` makes functionals of the path.

        Returns
        -------
        dict of str to Tensor
            (count, *batch, *channels); A is (count, *batch, m, m); eta, u and bridge have channels
            of size 1. On a decreasing grid the variables are those of the reversed path: W, K and A change
            their sign, H does not.

        Raises
        ------
        ValueError
            If the steps lie outside the grid, a name is unknown, or areas are asked of channels
            that are not (m,) or of steps too short for the accuracy.
        """
        checked_block(first, count, self.count, names)
        return {name: self._variable(name, first, count) for name in names}

    def _variable(self, name: str, first: int, count: int) -> Tensor:
        path = self.path
        if name == "A":
            return self._areas(first, count)
        if name in (*DISCRETE, *UNIFORM):
            return self._discrete(name, first, count)
        standard = path._shaped(self._in_order(self._standard(name, first, count)))
        if name in STANDARD:
            return standard
        return standard * self._scale(name, first, count, standard.ndim)

    def scale(self, name: str, first: int, count: int) -> Tensor:
        """What a variable's unit form is multiplied by in each step: float64 (count,)."""
        if name in ("sign", *SHARED, *STANDARD):
            return torch.ones(count, dtype=torch.float64, device=self.path.device)
        if name not in self._scales:
            scale = torch.sqrt(self._width * VARIANCE[name])
            self._scales[name] = -scale if name in ODD and self.decreasing else scale
        return self._scales[name][first : first + count]

    def _scale(self, name: str, first: int, count: int, ndim: int) -> Tensor:
        return self.scale(name, first, count).to(self.path.dtype).view(-1, *(1,) * (ndim - 1))

    def _areas(self, first: int, count: int) -> Tensor:
        """Levy areas: those of steps of length 1, times the length."""
        path = self.path
        m = levy.channels_of(path.channels)
        shape = (count, path._lanes.paths, m, m)
        unit = torch.zeros(shape, dtype=path.dtype, device=path.device)
        width = self._width[first : first + count]
        if m > 1 and unit.numel():
            w, h, k = (
                self._standard(name, first, count) * VARIANCE[name] ** 0.5
                for name in ("W", "H", "K")
            )
            terms = levy.numbers_of_terms(
                self._in_order(width.detach()), m, path.areas, path.accuracy
            )
            start = self.count - first - count if self.decreasing else first
            step = torch.arange(start, start + count, device=path.device)
            for p in sorted(set(terms.tolist())):
                some = torch.nonzero(terms == p).flatten()
                unit[some] = self._unit_areas(w[some], h[some], k[some], step[some], p)
        scale = (-width if self.decreasing else width).to(path.dtype)
        areas = self._in_order(unit) * scale.view(-1, 1, 1, 1)
        return areas.reshape(count, *path.batch, m, m)

    def _unit_areas(self, w: Tensor, h: Tensor, k: Tensor, step: Tensor, terms: int) -> Tensor:
        path, m = self.path, w.shape[-1]

        def series(q: int) -> Tensor:
            place = step + (q << SERIES_SHIFT)
            return standard_normals(path._lanes, place, TAGS["A"], path.dtype)

        def last() -> Tensor:
            lanes = path._lanes_of(m * (m - 1) // 2)
            place = torch.unique_consecutive(step >> 2)
            normals = standard_normals(lanes, place, TAGS["A tail"], path.dtype).flatten(0, 1)
            return normals[4 * torch.searchsorted(place, step >> 2) + (step & 3)]

        return levy.unit_areas(w, h, k, terms, series, last, path.areas)

    def _standard(self, name: str, first: int, count: int) -> Tensor:
        """Standard normals of the steps, in the order of time."""
        path = self.path
        if self.decreasing:
            first = self.count - first - count
        place, skip = _places(first, count, path.device)
        normals = standard_normals(path._lanes, place, TAGS[name], path.dtype)
        return normals.flatten(0, 1)[skip : skip + count]

    def _discrete(self, name: str, first: int, count: int) -> Tensor:
        path = self.path
        if self.decreasing:
            first = self.count - first - count
        unit = self._in_order(unit_steps(path, name, first, count))
        if name in SHARED:
            return unit
        return unit if name == "sign" else unit * self._scale(name, first, count, unit.ndim)

    def _in_order(self, steps: Tensor) -> Tensor:
        return steps.flip(0) if self.decreasing else steps


def unit_steps(path: BrownianPath, name: str, first: int, count: int) -> Tensor:
    """A variable that is made of one word, before its scale, in some steps in the order of time."""
    shared = name in SHARED
    place, skip = _places(first, count, path.device)
    lanes = path._shared_lane if shared else path._lanes
    word = words(lanes, place, TAGS[name]).flatten(0, 1)[skip : skip + count]
    unit = _from_word(name, word, path.dtype)
    channels = (1,) * len(path.channels) if shared else path.channels
    return unit.reshape(count, *path.batch, *channels)


def _places(first: int, count: int, device: torch.device) -> tuple[Tensor, int]:
    """The generator's places that cover some steps, and how many of their steps come before."""
    start, stop = first // 4, -(-(first + count) // 4)
    return torch.arange(start, stop, device=device), first - 4 * start


def unit_variables(
    name: str, lanes: Lanes, shared_lane: Lanes, place: Tensor, dtype: torch.dtype
) -> list[Tensor]:
    """A variable of the four steps of each place, before its scale: four (places, paths, channels).

    The form that a compiler fuses with the steps.
    """
    if name not in (*DISCRETE, *UNIFORM):
        return four_normals(lanes, place, TAGS[name], dtype)
    lanes = shared_lane if name in SHARED else lanes
    return [_from_word(name, word, dtype) for word in four_words(lanes, place, TAGS[name])]


def _from_word(name: str, word: Tensor, dtype: torch.dtype) -> Tensor:
    if name == "theta":
        positive, negative = word < SIXTH, word >= (1 << 32) - SIXTH
        return positive.to(dtype) - negative.to(dtype)
    if name in UNIFORM:
        u: Tensor = (word.to(dtype) + 0.5) * 2.0**-32
        return u if name == "u" else torch.sqrt(12 * u * (1 - u))
    sign: Tensor = (1 - (word >> 31) * 2).to(dtype)
    if name == "xi":
        far = (word & ((1 << 31) - 1)) < FAR
        near, size = (2 - 3**0.5) ** 0.5, (2 + 3**0.5) ** 0.5
        sign = sign * (near + (size - near) * far.to(dtype))
    return sign
