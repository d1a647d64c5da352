# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that serves, as the one that started it sees it; `worker` is the other side."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from supervm.tiers.errors import ProcessFailed
from supervm.tiers.service.worker import COMMAND, Instructions

STARTING, ENDED = "starting", "ended"


class Child:
    """One that was started; see `started`.

    Attributes:
        ready: what it said of itself when it served (`serving.Ready`); empty before.
        state: what its health says, or that it is starting or has ended.
        silent: counted up by who watches; 0 again whenever it says something.
    """

    def __init__(self, number: int, process: asyncio.subprocess.Process) -> None:
        self.number, self.process = number, process
        self.ready: dict[str, Any] = {}
        self.state = STARTING
        self.silent = 0
        self._listening = asyncio.create_task(self._listen())
        self._told: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def started(cls, instructions: Instructions, variables: Mapping[str, str]) -> Child:
        """Start one, in a session of its own: what a terminal sends is for who started it.

        Args:
            variables: of its environment, beside those of this process.

        Raises:
            OSError: the system starts none.
        """
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **variables},
            pass_fds=() if instructions.http is None else (instructions.http,),
            start_new_session=True,
        )
        child = cls(instructions.number, process)
        child._write(instructions.line())
        return child

    async def serving(self) -> None:
        """Wait until it serves.

        Raises:
            ProcessFailed: it does not.
        """
        await asyncio.shield(self._told)

    def tell(self, order: str) -> None:
        """Give an order, a value of `ending.Order`, if it is still there."""
        self._write(order.encode() + b"\n")

    async def ended(self) -> int:
        """Wait until it has ended; its exit code, or the negative number of a signal."""
        code = await self.process.wait()
        self.state = ENDED
        return code

    async def kill(self) -> int:
        """End it at once, if it has not ended; its exit code."""
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.kill()
        code = await self.ended()
        await asyncio.wait({self._listening})
        if self._told.done() and not self._told.cancelled():
            self._told.exception()  # as if looked at
        return code

    def _write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        with suppress(ConnectionError, RuntimeError):  # it has ended, or its pipe is closed
            self.process.stdin.write(data)

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            said, self.silent = json.loads(line), 0
            if "error" in said:
                self._refuse(said["error"])
            elif "ready" in said:
                self.ready, self.state = said["ready"], "ready"
                self._told.set_result(None)
            elif "state" in said:
                self.state = said["state"]
        code = await self.ended()
        self._refuse(f"it ended with {_words(code)}")

    def _refuse(self, problem: str) -> None:
        if not self._told.done():
            self._told.set_exception(ProcessFailed(self.number, problem))


def _words(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
