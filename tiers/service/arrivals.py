# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes of messages that have begun to arrive: who has sent how many, and whether all of them are too many.

gRPC tells of a message when all of it is there. But the system counts what has come on a connection, and what was delivered
is known here: the difference is what gRPC keeps, from the first byte on. It is looked up only for connections whose callers
take their time, every fiftieth of a second while the process grows, else ten times a second.
"""

from __future__ import annotations

import os
from typing import Protocol

from supervm.tiers.service.bounds import WINDOW
from supervm.tiers.service.connections import Connection, Connections
from supervm.tiers.service.sockets import Sockets

TICK = 0.02
"""Seconds between two looks at the process's memory, while a message is waited for."""

CALM = 0.1
"""Seconds between two looks at every connection that keeps it waiting, where the memory does not grow."""

GROWTH = 4 << 20
"""Bytes by which the process grows meanwhile before they are looked at at once."""

CALL_BYTES = 256
"""What a call takes on the wire beside its messages: headers, and what acknowledges its answer."""

MESSAGE_BYTES = 32
"""What a message takes beside itself, besides a part in 128 for frames and the records of TLS."""


PAGE = os.sysconf("SC_PAGE_SIZE")


class Held(Protocol):
    """Where bytes count that are kept for callers, such as `admission.Queue`."""

    arriving: int


class Arrivals:
    """What is kept for messages that are not whole.

    Args:
        connections: of the port.
        sockets: of the same.
        message_bytes: of a message, at most.
        most: bytes of all that are not whole.
        held: where they count too.
    """

    def __init__(
        self, connections: Connections, sockets: Sockets, message_bytes: int, most: int, held: Held
    ) -> None:
        self._connections, self._sockets = connections, sockets
        self._message_bytes, self._most, self._held = message_bytes, most, held
        self._memory, self._looked, self._total = 0, 0.0, 0

    def delivered(self, connection: Connection, size: int) -> None:
        """So many bytes of what is kept for a connection are a message now."""
        self._set(connection, max(0, connection.arriving - size) if connection.waiting else 0)

    def lost(self, connection: Connection) -> None:
        """A message that had begun to come will not be whole: what came of it is thrown away."""
        size = min(connection.arriving, self._message_bytes)
        connection.explained += size + WINDOW
        if connection.arriving:
            self._set(connection, connection.arriving - size if connection.waiting else 0)

    def clear(self, connection: Connection) -> None:
        """Nothing is kept for a connection any more."""
        if connection.arriving:
            self._set(connection, 0)

    def look(self, now: float) -> bool:
        """Look at the connections that keep a message waiting, if it is time; whether one of them is not known yet."""
        memory = resident()
        grows = memory > self._memory + GROWTH
        if not grows and now - self._looked < CALM:
            return False
        self._memory, self._looked = memory, now
        since = now - (TICK if grows else CALM)
        late = [each for each in self._connections.waiting() if each.since < since]
        known = [self._look_at(connection) for connection in late]
        return not all(known)

    def too_much(self) -> Connection | None:
        """If more has come than may: the connection that has sent most, of the address that has."""
        if self._total <= self._most:
            return None
        addresses: dict[str, int] = {}
        waiting = self._connections.waiting()
        for each in waiting:
            addresses[each.network] = addresses.get(each.network, 0) + each.arriving
        heaviest = max(addresses, key=addresses.__getitem__)
        return max((each for each in waiting if each.network == heaviest), key=lambda each: each.arriving)

    def _look_at(self, connection: Connection) -> bool:
        """Whether the connection is known."""
        came = self._sockets.received(connection.peer)
        if came is None:
            return self._sockets.knows(connection.peer)  # if so it is over, and its calls are about to be
        connection.explained = min(connection.explained, came)
        most = len(connection.waiting) * self._message_bytes
        self._set(connection, min(came - connection.explained, most))
        return True

    def _set(self, connection: Connection, size: int) -> None:
        change = size - connection.arriving
        connection.arriving = size
        self._total += change
        self._held.arriving += change


def resident() -> int:
    """Bytes of memory that the process has resident."""
    with open("/proc/self/statm", "rb", buffering=0) as file:
        return int(file.read(128).split()[1]) * PAGE
