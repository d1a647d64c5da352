# SPDX-License-Identifier: GPL-3.0-or-later
"""Attackers of an HTTP port. Each is called with HOST:PORT and seconds, and returns what it did and saw.

They hold what they are given: a connection that the port ends is replaced, some hundreds a second.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

SILENT, STALLED, SMALL_STALLED, SLOW_READERS, FLOODS = 1100, 16, 600, 16, 16
"""Connections that each attack holds."""

STALLED_BYTES, SMALL_BYTES = 1_000_000, 30_000
"""Of a body, whose last byte does not come."""

REPLACED = 20
"""Connections that are opened again at a time."""

REST = 0.05
"""Seconds between two looks at all of them."""

PATIENCE = 2.0

HALF_HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "
CHUNKED = b"POST /v1/verify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
MANY_HASHES = b'{"function":"sha512","messages":[' + b",".join([b'""'] * 25_000) + b"]}"
"""Whose answer has 3.3 MB."""


def silent(address: str, seconds: float) -> dict[str, int]:
    """Connections that send nothing."""
    return _hold(address, seconds, SILENT)


def half_heads(address: str, seconds: float) -> dict[str, int]:
    """Requests whose headers do not end, a byte now and then."""
    return _hold(address, seconds, SILENT, HALF_HEAD, b"x")


def stalled_bodies(address: str, seconds: float) -> dict[str, int]:
    """Large bodies that come but for their last byte."""
    return _hold(address, seconds, STALLED, _post(STALLED_BYTES) + b" " * (STALLED_BYTES - 1))


def announced_bodies(address: str, seconds: float) -> dict[str, int]:
    """Large bodies that are announced, and of which a byte comes now and then."""
    return _hold(address, seconds, SILENT, _post(STALLED_BYTES), b" ")


def small_stalled_bodies(address: str, seconds: float) -> dict[str, int]:
    """Small bodies that come but for their last byte."""
    return _hold(address, seconds, SMALL_STALLED, _post(SMALL_BYTES) + b" " * (SMALL_BYTES - 1))


def small_chunks(address: str, seconds: float) -> dict[str, int]:
    """Bodies in chunks of a byte."""
    return _hold(address, seconds, FLOODS, CHUNKED + b"1\r\n \r\n" * 20_000, b"1\r\n \r\n" * 200)


def endless_trailers(address: str, seconds: float) -> dict[str, int]:
    """Bodies whose trailers do not end."""
    return _hold(address, seconds, FLOODS, CHUNKED + b"2\r\n{}\r\n0\r\n", b"a: b\r\n" * 20)


def many_headers(address: str, seconds: float) -> dict[str, int]:
    """Requests of tens of thousands of headers."""
    return _hold(address, seconds, FLOODS, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a:\r\n" * 50_000)


def slow_readers(address: str, seconds: float) -> dict[str, int]:
    """Callers that ask for megabytes and read nothing."""
    return _hold(
        address, seconds, SLOW_READERS, _post(len(MANY_HASHES), "/v1/hash") + MANY_HASHES, read=False
    )


def half_handshakes(address: str, seconds: float) -> dict[str, int]:
    """A client's first message of TLS, and no other; on a port in the clear it is no HTTP."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    hello = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    return _hold(address, seconds, SILENT, outgoing.read())


ATTACKERS: dict[str, Callable[[str, float], dict[str, int]]] = {
    attack.__name__: attack
    for attack in (
        silent,
        half_heads,
        stalled_bodies,
        announced_bodies,
        small_stalled_bodies,
        small_chunks,
        endless_trailers,
        many_headers,
        slow_readers,
        half_handshakes,
    )
}
"""By name."""


def _post(length: int, path: str = "/v1/verify") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


@dataclass
class _Held:
    """A connection: what is still to be sent of its beginning."""

    socket: socket.socket
    left: memoryview


def _hold(
    address: str, seconds: float, count: int, first: bytes = b"", then: bytes = b"", read: bool = True
) -> dict[str, int]:
    """Hold so many connections.

    Args:
        first: what each begins with.
        then: what each sends at every look.
        read: whether they read, and so find that they were ended.

    Returns:
        "connections" that were opened, "refused", "closed" by the port, "bytes" sent.
    """
    host, _, port = address.rpartition(":")
    done = {"connections": 0, "refused": 0, "closed": 0, "bytes": 0}
    end = time.monotonic() + seconds
    held: list[_Held] = []
    begun = False
    try:
        while time.monotonic() < end:
            wanted = count - len(held)
            for _ in range(min(wanted, REPLACED) if begun else wanted):
                one = _connected(host, int(port), not read)
                if one is None:
                    done["refused"] += 1
                    break
                done["connections"] += 1
                held.append(_Held(one, memoryview(first)))
            begun = True
            held = _looked_at(held, then, read, done)
            time.sleep(max(0.0, min(REST, end - time.monotonic())))
    finally:
        for each in held:
            each.socket.close()
    return done


def _connected(host: str, port: int, narrow: bool) -> socket.socket | None:
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if narrow:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.settimeout(PATIENCE)
    try:
        one.connect((host.strip("[]"), port))
    except OSError:
        one.close()
        return None
    one.setblocking(False)
    return one


def _looked_at(held: list[_Held], then: bytes, read: bool, done: dict[str, int]) -> list[_Held]:
    """Send what is to be sent, and leave out those that were ended."""
    kept = []
    for each in held:
        try:
            sent = each.socket.send(each.left or then) if each.left or then else 0
            done["bytes"] += sent
            each.left = each.left[sent:]
        except BlockingIOError:
            pass
        except OSError:
            each.socket.close()
            done["closed"] += 1
            continue
        kept.append(each)
    return _not_ended(kept, done) if read else kept


def _not_ended(held: list[_Held], done: dict[str, int]) -> list[_Held]:
    with selectors.DefaultSelector() as selector:
        for each in held:
            selector.register(each.socket, selectors.EVENT_READ, each)
        ready = [key.data for key, _ in selector.select(0)]
    ended = set()
    for each in ready:
        try:
            with suppress(BlockingIOError):
                while each.socket.recv(1 << 16):
                    pass
                ended.add(id(each))
        except OSError:
            ended.add(id(each))
    for each in held:
        if id(each) in ended:
            each.socket.close()
            done["closed"] += 1
    return [each for each in held if id(each) not in ended]
