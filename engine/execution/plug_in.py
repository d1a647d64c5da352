# SPDX-License-Identifier: GPL-3.0-or-later
"""What executes transactions of a kind of its own beside transfers, contracts and pools: a plug-in of the engine.

It works on the same access sets, and so on the same versions, roots and receipts: its transactions lie among all others of a
block, are executed ahead and validated like them, and know nothing of threads. The engine knows of it what stands here.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from supervm.engine.transactions.batch import Scheme, TransactionBatch
from supervm.kernels.array_types import Bytes, Numbers


class PluggedColumns(Protocol):
    """A plug-in's transactions as its compiled code takes them."""

    words: NDArray[np.int64]


class PlugIn(Protocol):
    """An execution engine beside the engine's own.

    Attributes:
        scheme: of the transactions that it executes.
        address: of a C function (worker, block, item), addresses and a number. It executes a transaction into the worker's
            access set, writes what became of it into the block's columns and its events and output behind the worker's
            others, and answers 0; or something else, with nothing of it left behind the worker's events, where something is
            full or missing: the access set's `NEEDS` says what.
    """

    scheme: Scheme
    address: int

    def attach(self, worker: int) -> int:
        """The address of what is kept for a worker, by its address; the worker's words stay where they are."""

    def begin(self, number: int, timestamp: int, root: bytes) -> None:
        """A block with this number and timestamp begins, on a state with this root."""

    def lay_out(self, batch: TransactionBatch, rows: Numbers) -> tuple[Bytes, PluggedColumns]:
        """What rejects the transactions at these rows in any state, `Reason` or 0, uint8 (m,), and the columns of all."""

    def refused(self, batch: TransactionBatch, rows: Numbers) -> Bytes:
        """What would reject the transactions at these rows in any state, uint8 (m,); from any thread."""

    def make_room(self, worker: int, need: int, needed: int) -> None:
        """Bring what a worker, by its address, lacks of what is the plug-in's: `context.PLUG_IN_NEEDS` and above.

        Raises:
            EngineError: it cannot be brought.
        """
