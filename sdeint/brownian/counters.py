"""Which counter and key belong to which random variable: the layout of the 128 counter bits.

====  =========================================================  ==========================
word  bits                                                       limits
====  =========================================================  ==========================
0     path index, low 32 bits
1     path index, high 8 bits (31..24); channel (23..0)          2**40 paths, 2**24 channels
2     place, low 32 bits
3     tag, 8 bits (31..24); place, high 24 bits (23..0)          2**56 places, 256 tags
key   the seed, 64 bits: low word, high word
====  =========================================================  ==========================

The *place* says where on the time axis a variable lives:

- grid mode: place = n // 4 for step n, and the four outputs of the generator serve the steps
  4 (n // 4) .. 4 (n // 4) + 3. A block of steps is thus produced without waste (2**58 steps).
- tree mode: the node with index i on level l has heap number 2**l + i; place = heap number // 2,
  and two siblings share a call, two outputs each (levels up to 54). Heap number 0, which is no
  node, stands for the variables of the whole domain.
- Levy areas in grid mode need a series of normals a step: place = n + 2**40 q for step n, and the
  four outputs serve the channel's terms 2 q and 2 q + 1 (2**40 steps, 2**16 calls). Their last
  normals, one a pair k < l, are laid out like W, with the pair's number l (l - 1)/2 + k in place
  of the channel.

The *tag* says which variable it is, so that asking for H cannot change W. Its highest bit marks the
call that supplies the low-order bits of float64 uniforms.

The rejected alternative, one long stream per path with a running position, would make the position
depend on which variables were asked for, and on the order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sdeint.brownian.philox import MASK, Key

MAX_PATHS = 1 << 40
MAX_CHANNELS = 1 << 24
MAX_SERIES = 1 << 16
SERIES_SHIFT = 40
LOW_BITS = 0x80

#: Standard normals of a step, for functionals of the path that W and H do not determine.
NORMALS = 32

TAGS = {
    "W": 1,
    "H": 2,
    "K": 3,
    "A": 4,
    "theta": 5,
    "sign": 6,
    "eta": 7,
    "A tail": 8,
    "xi": 9,
    "normal 0": 10,
    "normal 1": 11,
    "u": 12,
    "bridge": 12,  # a function of u
    "tree": 16,
    **{f"normal {i}": 30 + i for i in range(2, NORMALS)},
}


class Lanes:
    """The keys and counter words of a rectangle of paths x channels.

    Parameters
    ----------
    seed : int or Tensor
        One key for all paths, or an int64 tensor (P,) with a key for each.
    path_index : Tensor
        int64 (P,), in [0, 2**40).
    channels : int
        Number of channels C.
    """

    def __init__(
        self, seed: int | Tensor, path_index: Tensor, channels: int, device: torch.device
    ) -> None:
        self.channels, self.device = channels, device
        self._key = _split(seed.view(1, -1, 1).to(device) if isinstance(seed, Tensor) else seed)
        index = path_index.view(1, -1, 1)
        self._path_low = (index & MASK).to(device)
        # The high bits are nearly always one and the same; as a number they keep word 1 small.
        high = (index >> 32) << 24
        common = high.numel() > 0 and bool((high == high.view(-1)[0]).all())
        self._path_high = int(high.view(-1)[0]) if common else high.to(device)
        self._channel = torch.arange(channels, device=device).view(1, 1, -1)

    def part(self, paths: slice, channels: slice) -> Lanes:
        """A rectangle within this one, sharing its memory."""
        part = Lanes.__new__(Lanes)
        part.device = self.device
        part._key = (_cut(self._key[0], paths), _cut(self._key[1], paths))
        part._path_low = self._path_low[:, paths]
        part._path_high = _cut(self._path_high, paths)
        part._channel = self._channel[..., channels]
        part.channels = part._channel.shape[2]
        return part

    @property
    def paths(self) -> int:
        """Number of paths."""
        return self._path_low.shape[1]

    def traceable(self) -> Lanes:
        """The same lanes for compiled code: the key is data, so that one compilation serves all."""
        lanes = self.part(slice(None), slice(None))
        lanes._key = tuple(  # type: ignore[assignment]
            word if isinstance(word, Tensor) else torch.tensor(word, device=self.device)
            for word in self._key
        )
        # One compilation also serves any number of paths.
        torch._dynamo.maybe_mark_dynamic(lanes._path_low, 1)
        return lanes

    def counter_and_key(
        self, place: Tensor, tag: int
    ) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], Key]:
        """Counter words that broadcast to (places, paths, channels), and the key words.

        Parameters
        ----------
        place : Tensor
            int64 (places,) on the lanes' device, in [0, 2**56).
        tag : int
            In [0, 256).
        """
        place = place.view(-1, 1, 1)
        words = (
            self._path_low,
            self._channel | self._path_high,
            place & MASK,
            (place >> 32) | (tag << 24),
        )
        return words, self._key


def _split(seed: int | Tensor) -> Key:
    return seed & MASK, (seed >> 32) & MASK


def _cut(word: int | Tensor, paths: slice) -> int | Tensor:
    return word[:, paths] if isinstance(word, Tensor) else word
