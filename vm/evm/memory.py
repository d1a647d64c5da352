# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of frames: priced, grown, and never beyond what its gas pays for.

The memories of the frames at work lie one behind the other; only the innermost one grows. Everything behind the last byte in
use is garbage, and zeroed when it is taken.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import fill, shifted_down
from supervm.vm.evm.frame import F_MACHINE, F_MEMORY, F_MEMORY_BYTES, charge, fail, of, set_of
from supervm.vm.evm.machine import (
    CONTINUE,
    MEMORY,
    MEMORY_CAPACITY,
    NEEDS_MEMORY,
    VALUE_BYTES,
    get,
    retry,
)
from supervm.vm.evm.outcomes import HaltReason
from supervm.vm.evm.words import small

OUT_OF_GAS = int(HaltReason.OUT_OF_GAS)

WORD_GAS, SQUARE_DIVISOR_BITS = 3, 9
"""A word of memory costs 3 gas, and all words together their number squared / 2^9 (Yellow Paper, appendix G)."""

MOST_BYTES = 1 << 32
"""Of a memory: what goes beyond costs more than 2^45 gas and counts as out of gas."""

NOWHERE = -1
"""Answer of `area` for what no gas can pay."""


@njit(cache=True)
def words_for(size: Any) -> Any:
    """Words of 32 bytes that hold so many bytes."""
    return shifted_down(size + VALUE_BYTES - 1, 5)


@njit(cache=True)
def memory_gas(size: Any) -> Any:
    """Price of a memory of so many bytes, a multiple of 32."""
    words = shifted_down(size, 5)
    return WORD_GAS * words + shifted_down(words * words, SQUARE_DIVISOR_BITS)


@njit(cache=True)
def area(offset: Any, size: Any) -> Any:
    """Bytes that memory must have for an area whose offset and size are values at addresses: 0 for one of no bytes;
    `NOWHERE`."""
    length = small(size)
    if length == 0:
        return 0
    start = small(offset)
    if length < 0 or start < 0 or length > MOST_BYTES or start > MOST_BYTES:
        return NOWHERE
    return start + length


@njit(cache=True)
def expand(frame: Any, end: Any) -> Any:
    """Let the frame's memory have `end` bytes at least, as `area` says; `CONTINUE`, `FAILED` or `RETRY`."""
    machine, before = of(frame, F_MACHINE), of(frame, F_MEMORY_BYTES)
    if 0 <= end <= before:
        return CONTINUE
    if end < 0 or end > MOST_BYTES:
        return fail(machine, OUT_OF_GAS)
    after = (end + VALUE_BYTES - 1) & ~(VALUE_BYTES - 1)
    if not charge(frame, memory_gas(after) - memory_gas(before)):
        return fail(machine, OUT_OF_GAS)
    memory = of(frame, F_MEMORY)
    used = memory - get(machine, MEMORY) + after
    if used > get(machine, MEMORY_CAPACITY):
        return retry(machine, NEEDS_MEMORY, used)
    fill(memory + before, 0, after - before)
    set_of(frame, F_MEMORY_BYTES, after)
    return CONTINUE
