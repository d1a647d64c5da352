# SPDX-License-Identifier: GPL-3.0-or-later
"""SHA-256 of one block with the processor's own instructions, and the schedule of known blocks, against the oracle."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from supervm.crypto.hashes import DEDICATED, KERNELS
from supervm.crypto.params.hashes import SHA256, SHA512
from supervm.kernels.cpu.hashes.emitter import HashKernel
from supervm.kernels.cpu.hashes.sha2 import known_schedule
from supervm.kernels.cpu.hashes.short_messages import SHORT, hash_short, is_dedicated
from supervm.kernels.cpu.lanes.features import cpu_features
from supervm.kernels.cpu.lanes.lanes import LANES_64


@njit
def hash_all(kernel: Any, data: Any, offsets: Any, out: Any) -> None:
    hash_short(kernel, data.ctypes.data, offsets.ctypes.data, offsets.size - 1, out.ctypes.data)


@njit
def asks(kernel: Any) -> Any:
    return is_dedicated(kernel)


@pytest.fixture
def dedicated(backend):
    """Each backend's lanes with the instructions."""
    if not cpu_features().sha:
        pytest.skip("the processor has no instructions for SHA-256, or Numba does not compile for them")
    return DEDICATED[backend]


@pytest.mark.parametrize("count", [1, 3, 4, 5, 15, 16, 17, 35, SHORT + 1])
def test_every_length(dedicated, count):
    """Lengths from 0 to SHORT; nothing behind the last digest is written."""
    random = np.random.default_rng(count)
    lengths = np.arange(count) if count > SHORT else random.integers(0, SHORT + 1, count)
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    data = random.integers(0, 256, offsets[-1], dtype=np.uint8)
    out = np.full((count + 1, 32), 7, np.uint8)
    hash_all(dedicated, data, offsets, out)
    for item in range(count):
        message = data[offsets[item] : offsets[item + 1]].tobytes()
        assert out[item].tobytes() == hashlib.sha256(message).digest()
    assert (out[count] == 7).all()


def test_who_may_call(backend):
    assert asks(DEDICATED[backend])
    assert not asks(KERNELS["sha256", backend])
    assert "dedicated" in repr(DEDICATED[backend])
    with pytest.raises(TypingError, match="SHA-256"):
        hash_all(HashKernel(SHA512, LANES_64, dedicated=True), *[np.zeros(2, np.int64)] * 3)


@pytest.mark.parametrize("spec", [SHA256, SHA512])
def test_known_schedule(spec):
    """By the definition of FIPS 180-4."""
    bits, size = spec.word_bits, 1 << spec.word_bits
    random = np.random.default_rng(bits)
    block = [int.from_bytes(random.bytes(bits // 8), "big") for _ in range(16)]

    def small(word, a, b, shift):
        turned = (word >> a | word << (bits - a)) ^ (word >> b | word << (bits - b)) ^ word >> shift
        return turned % size

    words = list(block)
    for t in range(16, len(spec.constants)):
        late, early = small(words[t - 2], *spec.small_sigma1), small(words[t - 15], *spec.small_sigma0)
        words.append((late + words[t - 7] + early + words[t - 16]) % size)
    expected = [(word + key) % size for word, key in zip(words, spec.constants, strict=True)]
    assert known_schedule(spec, block) == expected
