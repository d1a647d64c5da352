# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what has to come.

The limit tells what never comes from what is slow: it is far above what any machine takes, and says nothing about speed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE = 300.0
"""Seconds."""


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    last = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < last, "it never came"
        time.sleep(0.01)


async def until_async(condition: Callable[[], object]) -> None:
    """Wait for a condition that others on the event loop bring about."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)
