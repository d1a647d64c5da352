# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite `service`: a server in a process of its own and clients in this one, over loopback, on the same cores.

`service.batch4096` stands beside the library itself, `service.stream` and `service.unary` beside a server whose handlers do
nothing. Signatures are Ed25519, one in four damaged, and every answer is compared with the library's.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import uvloop

from supervm.benchmarks.cases import SERVICE
from supervm.benchmarks.errors import ServiceWrong
from supervm.benchmarks.measure import Contender, Timing, timings
from supervm.benchmarks.rows import PeerRow, Row
from supervm.benchmarks.service import empty
from supervm.benchmarks.service.load import Pace, streams, unary
from supervm.benchmarks.service.process import Server, server
from supervm.benchmarks.service.requests import Signatures, signatures
from supervm.benchmarks.service.tally import Tally
from supervm.crypto import ed25519
from supervm.kernels import get_threads, registry, set_threads
from supervm.tiers.environment import version

BATCH = 4096
BATCHES = 4
"""Different requests of that size."""
BATCH_CLIENTS, BATCH_IN_FLIGHT = 2, 2

CLIENTS = 64
STREAM_IN_FLIGHT = 32
STREAM_LOAD = 10_000
"""Single signatures a second that streams are to carry; how long answers take is measured at half of this, or of less where
there is less."""
SINGLES = 4096
"""Different single signatures."""

WARM_SECONDS, ROUND_SECONDS, ROUNDS = 1.0, 2.0, 3
SHORTEST_ROUND = 0.25

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Measured:
    """One load, measured.

    Args:
        timing: items a second, and their spread over the rounds.
        p99: seconds within which 99 of 100 answers came.
    """

    timing: Timing
    p99: float


def run_service(
    *,
    threads: int | None = None,
    batch: int | None = None,
    seconds: float | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """Measure the suite.

    Args:
        threads: of the server's batches; by default 1 and every core for large requests, 1 for single signatures.
        batch: signatures of a large request, in place of 4,096.
        seconds: of a round, if not `ROUND_SECONDS`; never below `SHORTEST_ROUND`.
        progress: told about each step before it runs: done, in all, name.

    Raises:
        ServiceWrong: a verdict is not the library's, or a request got none.
        ServerFailed: the server did not start, or did not end well.
    """
    tell = progress or (lambda done, total, name: None)
    counts = [threads] if threads else sorted({1, os.cpu_count() or 1})
    steps = len(counts) + 1
    lasting = ROUND_SECONDS if seconds is None else max(seconds, SHORTEST_ROUND)
    rows = []
    for done, count in enumerate(counts):
        tell(done, steps, f"service.batch{batch or BATCH}, {count} threads")
        rows.append(_batches(count, batch or BATCH, lasting))
    tell(steps - 1, steps, "service.stream and service.unary")
    return rows + _singles(threads or 1, lasting)


def _batches(threads: int, size: int, seconds: float) -> Row:
    """Large requests, beside the library on as many threads."""
    operation = f"service.batch{size}"
    items = signatures(BATCHES * size)
    requests = [(items.batch(first, size), items.reply(first, size)) for first in range(0, len(items), size)]
    with server("--grpc", "127.0.0.1:0", "--http", "off", "--threads", threads) as running:

        def load(lasting: float, tally: Tally) -> Coroutine[Any, Any, None]:
            return unary(running.grpc, requests, Pace(BATCH_CLIENTS, BATCH_IN_FLIGHT, lasting), tally)

        before = _library(items, threads, size)
        found = measured(operation, load, seconds, size)
        after = _library(items, threads, size)
    library = max(before, after, key=lambda timing: timing.rate)
    peer = PeerRow("the library itself", version(), library.rate, found.timing.rate / library.rate)
    return _row(operation, threads, size, found, peer)


def _library(items: Signatures, threads: int, size: int) -> Timing:
    """The batch function on the same signatures, while the server has nothing to do."""
    parts = [items.items.part(first, first + size) for first in range(0, len(items), size)]

    def run() -> None:
        for part in parts:
            ed25519.verify_batch(part.keys, part.messages, part.signatures)

    usual = get_threads()
    set_threads(threads)
    try:
        return timings([Contender(run, len(items))], WARM_SECONDS)[0]
    finally:
        set_threads(usual)


def _singles(threads: int, seconds: float) -> list[Row]:
    """One signature a message, and one a call; each beside handlers that do nothing."""
    items = signatures(SINGLES)
    all_valid = signatures_answered_with_one(items)
    with (
        server("--grpc", "127.0.0.1:0", "--http", "off", "--threads", threads) as ours,
        server(command=empty.COMMAND) as nothing,
    ):
        rows = []
        for operation, load in (("service.stream", _stream_load), ("service.unary", _unary_load)):
            found = measured(operation, load(ours, items), seconds)
            peer = measured("empty handler", load(nothing, all_valid), seconds)
            ratio = found.timing.rate / peer.timing.rate
            beside = PeerRow("empty handler", grpc.__version__, peer.timing.rate, ratio, peer.timing.spread)
            if operation == "service.stream":
                half = paced_p99(ours, items, min(STREAM_LOAD, found.timing.rate) / 2, seconds)
                found = Measured(found.timing, half)
            rows.append(_row(operation, threads, 1, found, beside))
        return rows


def signatures_answered_with_one(items: Signatures) -> Signatures:
    """The same requests, with what the empty handler says to them."""
    return Signatures(items.scheme, items.items, items.verdicts * 0 + 1)


def measured(
    operation: str,
    load: Callable[[float, Tally], Coroutine[Any, Any, object]],
    seconds: float,
    items: int = 1,
) -> Measured:
    """Run a load for a warm-up and the rounds.

    Args:
        operation: for the error.
        load: (its seconds, tally) → what to await.
        seconds: of a round.
        items: of a request.

    Raises:
        ServiceWrong: see `checked`.
    """
    tally = Tally()
    with without_collection():
        uvloop.run(load(WARM_SECONDS + ROUNDS * seconds, tally))
    checked(operation, tally)
    begin = tally.begun + WARM_SECONDS
    return Measured(tally.timing(begin, seconds, ROUNDS, items), tally.percentile(0.99, begin))


def paced_p99(running: Server, items: Signatures, rate: float, seconds: float) -> float:
    """Seconds within which 99 of 100 single signatures are answered that come at this rate over the same streams."""
    tally = Tally()
    pace = Pace(CLIENTS, STREAM_IN_FLIGHT, WARM_SECONDS + ROUNDS * seconds, rate)
    with without_collection():
        uvloop.run(streams(running.grpc, items, pace, tally))
    checked("service.stream at half of its load", tally)
    return tally.percentile(0.99, tally.begun + WARM_SECONDS)


@contextmanager
def without_collection() -> Iterator[None]:
    """Python's garbage collection is off in this process, which is the clients'."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def checked(case: str, tally: Tally) -> None:
    """Raises:
    ServiceWrong: there were wrong verdicts, errors or refusals.
    """
    if tally.wrong or tally.failed or tally.refused or not tally.done:
        errors = ", ".join(f"{count} × {name}" for name, count in tally.failed.items()) or "no errors"
        raise ServiceWrong(
            case,
            f"{len(tally.done)} answers, {tally.wrong} of them wrong, {len(tally.refused)} refusals, {errors}",
        )


def _stream_load(running: Server, items: Signatures) -> Callable[[float, Tally], Coroutine[Any, Any, None]]:
    return lambda lasting, tally: streams(
        running.grpc, items, Pace(CLIENTS, STREAM_IN_FLIGHT, lasting), tally
    )


def _unary_load(running: Server, items: Signatures) -> Callable[[float, Tally], Coroutine[Any, Any, None]]:
    requests = [(items.single(index), items.reply(index, 1)) for index in range(len(items))]
    return lambda lasting, tally: unary(running.grpc, requests, Pace(CLIENTS, 1, lasting), tally)


def _row(operation: str, threads: int, batch: int, found: Measured, peer: PeerRow) -> Row:
    backend = registry.resolve("ed25519.verify").name
    timing = found.timing
    return Row(
        SERVICE,
        operation,
        backend,
        threads,
        batch,
        timing.rate,
        1e9 / timing.rate,
        "none",
        (peer,),
        timing.spread,
        p99_ms=1e3 * found.p99,
    )
