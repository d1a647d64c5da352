# SPDX-License-Identifier: GPL-3.0-or-later
"""Root of the ordered Merkle Patricia trie that a block header commits to: rlp(index) → value.

Source: the Yellow Paper, section 4.4 and appendix D.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.ethereum.rlp import STRING
from supervm.engine.ethereum.tries.building import trie_roots
from supervm.engine.ethereum.tries.nodes import KEY_BYTES
from supervm.kernels.array_types import Bytes

_INDEX_BYTES = 4
"""Indices stay below 2^32."""


def ordered_trie_root(values: Messages, *, backend: str = "auto") -> Bytes:
    """The root of the trie that maps rlp(i) to value i, uint8 (32,).

    Args:
        values: the items in order, none of them empty; for a transactions root, their EIP-2718 encodings.
        backend: where Keccak-256 runs.

    Raises:
        ArgumentError: an item of no bytes.
    """
    n = len(values)
    keys, nibbles = _keys(n)
    return trie_roots(np.array([0, n]), keys, values, nibbles=nibbles, backend=backend).reshape(32)


def _keys(n: int) -> tuple[Bytes, NDArray[np.int64]]:
    """rlp(0), rlp(1), …, each behind it zeros, and how many nibbles each has."""
    index = np.arange(n)
    single = (index > 0) & (index < STRING)
    extra = np.where(
        single, 0, (index > 0).astype(np.int64) + (index > 0xFF) + (index > 0xFFFF) + (index > 0xFFFFFF)
    )
    keys = np.zeros((n, KEY_BYTES), np.uint8)
    keys[:, 0] = np.where(single, index, STRING + extra)
    for k in range(1, 1 + _INDEX_BYTES):
        keys[:, k] = np.where(extra >= k, index >> (8 * np.maximum(extra - k, 0)), 0) & 0xFF
    return keys, 2 + 2 * extra
