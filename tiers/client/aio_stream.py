# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream of signatures for asyncio: many without a verdict at a time, each with a future of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any

import grpc
import grpc.aio

from supervm.tiers.client import window
from supervm.tiers.client.balancing import Attempt, Member
from supervm.tiers.client.connection import failure
from supervm.tiers.client.errors import ClientError, ServiceUnavailable
from supervm.tiers.client.options import BROKEN, CLOSED, ENDED, FAREWELL, LISTENING, SWEEP
from supervm.tiers.client.retry import Deadline, Retry
from supervm.tiers.client.window import Signature, Window

__all__ = ["AsyncVerifyStream"]


class AsyncVerifyStream:
    """Made by `AsyncClient.stream`; an asynchronous context manager.

    Leaving it waits for the verdicts that are still to come; leaving it by an exception gives them up. A stream belongs to
    one event loop; any of its tasks may submit. Futures raise what the methods of a client raise.

    Args:
        open_call: makes a call of `VerifyStream`, to one of the servers.
        failed: told of each error that ends one.
        retry, in_flight, pack, timeout, message_bytes: as `AsyncClient.stream` takes them.
    """

    def __init__(
        self,
        open_call: Callable[[], Attempt],
        failed: Callable[[Member, ClientError], None],
        retry: Retry,
        in_flight: int,
        pack: int,
        timeout: float | None,
        message_bytes: int,
    ) -> None:
        self._open, self._failed = open_call, failed
        self._in_flight, self._timeout = in_flight, timeout
        self._slots = asyncio.Semaphore(in_flight)
        self._window = Window(retry, pack, message_bytes, self._slots.release)
        self._wake = asyncio.Event()
        self._closing = False
        self._unheard = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> AsyncVerifyStream:
        self._tasks = [asyncio.create_task(self._serve()), asyncio.create_task(self._sweep())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        serving, sweeping = self._tasks
        try:
            if error is None:
                for _ in range(self._in_flight):
                    await self._slots.acquire()
                self._closing = True
                self._wake.set()
                await asyncio.wait((serving,), timeout=FAREWELL)
        finally:
            serving.cancel()
            sweeping.cancel()
            await asyncio.gather(serving, sweeping, return_exceptions=True)
            self._window.abandon(ServiceUnavailable(CLOSED))
        for _ in range(self._in_flight):
            self._slots.release()  # who still waits for room finds the stream closed

    async def submit_ed25519(
        self, public_key: bytes, message: bytes, signature: bytes, *, rule: str = "dalek"
    ) -> asyncio.Future[int]:
        """Send an Ed25519 signature as soon as there is room; the future's result is its verdict: 1, 0 or −1.

        Args:
            public_key: 32 bytes.
            message: any bytes.
            signature: 64 bytes.
            rule: `dalek`, `strict` or `zip215`.

        Raises:
            ArgumentError: wrong lengths, an unknown rule, or a message that no request may hold.
            ServiceUnavailable: the stream is closed.
        """
        return await self._submit(window.ed25519(public_key, message, signature, rule))

    async def submit_ecdsa(
        self, public_key: bytes, digest: bytes, signature: bytes, *, low_s: bool = True
    ) -> asyncio.Future[int]:
        """Send an ECDSA signature over secp256k1; arguments as those of `AsyncClient.verify_ecdsa`, one of each."""
        return await self._submit(window.ecdsa(public_key, digest, signature, low_s))

    async def submit_schnorr(
        self, public_key: bytes, message: bytes, signature: bytes
    ) -> asyncio.Future[int]:
        """Send a BIP-340 signature; arguments as those of `AsyncClient.verify_schnorr`, one of each."""
        return await self._submit(window.schnorr(public_key, message, signature))

    async def _submit(self, item: Signature) -> asyncio.Future[int]:
        self._window.check(item)
        item.deadline = Deadline.after(self._timeout)
        await self._slots.acquire()
        if not self._tasks or self._tasks[0].done():
            self._slots.release()
            raise ServiceUnavailable(CLOSED)
        item.promise = promise = asyncio.get_running_loop().create_future()
        self._window.put(item)
        self._wake.set()
        return promise

    async def _serve(self) -> None:
        """One call after another, each until it ends or breaks."""
        try:
            while await self._wake.wait() and not self._closing:
                repeated = self._window.lost(await self._exchange(self._open()))
                if repeated is not None:
                    await asyncio.sleep(repeated[0])
                    self._put_back(repeated[1])
        finally:
            self._window.abandon(ServiceUnavailable(CLOSED))

    async def _exchange(self, attempt: Attempt) -> ClientError:
        """Requests and replies of one call; how it ended.

        A request that is written while the call ends takes the place of the server's status with an internal error of
        gRPC's (`grpc.aio`, up to 1.85 at least). So the next call listens for a moment before it writes, and hears why.
        """
        call = attempt.call
        reading = asyncio.create_task(self._read(call))
        if self._unheard:
            await asyncio.wait((reading,), timeout=LISTENING)
        self._unheard = False
        writing = asyncio.create_task(self._write(call))
        try:
            error = await reading
        finally:
            for task in (reading, writing):
                task.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)
        if self._unheard:
            error = ServiceUnavailable(BROKEN)
        self._failed(attempt.member, error)
        return error

    async def _read(self, call: Any) -> ClientError:
        try:
            while (answers := await call.read()) is not grpc.aio.EOF:
                for reply in answers.replies:
                    self._again(self._window.answer(reply))
        except grpc.RpcError as broken:
            return failure(broken)
        return ServiceUnavailable(ENDED)

    async def _write(self, call: Any) -> None:
        try:
            while not self._closing:
                request = self._window.take()
                if request is None:
                    self._wake.clear()
                    await self._wake.wait()
                else:
                    await call.write(request)
            await call.done_writing()
        except grpc.RpcError as broken:
            self._unheard = broken.code() is grpc.StatusCode.INTERNAL
        except asyncio.InvalidStateError:
            return  # the call has ended: the reader hears how

    def _again(self, repeated: tuple[float, list[Signature]] | None) -> None:
        if repeated is not None:
            asyncio.get_running_loop().call_later(repeated[0], self._put_back, repeated[1])

    def _put_back(self, items: list[Signature]) -> None:
        self._window.put_back(items)
        self._wake.set()

    async def _sweep(self) -> None:
        while self._timeout is not None:
            await asyncio.sleep(min(SWEEP, self._timeout / 8))
            self._window.expire()
