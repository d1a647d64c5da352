# SPDX-License-Identifier: GPL-3.0-or-later
"""Receipts of a block in columns, and their canonical bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine import ragged
from supervm.engine.execution import columns as c
from supervm.engine.execution.columns import Columns
from supervm.vm.host_chain import EVENT_HEADER
from supervm.vm.outcomes import Reason, is_rejection


class Path(IntEnum):
    """How a transaction was executed."""

    FAST = 0
    CONSENSUS = 1
    PRIVACY = 2


@dataclass(frozen=True)
class Receipt:
    """What became of one transaction; the fields are those of `Receipts`."""

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
    | `return_value` | int64 (n,) | of the entry point; 0 unless it succeeded |
    | `output` | Messages (n) | |
    | `event_offsets`, `events` | int64 (n + 1,), Messages (e) | events of transaction i are offsets[i] … offsets[i + 1] − 1 |
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
        return ~np.isin(self.reason, [reason for reason in Reason if is_rejection(reason)])

    @property
    def success(self) -> NDArray[np.bool_]:
        """Which succeeded, bool (n,)."""
        return self.reason == Reason.NONE

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

    def equals(self, other: Receipts) -> bool:
        """Whether every receipt is the same."""
        return self.to_bytes() == other.to_bytes()


VERSION = 1
"""Of the canonical encoding of receipts."""


def gather_receipts(
    columns: Columns, path: NDArray[np.uint8], left: list[NDArray[np.uint8]]
) -> Receipts:
    """Receipts from a block's result columns.

    Args:
        columns: after execution.
        path: uint8 (n,).
        left: what the calls of each worker left behind, outputs and events.
    """
    joined = np.concatenate([*left, np.zeros(0, np.uint8)])
    starts = ragged.offsets_of(np.array([len(part) for part in left], np.int64))[:-1]
    base = starts[columns[c.OWNERS]]
    failed = columns[c.REASONS] != 0
    output_sizes = np.where(failed, 0, columns[c.OUTPUT_SIZES])
    counts = np.where(failed, 0, columns[c.EVENT_COUNTS])
    sizes = np.where(failed, 0, columns[c.EVENT_SIZES])
    offsets = ragged.offsets_of(counts)
    event_bounds = ragged.offsets_of(np.zeros(int(offsets[-1]), np.int64))
    events = np.empty(int(sizes.sum() - EVENT_HEADER * counts.sum()), np.uint8)
    outputs = ragged.offsets_of(output_sizes)
    output = np.empty(int(outputs[-1]), np.uint8)
    _copy_left(
        joined,
        base + columns[c.OUTPUT_PLACES],
        outputs,
        output,
        base + columns[c.EVENT_PLACES],
        offsets,
        event_bounds,
        events,
    )
    return Receipts(
        path,
        columns[c.REASONS],
        columns[c.GAS],
        np.where(failed, 0, columns[c.RETURNED]),
        Messages(output, outputs),
        offsets,
        Messages(events, event_bounds),
    )


@njit(nogil=True, cache=True)
def _copy_left(data, output_places, outputs, output, event_places, offsets, bounds, events):  # type: ignore[no-untyped-def]
    """Copy outputs and events, each event behind four bytes of its length, to where they belong."""
    for item in range(output_places.size):
        first = output_places[item]
        for at in range(outputs[item + 1] - outputs[item]):
            output[outputs[item] + at] = data[first + at]
        place = event_places[item]
        for event in range(offsets[item], offsets[item + 1]):
            size = np.int64(0)
            for at in range(EVENT_HEADER):
                size |= np.int64(data[place + at]) << (8 * at)
            place += EVENT_HEADER
            for at in range(size):
                events[bounds[event] + at] = data[place + at]
            bounds[event + 1] = bounds[event] + size
            place += size
