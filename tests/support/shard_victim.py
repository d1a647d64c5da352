# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that forks children which are a shard or a coordinator until they are killed.

It has loaded all code before, so that a child begins at once, and has no thread when it forks. It reads lines: `shard NUMBER
MAP FOLDER` or `run MAP LOG WORKLOAD`. For each child it says `pid N`; a shard says `NUMBER ready`, a coordinator `block
HEIGHT` after each block, and `stopped REASON` or `done` at its end.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import traceback
from pathlib import Path

import shard_runs
from patience import PATIENCE

from supervm.engine.workloads import read_workload
from supervm.kernels.threads import set_threads
from supervm.tiers.shards.coordinator import Coordinator
from supervm.tiers.shards.errors import ShardUnavailable, VersionGone, VoteRefused
from supervm.tiers.shards.genesis import place_genesis
from supervm.tiers.shards.links import GrpcLink
from supervm.tiers.shards.participant import Participant
from supervm.tiers.shards.server import ShardServer
from supervm.tiers.shards.shard_map import ShardMap


def say(words: str) -> None:
    """One line, in one write."""
    os.write(1, f"{words}\n".encode())


def shard(number: int, map_file: str, folder: str) -> None:
    """Serve until the end."""
    found = ShardMap.read(Path(map_file))
    server = ShardServer(Participant(number, found, folder), found.addresses[number])
    server.start()
    say(f"{number} ready")
    threading.Event().wait()


def run(map_file: str, log: str, workload: str) -> None:
    """Go on from where the shards stand."""
    found, made = ShardMap.read(Path(map_file)), read_workload(Path(workload))
    links = [GrpcLink(number, address) for number, address in enumerate(found.addresses)]
    try:
        with Coordinator(found, links, log, prepare_seconds=PATIENCE, commit_seconds=PATIENCE) as coordinator:
            steps = place_genesis(coordinator, made.genesis)
            rest = list(made.blocks)[coordinator.height - steps :]
            for block in coordinator.run(rest):
                say(f"block {block.height}")
        say("done")
    except (ShardUnavailable, VersionGone, VoteRefused) as error:
        say(f"stopped {error}")


def warm_up() -> None:
    """Load what a child will use."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = shard_runs.Cluster(Path(folder), ShardMap.uniform(2))
        genesis, blocks = shard_runs.random_blocks(1, 40, accounts=20, most=40)
        place_genesis(cluster.revive(), genesis)
        for block in blocks:
            cluster.execute(block)
        cluster.close()
    set_threads(1)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    warm_up()
    say("ready")
    for line in sys.stdin:
        what, *arguments = line.split()
        child = os.fork()
        if not child:
            say(f"pid {os.getpid()}")  # before whatever it says next
            try:
                if what == "shard":
                    shard(int(arguments[0]), *arguments[1:])
                else:
                    run(*arguments)
            except BaseException:
                traceback.print_exc()
                raise
            finally:
                os._exit(1)
