# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that forks children which run a node until they are killed.

It is told which chain it is: of the token, or one that has the EVM. It has loaded all code before, so that a child begins at
once, and has no thread when it forks. It reads the node's and the chain's directory and a number of threads for each child,
and says `pid N`, then what the child says (`opened NUMBER`, `block
NUMBER`), and `ended` once the child is gone.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from engine_runs import blocks_of
from ethereum_mix import mixed
from node_chains import opened, write_chain

from supervm.engine.workloads import Workload
from supervm.kernels.threads import set_threads

WORKLOAD: dict[str, Any] = {
    "transactions": 3_000,
    "accounts": 100,
    "block_size": 10,
    "hot_keys": 2,
    "hot_share": 0.2,
}
PAUSE = 0.001


def say(words: str) -> None:
    """One line, in one write."""
    os.write(1, f"{words}\n".encode())


def tell(number: int, result: object) -> None:
    """A block is done, and the next one waits a little."""
    say(f"block {number}")
    time.sleep(PAUSE)


def run(folder: Path, chain: Path, threads: int) -> None:
    """Go on from where the state stands, and wait for the end."""
    node = opened(folder, chain, config={"threads": threads}, observers=(tell,))
    say(f"opened {node.number}")
    node.run()


def chain_of(name: str, transactions: int = WORKLOAD["transactions"]) -> Workload:
    """The chain of this name, or one like it with fewer transactions."""
    if name == "token":
        return blocks_of("token", **{**WORKLOAD, "transactions": transactions})
    return mixed(4, transactions // 5, 3)


def warm_up(name: str) -> None:
    """Load what a child will use."""
    with tempfile.TemporaryDirectory() as folder:
        write_chain(Path(folder) / "chain", chain_of(name, 200))
        with opened(Path(folder) / "node", Path(folder) / "chain") as node:
            node.run(until=2)
    set_threads(1)


if __name__ == "__main__":
    warm_up(sys.argv[1])
    say("ready")
    for line in sys.stdin:
        folder, chain, threads = line.split()
        child = os.fork()
        if not child:
            say(f"pid {os.getpid()}")  # before whatever it says next
            try:
                run(Path(folder), Path(chain), int(threads))
            finally:
                os._exit(1)
        os.waitpid(child, 0)
        say("ended")
