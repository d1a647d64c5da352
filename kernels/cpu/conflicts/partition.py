# SPDX-License-Identifier: GPL-3.0-or-later
"""Accesses of a block, spread by key over partitions whose tables fit the second-level cache.

A key is replaced by a *mixed* key: two odd multiplications and a shift, a one-to-one map of 64-bit integers
under a secret drawn once per process. The leading `bits` bits of the mixed key name the partition, the rest,
shifted up, is the record; the bit that becomes free says whether the access writes. Two records of one
partition are equal exactly when their keys are, so nothing is compared twice and no key is lost.

The last step of the map is multiply-shift hashing, universal for a random odd multiplier (Dietzfelbinger,
Hagerup, Katajainen and Penttonen 1997): whoever does not know the secret cannot choose keys that crowd one
place. The first steps are there because multiply-shift alone places arithmetic progressions badly for linear
probing (Pătraşcu and Thorup 2010).

Records are gathered in one cache line per partition and written past the cache (software write combining):
plain stores to hundreds of places fetch every line before they overwrite it.
"""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from supervm.kernels.cpu.lanes.lanes import I32, I64, element_pointer

LINE_RECORDS, LINE_NUMBERS, LINE_ROWS = 8, 16, 2
"""Records of 64 bits, numbers of 32 bits and rows of 32 bytes in one cache line."""

ROW_WORDS = 4

SEGMENT = 16
"""Every segment starts at a multiple of this many records, so that its lines are aligned to 64 bytes."""


def random_mixer() -> NDArray[np.uint64]:
    """The secret of one process: results never depend on it, the time to find them does."""
    first, second = secrets.randbits(64) | 1, secrets.randbits(64) | 1
    return mixer(secrets.randbits(64), first, second, [secrets.randbits(64) for _ in range(4)])


def mixer(mask: int, first: int, second: int, digest: list[int]) -> NDArray[np.uint64]:
    """The nine words that the kernels take: 0 a mask, 1 and 2 odd multipliers, 3 and 4 their inverses modulo 2^64,
    5 to 8 what `digest_rows` takes.
    """
    inverses = [pow(first, -1, 1 << 64), pow(second, -1, 1 << 64)]
    return np.array([mask, first, second, *inverses, *digest], dtype=np.uint64)


@intrinsic
def stream_line(typingctx: Any, target: Any, to: Any, source: Any, start: Any) -> Any:
    """Copy 64 bytes to `target[to]`, which must be aligned to 64 bytes, without reading that line first."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = source.dtype.bitwidth
        line = ir.VectorType(ir.IntType(bits), 512 // bits).as_pointer()
        load = element_pointer(context, builder, source, args[2], args[3])
        store = element_pointer(context, builder, target, args[0], args[1])
        value = builder.load(builder.bitcast(load, line), align=bits // 8)
        written = builder.store(value, builder.bitcast(store, line), align=64)
        written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(I32, 1)]))
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64), codegen


@intrinsic
def fence(typingctx: Any) -> Any:
    """Order streamed lines before everything that follows: another thread may read them next."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def folded_product(typingctx: Any, a: Any, b: Any) -> Any:
    """The low and the high half of the 128-bit product, xored."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), I64)
        return builder.xor(builder.trunc(product, I64), high)

    return types.uint64(types.uint64, types.uint64), codegen


@intrinsic
def mix(typingctx: Any, key: Any, mask: Any, first: Any, second: Any) -> Any:
    """The mixed key: `((key ^ mask) * first)`, xored with its upper half, times `second`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        spread = builder.mul(builder.xor(args[0], args[1]), args[2])
        return builder.mul(_folded(builder, spread), args[3])

    return types.uint64(types.uint64, types.uint64, types.uint64, types.uint64), codegen


@intrinsic
def unmix(typingctx: Any, mixed: Any, mask: Any, first_inverse: Any, second_inverse: Any) -> Any:
    """The key of a mixed key."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        spread = _folded(builder, builder.mul(args[0], args[3]))
        return builder.xor(builder.mul(spread, args[2]), args[1])

    return types.uint64(types.uint64, types.uint64, types.uint64, types.uint64), codegen


def _folded(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """The upper half xored into the lower: its own inverse."""
    return builder.xor(value, builder.lshr(value, ir.Constant(I64, 32)))


@njit(nogil=True, cache=True, no_cfunc_wrapper=True)
def digest_rows(rows, words, digests):
    """A 64-bit digest of each row of four words; equal rows have equal digests, the converse is not assumed."""
    for j in range(rows.shape[0]):
        left = folded_product(rows[j, 0] ^ words[5], rows[j, 1] ^ words[6])
        right = folded_product(rows[j, 2] ^ words[7], rows[j, 3] ^ words[8])
        digests[j] = left + (right << np.uint64(1) | right >> np.uint64(63))


@njit(nogil=True, cache=True, no_cfunc_wrapper=True)
def count_records(keys, first, last, words, bits, counts):
    """Add to `counts` how many of `keys[first:last]` each partition receives."""
    shift = np.uint64(64) - np.uint64(bits)
    mask, odd, other = words[0], words[1], words[2]
    for j in range(first, last):
        counts[mix(keys[j], mask, odd, other) >> shift] += np.int64(1)


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _put(array, lines, cursor, partition, value, width):
    """Append `value` to a partition's open line, and write the line out when it is full."""
    at = cursor[partition]
    cursor[partition] = at + np.uint64(1)
    lane = at & np.uint64(width - 1)
    base = partition * np.uint64(width)
    lines[base + lane] = value
    if lane == np.uint64(width - 1):
        stream_line(array, np.int64(at - lane), lines, np.int64(base))


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _put_row(rows, lines, at, partition, source, j):
    """Put row `j` of `source` at `at`, the place that its record got, by way of the partition's open line."""
    lane = at & np.uint64(LINE_ROWS - 1)
    base = partition * np.uint64(LINE_RECORDS)
    for word in range(np.uint64(ROW_WORDS)):
        lines[base + lane * np.uint64(ROW_WORDS) + word] = source[j, word]
    if lane == np.uint64(LINE_ROWS - 1):
        stream_line(rows, np.int64((at - lane) * np.uint64(ROW_WORDS)), lines, np.int64(base))


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def _put_rest(array, lines, cursor, width, words):
    """Write out the lines that are open at the end: `width` items in a line, each of so many words."""
    for partition in range(cursor.size):
        end = np.int64(cursor[partition])
        rest = end % width * words
        for word in range(rest):
            array[end * words - rest + word] = lines[partition * width * words + word]


@njit(nogil=True, cache=True, no_cfunc_wrapper=True)
def scatter(
    read_offsets, read_keys, read_rows, write_offsets, write_keys, write_rows, first, last, words, bits,
    cursor, writer_cursor, records, writers, rows,
):  # fmt: skip
    """Write the records of transactions `first:last`, each one's reads before its writes, to their partitions.

    Args:
        records: takes the mixed key without its partition, shifted up, with 1 in the lowest bit for a write.
        writers: takes 1 + the transaction of every write.
        rows: empty for uint64 keys; otherwise takes the row of every record, four words each, from
            `read_rows` and `write_rows`. The keys are digests of these then.
        cursor, writer_cursor: uint64 (partitions,), where the next one goes.
    """
    bits = np.uint64(bits)
    shift = np.uint64(64) - bits
    mask, odd, other = words[0], words[1], words[2]
    by_row = rows.size > 0
    lines = np.empty(cursor.size * LINE_RECORDS, np.uint64)
    writer_lines = np.empty(cursor.size * LINE_NUMBERS, np.uint32)
    row_lines = np.empty(cursor.size * LINE_RECORDS if by_row else 1, np.uint64)
    for i in range(first, last):
        for j in range(read_offsets[i], read_offsets[i + 1]):
            mixed = mix(read_keys[j], mask, odd, other)
            partition = mixed >> shift
            if by_row:
                _put_row(rows, row_lines, cursor[partition], partition, read_rows, j)
            _put(records, lines, cursor, partition, mixed << bits, LINE_RECORDS)
        for j in range(write_offsets[i], write_offsets[i + 1]):
            mixed = mix(write_keys[j], mask, odd, other)
            partition = mixed >> shift
            if by_row:
                _put_row(rows, row_lines, cursor[partition], partition, write_rows, j)
            _put(records, lines, cursor, partition, mixed << bits | np.uint64(1), LINE_RECORDS)
            _put(writers, writer_lines, writer_cursor, partition, np.uint32(i + 1), LINE_NUMBERS)
    one, four = np.int64(1), np.int64(ROW_WORDS)
    _put_rest(records, lines, cursor, np.int64(LINE_RECORDS), one)
    _put_rest(writers, writer_lines, writer_cursor, np.int64(LINE_NUMBERS), one)
    if by_row:
        _put_rest(rows, row_lines, cursor, np.int64(LINE_ROWS), four)
    fence()
