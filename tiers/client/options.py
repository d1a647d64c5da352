# SPDX-License-Identifier: GPL-3.0-or-later
"""Defaults and checks of a client's options."""

from __future__ import annotations

from supervm.kernels.errors import ArgumentError

__all__ = [
    "BROKEN",
    "CLIENT_CLOSED",
    "CLOSED",
    "ENDED",
    "FAREWELL",
    "LISTENING",
    "MESSAGE_BYTES",
    "SWEEP",
    "checked_count",
]

MESSAGE_BYTES = 4 << 20
"""What gRPC servers accept in one message unless they are told otherwise."""

SWEEP = 0.25
"""Seconds between two looks at the deadlines of a stream, at most."""

FAREWELL = 5.0
"""Seconds that a server has to end a stream after its last verdict."""

LISTENING = 0.1
"""Seconds that a stream listens before it writes, where the one before it ended unheard."""

CLOSED = "the stream is closed"
CLIENT_CLOSED = "the client is closed"
BROKEN = "the connection broke while a request was written"
ENDED = "the server ended the stream"


def checked_count(argument: str, value: int) -> int:
    """`value` if it is a whole number above 0.

    Raises:
        ArgumentError: anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ArgumentError(argument, repr(value), "a whole number, 1 or more")
    return value
