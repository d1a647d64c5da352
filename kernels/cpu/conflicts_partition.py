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

from supervm.kernels.cpu.lanes import I32, I64, element_pointer

MIXER_WORDS = 9
"""0 mask, 1 and 2 odd multipliers, 3 and 4 their inverses modulo 2^64, 5 to 8 what digests of rows take."""

LINE_RECORDS = 8
LINE_NUMBERS = 16
"""Records of 64 bits, and numbers of 32 bits, in one cache line."""

SEGMENT = 16
"""Every segment starts at a multiple of this many records, so that its lines are aligned to 64 bytes."""


def random_mixer() -> NDArray[np.uint64]:
    """The secret of one process: results never depend on it, the time to find them does."""
    first, second = secrets.randbits(64) | 1, secrets.randbits(64) | 1
    return mixer(secrets.randbits(64), first, second, [secrets.randbits(64) for _ in range(4)])


def mixer(mask: int, first: int, second: int, digest: list[int]) -> NDArray[np.uint64]:
    """The words that the kernels take, from a mask, two odd multipliers and four words for `digest_rows`."""
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


@njit(inline="always")
def mix(key, words):
    """The mixed key."""
    x = (key ^ words[0]) * words[1]
    return (x ^ (x >> np.uint64(32))) * words[2]


@njit(inline="always")
def unmix(mixed, words):
    """The key of a mixed key."""
    x = mixed * words[4]
    return ((x ^ (x >> np.uint64(32))) * words[3]) ^ words[0]


@njit(nogil=True, cache=True)
def digest_rows(rows, words, digests):
    """A 64-bit digest of each row of four words. Equal rows have equal digests; the converse is not assumed."""
    for j in range(rows.shape[0]):
        left = folded_product(rows[j, 0] ^ words[5], rows[j, 1] ^ words[6])
        right = folded_product(rows[j, 2] ^ words[7], rows[j, 3] ^ words[8])
        digests[j] = left + (right << np.uint64(1) | right >> np.uint64(63))


@njit(nogil=True, cache=True)
def count_records(keys, first, last, words, bits, counts):
    """Add to `counts` how many of `keys[first:last]` each partition receives."""
    shift = np.uint64(64) - np.uint64(bits)
    for j in range(first, last):
        counts[mix(keys[j], words) >> shift] += np.int64(1)


@njit(inline="always")
def _put(array, lines, cursor, partition, value, width):
    """Append `value` to a partition's open line, and write the line out when it is full."""
    at = cursor[partition]
    cursor[partition] = at + np.uint64(1)
    lane = at & np.uint64(width - 1)
    base = partition * np.uint64(width)
    lines[base + lane] = value
    if lane == np.uint64(width - 1):
        stream_line(array, np.int64(at - lane), lines, np.int64(base))


@njit(nogil=True, cache=True)
def _put_rest(array, lines, cursor, width):
    """Write out the lines that are open at the end."""
    for partition in range(cursor.size):
        rest = np.int64(cursor[partition]) % width
        for lane in range(rest):
            array[np.int64(cursor[partition]) - rest + lane] = lines[partition * width + lane]


@njit(nogil=True, cache=True)
def scatter(
    read_offsets, read_keys, write_offsets, write_keys, first, last, words, bits,
    cursor, writer_cursor, records, writers, positions,
):  # fmt: skip
    """Write the records of transactions `first:last`, each one's reads before its writes, to their partitions.

    `records` takes the mixed key without its partition, shifted up, with 1 in the lowest bit for a write;
    `writers` takes 1 + the transaction of every write; `positions`, unless it is None, takes the place of
    every access in the concatenation of read and write keys.
    """
    bits = np.uint64(bits)
    shift = np.uint64(64) - bits
    lines = np.empty(cursor.size * LINE_RECORDS, np.uint64)
    writer_lines = np.empty(cursor.size * LINE_NUMBERS, np.uint32)
    position_lines = np.empty(cursor.size * LINE_NUMBERS, np.uint32)
    position_cursor = cursor.copy()
    for i in range(first, last):
        for j in range(read_offsets[i], read_offsets[i + 1]):
            mixed = mix(read_keys[j], words)
            partition = mixed >> shift
            _put(records, lines, cursor, partition, mixed << bits, LINE_RECORDS)
            if positions is not None:
                _put(positions, position_lines, position_cursor, partition, np.uint32(j), LINE_NUMBERS)
        for j in range(write_offsets[i], write_offsets[i + 1]):
            mixed = mix(write_keys[j], words)
            partition = mixed >> shift
            _put(records, lines, cursor, partition, mixed << bits | np.uint64(1), LINE_RECORDS)
            _put(writers, writer_lines, writer_cursor, partition, np.uint32(i + 1), LINE_NUMBERS)
            if positions is not None:
                at = np.uint32(read_keys.size + j)
                _put(positions, position_lines, position_cursor, partition, at, LINE_NUMBERS)
    _put_rest(records, lines, cursor, LINE_RECORDS)
    _put_rest(writers, writer_lines, writer_cursor, LINE_NUMBERS)
    if positions is not None:
        _put_rest(positions, position_lines, position_cursor, LINE_NUMBERS)
    fence()
