# SPDX-License-Identifier: GPL-3.0-or-later
"""Ragged batches of messages through a hash kernel.

Messages are ordered by their number of blocks with a counting sort, so that the lanes of one group work
equally long. Whole blocks are read where they lie; only what follows the last whole block of a message goes
to a small scratch, where it is padded.
"""

from __future__ import annotations

import functools
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from supervm.kernels.cpu.bound import Bound
from supervm.kernels.cpu.hashes.emitter import HashKernel
from supervm.kernels.cpu.hashes.one_per_lane import (
    BEHIND,
    COUNT,
    INSIDE,
    LENGTH,
    PLAN_ROWS,
    TARGET,
    WHOLE,
    block_bytes,
    digest_bytes,
    hash_group,
    padding_bytes,
    schedule_padding,
    scheduled_words,
    stride,
    width,
)
from supervm.kernels.cpu.hashes.padding import CHUNK, pad
from supervm.kernels.threads import get_threads, run_slices
from supervm.kernels.work import Ragged

DIGIT_BITS = 11
"""Bits that one pass of the counting sort looks at."""


@njit(nogil=True, cache=True)
def order_by_count(counts: Any) -> Any:
    """Indices in the order of ascending counts; equal counts keep their order. The time is linear."""
    order = np.arange(counts.size)
    largest = np.int64(0)
    smallest = counts[0] if counts.size else largest
    for count in counts:
        largest = max(largest, count)
        smallest = min(smallest, count)
    if smallest == largest:
        return order
    other = np.empty_like(order)
    starts = np.empty(1 << DIGIT_BITS, np.int64)
    shift = 0
    while largest >> shift:
        starts[:] = 0
        for count in counts:
            starts[(count >> shift) & ((1 << DIGIT_BITS) - 1)] += 1
        total = 0
        for digit in range(starts.size):
            number = starts[digit]
            starts[digit] = total
            total += number
        for index in order:
            digit = (counts[index] >> shift) & ((1 << DIGIT_BITS) - 1)
            other[starts[digit]] = index
            starts[digit] += 1
        order, other = other, order
        shift += DIGIT_BITS
    return order


@njit(nogil=True, cache=True, forceinline=True)
def common_length(offsets: Any, start: Any, stop: Any) -> Any:
    """The length of messages `start` to `stop` if it is the same for all, else −1."""
    length = offsets[start + 1] - offsets[start]
    different = np.int64(0)
    for item in range(start, stop):
        different |= (offsets[item + 1] - offsets[item]) ^ length
    return -1 if different else length


@njit(nogil=True, cache=True)
def hash_slice(kernel: Any, data: Any, offsets: Any, out: Any, start: Any, stop: Any) -> None:
    """Hash messages `start` to `stop` of a batch; message i is data[offsets[i]:offsets[i + 1]].

    No array is passed to another compiled function inside the loops: Numba would count a reference each time.

    Args:
        kernel: a `HashKernel`.
        data: uint8, contiguous.
        offsets: int64.
        out: uint8, flat; digest i goes to out[i · digest_bytes:].
    """
    lanes = width(kernel)
    size = block_bytes(kernel)
    items = stop - start
    if items <= 0:
        return
    memory = np.empty((lanes * stride(kernel) + CHUNK), np.uint8)
    scratch = memory[-memory.ctypes.data % CHUNK :]
    plan = np.empty(PLAN_ROWS * lanes, np.int64)
    plan[LENGTH * lanes : (LENGTH + 1) * lanes] = -1
    length = common_length(offsets, start, stop)
    counts = np.empty(items if length < 0 else 0, np.int64)
    for item in range(counts.size):
        begin = offsets[start + item]
        counts[item] = max(1, (offsets[start + item + 1] - begin + padding_bytes(kernel) + size - 1) // size)
    order = order_by_count(counts)
    keyed = np.empty(scheduled_words(kernel), np.uint64)
    known = 1 if keyed.size and length >= 0 and length % size == 0 else 0
    if known:
        schedule_padding(kernel, keyed, length)
    for group in range(0, items, lanes):
        for lane in range(lanes):
            # Lanes left over in the last group repeat its last message.
            item = min(group + lane, items - 1)
            if length < 0:
                item = order[item]
            item += start
            begin = offsets[item]
            bytes_ = offsets[item + 1] - begin
            whole = bytes_ // size
            rest = bytes_ - whole * size
            # Padding depends on the length alone: after a message of the same length it is there already.
            stale = rest if bytes_ == plan[LENGTH * lanes + lane] else stride(kernel)
            if stale:
                count = max(1, (bytes_ + padding_bytes(kernel) + size - 1) // size)
                row = lane * stride(kernel)
                end = (count - whole) * size
                pad(kernel, data, begin + whole * size, rest, scratch, row, end, bytes_, stale)
                plan[WHOLE * lanes + lane] = whole
                plan[BEHIND * lanes + lane] = row - whole * size
                plan[LENGTH * lanes + lane] = bytes_
                plan[COUNT * lanes + lane] = count
            plan[INSIDE * lanes + lane] = begin
            plan[TARGET * lanes + lane] = item * digest_bytes(kernel)
        hash_group(kernel, data, scratch, plan, keyed, known, out)


LEAST_BYTES = 1 << 17
"""Bytes, padding among them, that a slice has if there are several: it takes some hundred microseconds in eight lanes, about
what it takes to wake a thread for it."""

SLICE = 8192
"""Most messages that one call of the kernel takes: what it keeps for each stays in the second-level cache."""


def digest_into(kernel: HashKernel, messages: Ragged, out: npt.NDArray[np.uint8]) -> None:
    """Hash message i into row i of `out`; several threads share a batch.

    Args:
        kernel: which function, in which lanes.
        messages: n messages, both arrays contiguous.
        out: uint8 (n, digest_bytes), contiguous.
    """
    offsets = messages.offsets
    items = offsets.size - 1
    run_slices(
        partial(hasher(kernel), messages.data, offsets, out.reshape(-1)),
        items,
        _grain(items, kernel.lanes.width, int(offsets[-1] - offsets[0]) + items * kernel.spec.block_bytes),
    )


@functools.cache
def hasher(kernel: HashKernel) -> Bound:
    """`hash_slice` with this kernel."""
    return Bound(hash_slice, kernel)


def _grain(items: int, lanes: int, hashed: int) -> int:
    """Messages per slice: whole groups, at least four slices per thread, since messages differ in length.

    Args:
        hashed: bytes of all messages, padded.
    """
    share = -(-items // (4 * get_threads())) if get_threads() > 1 else items
    share = max(share, -(-items * LEAST_BYTES // max(hashed, 1)))
    return max(lanes, -(-min(SLICE, share) // lanes) * lanes)
