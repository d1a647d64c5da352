# SPDX-License-Identifier: GPL-3.0-or-later
"""Who wrote a key last, who writes it next, and how often it is touched: one pass over each partition.

A transaction is named by 1 + its position, so that 0 means none. The table has buckets of eight slots, a
cache line of records that is compared in one step: a plain probing loop ends after an unpredictable number of
steps, and those branches cost more than the comparison. It starts with about one slot per record and doubles
when a bucket runs over while more than half of the slots are taken, so that it grows with the distinct keys
of a partition, not with the accesses to them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from supervm.kernels.cpu.conflicts_partition import unmix
from supervm.kernels.cpu.lanes import I32, I64, call_llvm, element_pointer

BUCKET = 8
"""Slots in a bucket."""

HOT_KEYS = 64
"""How many of the most touched keys are kept."""

LOW = np.uint64(0xFFFFFFFF)


@intrinsic
def first_match(typingctx: Any, slots: Any, base: Any, record: Any, skip: Any) -> Any:
    """The first of `slots[base:base + 8]`, from `skip` on, that holds `record` or 0; 8 if none does."""
    if slots.dtype != types.uint64:
        raise TypingError(f"slots hold uint64 records, not {slots}")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        line = ir.VectorType(I64, BUCKET)
        pointer = element_pointer(context, builder, slots, args[0], args[1])
        held = builder.load(builder.bitcast(pointer, line.as_pointer()), align=8)
        undefined = ir.Constant(line, ir.Undefined)
        single = builder.insert_element(undefined, args[2], ir.Constant(I32, 0))
        zeros = ir.Constant(ir.VectorType(I32, BUCKET), [ir.Constant(I32, 0)] * BUCKET)
        wanted = builder.shuffle_vector(single, undefined, zeros)
        empty = builder.icmp_unsigned("==", held, ir.Constant(line, [ir.Constant(I64, 0)] * BUCKET))
        matches = builder.or_(builder.icmp_unsigned("==", held, wanted), empty)
        bits = builder.zext(builder.bitcast(matches, ir.IntType(BUCKET)), I64)
        bits = builder.and_(bits, builder.shl(ir.Constant(I64, -1), args[3]))
        bits = builder.or_(bits, ir.Constant(I64, 1 << BUCKET))
        return call_llvm(builder, "llvm.cttz.i64", I64, [bits, ir.Constant(ir.IntType(1), 1)])

    return types.uint64(slots, types.int64, types.uint64, types.uint64), codegen


@njit(inline="always")
def _row_word(read_rows, write_rows, position, word):
    """Word `word` of the key at `position` in the concatenation of both arrays of rows."""
    reads = read_rows.shape[0]
    return read_rows[position, word] if position < reads else write_rows[position - reads, word]


@njit
def _same_row(read_rows, write_rows, a, b):
    a, b = np.int64(a), np.int64(b)
    same = True
    for word in range(4):
        same &= _row_word(read_rows, write_rows, a, word) == _row_word(read_rows, write_rows, b, word)
    return same


@njit
def _grown(slots, state, open_versions, samples, used):
    """The table, of which `used` slots are in use, in one of twice the size: four arrays, as they came in."""
    size = 2 * used
    new_slots, new_state = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
    new_open = np.zeros(size if open_versions.size > 1 else 1, np.uint32)
    new_samples = np.zeros(size if samples.size > 1 else 1, np.uint32)
    mask = np.uint64(size // BUCKET - 1)
    shift = np.uint64(64) - np.uint64(_log2(size // BUCKET))
    for old in range(used):
        record = slots[old]
        if record == np.uint64(0):
            continue
        bucket = record >> shift
        skip = np.uint64(0)
        while True:
            lane = first_match(new_slots, np.int64(bucket) * BUCKET, record, skip)
            if lane == np.uint64(BUCKET):
                bucket = (bucket + np.uint64(1)) & mask
                skip = np.uint64(0)
                continue
            slot = np.int64(bucket) * BUCKET + np.int64(lane)
            if new_slots[slot] == np.uint64(0):
                break
            skip = lane + np.uint64(1)
        new_slots[slot] = record
        new_state[slot] = state[old]
        if open_versions.size > 1:
            new_open[slot] = open_versions[old]
        if samples.size > 1:
            new_samples[slot] = samples[old]
    return new_slots, new_state, new_open, new_samples


@njit(inline="always")
def _log2(power):
    """The exponent of a power of two."""
    exponent = 0
    while (np.int64(1) << exponent) < power:
        exponent += 1
    return exponent


@njit(inline="always")
def _fitting(records, available):
    """How many slots a partition begins with: a power of two near `records`, more if the table has them."""
    size = 2 * BUCKET
    while size < records:
        size *= 2
    return min(2 * size, available) if available > size else size


@njit
def _offer(hot_counts, hot_keys, count, key):
    """Put a key of `count` accesses among the hot ones if it belongs there: count descending, key ascending."""
    place = HOT_KEYS
    while place > 0:
        held = hot_counts[place - 1]
        if held > count:
            break
        if held == count:
            word = 0
            while word + 1 < key.size and key[word] == hot_keys[place - 1, word]:
                word += 1
            if key[word] > hot_keys[place - 1, word]:
                break
        place -= 1
    if place == HOT_KEYS:
        return
    for moved in range(HOT_KEYS - 1, place, -1):
        hot_counts[moved] = hot_counts[moved - 1]
        for word in range(key.size):
            hot_keys[moved, word] = hot_keys[moved - 1, word]
    hot_counts[place] = count
    for word in range(key.size):
        hot_keys[place, word] = key[word]


@njit(inline="always")
def _big_endian(word):
    """The bytes of a word in the other order: rows compare by their first byte first."""
    swapped = np.uint64(0)
    for byte in range(8):
        swapped = (swapped << np.uint64(8)) | ((word >> np.uint64(8 * byte)) & np.uint64(255))
    return swapped


@njit(nogil=True, cache=True)
def link_partitions(
    first, last, starts, counts, writer_starts, bits, words, records, links, writers, closers,
    positions, read_rows, write_rows, hot_counts, hot_keys,
):  # fmt: skip
    """Replace the records of partitions `first:last` by links, in place.

    Args:
        starts, counts, writer_starts: int64 (partitions, slices); where a segment's records begin, how many
            there are, and where its writers begin.
        bits: the leading bits of a mixed key that name the partition.
        records, links: uint64 and the same memory as uint32.
        writers: 1 + the transaction of every write.
        closers: None for the rule `versioned`: a segment becomes the last earlier writer of each of its
            *reads*, as uint32 one after the other. For `locking`, uint32 work space, zero, one more than the
            largest partition has records: every record, read or write, becomes the last earlier writer in its
            low half and, for a read, the next writer in its high half.
        positions, read_rows, write_rows: None for uint64 keys; otherwise where each record's row of four
            words stands. Records are digests then, and equality is decided on the rows.
        hot_counts, hot_keys: int64 (64,) and uint64 (64, 1 or 4); the most touched keys found so far.
    """
    size = 2 * BUCKET
    slots, state = np.zeros(size, np.uint64), np.zeros(size, np.uint64)
    open_versions = np.zeros(1 if closers is None else size, np.uint32)
    samples = np.zeros(1 if positions is None else size, np.uint32)
    hot_slots = np.empty(size, np.int64)
    key = np.empty(hot_keys.shape[1], np.uint64)
    for partition in range(first, last):
        # LOAD: a clean table of the size that this partition may need.
        total = 0
        for part in range(starts.shape[1]):
            total += counts[partition, part]
        used = _fitting(total, slots.size)
        if used > slots.size:
            slots, state = np.zeros(used, np.uint64), np.zeros(used, np.uint64)
            if closers is not None:
                open_versions = np.zeros(used, np.uint32)
            if positions is not None:
                samples = np.zeros(used, np.uint32)
            hot_slots = np.empty(used, np.int64)
        mask = np.uint64(used // BUCKET - 1)
        shift = np.uint64(64) - np.uint64(_log2(used // BUCKET))
        distinct = np.uint64(0)
        versions = np.uint64(0)
        hot = 0
        threshold = np.uint64(max(np.int64(1), hot_counts[HOT_KEYS - 1]))
        for part in range(starts.shape[1]):
            begin = starts[partition, part]
            writer = np.uint64(writer_starts[partition, part])
            link = np.uint64(2 * begin)
            for at in range(np.uint64(begin), np.uint64(begin + counts[partition, part])):
                # CHECK: find the slot of this key, or an empty one.
                record = records[at]
                writes = record & np.uint64(1)
                record |= np.uint64(1)
                bucket = record >> shift
                skip = np.uint64(0)
                while True:
                    lane = first_match(slots, np.int64(bucket) * BUCKET, record, skip)
                    if lane == np.uint64(BUCKET):
                        skip = np.uint64(0)
                        if np.int64(distinct) * 2 <= used:
                            bucket = (bucket + np.uint64(1)) & mask
                            continue
                        slots, state, open_versions, samples = _grown(
                            slots, state, open_versions, samples, used
                        )
                        used *= 2
                        mask = np.uint64(used // BUCKET - 1)
                        shift = np.uint64(64) - np.uint64(_log2(used // BUCKET))
                        bucket = record >> shift
                        hot_slots = np.empty(used, np.int64)
                        hot = 0
                        for slot in range(used):
                            if state[slot] >> np.uint64(32) >= threshold:
                                hot_slots[hot] = slot
                                hot += 1
                        continue
                    slot = bucket * np.uint64(BUCKET) + lane
                    if positions is None:
                        break
                    if slots[slot] == np.uint64(0):
                        samples[slot] = positions[at]
                        break
                    if _same_row(read_rows, write_rows, samples[slot], positions[at]):
                        break
                    skip = lane + np.uint64(1)
                # COMPUTE: no branch depends on whether this is a read; half of them would be mispredicted.
                held = state[slot]
                distinct += np.uint64(held == np.uint64(0))
                count = (held >> np.uint64(32)) + np.uint64(1)
                written = np.uint64(0) - writes
                earlier = held & LOW
                now = np.uint64(writers[writer])
                writer += writes
                slots[slot] = record
                state[slot] = (count << np.uint64(32)) | (now & written) | (earlier & ~written)
                # STORE
                if closers is None:
                    links[link] = np.uint32(earlier)
                    link += np.uint64(1) - writes
                else:
                    version = np.uint64(open_versions[slot])
                    fresh = np.uint64(version == np.uint64(0)) & ~writes & np.uint64(1)
                    versions += fresh
                    version |= versions & (np.uint64(0) - fresh)
                    closers[version & written] = np.uint32(now)
                    open_versions[slot] = np.uint32(version & ~written)
                    again = written & (np.uint64(0) - np.uint64(earlier == now))
                    records[at] = (earlier & ~again) | ((version & ~written) << np.uint64(32))
                if count == threshold:
                    hot_slots[hot] = np.int64(slot)
                    hot += 1
        if closers is not None:
            closers[0] = np.uint32(0)
            for part in range(starts.shape[1]):
                begin = starts[partition, part]
                for at in range(np.uint64(begin), np.uint64(begin + counts[partition, part])):
                    record = records[at]
                    closer = np.uint64(closers[record >> np.uint64(32)])
                    records[at] = (record & LOW) | (closer << np.uint64(32))
            closers[: np.int64(versions) + 1] = np.uint32(0)
            open_versions[:used] = np.uint32(0)
        for candidate in range(hot):
            slot = hot_slots[candidate]
            count = np.int64(state[slot] >> np.uint64(32))
            if count >= hot_counts[HOT_KEYS - 1]:
                if positions is None:
                    whole = np.uint64(partition) << (np.uint64(64) - np.uint64(bits))
                    key[0] = unmix(whole | (slots[slot] >> np.uint64(bits)), words)
                else:
                    for word in range(4):
                        row_word = _row_word(read_rows, write_rows, np.int64(samples[slot]), word)
                        key[word] = _big_endian(row_word)
                _offer(hot_counts, hot_keys, count, key)
        slots[:used] = np.uint64(0)
        state[:used] = np.uint64(0)
