# SPDX-License-Identifier: GPL-3.0-or-later
"""Callers of an HTTP port that write what they like on a socket, and wait for what they were promised."""

from __future__ import annotations

import socket
from contextlib import suppress

from patience import PATIENCE

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def connect(address: str, source: str = "127.0.0.1") -> socket.socket:
    """A connection to `http://HOST:PORT` or HOST:PORT, from an address of this machine."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    found = socket.create_connection((host, int(port)), PATIENCE, (source, 0))
    found.settimeout(PATIENCE)
    return found


def head(path: str, length: int, *more: str) -> bytes:
    """The head of a POST."""
    lines = (f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {length}", *more, "", "")
    return "\r\n".join(lines).encode()


def answer(caller: socket.socket) -> tuple[int, bytes]:
    """Status and body of the next answer; (0, b"") where the connection ends before it."""
    with suppress(ConnectionError), caller.makefile("rb") as lines:
        first = lines.readline()
        if not first:
            return 0, b""
        length = 0
        for line in iter(lines.readline, b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return int(first.split()[1]), lines.read(length)
    return 0, b""


def ask(address: str, request: bytes = HEALTH, source: str = "127.0.0.1") -> tuple[int, bytes]:
    """Status and body of a request on a connection of its own."""
    with connect(address, source) as caller:
        caller.sendall(request)
        return answer(caller)


def ended(caller: socket.socket) -> bool:
    """Whether the other side has ended the connection; what it sent before that is dropped."""
    caller.setblocking(False)
    try:
        while caller.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    finally:
        caller.settimeout(PATIENCE)
    return True
