# SPDX-License-Identifier: GPL-3.0-or-later
"""A sparse Merkle tree whose rows are elements of a prime field, hashed by permutations over it.

A row is 32 bytes, the least significant first. Byte strings become elements by `hash_texts`. A path is the element of its
key with the bits of each byte turned round: the tree takes the uppermost bit of a path's first byte first, which so is the
element's lowest bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.extending import overload

from supervm.kernels.cpu.fields.element_type import Field
from supervm.kernels.cpu.hashes.pair import ROW
from supervm.kernels.cpu.hashes.poseidon import Permutation, hash_slice
from supervm.kernels.cpu.lanes.addresses import copy
from supervm.kernels.cpu.lanes.cache_lines import swapped
from supervm.kernels.cpu.lanes.lanes import Lanes
from supervm.kernels.cpu.merkle.sparse_nodes import hash_first_nodes, hash_nodes, node_group
from supervm.kernels.cpu.merkle.sparse_state import RECORD, WORDS, copy_row, word_at

GROUP = 64
"""Nodes of a group: some lanes' worth, so that what is done for each group is little beside the hashing."""

CHUNK_BYTES, CHUNKS = 31, 3
"""Bytes of a text that become one element, and elements beside the state that a permutation takes."""

TEXT_INPUTS, LEAF_INPUTS, NODE_INPUTS = 1 + CHUNKS, 3, 2
"""Elements that are hashed: a text's step, a leaf, a node. Each has a permutation of its own width."""

_LEAF_MARK = 1
"""The third element of a leaf."""

_BLOCK = 512
"""Values that are hashed before their leaves are."""


class FieldTree(NamedTuple):
    """What a tree's kernels are given.

    Args:
        field, lanes: the markers of the field in certain lanes.
        texts, leaves, nodes: constants of each permutation; the shapes likewise: see `poseidon.Permutation`.
    """

    field: Field
    lanes: Lanes
    texts: npt.NDArray[np.uint64]
    texts_shape: npt.NDArray[np.int64]
    leaves: npt.NDArray[np.uint64]
    leaves_shape: npt.NDArray[np.int64]
    nodes: npt.NDArray[np.uint64]
    nodes_shape: npt.NDArray[np.int64]

    @staticmethod
    def of(texts: Permutation, leaves: Permutation, nodes: Permutation) -> FieldTree:
        """From permutations that take TEXT_INPUTS, LEAF_INPUTS and NODE_INPUTS elements, in the same lanes."""
        field = nodes.field
        parts = (part for each in (texts, leaves, nodes) for part in (each.constants, each.shape))
        return FieldTree(field, field.lanes, *parts)  # type: ignore[arg-type]


@njit(nogil=True, cache=True)
def turned(word: Any) -> Any:
    """A word with the bits of each byte in the other order."""
    ones, twos, fours = (
        np.uint64(0x5555555555555555),
        np.uint64(0x3333333333333333),
        np.uint64(0x0F0F0F0F0F0F0F0F),
    )
    word = ((word >> np.uint64(1)) & ones) | ((word & ones) << np.uint64(1))
    word = ((word >> np.uint64(2)) & twos) | ((word & twos) << np.uint64(2))
    return ((word >> np.uint64(4)) & fours) | ((word & fours) << np.uint64(4))


@njit(nogil=True, cache=True)
def hash_texts(tree: Any, data: Any, offsets: Any, items: Any, out: Any) -> None:
    """The elements of some messages of a ragged batch.

    A message of n bytes is cut into numbers of CHUNK_BYTES bytes, the least significant first, the last of which may be
    shorter. The state is n at first; then, at least once, it becomes the hash of itself and the next CHUNKS numbers, zeros
    behind the last.

    Args:
        tree: a `FieldTree`.
        data, offsets: uint8 and int64, the batch.
        items: int64, which messages.
        out: uint64, flat, written: a row for each of them.
    """
    step = CHUNK_BYTES * CHUNKS
    inputs = np.empty(items.size * TEXT_INPUTS * WORDS, np.uint64)
    digests = np.empty(items.size * WORDS, np.uint64)
    places = np.arange(items.size)
    for place in range(items.size):
        out[WORDS * place : WORDS * (place + 1)] = 0
        out[WORDS * place] = offsets[items[place] + 1] - offsets[items[place]]
    active, done = np.int64(items.size), 0
    while active:
        for slot in range(active):
            place = places[slot]
            first = WORDS * TEXT_INPUTS * slot
            inputs[first : first + WORDS * TEXT_INPUTS] = 0
            for word in range(WORDS):
                inputs[first + word] = out[WORDS * place + word]
            begin = offsets[items[place]] + done
            left = offsets[items[place] + 1] - begin
            for chunk in range(CHUNKS):
                size = min(CHUNK_BYTES, left - CHUNK_BYTES * chunk)
                if size > 0:
                    target = inputs.ctypes.data + ROW * (TEXT_INPUTS * slot + 1 + chunk)
                    copy(target, data.ctypes.data + begin + CHUNK_BYTES * chunk, size)
        hash_slice(tree.field, tree.lanes, tree.texts, tree.texts_shape, inputs, digests, 1, 0, active)
        done += step
        kept = np.int64(0)
        for slot in range(active):
            place = places[slot]
            for word in range(WORDS):
                out[WORDS * place + word] = digests[WORDS * slot + word]
            places[kept] = place
            kept += np.int64(offsets[items[place] + 1] - offsets[items[place]] > done)
        active = kept


@njit(nogil=True, cache=True)
def hash_paths(tree: Any, data: Any, offsets: Any, out: Any, start: Any, stop: Any) -> None:
    """The paths of keys `start` to `stop`, in rows of `out`, uint64, flat."""
    for first in range(start, stop, _BLOCK):
        last = min(first + _BLOCK, stop)
        rows = out[WORDS * first : WORDS * last]
        hash_texts(tree, data, offsets, np.arange(first, last), rows)
        for word in range(rows.size):
            rows[word] = turned(rows[word])


@njit(nogil=True, cache=True)
def hash_field_leaves(
    tree: Any,
    data: Any,
    offsets: Any,
    ids: Any,
    present: Any,
    records: Any,
    depth: Any,
    buckets: Any,
    start: Any,
    stop: Any,
) -> None:
    """`sparse_merkle_state.hash_leaves` for such a tree: the hash of key, value and 1."""
    records_at = records.ctypes.data
    values = np.empty(_BLOCK * WORDS, np.uint64)
    inputs = np.empty(_BLOCK * LEAF_INPUTS * WORDS, np.uint64)
    digests = np.empty(_BLOCK * WORDS, np.uint64)
    items = np.empty(_BLOCK, np.int64)
    for first in range(start, stop, _BLOCK):
        count = np.int64(0)
        for change in range(first, min(first + _BLOCK, stop)):
            record = records_at + RECORD * np.int64(ids[change])
            buckets[change] = swapped(word_at(record)) >> np.uint64(64 - depth)
            items[count] = change
            count += np.int64(present[change])
        hash_texts(tree, data, offsets, items[:count], values)
        for slot in range(count):
            place = LEAF_INPUTS * WORDS * slot
            record = records_at + RECORD * np.int64(ids[items[slot]])
            inputs[place : place + LEAF_INPUTS * WORDS] = 0
            for word in range(WORDS):
                inputs[place + word] = turned(word_at(record + 8 * word))
                inputs[place + WORDS + word] = values[WORDS * slot + word]
            inputs[place + 2 * WORDS] = _LEAF_MARK
        hash_slice(tree.field, tree.lanes, tree.leaves, tree.leaves_shape, inputs, digests, 1, 0, count)
        for slot in range(count):
            record = records_at + RECORD * np.int64(ids[items[slot]])
            copy_row(record + ROW, digests.ctypes.data + ROW * slot)


@njit(nogil=True, cache=True)
def hash_field_nodes(tree: Any, plan: Any, filled: Any) -> None:
    """Hash the first `filled` nodes of the plan at an address."""
    rows = np.empty(GROUP * NODE_INPUTS * WORDS, np.uint64)
    digests = np.empty(GROUP * WORDS, np.uint64)
    for node in range(filled):
        for side in range(NODE_INPUTS):
            source = np.int64(word_at(plan + 8 * (GROUP * side + node)))
            copy_row(rows.ctypes.data + ROW * (NODE_INPUTS * node + side), source)
    hash_slice(tree.field, tree.lanes, tree.nodes, tree.nodes_shape, rows, digests, 1, 0, filled)
    for node in range(filled):
        target = np.int64(word_at(plan + 8 * (GROUP * NODE_INPUTS + node)))
        copy_row(target, digests.ctypes.data + ROW * node)


def _is_field_tree(kernel: Any) -> bool:
    return isinstance(kernel, types.NamedTuple) and kernel.instance_class is FieldTree


@overload(node_group, strict=False)
def _node_group(kernel: Any) -> Any:
    return (lambda kernel: GROUP) if _is_field_tree(kernel) else None


@overload(hash_nodes, strict=False)
def _hash_nodes(kernel: Any, plan: Any) -> Any:
    if _is_field_tree(kernel):
        return lambda kernel, plan: hash_field_nodes(kernel, plan, GROUP)
    return None


@overload(hash_first_nodes, strict=False)
def _hash_first_nodes(kernel: Any, plan: Any, filled: Any) -> Any:
    if _is_field_tree(kernel):
        return lambda kernel, plan, filled: hash_field_nodes(kernel, plan.ctypes.data, filled)
    return None
