# SPDX-License-Identifier: GPL-3.0-or-later
"""Who wrote a key last, who writes it next, and how often it is touched: one pass over each partition.

A transaction is named by 1 + its position in the block, so that 0 means none.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from supervm.kernels.accesses import HOT_KEYS
from supervm.kernels.cpu.conflicts.partition import ROW_WORDS, unmix
from supervm.kernels.cpu.conflicts.table import (
    BUCKET,
    clear,
    first_match,
    fitting,
    grown,
    rows_differ,
    table_shift,
)
from supervm.kernels.cpu.lanes.cache_lines import swapped

LAST_HOT = np.uint64(HOT_KEYS - 1)
ONE, HALF, SLOTS = np.uint64(1), np.uint64(32), np.uint64(BUCKET)
LOW = np.uint64(0xFFFFFFFF)

# Places in the array that says how far a partition has come.
AT, WRITER, LINK, DISTINCT, VERSIONS, HOT = range(6)


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _link_segment(
    slots, state, samples, versions, used, progress, end, threshold, hot_slots,
    records, links, writers, closers, rows,
):  # fmt: skip
    """Link records up to `end`; returns whether it came there. If not, the table must grow first.

    For `versioned`, where `versions` and `closers` are None, each read becomes, in `links`, the last earlier
    writer of its key. For `locking`, each record becomes that in its low half and, for a read, a version
    above: readers since the same write share one, numbered from 1, and `closers` takes the writer that ends
    it. A transaction that writes a key twice, or reads and writes it, is linked to itself as well; waves and
    edges pass over that.

    The table is searched here and not in a function of its own: Numba counts references to arrays at calls,
    which costs more than the search. No branch depends on whether a record reads or writes and none on
    whether its key is new; half of them would be mispredicted.
    """
    at, writer, link = progress[AT], np.uint64(progress[WRITER]), np.uint64(progress[LINK])
    distinct, hot, numbered = progress[DISTINCT], progress[HOT], np.uint64(progress[VERSIONS])
    spare, last, shift = np.uint64(slots.size - 1), np.uint64(used // BUCKET - 1), table_shift(used)
    by_row = rows.size > 0
    while at < end:
        # LOAD
        record = records[np.uint64(at)]
        writes = record & ONE
        record |= ONE
        # CHECK: the slot of this key, or an empty one.
        bucket = record >> shift
        skip = np.uint64(0)
        while True:
            slot = bucket * SLOTS + first_match(slots, bucket * SLOTS, record, skip)
            if slot == bucket * SLOTS + SLOTS:
                if 2 * distinct > used:
                    progress[AT], progress[WRITER], progress[LINK] = at, np.int64(writer), np.int64(link)
                    progress[DISTINCT], progress[VERSIONS] = distinct, np.int64(numbered)
                    return False
                bucket = (bucket + ONE) & last
                skip = np.uint64(0)
            elif by_row and slots[slot] != 0 and rows_differ(rows, np.int64(samples[slot]), at):
                skip = slot + ONE - bucket * SLOTS
            else:
                break
        # COMPUTE
        held = state[slot]
        written = np.uint64(0) - writes
        known = np.uint64(0) - np.uint64(held != 0)
        earlier, now = held & LOW, np.uint64(writers[writer])
        count = (held >> HALF) + ONE
        # STORE: a known record is not stored again, as the next look at its bucket would wait for that.
        slots[(slot & ~known) | (spare & known)] = record
        state[slot] = (count << HALF) | (now & written) | (earlier & ~written)
        if by_row and held == 0:
            samples[slot] = np.uint32(at)
        if closers is not None:
            version = np.uint64(versions[slot])
            first_reader = np.uint64(version == 0) & ~writes & ONE
            numbered += first_reader
            version |= numbered & (np.uint64(0) - first_reader)
            closers[version & written] = np.uint32(now)
            versions[slot] = np.uint32(version & ~written)
            records[np.uint64(at)] = earlier | ((version & ~written) << HALF)
        else:
            links[link] = np.uint32(earlier)
        writer += writes
        link += ONE - writes
        distinct += np.int64(held == 0)
        if count == threshold:
            hot_slots[np.uint64(hot)] = slot
            hot += 1
        at += 1
    progress[WRITER], progress[LINK] = np.int64(writer), np.int64(link)
    progress[DISTINCT], progress[HOT], progress[VERSIONS] = distinct, hot, np.int64(numbered)
    return True


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _close_versions(records, begin, end, closers):
    """Put in place of each reader's version the writer that ended it, 0 if none did."""
    for at in range(begin, end):
        record = records[at]
        closer = np.uint64(closers[record >> HALF])
        records[at] = (record & LOW) | (closer << HALF)


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _sink(hot_counts, hot_keys):
    """Move the entry beyond the last hot one up to where it belongs: count descending, key ascending."""
    width = np.uint64(hot_keys.shape[1])
    place = LAST_HOT + ONE
    while place > 0:
        above = place - ONE
        word = np.uint64(0)
        while word + ONE < width and hot_keys[place, word] == hot_keys[above, word]:
            word += ONE
        lower = hot_keys[place, word] < hot_keys[above, word]
        count, other = hot_counts[place], hot_counts[above]
        if count < other or (count == other and not lower):
            break
        hot_counts[place], hot_counts[above] = other, count
        for column in range(width):
            key = hot_keys[above, column]
            hot_keys[above, column] = hot_keys[place, column]
            hot_keys[place, column] = key
        place = above


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _keep_hot(
    slots, state, samples, hot_slots, hot, partition, bits, words, rows, hot_counts, hot_keys,
):  # fmt: skip
    """Offer the keys of a finished partition that were touched as often as the last of the hot ones."""
    four = np.uint64(ROW_WORDS)
    for candidate in range(hot):
        slot = hot_slots[candidate]
        count = np.int64(state[slot] >> HALF)
        if count < hot_counts[LAST_HOT]:
            continue
        hot_counts[LAST_HOT + ONE] = count
        if rows.size == 0:
            whole = np.uint64(partition) << (np.uint64(64) - np.uint64(bits))
            mixed = whole | (slots[slot] >> np.uint64(bits))
            hot_keys[LAST_HOT + ONE, 0] = unmix(mixed, words[0], words[3], words[4])
        else:
            for word in range(four):
                hot_keys[LAST_HOT + ONE, word] = swapped(rows[np.uint64(samples[slot]) * four + word])
        _sink(hot_counts, hot_keys)


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _candidates(state, used, threshold, hot_slots):
    """List the slots that have reached the threshold; how many."""
    hot = 0
    for slot in range(used):
        if state[slot] >> HALF >= threshold:
            hot_slots[hot] = np.uint64(slot)
            hot += 1
    return hot


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _link_records(
    slots, state, versions, samples, hot_slots, used, progress, threshold,
    starts, counts, writer_starts, records, links, writers, closers, rows,
):  # fmt: skip
    """Link the segments of one partition in turn, with a larger table where needed; returns the table."""
    for part in range(starts.size):
        end = starts[part] + counts[part]
        progress[AT], progress[WRITER], progress[LINK] = starts[part], writer_starts[part], 2 * starts[part]
        while True:
            if closers.size > 0:
                done = _link_segment(
                    slots, state, samples, versions, used, progress, end, threshold, hot_slots,
                    records, links, writers, closers, rows,
                )  # fmt: skip
            else:
                done = _link_segment(
                    slots, state, samples, None, used, progress, end, threshold, hot_slots,
                    records, links, writers, None, rows,
                )  # fmt: skip
            if done:
                break
            slots, state, versions, samples, hot_slots = grown(
                slots, state, versions, samples, used, 2 * used, closers.size > 0, rows.size > 0
            )
            used *= 2
            progress[HOT] = _candidates(state, used, threshold, hot_slots)
    if closers.size > 0:
        closers[0] = np.uint32(0)
        for part in range(starts.size):
            _close_versions(records, starts[part], starts[part] + counts[part], closers)
        clear(closers, progress[VERSIONS] + 1)
        clear(versions, used)
    return slots, state, versions, samples, hot_slots, used


@njit(nogil=True, cache=True, no_cfunc_wrapper=True)
def link_partitions(
    first, last, starts, counts, writer_starts, bits, words, records, links, writers, closers,
    rows, progress, hot_counts, hot_keys,
):  # fmt: skip
    """Replace the records of partitions `first:last` by links, in place.

    Args:
        starts, counts, writer_starts: int64 (partitions, slices); where a segment's records begin, how many
            there are, and where its writers begin.
        bits: the leading bits of a mixed key that name the partition.
        records, links: uint64 and the same memory as uint32.
        writers: 1 + the transaction of every write, and one entry more.
        closers: empty for the rule `versioned`: a segment becomes the last earlier writer of each of its
            *reads*, as uint32 one after the other. For `locking`, work space of zeros, uint32, one more than
            the largest partition has records: every record becomes the last earlier writer in its low half
            and, for a read, the next writer in its high half.
        rows: empty for uint64 keys; otherwise the row of every record, four words each. Records are digests
            then, and rows decide equality.
        progress: int64 (6,), work space.
        hot_counts, hot_keys: int64 (65,) and uint64 (65, 1 or 4); the most touched keys found so far, and a
            place for one more.
    """
    none = np.int64(0)
    nothing, no_numbers = np.zeros(1, np.uint64), np.zeros(1, np.uint32)
    locking, by_row = closers.size > 0, rows.size > 0
    slots, state, versions, samples, hot_slots = grown(
        nothing, nothing, no_numbers, no_numbers, none, fitting(none, none), locking, by_row
    )
    for partition in range(first, last):
        total = np.int64(0)
        for part in range(starts.shape[1]):
            total += counts[partition, part]
        used = fitting(total, slots.size - 1)
        if used >= slots.size:
            slots, state, versions, samples, hot_slots = grown(
                slots, state, versions, samples, none, used, locking, by_row
            )
        threshold = np.uint64(max(np.int64(1), hot_counts[LAST_HOT]))
        progress[:] = 0
        slots, state, versions, samples, hot_slots, used = _link_records(
            slots, state, versions, samples, hot_slots, used, progress, threshold,
            starts[partition], counts[partition], writer_starts[partition],
            records, links, writers, closers, rows,
        )  # fmt: skip
        _keep_hot(
            slots, state, samples, hot_slots, progress[HOT], partition, bits, words,
            rows, hot_counts, hot_keys,
        )  # fmt: skip
        clear(slots, used)
        clear(state, used)
