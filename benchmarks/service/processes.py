# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m supervm.benchmarks.service.processes`: two processes beside one, and what callers feel of replacing both.

Each has one thread. Batches of 4,096 signatures are verified as fast as answers come, by one process and by two. The time of
the processor that a signature takes says what two would do on cores of their own, which they share with the load generator
here. Then calls of 64 signatures come at a pace, through the client of several addresses, before and while SIGHUP replaces
both. Exit code 1 if a verdict was wrong or an answer is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import psutil
import uvloop

from supervm.benchmarks.errors import ServiceWrong
from supervm.benchmarks.service.load import Pace, unary
from supervm.benchmarks.service.process import Server, server
from supervm.benchmarks.service.requests import Signatures, signatures
from supervm.benchmarks.service.suite import BATCH, BATCHES, checked, without_collection
from supervm.benchmarks.service.tally import Tally
from supervm.tiers import console
from supervm.tiers.client import AsyncClient, ClientError
from supervm.tiers.environment import environment
from supervm.tiers.hardware import detect

SECONDS = 4.0
TURNS = 3
"""How often one and two processes are measured, in turns; the best of each counts."""

WARM_SECONDS = 1.0
IN_FLIGHT = 3
"""Requests without an answer, of each process: one is verified, one is read, one is on its way."""

CALL_ITEMS, CALLERS, CALLS_A_SECOND = 64, 16, 100.0
LONGEST_ROLL = 240.0
"""Seconds; kernels may have to be compiled."""

COUNTS = (1, 2)
"""Of processes, whose throughput is compared."""

REPLACED: int | str = 2
"""Processes that are replaced under load, as `--processes` takes it."""

_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
ONE_THREAD = ("--http", "off", "--threads", 1)


@dataclass(frozen=True)
class Throughput:
    """What so many processes verified.

    Args:
        processes: how many.
        rate: signatures a second.
        cpu: microseconds of the servers' processors for a signature.
        busy: cores that the servers kept busy.
    """

    processes: int
    rate: float
    cpu: float
    busy: float


@dataclass(frozen=True)
class Rolling:
    """What callers felt while all processes were replaced.

    Args:
        calls: while that was so.
        seconds: that it took.
        quiet_ms, rolling_ms: milliseconds within which 99 of 100 calls were answered before, and meanwhile.
        worst_ms: of the slowest one meanwhile.
    """

    calls: int
    seconds: float
    quiet_ms: float
    rolling_ms: float
    worst_ms: float


def throughput(processes: int, seconds: float, items: Signatures) -> Throughput:
    """Batches as fast as answers come.

    Raises:
        ServiceWrong: a verdict is wrong, or an answer is missing.
        ServerFailed: the server did not start, or did not end well.
    """
    requests = [
        (items.batch(first, BATCH), items.reply(first, BATCH)) for first in range(0, len(items), BATCH)
    ]
    tallies = [Tally() for _ in range(processes)]
    with server(
        "--processes", processes, "--addresses", "own", "--grpc", "127.0.0.1:0", *ONE_THREAD
    ) as running:
        serving = [psutil.Process(number) for number in _numbers(running)]

        async def load() -> tuple[float, float, float]:
            pace = Pace(1, IN_FLIGHT, 2 * WARM_SECONDS + seconds)
            loads = asyncio.gather(
                *(
                    unary(address, requests, pace, tally)
                    for address, tally in zip(running.grpc.split(","), tallies, strict=True)
                )
            )
            while not all(tally.done for tally in tallies):
                await asyncio.sleep(0.01)
            await asyncio.sleep(WARM_SECONDS)
            begin, before = time.perf_counter(), _cpu_seconds(serving)
            await asyncio.sleep(seconds)
            end, after = time.perf_counter(), _cpu_seconds(serving)
            await loads
            return after - before, begin, end

        with without_collection():
            cpu, begin, end = uvloop.run(load())
    for tally in tallies:
        checked(f"{processes} processes", tally)
    count = BATCH * sum(begin < moment <= end for tally in tallies for moment in tally.done)
    return Throughput(processes, count / (end - begin), 1e6 * cpu / max(count, 1), cpu / (end - begin))


def rolling(processes: int | str, seconds: float, items: Signatures) -> Rolling:
    """Calls at a pace, before and while all processes are replaced.

    Raises:
        ServiceWrong: a verdict is wrong, or an answer is missing.
        ServerFailed: the server did not start, or did not end well.
    """
    variables = {"SUPERVM_SERVICE_OPERATIONS": "127.0.0.1:0"}
    asked = ("--processes", processes, "--addresses", "own", "--grpc", "127.0.0.1:0", *ONE_THREAD)
    with server(*asked, variables=variables) as running, without_collection():
        quiet, meanwhile, lasted = uvloop.run(_rolled(running, seconds, items))
    for name, tally in (
        ("before processes are replaced", quiet),
        ("while processes are replaced", meanwhile),
    ):
        checked(name, tally)
    return Rolling(
        len(meanwhile.done),
        lasted,
        1e3 * quiet.percentile(0.99),
        1e3 * meanwhile.percentile(0.99),
        1e3 * max(meanwhile.took),
    )


async def _rolled(running: Server, seconds: float, items: Signatures) -> tuple[Tally, Tally, float]:
    quiet, meanwhile = Tally(), Tally()
    tallies, over = [Tally()], asyncio.Event()
    async with AsyncClient(running.grpc) as client:
        begin = time.perf_counter()

        async def caller(number: int) -> None:
            turn = number
            while not over.is_set():
                due = begin + turn / CALLS_A_SECOND
                await asyncio.sleep(due - time.perf_counter())
                first = CALL_ITEMS * turn % len(items)
                part, tally = items.items.part(first, first + CALL_ITEMS), tallies[-1]
                try:
                    found = await client.verify_ed25519(part.keys, part.messages, part.signatures)
                    tally.answered(due, found.tolist() == items.verdicts[first : first + CALL_ITEMS].tolist())
                except ClientError as error:
                    tally.error(type(error).__name__)
                turn += CALLERS

        callers = asyncio.gather(*(caller(number) for number in range(CALLERS)))
        await asyncio.sleep(WARM_SECONDS)
        tallies.append(quiet)
        await asyncio.sleep(seconds)
        before, began = set(_numbers(running)), time.perf_counter()
        tallies.append(meanwhile)
        running.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(LONGEST_ROLL):
            while before & await asyncio.to_thread(_now, running) or any(map(psutil.pid_exists, before)):
                await asyncio.sleep(0.1)
        lasted = time.perf_counter() - began
        over.set()
        await callers
    return quiet, meanwhile, lasted


def _now(running: Server) -> set[int]:
    """The processes that serve now."""
    with _DIRECTLY.open(f"http://{running.said['operations']}/processes.json") as answer:
        return {one["pid"] for one in json.load(answer)}


def _numbers(running: Server) -> list[int]:
    return [one["pid"] for one in running.said.get("processes", ())] or [running.process.pid]


def _cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in processes)


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(
        prog="supervm.benchmarks.service.processes", description=__doc__.partition(": ")[2]
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each measurement")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    given = parser.parse_args(arguments)
    items = signatures(BATCHES * BATCH)
    try:
        found = [throughput(count, given.seconds, items) for _ in range(TURNS) for count in COUNTS]
        rolled = rolling(REPLACED, given.seconds, items)
    except ServiceWrong as error:
        console.show_error(error)
        sys.exit(1)
    best = {each.processes: each for each in sorted(found, key=lambda each: each.rate)}
    one, two = best[COUNTS[0]], best[COUNTS[-1]]
    if given.json:
        told = {"one": asdict(one), "two": asdict(two), "rolling": asdict(rolled)}
        console.print_json({"environment": environment(detect()), **told})
        return
    console.print_pairs(
        [
            *(
                (
                    f"{each.processes} process{'es' if each.processes > 1 else ''}",
                    f"{each.rate:,.0f} signatures/s, {each.cpu:.2f} µs of a core each, {each.busy:.2f} cores busy",
                )
                for each in (one, two)
            ),
            (
                "gained",
                f"{two.rate / one.rate:.2f}x; {by_time(one, two):.2f}x on cores of their own, by the time of the processor",
            ),
            (
                "replacing both",
                f"{rolled.calls:,} calls in {rolled.seconds:.1f} s, none lost; 99 of 100 within {rolled.rolling_ms:.1f} ms, "
                f"{rolled.quiet_ms:.1f} ms before, all within {rolled.worst_ms:.1f} ms",
            ),
        ]
    )


def by_time(one: Throughput, two: Throughput) -> float:
    """How many times as much the second one's processes verify as the first one's, each of them with a core for itself."""
    return two.processes / one.processes * one.cpu / two.cpu


if __name__ == "__main__":
    main()
