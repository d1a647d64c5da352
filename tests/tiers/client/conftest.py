# SPDX-License-Identifier: GPL-3.0-or-later
"""A server under script, and both kinds of client behind one face."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scripted_service import Script, serving

from supervm.tiers.client import AsyncClient, Client


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def address(script: Script) -> Iterator[str]:
    with serving(script) as address:
        yield address


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address that is taken, and at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def _call_sync(address: str, method: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    named = options.pop("call", {})
    with Client(address, **options) as client:
        return getattr(client, method)(*arguments, **named)


def _call_async(address: str, method: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    named = options.pop("call", {})

    async def call() -> Any:
        async with AsyncClient(address, **options) as client:
            return await getattr(client, method)(*arguments, **named)

    return asyncio.run(call())


@pytest.fixture(params=[_call_sync, _call_async], ids=["sync", "asyncio"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """call(address, method, *arguments, call={keywords of the method}, **options of the client)."""

    def run(address: str, method: str, *arguments: Any, **options: Any) -> Any:
        return request.param(address, method, arguments, options)

    return run


@pytest.fixture
def signatures() -> Callable[[int], tuple[Any, list[bytes], Any, list[int]]]:
    """signatures(n): keys, messages of many lengths, signatures, and the verdicts that the script's rule gives them."""

    def make(count: int) -> tuple[Any, list[bytes], Any, list[int]]:
        choose = random.Random(count)
        verdicts = choose.choices([1, 0, -1], k=count)
        keys = np.frombuffer(choose.randbytes(32 * count), np.uint8).reshape(count, 32)
        signed = np.frombuffer(choose.randbytes(64 * count), np.uint8).reshape(count, 64).copy()
        signed[:, 0] = np.array(verdicts, np.int8).view(np.uint8)
        return keys, [choose.randbytes(choose.randrange(200)) for _ in range(count)], signed, verdicts

    return make
