# SPDX-License-Identifier: GPL-3.0-or-later
"""Several addresses of a service: which one a call goes to.

Each address has a channel of gRPC, which watches the health of its server (`grpc.health.v1`) and connects again by itself.
A call goes to the server with the fewest calls of this client, among those that are well and did not fail a moment ago. A
name with several addresses in DNS counts as one here; gRPC takes turns among them.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import grpc

from supervm.kernels.errors import ArgumentError
from supervm.tiers.client.connection import Connection, Tls
from supervm.tiers.client.errors import ClientError, DeadlineExceeded, ServiceRefused, ServiceUnavailable
from supervm.tiers.client.retry import FULL, Deadline, Retry, may_retry, pause_before_retry
from supervm.tiers.service.v1 import verification_pb2 as pb
from supervm.tiers.service.v1.verification_pb2_grpc import VerificationStub

__all__ = ["Attempt", "Member", "Members", "addresses"]

SERVICE = pb.DESCRIPTOR.services_by_name["Verification"].full_name

BALANCED: tuple[tuple[str, Any], ...] = (
    (
        "grpc.service_config",
        json.dumps(
            {
                # Health is watched under this policy, and not under the usual one (gRFC A17).
                "loadBalancingConfig": [{"round_robin": {}}],
                "healthCheckConfig": {"serviceName": SERVICE},
            }
        ),
    ),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 5000),
)
"""Options of a channel that is one of several: others are asked meanwhile, so it may try again soon."""

WELL, MAY_BE_WELL, FAILED, UNWELL = range(4)
"""Servers in the order in which they are asked: connected and serving; not connected yet; one of these at which a call
failed just now; one that is not there, or says that it does not serve."""

REST_SECONDS = 1.0
"""For so long a server that did not answer is asked only where no other one is well."""

BEGIN_SECONDS, WATCH_SECONDS = 1.0, 0.3
"""How long a thread of gRPC that watches a synchronous channel takes to begin, at most, and to see that nobody listens any
more (it looks every 0.2 s). Where its channel is closed before, it ends with an error."""

_ADDRESS = re.compile(r"([^\s:/,]+|\[[0-9A-Fa-f:.%]+\]):([0-9]{1,5})")
_SCHEMES = ("dns:", "unix:", "unix-abstract:", "ipv4:", "ipv6:", "vsock:", "xds:", "passthrough:")
"""Names that gRPC resolves by itself (grpc/doc/naming.md)."""


def addresses(target: str | Sequence[str]) -> list[str]:
    """The addresses of a target.

    Args:
        target: one, several with commas between them, or a sequence.

    Raises:
        ArgumentError: none, or one that is no HOST:PORT and no name that gRPC resolves.
    """
    given = target.split(",") if isinstance(target, str) else list(target)
    found = [one.strip() if isinstance(one, str) else one for one in given]
    for one in found or [""]:
        match = _ADDRESS.fullmatch(one) if isinstance(one, str) else None
        named = isinstance(one, str) and one.startswith(_SCHEMES)
        if not named and (match is None or not 0 < int(match[2]) <= 65535):
            raise ArgumentError(
                "target", repr(one), "HOST:PORT, such as 127.0.0.1:50051 or [::1]:50051, or several of them"
            )
    return list(dict.fromkeys(found))


class Member:
    """One of the servers.

    Args:
        address: of it.
        channel: to it.

    Attributes:
        stub: makes calls.
        busy: calls that are not answered.
        rested: `time.monotonic()` from which on it counts as well again.
    """

    def __init__(self, address: str, channel: Any) -> None:
        self.address, self.channel, self.stub = address, channel, VerificationStub(channel)
        self.busy, self.rested = 0, 0.0
        self._state = grpc.ChannelConnectivity.IDLE
        self._heard = threading.Event()

    def subscribe(self) -> None:
        """Hear of the state of a synchronous channel, which cannot be asked for it."""
        self.channel.subscribe(self._become, try_to_connect=True)

    def unsubscribe(self) -> None:
        """Hear no more of it."""
        self._heard.wait(BEGIN_SECONDS)
        self.channel.unsubscribe(self._become)

    def _become(self, state: grpc.ChannelConnectivity) -> None:
        self._state = state
        self._heard.set()

    @property
    def state(self) -> grpc.ChannelConnectivity:
        """READY where its server is connected, and says that it serves."""
        get_state = getattr(self.channel, "get_state", None)  # of asyncio's channels
        return self._state if get_state is None else get_state(try_to_connect=True)


class Attempt(NamedTuple):
    """A call of gRPC, and where it has gone."""

    member: Member
    call: Any


class Members:
    """All servers of a client; for any number of threads.

    Args:
        target: see `addresses`.
        tls, token: as the client takes them.
        channel: makes a channel from a connection and options of gRPC that are added.

    Raises:
        ArgumentError: see `addresses`.
    """

    def __init__(
        self,
        target: str | Sequence[str],
        tls: Tls | None,
        token: str | None,
        channel: Callable[[Connection, Sequence[tuple[str, Any]]], Any],
    ) -> None:
        connections = [Connection(address, tls, token) for address in addresses(target)]
        self.metadata = connections[0].metadata
        more = BALANCED if len(connections) > 1 else ()
        self.all = [Member(one.target, channel(one, more)) for one in connections]
        self._lock = threading.Lock()
        self._turn = random.randrange(
            len(self.all)
        )  # else the first call of every client would go to one place

    def pick(self) -> Member:
        """Where the next call goes."""
        if len(self.all) == 1:
            return self.all[0]
        now = time.monotonic()
        with self._lock:
            self._turn += 1
            turned = [self.all[(self._turn + place) % len(self.all)] for place in range(len(self.all))]
            return min(turned, key=lambda one: (self._rank(one, now), one.busy))

    def subscribe(self) -> None:
        """Hear of the states of synchronous channels where there are several."""
        if len(self.all) > 1:
            for one in self.all:
                one.subscribe()

    def close(self) -> None:
        """Close all channels, which are synchronous ones."""
        if len(self.all) > 1:
            for one in self.all:
                one.unsubscribe()
            time.sleep(WATCH_SECONDS)
        for one in self.all:
            one.channel.close()

    def begin(self, member: Member, call: Any) -> Attempt:
        """A call has gone there; it counts until it is done."""
        if len(self.all) > 1:
            with self._lock:
                member.busy += 1
            call.add_done_callback(lambda _: self._done(member))
        return Attempt(member, call)

    def pause(
        self, member: Member, error: ClientError, retry: Retry, attempt: int, deadline: Deadline
    ) -> float | None:
        """As `pause_before_retry`, of a call that failed there; no pause where another server can be asked at once."""
        self.failed(member, error)
        if attempt < len(self.all) and may_retry(error, retry, attempt):
            now = time.monotonic()
            if any(self._rank(one, now) <= MAY_BE_WELL for one in self.all if one is not member):
                return 0.0
        return pause_before_retry(error, retry, attempt, deadline)

    def failed(self, member: Member, error: ClientError) -> None:
        """A call failed there: others are asked for a while, if that may be better."""
        full = isinstance(error, ServiceRefused) and error.code == FULL and error.retry_after is not None
        if full or isinstance(error, (ServiceUnavailable, DeadlineExceeded)):
            seconds = getattr(error, "retry_after", None) or REST_SECONDS
            member.rested = time.monotonic() + seconds

    def named(self, member: Member, error: ClientError) -> ClientError:
        """The error that a caller gets, with the addresses that it is about where there are several."""
        if len(self.all) == 1 or not isinstance(error, ServiceUnavailable):
            return error
        if any(one.state is grpc.ChannelConnectivity.READY for one in self.all):
            return ServiceUnavailable(f"{member.address}: {error.message}", error.retry_after)
        names = ", ".join(one.address for one in self.all)
        return ServiceUnavailable(f"none of {names} answers: {error.message}", error.retry_after)

    def _done(self, member: Member) -> None:
        with self._lock:
            member.busy -= 1

    @staticmethod
    def _rank(member: Member, now: float) -> int:
        state = member.state
        if state in (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN):
            return UNWELL
        if member.rested > now:  # gRPC may tell of a failed connection after it has failed the call
            return FAILED
        return WELL if state is grpc.ChannelConnectivity.READY else MAY_BE_WELL
