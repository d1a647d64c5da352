# SPDX-License-Identifier: GPL-3.0-or-later
"""Chains for nodes: a genesis file and blocks of a workload, and nodes that run beside a test."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine_runs import blocks_of
from patience import PATIENCE

from supervm.engine.config import EngineConfig
from supervm.engine.workloads import Workload, write_workload
from supervm.engine.workloads.run import run_workload
from supervm.tiers.node.blocks import GENESIS_FILE, chain_of, genesis_hash_of, write_block
from supervm.tiers.node.full_node import FullNode

SMALL: dict[str, Any] = {"transactions": 600, "accounts": 60, "block_size": 50}


def write_genesis(folder: Path, workload: Workload) -> bytes:
    """Put a genesis file into a directory; its hash."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / GENESIS_FILE
    nothing = replace(
        workload, transactions=workload.transactions.slice(0, 0), block_offsets=workload.block_offsets[:1]
    )
    write_workload(path, nothing)
    return genesis_hash_of(path)


def block_files(folder: Path, workload: Workload) -> list[bytes]:
    """The blocks of a workload behind the genesis that is written into the directory."""
    return list(chain_of(workload.blocks, write_genesis(folder, workload)))


def write_chain(folder: Path, workload: Workload) -> list[bytes]:
    """As `block_files`, with every block in the directory."""
    files = block_files(folder, workload)
    for number, data in enumerate(files, 1):
        write_block(folder, number, data)
    return files


@functools.cache
def sequential_roots(name: str, **parameters: Any) -> list[bytes]:
    """The root after each block as `supervm run --mode sequential` has it; timestamps are those of `chain_of`."""
    run = run_workload(blocks_of(name, **parameters), EngineConfig(mode="sequential"))
    assert [result.timestamp for result in run.results] == list(range(1, len(run.results) + 1))
    return [result.state_root for result in run.results]


def opened(folder: Path, chain: Path, *, directory: bool = True, **more: Any) -> FullNode:
    """A node on `folder` that follows the directory `chain`, or takes blocks by calls."""
    settings = {"checkpoint_bytes": 60_000, **more.pop("config", {})}
    blocks = chain if directory else None
    return FullNode(folder, chain / GENESIS_FILE, EngineConfig(**settings), blocks=blocks, **more)


@contextmanager
def running(node: FullNode) -> Iterator[FullNode]:
    """Run a node on a thread of its own; what ended it is raised at the end."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            node.run()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="test-node")
    thread.start()
    try:
        yield node
    finally:
        node.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        node.close()
    if failed:
        raise failed[0]
