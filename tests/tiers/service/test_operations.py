# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator's port: it answers while the process does something else, and has limits of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from http_callers import ask, connect, head
from observed import Observed
from patience import until

from supervm.tiers.observability.observing import Observation
from supervm.tiers.observability.status import State
from supervm.tiers.observability.traces import Tracer
from supervm.tiers.service import operations
from supervm.tiers.service.http_port import HttpLimits
from supervm.tiers.service.operations import OperationsServer


@pytest.fixture
def seen() -> Observation:
    one = Observed()
    one.board.become(State.READY)
    return Observation(one.metrics, one.board, Tracer())


@pytest.fixture
def server(seen: Observation) -> Iterator[OperationsServer]:
    one = OperationsServer(seen, "127.0.0.1:0")
    one.start()
    yield one
    one.stop()


def test_every_page(server: OperationsServer, seen: Observation) -> None:
    for path in ("/", "/status.json", "/metrics", "/healthz", "/readyz"):
        assert ask(server.address, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())[0] == 200
    seen.board.become(State.DRAINING)
    assert ask(server.address) == (200, b"draining\n")
    assert ask(server.address, b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n") == (503, b"draining\n")
    assert ask(server.address, b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 404


def test_strangers_do_not_take_it(seen: Observation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "LIMITS", HttpLimits(connections=16, each=4, idle=1.5))
    server = OperationsServer(seen, "127.0.0.1:0")
    server.start()
    try:
        with ExitStack() as stack:
            for sent in (b"", b"GET /", head("/", 1 << 30) + b" " * 100):
                for _ in range(40):
                    caller = stack.enter_context(connect(server.address))
                    caller.sendall(sent)
                assert ask(server.address)[0] == 200
        labels = {"port": "operations", "reason": "full"}
        until(lambda: seen.metrics.registry.get_sample_value("supervm_connections_closed_total", labels))
    finally:
        server.stop()


def test_it_ends_whoever_is_connected(seen: Observation) -> None:
    server = OperationsServer(seen, "127.0.0.1:0")
    server.start()
    with connect(server.address), connect(server.address) as caller:
        caller.sendall(b"GET /")
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        stopping.join(30)
        assert not stopping.is_alive()
    with pytest.raises(ConnectionRefusedError):
        connect(server.address)


def test_an_address_in_use(server: OperationsServer, seen: Observation) -> None:
    other = OperationsServer(seen, server.address)
    with pytest.raises(OSError, match="in use"):
        other.start()
    other.stop()
