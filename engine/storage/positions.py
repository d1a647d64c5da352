# SPDX-License-Identifier: GPL-3.0-or-later
"""The small records that say where the storage stands: its head with the named snapshots, and its checkpoint.

Both are struct-packed, little-endian. The snapshots lie inside the head's record because the head is written in the
batch of every commit: what is named can then never be older or newer than the head.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from supervm.engine.storage.commit import ROOT_BYTES
from supervm.engine.storage.records import Damaged
from supervm.kernels.errors import ArgumentError

NAME_BYTES = 255
"""Longest name of a snapshot (bytes of UTF-8)."""
SNAPSHOTS = 256
"""Most snapshots at a time: each is rewritten with every commit, and each keeps the log from itself on."""

_HEAD = struct.Struct(f"<QQ{ROOT_BYTES}sQQH")
_SNAPSHOT = struct.Struct("<QQQB")
_CHECKPOINT = struct.Struct(f"<QQQ{ROOT_BYTES}sQQIQQ")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A named commit.

    Args:
        sequence: the commit's number.
        height: its block number.
        logged: bytes of all records logged up to it (see `Head`).
    """

    sequence: int
    height: int
    logged: int


@dataclass(frozen=True, slots=True)
class Head:
    """The last commit; sequence 0 with 32 zero bytes as root before the first.

    Args:
        sequence: its number.
        height: its block number.
        root: state root after it, 32 bytes.
        timestamp: its timestamp.
        logged: bytes of all commits' records since the storage was created; differences of it say how large a
            stretch of the log is.
        snapshots: the named snapshots at this point, by name.
    """

    sequence: int = 0
    height: int = 0
    root: bytes = bytes(ROOT_BYTES)
    timestamp: int = 0
    logged: int = 0
    snapshots: Mapping[str, Snapshot] = field(default_factory=dict)

    def named(self, name: str) -> Head:
        """This head with a snapshot of that name at it.

        Raises:
            ArgumentError: the name is taken, empty or too long, or there are too many.
        """
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            raise ArgumentError("name", repr(name), "text that UTF-8 can encode") from None
        if not 1 <= size <= NAME_BYTES:
            raise ArgumentError("name", f"{size} bytes", f"1 to {NAME_BYTES} bytes of UTF-8")
        if name in self.snapshots:
            raise ArgumentError("name", f"{name!r}, which is taken", "a new name, or forget the old snapshot")
        if len(self.snapshots) == SNAPSHOTS:
            raise ArgumentError("name", f"snapshot {SNAPSHOTS + 1}", f"up to {SNAPSHOTS}; forget one")
        made = Snapshot(self.sequence, self.height, self.logged)
        return replace(self, snapshots={**self.snapshots, name: made})

    def forgotten(self, name: str) -> Head:
        """This head without the snapshot of that name.

        Raises:
            ArgumentError: there is none.
        """
        if name not in self.snapshots:
            raise ArgumentError("name", repr(name), f"one of {sorted(self.snapshots)}")
        return replace(self, snapshots={key: value for key, value in self.snapshots.items() if key != name})

    def packed(self) -> bytes:
        """The record's body."""
        parts = [
            _HEAD.pack(
                self.sequence, self.height, self.root, self.timestamp, self.logged, len(self.snapshots)
            )
        ]
        for name, snapshot in self.snapshots.items():
            encoded = name.encode()
            parts += [
                _SNAPSHOT.pack(snapshot.sequence, snapshot.height, snapshot.logged, len(encoded)),
                encoded,
            ]
        return b"".join(parts)

    @classmethod
    def unpacked(cls, body: memoryview) -> Head:
        """The head that a record's body holds.

        Raises:
            Damaged: the body is not one of a head.
        """
        try:
            sequence, height, root, timestamp, logged, count = _HEAD.unpack_from(body)
            place = _HEAD.size
            snapshots = {}
            for _ in range(count):
                *fields, length = _SNAPSHOT.unpack_from(body, place)
                place += _SNAPSHOT.size
                snapshots[bytes(body[place : place + length]).decode()] = Snapshot(*fields)
                place += length
        except (struct.error, UnicodeDecodeError) as error:
            raise Damaged(f"head: {error}") from None
        if place != len(body) or len(snapshots) != count:
            raise Damaged(f"head of {len(body)} bytes, {place} expected")
        return cls(sequence, height, root, timestamp, logged, snapshots)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The whole state as of one commit, in pages; generation 0 without pages before the first.

    Args:
        generation: number of the checkpoint, ascending.
        sequence: the commit that it holds the state of.
        height: its block number.
        root: its state root, 32 bytes.
        timestamp: its timestamp.
        logged: bytes logged up to it (see `Head`).
        pages: how many pages it has.
        keys: how many keys they hold.
        size: their bytes.
    """

    generation: int = 0
    sequence: int = 0
    height: int = 0
    root: bytes = bytes(ROOT_BYTES)
    timestamp: int = 0
    logged: int = 0
    pages: int = 0
    keys: int = 0
    size: int = 0

    def outgrown(self, logged: int, least: int) -> bool:
        """Whether the log is worth folding at `logged` (see `Head`): it is larger than the checkpoint, and than `least`."""
        return logged - self.logged > max(least, self.size)

    def packed(self) -> bytes:
        """The record's body."""
        return _CHECKPOINT.pack(
            self.generation,
            self.sequence,
            self.height,
            self.root,
            self.timestamp,
            self.logged,
            self.pages,
            self.keys,
            self.size,
        )

    @classmethod
    def unpacked(cls, body: memoryview) -> Checkpoint:
        """The checkpoint that a record's body holds.

        Raises:
            Damaged: the body is not one of a checkpoint.
        """
        try:
            return cls(*_CHECKPOINT.unpack(body))
        except struct.error as error:
            raise Damaged(f"checkpoint: {error}") from None
