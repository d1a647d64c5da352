# SPDX-License-Identifier: GPL-3.0-or-later
"""Soak and overload: what a service does over time, and beyond what it can do, measured and told.

Both watch the server's resident memory, and both end in an error if an accepted request got a wrong answer or none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, field
from typing import Any

import uvloop

from supervm.benchmarks.errors import ServiceWrong
from supervm.benchmarks.service import suite
from supervm.benchmarks.service.load import Pace, flood, streams, unary
from supervm.benchmarks.service.process import Server, server
from supervm.benchmarks.service.requests import SCHEMES, signatures
from supervm.benchmarks.service.suite import BATCH, BATCHES, checked, measured
from supervm.benchmarks.service.tally import Tally
from supervm.tiers import console
from supervm.tiers.environment import environment
from supervm.tiers.hardware import detect

WATCH_SECONDS = 0.05
QUEUE_BYTES = 64 << 20
TIMES_CAPACITY = 5
FLOOD_CLIENTS = 4

SOAK_SINGLES, SOAK_BATCH = 1024, 512
SOAK_STREAMS, SOAK_CALLERS = 8, 8
SOAK_RATE, SOAK_CALL_RATE = 2_000.0, 200.0
"""Single signatures a second by streams, and requests a second by calls: about half of what one core does."""


@dataclass
class Memory:
    """Resident bytes of a process: before a load, the most during it, and after it."""

    before: int = 0
    most: int = 0
    after: int = 0


@dataclass(frozen=True)
class Overload:
    """What came of more requests than the service can answer.

    Args:
        seconds: of the load.
        capacity: requests a second that the service answers when it is asked for no more.
        sent, answered, refused: requests.
        refusal_ms: milliseconds to a refusal: the median, 99 of 100, and the longest.
        queue_bytes: that the service was told to hold at most.
        memory: of the server.
    """

    seconds: float
    capacity: float
    sent: int
    answered: int
    refused: int
    refusal_ms: tuple[float, float, float]
    queue_bytes: int
    memory: Memory

    def to_json(self) -> dict[str, Any]:
        """Plain types by the names above, for a JSON file; `memory` is an object of its own."""
        return asdict(self)


@dataclass(frozen=True)
class Soak:
    """What came of a mixed load over time.

    Args:
        seconds: of the load.
        answers: by load.
        p99_ms: milliseconds within which 99 of 100 answers came, by load.
        memory: of the server.
    """

    seconds: float
    answers: dict[str, int]
    p99_ms: dict[str, float]
    memory: Memory = field(default_factory=Memory)

    def to_json(self) -> dict[str, Any]:
        """Plain types by the names above, for a JSON file; `memory` is an object of its own."""
        return asdict(self)


def overload(seconds: float, *, threads: int = 1, queue_bytes: int = QUEUE_BYTES) -> Overload:
    """Send five times as many requests of 4,096 signatures as the service answers.

    Args:
        seconds: how long.
        threads: of the server's batches.
        queue_bytes: that the service may hold.

    Raises:
        ServiceWrong: an accepted request got a wrong answer or none, or nothing was refused.
        ServerFailed: the server did not start, or did not end well.
    """
    items = signatures(BATCHES * BATCH)
    requests = [
        (items.batch(first, BATCH), items.reply(first, BATCH)) for first in range(0, len(items), BATCH)
    ]
    variables = {"SUPERVM_SERVICE_QUEUE_BYTES": str(queue_bytes)}
    with server(
        "--grpc", "127.0.0.1:0", "--http", "off", "--threads", threads, variables=variables
    ) as running:
        usual = measured(
            "capacity",
            lambda lasting, tally: unary(running.grpc, requests, Pace(2, 2, lasting), tally),
            suite.ROUND_SECONDS,
        )
        tally = Tally()
        rate = TIMES_CAPACITY * usual.timing.rate
        pace = Pace(FLOOD_CLIENTS, 0, seconds, rate)
        sent, memory = uvloop.run(_watched(running, flood(running.grpc, requests, pace, tally)))
    if tally.wrong or tally.failed or not tally.refused or len(tally.done) + len(tally.refused) != sent:
        raise ServiceWrong(
            "overload",
            f"{sent} sent, {len(tally.done)} answered, {tally.wrong} of them wrong, {len(tally.refused)} refused, "
            f"errors {tally.failed}",
        )
    waits = sorted(1e3 * wait for wait in tally.refused)
    shown = (waits[len(waits) // 2], waits[len(waits) * 99 // 100], waits[-1])
    return Overload(seconds, usual.timing.rate, sent, len(tally.done), len(waits), shown, queue_bytes, memory)


def soak(seconds: float, *, threads: int = 1) -> Soak:
    """Single signatures over streams, and small batches of every scheme by calls, at about half of what a core can do.

    Raises:
        ServiceWrong: a request got a wrong answer, a refusal or none.
        ServerFailed: the server did not start, or did not end well.
    """
    tallies = {"streams": Tally(), "calls": Tally()}
    singles = signatures(SOAK_SINGLES)
    requests = []
    for scheme in SCHEMES:
        items = signatures(SOAK_BATCH, scheme)
        requests += [(items.batch(0, count), items.reply(0, count)) for count in (1, 7, 64, SOAK_BATCH)]
    with server("--grpc", "127.0.0.1:0", "--http", "off", "--threads", threads) as running:

        async def mixed() -> None:
            await asyncio.gather(
                streams(
                    running.grpc, singles, Pace(SOAK_STREAMS, 32, seconds, SOAK_RATE), tallies["streams"]
                ),
                unary(
                    running.grpc, requests, Pace(SOAK_CALLERS, 1, seconds, SOAK_CALL_RATE), tallies["calls"]
                ),
            )

        _, memory = uvloop.run(_watched(running, mixed()))
    for name, tally in tallies.items():
        checked(f"soak, {name}", tally)
    return Soak(
        seconds,
        {name: len(tally.done) for name, tally in tallies.items()},
        {name: 1e3 * tally.percentile(0.99) for name, tally in tallies.items()},
        memory,
    )


async def _watched(running: Server, load: Coroutine[Any, Any, Any]) -> tuple[Any, Memory]:
    """Run a load and look at the server's memory meanwhile."""
    memory = Memory(before=running.resident())
    task = asyncio.ensure_future(load)
    while not task.done():
        memory.most = max(memory.most, running.resident())
        await asyncio.wait([task], timeout=WATCH_SECONDS)
    memory.after = running.resident()
    return task.result(), memory


def endure(
    soak_seconds: float | None, overload_seconds: float | None, threads: int | None, as_json: bool
) -> None:
    """`supervm bench service --soak SECONDS` and `--overload SECONDS`: run what is asked for, and print it.

    Raises:
        ServiceWrong, ServerFailed: see `soak` and `overload`.
    """
    found: dict[str, Soak | Overload] = {}
    with console.progress_line() as line:
        if soak_seconds is not None:
            line.update(f"soak, {soak_seconds:g} seconds")
            found["soak"] = soak(soak_seconds, threads=threads or 1)
        if overload_seconds is not None:
            line.update(f"overload, {overload_seconds:g} seconds")
            found["overload"] = overload(overload_seconds, threads=threads or 1)
    if as_json:
        told = {name: result.to_json() for name, result in found.items()}
        console.print_json({"environment": environment(detect()), **told})
        return
    for result in found.values():
        console.print_pairs(_soak(result) if isinstance(result, Soak) else _overload(result))


def _soak(result: Soak) -> list[tuple[str, str]]:
    answers = [
        (f"answers by {name}", f"{count:,}, 99 of 100 within {result.p99_ms[name]:.1f} ms")
        for name, count in result.answers.items()
    ]
    return [("soak", f"{result.seconds:g} s, every verdict right"), *answers, _memory(result.memory)]


def _overload(result: Overload) -> list[tuple[str, str]]:
    median, p99, worst = result.refusal_ms
    return [
        ("overload", f"{result.seconds:g} s, {result.sent:,} requests of 4,096 signatures"),
        ("capacity", f"{result.capacity:,.1f} requests/s"),
        ("answered", f"{result.answered:,}, every verdict right"),
        ("refused", f"{result.refused:,}, within {median:.1f} ms, {p99:.1f} (99 of 100), {worst:.1f} (all)"),
        ("queue", f"{result.queue_bytes >> 20:,} MiB"),
        _memory(result.memory),
    ]


def _memory(memory: Memory) -> tuple[str, str]:
    grown = (memory.most - memory.before) >> 20
    return "memory", f"{memory.before >> 20:,} MiB before, {memory.most >> 20:,} at most ({grown:+,} MiB)"
