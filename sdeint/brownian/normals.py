"""Standard normal variables and raw words for a block of (places, paths, channels).

Box-Muller on the four words of one Philox call: the pairs (w0, w1) and (w2, w3) give two normals
each, ``sqrt(-2 ln u) (cos, sin)(2 pi u')`` with ``u = (w + 1/2) 2**-32``, never 0 nor 1.

- float32: |z| <= sqrt(66 ln 2) = 6.76; the law beyond has probability 1.4e-11.
- float64: a second call, under another tag, extends each uniform to 64 bits,
  ``u = (w + (w' + 1/2) 2**-32) 2**-32``, hence |z| <= sqrt(130 ln 2) = 9.49. The leading bits are
  those of float32, so the two precisions see the same path: to float32 rounding, but for one normal
  in some thousands, whose uniform is so near 0 or 1 that the further bits show.

Rejected: 53-bit uniforms for both precisions, twice the generator's work for bits that float32
throws away; the inverse distribution function, whose tails need branches; the ziggurat, whose
rejections need a variable number of words.

The integer words are the same bits on every device. The floating-point functions are the device's
own: CPU and CUDA, or eager and compiled, may differ in the last bits of a normal.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from sdeint.brownian.counters import LOW_BITS, Lanes
from sdeint.brownian.philox import MASK, SCRATCH, philox_into, philox_words

# Lanes a tile, four normals each. A tile takes some 120 calls, so smaller tiles pay by the call, and
# below 2**16 lanes a second thread brings nothing: measured on two cores, 2**13 takes 49 ns a normal,
# 2**15 28, 2**17 17 (one thread: 48, 33, 33).
TILE = 1 << 17
_UNIT = 2.0**-32


def standard_normals(lanes: Lanes, place: Tensor, tag: int, dtype: torch.dtype) -> Tensor:
    """Four independent standard normals for each place, path and channel.

    Parameters
    ----------
    lanes : Lanes
    place : Tensor
        int64 (places,), on the lanes' device.
    tag : int
        The kind of variable, below `LOW_BITS`.
    dtype : torch.dtype
        float32 or float64.

    Returns
    -------
    Tensor
        (places, 4, paths, channels).
    """
    if torch.compiler.is_compiling() or lanes.device.type != "cpu":
        return torch.stack(four_normals(lanes, place, tag, dtype), dim=1)
    out = torch.empty((len(place), 4, lanes.paths, lanes.channels), dtype=dtype)
    scratch = _Scratch(out.numel() // 4, dtype)
    for rows, paths, channels in _tiles(len(place), lanes.paths, lanes.channels):
        _normals_into(
            out[rows, :, paths, channels], lanes.part(paths, channels), place[rows], tag, scratch
        )
    return out


def words(lanes: Lanes, place: Tensor, tag: int) -> Tensor:
    """Four random words in [0, 2**32) for each place, path and channel: int64 (places, 4, P, C)."""
    return torch.stack(four_words(lanes, place, tag), dim=1)


def four_words(lanes: Lanes, place: Tensor, tag: int) -> list[Tensor]:
    """`words` as four tensors of shape (places, paths, channels)."""
    counter, key = lanes.counter_and_key(place, tag)
    shape = (len(place), lanes.paths, lanes.channels)
    return [(word & MASK).expand(shape) for word in philox_words(counter, key)]


def four_normals(lanes: Lanes, place: Tensor, tag: int, dtype: torch.dtype) -> list[Tensor]:
    """`standard_normals` as four tensors (places, paths, channels), without scratch memory.

    The form that a compiler fuses, and that suits a GPU.
    """
    shape = (len(place), lanes.paths, lanes.channels)
    leading = philox_words(*lanes.counter_and_key(place, tag))
    signed = [word.to(torch.int32).to(dtype) for word in leading]
    if dtype is torch.float64:
        low = philox_words(*lanes.counter_and_key(place, tag | LOW_BITS))
        signed = [w + ((v & MASK).to(dtype) + 0.5) * _UNIT for w, v in zip(signed, low)]
    else:
        signed = [w + 0.5 for w in signed]
    normals = []
    for first, second in (signed[:2], signed[2:]):
        # A word read as a signed number is u - 1 in the upper half of the unit interval: exact
        # where u is near 1, as u itself is near 0. There ln u would lose what u lost in rounding,
        # which is added back: ln(u + d) = ln u + d where it matters, for u near 1. (log1p gives
        # the same at several times the cost.)
        offset = first * _UNIT
        upper = (offset < 0).to(dtype)
        u = offset + upper
        log = torch.log(u) + (offset - (u - upper))
        radius = torch.sqrt(log * -2.0)
        angle = second * (2.0 * math.pi * _UNIT)
        normals += [torch.cos(angle) * radius, torch.sin(angle) * radius]
    return [z.expand(shape) for z in normals]


class _Scratch:
    """The buffers of a tile, made once for a whole block."""

    def __init__(self, lanes: int, dtype: torch.dtype) -> None:
        size = min(lanes, TILE)
        self.integers = torch.empty((SCRATCH, size), dtype=torch.int64)
        self.narrow = torch.empty(size, dtype=torch.int32)
        self.floats = torch.empty((6, size), dtype=dtype)

    def views(self, shape: torch.Size) -> tuple[list[Tensor], Tensor, list[Tensor]]:
        size = shape.numel()
        return (
            [buffer[:size].view(shape) for buffer in self.integers],
            self.narrow[:size].view(shape),
            [buffer[:size].view(shape) for buffer in self.floats],
        )


def _normals_into(out: Tensor, lanes: Lanes, place: Tensor, tag: int, scratch: _Scratch) -> None:
    """`four_normals`, the same operations in the same order, without fresh memory."""
    integers, narrow, (*signed, u, lost) = scratch.views(out[:, 0].shape)
    leading = philox_into(*lanes.counter_and_key(place, tag), integers)
    for word, s in zip(leading, signed):
        s.copy_(narrow.copy_(word))
    if out.dtype is torch.float64:
        low = philox_into(*lanes.counter_and_key(place, tag | LOW_BITS), integers)
        for word, s in zip(low, signed):
            s.add_(u.copy_(word.bitwise_and_(MASK)).add_(0.5).mul_(_UNIT))
    else:
        for s in signed:
            s.add_(0.5)
    for pair in (0, 2):
        offset, turn = signed[pair], signed[pair + 1]
        upper = torch.lt(offset.mul_(_UNIT), 0.0, out=lost)
        torch.add(offset, upper, out=u)
        torch.sub(offset, torch.sub(u, upper, out=lost), out=lost)
        radius = u.log_().add_(lost).mul_(-2.0).sqrt_()
        angle = turn.mul_(2.0 * math.pi * _UNIT)
        torch.mul(torch.cos(angle, out=lost), radius, out=out[:, pair])
        torch.mul(angle.sin_(), radius, out=out[:, pair + 1])


def _tiles(places: int, paths: int, channels: int) -> Iterator[tuple[slice, slice, slice]]:
    """Cut a block into tiles of at most about `TILE` lanes, the innermost axes kept whole."""
    wide = min(channels, TILE)
    deep = min(paths, max(1, TILE // max(1, wide)))
    long = min(places, max(1, TILE // max(1, wide * deep)))
    for row in range(0, places, max(1, long)):
        for path in range(0, paths, max(1, deep)):
            for channel in range(0, channels, max(1, wide)):
                yield (
                    slice(row, row + long),
                    slice(path, path + deep),
                    slice(channel, channel + wide),
                )
