"""Philox4x32-10: a counter-based random generator in plain integer tensor operations.

A counter-based generator is a function, not a state: 128 bits of counter and 64 bits of key go in,
128 random bits come out. A Brownian path can therefore be evaluated at any place, in any order and
on any device.

Words are 32-bit unsigned integers held in ``int64`` tensors: PyTorch's unsigned types lack shifts,
and a signed 64-bit product of two 32-bit words wraps around to exactly the right 64 bits, so that
its high word is ``(product >> 32) & 0xffffffff`` whatever the sign bit says.

Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as
1, 2, 3", SC'11, doi:10.1145/2063384.2063405.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Word = Tensor | int
Counter = tuple[Word, Word, Word, Word]
Key = tuple[Word, Word]
Words = tuple[Tensor, Tensor, Tensor, Tensor]

MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)  # golden ratio and sqrt(3) - 1, times 2**32
ROUNDS = 10
SCRATCH = 6  # int64 buffers that `philox_into` needs


def philox4x32(counter: Counter, key: Key) -> Words:
    """Four random words for every counter.

    Parameters
    ----------
    counter : four of Tensor or int
        Words in [0, 2**32), as int64 tensors that broadcast against each other, or as numbers.
        At least one word of the counter or of the key is a tensor.
    key : two of Tensor or int
        Words in [0, 2**32), likewise.

    Returns
    -------
    four Tensors
        int64, in [0, 2**32), of the common shape.
    """
    words = _double_rounds(_as_tensors(counter, key), key, 0, ROUNDS // 2)
    c0, c1, c2, c3 = words
    shape = (c0 ^ c1 ^ c2 ^ c3).shape
    return (
        (c0 & MASK).expand(shape),
        (c1 & MASK).expand(shape),
        (c2 & MASK).expand(shape),
        (c3 & MASK).expand(shape),
    )


def philox_words(counter: Counter, key: Key) -> Words:
    """`philox4x32` without the final masks: only the low 32 bits of each int64 are meaningful."""
    return _double_rounds(_as_tensors(counter, key), key, 0, ROUNDS // 2)


def philox_into(counter: Counter, key: Key, scratch: Sequence[Tensor]) -> Words:
    """`philox_words`, computed in ``scratch``: `SCRATCH` int64 tensors of the common shape.

    Eager PyTorch spends more on fresh memory than on arithmetic; six buffers that stay in the cache
    nearly halve the time. The first two rounds are left to broadcasting: in them a word that is
    constant along an axis is multiplied once for the whole axis, and what a counter's four words
    have in common across a block costs next to nothing.
    """
    c0, c1, c2, c3 = _double_rounds(_as_tensors(counter, key), key, 0, 1)
    a, b, even0, even1, odd0, odd1 = scratch
    m0, m1 = MULTIPLIERS
    c0, c2 = c0.expand_as(a), c2.expand_as(a)
    for double in range(1, ROUNDS // 2):
        torch.mul(c0, m0, out=even0)
        torch.mul(c2, m1, out=even1)
        even0.bitwise_xor_(_two_round_keys(key[1], 1, double))
        even1.bitwise_xor_(_two_round_keys(key[0], 0, double))
        c0 = _high_xor_into(even1, c1, a)
        c2 = _high_xor_into(even0, c3, b)
        torch.mul(c0, m0, out=odd0)
        torch.mul(c2, m1, out=odd1)
        c0 = _high_xor_into(odd1, even1, a)
        c2 = _high_xor_into(odd0, even0, b)
        c1, c3 = odd1, odd0
    return c0, c1, c2, c3


def _double_rounds(words: Words, key: Key, start: int, stop: int) -> Words:
    """Rounds ``2 * start`` to ``2 * stop - 1``.

    Two savings over the textbook form, both exact. The low word of a product is not masked: it is
    only ever XORed into a word that is masked afterwards. And the keys of two rounds enter in one
    XOR, since the high word of a product meets its key in the same round and the low word meets
    the next key of the same sequence one round later.
    """
    c0, c1, c2, c3 = words
    m0, m1 = MULTIPLIERS
    for double in range(start, stop):
        even0 = (c0 * m0) ^ _two_round_keys(key[1], 1, double)
        even1 = (c2 * m1) ^ _two_round_keys(key[0], 0, double)
        c0 = ((even1 >> 32) ^ c1) & MASK
        c2 = ((even0 >> 32) ^ c3) & MASK
        odd0, odd1 = c0 * m0, c2 * m1
        c0 = ((odd1 >> 32) ^ even1) & MASK
        c2 = ((odd0 >> 32) ^ even0) & MASK
        c1, c3 = odd1, odd0
    return c0, c1, c2, c3


def _high_xor_into(product: Tensor, other: Tensor, out: Tensor) -> Tensor:
    torch.bitwise_right_shift(product, 32, out=out)
    return out.bitwise_xor_(other).bitwise_and_(MASK)


def _two_round_keys(word: Word, which: int, double: int) -> Word:
    """The keys of rounds ``2 * double`` (high half) and ``2 * double + 1`` (low half).

    Round r's key is the Weyl sequence ``word + r * increment`` modulo 2**32.
    """
    now = (word + 2 * double * KEY_INCREMENTS[which]) & MASK
    later = (word + (2 * double + 1) * KEY_INCREMENTS[which]) & MASK
    if isinstance(now, Tensor) or isinstance(later, Tensor):
        return (now << 32) | later
    both = (now << 32) | later
    return both - (1 << 64) if both >> 63 else both  # as a signed 64-bit number


def _as_tensors(counter: Counter, key: Key) -> Words:
    tensors = [word for word in (*counter, *key) if isinstance(word, Tensor)]
    if not tensors:
        raise TypeError(
            "philox4x32 needs at least one int64 tensor among its counter and key words"
        )
    device = tensors[0].device
    c0, c1, c2, c3 = (
        word if isinstance(word, Tensor) else torch.full((), word, dtype=torch.int64, device=device)
        for word in counter
    )
    return c0, c1, c2, c3
