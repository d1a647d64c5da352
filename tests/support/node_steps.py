# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that kills a node before each of its durable steps, once each, and lets it go on.

It forks a child for each step: the child submits, packs and executes the same transactions until the step, and dies there by
SIGKILL. Another child goes on to the end and says `STEP NAME ROOT NUMBER COMMITTED`; step 0 is one that nobody kills.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine_runs import blocks_of
from node_chains import block_files, opened

from supervm.engine.state.state import State
from supervm.engine.transactions.encoding import encode, transaction_hashes
from supervm.kernels.threads import set_threads
from supervm.tiers.node.full_service import prune_inbox
from supervm.tiers.node.inbox import Inbox
from supervm.tiers.node.limits import BlockLimits, InboxLimits
from supervm.tiers.node.packing import Packer
from supervm.tiers.node.records import ChainRecords
from supervm.tiers.node.sources import DirectorySource, SubmittedBlocks

WORKLOAD = blocks_of("transfers", transactions=60, accounts=20, block_size=60, seed=4)
BATCH = WORKLOAD.transactions
BLOCKS, KEEP = 2, 1

STEPS: tuple[tuple[type, str], ...] = (
    (Inbox, "add"),
    (Inbox, "pack"),
    (Inbox, "prune"),
    (DirectorySource, "put"),
    (SubmittedBlocks, "put"),
    (ChainRecords, "begin"),
    (State, "commit"),
    (ChainRecords, "finish"),
)
"""What writes; each is killed before it and, by the next one, behind it."""


def kill_before(step: int) -> list[str]:
    """Die before this step; the names of the steps so far."""
    names: list[str] = []

    def counted(kind: type, name: str) -> None:
        method: Callable[..., Any] = getattr(kind, name)

        def call(*arguments: Any, **more: Any) -> Any:
            names.append(f"{kind.__name__}.{name}")
            if len(names) == step:
                os.write(1, f"{step} {names[-1]} ".encode())
                os.kill(os.getpid(), signal.SIGKILL)
            return method(*arguments, **more)

        setattr(kind, name, call)

    for kind, name in STEPS:
        counted(kind, name)
    return names


def run(folder: Path, chain: Path, directory: bool) -> str:
    """Submit everything and execute it; root, last block, and transactions that blocks committed."""
    (folder / "node").mkdir(parents=True, exist_ok=True)
    inbox = Inbox(folder / "node" / "inbox.sqlite", InboxLimits(BlockLimits(len(BATCH) // BLOCKS)))
    counts = {}

    def count(number: int, result: Any) -> None:
        counts[number] = result.stats.committed

    config = {"keep_receipts": KEEP}
    observers = (count, prune_inbox(inbox, KEEP))
    with opened(
        folder / "node", chain, directory=directory, config=config, keep_blocks=KEEP, observers=observers
    ) as node:
        encoded, hashes = encode(BATCH), transaction_hashes(BATCH)
        if node.number == 0:
            encodings = [encoded[row] for row in range(len(BATCH))]
            reasons = inbox.add([row.tobytes() for row in hashes], encodings, node.engine.accounts)
            assert not reasons.any()
        node.idle = Packer(node, inbox, 1e9, clock=lambda: 1_000.0).idle
        node.run(until=BLOCKS)
        kept = [node.records.block(number).committed for number in range(BLOCKS - KEEP + 1, BLOCKS + 1)]
        answer = f"{node.engine.state_root.hex()} {node.number} {sum(kept)} {inbox.waiting}"
    inbox.close()
    return answer


def forked(work: Callable[[], None]) -> None:
    """Do it in a child, and wait for its end."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def main(directory: bool) -> None:
    """Every step until there are no more."""
    step, steps = 0, 1
    with tempfile.TemporaryDirectory() as place:
        while step <= steps:
            chain, folder = Path(place) / f"chain{step}", Path(place) / f"node{step}"
            block_files(chain, WORKLOAD)
            reading, writing = os.pipe()

            def victim(
                step: int = step, folder: Path = folder, chain: Path = chain, out: int = writing
            ) -> None:
                names = kill_before(step)
                answer = run(folder, chain, directory)
                os.write(out, f"{len(names)} {answer}".encode())

            def again(folder: Path = folder, chain: Path = chain) -> None:
                os.write(1, f"{run(folder, chain, directory)}\n".encode())

            forked(victim)
            os.close(writing)
            said = os.read(reading, 1000).decode().split()
            os.close(reading)
            if said:
                steps = int(said[0])
                os.write(1, f"{step} whole {' '.join(said[1:])}\n".encode())
            else:
                forked(again)
            step += 1


if __name__ == "__main__":
    set_threads(1)
    main(sys.argv[1] == "directory")
