# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP/2 as no gRPC library would speak it: calls whose messages never end, and answers that nobody reads."""

from __future__ import annotations

import socket
import struct

from patience import PATIENCE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0x0, 0x1, 0x4
END_STREAM, END_HEADERS = 0x1, 0x4
INITIAL_WINDOW_SIZE = 0x4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def header_block(fields: dict[str, str]) -> bytes:
    """Header fields as literals without indexing (RFC 7541, section 6.2.2), each shorter than 127 bytes."""
    block = bytearray()
    for name, value in fields.items():
        block += b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
    return bytes(block)


class RawConnection:
    """A connection that sends what it is told, and reads nothing.

    Args:
        address: HOST:PORT.
        window: bytes of each answer that it lets come.
    """

    def __init__(self, address: str, window: int = (1 << 16) - 1) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, window)))
        self._next = 1

    def call(self, method: str, *more: tuple[str, str]) -> int:
        """Begin a call with its headers; the number of its stream."""
        stream, self._next = self._next, self._next + 2
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": method,
            ":authority": "test",
            "content-type": "application/grpc",
            "te": "trailers",
            **dict(more),
        }
        self._socket.sendall(frame(HEADERS, END_HEADERS, stream, header_block(fields)))
        return stream

    def begin_message(self, stream: int, announced: int, first: bytes) -> None:
        """Send the first bytes of a message: at most what a stream may send unasked, 65,535 with the 5 in front."""
        data = b"\0" + announced.to_bytes(4, "big") + first
        for start in range(0, len(data), 1 << 14):
            self._socket.sendall(frame(DATA, 0, stream, data[start : start + (1 << 14)]))

    def end(self, stream: int) -> None:
        """Say that no more of a call is to come."""
        self._socket.sendall(frame(DATA, END_STREAM, stream))

    def close(self) -> None:
        """Close it."""
        self._socket.close()
