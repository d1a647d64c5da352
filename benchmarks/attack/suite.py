# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs an attack: an honest load before it and during it, memory, refusals, and a stop while it goes on."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import grpc

from supervm.benchmarks.attack import honest
from supervm.benchmarks.attack.attacker import attacking
from supervm.benchmarks.attack.attacks import ATTACKS, Attack, Port
from supervm.benchmarks.attack.honest import Ask, Honest
from supervm.benchmarks.service.process import COMMAND, Server, server
from supervm.benchmarks.service.requests import signatures
from supervm.engine.workloads import write_workload
from supervm.engine.workloads.generate import generate
from supervm.engine.workloads.workload import Parameters
from supervm.tiers.client import AsyncClient
from supervm.tiers.node.admission import UNREAD_BYTES, queue

QUIET_SECONDS, ATTACK_SECONDS = 5.0, 10.0
START_SECONDS = 3.0
"""How long an attacker's process may take until it is at work."""
SINGLES = 256
WATCH_SECONDS = 0.05

TIMES_QUIET, HEALTH_MS = 5.0, 100.0
DRAIN_SECONDS, STOP_SECONDS = 3.0, 2.0
QUEUE_BYTES = 64 << 20
NODE_MESSAGE_BYTES = 64 << 20
NODE_BYTES = queue(NODE_MESSAGE_BYTES).most_size + UNREAD_BYTES
"""What a node keeps for its callers at most: `docs/node.md`, What callers may take."""
ROOM_BYTES = 192 << 20
"""What a server may take above its bound: buffers of the sockets, and freed memory that the allocator keeps."""

SERVE = ("--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
NODE_COMMAND = (*COMMAND[:-2], "node", "--json")


@dataclass(frozen=True)
class Outcome:
    """What came of an attack.

    Args:
        attack: its name.
        port: the port attacked.
        quiet_ms, attacked_ms: milliseconds within which 99 of 100 honest calls were answered, before it and during it.
        health_ms: the same of health checks during it.
        answered, wrong: honest calls and health checks during it.
        failed: those that ended in an error, by its name.
        memory_bytes: by which the server grew at most, against the end of the quiet time.
        bound_bytes: what it may keep for its callers by its settings.
        refusals: requests that the server counted as refused meanwhile.
        stop_seconds: from SIGTERM, sent during the attack, to the end of the process.
        exit_code: of the server.
        counts: what the attacker did.
    """

    attack: str
    port: str
    quiet_ms: float
    attacked_ms: float
    health_ms: float
    answered: int
    wrong: int
    failed: dict[str, int]
    memory_bytes: int
    bound_bytes: int
    refusals: int
    stop_seconds: float
    exit_code: int
    counts: dict[str, int]

    def problems(self) -> list[str]:
        """What does not hold, in words; empty if everything does."""
        found = [] if not self.wrong else [f"{self.wrong} wrong answers"]
        found += [f"{count} × {name}" for name, count in self.failed.items()]
        if not self.attacked_ms <= TIMES_QUIET * self.quiet_ms:
            found.append(
                f"p99 {self.attacked_ms:.1f} ms is over {TIMES_QUIET:.0f}x the quiet {self.quiet_ms:.1f} ms"
            )
        if not self.health_ms <= HEALTH_MS:
            found.append(f"health {self.health_ms:.0f} ms is over {HEALTH_MS:.0f} ms")
        if self.memory_bytes > self.bound_bytes + ROOM_BYTES:
            found.append(f"{self.memory_bytes >> 20} MiB more memory")
        if self.stop_seconds > DRAIN_SECONDS + STOP_SECONDS or self.exit_code:
            found.append(f"stopped after {self.stop_seconds:.1f} s with exit code {self.exit_code}")
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain types."""
        return {**asdict(self), "problems": self.problems()}


def run(name: str, seconds: float = ATTACK_SECONDS) -> Outcome:
    """Attack a server of its own.

    Args:
        name: of an attack.
        seconds: of the attack; honest callers ask all the time.

    Raises:
        ServerFailed: the server did not start.
    """
    attack = ATTACKS[name]
    with (
        tempfile.TemporaryDirectory(prefix="supervm-attack-") as folder,
        _target(attack, Path(folder)) as running,
    ):
        target = running.http if attack.port is Port.HTTP else running.grpc
        quiet = asyncio.run(_observed(attack.port, running, QUIET_SECONDS))[0]
        before, refused = running.resident(), _refusals(running)
        with attacking(name, target, START_SECONDS + seconds + DRAIN_SECONDS + STOP_SECONDS) as attacker:
            time.sleep(START_SECONDS)
            seen, most = asyncio.run(_observed(attack.port, running, seconds))
            refusals = _refusals(running) - refused
            begun = time.perf_counter()
            running.process.send_signal(signal.SIGTERM)
            code = running.process.wait()
            stopped = time.perf_counter() - begun
            counts = dict(attacker.counts())
    failed = dict(seen.calls.failed)
    for error, count in seen.probes.failed.items():
        failed[f"health: {error}"] = count
    return Outcome(
        name,
        attack.port.value,
        1e3 * quiet.calls.percentile(0.99),
        1e3 * seen.calls.percentile(0.99),
        1e3 * seen.probes.percentile(0.99),
        len(seen.calls.done) + len(seen.probes.done),
        seen.calls.wrong + seen.probes.wrong,
        failed,
        max(0, most - before),
        NODE_BYTES if attack.port is Port.NODE else QUEUE_BYTES,
        refusals,
        stopped,
        code,
        counts,
    )


async def _observed(port: Port, running: Server, seconds: float) -> tuple[Honest, int]:
    """What honest callers see in so many seconds, and the most memory that the server has meanwhile."""
    async with _questions(port, running) as (ask, probe):
        await asyncio.gather(ask(0), probe(0))  # connections stand before anything is timed
        task = asyncio.ensure_future(honest.observe(ask, probe, seconds))
        most = 0
        while not task.done():
            most = max(most, running.resident())
            await asyncio.sleep(WATCH_SECONDS)
        return await task, most


@asynccontextmanager
async def _questions(port: Port, running: Server) -> AsyncIterator[tuple[Ask, Ask]]:
    """A question of the load and one of health, for the port that is attacked."""
    items = signatures(SINGLES)
    if port is Port.HTTP:
        with closing(honest.Pool(running.http)) as pool:
            yield honest.posts(pool, items), honest.reads_health(running.http)
        return
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(running.grpc, options=options) as channel:
        if port is Port.NODE:
            yield honest.asks_accounts(channel), honest.checks_health(channel)
            return
        async with AsyncClient(running.grpc, timeout=honest.PATIENCE) as client:
            yield honest.verifies(client, items), honest.checks_health(channel)


@contextmanager
def _target(attack: Attack, folder: Path) -> Iterator[Server]:
    """A service, or a node that packs blocks or is sent them, with the settings that are attacked."""
    if attack.port is not Port.NODE:
        variables = {
            "SUPERVM_SERVICE_QUEUE_BYTES": str(QUEUE_BYTES),
            "SUPERVM_SERVICE_DRAIN_SECONDS": str(DRAIN_SECONDS),
        }
        with server(*SERVE, variables=variables) as running:
            yield running
        return
    workload = generate("transfers", Parameters(transactions=1, accounts=2, block_size=1, signed=True))
    write_workload(folder / "genesis.work", workload)
    (folder / "blocks").mkdir()
    places: tuple[object, ...] = ("--genesis", folder / "genesis.work", "--state", folder / "state")
    variables = {"SUPERVM_NODE_MESSAGE_BYTES": str(NODE_MESSAGE_BYTES)}
    if not attack.sent_blocks:
        places = (*places, "--blocks", folder / "blocks")
        variables |= {"SUPERVM_NODE_PACK_TRANSACTIONS": "1000", "SUPERVM_NODE_PACK_SECONDS": "0.2"}
    with server("--tier", "L2", *places, *SERVE, command=NODE_COMMAND, variables=variables) as running:
        yield running


def _refusals(running: Server) -> int:
    """Requests that the server did not answer with what was asked for."""
    return round(
        sum(
            value
            for name, value in honest.metrics(running.http).items()
            if name.startswith("supervm_requests_total") and 'code="OK"' not in name
        )
    )
