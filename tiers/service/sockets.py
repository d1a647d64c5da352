# SPDX-License-Identifier: GPL-3.0-or-later
"""The sockets of a gRPC port, which gRPC keeps to itself: how many bytes each has received, and an end to one or
to all that is to come.

A connection is looked for among the process's open files and known by its two addresses. It is looked at through a duplicate
whose addresses are compared first, so that a number which meanwhile belongs to another file is never touched.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import unquote

OPEN_FILES = "/proc/self/fd"
TCP_INFO_BYTES = 136
_RECEIVED = struct.Struct("=128xQ")
"""`tcpi_bytes_received` of Linux's `struct tcp_info` (4.1 and later): what the peer has sent, read or not."""

V4_MAPPED = "::ffff:"


class Peer(NamedTuple):
    """Whose connection it is. `port` names a connection of an address; both are empty for a socket without addresses."""

    host: str
    port: int


def peer_of(name: str) -> Peer:
    """The peer in gRPC's name of one, such as ipv4:127.0.0.1:50000 or ipv6:%5B::1%5D:50000."""
    kind, _, rest = unquote(name).partition(":")
    host, _, port = rest.rpartition(":")
    if kind not in ("ipv4", "ipv6") or not port.isdecimal():
        return Peer(name, 0)
    return Peer(host.strip("[]").removeprefix(V4_MAPPED), int(port))


class Sockets:
    """Connections that were accepted on one port of this process.

    Args:
        port: the number.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._numbers: dict[Peer, int] = {}

    def find(self) -> dict[Peer, int]:
        """Look for the connections that there are, and how many bytes have come from each since it connected.

        Raises:
            OSError: the system does not list open files.
        """
        numbers, found = dict[Peer, int](), dict[Peer, int]()
        for name in os.listdir(OPEN_FILES):
            connection = self._opened(int(name))
            if connection is not None:
                peer, duplicate = connection
                with duplicate:
                    numbers[peer], found[peer] = int(name), _received(duplicate)
        self._numbers = numbers
        return found

    def stop_listening(self) -> None:
        """Take the port's listening sockets out of service, which gRPC can do with the whole server alone.

        gRPC says on standard error that it accepts no more there.
        """
        for name in os.listdir(OPEN_FILES):
            with suppress(OSError):
                if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                    continue
                with socket.socket(fileno=os.dup(int(name))) as duplicate:
                    listens = duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                    if listens and _port(duplicate) == self._port:
                        duplicate.shutdown(socket.SHUT_RDWR)

    def knows(self, peer: Peer) -> bool:
        """Whether `find` has found it."""
        return peer in self._numbers

    def received(self, peer: Peer) -> int | None:
        """Bytes that have come from it since it connected; None where it is not known, or gone."""
        with suppress(OSError), self._connection(peer) as duplicate:
            return _received(duplicate)
        return None

    def drop(self, peer: Peer) -> bool:
        """End a connection, at once for both sides; whether it was there."""
        if peer not in self._numbers:
            self.find()
        with suppress(OSError), self._connection(peer) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)
            return True
        return False

    def _connection(self, peer: Peer) -> socket.socket:
        """A duplicate of a peer's connection.

        Raises:
            ConnectionError: there is none that is known.
        """
        number = self._numbers.get(peer)
        connection = None if number is None else self._opened(number)
        if connection is None:
            raise ConnectionError(f"no connection of {peer} is known")
        found, duplicate = connection
        if found != peer:
            duplicate.close()
            raise ConnectionError(f"the connection of {peer} is closed")
        return duplicate

    def _opened(self, number: int) -> tuple[Peer, socket.socket] | None:
        """The peer and a duplicate of an open file, if that is one of the port's connections."""
        try:
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                return None
            duplicate = socket.socket(fileno=os.dup(number))
        except OSError:  # closed meanwhile
            return None
        with suppress(OSError):  # no peer
            if _port(duplicate) == self._port:
                host, port, *_ = duplicate.getpeername()
                return Peer(host.removeprefix(V4_MAPPED), port), duplicate
        duplicate.close()
        return None


def _port(opened: socket.socket) -> int | None:
    """Of this side; None where addresses have no ports: those of Unix sockets are paths, and may be empty."""
    inet = opened.family in (socket.AF_INET, socket.AF_INET6)
    return int(opened.getsockname()[1]) if inet else None


def _received(connection: socket.socket) -> int:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    return int(_RECEIVED.unpack(info)[0])
