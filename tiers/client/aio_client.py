# SPDX-License-Identifier: GPL-3.0-or-later
"""The client for asyncio: the methods of `Client`, to be awaited."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any, TypeVar

import grpc
import numpy as np
import numpy.typing as npt

from supervm.crypto.messages import MessagesLike
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.tiers.client import calls, pairing_calls
from supervm.tiers.client.aio_stream import AsyncVerifyStream
from supervm.tiers.client.balancing import Attempt, Members
from supervm.tiers.client.calls import Call, Conflicts
from supervm.tiers.client.columns import RowsLike
from supervm.tiers.client.connection import Connection, Tls, failure
from supervm.tiers.client.errors import ServiceUnavailable
from supervm.tiers.client.options import CLIENT_CLOSED, MESSAGE_BYTES, checked_count
from supervm.tiers.client.pairing_calls import InputsLike
from supervm.tiers.client.retry import Deadline, Retry

__all__ = ["AsyncClient"]

Result = TypeVar("Result")


class AsyncClient:
    """`Client` for one event loop, in which it is made; an asynchronous context manager.

    Arguments, results and errors are those of `Client`. Cancelling the task that awaits a method cancels its requests.
    """

    def __init__(
        self,
        target: str | Sequence[str],
        *,
        tls: Tls | None = None,
        token: str | None = None,
        timeout: float | None = 30.0,
        retry: Retry | None = None,
        message_bytes: int = MESSAGE_BYTES,
        in_flight: int = 4,
    ) -> None:
        self._timeout, self._retry = timeout, retry or Retry()
        self._limit = checked_count("message_bytes", message_bytes)
        self._in_flight = checked_count("in_flight", in_flight)
        self._members = Members(target, tls, token, Connection.aio_channel)
        self._metadata = self._members.metadata

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; calls that are under way end with an error."""
        for member in self._members.all:
            await member.channel.close()

    async def verify_ed25519(
        self,
        public_keys: RowsLike,
        messages: MessagesLike,
        signatures: RowsLike,
        *,
        rule: str = "dalek",
        timeout: float | None = None,
    ) -> Verdicts:
        """As `Client.verify_ed25519`."""
        return await self._run(
            calls.verify_ed25519(public_keys, messages, signatures, rule, self._limit), timeout
        )

    async def verify_ecdsa(
        self,
        public_keys: RowsLike,
        digests: RowsLike,
        signatures: RowsLike,
        *,
        low_s: bool = True,
        timeout: float | None = None,
    ) -> Verdicts:
        """As `Client.verify_ecdsa`."""
        return await self._run(
            calls.verify_ecdsa(public_keys, digests, signatures, low_s, self._limit), timeout
        )

    async def verify_schnorr(
        self,
        public_keys: RowsLike,
        messages: MessagesLike,
        signatures: RowsLike,
        *,
        timeout: float | None = None,
    ) -> Verdicts:
        """As `Client.verify_schnorr`."""
        return await self._run(calls.verify_schnorr(public_keys, messages, signatures, self._limit), timeout)

    async def verify_groth16(
        self,
        proofs: RowsLike,
        public_inputs: InputsLike,
        *,
        key: bytes | str | None = None,
        circuit: str = "",
        curve: str = "",
        format: str = "",
        key_format: str = "snarkjs",
        timeout: float | None = None,
    ) -> Verdicts:
        """As `Client.verify_groth16`."""
        call = pairing_calls.verify_groth16(
            proofs, public_inputs, key, circuit, curve, format, key_format, self._limit
        )
        return await self._run(call, timeout)

    async def verify_bls(
        self,
        public_keys: RowsLike,
        messages: MessagesLike,
        signatures: RowsLike,
        *,
        variant: str = "min-pk",
        suite: str = "pop",
        dst: bytes | None = None,
        timeout: float | None = None,
    ) -> Verdicts:
        """As `Client.verify_bls`."""
        call = pairing_calls.verify_bls(public_keys, messages, signatures, variant, suite, dst, self._limit)
        return await self._run(call, timeout)

    async def verify_bls_aggregates(
        self,
        public_keys: RowsLike,
        offsets: Any,
        messages: MessagesLike,
        signatures: RowsLike,
        *,
        variant: str = "min-pk",
        suite: str = "pop",
        dst: bytes | None = None,
        timeout: float | None = None,
    ) -> Verdicts:
        """As `Client.verify_bls_aggregates`."""
        call = pairing_calls.verify_bls_aggregates(
            public_keys, offsets, messages, signatures, variant, suite, dst, self._limit
        )
        return await self._run(call, timeout)

    async def verify_blobs(
        self, blobs: RowsLike, commitments: RowsLike, proofs: RowsLike, *, timeout: float | None = None
    ) -> Verdicts:
        """As `Client.verify_blobs`."""
        return await self._run(pairing_calls.verify_blobs(blobs, commitments, proofs, self._limit), timeout)

    async def recover(
        self, digests: RowsLike, signatures: RowsLike, *, timeout: float | None = None
    ) -> tuple[Bytes, Verdicts]:
        """As `Client.recover`."""
        return await self._run(calls.recover(digests, signatures, self._limit), timeout)

    async def hash(self, function: str, messages: MessagesLike, *, timeout: float | None = None) -> Bytes:
        """As `Client.hash`."""
        return await self._run(calls.hash_messages(function, messages, self._limit), timeout)

    async def merkle_root(
        self,
        leaves: RowsLike | npt.NDArray[np.uint64],
        hash: str,
        arity: int = 2,
        *,
        timeout: float | None = None,
    ) -> npt.NDArray[Any]:
        """As `Client.merkle_root`."""
        return await self._run(calls.merkle_root(leaves, hash, arity, self._limit), timeout)

    async def msm(
        self,
        curve: str,
        points: npt.NDArray[Any],
        scalars: npt.NDArray[np.uint64],
        *,
        group: str = "g1",
        encoding: str = "limbs",
        subgroup: bool = False,
        timeout: float | None = None,
    ) -> npt.NDArray[Any]:
        """As `Client.msm`."""
        return await self._run(
            calls.msm(curve, points, scalars, group, encoding, subgroup, self._limit), timeout
        )

    async def poseidon(
        self, curve: str, inputs: npt.NDArray[np.uint64], *, timeout: float | None = None
    ) -> npt.NDArray[np.uint64]:
        """As `Client.poseidon`."""
        return await self._run(calls.poseidon(curve, inputs, self._limit), timeout)

    async def detect_conflicts(
        self,
        read_offsets: npt.NDArray[np.int64],
        read_keys: npt.NDArray[np.uint64],
        write_offsets: npt.NDArray[np.int64],
        write_keys: npt.NDArray[np.uint64],
        *,
        rule: str = "versioned",
        edges: bool = False,
        hot_keys: bool = False,
        timeout: float | None = None,
    ) -> Conflicts:
        """As `Client.detect_conflicts`."""
        call = calls.detect_conflicts(
            read_offsets, read_keys, write_offsets, write_keys, rule, edges, hot_keys, self._limit
        )
        return await self._run(call, timeout)

    def stream(
        self, *, in_flight: int = 32, pack: int = 32, timeout: float | None = 30.0
    ) -> AsyncVerifyStream:
        """As `Client.stream`; see `AsyncVerifyStream`."""
        return AsyncVerifyStream(
            self._open_stream,
            self._members.failed,
            self._retry,
            checked_count("in_flight", in_flight),
            checked_count("pack", pack),
            timeout,
            self._limit,
        )

    def _open_stream(self) -> Attempt:
        member = self._members.pick()
        return self._members.begin(member, member.stub.VerifyStream(metadata=self._metadata))

    async def _run(self, call: Call[Result], timeout: float | None) -> Result:
        deadline = Deadline.after(self._timeout if timeout is None else timeout)
        running: deque[asyncio.Task[Any]] = deque()
        replies = []
        try:
            for request in call.requests:
                if len(running) == self._in_flight:
                    replies.append(await running.popleft())
                running.append(asyncio.create_task(self._reply(call.method, request, deadline)))
            while running:
                replies.append(await running.popleft())
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        return call.join(replies)

    async def _reply(self, method: str, request: Any, deadline: Deadline) -> Any:
        """The reply to a request, which is sent again as long as that is of use."""
        attempt = 1
        while True:
            member = self._members.pick()
            try:
                call = getattr(member.stub, method)(request, timeout=deadline.left, metadata=self._metadata)
                return await self._members.begin(member, call).call
            except grpc.RpcError as error:
                failed = failure(error)
            except grpc.aio.UsageError as error:
                raise ServiceUnavailable(CLIENT_CLOSED) from error
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                # Nobody cancelled the caller's task: gRPC says so of a channel that was closed meanwhile.
                raise ServiceUnavailable(CLIENT_CLOSED) from None
            pause = self._members.pause(member, failed, self._retry, attempt, deadline)
            if pause is None:
                raise self._members.named(member, failed)
            await asyncio.sleep(pause)
            attempt += 1
