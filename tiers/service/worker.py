# SPDX-License-Identifier: GPL-3.0-or-later
"""One of several processes that serve; `supervision` starts it, with `python -m supervm.tiers.service.worker`.

It is told on standard input: one line of JSON with `Instructions`, then orders, a line each. The end of standard input is
the end of who started it, and says STOP. It tells on standard output: a line of JSON when it serves, or why it does not,
one for each state that its health enters, and a pulse as long as its event loop turns.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supervm.tiers.service.core import VerificationService
    from supervm.tiers.service.ending import Orders
    from supervm.tiers.service.serving import Ready

INPUT, OUTPUT, ERRORS = 0, 1, 2
COMMAND = (sys.executable, "-P", "-m", "supervm.tiers.service.worker")

PULSE_SECONDS = 5.0
"""Between two pulses."""


@dataclass(frozen=True)
class Instructions:
    """What a process is to do.

    Args:
        number: of the process, among those of the service.
        tier, config, flags: as `settings.load` takes them.
        cores: that it may use; empty for all.
        http: descriptor of the socket that HTTP is accepted from; None without HTTP.
    """

    number: int
    tier: str | None = None
    config: str | None = None
    flags: dict[str, Any] = field(default_factory=dict)
    cores: tuple[int, ...] = ()
    http: int | None = None

    def line(self) -> bytes:
        """As a line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> Instructions:
        """From such a line."""
        return cls(**json.loads(line))


class Channel:
    """The ends of the pipes to who started this process; see `serving.Group`.

    Args:
        tell: writes an object as a line.
        rest: what has come of orders.
        http: the socket that all processes accept from.
    """

    def __init__(
        self, tell: Callable[[dict[str, Any]], None], rest: bytes, http: socket.socket | None
    ) -> None:
        self.http = http
        self._tell, self._came = tell, rest

    def watch(self, service: VerificationService) -> Orders:
        """Tell of states and pulses from now on, and read orders."""
        import asyncio

        from supervm.tiers.service.ending import Order, Orders

        orders, loop = Orders(again=None), asyncio.get_running_loop()

        def read() -> None:
            with suppress(BlockingIOError):
                data = os.read(INPUT, 4096)
                if not data:
                    loop.remove_reader(INPUT)
                    orders.give(Order.STOP)
                self._came += data
                *lines, self._came = self._came.split(b"\n")
                for line in lines:
                    orders.give(Order(line.decode()))

        def pulse() -> None:
            self._tell({"pulse": True})
            loop.call_later(PULSE_SECONDS, pulse)

        os.set_blocking(INPUT, False)
        loop.add_reader(INPUT, read)
        loop.call_later(PULSE_SECONDS, pulse)
        service.watch(lambda state: self._tell({"state": state.value}))
        return orders


def main() -> None:
    """Serve as instructed; the exit code is that of `supervm serve`."""
    first = b""
    while b"\n" not in first:
        first += (piece := os.read(INPUT, 65536))
        if not piece:
            return  # nobody wants anything any more
    line, _, rest = first.partition(b"\n")
    told = Instructions.of(line)
    if told.cores:
        os.sched_setaffinity(0, told.cores)  # before a thread is started, which would stay where it is
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which is for who started it
    report = os.dup(OUTPUT)
    os.dup2(ERRORS, OUTPUT)  # whatever prints is not understood there
    os.set_blocking(report, False)  # if nobody reads, serving goes on

    def tell(message: dict[str, Any]) -> None:
        with suppress(BrokenPipeError, BlockingIOError):
            os.write(report, json.dumps(message).encode() + b"\n")

    from supervm.kernels.errors import SupervmError
    from supervm.tiers import console
    from supervm.tiers.errors import ENVIRONMENT_PROBLEM, exit_code

    http = None if told.http is None else socket.socket(fileno=told.http)
    try:
        if not _serve(told, Channel(tell, rest, http), tell):
            console.warn(f"process {told.number}: requests were cut off before they were answered")
            sys.exit(ENVIRONMENT_PROBLEM)
    except (SupervmError, OSError, MemoryError) as error:
        code = exit_code(error)
        tell({"error": console.error_json(error)["message"], "exit_code": code})
        sys.exit(code)


def _serve(told: Instructions, channel: Channel, tell: Callable[[dict[str, Any]], None]) -> bool:
    import uvloop

    from supervm.tiers import console, progress
    from supervm.tiers.hardware import detect
    from supervm.tiers.observability.observing import observing
    from supervm.tiers.service.serving import serve
    from supervm.tiers.settings import load

    hardware = detect()
    config = None if told.config is None else Path(told.config)
    settings = load(hardware, flags=told.flags, tier=told.tier, config=config)

    def ready(found: Ready) -> None:
        line.update("")
        tell({"ready": asdict(found)})

    with (
        observing(settings, hardware, told.number) as seen,
        console.progress_line(progress.log.info) as line,
    ):
        line.update("starting")
        return uvloop.run(serve(settings, hardware, ready, seen, channel))


if __name__ == "__main__":
    main()
