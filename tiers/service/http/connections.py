# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is connected to an HTTP port, and whose connection makes room for the next one.

waiting ──the head of a request has come──▶ reading ──its body too──▶ working ──it is answered──▶ waiting

Where there are too many, one goes that has done nothing for a while, of the address that has most. Where there is none,
`RESERVE` more are let in, of which no call is taken while too many work: operators are always answered. Where those places
are taken too, the one goes that has asked nothing, or read a body, for longest: whoever connects and asks nothing drives out
itself, and not those that ask.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

RESERVE = 64
"""Connections beyond the limits, of all callers; an address has `RESERVE_EACH`."""

RESERVE_EACH = 16

LOOKED_AT = 16
"""Connections among which one is sought whose body does not come on: those that have read for longest."""


class State(Enum):
    """What a connection does."""

    WAITING = "waiting"
    READING = "reading"
    WORKING = "working"


class Member(Protocol):
    """A connection, as far as the books need it.

    Attributes:
        since: seconds, from which on it is in its state.
    """

    since: float

    def idle(self) -> bool:
        """Whether its caller has done nothing for a while."""

    def evict(self) -> None:
        """End, since another one needs the place."""


@dataclass(slots=True)
class _Caller:
    """Of one address: how many are open and working, and those that do something else, the longest first.

    Those that wait for their first request (`fresh`) and those that had one (`kept`) are apart.
    """

    open: int = 0
    working: int = 0
    fresh: dict[Member, None] = field(default_factory=dict)
    reading: dict[Member, None] = field(default_factory=dict)
    kept: dict[Member, None] = field(default_factory=dict)

    def idlest(self) -> Member | None:
        """One that has done nothing for a while."""
        for waiting in (self.fresh, self.kept):
            for longest in waiting:
                if longest.idle():
                    return longest
                break
        return next((one for one in itertools.islice(self.reading, LOOKED_AT) if one.idle()), None)

    def longest(self) -> Member | None:
        """The one that goes whatever it does, save work."""
        firsts = [next(iter(place)) for place in (self.fresh, self.reading) if place]
        return min(firsts, key=lambda one: one.since) if firsts else next(iter(self.kept), None)


class Connections:
    """The books of one port.

    Args:
        most: connections at a time.
        each: of one address.
    """

    def __init__(self, most: int, each: int) -> None:
        self.most, self.each = most, min(each, most)
        self.open = self.working = 0
        self._callers: dict[str, _Caller] = {}

    def enter(self, member: Member, address: str) -> bool:
        """Let a connection in, which waits, in place of another one if need be; whether there is a place."""
        caller = self._callers.get(address) or _Caller()
        if caller.open >= self.each:
            self._evict(caller, caller.open >= self.each + RESERVE_EACH)
        if self.open >= self.most:
            largest = max(self._callers.values(), key=lambda one: one.open if one.open > one.working else 0)
            self._evict(largest, self.open >= self.most + RESERVE)
        if caller.open >= self.each + RESERVE_EACH or self.open >= self.most + RESERVE:
            return False
        self._callers[address] = caller
        caller.open += 1
        self.open += 1
        caller.fresh[member] = None
        return True

    def move(self, member: Member, address: str, state: State) -> None:
        """A connection does something else from now on."""
        caller = self._callers[address]
        self._remove(caller, member)
        if state is State.WAITING:
            caller.kept[member] = None
        elif state is State.READING:
            caller.reading[member] = None
        else:
            caller.working += 1
            self.working += 1

    def leave(self, member: Member, address: str) -> None:
        """A connection that was let in is over."""
        caller = self._callers[address]
        self._remove(caller, member)
        caller.open -= 1
        self.open -= 1
        if not caller.open:
            del self._callers[address]

    def crowded(self, address: str) -> bool:
        """Whether more requests of this address, or of all, are being worked on than there are places."""
        return self._callers[address].working > self.each or self.working > self.most

    def _remove(self, caller: _Caller, member: Member) -> None:
        for place in (caller.fresh, caller.reading, caller.kept):
            if member in place:
                del place[member]
                return
        caller.working -= 1
        self.working -= 1

    def _evict(self, caller: _Caller, full: bool) -> None:
        """End one connection of a caller."""
        member = caller.idlest()
        if member is None and full:
            member = caller.longest()
        if member is not None:
            member.evict()
