# SPDX-License-Identifier: GPL-3.0-or-later
"""Attackers of a gRPC port in processes of their own, so that they take nothing from the test's event loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SECONDS = 60.0
"""That an attacker goes on, if nobody stops it."""

PROGRAM = """
import sys
from supervm.benchmarks.attack import grpc_attackers
getattr(grpc_attackers, sys.argv[1])(sys.argv[2], float(sys.argv[3]))
"""


@asynccontextmanager
async def attacked(name: str, address: str) -> AsyncIterator[None]:
    """While one of `grpc_attackers` does its worst at a port."""
    attacker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, name, address, str(SECONDS)
    )
    try:
        yield
    finally:
        attacker.kill()
        await attacker.wait()
