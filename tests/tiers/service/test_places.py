# SPDX-License-Identifier: GPL-3.0-or-later
"""Who finds a place, who gives way, and how a connection is found among the open files."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.connections import READ_AT_ONCE, SLOWEST, Connection, Patience
from supervm.tiers.service.places import Line, Places
from supervm.tiers.service.process import SPARE, allow_open_files
from supervm.tiers.service.sockets import Peer, Sockets, peer_of


class Waiting:
    """A call that can give way, or not."""

    def __init__(self, line: Line, idle: bool = True) -> None:
        self.line, self.idle = line, idle
        self.error: ServiceError | None = None

    def give_way(self, error: ServiceError) -> None:
        self.error = error


def taken(places: Places, line: Line, count: int, idle: bool = True) -> list[Waiting]:
    calls = [Waiting(line, idle) for _ in range(count)]
    for call in calls:
        places.take(call)
    return calls


def test_the_connection_that_has_most_gives_way() -> None:
    places = Places("calls", 8, 8)
    heavy, light, new = (places.line("a", name) for name in "xyz")
    many, few = taken(places, heavy, 5), taken(places, light, 3)
    (one,) = taken(places, new, 1)
    assert [call.error is not None for call in many] == [False] * 4 + [True]
    assert many[-1].error is not None
    assert many[-1].error.retry_after > 0
    assert not any(call.error for call in few)
    assert places.taken == 8
    places.leave(many[-1])  # whose end comes later
    places.leave(one)
    assert places.taken == 7


def test_the_address_that_has_most_gives_way() -> None:
    places = Places("calls", 10, 8)
    crowd = [taken(places, places.line("many", number), 1)[0] for number in range(7)]
    taken(places, places.line("other", 0), 3)
    taken(places, places.line("new", 0), 1)
    assert sum(call.error is not None for call in crowd) == 1


def test_nobody_gives_way_to_one_who_has_as_many_nor_with_what_is_being_done() -> None:
    places = Places("calls", 4, 4)
    first, second = places.line("a", 1), places.line("b", 1)
    calls = taken(places, first, 2) + taken(places, second, 2)
    with pytest.raises(ServiceError, match="the most at a time"):
        places.take(Waiting(first))
    assert not any(call.error for call in calls)
    busy = Places("calls", 3, 3)
    taken(busy, busy.line("a", 1), 3, idle=False)
    with pytest.raises(ServiceError):
        busy.take(Waiting(busy.line("b", 1)))


def test_a_connection_reads_so_many_first_messages_at_once() -> None:
    async def test() -> None:
        connection = Connection(Peer("127.0.0.1", 1), 1 << 20)
        turns = [connection.turn() for _ in range(READ_AT_ONCE)]
        assert turns == [None] * READ_AT_ONCE
        gone, waits = connection.turn(), connection.turn()
        assert gone is not None
        assert waits is not None
        gone.cancel()
        connection.turn_over(gone)
        connection.turn_over(None)
        assert waits.done()
        for turn in (*turns[1:], waits):
            connection.turn_over(turn)
        assert connection.turn() is None

    asyncio.run(test())


def test_a_connection_with_much_to_answer_is_not_read_on() -> None:
    async def test() -> None:
        connection = Connection(Peer("127.0.0.1", 1), 1000)
        first, second = connection.turn(), connection.turn()
        connection.held += 999
        connection.turn_over(first)
        assert connection.turn() is None
        connection.held += 1
        connection.turn_over(second)
        waits, also = connection.turn(), connection.turn()
        assert waits is not None
        assert also is not None
        assert not waits.done()
        connection.answered(1)
        assert (waits.done(), also.done()) == (True, True)

    asyncio.run(test())


def test_who_is_refused_often_waits_longer() -> None:
    patience = Patience()
    assert patience.refused("a", 0.0) < 2
    times = [patience.refused("a", 0.0) for _ in range(200)]
    assert times == sorted(times)
    assert times[-1] == SLOWEST
    assert patience.refused("b", 0.0) < 2
    assert patience.refused("a", SLOWEST) < 2


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("ipv4:127.0.0.1:50000", Peer("127.0.0.1", 50000)),
        ("ipv6:%5B::1%5D:50000", Peer("::1", 50000)),
        ("ipv6:%5B::ffff:1.2.3.4%5D:7", Peer("1.2.3.4", 7)),
        ("unix:", Peer("unix:", 0)),
    ],
)
def test_names_of_peers(name: str, peer: Peer) -> None:
    assert peer_of(name) == peer


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_socket_is_found_counted_and_ended(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server((host, 0), family=family))
        port = listening.getsockname()[1]
        here = stack.enter_context(socket.create_connection((host, port)))
        there = stack.enter_context(listening.accept()[0])
        sockets, peer = Sockets(port), Peer(host, here.getsockname()[1])
        assert sockets.received(peer) is None
        assert sockets.find() == {peer: 0}
        here.sendall(bytes(1000))
        assert len(there.recv(1000, socket.MSG_WAITALL)) == 1000
        assert sockets.received(peer) == 1000
        number = there.fileno()
        there.close()
        other = stack.enter_context(socket.create_connection((host, port)))  # which may get its number
        accepted = stack.enter_context(listening.accept()[0])
        assert number in (other.fileno(), accepted.fileno())
        assert sockets.received(peer) is None
        assert not sockets.drop(peer)
        other.sendall(b"x")
        assert accepted.recv(1) == b"x"
        found = Peer(host, other.getsockname()[1])
        assert sockets.drop(found)
        assert other.recv(1) == b""


def test_sockets_without_ports_are_passed_over(tmp_path: Path) -> None:
    """Connections to a path, as processes have to loggers and to Ray, and pairs; their sides have a path or no name."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        local = stack.enter_context(socket.socket(socket.AF_UNIX))
        local.bind(str(tmp_path / "socket"))
        local.listen()
        one = stack.enter_context(socket.socket(socket.AF_UNIX))
        one.connect(str(tmp_path / "socket"))
        stack.enter_context(local.accept()[0])
        for each in socket.socketpair():
            stack.enter_context(each)
        sockets = Sockets(listening.getsockname()[1])
        assert sockets.find() == {}
        here = stack.enter_context(socket.create_connection(listening.getsockname()))
        stack.enter_context(listening.accept()[0])
        assert list(sockets.find()) == [Peer(*here.getsockname())]
        sockets.stop_listening()
        assert local.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        with pytest.raises(OSError, match="Invalid"):
            listening.accept()


def test_too_few_open_files_are_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    limits = [100, 1000]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.__setitem__(slice(2), new))
    assert allow_open_files("service.calls", 400, 400) == 400
    assert limits == [400 + SPARE, 1000]
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert allow_open_files("service.calls", 1024, 5000) == 1000 - SPARE
    assert limits == [1000, 1000]
    assert caplog.records[0].__dict__["setting"] == "service.calls"
