# SPDX-License-Identifier: GPL-3.0-or-later
"""Stable radix sorts and scans on a device, as launches of the program `conflicts`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.kernels.cuda.runtime.device import Buffer, Program, Stream
from supervm.kernels.errors import DeviceError

PROGRAM = Program("conflicts")

TILE = 4096
"""Numbers that a block of 256 threads takes at a time; `SORT_TILE` and `SCAN_TILE` of the sources."""

GROUP = 256
"""Threads of a block in kernels that work together."""

DIGIT_BITS = 8
DIGITS = 1 << DIGIT_BITS

MOST_BLOCKS = 2048
"""Blocks of a launch whose threads take many items each: more than any GPU holds at a time."""

BUFFER_BYTES = 512
"""What a buffer may take beyond its size: its rounding up and its padding."""


def tiles(count: int) -> int:
    """Tiles of so many numbers."""
    return -(-count // TILE)


def fetch(stream: Stream, buffer: Buffer, dtype: type, count: int, offset: int = 0) -> NDArray[Any]:
    """`count` numbers of a buffer, from byte `offset` on; waits for the stream."""
    host: NDArray[Any] = np.empty(count, dtype)
    stream.download(buffer, host, offset)
    stream.wait()
    return host


def within(number: int, least: int, most: int, what: str) -> int:
    """A number that the device has found, if it can be right: sizes of arrays and ends of loops come from it.

    Raises:
        DeviceError: it cannot.
    """
    if not least <= number <= most:
        raise DeviceError(
            "conflict detection", f"the device counts {number} {what}, where {least} to {most} can be"
        )
    return number


def address(buffer: Buffer, offset: int) -> np.uint64:
    """Byte `offset` of a buffer, as a kernel's argument."""
    return np.uint64(buffer.address + offset)


def digits(varying: int) -> list[int]:
    """Shifts of the 8-bit digits, from the lowest, that cover every set bit of `varying` and are as few as can be."""
    shifts = []
    bit = 0
    while varying >> bit:
        bit += (varying >> bit & -(varying >> bit)).bit_length() - 1
        shifts.append(bit)
        bit += DIGIT_BITS
    return shifts


def scan(
    stream: Stream,
    count: int,
    numbers: Buffer | np.uint64,
    sums: Buffer,
    *,
    adds: bool,
    backward: bool = False,
) -> None:
    """Replace u32 numbers by their inclusive scan.

    Args:
        sums: work space, 4 bytes a tile.
        adds: sums, or else the last number that is not zero.
        backward: from the end.
    """
    parts, direction = tiles(count), int(backward)
    blocks = min(parts, MOST_BLOCKS)
    stream.launch(PROGRAM, "scan_sums", blocks, GROUP, count, parts, int(adds), direction, numbers, sums)
    stream.launch(PROGRAM, "scan_tiles", 1, GROUP, parts, int(adds), sums)
    stream.launch(
        PROGRAM, "scan_apply", blocks, GROUP, count, parts, int(adds), direction, numbers, sums, numbers
    )


@dataclass
class Sorting:
    """Keys of 64 bits, with or without a payload of 32, and as much room beside them.

    Args:
        keys, payload: what is sorted; after `sort`, sorted.
        spare_keys, spare_payload: the other half; contents unknown after `sort`. Without payload both are `keys`.
    """

    keys: Buffer
    spare_keys: Buffer
    payload: Buffer
    spare_payload: Buffer

    def sort(self, stream: Stream, count: int, shifts: list[int]) -> None:
        """Sort `count` keys, stably, by the digits at these shifts, the lowest first."""
        parts = tiles(count)
        places, totals = stream.allocate(DIGITS * parts * 4), stream.allocate(DIGITS * 4)
        blocks = min(parts, MOST_BLOCKS)
        loaded = int(self.payload is not self.keys)
        for shift in shifts:
            stream.launch(PROGRAM, "radix_counts", blocks, GROUP, count, parts, shift, self.keys, places)
            stream.launch(PROGRAM, "radix_places", DIGITS, GROUP, parts, places, totals)
            stream.launch(
                PROGRAM, "radix_scatter", blocks, GROUP, count, parts, shift, loaded,
                self.keys, self.payload, places, totals, self.spare_keys, self.spare_payload,
            )  # fmt: skip
            self.keys, self.spare_keys = self.spare_keys, self.keys
            if loaded:
                self.payload, self.spare_payload = self.spare_payload, self.payload
            else:
                self.payload = self.spare_payload = self.keys


def sort_bytes(count: int) -> int:
    """Device bytes that `Sorting.sort` allocates."""
    return (tiles(count) + 1) * DIGITS * 4 + 2 * BUFFER_BYTES
