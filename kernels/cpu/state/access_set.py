# SPDX-License-Identifier: GPL-3.0-or-later
"""What one transaction reads and writes, before it counts: an access set over the versions of the state.

A worker has words (int64, see below) and executes one transaction after the other. Each key that a transaction touches
gets an entry: the cell that it saw first, and what it wrote. Nothing is visible to others until `apply`; dropping the
entries undoes the transaction. Entries and written values of many transactions can lie one behind the other, so that
they can be validated and applied later, in block order, by another worker.

When something is full the functions answer `FULL` and say in `NEEDS` what; nothing is half done then.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import (
    LINE,
    acquire32,
    copy,
    fill,
    lines_equal,
    load32,
    load64,
    prefetch_address,
    release32,
    store32,
    store64,
)
from supervm.kernels.cpu.state import key_table
from supervm.kernels.cpu.state.amounts import AMOUNT_BYTES, add_amounts
from supervm.kernels.cpu.state.key_table import FULL, RECORDS
from supervm.kernels.cpu.state.key_table import INLINE as INLINE_KEY
from supervm.kernels.cpu.state.versions import (
    BEFORE,
    COMMIT,
    DATA,
    GONE,
    HAS_MORE,
    INLINE,
    NEXT,
    SIZE,
    TAKEN_AT_ONCE,
    cell_address,
    cells_of,
    head_address,
    take_cells,
)

(
    KEYS,  # address of the key table
    VERSIONS,  # address of the versions
    COMMIT_NUMBER,  # number of the commit that is being made
    IN_PLACE,  # 1: its own versions of this commit may be written over, since nobody else reads them
    STACK,  # address of its own free cells (uint32)
    STACK_CAPACITY,  # how many fit
    STACK_COUNT,  # how many there are
    DIRTY,  # address of the keys that it was the first to write in this commit (int64, see `note_written`)
    DIRTY_CAPACITY,  # how many fit
    DIRTY_COUNT,  # how many there are
    AGAIN,  # address of the keys that it wrote once more into new cells, with repeats (int64)
    AGAIN_CAPACITY,  # how many fit
    AGAIN_COUNT,  # how many there are
    REPLACED,  # how many versions of earlier commits it replaced
    ENTRIES,  # address of its entries, `ENTRY_BYTES` each
    ENTRY_CAPACITY,  # how many fit
    ENTRY_FIRST,  # the first one of the transaction at work
    ENTRY_COUNT,  # how many that transaction has
    VALUES,  # address of the values that are written
    VALUES_CAPACITY,  # bytes that fit
    VALUES_USED,  # bytes that are taken
    INDEX,  # address of the index of entries by key, used beyond `SCANNED` (see `INDEX_BITS`)
    INDEX_STAMP,  # number of the transaction at work, of which the index holds the low 32 bits
    HELD,  # address of a written value that the guest holds, 0 if it holds none
    HINTS,  # address of the numbers of keys that the transaction said it would touch (int64)
    HINT_COUNT,  # how many there are
    NEEDS,  # what is full (`NEEDS_KEYS` …), 0 if nothing
    NEEDED,  # how much of it is asked for
) = range(28)
"""Words of a worker, int64."""

ACCESS_WORDS = NEEDED + 1

ENTRY_BYTES = 32
KEY, SEEN, LENGTH, FLAGS, VALUE, ROOM = 0, 4, 8, 12, 16, 24
"""Places in an entry: key number, the cell seen at the first access, the length now (all 32 bits), flags (32), address
of the written value (64), bytes there (64)."""

READ, WRITTEN, ADDED = 1, 2, 4
"""Flags of an entry: the transaction depends on the value it saw; it wrote another, or deleted it; what it wrote is added
to whatever is the newest value when it is applied (`add_when_applied`)."""

MOST_ENTRIES = 16_384
"""Different keys of one transaction."""

POPS_AHEAD = 8
"""How many cells ahead memory is asked for."""

SCANNED = 16
"""Entries that are searched one by one."""

HINTS_SEARCHED = 8
"""Announced keys that a lookup compares with."""

INDEX_BITS = 15
"""The index has 2^15 slots: a stamp of the transaction (32 bits), the place of an entry + 1."""

(
    NEEDS_KEYS,  # the key table: bytes of a key
    NEEDS_CELLS,  # cells
    NEEDS_DIRTY,  # `DIRTY`: keys
    NEEDS_ENTRIES,  # `ENTRIES`: entries of this transaction
    NEEDS_VALUES,  # `VALUES`: bytes
    NEEDS_EVENTS,  # `vm.context.EVENTS`: bytes
    NEEDS_AGAIN,  # `AGAIN`: keys
) = range(1, 8)
"""What can be full, and what `NEEDED` counts then."""

TOO_MANY = -3
"""A transaction touches more than `MOST_ENTRIES` keys."""

_MIX = 0x9E3779B1


@njit(cache=True, inline="always")
def get(worker: Any, index: Any) -> Any:
    """A word of a worker."""
    return load64(worker + 8 * index)


@njit(cache=True, inline="always")
def put(worker: Any, index: Any, value: Any) -> None:
    """Set a word of a worker."""
    store64(worker + 8 * index, value)


@njit(cache=True)
def lacking(worker: Any, what: Any, amount: Any) -> Any:
    """Say what is full; `FULL`."""
    put(worker, NEEDS, what)
    put(worker, NEEDED, amount)
    return FULL


@njit(cache=True)
def begin(worker: Any) -> None:
    """A transaction begins, behind the entries that are there."""
    put(worker, ENTRY_FIRST, get(worker, ENTRY_FIRST) + get(worker, ENTRY_COUNT))
    put(worker, ENTRY_COUNT, 0)
    put(worker, INDEX_STAMP, get(worker, INDEX_STAMP) + 1)
    put(worker, HELD, 0)


@njit(cache=True)
def forget_all(worker: Any) -> None:
    """No entries and no written values any more."""
    put(worker, ENTRY_FIRST, 0)
    put(worker, ENTRY_COUNT, 0)
    put(worker, VALUES_USED, 0)


@njit(cache=True)
def entry_address(worker: Any, place: Any) -> Any:
    """Where an entry of the transaction at work lies; they count from 0."""
    return get(worker, ENTRIES) + ENTRY_BYTES * (get(worker, ENTRY_FIRST) + place)


@njit(cache=True)
def drop_from(worker: Any, count: Any) -> None:
    """Undo every write but those to the first `count` entries; what was read stays known."""
    for place in range(count, get(worker, ENTRY_COUNT)):
        entry = entry_address(worker, place)
        if load32(entry + FLAGS) & WRITTEN:
            cell = load32(entry + SEEN)
            size = GONE if cell == 0 else load32(cell_address(get(worker, VERSIONS), cell) + SIZE)
            store32(entry + LENGTH, size)
            store32(entry + FLAGS, load32(entry + FLAGS) & READ)


@njit(cache=True)
def _indexed(worker: Any, number: Any, count: Any) -> Any:
    """The entry of a key through the index, or minus the slot where it would go, less one."""
    index, stamp = get(worker, INDEX), get(worker, INDEX_STAMP) & 0xFFFFFFFF
    slot = ((number * _MIX) >> 16) & ((1 << INDEX_BITS) - 1)
    while True:
        held = load64(index + 8 * slot)
        place = (held & 0xFFFFFFFF) - 1
        if (held >> 32) & 0xFFFFFFFF != stamp or place < 0:
            return -1 - slot
        # Stamps come again after 2^32 transactions; what was entered then may lie behind the entries of now.
        if place < count and load32(entry_address(worker, place) + KEY) == number:
            return place
        slot = (slot + 1) & ((1 << INDEX_BITS) - 1)


@njit(cache=True)
def _enter(worker: Any, slot: Any, place: Any) -> None:
    store64(get(worker, INDEX) + 8 * slot, (get(worker, INDEX_STAMP) << 32) | (place + 1))


@njit(cache=True)
def _find(worker: Any, number: Any, count: Any) -> Any:
    if count <= SCANNED:
        entry = entry_address(worker, 0)
        for place in range(count):
            if load32(entry + KEY) == number:
                return place
            entry += ENTRY_BYTES
        return -1
    return _indexed(worker, number, count)


@njit(cache=True)
def _new_entry(worker: Any, number: Any, count: Any) -> Any:
    """The address of the entry behind the `count` that there are, for a key that has none; there is room."""
    versions = get(worker, VERSIONS)
    cell = acquire32(head_address(versions, number))
    entry = entry_address(worker, count)
    store32(entry + KEY, number)
    store32(entry + SEEN, cell)
    store32(entry + LENGTH, GONE if cell == 0 else load32(cell_address(versions, cell) + SIZE))
    store32(entry + FLAGS, 0)
    # What the writer of a value of no bytes gets, after a removal: there is no room for it.
    store64(entry + VALUE, 0)
    store64(entry + ROOM, 0)
    put(worker, ENTRY_COUNT, count + 1)
    return entry


@njit(cache=True)
def append(worker: Any, number: Any) -> Any:
    """The address of a new entry of a key; `FULL`.

    For callers who know that the transaction has none for it, and who find their entries themselves: a transaction that
    appends does not `touch`. There is no limit but room, and no two entries of one key may be written differently.
    """
    count = get(worker, ENTRY_COUNT)
    if get(worker, ENTRY_FIRST) + count >= get(worker, ENTRY_CAPACITY):
        return lacking(worker, NEEDS_ENTRIES, count + 1)
    return _new_entry(worker, number, count)


@njit(cache=True)
def depend(entry: Any) -> None:
    """The transaction depends on the value of an entry."""
    store32(entry + FLAGS, load32(entry + FLAGS) | READ)


@njit(cache=True)
def touch(worker: Any, number: Any) -> Any:
    """The address of the entry of a key, a new one if need be; `FULL` or `TOO_MANY`."""
    count = get(worker, ENTRY_COUNT)
    place = _find(worker, number, count)
    if place >= 0:
        return entry_address(worker, place)
    if count >= MOST_ENTRIES:
        return TOO_MANY
    if get(worker, ENTRY_FIRST) + count >= get(worker, ENTRY_CAPACITY):
        return lacking(worker, NEEDS_ENTRIES, count + 1)
    entry = _new_entry(worker, number, count)
    if count > SCANNED:
        _enter(worker, -1 - place, count)
    elif count == SCANNED:
        for earlier in range(count + 1):
            _enter(
                worker, -1 - _indexed(worker, load32(entry_address(worker, earlier) + KEY), count), earlier
            )
    return entry


@njit(cache=True)
def read(worker: Any, number: Any) -> Any:
    """`touch`, and the transaction depends on the value."""
    entry = touch(worker, number)
    if entry > 0:
        depend(entry)
    return entry


@njit(cache=True)
def present(entry: Any) -> bool:
    """Whether the key of an entry has a value."""
    return load32(entry + LENGTH) != GONE


@njit(cache=True)
def room_for(worker: Any, entry: Any, size: Any) -> Any:
    """The address where the new value of an entry, of `size` bytes, is to be written; or `FULL`.

    A value that a guest holds for reading is not written over.
    """
    flags, at = load32(entry + FLAGS), load64(entry + VALUE)
    if load64(entry + ROOM) < size or flags & WRITTEN == 0 or at == get(worker, HELD):
        used = get(worker, VALUES_USED)
        room = (size + 63) & ~63
        if used + room > get(worker, VALUES_CAPACITY):
            return lacking(worker, NEEDS_VALUES, room)
        at = get(worker, VALUES) + used
        put(worker, VALUES_USED, used + room)
        store64(entry + VALUE, at)
        store64(entry + ROOM, room)
    store32(entry + FLAGS, flags | WRITTEN)
    store32(entry + LENGTH, size)
    return at


@njit(cache=True)
def add_when_applied(entry: Any) -> None:
    """Of the written value of an entry, which fits a cell, the last 32 bytes are an amount that is added, modulo 2^256, to
    the amount at the same place of the newest value when the transaction is applied; the bytes before it stay those of
    the newest value. An absent value is zeros. So transactions that only add need not depend on what they add to."""
    store32(entry + FLAGS, load32(entry + FLAGS) | ADDED)


@njit(cache=True)
def delete(entry: Any) -> None:
    """The key of an entry has no value from now on."""
    store32(entry + FLAGS, load32(entry + FLAGS) | WRITTEN)
    store32(entry + LENGTH, GONE)


@njit(cache=True)
def valid(worker: Any, first: Any, count: Any) -> bool:
    """Whether what the transaction with these entries of this worker read is still the newest."""
    versions = get(worker, VERSIONS)
    entry = get(worker, ENTRIES) + ENTRY_BYTES * first
    for _ in range(count):
        if load32(entry + FLAGS) & READ and load32(head_address(versions, load32(entry + KEY))) != load32(
            entry + SEEN
        ):
            return False
        entry += ENTRY_BYTES
    return True


@njit(cache=True)
def _ready(worker: Any, entry: Any, count: Any) -> bool:
    """Whether there is room to apply all of these entries; cells are taken from the shared ones."""
    if count + get(worker, DIRTY_COUNT) > get(worker, DIRTY_CAPACITY):
        lacking(worker, NEEDS_DIRTY, count)
        return False
    if count + get(worker, AGAIN_COUNT) > get(worker, AGAIN_CAPACITY):
        lacking(worker, NEEDS_AGAIN, count)
        return False
    wanted = 0
    for _ in range(count):
        if load32(entry + FLAGS) & WRITTEN:
            wanted += cells_of(load32(entry + LENGTH))
        entry += ENTRY_BYTES
    held = get(worker, STACK_COUNT)
    if held >= wanted:
        return True
    if wanted + TAKEN_AT_ONCE <= get(worker, STACK_CAPACITY):
        held = take_cells(get(worker, VERSIONS), get(worker, STACK), held, wanted + TAKEN_AT_ONCE)
        put(worker, STACK_COUNT, held)
    if held < wanted:
        lacking(worker, NEEDS_CELLS, wanted)
    return held >= wanted


@njit(cache=True)
def pop_cell(worker: Any) -> Any:
    """A cell of the worker's own; there is one. A later one is asked for, since it will be written to."""
    count = get(worker, STACK_COUNT) - 1
    put(worker, STACK_COUNT, count)
    place = get(worker, STACK) + 4 * count
    if count >= POPS_AHEAD:
        prefetch_address(cell_address(get(worker, VERSIONS), load32(place - 4 * POPS_AHEAD)))
    return load32(place)


@njit(cache=True)
def note_written(worker: Any, number: Any, head: Any) -> None:
    """Note that the commit writes a key for the first time, over the version in cell `head`, or none if that is 0."""
    old = cell_address(get(worker, VERSIONS), head)
    more = head != 0 and (load32(old + NEXT) != 0 or load32(old + BEFORE) != 0)
    dirty = get(worker, DIRTY_COUNT)
    store64(get(worker, DIRTY) + 8 * dirty, number | (head << 32) | (HAS_MORE if more else 0))
    put(worker, DIRTY_COUNT, dirty + 1)
    put(worker, REPLACED, get(worker, REPLACED) + (1 if head else 0))


@njit(cache=True)
def _add_to_newest(versions: Any, head: Any, value: Any, size: Any) -> None:
    """Make a value what `add_when_applied` says, over the newest version in cell `head`."""
    before = size - AMOUNT_BYTES
    old = cell_address(versions, head)
    if head == 0 or load32(old + SIZE) == GONE:
        fill(value, 0, before)
        return
    copy(value, old + DATA, before)
    add_amounts(value + before, value + before, old + DATA + before)


@njit(cache=True)
def _write(worker: Any, entry: Any) -> None:
    """A new newest version, or the commit's own written over."""
    versions, commit = get(worker, VERSIONS), get(worker, COMMIT_NUMBER)
    number, size, value = load32(entry + KEY), load32(entry + LENGTH), load64(entry + VALUE)
    place = head_address(versions, number)
    head = load32(place)
    if load32(entry + FLAGS) & ADDED:
        _add_to_newest(versions, head, value, size)
    old = cell_address(versions, head)
    first = head == 0 or load32(old + COMMIT) != commit
    if size == GONE and (head == 0 or load32(old + SIZE) == GONE):
        return
    if not first and get(worker, IN_PLACE) and load32(old + NEXT) == 0 and (size <= INLINE or size == GONE):
        store32(old + SIZE, size)
        if size != GONE:
            copy(old + DATA, value, size)
        return
    cell = pop_cell(worker)
    at = cell_address(versions, cell)
    store32(at + COMMIT, commit)
    store32(at + BEFORE, head)
    store32(at + SIZE, size)
    left = 0 if size == GONE else size
    while True:
        part = min(left, INLINE)
        copy(at + DATA, value, part)
        value += part
        left -= part
        if left == 0:
            break
        following = pop_cell(worker)
        store32(at + NEXT, following)
        at = cell_address(versions, following)
    store32(at + NEXT, 0)
    if first:
        note_written(worker, number, head)
    else:
        again = get(worker, AGAIN_COUNT)
        store64(get(worker, AGAIN) + 8 * again, number)
        put(worker, AGAIN_COUNT, again + 1)
    release32(place, cell)


@njit(cache=True)
def apply(worker: Any, owner: Any, first: Any, count: Any) -> bool:
    """Make what a transaction wrote the newest versions; False, and nothing done, where there is no room.

    Args:
        worker: who applies: its cells are taken, its list of written keys grows.
        owner: the worker whose entries these are.
    """
    entry = get(owner, ENTRIES) + ENTRY_BYTES * first
    if not _ready(worker, entry, count):
        return False
    for _ in range(count):
        if load32(entry + FLAGS) & WRITTEN:
            _write(worker, entry)
        entry += ENTRY_BYTES
    return True


@njit(cache=True)
def find_key(worker: Any, record: Any, data: Any, size: Any) -> Any:
    """The number of a key of `size` bytes at `data`, a new one if need be; `FULL`. `record` is scratch of a line.

    A key that the transaction announced is found among those, whose records are in the cache.
    """
    key_table.write_record(record, data, size)
    if size <= INLINE_KEY:
        records, hints = key_table.word(get(worker, KEYS), RECORDS), get(worker, HINTS)
        for place in range(min(get(worker, HINT_COUNT), HINTS_SEARCHED)):
            hint = load64(hints + 8 * place)
            if lines_equal(records + LINE * hint, record):
                return hint
    number = key_table.intern(get(worker, KEYS), record, data)
    return lacking(worker, NEEDS_KEYS, size) if number == FULL else number
