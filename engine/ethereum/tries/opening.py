# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled opening of known nodes: a row of which only the reference is known becomes the node that it refers to.

`source` is a tuple: the bytes of the known nodes, first byte and size of each, their hashes, and a table of numbers by hash,
open-addressed, −1 where there is none. A node that cannot be opened leaves its row closed.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.engine.ethereum.rlp import STRING
from supervm.engine.ethereum.rlp_reading import INVALID, read_item
from supervm.engine.ethereum.tries.nodes import (
    BRANCH,
    CHILD,
    CHILDREN,
    CLOSED,
    END,
    EXTENSION,
    HASH,
    KEY_NIBBLES,
    KIND,
    LEAF,
    REFERENCE_SIZE,
    SIZE,
    START,
    VALUE,
    put_nibble,
)

FOUND, ABSENT, MISSING, MALFORMED = range(4)
"""The key has a value; it has none; a node on the way is not known; a node on the way is no node."""

LOOKED_UP = -1
"""`VALUE` of a closed node that is to be looked for by its hash."""

ROWS_USED, BRANCHES_USED = range(2)
"""Columns of `used`."""


@njit(nogil=True, cache=True)
def _first_word(digest):  # type: ignore[no-untyped-def]
    """Eight bytes of a hash, by which the table looks."""
    word = np.int64(0)
    for k in range(8):
        word = (word << 8) | np.int64(digest[k])
    return word


@njit(nogil=True, cache=True)
def fill_table(hashes, table):  # type: ignore[no-untyped-def]
    """Enter every hash; of equal ones the first counts."""
    mask = len(table) - 1
    for item in range(len(hashes)):
        place = _first_word(hashes[item]) & mask
        while table[place] >= 0:
            place = (place + 1) & mask
        table[place] = item


@njit(nogil=True, cache=True)
def _place_of(hashes, table, digest):  # type: ignore[no-untyped-def]
    mask = len(table) - 1
    place = _first_word(digest) & mask
    while table[place] >= 0:
        same = True
        for k in range(HASH):
            if hashes[table[place], k] != digest[k]:
                same = False
                break
        if same:
            return table[place]
        place = (place + 1) & mask
    return np.int64(-1)


@njit(nogil=True, cache=True)
def open_node(arena, used, source, row, depth):  # type: ignore[no-untyped-def]
    """Make a closed row, which stands at `depth`, the node that it refers to; FOUND, MISSING or MALFORMED."""
    rows, _, _, references = arena
    data, places, hashes, table = source
    first = rows[row, VALUE]
    size = rows[row, SIZE]
    if first == LOOKED_UP:
        item = _place_of(hashes, table, references[row, 1:])
        if item < 0:
            return MISSING
        first = places[item, 0]
        size = places[item, 1]
    is_list, p, end = read_item(data, first, first + size)
    if not is_list or end != first + size:
        return MALFORMED
    starts = np.empty(CHILDREN + 2, np.int64)
    count = 0
    q = p
    while q < end and count <= CHILDREN:
        starts[count] = q
        _, inside, q = read_item(data, q, end)
        if inside == INVALID:
            return MALFORMED
        count += 1
    starts[count] = q
    if q != end:
        return MALFORMED
    if count == 2:
        return _open_path(arena, used, data, row, depth, starts)
    if count == CHILDREN + 1:
        return _open_branch(arena, used, data, row, depth, starts)
    return MALFORMED


@njit(nogil=True, cache=True)
def _open_branch(arena, used, data, row, depth, starts):  # type: ignore[no-untyped-def]
    rows, _, children, references = arena
    # A value of the branch itself would belong to a key that ends here, and all keys are longer.
    if (
        depth >= KEY_NIBBLES
        or starts[CHILDREN + 1] - starts[CHILDREN] != 1
        or data[starts[CHILDREN]] != STRING
    ):
        return MALFORMED
    branch = used[BRANCHES_USED]
    taken = 0
    rows_before = used[ROWS_USED]
    for nibble in range(CHILDREN):
        child = _closed(rows, references, used, data, starts[nibble], starts[nibble + 1])
        children[branch, nibble] = child
        taken += child > 0
        if child < 0:
            taken = -CHILDREN
    if taken < 2:
        used[ROWS_USED] = rows_before
        return MALFORMED
    used[BRANCHES_USED] += 1
    rows[row, KIND] = BRANCH
    rows[row, CHILD] = branch
    return FOUND


@njit(nogil=True, cache=True)
def _open_path(arena, used, data, row, depth, starts):  # type: ignore[no-untyped-def]
    rows, paths, _, references = arena
    path_is_list, first, end = read_item(data, starts[0], starts[1])
    value_is_list, value, value_end = read_item(data, starts[1], starts[2])
    if path_is_list or first == end:
        return MALFORMED
    flags = data[first] >> 4
    odd = flags & 1
    length = 2 * (end - first - 1) + odd
    if flags > 3 or (not odd and data[first] & 15) or depth + length > KEY_NIBBLES:
        return MALFORMED
    for k in range(length):
        at = 2 - odd + k
        put_nibble(paths[row], depth + k, (data[first + (at >> 1)] >> (4 - 4 * (at & 1))) & 15)
    if flags >= 2:
        if value_is_list or value == value_end or depth + length != KEY_NIBBLES:
            return MALFORMED
        rows[row, VALUE] = value
        rows[row, SIZE] = value_end - value
        rows[row, KIND] = LEAF
    else:
        child = _closed(rows, references, used, data, starts[1], starts[2])
        if child <= 0 or length == 0 or depth + length == KEY_NIBBLES:
            return MALFORMED
        rows[row, CHILD] = child
        rows[row, KIND] = EXTENSION
    rows[row, START] = depth
    rows[row, END] = depth + length
    return FOUND


@njit(nogil=True, cache=True)
def _closed(rows, references, used, data, first, end):  # type: ignore[no-untyped-def]
    """A new row for the reference at `first`; 0 for an empty one, −1 if it is none."""
    is_list, inside, inside_end = read_item(data, first, end)
    size = end - first
    if not is_list and inside_end - inside == 0:
        return 0
    if (is_list and size >= HASH) or (not is_list and inside_end - inside != HASH):
        return -1
    row = used[ROWS_USED]
    used[ROWS_USED] += 1
    rows[row, KIND] = CLOSED
    rows[row, VALUE] = first if is_list else LOOKED_UP
    rows[row, SIZE] = size
    rows[row, REFERENCE_SIZE] = size
    for k in range(size):
        references[row, k] = data[first + k]
    return row
