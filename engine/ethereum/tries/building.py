# SPDX-License-Identifier: GPL-3.0-or-later
"""Roots of tries whose whole content is known, many at once.

Keys that are sorted give the shape: a branch stands at every depth where two neighbours part. One pass over them opens and
closes the branches along the right edge of each trie; then every level of all tries is hashed as one batch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from supervm.crypto.messages import Messages
from supervm.engine.ethereum.tries.nodes import (
    BRANCH,
    CHILD,
    END,
    EXTENSION,
    KEY_BYTES,
    KEY_NIBBLES,
    KIND,
    LEAF,
    SIZE,
    START,
    VALUE,
    Nodes,
    hash_nodes,
    nibble_of,
    root_hashes,
)
from supervm.kernels.array_types import Bytes, Indices, Offsets
from supervm.kernels.errors import ArgumentError

EMPTY_ROOT = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
"""Root of a trie without keys: the Keccak-256 of an empty RLP string."""

_KEY = np.dtype((np.void, KEY_BYTES))


def trie_roots(
    offsets: Offsets,
    keys: Bytes,
    values: Messages,
    *,
    nibbles: npt.NDArray[np.int64] | None = None,
    backend: str = "auto",
) -> Bytes:
    """The root of each of t tries, uint8 (t, 32).

    Args:
        offsets: int64 (t + 1,); trie i maps keys `offsets[i]:offsets[i + 1]`, which stand in any order.
        keys: uint8 (n, 32); of a secure trie, the hashes of what is looked up.
        values: n values as the leaves hold them, none of them empty; of a state, RLP.
        nibbles: int64 (n,), how much of each key counts, where that is less than all 64. What stands behind is zero, and
            no key is the beginning of another.
        backend: where Keccak-256 runs.

    Raises:
        ArgumentError: another shape or dtype, a key twice in one trie, or a value of no bytes, which stands for no key.
    """
    n = len(values)
    if keys.shape != (n, KEY_BYTES) or keys.dtype != np.uint8:
        raise ArgumentError(
            "keys", f"{keys.dtype} {keys.shape}", f"uint8 ({n}, {KEY_BYTES}), one for each value"
        )
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != n or (np.diff(offsets) < 0).any():
        raise ArgumentError("offsets", f"{offsets[:4]}…", f"ascending from 0 to {n}, the number of values")
    sizes = np.diff(values.offsets)
    if not sizes.all():
        raise ArgumentError(
            "values", f"an empty one at {int(np.argmin(sizes))}", "no empty value; leave its key out"
        )
    order = _sorted(offsets, keys)
    nodes = Nodes.empty(3 * n + 1, n)  # at most a branch less than keys, and an extension above each
    # As one item a row: NumPy moves rows of single bytes at a fraction of the speed.
    nodes.paths[1 : n + 1].view(_KEY)[:, 0] = np.ascontiguousarray(keys).view(_KEY)[order, 0]
    leaves = nodes.rows[1 : n + 1]
    leaves[:, KIND] = LEAF
    leaves[:, END] = KEY_NIBBLES if nibbles is None else nibbles[order]
    leaves[:, VALUE] = values.offsets[:-1][order]
    leaves[:, SIZE] = sizes[order]
    roots = np.zeros(len(offsets) - 1, np.int64)
    twice = _build(nodes.rows, nodes.paths, nodes.children, offsets, roots)
    if twice >= 0:
        raise ArgumentError(
            "keys", f"{keys[order[twice]].tobytes().hex()} twice in one trie", "each key once"
        )
    hash_nodes(nodes, roots, values.data, backend)
    return root_hashes(nodes, roots, backend)


def _sorted(offsets: Offsets, keys: Bytes) -> Indices:
    """Indices by trie and key."""
    words = np.ascontiguousarray(keys).view(">u8").astype(np.uint64)
    tries = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    order: Indices = np.argsort(words[:, 0])
    first = words[order, 0]
    if (first[1:] == first[:-1]).any():  # hashes differ in their first words; other keys may not
        order = np.lexsort(words.T[::-1])
    if len(offsets) > 2:
        order = order[np.argsort(tries[order], kind="stable")]
    return order


@njit(nogil=True, cache=True)
def _shared(a, b):  # type: ignore[no-untyped-def]
    """How many nibbles two paths share."""
    for k in range(KEY_BYTES):
        different = a[k] ^ b[k]
        if different:
            return 2 * k + (1 if different < 16 else 0)
    return KEY_NIBBLES


@njit(nogil=True, cache=True)
def _build(rows, paths, children, offsets, roots):  # type: ignore[no-untyped-def]
    """Put branches and extensions over the leaves, which are rows 1 to n; the place of a key that stands twice, or −1."""
    open_rows = np.empty(KEY_NIBBLES, np.int64)
    open_depths = np.empty(KEY_NIBBLES, np.int64)
    free = offsets[len(offsets) - 1] + 1
    branch = 0
    for trie in range(len(offsets) - 1):
        top = 0
        left = np.int64(-1)
        for key in range(offsets[trie], offsets[trie + 1]):
            right = np.int64(-1)
            if key + 1 < offsets[trie + 1]:
                right = np.int64(_shared(paths[key + 1], paths[key + 2]))
                if right == KEY_NIBBLES:
                    return key
            node = key + 1
            depth = max(left, right)
            rows[node, START] = depth + 1
            while True:
                # `node` hangs below the branch at `depth`, or is the root.
                if depth < 0:
                    roots[trie] = node
                    break
                if top == 0 or open_depths[top - 1] < depth:
                    rows[free, KIND] = BRANCH
                    rows[free, CHILD] = branch
                    open_rows[top] = free
                    open_depths[top] = depth
                    free += 1
                    branch += 1
                    top += 1
                children[rows[open_rows[top - 1], CHILD], nibble_of(paths[key + 1], depth)] = node
                if depth <= right:
                    break
                # That branch is complete: what hangs next is the branch itself, below an extension if it is far.
                top -= 1
                node = open_rows[top]
                above = max(right, open_depths[top - 1] if top else np.int64(-1))
                if depth > above + 1:
                    rows[free, KIND] = EXTENSION
                    rows[free, START] = above + 1
                    rows[free, END] = depth
                    rows[free, CHILD] = node
                    for k in range(KEY_BYTES):
                        paths[free, k] = paths[key + 1, k]
                    node = free
                    free += 1
                depth = above
            left = right
    return -1
