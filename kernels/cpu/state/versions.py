# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of values by key number: chains of cells, newest first, in one flat array of cache lines.

A cell holds the commit that wrote it, the cell that it replaced, the value's length, and `INLINE` bytes of the value; a
longer value goes on in further cells. Cell 0 does not exist. A key's head is its newest cell. What a commit that is
being made writes has a number above the watermark, so that readers walk past it; a cell below the watermark does not
change until it is collected.

Freed cells are used again, so a reader that walks a chain while cells are freed could end up in another one: `EPOCH` is
odd while that happens and changes with it, and readers begin again (`read_at`).

Compiled functions get the address of the words below (int64).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from supervm.kernels.cpu.lanes.addresses import (
    LINE,
    acquire32,
    acquire64,
    acquire_fence,
    copy,
    exchange_if,
    load32,
    load64,
    pause,
    prefetch_address,
    release32,
    release64,
    release_fence,
    store32,
    store64,
)

(HEADS, CELLS, CELL_CAPACITY, CELL_COUNT, FREE, FREE_COUNT, LOCK, EPOCH) = range(8)
"""Words: addresses of the heads (uint32 by key number) and of the cells; how many cells fit and were ever taken; the
stack of freed cells (uint32) and its height; the lock of both; the epoch."""

VERSION_WORDS = EPOCH + 1

COMMIT, BEFORE, SIZE, NEXT, DATA = 0, 4, 8, 12, 16
"""Places in a cell: commit number, replaced cell, length (all 32 bits), the cell where the value goes on, the value."""

INLINE = LINE - DATA
"""Bytes of a value in one cell."""

GONE = 0xFFFFFFFF
"""The length of a deleted value."""

HAS_MORE = -(1 << 63)
"""Of a written key, which is noted as its number with the replaced cell 32 bits above it: that cell is not all that there
is to free, since its value or its history goes on in others."""

TAKEN_AT_ONCE = 256
"""Cells that a worker takes from the shared stack for itself."""


AHEAD = 8
"""How many keys ahead memory is asked for."""

NUMBER, MOST_CELLS = 0xFFFFFFFF, 0x7FFFFFFF
"""The parts of a written key: its number, and the cell that was replaced."""


@njit(cache=True, inline="always")
def word(versions: Any, index: Any) -> Any:
    """A word of the store."""
    return load64(versions + 8 * index)


@njit(cache=True, inline="always")
def cell_address(versions: Any, cell: Any) -> Any:
    """Where a cell lies."""
    return word(versions, CELLS) + LINE * cell


@njit(cache=True, inline="always")
def head_address(versions: Any, number: Any) -> Any:
    """Where the head of a key lies."""
    return word(versions, HEADS) + 4 * number


@njit(cache=True)
def cells_of(size: Any) -> Any:
    """How many cells a value takes; a deleted one takes a cell too."""
    return 1 if size == GONE or size <= INLINE else (size + INLINE - 1) // INLINE


@njit(cache=True)
def copy_value(versions: Any, cell: Any, target: Any, size: Any) -> None:
    """Copy the first `size` bytes of a value, which has as many."""
    while size > 0:
        at = cell_address(versions, cell)
        part = min(size, INLINE)
        copy(target, at + DATA, part)
        target += part
        size -= part
        cell = load32(at + NEXT)


@njit(cache=True)
def lock(versions: Any) -> None:
    """Wait for the stack of freed cells."""
    while not exchange_if(versions + 8 * LOCK, 0, 1):
        pause()


@njit(cache=True)
def unlock(versions: Any) -> None:
    """Let others have the stack of freed cells."""
    release64(versions + 8 * LOCK, 0)


@njit(cache=True)
def take_cells(versions: Any, stack: Any, held: Any, wanted: Any) -> Any:
    """Fill a worker's own stack (uint32) up to `wanted` cells; how many it then holds, fewer if none are left."""
    lock(versions)
    free, freed = word(versions, FREE), word(versions, FREE_COUNT)
    while held < wanted and freed > 0:
        freed -= 1
        store32(stack + 4 * held, load32(free + 4 * freed))
        held += 1
    store64(versions + 8 * FREE_COUNT, freed)
    used = word(versions, CELL_COUNT)
    while held < wanted and used < word(versions, CELL_CAPACITY):
        store32(stack + 4 * held, used)
        used += 1
        held += 1
    store64(versions + 8 * CELL_COUNT, used)
    unlock(versions)
    return held


@njit(cache=True)
def free_chain(versions: Any, cell: Any) -> None:
    """Free a cell and those that its value goes on in; the lock is held."""
    free, freed = word(versions, FREE), word(versions, FREE_COUNT)
    while cell != 0:
        following = load32(cell_address(versions, cell) + NEXT)
        store32(free + 4 * freed, cell)
        freed += 1
        cell = following
    store64(versions + 8 * FREE_COUNT, freed)


@njit(cache=True)
def cell_at(versions: Any, number: Any, watermark: Any) -> Any:
    """The newest cell of a key that is no newer than the watermark, or 0."""
    cell = acquire32(head_address(versions, number))
    while cell != 0 and load32(cell_address(versions, cell) + COMMIT) > watermark:
        cell = load32(cell_address(versions, cell) + BEFORE)
    return cell


@njit(nogil=True, cache=True)
def read_at(versions: Any, number: Any, watermark: Any, out: Any) -> Any:
    """The length of a key's value at a watermark, −1 if there is none; the value goes to `out` if it fits."""
    while True:
        epoch = acquire64(versions + 8 * EPOCH)
        if epoch & 1:
            pause()
            continue
        cell = cell_at(versions, number, watermark)
        size = GONE
        if cell != 0:
            size = load32(cell_address(versions, cell) + SIZE)
            if size <= out.size:
                copy_value(versions, cell, out.ctypes.data, size)
        acquire_fence()  # an acquire orders what follows it, and this is about what came before
        if acquire64(versions + 8 * EPOCH) == epoch:
            return -1 if size == GONE else size


@njit(nogil=True, cache=True)
def sizes_at(versions: Any, numbers: Any, watermark: Any, sizes: Any) -> None:
    """The length of each key's value at a watermark, −1 if there is none; nothing is freed meanwhile."""
    for item in range(numbers.size):
        cell = cell_at(versions, numbers[item], watermark)
        size = GONE if cell == 0 else load32(cell_address(versions, cell) + SIZE)
        sizes[item] = -1 if size == GONE else size


@njit(nogil=True, cache=True)
def values_at(versions: Any, numbers: Any, watermark: Any, offsets: Any, data: Any) -> None:
    """Copy each key's value to data[offsets[i]:offsets[i + 1]]; lengths as `sizes_at` gave them."""
    base = data.ctypes.data
    for item in range(numbers.size):
        size = offsets[item + 1] - offsets[item]
        if size > 0:
            copy_value(versions, cell_at(versions, numbers[item], watermark), base + offsets[item], size)


@njit(cache=True)
def begin_freeing(versions: Any) -> None:
    """From here to `end_freeing` readers wait."""
    lock(versions)
    release64(versions + 8 * EPOCH, word(versions, EPOCH) + 1)
    release_fence()  # no cell changes before the epoch is odd


@njit(cache=True)
def end_freeing(versions: Any) -> None:
    """Cells have been freed; readers begin again."""
    release64(versions + 8 * EPOCH, word(versions, EPOCH) + 1)
    unlock(versions)


@njit(nogil=True, cache=True)
def seal(versions: Any, numbers: Any, commit: Any) -> None:
    """Free the cells that a commit replaced by cells of its own.

    Args:
        numbers: int64, keys that it wrote more than once, repeats allowed.
    """
    if numbers.size == 0:
        return
    begin_freeing(versions)
    for number in numbers:
        at = cell_address(versions, load32(head_address(versions, number)))
        older = load32(at + BEFORE)
        while older != 0 and load32(cell_address(versions, older) + COMMIT) == commit:
            following = load32(cell_address(versions, older) + BEFORE)
            free_chain(versions, older)
            older = following
        store32(at + BEFORE, older)
    end_freeing(versions)


@njit(nogil=True, cache=True)
def undo(versions: Any, numbers: Any, commit: Any) -> None:
    """Free every version of these keys that is of this commit or a later one."""
    begin_freeing(versions)
    for item in range(numbers.size):
        place = head_address(versions, numbers[item])
        cell = load32(place)
        while cell != 0 and load32(cell_address(versions, cell) + COMMIT) >= commit:
            older = load32(cell_address(versions, cell) + BEFORE)
            free_chain(versions, cell)
            cell = older
        store32(place, cell)
    end_freeing(versions)


@njit(nogil=True, cache=True)
def collect(versions: Any, numbers: Any, oldest: Any, pinned: Any, keep: Any) -> Any:
    """Free old versions of these keys; how many.

    The newest version of a key stays, and every one that a pinned watermark sees. Of the others those stay that were
    replaced after `oldest`, and of a key no more than `keep` versions in all.

    Args:
        numbers: int64, keys, each once.
        oldest: a commit.
        pinned: int64, watermarks of readers and snapshots.
        keep: see above.
    """
    freed = 0
    begin_freeing(versions)
    for number in numbers:
        newer = load32(head_address(versions, number))
        count = 1
        while newer != 0:
            at = cell_address(versions, newer)
            cell = load32(at + BEFORE)
            if cell == 0:
                break
            mine, above = load32(cell_address(versions, cell) + COMMIT), load32(at + COMMIT)
            stays = above > oldest and count < keep
            for mark in pinned:
                stays = stays or mine <= mark < above
            if stays:
                newer = cell
                count += 1
            else:
                store32(at + BEFORE, load32(cell_address(versions, cell) + BEFORE))
                free_chain(versions, cell)
                freed += 1
    end_freeing(versions)
    return freed


@njit(nogil=True, cache=True)
def collect_replaced(versions: Any, written: Any, commit: Any, pinned: Any) -> Any:
    """Free the versions that a published commit replaced, unless somebody reads them; how many.

    Args:
        written: int64, the keys that the commit wrote, each once, as `HAS_MORE` says.
        pinned: int64, watermarks of readers and snapshots.
    """
    freed = 0
    begin_freeing(versions)
    free, count = word(versions, FREE), word(versions, FREE_COUNT)
    for item in range(written.size):
        if item + 2 * AHEAD < written.size:
            prefetch_address(head_address(versions, written[item + 2 * AHEAD] & NUMBER))
        if item + AHEAD < written.size:
            prefetch_address(
                cell_address(versions, load32(head_address(versions, written[item + AHEAD] & NUMBER)))
            )
        old = (written[item] >> 32) & MOST_CELLS
        if old == 0:
            continue
        at = cell_address(versions, load32(head_address(versions, written[item] & NUMBER)))
        if pinned.size == 0 and written[item] >= 0:
            store32(at + BEFORE, 0)
            store32(free + 4 * count, old)
            count += 1
            freed += 1
            continue
        store64(versions + 8 * FREE_COUNT, count)
        freed += _collect_chain(versions, at, commit, pinned)
        count = word(versions, FREE_COUNT)
    store64(versions + 8 * FREE_COUNT, count)
    end_freeing(versions)
    return freed


@njit(cache=True)
def _collect_chain(versions: Any, at: Any, above: Any, pinned: Any) -> Any:
    """Free all that nobody reads behind the cell at `at`, which is of the commit `above`; how many versions."""
    freed = 0
    while True:
        cell = load32(at + BEFORE)
        if cell == 0:
            return freed
        mine = load32(cell_address(versions, cell) + COMMIT)
        stays = False
        for mark in pinned:
            stays = stays or mine <= mark < above
        if stays:
            at, above = cell_address(versions, cell), mine
        else:
            store32(at + BEFORE, load32(cell_address(versions, cell) + BEFORE))
            free_chain(versions, cell)
            freed += 1


@njit(nogil=True, cache=True)
def newest_values(versions: Any, written: Any, offsets: Any, present: Any, data: Any) -> Any:
    """Whether each key's newest version is a value, where it goes if all lie one behind the other, and its bytes.

    Args:
        written: int64, keys in their lower 32 bits.
        offsets: int64, one more than there are keys, written.
        present: bool, written.
        data: uint8, written.

    Returns:
        How many bytes there are; where `data` has not as many, what it holds means nothing.
    """
    total = 0
    offsets[0] = 0
    base = data.ctypes.data
    for item in range(written.size):
        if item + 2 * AHEAD < written.size:
            prefetch_address(head_address(versions, written[item + 2 * AHEAD] & NUMBER))
        if item + AHEAD < written.size:
            prefetch_address(
                cell_address(versions, load32(head_address(versions, written[item + AHEAD] & NUMBER)))
            )
        cell = load32(head_address(versions, written[item] & NUMBER))
        size = GONE if cell == 0 else load32(cell_address(versions, cell) + SIZE)
        present[item] = size != GONE
        if size != GONE:
            if total + INLINE <= data.size and size <= INLINE:
                # All of the cell: a copy of constant length, of which the next value covers the rest.
                copy(base + total, cell_address(versions, cell) + DATA, INLINE)
            elif total + size <= data.size:
                copy_value(versions, cell, base + total, size)
            total += size
        offsets[item + 1] = total
    return total


@njit(nogil=True, cache=True)
def cells_wanted(present: Any, offsets: Any) -> Any:
    """How many cells these values take."""
    total = 0
    for item in range(present.size):
        total += cells_of(offsets[item + 1] - offsets[item] if present[item] else GONE)
    return total


@njit(nogil=True, cache=True)
def put_values(
    versions: Any,
    numbers: Any,
    commit: Any,
    present: Any,
    data: Any,
    offsets: Any,
    stack: Any,
    written: Any,
) -> Any:
    """Make data[offsets[i]:offsets[i + 1]] the newest value of key numbers[i], or delete it; each key once.

    Args:
        present: bool; False deletes.
        stack: uint32, cells for all of it (`cells_wanted`), taken by `take_cells`.
        written: int64 (n,).

    Returns:
        How many older versions were replaced; `written` then holds the keys as `HAS_MORE` says.
    """
    base = data.ctypes.data
    taken = replaced = 0
    for item in range(numbers.size):
        place = head_address(versions, numbers[item])
        head = load32(place)
        size = offsets[item + 1] - offsets[item] if present[item] else GONE
        cell = stack[taken]
        taken += 1
        at = cell_address(versions, cell)
        store32(at + COMMIT, commit)
        store32(at + BEFORE, head)
        store32(at + SIZE, size)
        value, left = base + offsets[item], 0 if size == GONE else size
        while True:
            part = min(left, INLINE)
            copy(at + DATA, value, part)
            value += part
            left -= part
            if left == 0:
                break
            store32(at + NEXT, stack[taken])
            at = cell_address(versions, stack[taken])
            taken += 1
        store32(at + NEXT, 0)
        old = cell_address(versions, head)
        more = head != 0 and (load32(old + NEXT) != 0 or load32(old + BEFORE) != 0)
        written[item] = numbers[item] | (head << 32) | (HAS_MORE if more else 0)
        replaced += 1 if head else 0
        release32(place, cell)
    return replaced


@njit(nogil=True, cache=True)
def with_history(versions: Any, numbers: Any) -> Any:
    """Those of these keys (int64) that have older versions than the newest."""
    found = np.empty(numbers.size, np.int64)
    many = 0
    for number in numbers:
        head = load32(head_address(versions, number))
        if head and load32(cell_address(versions, head) + BEFORE):
            found[many] = number
            many += 1
    return found[:many].copy()


@njit(nogil=True, cache=True)
def changed_since(versions: Any, count: Any, commit: Any) -> Any:
    """The keys below `count` whose newest version is of a later commit, int64."""
    found = np.empty(count, np.int64)
    many = 0
    for number in range(count):
        head = load32(head_address(versions, number))
        if head and load32(cell_address(versions, head) + COMMIT) > commit:
            found[many] = number
            many += 1
    return found[:many].copy()
