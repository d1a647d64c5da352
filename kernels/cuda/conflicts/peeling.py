# SPDX-License-Identifier: GPL-3.0-or-later
"""Waves on a device, round by round: round r gives wave r to every unsettled transaction whose predecessors all have a
lower one. Readers before a writer are counted down in a second kernel of the round, so that no round sees what it does.

The others are listed for the next round, and each remembers which of its links it waits for: over all rounds every link
is followed once, and every waiting transaction looks at one word a round. Counts stay on the device; the host looks
after 8, 16, 32 and then every 64 rounds, and goes on while that pays (`_pays`). If it does not, or a single transaction
has so many links that one thread would follow them for long, the links go to the CPU, whose pass over the block is
linear whatever depends on what.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from supervm.kernels.cpu.conflicts import waves
from supervm.kernels.cuda.runtime.device import Buffer, Stream
from supervm.kernels.cuda.runtime.radix_sort import GROUP, MOST_BLOCKS, PROGRAM, fetch, within
from supervm.kernels.errors import DeviceError

FIRST_ROUNDS, MOST_ROUNDS_AT_ONCE, MOST_ROUNDS = 8, 64, 4096

MOST_WIDE = 4096
"""Accesses of one transaction beyond which the device is not asked: one thread follows them one after the other, some
half a microsecond each."""

ROUND_BYTES = 8 * (MOST_ROUNDS + MOST_ROUNDS_AT_ONCE + 1)
"""Device memory for the counts of all rounds."""

ROUND_SECONDS, LOOK_SECONDS = 12e-6, 1e-10
"""What a round takes: two launches, and about 100 bytes for each transaction that is looked at."""

REST_SECONDS, TRANSACTION_SECONDS, LINK_SECONDS = 100e-6, 8e-9, 4e-9
"""What the CPU's pass takes, copies included: to begin, and for each transaction and link of the block."""


@dataclass(frozen=True)
class Links:
    """A block's links on a device, named as in `supervm.kernels.cpu.conflicts.waves`; for `versioned` only `read_earlier`
    holds any.

    Args:
        read_offsets, write_offsets: int64 (transactions + 1,).
        owner: uint32, 1 + the transaction of every read, then of every write.
        read_earlier, read_later: uint32 (reads,); `write_earlier`: uint32 (writes,).
        widest: the most accesses of a transaction.
    """

    transactions: int
    reads: int
    writes: int
    locking: bool
    read_offsets: Buffer
    write_offsets: Buffer
    owner: Buffer
    read_earlier: Buffer
    read_later: Buffer
    write_earlier: Buffer
    widest: int

    @property
    def count(self) -> int:
        """Links of the block: one a read; for `locking` two a read and one a write."""
        return 2 * self.reads + self.writes if self.locking else self.reads


def peel(stream: Stream, links: Links) -> tuple[Buffer, int]:
    """The wave of every transaction, int32 (n,) on the device, and how many waves there are; n is not 0. Waits."""
    wave = stream.allocate(4 * links.transactions)
    count = 0 if links.widest > MOST_WIDE else _rounds(stream, links, wave)
    return wave, count or _rest(stream, links, wave)


def _rounds(stream: Stream, links: Links, wave: Buffer) -> int:
    """Fill `wave` and return how many waves there are, or 0 if rounds stopped paying."""
    n = links.transactions
    counts, settled_counts = stream.allocate(ROUND_BYTES // 2), stream.allocate(ROUND_BYTES // 2)
    cursor, lists = stream.allocate(4 * n), [stream.allocate(4 * n), stream.allocate(4 * n)]
    settled = stream.allocate(4 * n) if links.locking else cursor
    pending = stream.allocate(4 * n) if links.locking else cursor
    stream.launch_items(PROGRAM, "unsettle", n, n, wave)
    stream.clear(counts)
    stream.clear(settled_counts)
    stream.upload(np.array([n], np.uint32), counts)
    if links.locking:
        stream.clear(pending)
        stream.launch_items(
            PROGRAM, "count_readers", links.reads, links.reads, links.owner, links.read_later, pending
        )
    done, active, at_once = 0, n, FIRST_ROUNDS
    while done < MOST_ROUNDS:
        blocks = min(-(-active // GROUP), MOST_BLOCKS)
        for number in range(done, done + at_once):
            stream.launch(
                PROGRAM, "settle_round", blocks, GROUP, number, int(number == 0), int(links.locking),
                lists[number % 2], lists[1 - number % 2], counts, settled, settled_counts,
                links.read_offsets, links.read_earlier, links.write_offsets, links.write_earlier, pending, cursor, wave,
            )  # fmt: skip
            if links.locking:
                stream.launch(
                    PROGRAM, "release_round", blocks, GROUP // 2, number, settled_counts, settled,
                    links.read_offsets, links.read_later, pending,
                )  # fmt: skip
        left = fetch(stream, counts, np.uint32, at_once, 4 * (done + 1))
        if left[-1] == 0:
            return done + 1 + int(np.argmax(left == 0))
        still = within(int(left[-1]), 1, active - at_once, "unsettled transactions")
        if not _pays(active, still, at_once, links):
            return 0
        done, active, at_once = done + at_once, still, min(2 * at_once, MOST_ROUNDS_AT_ONCE)
    return 0


def _pays(before: int, after: int, rounds: int, links: Links) -> bool:
    """Whether the rounds still to come, if they settle as many as the last ones did, take no longer than the CPU's pass."""
    to_come = after * rounds / (before - after)
    seconds = to_come * (ROUND_SECONDS + after / 2 * LOOK_SECONDS)
    rest = REST_SECONDS + links.transactions * TRANSACTION_SECONDS + links.count * LINK_SECONDS
    return seconds <= rest


def _rest(stream: Stream, links: Links, wave_buffer: Buffer) -> int:
    """All waves on the CPU, copied to `wave_buffer`; how many there are."""
    n = links.transactions
    read_offsets = _offsets(stream, links.read_offsets, n, links.reads)
    read_earlier = _names(stream, links.read_earlier, links.reads, n)
    wave = np.empty(n, np.int32)
    if links.locking:
        write_offsets = _offsets(stream, links.write_offsets, n, links.writes)
        read_later = _names(stream, links.read_later, links.reads, n)
        write_earlier = _names(stream, links.write_earlier, links.writes, n)
        levels = np.zeros(n + 1, np.int32)
        count = waves.locking_waves(
            read_offsets, read_earlier, read_later, write_offsets, write_earlier, levels, wave
        )
    else:
        count = waves.versioned_waves(read_offsets, read_earlier, np.empty(n + 1, np.int32), wave)
    stream.upload(wave, wave_buffer)
    stream.wait()
    return int(count)


def _offsets(stream: Stream, buffer: Buffer, transactions: int, accesses: int) -> NDArray[np.int64]:
    """Offsets of so many transactions. Read-only, as everywhere: the CPU's functions would be compiled once more for
    offsets that may be written to. They do not check bounds, so a device's word is not taken for these.
    """
    offsets = fetch(stream, buffer, np.int64, transactions + 1)
    if offsets[0] != 0 or offsets[-1] != accesses or (offsets[1:] < offsets[:-1]).any():
        raise DeviceError("conflict detection", "offsets came back from the device changed")
    offsets.flags.writeable = False
    return offsets


def _names(stream: Stream, buffer: Buffer, count: int, transactions: int) -> NDArray[np.uint32]:
    """So many links, each 0 or 1 + a transaction."""
    names = fetch(stream, buffer, np.uint32, count)
    within(int(names.max(initial=0)), 0, transactions, "transactions in a link")
    return names
