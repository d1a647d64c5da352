# SPDX-License-Identifier: GPL-3.0-or-later
"""Shards of this process that die at chosen steps and come back from what was on the disk; the engine that they equal."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from supervm.engine.config import EngineConfig, Mode
from supervm.engine.engine import Engine
from supervm.engine.state.state import State
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.workloads.generate import generate
from supervm.engine.workloads.workload import Genesis, Parameters
from supervm.tiers.shards.coordinator import Coordinator
from supervm.tiers.shards.errors import ShardUnavailable
from supervm.tiers.shards.participant import Participant
from supervm.tiers.shards.shard_map import ShardMap

FAULTS = ("lost request", "lost reply", "twice")


class Killed(BaseException):
    """The process ends here."""


def scratch() -> Path:
    """A directory whose disk does not wait, if there is one; votes and logs are tested for order, not for power."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))


class Cluster:
    """Shards, a coordinator, and what goes wrong with them.

    Args:
        folder: of all their directories.
        shard_map: of the shards.
        faults: asked at each step (`shard N: STEP` or `coordinator: STEP`) whether the process ends there.
        lost: asked at each call what happens to its message: one of `FAULTS`, or nothing.
    """

    def __init__(
        self,
        folder: Path,
        shard_map: ShardMap,
        faults: Callable[[str], bool] = lambda step: False,
        lost: Callable[[str], str] = lambda call: "",
    ) -> None:
        self.folder, self.map, self.faults, self.lost = folder, shard_map, faults, lost
        self._lives = [0] * len(shard_map)
        self.kills: list[str] = []
        self.shards: list[Participant | None] = [None] * len(shard_map)
        self.coordinator: Coordinator | None = None
        self.revive()

    def revive(self) -> Coordinator:
        """Begin again whatever is dead; the coordinator may die of that."""
        while True:
            for number in range(len(self.map)):
                self.revived_shard(number)
            if self.coordinator is not None:
                return self.coordinator
            try:
                self.coordinator = Coordinator(
                    self.map,
                    [_Victim(self, number) for number in range(len(self.map))],
                    self.folder / "log",
                    commit_seconds=0.0,
                    step=lambda step: self._maybe_killed(f"coordinator: {step}"),
                )
            except ShardUnavailable:
                continue

    def execute(self, batch: TransactionBatch) -> Any:
        """Execute a block, however often it takes; what it came to, None where nobody was left to say."""
        height = self.revive().height
        while True:
            coordinator = self.revive()
            if coordinator.height > height:
                return None
            try:
                return coordinator.execute(batch)
            except ShardUnavailable:
                continue
            except Killed:
                self.stop_coordinator()

    def copy(self, number: int, folder: Path) -> None:
        """Copy what the directory of a shard holds at this moment."""
        shutil.copytree(self._path(number), folder)

    def restore(self, number: int, folder: Path) -> None:
        """The process of a shard ends, and what comes back has this copy of its directory."""
        dead = self.shards[number]
        assert dead is not None
        dead.close()
        shutil.rmtree(self._path(number))
        shutil.copytree(folder, self._path(number))
        self.shards[number] = self._opened(number)

    def revived_shard(self, number: int) -> Participant:
        """A shard, begun again if it is dead."""
        shard = self.shards[number]
        if shard is None:
            shard = self.shards[number] = self._opened(number)
        return shard

    def stop_coordinator(self) -> None:
        """The coordinator's process ends."""
        if self.coordinator is not None:
            self.coordinator.close()
            self.coordinator = None

    def kill(self, number: int) -> None:
        """The process of a shard ends: what comes back is what its directory holds at this moment."""
        dead = self.shards[number]
        assert dead is not None
        before = self._path(number)
        self._lives[number] += 1
        shutil.copytree(before, self._path(number))
        self.shards[number] = None
        dead.close()
        shutil.rmtree(before)

    def state(self) -> dict[bytes, bytes]:
        """Every key of every shard and its value."""
        found: dict[bytes, bytes] = {}
        for number, shard in enumerate(self.shards):
            assert shard is not None
            mine = entries(shard.engine.state)
            assert all(self.map.owner(key) == number or key[0] == 2 for key in mine)
            found |= mine
        return found

    def close(self) -> None:
        """End everything."""
        self.stop_coordinator()
        for shard in self.shards:
            if shard is not None:
                shard.close()

    def call(self, number: int, name: str, request: Any) -> Any:
        """What a shard answers, if it does."""
        fault = self.lost(f"shard {number}: {name}")
        shard = self.shards[number]
        if shard is None or fault == "lost request":
            raise ShardUnavailable(number, "here", "no answer")
        try:
            if fault == "twice":
                getattr(shard, name.lower())(request)
            reply = getattr(shard, name.lower())(request)
        except Killed:
            self.kill(number)
            raise ShardUnavailable(number, "here", "it died") from None
        if fault == "lost reply":
            raise ShardUnavailable(number, "here", "no answer")
        return reply

    def _path(self, number: int) -> Path:
        return self.folder / f"shard-{number}-{self._lives[number]}"

    def _opened(self, number: int) -> Participant:
        return Participant(
            number,
            self.map,
            self._path(number),
            step=lambda step: self._maybe_killed(f"shard {number}: {step}"),
        )

    def _maybe_killed(self, step: str) -> None:
        if self.faults(step):
            self.kills.append(step)
            raise Killed(step)


class _Victim:
    """A link to a shard that may be dead."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.address = "here"
        self._cluster, self._number = cluster, number

    def call(self, name: str, request: Any, seconds: float) -> Callable[[], Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(self._cluster.call(self._number, name, request))
        except Exception as error:
            done.set_exception(error)
        return done.result

    def close(self) -> None:
        pass


def entries(state: State) -> dict[bytes, bytes]:
    """Every key of a state and its value after the last commit."""
    numbers = np.arange(len(state.store.keys))
    keys = state.store.keys.strings(numbers)
    values, present = state.store.values(numbers, state.position.commit)
    key_data, value_data = keys.data.tobytes(), values.data.tobytes()
    return {
        key_data[keys.offsets[row] : keys.offsets[row + 1]]: value_data[
            values.offsets[row] : values.offsets[row + 1]
        ]
        for row in np.flatnonzero(present)
    }


def sequential() -> Engine:
    """The engine whose results shards must reproduce."""
    return Engine.open(None, EngineConfig(mode=Mode.SEQUENTIAL))


def random_blocks(
    seed: int, transactions: int, accounts: int, most: int
) -> tuple[Genesis, list[TransactionBatch]]:
    """Blocks of up to `most` transactions of every kind: some come twice, some have too little gas."""
    made = generate(
        "mixed",
        Parameters(
            transactions=transactions,
            accounts=accounts,
            block_size=transactions,
            seed=seed,
            declared=True,
            gas_price=1,
            object_share=0.2,
        ),
    )
    chosen = random.Random(seed)
    batch = made.transactions
    poor = np.array([chosen.random() < 0.05 for _ in range(len(batch))])
    object.__setattr__(batch, "gas_limit", np.where(poor, np.uint64(1_500), batch.gas_limit))
    rows = [row for row in range(len(batch)) for _ in range(1 + (chosen.random() < 0.05))]
    blocks, at = [], 0
    while at < len(rows):
        count = chosen.randint(0, most)
        blocks.append(batch.take(np.array(rows[at : at + count], np.int64)))
        at += count
    return made.genesis, blocks
