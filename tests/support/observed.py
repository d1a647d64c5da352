# SPDX-License-Identifier: GPL-3.0-or-later
"""A process to observe: metrics and a status board, blocks that nobody executed, and the routes on a port of their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import uvicorn
from fastapi import FastAPI
from patience import PATIENCE

from supervm.crypto.messages import Messages
from supervm.engine.blocks.receipts import Path, Receipts
from supervm.engine.blocks.result import BlockResult, BlockStats
from supervm.engine.scheduler.metrics import LABELS, Reading
from supervm.engine.scheduler.report import ExecutorReport, SchedulerReport
from supervm.tiers import Hardware
from supervm.tiers.observability.metrics import Metrics
from supervm.tiers.observability.routes import operations_router
from supervm.tiers.observability.status import StatusBoard
from supervm.tiers.settings import load
from supervm.tiers.shards.meters import ShardMetrics
from supervm.vm.outcomes import Reason

EDGE = Hardware(cores=4, memory=8 * 10**9, cpu="Example CPU")


@dataclass
class Observed:
    """Metrics, and the board that reads them, of an edge node."""

    hardware: Hardware = EDGE
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.board = StatusBoard(self.metrics, load(self.hardware, environment={}), self.hardware)

    def block(self, result: BlockResult) -> None:
        """Tell both of a block."""
        self.metrics.block(result)
        self.board.block(result)


def block_result(height: int = 1, *, way: str = "speculation") -> BlockResult:
    """Eight transactions: three fast, two of consensus, one private, two rejected."""
    path = np.array(
        [Path.FAST] * 3 + [Path.CONSENSUS] * 2 + [Path.PRIVACY] + [Path.CONSENSUS, Path.FAST], np.uint8
    )
    reason = np.array([0, 0, 0, 0, Reason.OUT_OF_GAS, 0, Reason.BAD_NONCE, Reason.BAD_NONCE], np.uint8)
    nothing = Messages.of([b""] * 8)
    receipts = Receipts(
        path,
        reason,
        np.zeros(8, np.uint64),
        np.zeros(8, np.int64),
        nothing,
        np.zeros(9, np.int64),
        Messages.of([]),
    )
    stats = BlockStats(
        transactions=8,
        committed=6,
        rejected=2,
        failed=1,
        fast=3,
        way=way,
        repeated=2,
        fell_back=4,
        fast_target=0.65,
        waiting=1,
        stages={"verify": 0.004, "execute": 0.02, "commit": 0.008},
    )
    return BlockResult(height, 100 + height, receipts, bytes([height]) * 32, 0, (0, 0, 0, 0), stats)


@contextmanager
def served(observed: Observed) -> Iterator[str]:
    """The routes on a free port of this machine; their address."""
    app = FastAPI()
    app.include_router(operations_router(observed.metrics, observed.board))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        (port,) = {socket.getsockname()[1] for one in server.servers for socket in one.sockets}
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


class EverySeries:
    """In a scheduler's place: one series of each of its metrics, and one device."""

    def metrics(self) -> tuple[Reading, ...]:
        return tuple(
            Reading(name, tuple((label, "x") for label in labels), 1, 1.0) for name, labels in LABELS.items()
        )

    def device_memory(self) -> dict[str, int]:
        return {"x": 1}

    def report(self, operations: object) -> SchedulerReport:
        return SchedulerReport("auto", (ExecutorReport("x", "gpu", "open", "why"),), "", (), "")


def busy() -> Observed:
    """One in which everything that has a metric has happened."""
    one = Observed()
    one.metrics.watch(EverySeries())  # type: ignore[arg-type]
    one.metrics.verified("ed25519", "ifma", np.array([1, 0, -1], np.int8))
    one.metrics.request("Verify", "OK", 0.01)
    one.metrics.closed("http", "silent")
    one.metrics.queue("gather", lambda: 1)
    one.metrics.conflicts(1)
    ShardMetrics(one.metrics.registry)  # of a shard's process
    one.block(block_result())
    return one


def exported() -> dict[str, set[str]]:
    """Name of every sample → its labels, without buckets' `le`."""
    found: dict[str, set[str]] = {}
    for family in busy().metrics.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(set(sample.labels) - {"le"})
    return found
