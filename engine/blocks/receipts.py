# SPDX-License-Identifier: GPL-3.0-or-later
"""Receipts of a block in columns, and their canonical bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.engine.execution import columns as c
from supervm.engine.execution.columns import Columns, item8, item64
from supervm.kernels.cpu.lanes.addresses import copy, load32
from supervm.kernels.errors import ArgumentError
from supervm.vm.host_chain import EVENT_HEADER
from supervm.vm.outcomes import Reason, is_rejection


class Path(IntEnum):
    """How a transaction was executed."""

    FAST = 0
    CONSENSUS = 1
    PRIVACY = 2
    POOL = 3
    """A call of a shielded pool, which only the engine executes: what its events say is so."""
    EVM = 4
    """An Ethereum transaction, whose events are logs."""


@dataclass(frozen=True)
class Receipt:
    """The outcome of one transaction; the fields are those of `Receipts`."""

    path: Path
    accepted: bool
    success: bool
    reason: Reason
    gas: int
    return_value: int
    output: bytes
    events: tuple[bytes, ...]


@dataclass(frozen=True, eq=False)
class Receipts:
    """Receipts of n transactions.

    | column | dtype, shape | meaning |
    |---|---|---|
    | `path` | uint8 (n,) | `Path` |
    | `reason` | uint8 (n,) | `supervm.vm.outcomes.Reason`, 0 for success |
    | `gas` | uint64 (n,) | gas used; 0 if rejected |
    | `return_value` | int64 (n,) | of the entry point; 0 unless it returned, and below 0 it failed with `CONTRACT_ERROR` |
    | `output` | Messages (n) | |
    | `event_offsets`, `events` | int64 (n + 1,), Messages (e) | transaction i has offsets[i] … offsets[i + 1] − 1 |
    """

    path: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    gas: NDArray[np.uint64]
    return_value: NDArray[np.int64]
    output: Messages
    event_offsets: NDArray[np.int64]
    events: Messages

    def __len__(self) -> int:
        return len(self.reason)

    @cached_property
    def accepted(self) -> NDArray[np.bool_]:
        """Which were not rejected, bool (n,)."""
        rejects = np.array([is_rejection(reason) for reason in range(256)])
        return ~rejects[self.reason]

    @property
    def success(self) -> NDArray[np.bool_]:
        """Which succeeded, bool (n,)."""
        succeeded: NDArray[np.bool_] = self.reason == Reason.NONE
        return succeeded

    def __getitem__(self, index: int) -> Receipt:
        first, stop = self.event_offsets[index], self.event_offsets[index + 1]
        return Receipt(
            Path(int(self.path[index])),
            bool(self.accepted[index]),
            bool(self.success[index]),
            Reason(int(self.reason[index])),
            int(self.gas[index]),
            int(self.return_value[index]),
            self.output[index],
            tuple(self.events[place] for place in range(int(first), int(stop))),
        )

    def to_bytes(self) -> bytes:
        """The canonical encoding: version, number of receipts, then the columns one behind the other, little-endian."""
        columns = (
            self.path,
            self.reason,
            self.gas,
            self.return_value,
            ragged.lengths(self.output),
            np.diff(self.event_offsets),
            ragged.lengths(self.events),
            self.output.data[self.output.offsets[0] : self.output.offsets[-1]],
            self.events.data[self.events.offsets[0] : self.events.offsets[-1]],
        )
        head = np.array([VERSION, len(self), len(self.events)], "<u8")
        return b"".join(
            np.ascontiguousarray(column.astype(column.dtype.newbyteorder("<"), copy=False)).tobytes()
            for column in (head, *columns)
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Receipts:
        """Decode, strictly: receipts have one encoding.

        Raises:
            ArgumentError: anything else than what `to_bytes` gives.
        """
        head = np.frombuffer(data[:_HEAD_BYTES], "<u8") if len(data) >= _HEAD_BYTES else np.zeros(3, "<u8")
        version, count, event_count = map(int, head)
        fixed = _HEAD_BYTES + _RECEIPT_BYTES * count + 8 * event_count
        if version != VERSION or fixed > len(data):
            raise ArgumentError(
                "data", f"{len(data)} bytes, version {version}", f"receipts, version {VERSION}"
            )
        place = _HEAD_BYTES

        def column(dtype: str, length: int) -> NDArray[Any]:
            nonlocal place
            values = np.frombuffer(data, dtype, length, place)
            place += values.nbytes
            return values.astype(values.dtype.newbyteorder("="))

        path, reason = column("<u1", count), column("<u1", count)
        gas, returned = column("<u8", count), column("<i8", count)
        lengths = [column("<i8", length) for length in (count, count, event_count)]
        outputs, event_offsets, bounds = map(ragged.offsets_of, lengths)
        rest = len(data) - fixed
        most = max(rest, event_count)  # a sum of what is within it does not overflow
        sound = all(not length.size or 0 <= length.min() <= length.max() <= most for length in lengths)
        if not sound or event_offsets[-1] != event_count or outputs[-1] + bounds[-1] != rest:
            raise ArgumentError(
                "data", f"{rest} bytes behind the columns", "the lengths that the columns state"
            )
        output = column("<u1", int(outputs[-1]))
        events = Messages(column("<u1", int(bounds[-1])), bounds)
        return cls(path, reason, gas, returned, Messages(output, outputs), event_offsets, events)

    def equals(self, other: Receipts) -> bool:
        """Whether every receipt is the same."""
        return self.to_bytes() == other.to_bytes()


VERSION = 1
"""Of the canonical encoding of receipts."""

_HEAD_BYTES, _RECEIPT_BYTES = 24, 34
"""Bytes of its head, and of what each receipt has in the columns of fixed width."""


def gather_receipts(columns: Columns, path: NDArray[np.uint8], left: NDArray[np.int64]) -> Receipts:
    """Receipts from a block's result columns.

    Args:
        columns: after execution.
        path: uint8 (n,).
        left: int64, address of what the calls of each worker left behind, outputs and events.
    """
    count = len(columns)
    if not columns[c.CALLS].any():
        nothing = np.zeros(count + 1, np.int64)
        silent = Messages(np.zeros(0, np.uint8), nothing[:1])
        empty = Messages(silent.data, nothing)
        return Receipts(path, columns[c.REASONS], columns[c.GAS], columns[c.RETURNED], empty, nothing, silent)
    outputs, events = np.empty(count + 1, np.int64), np.empty(count + 1, np.int64)
    sizes = np.empty(2, np.int64)
    _measure(columns.address, outputs, events, sizes)
    output, data = np.empty(int(outputs[-1]), np.uint8), np.empty(int(sizes[0]), np.uint8)
    bounds = np.zeros(int(events[-1]) + 1, np.int64)
    _copy_left(columns.address, left, outputs, output, events, bounds, data)
    returned = columns[c.RETURNED]
    return Receipts(
        path,
        columns[c.REASONS],
        columns[c.GAS],
        returned,
        Messages(output, outputs),
        events,
        Messages(data, bounds),
    )


@njit(nogil=True, cache=True)
def _measure(block, outputs, events, sizes):  # type: ignore[no-untyped-def]
    """Offsets of outputs and of events by transaction, and the bytes of all events."""
    outputs[0] = events[0] = 0
    total = 0
    for item in range(outputs.size - 1):
        ran = item8(block, c.REASONS, item) == 0
        count = item64(block, c.EVENT_COUNTS, item) if ran else 0
        outputs[item + 1] = outputs[item] + (item64(block, c.OUTPUT_SIZES, item) if ran else 0)
        events[item + 1] = events[item] + count
        total += item64(block, c.EVENT_SIZES, item) - EVENT_HEADER * count if ran else 0
    sizes[0] = total


@njit(nogil=True, cache=True)
def _copy_left(block, left, outputs, output, events, bounds, data):  # type: ignore[no-untyped-def]
    """Copy outputs and events, each event behind its length, to where they belong."""
    for item in range(outputs.size - 1):
        base = left[item8(block, c.OWNERS, item)]
        size = outputs[item + 1] - outputs[item]
        if size:
            copy(output.ctypes.data + outputs[item], base + item64(block, c.OUTPUT_PLACES, item), size)
        place = base + item64(block, c.EVENT_PLACES, item)
        for event in range(events[item], events[item + 1]):
            size = load32(place)
            place += EVENT_HEADER
            copy(data.ctypes.data + bounds[event], place, size)
            bounds[event + 1] = bounds[event] + size
            place += size
