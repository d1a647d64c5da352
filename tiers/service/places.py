# SPDX-License-Identifier: GPL-3.0-or-later
"""Places for calls, shared fairly: no address takes more than its part, and when all are taken, who has most gives way.

It gives way with a call that can: one whose request has not come, or a stream in which nothing is being done. So whoever
holds a few calls finds a place beside others that hold as many as they can.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Protocol

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code

RETRY_AFTER = 0.25
"""Seconds after which to ask for a place again."""

LOOKED_AT = 64
"""Calls of a connection among which one is sought that can give way, the newest first: those are likely to."""


class Placed(Protocol):
    """A call that has a place."""

    line: Line

    @property
    def idle(self) -> bool:
        """Whether it can give way: nothing is lost but the place."""

    def give_way(self, error: ServiceError) -> None:
        """End with this error."""


class Line:
    """The calls of one connection, and its address's count."""

    __slots__ = ("address", "calls")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.calls: dict[Placed, None] = {}


class Address:
    """The connections of one address."""

    __slots__ = ("lines", "taken")

    def __init__(self) -> None:
        self.lines: dict[object, Line] = {}
        self.taken = 0


class Places:
    """Places for calls of one sort.

    Args:
        of: what they are for, in the plural, for errors.
        most: at a time.
        most_of_address: of one address.
    """

    def __init__(self, of: str, most: int, most_of_address: int) -> None:
        self._of, self._most, self._most_of_address = of, most, most_of_address
        self._addresses: dict[str, Address] = {}
        self.taken = 0

    def line(self, address: str, connection: object) -> Line:
        """Where the calls of a connection stand; `close` forgets it."""
        found = self._addresses.setdefault(address, Address())
        return found.lines.setdefault(connection, Line(found))

    def close(self, address: str, connection: object) -> None:
        """A connection without calls is over."""
        found = self._addresses.get(address)
        if found is not None:
            found.lines.pop(connection, None)
            if not found.lines:
                del self._addresses[address]

    def take(self, call: Placed) -> None:
        """Give a call a place in its line.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED, with a time to try again.
        """
        line = call.line
        address = line.address
        if address.taken >= self._most_of_address:
            self._make_room(line, [address], "of this address", self._most_of_address)
        if self.taken >= self._most:
            self._make_room(line, self._addresses.values(), "of all callers", self._most)
        line.calls[call] = None
        address.taken += 1
        self.taken += 1

    def leave(self, call: Placed) -> None:
        """A call is over; nothing happens where it has no place."""
        line = call.line
        if call in line.calls:
            del line.calls[call]
            line.address.taken -= 1
            self.taken -= 1

    def _make_room(self, line: Line, among: Iterable[Address], whose: str, most: int) -> None:
        """Have a call give way of the connection that has most, of the address that has most, if the newcomer has fewer."""
        heaviest = max(among, key=lambda address: address.taken)
        most_calls = max(heaviest.lines.values(), key=lambda each: len(each.calls))
        if heaviest is line.address:
            lighter = len(line.calls) + 1 < len(most_calls.calls)
        else:
            lighter = line.address.taken + 1 < heaviest.taken
        if lighter:
            for call in itertools.islice(reversed(most_calls.calls), LOOKED_AT):
                if call.idle:
                    self.leave(call)
                    call.give_way(self._full(whose, most))
                    return
        raise self._full(whose, most)

    def _full(self, whose: str, most: int) -> ServiceError:
        text = f"{most} {self._of} {whose} are open, the most at a time: try again later"
        return ServiceError(Code.RESOURCE_EXHAUSTED, "", text, RETRY_AFTER)
