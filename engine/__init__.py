# SPDX-License-Identifier: GPL-3.0-or-later
"""Block execution as a library. The executor is imported on first use: conflict detection and replay need neither a
contract runtime nor a database.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supervm.engine.blocks.receipts import Path, Receipt, Receipts
    from supervm.engine.blocks.result import BlockResult, BlockStats
    from supervm.engine.config import Collection, EngineConfig, Mode, Router, Schedule
    from supervm.engine.engine import Engine
    from supervm.engine.transactions.batch import Scheme, TransactionBatch

__all__ = [
    "BlockResult",
    "BlockStats",
    "Collection",
    "Engine",
    "EngineConfig",
    "Mode",
    "Path",
    "Receipt",
    "Receipts",
    "Router",
    "Schedule",
    "Scheme",
    "TransactionBatch",
]

_HOMES = {
    "config": ("Collection", "EngineConfig", "Mode", "Router", "Schedule"),
    "engine": ("Engine",),
    "blocks.receipts": ("Path", "Receipt", "Receipts"),
    "blocks.result": ("BlockResult", "BlockStats"),
    "transactions.batch": ("Scheme", "TransactionBatch"),
}
_HOME = {name: f"supervm.engine.{module}" for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
