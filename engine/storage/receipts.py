# SPDX-License-Identifier: GPL-3.0-or-later
"""Which blocks' receipts are kept: those of the last blocks, and none above the head after a rollback."""

from __future__ import annotations

from supervm.engine.storage import layout
from supervm.engine.storage.database import Database

SINGLY = 64
"""Up to so many records are deleted one by one; RocksDB reads past many deleted ranges slowly."""


class ReceiptsWindow:
    """Heights of the stored receipts.

    Args:
        database: where they lie.
        keep: how many heights to keep, counted down from the head's; 0 keeps none.

    Raises:
        StorageCorrupt: the database cannot be read.
    """

    def __init__(self, database: Database, keep: int) -> None:
        self._keep = keep
        first = next(database.keys(layout.receipts_key(0)), layout.AFTER_RECEIPTS)
        self._oldest = int.from_bytes(first[1:], "big") if first < layout.AFTER_RECEIPTS else None

    def step(
        self, before: int, height: int, receipts: bytes | None
    ) -> tuple[list[tuple[bytes, bytes]], list[bytes], list[tuple[bytes, bytes]]]:
        """What to put, to delete, and which ranges to delete with a commit.

        Args:
            before: the head's height before it.
            height: its height.
            receipts: its block's receipts, None without any.
        """
        deleted: list[bytes] = []
        ranges: list[tuple[bytes, bytes]] = []
        if height < before:
            ranges.append((layout.receipts_key(height) + b"\0", layout.AFTER_RECEIPTS))
        after = height - self._keep + 1
        if self._oldest is not None and self._oldest < after:
            if after - self._oldest <= SINGLY:
                deleted += map(layout.receipts_key, range(self._oldest, after))
            else:
                ranges.append((layout.receipts_key(self._oldest), layout.receipts_key(after)))
            self._oldest = after
        if receipts is None or not self._keep:
            return [], deleted, ranges
        self._oldest = height if self._oldest is None else min(self._oldest, height)
        return [(layout.receipts_key(height), receipts)], deleted, ranges
