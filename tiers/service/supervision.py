# SPDX-License-Identifier: GPL-3.0-or-later
"""Several processes that serve: one that starts them, watches them, starts again what ends or hangs, and ends them.

    SIGTERM, SIGINT   every process drains; a second signal cuts off what is left
    SIGHUP            one process after the other is replaced: a new one serves before the old one drains

Sockets outlive the processes. This one keeps the ports of gRPC, where each process listens with a socket of its own
(SO_REUSEPORT), and the sockets of HTTP, from which all accept: who waits there is not lost with the process that leaves.
A replacement reads the files of settings, tokens and certificates again, and the code. Nothing is computed here.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from supervm.tiers.errors import ProcessFailed, SettingError
from supervm.tiers.service.child import Child
from supervm.tiers.service.http_port import listen
from supervm.tiers.service.placement import Place
from supervm.tiers.service.process import OFF, check_addresses
from supervm.tiers.service.worker import PULSE_SECONDS, Instructions
from supervm.tiers.settings import Settings

OWN = "own"
HIGHEST_PORT = 65535
SLACK_SECONDS = 10.0
"""How much longer than its settings say a process may take to end."""

START_SECONDS = 900.0
"""In which a replacement has to serve: it may have to compile kernels."""

FIRST_PAUSE, LONGEST_PAUSE, STEADY_SECONDS = 0.5, 30.0, 60.0
"""Before a process that has ended is started again; doubled for each that ends before it was steady for so long."""

MOST_SILENT = 12
"""Pulses in a row without a word of a process that serves, after which it is killed: its event loop stands still."""

log = logging.getLogger(__name__)


class Listening:
    """What a service of several processes listens at.

    Args:
        settings: `service.grpc`, `service.http`, `service.addresses`.
        count: of processes.

    Attributes:
        grpc: HOST:PORT of each process, or 'off'.
        http: the socket of each process, the same one where the address is shared; None without HTTP.
    """

    def __init__(self, settings: Settings, count: int) -> None:
        self._stack = ExitStack()
        own = settings.service_addresses == OWN
        with ExitStack() as stack:
            reserved = [
                stack.enter_context(reserve(address))
                for address in addresses(settings, "service.grpc", count if own else 1)
            ]
            listening = [
                stack.enter_context(listen(address))
                for address in addresses(settings, "service.http", count if own else 1)
            ]
            self._stack = stack.pop_all()
        host = settings.service_grpc.rpartition(":")[0]
        found = [f"{host}:{one.getsockname()[1]}" for one in reserved]
        self.grpc = [found[number % len(found)] if found else OFF for number in range(count)]
        self.http = [listening[number % len(listening)] if listening else None for number in range(count)]

    def close(self) -> None:
        """Give them back."""
        self._stack.close()


def addresses(settings: Settings, key: str, count: int) -> list[str]:
    """HOST:PORT of each of so many ports that follow one another; of none where the setting is 'off'.

    Raises:
        SettingError: there are not so many ports.
    """
    address = str(getattr(settings, key.replace(".", "_")))
    if address == OFF:
        return []
    host, _, port = address.rpartition(":")
    first = int(port)
    if first + count - 1 > HIGHEST_PORT:
        found = f"{address!r}, and {count} processes with an address each"
        raise SettingError(settings.origins[key], key, found, f"a port up to {HIGHEST_PORT - count + 1}")
    return [f"{host}:{first + number if first else 0}" for number in range(count)]


def reserve(address: str) -> socket.socket:
    """A socket that keeps a port for the processes of this user that listen there with SO_REUSEPORT; it takes nobody in.

    Raises:
        OSError: the address cannot be listened on, or somebody does.
    """
    host, _, port = address.rpartition(":")
    if int(port):  # with SO_REUSEPORT alone, two services of a user would share what is meant for one
        listen(address).close()
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host.strip("[]"), int(port)))
    except OSError as error:
        bound.close()
        raise OSError(f"cannot listen on {address}: {error}") from None
    return bound


class Keeper:
    """Keeps a process at a place.

    Args:
        place: where.
        instructions: of each process there.
        patience: seconds that one may take to end.

    Attributes:
        child: the process that serves; None while there is none.
        restarts: processes that ended and were started again.
    """

    def __init__(self, place: Place, instructions: Instructions, patience: float) -> None:
        self.place, self.number = place, instructions.number
        self.restarts = 0
        self.child: Child | None = None
        self._instructions, self._patience = instructions, patience
        self._leaving: set[Child] = set()
        self._starting = asyncio.Lock()
        self._changed = asyncio.Event()

    async def start(self) -> Child | None:
        """Have a process serve, in place of the one that does; that one, which is to leave.

        Raises:
            ProcessFailed: the new one does not serve; nothing has changed.
        """
        child = await Child.started(self._instructions, self.place.variables)
        try:
            async with asyncio.timeout(START_SECONDS):
                await child.serving()
        except TimeoutError:
            raise ProcessFailed(self.number, f"it is not ready after {START_SECONDS:g} seconds") from None
        finally:
            if not child.ready:
                await child.kill()
        before, self.child = self.child, child
        self._changed.set()
        return before

    async def keep(self) -> None:
        """Start again what ends, until it is cancelled."""
        pause, loop = FIRST_PAUSE, asyncio.get_running_loop()
        while True:
            child, begun = self.child, loop.time()
            if child is not None:
                await self._wait_for(child)
                if child is not self.child:
                    continue  # it was replaced
                if loop.time() - begun > STEADY_SECONDS:
                    pause = FIRST_PAUSE
                about = {"number": self.number, "code": child.process.returncode, "pause": pause}
                log.error("a process ended and is started again", extra=about)
                self.child = None
                self.restarts += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                async with self._starting:
                    if self.child is None:
                        await self.start()
            except (ProcessFailed, OSError) as error:
                log.error("%s", error)

    async def watch(self) -> None:
        """Kill what serves and has nothing to say any more, until it is cancelled; `keep` starts it again.

        Pulses are counted, not seconds: where the whole machine stood still, nobody is late.
        """
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            if self.child is not None:
                self.child.silent += 1
                if self.child.silent > MOST_SILENT:
                    log.error("a process does not answer, and is killed", extra={"number": self.number})
                    await self.child.kill()

    async def replace(self) -> None:
        """Have another process serve, and then the one that did so drain.

        Raises:
            ProcessFailed: the new one does not serve; the old one goes on.
        """
        async with self._starting:
            before = await self.start()
        if before is not None:
            self._leaving.add(before)
            before.tell("leave")
            await self._see_off(before)

    async def stop(self) -> list[int]:
        """Have everything here drain; the exit codes."""
        if self.child is not None:
            self._leaving.add(self.child)
        for child in self._leaving:
            child.tell("stop")
        return await asyncio.gather(*map(self._see_off, tuple(self._leaving)))

    def cut(self) -> None:
        """Have what drains end at once."""
        for child in self._leaving:
            child.tell("cut")

    async def kill(self) -> None:
        """End everything here."""
        for child in {self.child, *self._leaving}:
            if child is not None:
                await child.kill()

    async def _wait_for(self, child: Child) -> None:
        """Until it has ended, or another one serves in its place."""
        self._changed.clear()
        waiting = {asyncio.ensure_future(child.ended()), asyncio.ensure_future(self._changed.wait())}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()

    async def _see_off(self, child: Child) -> int:
        try:
            async with asyncio.timeout(self._patience):
                code = await child.ended()
        except TimeoutError:
            log.error("a process does not end, and is killed", extra={"number": self.number})
            code = await child.kill()
        self._leaving.discard(child)
        return code


@dataclass(frozen=True)
class Orders:
    """What signals ask for."""

    stop: asyncio.Event
    cut: asyncio.Event
    roll: asyncio.Event

    @classmethod
    def of_signals(cls) -> Orders:
        """Those of this process, in the running event loop."""
        orders = cls(asyncio.Event(), asyncio.Event(), asyncio.Event())
        loop = asyncio.get_running_loop()

        def stop() -> None:
            (orders.cut if orders.stop.is_set() else orders.stop).set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        loop.add_signal_handler(signal.SIGHUP, orders.roll.set)
        return orders


async def supervise(
    settings: Settings,
    places: Sequence[Place],
    instructions: Instructions,
    ready: Callable[[Sequence[Keeper], str | None], None],
) -> bool:
    """Serve with a process at each place until a signal stops it.

    Args:
        settings: in force here.
        places: of the processes.
        instructions: that all of them have; addresses, cores and threads are added.
        ready: called once, when all serve, with them and the address of operations.

    Returns:
        Whether everything that was accepted is answered.

    Raises:
        ProcessFailed: one of them does not serve at the beginning.
        SettingError: it would listen nowhere, or there are not so many ports.
        OSError: an address that cannot be listened on.
    """
    from supervm.tiers.service.process_pages import Pages

    check_addresses(settings)
    orders = Orders.of_signals()
    sockets = Listening(settings, len(places))
    patience = settings.service_notice_seconds + settings.service_drain_seconds + SLACK_SECONDS
    keepers = [
        Keeper(place, _instructed(settings, instructions, place, number, sockets), patience)
        for number, place in enumerate(places)
    ]
    pages = Pages(keepers, settings.service_operations)
    try:
        address = await pages.start()
        if not await _started(keepers, orders):
            return True
        ready(keepers, address)
        pages.serving = True
        tasks = [asyncio.create_task(one) for keeper in keepers for one in (keeper.keep(), keeper.watch())]
        tasks.append(asyncio.create_task(_roll(keepers, orders.roll)))
        await orders.stop.wait()
        pages.serving = False
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return await _stopped(keepers, orders)
    finally:
        await pages.stop()
        await asyncio.gather(*(keeper.kill() for keeper in keepers))
        sockets.close()


def _instructed(
    settings: Settings, common: Instructions, place: Place, number: int, sockets: Listening
) -> Instructions:
    http = sockets.http[number]
    flags: dict[str, Any] = {"service.grpc": sockets.grpc[number], "workers": place.threads}
    if settings.service_operations != OFF or settings.service_addresses != OWN:
        flags["service.operations"] = "127.0.0.1:0"  # a shared port would answer for one process or another
    return replace(
        common,
        number=number,
        flags=common.flags | flags,
        cores=place.cores,
        http=None if http is None else http.fileno(),
    )


async def _started(keepers: Sequence[Keeper], orders: Orders) -> bool:
    """Start all; False where a signal came before.

    Raises:
        ProcessFailed: one does not serve.
    """
    starting = {asyncio.create_task(keeper.start()) for keeper in keepers}
    stopped, waiting = asyncio.create_task(orders.stop.wait()), set[asyncio.Task[Any]](starting)
    try:
        while waiting and not stopped.done():
            done, _ = await asyncio.wait({*waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            for one in done & waiting:
                one.result()
            waiting -= done
        return not waiting
    finally:
        for task in (*starting, stopped):
            task.cancel()
        await asyncio.gather(*starting, stopped, return_exceptions=True)


async def _roll(keepers: Sequence[Keeper], asked: asyncio.Event) -> None:
    """Replace one process after the other whenever that is asked for; where one cannot be, the rest stay as they are."""
    while await asked.wait():
        asked.clear()
        log.info("processes are replaced", extra={"count": len(keepers)})
        try:
            for keeper in keepers:
                await keeper.replace()
        except (ProcessFailed, OSError) as error:
            log.error("processes are replaced no further: %s", error)
        else:
            log.info("processes are replaced: done", extra={"count": len(keepers)})


async def _stopped(keepers: Sequence[Keeper], orders: Orders) -> bool:
    """Have all drain; whether none of them cut anything off."""
    ending = asyncio.gather(*(keeper.stop() for keeper in keepers))
    cutting = asyncio.ensure_future(orders.cut.wait())
    either: set[asyncio.Future[Any]] = {ending, cutting}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if cutting.done():
        for keeper in keepers:
            keeper.cut()
    cutting.cancel()
    return not any(code for codes in await ending for code in codes)
