# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream of signatures for threads: many without a verdict at a time, each with a future of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import TracebackType

import grpc

from supervm.tiers.client import window
from supervm.tiers.client.balancing import Attempt, Member
from supervm.tiers.client.connection import failure
from supervm.tiers.client.errors import ClientError, ServiceUnavailable
from supervm.tiers.client.options import CLOSED, ENDED, FAREWELL, SWEEP
from supervm.tiers.client.retry import Deadline, Retry
from supervm.tiers.client.window import Signature, Window
from supervm.tiers.service.v1 import verification_pb2 as pb

__all__ = ["VerifyStream"]


class VerifyStream:
    """Made by `Client.stream`; a context manager, for any number of threads.

    Leaving it waits for the verdicts that are still to come; leaving it by an exception gives them up. Futures raise what
    the methods of a client raise; what is called back when one is done runs on the stream's thread.

    Args:
        open_call: makes a call of `VerifyStream` from an iterator of requests, to one of the servers.
        failed: told of each error that ends one.
        retry, in_flight, pack, timeout, message_bytes: as `Client.stream` takes them.
    """

    def __init__(
        self,
        open_call: Callable[[Iterator[pb.VerifyRequest]], Attempt],
        failed: Callable[[Member, ClientError], None],
        retry: Retry,
        in_flight: int,
        pack: int,
        timeout: float | None,
        message_bytes: int,
    ) -> None:
        self._open, self._failed = open_call, failed
        self._in_flight, self._timeout = in_flight, timeout
        self._slots = threading.Semaphore(in_flight)
        self._window = Window(retry, pack, message_bytes, self._slots.release)
        self._changed = threading.Condition()
        """Guards the window and what follows here."""
        self._call: Attempt | None = None
        self._calls = 0
        self._closing = False
        self._closed = True
        self._threads = [
            threading.Thread(target=self._serve, name="supervm-stream", daemon=True),
            threading.Thread(target=self._sweep, name="supervm-stream-deadlines", daemon=True),
        ]

    def __enter__(self) -> VerifyStream:
        self._closed = False
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            for _ in range(self._in_flight):
                self._slots.acquire()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            call = self._call
        if error is None:
            self._threads[0].join(FAREWELL)
        if call is not None:
            call.call.cancel()
        for thread in self._threads:
            thread.join()
        if error is None:
            self._slots.release(self._in_flight)  # who still waits for room finds the stream closed

    def submit_ed25519(
        self, public_key: bytes, message: bytes, signature: bytes, *, rule: str = "dalek"
    ) -> Future[int]:
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
        return self._submit(window.ed25519(public_key, message, signature, rule))

    def submit_ecdsa(
        self, public_key: bytes, digest: bytes, signature: bytes, *, low_s: bool = True
    ) -> Future[int]:
        """Send an ECDSA signature over secp256k1; arguments as those of `Client.verify_ecdsa`, one of each."""
        return self._submit(window.ecdsa(public_key, digest, signature, low_s))

    def submit_schnorr(self, public_key: bytes, message: bytes, signature: bytes) -> Future[int]:
        """Send a BIP-340 signature; arguments as those of `Client.verify_schnorr`, one of each."""
        return self._submit(window.schnorr(public_key, message, signature))

    def _submit(self, item: Signature) -> Future[int]:
        self._window.check(item)
        promise: Future[int] = Future()
        promise.set_running_or_notify_cancel()  # from here on nobody but the stream ends it
        item.promise, item.deadline = promise, Deadline.after(self._timeout)
        self._slots.acquire()
        with self._changed:
            if self._closed:
                self._slots.release()
                raise ServiceUnavailable(CLOSED)
            self._window.put(item)
            self._changed.notify_all()
        return promise

    def _serve(self) -> None:
        """One call after another, each until it ends or breaks; on a thread of its own."""
        try:
            while self._begin():
                error = self._exchange()
                with self._changed:
                    self._calls += 1
                    self._changed.notify_all()
                    repeated = self._window.lost(error)
                    if repeated is not None:
                        self._changed.wait_for(lambda: self._closing, repeated[0])
                        self._window.put_back(repeated[1])
        except ServiceUnavailable:
            return  # the client was closed before the stream: every promise says so
        finally:
            with self._changed:
                self._closed = True
                self._window.abandon(ServiceUnavailable(CLOSED))

    def _begin(self) -> bool:
        """Wait until there is something to send, and open a call; False where the stream is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._window.waits)
            if not self._closing:
                self._call = self._open(self._requests(self._calls))
            return not self._closing

    def _exchange(self) -> ClientError:
        """Replies of one call; how it ended."""
        attempt = self._call
        assert attempt is not None
        try:
            for answers in attempt.call:
                with self._changed:
                    found = [self._window.answer(reply) for reply in answers.replies]
                for repeated in filter(None, found):
                    timer = threading.Timer(repeated[0], self._put_back, (repeated[1],))
                    timer.daemon = True
                    timer.start()
        except grpc.RpcError as broken:
            error = failure(broken)
            self._failed(attempt.member, error)
            return error
        return ServiceUnavailable(ENDED)

    def _requests(self, number: int) -> Iterator[pb.VerifyRequest]:
        """What call number `number` sends; gRPC asks for it on a thread of its own."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or number != self._calls or self._window.waits)
                request = self._window.take() if number == self._calls else None
            if request is None:
                return
            yield request

    def _put_back(self, items: list[Signature]) -> None:
        with self._changed:
            self._window.put_back(items)
            self._changed.notify_all()

    def _sweep(self) -> None:
        """Look at the deadlines now and then; on a thread of its own."""
        pause = None if self._timeout is None else min(SWEEP, self._timeout / 8)
        with self._changed:
            while not self._changed.wait_for(lambda: self._closing, pause):
                self._window.expire()
