"""The generator: the published vectors, an independent scalar form, and all its tensor forms."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sdeint.brownian import philox4x32
from sdeint.brownian.philox import MASK, SCRATCH, philox_into, philox_words

# kat_vectors of Random123 1.14 (philox4x32 10): counter, key, result.
KNOWN = [
    (
        "00000000 00000000 00000000 00000000",
        "00000000 00000000",
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    ),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        "ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]
WORD = st.one_of(st.integers(0, MASK), st.sampled_from([0, 1, 1 << 31, (1 << 31) - 1, MASK]))
WITHOUT_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
DEVICES = ["cpu", pytest.param("cuda", marks=WITHOUT_CUDA)]


def hexadecimal(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


def scalar_philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """The textbook form on Python's unbounded integers."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK, (p0 >> 32) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return c0, c1, c2, c3


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_known_answers(counter: str, key: str, result: str, device: str) -> None:
    c = tuple(torch.tensor([word], device=device) for word in hexadecimal(counter))
    got = philox4x32(c, hexadecimal(key))
    assert tuple(int(word) for word in got) == hexadecimal(result)


@given(st.tuples(WORD, WORD, WORD, WORD), st.tuples(WORD, WORD))
@settings(max_examples=100, deadline=None)
def test_agrees_with_unbounded_integers(counter: tuple[int, ...], key: tuple[int, ...]) -> None:
    expected = scalar_philox(counter, key)
    as_tensors = tuple(torch.tensor([word]) for word in counter)
    keys = tuple(torch.tensor([word]) for word in key)
    scratch = [torch.empty(1, dtype=torch.int64) for _ in range(SCRATCH)]
    for form in (
        philox4x32(as_tensors, key),
        philox4x32(as_tensors, keys),
        philox4x32(counter, keys),
        philox_words(as_tensors, key),
        philox_into(as_tensors, key, scratch),
        philox_into(as_tensors, keys, scratch),
    ):
        assert tuple(int(word) & MASK for word in form) == expected


def test_words_broadcast() -> None:
    c0 = torch.arange(5).view(1, 5, 1)
    c2 = torch.arange(3).view(3, 1, 1)
    key = torch.tensor([7, 8, 9, 10, 11]).view(1, 5, 1)
    scratch = [torch.empty((3, 5, 2), dtype=torch.int64) for _ in range(SCRATCH)]
    counter = (c0, torch.arange(2).view(1, 1, 2), c2, torch.tensor(4))
    whole = philox4x32(counter, (key, 6))
    assert all(word.shape == (3, 5, 2) for word in whole)
    into = philox_into(counter, (key, 6), scratch)
    for word, other in zip(whole, into):
        assert torch.equal(word, other & MASK)
    expected = scalar_philox((4, 1, 2, 4), (11, 6))
    assert tuple(int(word[2, 4, 1]) for word in whole) == expected


def test_without_a_tensor_is_refused() -> None:
    with pytest.raises(TypeError, match="at least one int64 tensor"):
        philox4x32((0, 0, 0, 0), (0, 0))
