# SPDX-License-Identifier: GPL-3.0-or-later
"""Persistence of the state: blocks as atomic records, checkpoints, recovery.

RocksDB is loaded with `Storage`, at its first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from supervm.engine.errors import StorageCorrupt, StorageError, StorageFailed, StorageUnavailable
from supervm.engine.storage.commit import CHECKPOINT_BYTES, Commit
from supervm.engine.storage.positions import Checkpoint, Head, Snapshot

if TYPE_CHECKING:
    from supervm.engine.storage.storage import Storage

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


def __getattr__(name: str) -> Any:
    if name != "Storage":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("supervm.engine.storage.storage").Storage
