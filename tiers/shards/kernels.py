# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes over the keys of a block, in compiled code: who has them, which shards need a transaction, what they lack.

They call no compiled code of other rooms, so Numba's own cache notices whatever changes.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def owners_of(data, offsets, bounds, shards, owners):  # type: ignore[no-untyped-def]
    """The shard of each key: that of the last range that does not begin behind it.

    Args:
        data, offsets: uint8 and int64 (n + 1,), the keys.
        bounds: uint8 (r, w), first keys of the ranges, ascending, zeros behind them; the first is all zeros.
        shards: uint8 (r,), of each range.
        owners: uint8 (n,), written.
    """
    width = bounds.shape[1]
    for item in range(owners.size):
        first, size = offsets[item], offsets[item + 1] - offsets[item]
        low, high = 0, bounds.shape[0]  # the range is from `low` on, and below `high`
        while high - low > 1:
            middle = (low + high) // 2
            behind = True
            for place in range(width):
                mine = data[first + place] if place < size else np.uint8(0)
                if mine != bounds[middle, place]:
                    behind = mine > bounds[middle, place]
                    break
            if behind:
                low = middle
            else:
                high = middle
        owners[item] = shards[low]


@njit(nogil=True, cache=True)
def list_accesses(senders, targets, moves, objects, reads, writes, offsets, keys, writing):  # type: ignore[no-untyped-def]
    """The keys that each transaction may touch, as one list: sender, target if it moves something, objects, reads, writes.

    Args:
        senders, targets: int64 (n,), numbers of accounts.
        moves: bool (n,), whether the target's account is touched.
        objects, reads, writes: (offsets int64 (n + 1,), numbers int64) each.
        offsets: int64 (n + 1,), written.
        keys, writing: int64 and bool, written; large enough for two accounts a transaction and all lists.
    """
    at = 0
    offsets[0] = 0
    for item in range(senders.size):
        keys[at], writing[at] = senders[item], True
        at += 1
        if moves[item]:
            keys[at], writing[at] = targets[item], True
            at += 1
        for place in range(objects[0][item], objects[0][item + 1]):
            keys[at], writing[at] = objects[1][place], True
            at += 1
        for place in range(reads[0][item], reads[0][item + 1]):
            keys[at], writing[at] = reads[1][place], False
            at += 1
        for place in range(writes[0][item], writes[0][item + 1]):
            keys[at], writing[at] = writes[1][place], True
            at += 1
        offsets[item + 1] = at


@njit(nogil=True, cache=True)
def close_over(offsets, keys, writing, owners, needed, masks, touched):  # type: ignore[no-untyped-def]
    """Which shards execute each transaction: those whose keys it may write, and those that execute a later one which
    touches a key that this one may write.

    Args:
        offsets, keys, writing: as `list_accesses` writes them.
        owners: uint8 by key number.
        needed: uint64 by key number, all zeros; so it is left.
        masks: uint64 (n,), written: bits of the shards that execute.
        touched: uint64 (n,), written: bits of the shards whose keys it touches.
    """
    one = np.uint64(1)
    for item in range(masks.size - 1, -1, -1):
        mask = has = np.uint64(0)
        for place in range(offsets[item], offsets[item + 1]):
            bit = one << np.uint64(owners[keys[place]])
            has |= bit
            if writing[place]:
                mask |= bit | needed[keys[place]]
        for place in range(offsets[item], offsets[item + 1]):
            needed[keys[place]] |= mask
        masks[item], touched[item] = mask, has
    for place in range(offsets[masks.size]):
        needed[keys[place]] = 0


@njit(nogil=True, cache=True)
def foreign_keys(shard, offsets, keys, owners, masks, seen, stamp, found):  # type: ignore[no-untyped-def]
    """The keys of other shards that the transactions of one touch, each once; how many.

    Args:
        shard: its number.
        offsets, keys, owners, masks: as `close_over` has them.
        seen: int64 by key number, none of them `stamp`, which marks those that were found.
        found: int64, written.
    """
    count = 0
    bit = np.uint64(1) << np.uint64(shard)
    for item in range(masks.size):
        if not masks[item] & bit:
            continue
        for place in range(offsets[item], offsets[item + 1]):
            key = keys[place]
            if owners[key] != shard and seen[key] != stamp:
                seen[key] = stamp
                found[count] = key
                count += 1
    return count
