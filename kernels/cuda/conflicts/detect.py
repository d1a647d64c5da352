# SPDX-License-Identifier: GPL-3.0-or-later
"""Conflict detection on a device, with the whole block there. Results are the CPU's, array for array.

1. *Sort*: accesses, in block order, go by key to segments, in a stable radix sort over the bits in which keys
   differ at all. Rows of 32 bytes are sorted by a digest under a secret; rows decide equality, and if two
   different rows have one digest the sort is repeated under another secret.
2. *Link*: a scan carries the last writer of a segment to the reads (and writes) behind it, for `locking` another
   one carries the next writer back to the reads (`_Sorted`).
3. *Heat*: a radix select over the segments (`heat`).
4. *Waves* round by round, the rest in one pass of the CPU when rounds stop paying (`peeling`), and
   *edges* by sorting the links (`edges`).

Bytes moved for 10⁶ transactions of four reads and four writes, uniform ids out of 4·10⁶, `versioned`, where a number that
is gathered or scattered counts as a sector of 32: owners 0.18 GB; block order 0.21; each of three digits 0.26; segments
and marks 0.29; their scan 0.10; links 0.26; 19 rounds, which look 3.5·10⁶ times at a transaction (64 bytes) and once at
each link (36), 0.37. Together 2.2 GB, 1.1 ms at 60 % of an H100's 3.35 TB/s; 1.7 ms for ids that need eight digits.
`locking` scans, links and counts readers for 0.9 GB more, and its 37 rounds look 11.6·10⁶ times: 3.9 GB, 1.9 ms. Launches,
about 50 and 140, are queued ahead of the device, with three to four waits. Heat adds 0.25 GB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supervm.kernels.accesses import Accesses, Detected
from supervm.kernels.cpu.conflicts.detect import detect_conflicts
from supervm.kernels.cpu.conflicts.partition import random_mixer
from supervm.kernels.cuda.conflicts import edges as conflicts_edges
from supervm.kernels.cuda.conflicts import heat
from supervm.kernels.cuda.conflicts import peeling as conflicts_peeling
from supervm.kernels.cuda.conflicts.peeling import Links, peel
from supervm.kernels.cuda.runtime.device import THREADS, Buffer, Device, Stream
from supervm.kernels.cuda.runtime.radix_sort import (
    BUFFER_BYTES,
    DIGIT_BITS,
    MOST_BLOCKS,
    PROGRAM,
    Sorting,
    address,
    digits,
    fetch,
    scan,
    sort_bytes,
    tiles,
    within,
)
from supervm.kernels.errors import DeviceError, DeviceOutOfMemory

ROW_BYTES = 32

MOST_ATTEMPTS = 8
"""Digests of honest memory collide under so many secrets in a row never: see `_digest_bits`."""

VARYING, WIDEST, COLLIDED, CONTROL_WORDS = 0, 8, 12, 4
"""Byte offsets, in so many words, of what kernels report: the bits in which ids differ, the most accesses of a
transaction, whether two rows share a digest."""


@dataclass(frozen=True)
class Resident:
    """Read and write sets on a device; as `Accesses`, fewer than 2^31 accesses and at least one.

    Args:
        transactions, reads, writes: how many.
        width: words of a key, 1 for ids or 4 for rows.
    """

    transactions: int
    reads: int
    writes: int
    width: int
    read_offsets: Buffer
    read_keys: Buffer
    write_offsets: Buffer
    write_keys: Buffer

    @property
    def accesses(self) -> int:
        """Reads and writes together."""
        return self.reads + self.writes


def device_bytes(
    transactions: int, reads: int, writes: int, key_bytes: int, locking: bool, edges: bool
) -> int:
    """Device memory that `detect_on` takes at most, inputs included.

    Inputs: 16 bytes a transaction and `key_bytes` an access. All the time: 4 bytes an access for its transaction and 4 a
    link (one a read; for `locking` two a read and one a write). Besides, one after the other: 24.25 an access to sort
    and link, and less than 0.1 MB to rank heat; 16 a transaction for waves, 24 for `locking`; if edges are asked for,
    24.25 a link and 12 a transaction.
    """
    accesses = reads + writes
    links = 2 * reads + writes if locking else reads
    fixed = 16 * (transactions + 1) + key_bytes * accesses + 4 * (accesses + links)
    sorting = 24 * accesses + 8 + sort_bytes(accesses) + 4 * tiles(accesses) + heat.HEAT_BYTES
    peeling = (24 if locking else 16) * transactions + conflicts_peeling.ROUND_BYTES
    listing = 4 * transactions + conflicts_edges.edge_bytes(transactions, links) if edges else 0
    return fixed + max(sorting, peeling, listing) + 32 * BUFFER_BYTES


def detect(device: Device, accesses: Accesses, locking: bool, edges: bool) -> Detected:
    """`detect_conflicts` on one device.

    Raises:
        DeviceOutOfMemory: less is free than `device_bytes` says; nothing was started.
        DeviceError: the device failed.
    """
    n, reads, writes = accesses.read_offsets.size - 1, len(accesses.read_keys), len(accesses.write_keys)
    key_bytes = ROW_BYTES if accesses.read_keys.ndim == 2 else 8
    with device.use():
        need, free = device_bytes(n, reads, writes, key_bytes, locking, edges), device.free_bytes()
        if need > free:
            raise DeviceOutOfMemory(
                device.name, f"a block of {reads + writes} accesses takes {need} bytes, {free} are free"
            )
        return detect_on(device.stream(), accesses, locking, edges)


def place(stream: Stream, accesses: Accesses) -> Resident:
    """Queue the copies of a block to the device; `accesses` must not change before the stream was waited for."""
    arrays = (accesses.read_offsets, accesses.read_keys, accesses.write_offsets, accesses.write_keys)
    buffers = []
    for array in arrays:
        buffers.append(stream.allocate(max(8, array.nbytes)))
        stream.upload(array, buffers[-1])
    width = 1 if accesses.read_keys.ndim == 1 else accesses.read_keys.shape[1]
    n = accesses.read_offsets.size - 1
    return Resident(n, len(accesses.read_keys), len(accesses.write_keys), width, *buffers)


def detect_on(
    stream: Stream, accesses: Accesses, locking: bool, edges: bool, words: NDArray[np.uint64] | None = None
) -> Detected:
    """Waves, edges if asked for, and hot keys, equal to `detect_conflicts` in every array.

    Args:
        accesses: as for `detect_conflicts`.
        words: the first secret for digests of rows, as `random_mixer` draws one.

    Raises:
        DeviceError: the device failed.
    """
    if not len(accesses.read_keys) + len(accesses.write_keys):
        return detect_conflicts(accesses, locking, edges)
    block = place(stream, accesses)
    by_key = _Sorted(stream, block, words)
    links = by_key.links(locking)
    hot_keys, hot_counts = heat.hottest(
        stream, by_key.segments(), block.reads, block.width, block.read_keys, block.write_keys
    )
    del by_key
    wave_buffer, wave_count = peel(stream, links)
    wave = np.empty(block.transactions, np.int32)
    stream.download(wave_buffer, wave)
    if edges:
        edge_offsets, edge_list = conflicts_edges.edges(stream, links)
    else:
        edge_offsets, edge_list = np.empty(0, np.int64), np.empty(0, np.int32)
    stream.wait()
    return Detected(wave, wave_count, edge_offsets, edge_list, hot_keys, hot_counts)


def waves_on(
    stream: Stream, block: Resident, locking: bool, words: NDArray[np.uint64] | None = None
) -> tuple[Buffer, int]:
    """The waves of a block that lies on the device: int32 (n,) there, and how many waves there are. Waits for the stream.

    Raises:
        DeviceError: the device failed.
    """
    links = _Sorted(stream, block, words).links(locking)
    return peel(stream, links)


class _Sorted:
    """Accesses of a block by key, in block order within each, and what is found from that.

    Args:
        words: the first secret for digests of rows.

    The half of the sort's memory that is free after it holds, one after the other: marks that scans carry, in the first 4
    bytes an access, and whether a segment begins at each, in the others.
    """

    def __init__(self, stream: Stream, block: Resident, words: NDArray[np.uint64] | None) -> None:
        self.stream, self.block = stream, block
        total = block.accesses
        self.control = stream.allocate(4 * CONTROL_WORDS)
        self.sums = stream.allocate(4 * tiles(total))
        stream.clear(self.control)
        self.owner = self._owners()
        self.sorting = Sorting(
            stream.allocate(8 * total),
            stream.allocate(8 * total),
            stream.allocate(4 * total + 4),
            stream.allocate(4 * total + 4),
        )
        if block.width == 1:
            self._sort_ids()
        else:
            self._sort_rows(random_mixer() if words is None else words)

    def _launch(self, kernel: str, items: int, *arguments: Buffer | int | np.uint64) -> None:
        self.stream.launch_items(PROGRAM, kernel, items, *arguments)

    def _owners(self) -> Buffer:
        """1 + the transaction of every read, then of every write."""
        block, owner = self.block, self.stream.allocate(4 * self.block.accesses)
        self.stream.clear(owner)
        self.stream.launch(
            PROGRAM, "mark_owners", min(-(-block.transactions // THREADS), MOST_BLOCKS), THREADS,
            block.transactions, block.reads, block.read_offsets, block.write_offsets, owner, address(self.control, WIDEST),
        )  # fmt: skip
        scan(self.stream, block.accesses, owner, self.sums, adds=False)
        return owner

    @property
    def _sets(self) -> tuple[int, int, Buffer, Buffer, Buffer, Buffer, Buffer]:
        """What both kernels that put accesses in block order begin with."""
        block = self.block
        return (
            block.accesses, block.reads, block.read_keys, block.write_keys,
            block.read_offsets, block.write_offsets, self.owner,
        )  # fmt: skip

    def _sort_ids(self) -> None:
        sorting, total = self.sorting, self.block.accesses
        blocks = min(-(-total // THREADS), MOST_BLOCKS)
        target = sorting.keys, sorting.payload, address(self.control, VARYING)
        self.stream.launch(PROGRAM, "place_ids", blocks, THREADS, *self._sets, *target)
        low, high, self.widest, _ = fetch(self.stream, self.control, np.uint32, CONTROL_WORDS).tolist()
        sorting.sort(self.stream, total, digits(low | high << 32))
        self._mark()

    def _sort_rows(self, words: NDArray[np.uint64]) -> None:
        sorting, total = self.sorting, self.block.accesses
        secret = self.stream.allocate(ROW_BYTES)
        bits = _digest_bits(total)
        for _ in range(MOST_ATTEMPTS):
            drawn = np.ascontiguousarray(words[5:9])
            self.stream.upload(drawn, secret)
            self._launch("place_rows", total, *self._sets, secret, 64 - bits, sorting.keys, sorting.payload)
            sorting.sort(self.stream, total, digits((1 << bits) - 1))
            self._mark()
            _, _, self.widest, collided = fetch(self.stream, self.control, np.uint32, CONTROL_WORDS).tolist()
            if not collided:
                return
            self.stream.upload(np.zeros(1, np.uint32), self.control, COLLIDED)
            words, bits = random_mixer(), 64
        raise DeviceError(
            "conflict detection", f"different keys share a digest under {MOST_ATTEMPTS} secrets in a row"
        )

    def _mark(self) -> None:
        """Marks to be carried forward, and heads of segments."""
        block, sorting = self.block, self.sorting
        self._launch(
            "mark_segments", block.accesses,
            block.accesses, block.reads, block.width, block.read_keys, block.write_keys, sorting.keys, sorting.payload,
            self.owner, sorting.spare_keys, self._heads, address(self.control, COLLIDED),
        )  # fmt: skip

    @property
    def _heads(self) -> np.uint64:
        return address(self.sorting.spare_keys, 4 * self.block.accesses)

    def links(self, locking: bool) -> Links:
        """Every access' neighbours in its segment."""
        stream, block, sorting = self.stream, self.block, self.sorting
        total, reads, marks = block.accesses, block.reads, sorting.spare_keys
        read_earlier = stream.allocate(4 * max(1, reads))
        read_later = stream.allocate(4 * max(1, reads)) if locking else read_earlier
        write_earlier = stream.allocate(4 * max(1, block.writes)) if locking else read_earlier
        scan(stream, total, marks, self.sums, adds=False)
        self._launch(
            "link_back", total,
            total, reads, int(locking), sorting.keys, sorting.payload, marks, read_earlier, write_earlier,
        )  # fmt: skip
        if locking:
            self._launch("mark_ends", total, total, reads, sorting.keys, sorting.payload, self.owner, marks)
            scan(stream, total, marks, self.sums, adds=False, backward=True)
            self._launch("link_ahead", total, total, reads, sorting.keys, sorting.payload, marks, read_later)
        return Links(
            block.transactions, reads, block.writes, locking, block.read_offsets, block.write_offsets,
            self.owner, read_earlier, read_later, write_earlier, self.widest,
        )  # fmt: skip

    def segments(self) -> heat.Segments:
        """Where each key's accesses lie. Marks and heads are overwritten: links come first."""
        total, sorting = self.block.accesses, self.sorting
        scan(self.stream, total, self._heads, self.sums, adds=True)
        starts = sorting.spare_payload
        self._launch("segment_starts", total, total, self._heads, starts)
        found = int(fetch(self.stream, sorting.spare_keys, np.uint32, 1, 8 * total - 4)[0])
        distinct = within(found, 1, total, "keys")
        return heat.Segments(distinct, starts, sorting.payload, (sorting.spare_keys, self._heads))


def _digest_bits(accesses: int) -> int:
    """Bits of a digest, in whole digits: m different keys collide with a probability of m² / 2^(bits + 1), below 2^−8."""
    bits = 2 * accesses.bit_length() + 8
    return min(64, -(-bits // DIGIT_BITS) * DIGIT_BITS)
