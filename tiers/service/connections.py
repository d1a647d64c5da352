# SPDX-License-Identifier: GPL-3.0-or-later
"""The connections of a gRPC port: what each is doing, and an end to those that only do harm.

gRPC names the connection of each call, and says of no other that it is there: those are looked for among the sockets. Nor
does it say what it throws away, such as calls that are given up as soon as they are made: but the system counts the bytes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Container, Iterable, Mapping
from typing import TYPE_CHECKING

from supervm.tiers.service.access import network_of
from supervm.tiers.service.sockets import Peer, Sockets, peer_of

if TYPE_CHECKING:
    from supervm.tiers.service.guarded_calls import Call
    from supervm.tiers.service.places import Line, Places

log = logging.getLogger(__name__)

READ_AT_ONCE = 16
"""Calls of a connection whose first message gRPC is asked for at a time: what it is asked for, it takes, however long."""

LEASHED_SECONDS, LEASH = 60.0, 16
"""For so long after a connection was ended for abandoned calls, others of its address may abandon so many times fewer."""

MOST_ADDRESSES = 10_000
"""That are remembered, at most."""

REFUSALS, REFUSALS_A_SECOND, SLOWEST = 16, 16, 8.0
"""After so many refusals an address waits as long again for the next one; so many are forgotten a second; so many times as
long it waits at most. Those who ask again at once do not keep the port busy with that."""

RESTRAINED_SECONDS = 10.0
"""For so long a connection that had sent too much is asked for one first message at a time."""

SWEEP, SHORTEST_SWEEP = 1.0, 0.05
"""Seconds between two looks at which connections there are: at most, and when asked."""

STRAY_BYTES, STRAY_BYTES_A_SECOND = 1 << 20, 128 << 10
"""Bytes of a connection that are no part of a message, nor of a call that was seen, at once and in a second."""

WARNINGS = 1.0
"""Seconds between two warnings."""


class Connection:
    """One connection of a caller.

    Args:
        peer: at its other end.
        most_held: bytes of its messages that are not answered; where there are as many, no first message is read.

    Attributes:
        held: bytes of its messages that are not answered.
        lines: its calls, by what they have places for.
        waiting: its calls that wait for a message, the one that waits longest first.
        restrained: until when it is; `time.monotonic()`.
        explained: of the bytes that have come, those that gRPC does not keep.
        arriving: bytes that it keeps for the calls that wait, when last looked at.
        dropped: whether it was ended.
    """

    __slots__ = (
        "_counted",
        "_reading",
        "_resets",
        "_turns",
        "arriving",
        "dropped",
        "explained",
        "held",
        "lines",
        "most_held",
        "network",
        "peer",
        "restrained",
        "waiting",
    )

    def __init__(self, peer: Peer, most_held: int) -> None:
        self.peer, self.network = peer, network_of(peer.host)
        self.held, self.most_held = 0, most_held
        self.lines: dict[Places, Line] = {}
        self.waiting: dict[Call, None] = {}
        self.restrained = 0.0
        self._reading = 0
        self._turns: deque[asyncio.Future[None]] = deque()
        self.explained = self.arriving = 0
        self._counted = time.monotonic()
        self._resets = 0.0
        self.dropped = False

    @property
    def over(self) -> bool:
        """Whether it has no calls."""
        return not any(line.calls for line in self.lines.values())

    @property
    def since(self) -> float:
        """When the call began to wait that waits longest; `waiting` has one."""
        return next(iter(self.waiting)).since

    @property
    def _most_reading(self) -> int:
        if self.held >= self.most_held:
            return 0
        return 1 if self.restrained and time.monotonic() < self.restrained else READ_AT_ONCE

    def turn(self) -> asyncio.Future[None] | None:
        """Take a turn to read a first message; what to wait for, if it is not there yet. `turn_over` ends it."""
        if self._reading < self._most_reading:
            self._reading += 1
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        return turn

    def turn_over(self, turn: asyncio.Future[None] | None) -> None:
        """A message has come, or is waited for no more."""
        if turn is not None and (not turn.done() or turn.cancelled()):
            turn.cancel()  # it never began
            return
        self._reading -= 1
        self._read_on()

    def answered(self, size: int) -> None:
        """A message of so many bytes is not kept any more."""
        self.held -= size
        self._read_on()

    def _read_on(self) -> None:
        while self._turns and self._reading < self._most_reading:
            following = self._turns.popleft()
            if not following.done():
                following.set_result(None)
                self._reading += 1

    def abandons(self, most: float) -> bool:
        """Count a call that its caller gave up; whether there are more than `most` in a second."""
        now = time.monotonic()
        self._resets = max(0.0, self._resets - (now - self._counted) * most) + 1
        self._counted = now
        return self._resets > most


class Patience:
    """How often each address was refused lately, and how long it waits for a refusal."""

    def __init__(self) -> None:
        self._refusals: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def refused(self, network: str, now: float) -> float:
        """Count a refusal, at `time.monotonic()`; how many times as long as usual it is to take, from 1 to `SLOWEST`."""
        count, then = self._refusals.pop(network, (0.0, now))
        count = min(max(0.0, count - (now - then) * REFUSALS_A_SECOND) + 1, REFUSALS * SLOWEST)
        self._refusals[network] = count, now
        if len(self._refusals) > MOST_ADDRESSES:
            self._refusals.popitem(last=False)
        return min(1 + count / REFUSALS, SLOWEST)


class Connections:
    """All connections of a port.

    Args:
        sockets: of the port.
        most_of_address: connections.
        most_resets: calls that a connection may abandon in a second.
        unseen: bytes of a connection's calls that gRPC has and has not told of yet, at most.
        message_bytes: of a message, at most.
        connection_bytes: of a connection's messages that are not answered, at most, before another one.
        ended: told of each connection that is ended.
    """

    def __init__(
        self,
        sockets: Sockets,
        most_of_address: int,
        most_resets: int,
        unseen: int,
        message_bytes: int,
        connection_bytes: int,
        ended: Callable[[], None],
    ) -> None:
        self._sockets, self._most_of_address, self._most_resets = sockets, most_of_address, most_resets
        self._unseen, self._message_bytes, self._ended = unseen, message_bytes, ended
        self._connection_bytes = connection_bytes
        self._strangers: dict[Peer, int] = {}
        self._all: dict[str, Connection] = {}
        self._leashes: OrderedDict[str, float] = OrderedDict()
        self._ending: list[Peer] = []
        self._asked = False
        self._warned = -WARNINGS

    def of(self, name: str) -> Connection:
        """The connection that gRPC calls so."""
        found = self._all.get(name)
        if found is None:
            found = self._all[name] = Connection(peer_of(name), self._connection_bytes)
        elif found.dropped:
            self._sockets.drop(found.peer)  # it is not over yet, or a new one has its port
        return found

    def waiting(self) -> list[Connection]:
        """Those that keep a message waiting."""
        return [each for each in self._all.values() if each.waiting]

    def look(self) -> None:
        """Look which connections there are, soon."""
        self._asked = True

    def abandoned(self, connection: Connection) -> None:
        """A caller gave a call up. A connection on which that is done over and over is ended."""
        now, most = time.monotonic(), float(self._most_resets)
        if self._leashes.get(connection.network, now) > now:
            most /= LEASH
        if not connection.abandons(most) or connection.dropped:
            return
        connection.dropped = True
        self._leashes[connection.network] = now + LEASHED_SECONDS
        self._leashes.move_to_end(connection.network)
        if len(self._leashes) > MOST_ADDRESSES:
            self._leashes.popitem(last=False)
        self._tell(connection.network, f"more than {most:g} calls abandoned in a second")
        if not self._sockets.drop(connection.peer):
            self._ending.append(connection.peer)
            self.look()

    async def look_after(self) -> None:
        """End and forget connections, until it is cancelled."""
        looked = time.monotonic()
        while True:
            await asyncio.sleep(SHORTEST_SWEEP)
            seconds = time.monotonic() - looked
            if self._asked or seconds > SWEEP:
                self._asked, looked = False, looked + seconds
                # It takes microseconds for each open file: too long for the event loop where there are thousands.
                there = await asyncio.to_thread(self._sockets.find)
                ending, self._ending = self._ending, []
                for peer in (*ending, *self._crowding(there), *self._straying(there, seconds)):
                    self._sockets.drop(peer)
                self._forget(there)

    def _forget(self, there: Container[Peer]) -> None:
        gone = [name for name, each in self._all.items() if each.peer not in there and each.over]
        for name in gone:
            connection = self._all.pop(name)
            for places in connection.lines:
                places.close(connection.network, connection)

    def _straying(self, there: Mapping[Peer, int], seconds: float) -> list[Peer]:
        """Connections that send what is no part of anything, such as calls that are given up before they are seen."""
        allowed = int(seconds * STRAY_BYTES_A_SECOND)
        known = {each.peer: each for each in self._all.values()}
        strangers, found = dict[Peer, int](), list[Peer]()
        for peer, came in there.items():
            connection = known.get(peer)
            if connection is None:
                stray, room = came - self._strangers.get(peer, 0) - allowed, 0
                strangers[peer] = came - max(0, stray)
            else:
                # Where nothing is waited for, nothing is kept: what the count misses does not add up.
                connection.explained = min(connection.explained + allowed, came)
                stray, room = came - connection.explained, len(connection.waiting) * self._message_bytes
            if stray > room + self._unseen + STRAY_BYTES:
                found.append(peer)
                self._tell(network_of(peer.host), f"{stray} bytes that are no part of a message")
        self._strangers = strangers
        return found

    def _crowding(self, there: Iterable[Peer]) -> list[Peer]:
        """Connections above what their addresses may have: those that never had a call, then those that have none."""
        most, addresses, found = self._most_of_address, dict[str, list[Peer]](), list[Peer]()
        for peer in there:
            addresses.setdefault(network_of(peer.host), []).append(peer)
        worth = {each.peer: 1 if each.over else 2 for each in self._all.values()}
        for network, peers in addresses.items():
            if len(peers) > most:
                peers.sort(key=lambda peer: worth.get(peer, 0), reverse=True)
                found += peers[most:]
                for _ in peers[most:]:
                    self._tell(network, f"more than {most} connections")
        return found

    def _tell(self, network: str, problem: str) -> None:
        self._ended()
        if time.monotonic() > self._warned + WARNINGS:
            self._warned = time.monotonic()
            log.warning("connections are ended", extra={"address": network, "problem": problem})
