# SPDX-License-Identifier: GPL-3.0-or-later
"""The hash table of one partition: buckets of eight slots, a cache line of records compared in one step.

A plain probing loop ends after an unpredictable number of steps, and those branches cost more than comparing
a whole line. The table starts with about one slot per record, within limits, and doubles when a bucket runs over while more
than half of the slots are taken, so that it grows with the distinct keys of a partition, not with the accesses
to them. Beside each slot stand its state (accesses in the upper half, last writer in the lower), its open
version (rule `locking`) and the place of its first record (32-byte keys).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from supervm.kernels.cpu.lanes.lanes import I8, I32, I64, call_llvm, element_pointer

BUCKET = 8
"""Slots in a bucket."""

MOST_SLOTS = 1 << 15
"""No table begins with more slots: 512 KiB of records and states."""


@intrinsic
def first_match(typingctx: Any, slots: Any, base: Any, record: Any, skip: Any) -> Any:
    """The first of `slots[base:base + 8]`, from `skip` on, that holds `record` or 0; 8 if none does."""

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

    return types.uint64(slots, types.uint64, types.uint64, types.uint64), codegen


@intrinsic
def rows_differ(typingctx: Any, rows: Any, a: Any, b: Any) -> Any:
    """Whether the rows `a` and `b`, four words each, of a flat array differ."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        row = ir.VectorType(I64, 4)
        one, other = (
            builder.load(
                builder.bitcast(
                    element_pointer(context, builder, rows, args[0], builder.shl(place, ir.Constant(I64, 2))),
                    row.as_pointer(),
                ),
                align=8,
            )
            for place in args[1:]
        )
        unequal = builder.bitcast(builder.icmp_unsigned("!=", one, other), ir.IntType(4))
        return builder.icmp_unsigned("!=", unequal, ir.Constant(ir.IntType(4), 0))

    return types.boolean(rows, types.int64, types.int64), codegen


@intrinsic
def clear(typingctx: Any, array: Any, count: Any) -> Any:
    """Set the first `count` numbers to zero."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(array)(context, builder, args[0]).data
        size = builder.mul(args[1], ir.Constant(I64, array.dtype.bitwidth // 8))
        address = builder.bitcast(data, I8.as_pointer())
        constants = [ir.Constant(I8, 0), size, ir.Constant(ir.IntType(1), 0)]
        call_llvm(builder, "llvm.memset.p0.i64", ir.VoidType(), [address, *constants])
        return context.get_dummy_value()

    return types.void(array, types.int64), codegen


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def table_shift(size):
    """By how much a record is shifted to name one of the buckets of a table of `size` slots."""
    exponent = 0
    while (np.int64(BUCKET) << exponent) < size:
        exponent += 1
    return np.uint64(64 - exponent)


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def fitting(records, available):
    """How many slots a partition begins with, a power of two: about one per record, twice that if there are as many.

    A partition far above the usual size repeats few keys, or else its table grows.
    """
    size = np.int64(2 * BUCKET)
    while size < min(records, MOST_SLOTS):
        size *= 2
    return min(2 * size, available) if available > size else size


@njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
def grown(slots, state, versions, samples, used, size, locking, by_row):
    """The arrays of a table of `size` slots that holds what the first `used` slots of this one hold.

    `slots` has one more entry, a place for stores that are not wanted. `versions` and `samples` have one
    entry if their rule and kind of key is not the one at work. The fifth array has a place for every slot.
    """
    new_slots, new_state = np.zeros(size + 1, np.uint64), np.zeros(size, np.uint64)
    new_versions = np.zeros(size if locking else 1, np.uint32)
    new_samples = np.zeros(size if by_row else 1, np.uint32)
    last = np.uint64(size // BUCKET - 1)
    shift = table_shift(size)
    for old in range(used):
        record = slots[old]
        if record == np.uint64(0):
            continue
        bucket = record >> shift
        skip = np.uint64(0)
        while True:
            # An equal record may stand here already: another row with the same digest.
            lane = first_match(new_slots, bucket * np.uint64(BUCKET), record, skip)
            slot = bucket * np.uint64(BUCKET) + lane
            if lane == np.uint64(BUCKET):
                bucket = (bucket + np.uint64(1)) & last
                skip = np.uint64(0)
            elif new_slots[slot] == np.uint64(0):
                break
            else:
                skip = lane + np.uint64(1)
        new_slots[slot] = record
        new_state[slot] = state[old]
        if locking:
            new_versions[slot] = versions[old]
        if by_row:
            new_samples[slot] = samples[old]
    return new_slots, new_state, new_versions, new_samples, np.zeros(size, np.uint64)
