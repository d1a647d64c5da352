# SPDX-License-Identifier: GPL-3.0-or-later
"""Honest callers: they ask at a fixed pace, whatever the server does, and compare every answer.

Each works like a client that people run: the service's own client with its retries over gRPC, a kept connection over HTTP,
and, for health, a new connection for every question as a load balancer's probe has.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from supervm.benchmarks.service.requests import Signatures
from supervm.benchmarks.service.tally import Tally
from supervm.tiers.client import AsyncClient, ServiceRefused, ServiceUnavailable
from supervm.tiers.service.v1 import node_pb2
from supervm.tiers.service.v1.node_pb2_grpc import NodeStub

Ask = Callable[[int], Awaitable[bool]]
"""Sends question number n and says whether the answer is right."""

CALLS_A_SECOND, PROBES_A_SECOND = 50.0, 10.0
PATIENCE = 10.0
"""Seconds after which an unanswered question counts as failed."""


@dataclass
class Honest:
    """What honest callers saw.

    Attributes:
        calls: of the load.
        probes: of health.
    """

    calls: Tally = field(default_factory=Tally)
    probes: Tally = field(default_factory=Tally)


async def observe(ask: Ask, probe: Ask, seconds: float) -> Honest:
    """Ask both at their pace for so long, and wait for the last answers.

    Args:
        ask: a question of the load.
        probe: a question of health.
        seconds: how long questions are sent.
    """
    seen = Honest()
    await asyncio.gather(
        _paced(ask, CALLS_A_SECOND, seconds, seen.calls), _paced(probe, PROBES_A_SECOND, seconds, seen.probes)
    )
    return seen


async def _paced(ask: Ask, rate: float, seconds: float, tally: Tally) -> None:
    begin = tally.begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        number = 0
        while (due := begin + number / rate) < begin + seconds:
            await asyncio.sleep(due - time.perf_counter())
            group.create_task(_one(ask, number, time.perf_counter(), tally))
            number += 1


async def _one(ask: Ask, number: int, due: float, tally: Tally) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            right = await ask(number)
    except grpc.aio.AioRpcError as error:
        tally.error(error.code().name)
    except (ServiceRefused, ServiceUnavailable, OSError, http.client.HTTPException) as error:
        tally.error(type(error).__name__)
    except TimeoutError:
        tally.error("no answer")
    else:
        tally.answered(due, right)


# ------------------------------------------------------------------------------------------------- the service


def verifies(client: AsyncClient, items: Signatures) -> Ask:
    """Single signatures over gRPC, by the service's own client."""

    async def ask(number: int) -> bool:
        index = number % len(items)
        part = items.items.part(index, index + 1)
        verdicts = await client.verify_ed25519(part.keys, part.messages, part.signatures)
        return bool(verdicts[0] == items.verdicts[index])

    return ask


class Pool:
    """Kept connections of HTTP, for any number of threads; `close` ends them.

    Args:
        address: HOST:PORT.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._kept: list[http.client.HTTPConnection] = []

    def close(self) -> None:
        """Close those that nobody uses."""
        while self._kept:
            self._kept.pop().close()

    def exchange(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        """Status and body of one answer, over a kept connection or a new one.

        Raises:
            OSError, HTTPException: there was none.
        """
        while True:
            try:
                connection, kept = self._kept.pop(), True
            except IndexError:
                connection, kept = http.client.HTTPConnection(self._address, timeout=PATIENCE), False
            try:
                connection.request(method, path, body, {"content-type": "application/json"})
                answer = connection.getresponse()
                read = answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                if not kept:
                    raise
                continue  # the server closes idle connections, as it may
            self._kept.append(connection)
            return answer.status, read


def posts(pool: Pool, items: Signatures) -> Ask:
    """Single signatures over HTTP, each on one of a few kept connections."""

    def post(index: int) -> bool:
        part = items.items.part(index, index + 1)
        body = json.dumps(
            {
                "scheme": "ed25519",
                "public_keys": [part.keys.tobytes().hex()],
                "messages": [part.messages.tobytes().hex()],
                "signatures": [part.signatures.tobytes().hex()],
            }
        )
        status, answer = pool.exchange("POST", "/v1/verify", body)
        return status == 200 and json.loads(answer) == {"verdicts": [int(items.verdicts[index])]}

    return lambda number: asyncio.to_thread(post, number % len(items))


def reads_health(address: str) -> Ask:
    """`GET /healthz`, on a connection of its own."""

    def get() -> bool:
        with closing(Pool(address)) as pool:
            return pool.exchange("GET", "/healthz")[0] == 200

    return lambda number: asyncio.to_thread(get)


def checks_health(channel: grpc.aio.Channel) -> Ask:
    """The standard health check over gRPC."""
    stub = health_pb2_grpc.HealthStub(channel)

    async def ask(_: int) -> bool:
        reply = await stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    return ask


def metrics(address: str) -> Mapping[str, float]:
    """Every series of `/metrics`, by its name with labels."""
    with closing(Pool(address)) as pool:
        _, text = pool.exchange("GET", "/metrics")
    rows = (line.rsplit(" ", 1) for line in text.decode().splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in rows}


# ---------------------------------------------------------------------------------------------------- the node


def asks_accounts(channel: grpc.aio.Channel) -> Ask:
    """`GetAccounts` of one address that has nothing."""
    stub = NodeStub(channel)
    request = node_pb2.GetAccountsRequest(addresses=b"\x07" * 20)

    async def ask(_: int) -> bool:
        reply = await stub.GetAccounts(request, timeout=PATIENCE)
        return list(reply.nonces) == [0] and reply.balances == bytes(32)

    return ask
