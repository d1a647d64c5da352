# SPDX-License-Identifier: GPL-3.0-or-later
"""What the callers of a gRPC port may take, and the part of it that gRPC itself is told."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = 64 << 10
"""Bytes that a caller may send of a message before it is read. gRPC would let them grow to what a connection carries in a
round trip, and keep as many for every call."""

HANDSHAKE_MILLISECONDS = 10_000


@dataclass(frozen=True)
class Bounds:
    """What callers may take.

    Args:
        calls, address_calls, connection_calls: at a time.
        connections, address_connections: at a time.
        message_bytes: of a message, at most.
        connection_bytes: of messages of a connection that are not answered; where there are as many, no more are read.
        message_seconds: in which a call's first message has to come.
        arriving_bytes: of messages that are not whole.
        idle_seconds: after which a stream that says nothing is ended, and a connection without calls.
        resets: calls that a connection may abandon in a second.
        connection_seconds: after which a connection is asked to end, when its calls have; 0 is never.
        shared: whether other processes may listen at the same address.
    """

    calls: int = 1024
    address_calls: int = 512
    connection_calls: int = 64
    connections: int = 4096
    address_connections: int = 256
    message_bytes: int = 16 << 20
    connection_bytes: int = 64 << 20
    message_seconds: float = 30.0
    arriving_bytes: int = 128 << 20
    idle_seconds: float = 600.0
    resets: int = 200
    connection_seconds: float = 0.0
    shared: bool = False

    @property
    def options(self) -> tuple[tuple[str, int], ...]:
        """Of a server of gRPC."""
        return (
            ("grpc.max_receive_message_length", self.message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_concurrent_streams", self.connection_calls),
            # It refuses calls of a caller who has as many open as he may, for those that are over but not yet forgotten.
            ("grpc.http.overload_protection", 0),
            ("grpc.http2.bdp_probe", 0),
            ("grpc.http2.lookahead_bytes", WINDOW),
            ("grpc.max_allowed_incoming_connections", self.connections),
            ("grpc.max_connection_idle_ms", int(self.idle_seconds * 1000)),
            ("grpc.server_handshake_timeout_ms", HANDSHAKE_MILLISECONDS),
            # Where nobody means it, a second process would share the port, and the calls.
            ("grpc.so_reuseport", int(self.shared)),
            *(
                (("grpc.max_connection_age_ms", int(self.connection_seconds * 1000)),)
                if self.connection_seconds
                else ()
            ),
        )
