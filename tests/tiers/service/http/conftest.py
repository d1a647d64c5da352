# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP application with its service, on a port of this machine, in a thread that a test can look into."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest
from observed import EDGE

from supervm.tiers.observability.metrics import Metrics
from supervm.tiers.observability.status import State, StatusBoard
from supervm.tiers.service.access import Access
from supervm.tiers.service.core import Limits, VerificationService
from supervm.tiers.service.http.app import create_app
from supervm.tiers.service.http_port import HttpLimits, HttpPort
from supervm.tiers.service.security import ServerTls
from supervm.tiers.settings import load

PATIENCE = 600.0


@dataclass
class Running:
    """A service behind HTTP.

    Attributes:
        address: of the port.
        client: asks it.
        service: the one that is asked; it lives in the thread's loop.
        metrics: what counts.
    """

    address: str
    client: httpx.Client
    service: VerificationService
    metrics: Metrics

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.client.post(path, json=body, headers=headers)

    def ask(self, path: str, body: Any) -> Any:
        """The answer, which has to be one."""
        response = self.post(path, body)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        return response.json()


@contextmanager
def running(
    tokens: tuple[tuple[str, bytes], ...] = (),
    limits: Limits | None = None,
    ports: HttpLimits | None = None,
    tls: ServerTls | None = None,
    **settings: Any,
) -> Iterator[Running]:
    """A service with these tokens, limits, limits and TLS of its port, and settings."""
    found: dict[str, Any] = {}
    begun, over = threading.Event(), threading.Event()

    async def serve() -> None:
        metrics = Metrics()
        chosen = load(
            EDGE, environment={}, flags={name.replace("_", "."): of for name, of in settings.items()}
        )
        service = VerificationService(limits, access=Access(tokens), meter=metrics)
        board = StatusBoard(metrics, chosen, EDGE)
        board.become(State.READY)
        app = create_app(service, metrics, board, chosen)
        port = HttpPort(app, "127.0.0.1:0", ports, tls, closed=partial(metrics.closed, "http"))
        found.update(address=f"http://{await port.start()}", service=service, metrics=metrics)
        begun.set()
        await asyncio.to_thread(over.wait)
        service.close()
        await port.stop(5)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert begun.wait(60)
    try:
        with httpx.Client(base_url=found["address"], timeout=PATIENCE) as client:
            yield Running(client=client, **found)
    finally:
        over.set()
        thread.join(30)


@pytest.fixture
def served() -> Callable[..., Any]:
    """served(…): a context manager, see `running`."""
    return running


@pytest.fixture(scope="module")
def http() -> Iterator[Running]:
    """One for the whole module, without tokens."""
    with running() as one:
        yield one
