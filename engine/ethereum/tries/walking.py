# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled walks through tries of which only some nodes are known: look a key up, put a value, take a key away.

A node is opened when a walk first reaches it, into rows of its own: one node may stand at several places. Every walk checks
before it changes anything, so that a key that cannot be answered leaves its trie as it was.

What a walk answers is one of the numbers of `opening`, which says too what `source` is.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.engine.ethereum.tries.nodes import (
    BRANCH,
    CHILD,
    CHILDREN,
    CLOSED,
    END,
    EXTENSION,
    KEY_BYTES,
    KEY_NIBBLES,
    KIND,
    LEAF,
    REFERENCE_SIZE,
    SIZE,
    START,
    VALUE,
    nibble_of,
    put_nibble,
)
from supervm.engine.ethereum.tries.opening import (
    ABSENT,
    BRANCHES_USED,
    FOUND,
    MALFORMED,
    ROWS_USED,
    open_node,
)

SIBLING = 10
"""Added to MISSING or MALFORMED where the node is not on the way, but the last one beside a key that goes."""

ROWS_PER_WALK = (CHILDREN + 1) * (KEY_NIBBLES + 1)
"""Rows that one walk takes at most: children of every branch on the way, and what a change puts in."""
BRANCHES_PER_WALK = KEY_NIBBLES + 2


@njit(nogil=True, cache=True)
def _parting(a, b, start, end):  # type: ignore[no-untyped-def]
    """The first nibble from `start` on in which two paths differ, `end` if none before it does."""
    place = start
    while place < end and nibble_of(a, place) == nibble_of(b, place):
        place += 1
    return place


@njit(nogil=True, cache=True)
def _descend(arena, used, source, root, key, walk):  # type: ignore[no-untyped-def]
    """Walk from the root towards a key as far as there are nodes that agree with it.

    Returns what was found, how many rows the walk has, and the depth where the last of them stands. `walk` takes the rows;
    the last is the leaf that is found, the one whose path parts from the key, row 0 below a branch without this child, or
    the row that could not be opened.
    """
    rows, paths, children, _ = arena
    row = root
    depth = np.int64(0)
    steps = 0
    while True:
        walk[steps] = row
        steps += 1
        if row == 0:
            return ABSENT, steps, depth
        if rows[row, KIND] == CLOSED:
            opened = open_node(arena, used, source, row, depth)
            if opened != FOUND:
                return opened, steps, depth
        if steps > 1 and rows[walk[steps - 2], KIND] == EXTENSION and rows[row, KIND] != BRANCH:
            return MALFORMED, steps, depth
        if rows[row, KIND] == BRANCH:
            row = np.int64(children[rows[row, CHILD], nibble_of(key, depth)])
            depth += 1
            continue
        end = rows[row, END]
        if _parting(key, paths[row], depth, end) < end:
            return ABSENT, steps, depth
        if rows[row, KIND] == LEAF:
            return FOUND, steps, depth
        row = rows[row, CHILD]
        depth = end


@njit(nogil=True, cache=True)
def _set_below(arena, above, depth, key, row):  # type: ignore[no-untyped-def]
    """Hang `row`, which stands at `depth`, below the row `above` of a walk."""
    rows, _, children, _ = arena
    if rows[above, KIND] == BRANCH:
        children[rows[above, CHILD], nibble_of(key, depth - 1)] = row
    else:
        rows[above, CHILD] = row


@njit(nogil=True, cache=True)
def _new_row(arena, used, kind, start, end, path):  # type: ignore[no-untyped-def]
    rows, paths, _, _ = arena
    row = used[ROWS_USED]
    used[ROWS_USED] += 1
    rows[row, KIND] = kind
    rows[row, START] = start
    rows[row, END] = end
    rows[row, REFERENCE_SIZE] = 0
    for k in range(KEY_BYTES):
        paths[row, k] = path[k]
    return row


@njit(nogil=True, cache=True)
def _put(arena, used, source, root, key, value, size, walk):  # type: ignore[no-untyped-def]
    """Give a key a value; what the walk found, the new root, and of a walk that could not go on the depth where it ended and
    in `walk[0]` the row."""
    rows = arena[0]
    found, steps, depth = _descend(arena, used, source, root, key, walk)
    if found > ABSENT:
        walk[0] = walk[steps - 1]
        return found, root, depth
    last = walk[steps - 1]
    if found == ABSENT:
        top = _new_row(arena, used, LEAF, depth, KEY_NIBBLES, key)
        rows[top, VALUE] = value
        rows[top, SIZE] = size
        if last != 0:
            top = _parted(arena, used, last, top, depth, key)
        if steps == 1:
            root = top
        else:
            _set_below(arena, walk[steps - 2], depth, key, top)
    else:
        rows[last, VALUE] = value
        rows[last, SIZE] = size
    for step in range(steps):
        if walk[step] != 0:
            rows[walk[step], REFERENCE_SIZE] = 0
    return found, root, depth


@njit(nogil=True, cache=True)
def _parted(arena, used, old, leaf, depth, key):  # type: ignore[no-untyped-def]
    """What stands at `depth` over a leaf or extension and a new leaf whose paths part."""
    rows, paths, children, _ = arena
    parting = _parting(key, paths[old], depth, rows[old, END])
    branch = used[BRANCHES_USED]
    used[BRANCHES_USED] += 1
    below = old
    if rows[old, KIND] == EXTENSION and parting + 1 == rows[old, END]:
        below = rows[old, CHILD]
    for nibble in range(CHILDREN):
        children[branch, nibble] = 0
    children[branch, nibble_of(paths[old], parting)] = below
    children[branch, nibble_of(key, parting)] = leaf
    rows[old, START] = parting + 1
    rows[leaf, START] = parting + 1
    top = _new_row(arena, used, BRANCH, parting, parting, key)
    rows[top, CHILD] = branch
    if parting > depth:
        extension = _new_row(arena, used, EXTENSION, depth, parting, key)
        rows[extension, CHILD] = top
        return extension
    return top


@njit(nogil=True, cache=True)
def _take(arena, used, source, root, key, walk):  # type: ignore[no-untyped-def]
    """Take a key away; what comes back is as of `_put`.

    Where the leaf's branch is left with one child, that child is joined with what stands above, and so must be known. If it
    is not, `SIBLING` is added to what was found; `walk[0]` is the child, and `walk[1]` its nibble.
    """
    rows, _, children, _ = arena
    found, steps, depth = _descend(arena, used, source, root, key, walk)
    if found != FOUND:
        walk[0] = walk[steps - 1]
        return found, root, depth
    if steps == 1:
        return FOUND, np.int64(0), depth
    above = walk[steps - 2]
    branch = rows[above, CHILD]
    own = nibble_of(key, depth - 1)
    left = 0
    other = np.int64(0)
    for nibble in range(CHILDREN):
        if nibble != own and children[branch, nibble] != 0:
            left += 1
            other = np.int64(nibble)
    if left > 1:
        children[branch, own] = 0
        for step in range(steps - 1):
            rows[walk[step], REFERENCE_SIZE] = 0
        return FOUND, root, depth
    child = np.int64(children[branch, other])
    if rows[child, KIND] == CLOSED:
        opened = open_node(arena, used, source, child, depth)
        if opened != FOUND:
            walk[0] = child
            walk[1] = other
            return opened + SIBLING, root, depth
    return FOUND, _joined(arena, steps - 2, root, key, walk, child, other, depth - 1), depth


@njit(nogil=True, cache=True)
def _joined(arena, place, root, key, walk, child, nibble, depth):  # type: ignore[no-untyped-def]
    """Put the only child of the branch `walk[place]`, which stands at `depth`, in its place; the new root."""
    rows, paths, _, _ = arena
    top = child
    if rows[child, KIND] == BRANCH:
        top = walk[place]  # the branch's row becomes an extension by one nibble
        rows[top, KIND] = EXTENSION
        rows[top, END] = depth + 1
        rows[top, CHILD] = child
    rows[top, START] = depth
    put_nibble(paths[top], depth, nibble)
    place -= 1
    if place >= 0 and rows[walk[place], KIND] == EXTENSION:
        start = rows[walk[place], START]
        for k in range(start, depth):
            put_nibble(paths[top], k, nibble_of(paths[walk[place]], k))
        rows[top, START] = start
        depth = start
        place -= 1
    rows[top, REFERENCE_SIZE] = 0
    if place < 0:
        return top
    _set_below(arena, walk[place], depth, key, top)
    for step in range(place + 1):
        rows[walk[step], REFERENCE_SIZE] = 0
    return root


@njit(nogil=True, cache=True)
def has_room(arena, used):  # type: ignore[no-untyped-def]
    """Whether one more walk fits the table whatever it meets."""
    rows, _, children, _ = arena
    return used[ROWS_USED] + ROWS_PER_WALK <= len(rows) and used[BRANCHES_USED] + BRANCHES_PER_WALK <= len(
        children
    )


@njit(nogil=True, cache=True)
def look_up(arena, used, source, roots, tries, keys, first, values, verdicts):  # type: ignore[no-untyped-def]
    """Look keys up from `first` on. Writes place and size of each value, and verdict, row and depth of each walk's end.

    Returns the first key that is left because the table has no room, or how many there are.
    """
    rows = arena[0]
    walk = np.empty(KEY_NIBBLES + 2, np.int64)
    for item in range(first, len(tries)):
        if not has_room(arena, used):
            return item
        found, steps, depth = _descend(arena, used, source, roots[tries[item]], keys[item], walk)
        verdicts[item, 0] = found
        verdicts[item, 1] = walk[steps - 1]
        verdicts[item, 2] = depth
        if found == FOUND:
            values[item, 0] = rows[walk[steps - 1], VALUE]
            values[item, 1] = rows[walk[steps - 1], SIZE]
    return len(tries)


@njit(nogil=True, cache=True)
def change(arena, used, source, roots, tries, keys, first, values, verdicts):  # type: ignore[no-untyped-def]
    """Give keys values, or take those away whose value has no bytes; from `first` on, as `look_up`."""
    walk = np.empty(KEY_NIBBLES + 2, np.int64)
    for item in range(first, len(tries)):
        if not has_room(arena, used):
            return item
        trie = tries[item]
        if values[item, 1]:
            found, root, depth = _put(
                arena, used, source, roots[trie], keys[item], values[item, 0], values[item, 1], walk
            )
        else:
            found, root, depth = _take(arena, used, source, roots[trie], keys[item], walk)
        roots[trie] = root
        verdicts[item, 0] = found
        verdicts[item, 1] = walk[0]
        verdicts[item, 2] = depth
        if found > SIBLING:
            verdicts[item, 3] = walk[1]
    return len(tries)
