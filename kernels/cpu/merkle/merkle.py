# SPDX-License-Identifier: GPL-3.0-or-later
"""The inner loops of Merkle trees: rows of bytes hashed behind a byte that says what they are, and proofs walked upwards.

A row of 32 bytes is four uint64 words as they lie in memory; the children of a node lie one behind the other, so that they
are the message of their parent as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from supervm.kernels.cpu.hashes.batch import hash_slice
from supervm.kernels.cpu.hashes.pair import PAIR_PLAN_ROWS, ROW, hash_pairs, pair_width
from supervm.kernels.cpu.hashes.short_messages import SHORT, hash_short, is_dedicated
from supervm.kernels.cpu.lanes.addresses import copy
from supervm.kernels.cpu.merkle.sparse_nodes import hash_first
from supervm.kernels.merkle_levels import WORDS

_STAGED_MESSAGES, _STAGED_BYTES = 256, 1 << 15
"""Messages that are put together before they are hashed, and their bytes beyond the first: both stay in the first-level
cache."""


@njit(nogil=True, cache=True)
def hash_rows(
    kernel: Any, prefix: Any, data: Any, width: Any, out: Any, target: Any, start: Any, stop: Any
) -> None:
    """H(prefix ‖ row i) for rows `start` to `stop`.

    Args:
        kernel: a `HashKernel` of SHA-256 or Keccak-256.
        prefix: the byte in front.
        data: uint8, flat; row i begins at i · `width`.
        width: bytes of a row.
        out: uint64, flat, written: the digest of row i goes to row `target` + i.
    """
    if width == 2 * ROW:
        _hash_pair_rows(kernel, prefix, data, out, target, start, stop)
    elif start < stop:
        _hash_staged_rows(kernel, prefix, data, width, out, target, start, stop)


@njit(nogil=True, cache=True)
def _hash_pair_rows(
    kernel: Any, prefix: Any, data: Any, out: Any, target: Any, start: Any, stop: Any
) -> None:
    """Two rows each: nothing is copied."""
    lanes = pair_width(kernel)
    plan = np.empty(PAIR_PLAN_ROWS * lanes, np.int64)
    plan_at, data_at, out_at = plan.ctypes.data, data.ctypes.data, out.ctypes.data + ROW * target
    whole = start + (stop - start) // lanes * lanes
    for first in range(start, whole, lanes):
        for lane in range(lanes):
            left = data_at + 2 * ROW * (first + lane)
            plan[lane] = left
            plan[lanes + lane] = left + ROW
            plan[2 * lanes + lane] = out_at + ROW * (first + lane)
        hash_pairs(kernel, prefix, plan_at)
    if whole < stop:
        for item in range(whole, stop):
            plan[item - whole] = data_at + 2 * ROW * item
            plan[lanes + item - whole] = data_at + 2 * ROW * item + ROW
            plan[2 * lanes + item - whole] = out_at + ROW * item
        hash_first(kernel, prefix, plan, stop - whole)


@njit(nogil=True, cache=True)
def _hash_staged_rows(
    kernel: Any, prefix: Any, data: Any, width: Any, out: Any, target: Any, start: Any, stop: Any
) -> None:
    """Rows of any width: some messages at a time are put together, then hashed."""
    size = width + 1
    most = min(max(1, _STAGED_BYTES // size), _STAGED_MESSAGES, stop - start)
    messages = np.empty(most * size, np.uint8)
    messages[::size] = prefix
    offsets = np.arange(most + 1) * size
    digests = out.view(np.uint8)
    messages_at, data_at, offsets_at = messages.ctypes.data, data.ctypes.data, offsets.ctypes.data
    short = is_dedicated(kernel) and size <= SHORT
    for first in range(start, stop, most):
        count = min(most, stop - first)
        for item in range(count):
            copy(messages_at + size * item + 1, data_at + width * (first + item), width)
        place = ROW * (target + first)
        if short:
            hash_short(kernel, messages_at, offsets_at, count, digests.ctypes.data + place)
        else:
            hash_slice(kernel, messages, offsets[: count + 1], digests[place:], 0, count)


@njit(nogil=True, cache=True)
def arrange(nodes: Any, siblings: Any, level: Any, indices: Any, arity: Any, children: Any) -> None:
    """Put nodes among their siblings, and go on to the index of their parents.

    Args:
        nodes: uint64 (m, WORDS).
        siblings: uint64 (m, depth, arity − 1, WORDS), in ascending order of their places.
        level: of the nodes.
        indices: int64 (m,), of the nodes in their level; overwritten by those of their parents.
        children: uint64 (m, arity, WORDS), written.
    """
    for item in range(indices.size):
        own = indices[item] % arity
        indices[item] //= arity
        for place in range(arity):
            for word in range(WORDS):
                if place == own:
                    children[item, place, word] = nodes[item, word]
                else:
                    children[item, place, word] = siblings[item, level, place - (place > own), word]


@njit(nogil=True, cache=True)
def gather_siblings(level: Any, indices: Any, arity: Any, at: Any, siblings: Any) -> None:
    """The siblings of nodes of one level; the inverse of `arrange`.

    Args:
        level: uint64 (rows, WORDS), whole groups.
        indices: int64 (m,), as in `arrange`.
        at: the level's number.
        siblings: uint64 (m, depth, arity − 1, WORDS), written.
    """
    for item in range(indices.size):
        own, first = indices[item] % arity, indices[item] // arity * arity
        indices[item] //= arity
        for place in range(arity):
            if place != own:
                slot = place - (place > own)
                for word in range(WORDS):
                    siblings[item, at, slot, word] = level[first + place, word]


@njit(nogil=True, cache=True)
def mark_large(rows: Any, bound: Any, verdicts: Any) -> None:
    """Verdict −1 where one of an item's rows is not below a bound; rows: uint64 (m, k, WORDS)."""
    for item in range(len(rows)):
        for place in range(rows.shape[1]):
            if not _below(rows[item, place], bound):
                verdicts[item] = -1


@njit(nogil=True, cache=True)
def _below(row: Any, bound: Any) -> Any:
    for word in range(WORDS - 1, -1, -1):
        if row[word] != bound[word]:
            return row[word] < bound[word]
    return False


@njit(nogil=True, cache=True)
def compare_rows(nodes: Any, row: Any, verdicts: Any) -> None:
    """Verdicts 1 or 0 by whether nodes, uint64 (m, WORDS), are this row; −1 stays."""
    for item in range(len(nodes)):
        if verdicts[item] >= 0:
            differ = np.uint64(0)
            for word in range(WORDS):
                differ |= nodes[item, word] ^ row[word]
            verdicts[item] = differ == 0
