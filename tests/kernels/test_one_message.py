# SPDX-License-Identifier: GPL-3.0-or-later
"""One message through Keccak against another implementation, at every length around the ends of blocks."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
from Crypto.Hash import keccak
from numba import njit
from numba.core.errors import TypingError

from supervm.crypto.params.hashes import KECCAK256, SHA256
from supervm.kernels.cpu.hashes.emitter import HashKernel
from supervm.kernels.cpu.hashes.one_message import hash_one
from supervm.kernels.cpu.lanes.lanes import LANES_32, LANES_64

_KECCAK, _SHA2 = HashKernel(KECCAK256, LANES_64), HashKernel(SHA256, LANES_32)


@njit
def _hash(data: Any, size: Any, out: Any) -> None:
    hash_one(_KECCAK, data, size, out)


@njit
def _hash_by_another(data: Any, size: Any, out: Any) -> None:
    hash_one(_SHA2, data, size, out)


def test_digests() -> None:
    text = bytes(place * 7 % 251 for place in range(700))
    area, digest = ctypes.create_string_buffer(text, len(text)), ctypes.create_string_buffer(32)
    for size in (*range(300), 407, 408, 409, 700):
        _hash(ctypes.addressof(area), size, ctypes.addressof(digest))
        assert digest.raw == keccak.new(digest_bits=256, data=text[:size]).digest(), size


def test_only_keccak() -> None:
    with pytest.raises(TypingError, match="by Keccak in one lane"):
        _hash_by_another(0, 0, 0)
