# SPDX-License-Identifier: GPL-3.0-or-later
"""What callers may take of a node's port; `supervm.tiers.service.guard` holds them to it."""

from __future__ import annotations

from supervm.tiers.service.admission import Queue
from supervm.tiers.service.bounds import Bounds
from supervm.tiers.service.places import Places
from supervm.tiers.service.v1 import node_pb2 as pb

NODE = pb.DESCRIPTOR.services_by_name["Node"].full_name
BLOCKS = f"{NODE}/SubmitBlocks"

COMPUTING, COMPUTING_OF_CONNECTION = 4, 2
"""Calls that compute at a time, each on a thread: of all, and of a connection. More would take the interpreter from each
other, and from the loop that reads and writes for all."""

WAITING, WAITING_OF_CONNECTION = 32, 8
"""Calls that wait at a time, each on a thread: for an upstream, or for the moment between two blocks."""

STREAMS, STREAMS_OF_ADDRESS = 16, 8
"""Streams of blocks at a time: of all, and of an address. Who has more than a newcomer gives way with one that idles."""

MESSAGE_SECONDS = 60.0
"""In which a request has to come: a block may be large."""

MORE_BYTES = 64 << 20
"""Beside the largest request: bytes of others that arrive, or wait, meanwhile."""

QUESTION_BYTES = 16 << 20
"""Of a request that is no block: beyond, it is refused as it is, since reading it would hold up others."""

CONNECTION_BYTES = 8 << 20
"""Of the messages of a connection that are not answered: where there are as many, its next ones are not read yet."""

UNREAD_BYTES = 256 << 20
"""Of answers that are not read yet. Where there are more, the connection that has most of them is ended."""

OPEN_CALLS, CONNECTIONS = 512, 2048
"""Calls at a time that have begun, and connections."""


def bounds(message_bytes: int, connections: int = CONNECTIONS) -> Bounds:
    """What callers may take, where a request has so many bytes at most."""
    return Bounds(
        calls=OPEN_CALLS,
        address_calls=OPEN_CALLS // 2,
        connections=connections,
        message_bytes=message_bytes,
        message_seconds=MESSAGE_SECONDS,
        connection_bytes=CONNECTION_BYTES,
        arriving_bytes=message_bytes + MORE_BYTES,
    )


def queue(message_bytes: int) -> Queue:
    """What is kept of requests, the largest of which has so many bytes: one arrives, one is answered, and so are others."""
    return Queue(2 * OPEN_CALLS, 2 * (message_bytes + MORE_BYTES))


def streams_of_blocks() -> Places:
    """Places for calls of `BLOCKS`."""
    return Places("streams of blocks", STREAMS, STREAMS_OF_ADDRESS)
