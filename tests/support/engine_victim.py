# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that forks children which execute a persisted run until they are killed.

It executes the workload of `WORKLOADS` that its argument names. It has loaded all code before, so that a child begins at
once, and has no thread when it forks. It reads a directory and a number of threads from standard input for each child, and
says on standard output: `pid N`, then what the child says (`started`, `opened HEIGHT`, `block HEIGHT`, where HEIGHT is that
of the last block which the database has), and `ended` once the child is gone.
"""

from __future__ import annotations

import os
import sys
import time

from engine_runs import begin, blocks_of, config_of, genesis_commits

from supervm.engine.engine import Engine

WORKLOADS = {
    "token": {"transactions": 9_000, "accounts": 200, "block_size": 6, "hot_keys": 2, "hot_share": 0.2},
    "private": {"transactions": 1_200, "accounts": 20, "block_size": 4},
}
CHECKPOINT_BYTES = 40_000
PAUSE = 0.001
NAME = "now and then"
NAMED = 50
"""Every block of a multiple of this number is named, and the one before it forgotten."""


def say(words: str) -> None:
    """One line, in one write."""
    os.write(1, f"{words}\n".encode())


def run(name: str, path: str, threads: int) -> None:
    """Open, begin, and go on from where the state stands."""
    say("started")
    workload = blocks_of(name, **WORKLOADS[name])
    engine = Engine.open(path, config_of(workload, threads=threads, checkpoint_bytes=CHECKPOINT_BYTES))
    storage = engine.state.storage
    assert storage is not None
    say(f"opened {engine.height}")
    begin(engine, workload)
    done = engine.height - genesis_commits(workload)
    for number, block in enumerate(workload.blocks):
        if number < done:
            continue
        engine.execute(block)
        if (number + 1) % NAMED == 0:
            if NAME in engine.snapshots:
                engine.forget(NAME)
            engine.snapshot(NAME)
        say(f"block {storage.written}")
        time.sleep(PAUSE)
    while True:
        time.sleep(1)


def warm_up(name: str) -> None:
    """Load what a child will use."""
    workload = blocks_of(name, **WORKLOADS[name])
    with Engine.open(None, config_of(workload)) as engine:
        begin(engine, workload)
        engine.execute(next(workload.blocks))


if __name__ == "__main__":
    warm_up(sys.argv[1])
    say("ready")
    for line in sys.stdin:
        path, threads = line.rsplit(maxsplit=1)
        child = os.fork()
        if not child:
            say(f"pid {os.getpid()}")  # before whatever it says next
            try:
                run(sys.argv[1], path, int(threads))
            finally:
                os._exit(1)
        os.waitpid(child, 0)
        say("ended")
