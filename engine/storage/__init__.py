# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistence of the state: blocks as atomic records, checkpoints, recovery."""

from supervm.engine.errors import StorageCorrupt, StorageError, StorageFailed, StorageUnavailable
from supervm.engine.storage.commit import Commit
from supervm.engine.storage.positions import Checkpoint, Head, Snapshot
from supervm.engine.storage.storage import CHECKPOINT_BYTES, Storage

__all__ = [
    "CHECKPOINT_BYTES",
    "Checkpoint",
    "Commit",
    "Head",
    "Snapshot",
    "Storage",
    "StorageCorrupt",
    "StorageError",
    "StorageFailed",
    "StorageUnavailable",
]
