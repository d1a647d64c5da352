# SPDX-License-Identifier: GPL-3.0-or-later
"""Columns as messages of the protocol, and back; bytes are viewed, never copied. And what a batch of writes is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.kernels.array_types import Bytes, Flags, Numbers
from supervm.kernels.errors import ArgumentError
from supervm.tiers.service.v1 import shard_pb2 as pb

NO_STRINGS = Messages(np.zeros(0, np.uint8), np.zeros(1, np.int64))


@dataclass(frozen=True, eq=False)
class Entries:
    """Keys of the state, and their values.

    Args:
        keys, values: n strings each; an empty value where there is none.
        present: bool (n,), whether the key has a value.
    """

    keys: Messages
    values: Messages
    present: Flags

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: Numbers) -> Entries:
        """The entries at these indices, int64 (m,)."""
        return Entries(ragged.taken(self.keys, rows), ragged.taken(self.values, rows), self.present[rows])

    @staticmethod
    def joined(parts: list[Entries]) -> Entries:
        """All entries of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        return Entries(
            ragged.joined([each.keys for each in parts]),
            ragged.joined([each.values for each in parts]),
            np.concatenate([np.zeros(0, np.bool_), *(each.present for each in parts)]),
        )


NO_ENTRIES = Entries(NO_STRINGS, NO_STRINGS, np.zeros(0, np.bool_))


def kinds_of(keys: Messages) -> Bytes:
    """The kind of each key, its first byte, uint8 (n,); 255, which is none, of an empty one."""
    kinds = np.full(len(keys), 0xFF, np.uint8)
    some = np.flatnonzero(np.diff(keys.offsets) > 0)
    kinds[some] = keys.data[keys.offsets[some]]
    return kinds


def strings_of(messages: Messages) -> pb.Strings:
    """A column of strings as a message."""
    first, stop = int(messages.offsets[0]), int(messages.offsets[-1])
    offsets = messages.offsets if first == 0 else messages.offsets - first
    return pb.Strings(data=messages.data[first:stop].tobytes(), offsets=offsets.tobytes())


def messages_of(field: str, strings: pb.Strings) -> Messages:
    """A message as a column of strings.

    Raises:
        ArgumentError: its offsets are none.
    """
    if not strings.offsets:
        return NO_STRINGS
    if len(strings.offsets) % 8:
        raise ArgumentError(f"{field}.offsets", f"{len(strings.offsets)} bytes", "int64 each")
    data, offsets = np.frombuffer(strings.data, np.uint8), np.frombuffer(strings.offsets, np.int64)
    if offsets[0] != 0 or offsets[-1] != len(data):
        found = f"{offsets[0]} to {offsets[-1]}"
        raise ArgumentError(f"{field}.offsets", found, f"0 to {len(data)}, the length of the data")
    return Messages(data, offsets)


def flags_of(field: str, packed: bytes, count: int) -> Flags:
    """One byte each as flags.

    Raises:
        ArgumentError: another number of them, or other bytes than 0 and 1.
    """
    found: Bytes = np.frombuffer(packed, np.uint8)
    if len(found) != count or (count and found.max() > 1):
        raise ArgumentError(field, f"{len(found)} bytes", f"{count} bytes, each 0 or 1")
    return found.view(np.bool_)


def entries_of(field: str, keys: pb.Strings, values: pb.Strings, present: bytes | None = None) -> Entries:
    """Entries of a message; all have a value if `present` is None.

    Raises:
        ArgumentError: columns that are none, or of different lengths.
    """
    names, held = messages_of(f"{field}_keys", keys), messages_of(f"{field}_values", values)
    if len(names) != len(held):
        raise ArgumentError(f"{field}_values", f"{len(held)} strings", f"{len(names)}, as many as keys")
    flags = (
        np.ones(len(names), np.bool_)
        if present is None
        else flags_of(f"{field}_present", present, len(names))
    )
    return Entries(names, held, flags)
