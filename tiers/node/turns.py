# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose call is answered next, and whose answers are kept: nobody's calls or answers crowd out those of others."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from supervm.tiers.service.access import network_of
from supervm.tiers.service.sockets import Peer, peer_of


class Caller(NamedTuple):
    """A connection, and the network of its address."""

    peer: Peer
    network: str


def caller_of(name: str) -> Caller:
    """The caller in gRPC's name of a peer."""
    peer = peer_of(name)
    return Caller(peer, network_of(peer.host))


class Turns:
    """Turns for calls, on one event loop. The next one is of the network, and there of the connection, that has fewest.

    Args:
        most: turns at a time.
        most_of_one: of one connection.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._free, self._most_of_one = most, most_of_one
        self._taken: Counter[Peer | str] = Counter()
        self._waiting: dict[Caller, deque[asyncio.Future[None]]] = {}

    async def take(self, caller: Caller) -> None:
        """Wait for a turn; `give_back` ends it."""
        if self._free and self._taken[caller.peer] < self._most_of_one:
            self._give(caller)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(caller)
            raise

    def give_back(self, caller: Caller) -> None:
        """A turn is over."""
        self._free += 1
        self.let_go(caller)

    def keep(self, caller: Caller) -> None:
        """What came of a turn is not read yet: until `let_go`, it counts as one of the connection that anybody may have."""
        for key in caller:
            self._taken[key] += 1

    def let_go(self, caller: Caller) -> None:
        """It is read, or the connection has ended."""
        for key in caller:
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]
        while self._free and (following := self._following()) is not None:
            waiting = self._waiting.pop(following)
            turn = waiting.popleft()
            if waiting:
                self._waiting[following] = waiting  # behind the others
            if not turn.done():
                self._give(following)
                turn.set_result(None)

    def _give(self, caller: Caller) -> None:
        self._free -= 1
        self.keep(caller)

    def _following(self) -> Caller | None:
        """Whose turn is next; None if nobody waits who may have one."""
        may = (each for each in self._waiting if self._taken[each.peer] < self._most_of_one)
        return min(may, key=lambda each: (self._taken[each.network], self._taken[each.peer]), default=None)


class Unread:
    """Bytes of answers that their callers have not taken yet. Where they are too many, the connection with most is ended.

    Args:
        most: bytes of all.
        end: ends a connection.
    """

    def __init__(self, most: int, end: Callable[[Peer], object]) -> None:
        self._most, self._end = most, end
        self._sizes: dict[Caller, list[int]] = {}
        self.total = 0

    def add(self, caller: Caller, size: int) -> None:
        """An answer is on its way."""
        self._sizes.setdefault(caller, []).append(size)
        self.total += size
        while self.total > self._most and (len(self._sizes) > 1 or len(self._sizes[caller]) > 1):
            heaviest = self._heaviest()
            self.total -= sum(self._sizes.pop(heaviest))
            self._end(heaviest.peer)
            if caller not in self._sizes:
                return

    def taken(self, caller: Caller, size: int) -> None:
        """It has arrived, or its caller is gone."""
        sizes = self._sizes.get(caller, [])
        if size in sizes:
            sizes.remove(size)
            self.total -= size
            if not sizes:
                del self._sizes[caller]

    def _heaviest(self) -> Caller:
        """The connection that has most, of the network that has."""
        networks: Counter[str] = Counter()
        for each, sizes in self._sizes.items():
            networks[each.network] += sum(sizes)
        return max(self._sizes, key=lambda each: (networks[each.network], sum(self._sizes[each])))
