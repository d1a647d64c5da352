# SPDX-License-Identifier: GPL-3.0-or-later
"""How a coordinator reaches its shards: over gRPC, or in this process. Messages in, messages out; errors are the room's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

import grpc

from supervm.kernels.errors import ArgumentError
from supervm.tiers.service.v1 import shard_pb2_grpc
from supervm.tiers.shards.errors import ShardUnavailable, VersionGone, VoteMissing, WrongShard
from supervm.tiers.shards.participant import Participant

MESSAGE_BYTES = 1 << 28
"""Largest message: about half a million transactions."""

OPTIONS = (
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
)

STATUSES: dict[type[Exception], grpc.StatusCode] = {
    VersionGone: grpc.StatusCode.OUT_OF_RANGE,
    VoteMissing: grpc.StatusCode.FAILED_PRECONDITION,
    WrongShard: grpc.StatusCode.PERMISSION_DENIED,
    ArgumentError: grpc.StatusCode.INVALID_ARGUMENT,
}
"""The status that an error is answered with; others are INTERNAL."""

_ERRORS = {status: kind for kind, status in STATUSES.items() if kind is not ArgumentError}


class Link(Protocol):
    """A way to a shard."""

    address: str

    def call(self, name: str, request: Any, seconds: float) -> Callable[[], Any]:
        """Begin a call of the protocol; what is returned waits for its reply.

        Raises:
            ShardUnavailable, VersionGone, VoteMissing, WrongShard: by what is returned.
        """

    def close(self) -> None:
        """End the connection."""


class LocalLink:
    """A shard of this process. A call is carried out as it begins.

    Args:
        participant: gives the shard; None where it is down.
    """

    def __init__(self, participant: Callable[[], Participant | None]) -> None:
        self.address = "this process"
        self._participant = participant

    def call(self, name: str, request: Any, seconds: float) -> Callable[[], Any]:
        """See `Link`."""
        done: Future[Any] = Future()
        participant = self._participant()
        if participant is None:
            done.set_exception(ShardUnavailable(-1, self.address, "it is down"))
        else:
            try:
                done.set_result(getattr(participant, name.lower())(request))
            except Exception as error:
                done.set_exception(error)
        return done.result

    def close(self) -> None:
        """Nothing to do."""


class GrpcLink:
    """A shard behind an address.

    Args:
        number: of the shard.
        address: HOST:PORT.
        credentials: of a channel with TLS; None for a port in the clear.
    """

    def __init__(self, number: int, address: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        self.address, self._number = address, number
        self._channel = (
            grpc.insecure_channel(address, OPTIONS)
            if credentials is None
            else grpc.secure_channel(address, credentials, OPTIONS)
        )
        self._stub = shard_pb2_grpc.ShardStub(self._channel)

    def call(self, name: str, request: Any, seconds: float) -> Callable[[], Any]:
        """See `Link`."""
        future = getattr(self._stub, name).future(request, timeout=seconds)

        def reply() -> Any:
            try:
                return future.result()
            except grpc.RpcError as error:
                raise self._error(error) from None

        return reply

    def _error(self, error: Any) -> Exception:
        status, details = error.code(), error.details() or ""
        kind = _ERRORS.get(status)
        if kind is not None:
            return kind(details)
        return ShardUnavailable(self._number, self.address, f"{status.name}: {details}")

    def close(self) -> None:
        """See `Link`."""
        self._channel.close()


class Links:
    """The links to all shards of a map, in its order.

    Args:
        links: one for each shard.
    """

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = list(links)

    def __len__(self) -> int:
        return len(self._links)

    def address(self, shard: int) -> str:
        """Where a shard is asked."""
        return self._links[shard].address

    def begin(self, shard: int, name: str, request: Any, seconds: float) -> Callable[[], Any]:
        """As `Link.call`; a shard that does not answer is named by its number."""
        reply = self._links[shard].call(name, request, seconds)

        def named() -> Any:
            try:
                return reply()
            except ShardUnavailable as error:
                raise ShardUnavailable(shard, self.address(shard), error.problem) from None

        return named

    def all(self, name: str, requests: Sequence[Any], seconds: float) -> list[Any]:
        """Ask all shards at once; None where there is no request. All answers are waited for, whatever they are.

        Raises:
            ShardUnavailable, VersionGone, VoteMissing, WrongShard: of the first shard that answers so.
        """
        calls = [
            None if request is None else self.begin(shard, name, request, seconds)
            for shard, request in enumerate(requests)
        ]
        replies: list[Any] = []
        problem: Exception | None = None
        for call in calls:
            try:
                replies.append(None if call is None else call())
            except Exception as error:
                problem = problem or error
        if problem is not None:
            raise problem
        return replies

    def close(self) -> None:
        """End the connections."""
        for link in self._links:
            link.close()
