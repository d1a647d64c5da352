# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 of shards and of the coordinator, each a process with its own directory: they end where one engine ends."""

from __future__ import annotations

import contextlib
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import shard_runs
import shard_victim
from patience import PATIENCE

from supervm.crypto.messages import Messages
from supervm.engine.workloads import Parameters, generate, write_workload
from supervm.engine.workloads.run import place_genesis
from supervm.tiers.shards.links import GrpcLink
from supervm.tiers.shards.reader import SnapshotReader
from supervm.tiers.shards.shard_map import ShardMap

KILLS = (0, 1, "run", 0, "run", 1, 0, "run")
"""What is killed: a shard by its number, or the coordinator."""

SECONDS = 2 * PATIENCE
"""For a line: a coordinator waits for a shard as long as the half."""


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Victims:
    """The process that forks, and what its children say."""

    def __init__(self, folder: Path, shard_map: ShardMap) -> None:
        self.folder = folder
        (folder / "map.json").write_text(shard_map.text())
        environment = {**os.environ, "PYTHONPATH": str(Path(shard_victim.__file__).parent)}
        self.process = subprocess.Popen(
            [sys.executable, shard_victim.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.pids: dict[object, int] = {}
        self.ended = "none yet"
        self.until("ready")

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line.strip())

    def until(self, *words: str) -> str:
        """The next line that begins with one of these; what was said of a coordinator's end is said until it is heard."""
        if self.ended.startswith(words):
            line, self.ended = self.ended, ""
            return line
        while not (line := self.lines.get(timeout=SECONDS)).startswith(words):
            if line.startswith(("stopped", "done")):
                self.ended = line
        return line

    def start(self, what: int | str) -> None:
        assert self.process.stdin is not None
        state = f"{self.folder / 'map.json'} {self.folder}"
        asked = (
            f"shard {what} {state}/shard-{what}"
            if what != "run"
            else f"run {state}/log {self.folder}/workload"
        )
        self.process.stdin.write(asked + "\n")
        self.process.stdin.flush()
        self.pids[what] = int(self.until("pid").split()[1])
        if what != "run":
            self.until(f"{what} ready")

    def kill(self, what: int | str) -> None:
        with contextlib.suppress(ProcessLookupError):
            while True:  # until the process has let go of its port and its files
                os.kill(self.pids[what], signal.SIGKILL)
                time.sleep(0.005)
        del self.pids[what]

    def close(self) -> None:
        for what in list(self.pids):
            self.kill(what)
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()


def test_kills_of_processes(tmp_path: Path) -> None:
    chosen = random.Random(8)
    found = ShardMap.uniform(2, [f"127.0.0.1:{port}" for port in free_ports(2)])
    parameters = Parameters(transactions=3_600, accounts=60, block_size=12, declared=True, gas_price=1)
    workload = generate("mixed", parameters)
    write_workload(tmp_path / "workload", workload)
    victims = Victims(tmp_path, found)
    try:
        for what in (0, 1, "run"):
            victims.start(what)
        for what in KILLS:
            for _ in range(chosen.randint(1, 12)):
                assert victims.until("block", "done", "stopped").startswith("block")
            time.sleep(chosen.random() * 0.01)
            victims.kill(what)
            victims.start(what)
            # A coordinator goes on if a shard is back in time to be told, and stops if it had not decided.
            if what != "run" and victims.until("block", "done", "stopped").startswith("stopped"):
                victims.pids.pop("run")
                victims.start("run")
        assert victims.until("done", "stopped") == "done"
        victims.pids.pop("run")
        with shard_runs.sequential() as engine:
            place_genesis(engine, workload.genesis)
            for block in workload.blocks:
                engine.execute(block)
            expected = {key: value for key, value in shard_runs.entries(engine.state).items() if key[0] != 2}
            height = engine.height
        links = [GrpcLink(number, address) for number, address in enumerate(found.addresses)]
        reader = SnapshotReader(found, links)
        snapshot = reader.snapshot()
        held = reader.read(snapshot, Messages.of(list(expected)))
        for link in links:
            link.close()
        assert snapshot.version == height
        assert held.present.all()
        assert [held.values[row] for row in range(len(held))] == list(expected.values())
    finally:
        victims.close()
