# SPDX-License-Identifier: GPL-3.0-or-later
"""How a process that serves ends: told by signals, or by the process that started it.

The first SIGTERM or SIGINT begins it. For `service.notice.seconds` requests are answered while health says NOT_SERVING, so
that callers go elsewhere. Then comes the drain: callers of gRPC get a GOAWAY, new requests are refused with UNAVAILABLE,
accepted ones are answered, streams end. A second signal, or the end of `service.drain.seconds`, cuts off what is left.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from supervm.tiers.service.core import VerificationService, stopping
from supervm.tiers.settings import Settings

if TYPE_CHECKING:
    from supervm.tiers.service.serving import Ports

SIGNALS = (signal.SIGTERM, signal.SIGINT)
HANDOVER_SECONDS = 1.0
"""How long a process still serves at least, when another one has taken its place."""

GOAWAY_SECONDS = 0.02
"""How long gRPC may take to tell callers to call elsewhere, before what they call here is refused."""

CUT_OFF_SECONDS = 1.0
"""How long calls that are over may take to reach their callers."""


class Times(NamedTuple):
    """Seconds of an end.

    Args:
        drain: until what was accepted is answered, at most.
        notice: before that, in which requests are answered and health says that others are to be asked.
        quiet: whether health says nothing where another process has taken the place at the same address: a caller that
            has no other one would have nobody to ask until the GOAWAY.
    """

    drain: float
    notice: float = 0.0
    quiet: bool = True

    @classmethod
    def of(cls, settings: Settings) -> Times:
        """Those that the settings state."""
        shared = settings.service_addresses == "shared"
        return cls(settings.service_drain_seconds, settings.service_notice_seconds, shared)


class Order(Enum):
    """What a process that serves may be told.

    STOP: finish, and end. LEAVE: do so, and another process has taken your place. CUT: end now.
    """

    STOP = "stop"
    LEAVE = "leave"
    CUT = "cut"


class Orders:
    """Those that have come, from signals and from elsewhere; of one event loop.

    Args:
        again: what a second signal says. One who is signalled by others than the one who gives orders has None.
    """

    def __init__(self, again: Order | None = Order.CUT) -> None:
        self._again, self._signalled = again, False
        self._came: asyncio.Queue[Order] = asyncio.Queue()

    def signalled(self) -> None:
        """A signal has come."""
        order = self._again if self._signalled else Order.STOP
        self._signalled = True
        if order is not None:
            self.give(order)

    def give(self, order: Order) -> None:
        """One has come."""
        self._came.put_nowait(order)

    async def get(self) -> Order:
        """The next one."""
        return await self._came.get()

    async def within(self, seconds: float) -> Order | None:
        """The next one, if it comes in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._came.get()
        return None

    async def cut(self) -> None:
        """Wait until it is to end at once."""
        while await self._came.get() is not Order.CUT:
            pass


async def until_stopped(
    service: VerificationService,
    ports: Ports,
    times: Times,
    caught: Callable[[], None],
    orders: Orders | None = None,
) -> bool:
    """Wait for a signal, and drain until a second one or for so long; whether no request was cut off.

    Args:
        times: of notice and drain.
        caught: called when signals are caught: who is told then may stop the process at once.
        orders: that may come in place of signals.
    """
    loop = asyncio.get_running_loop()
    orders = orders or Orders()
    for number in SIGNALS:
        loop.add_signal_handler(number, orders.signalled)
    try:
        caught()
        order = await orders.get()
        if order is not Order.CUT and await _noticed(service, ports, order, times, orders) is not Order.CUT:
            draining = asyncio.ensure_future(_drain(service, ports, times.drain))
            cut = asyncio.ensure_future(orders.cut())
            done, _ = await asyncio.wait(
                {draining, cut}, timeout=times.drain, return_when=asyncio.FIRST_COMPLETED
            )
            cut.cancel()
            if draining in done:
                await draining
                return True
            draining.cancel()
            with suppress(asyncio.CancelledError):
                await draining
        service.drain()
        cut_off = service.queue.requests
        await ports.stop(0)
        return not cut_off
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def _noticed(
    service: VerificationService, ports: Ports, order: Order, times: Times, orders: Orders
) -> Order | None:
    """Serve for as long as callers may take to go elsewhere; the order that ends this before."""
    seconds = times.notice
    if order is Order.LEAVE:
        ports.stop_listening()
        seconds = max(seconds, HANDOVER_SECONDS)
    elif not seconds:
        return None
    if not (order is Order.LEAVE and times.quiet):
        service.leave()
    ports.leave()
    return await orders.within(seconds)


async def _drain(service: VerificationService, ports: Ports, limit: float) -> None:
    # GOAWAY comes first: whoever hears of health before has no place to go where there is one address.
    calls = asyncio.ensure_future(ports.stop_calls(limit))
    await asyncio.wait({calls}, timeout=GOAWAY_SECONDS)
    service.drain()
    ports.stop_streams(stopping())
    await service.idle()
    await ports.stop(CUT_OFF_SECONDS)
    await calls
