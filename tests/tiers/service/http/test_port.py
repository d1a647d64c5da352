# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stranger may hold of the port, for how long, and that others are answered meanwhile."""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import ExitStack

import pytest
import trustme
from http_callers import HEALTH, answer, ask, connect, ended, head
from patience import PATIENCE, until

from supervm.tiers.service.core import Limits
from supervm.tiers.service.http import answers, protocol
from supervm.tiers.service.http_port import HttpLimits
from supervm.tiers.service.security import ServerTls

HASH = json.dumps({"function": "sha256", "messages": ["00"]}).encode()
CALL = head("/v1/hash", len(HASH)) + HASH
OTHER = "127.0.0.2"
"""Another caller: all of 127.0.0.0/8 is this machine."""

FEW = HttpLimits(connections=64, each=8)
SOON = HttpLimits(idle=1.5)


def closed(one, reason):
    labels = {"port": "http", "reason": reason}
    return one.metrics.registry.get_sample_value("supervm_connections_closed_total", labels) or 0


def many(stack, one, count, sent=b"", source="127.0.0.1"):
    found = []
    for _ in range(count):
        caller = stack.enter_context(connect(one.address, source))
        if sent:
            caller.sendall(sent)
        found.append(caller)
    return found


# Connections that ask nothing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent", [b"", b"GET /healthz HT", HEALTH[:-2], CALL[:30], HEALTH + b"GET", CALL + b"POST /"], ids=repr
)
def test_who_asks_nothing_is_let_go(served, sent):
    with served(ports=SOON) as one, connect(one.address) as caller:
        if sent:
            caller.sendall(sent)
        until(lambda: ended(caller))
        until(lambda: closed(one, "silent") == 1)
        assert ask(one.address)[0] == 200


def test_a_head_that_comes_bit_by_bit_has_no_more_time(served):
    with served(ports=SOON) as one, connect(one.address) as caller:
        caller.sendall(b"GET /healthz HTTP/1.1\r\nHost: ")

        def over():
            if ended(caller):
                return True
            caller.sendall(b"x")
            return False

        until(over)
        until(lambda: closed(one, "silent") == 1)


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost:"], ids=["silent", "half a head"])
def test_more_connections_than_an_address_has_drive_out_each_other(served, sent):
    with served(ports=FEW) as one, ExitStack() as stack:
        for _ in range(10):
            many(stack, one, 10, sent)
            assert ask(one.address)[0] == 200
            assert ask(one.address, CALL)[0] == 200
            assert ask(one.address, CALL, OTHER)[0] == 200
        until(lambda: closed(one, "full") >= 100 - 8 - 16)


def test_more_connections_than_the_port_has(served):
    """Of many addresses; the one with most connections gives way."""
    with served(ports=HttpLimits(connections=16, each=8)) as one, ExitStack() as stack:
        for host in range(3, 63):
            many(stack, one, 4, source=f"127.0.0.{host}")
        assert ask(one.address)[0] == 200
        assert ask(one.address, CALL, OTHER)[0] == 200
        until(lambda: closed(one, "full"))


def test_who_asks_now_and_then_keeps_its_connection(served):
    with served(ports=FEW) as one, ExitStack() as stack, connect(one.address) as caller:
        for _ in range(5):
            caller.sendall(CALL)
            assert answer(caller)[0] == 200
            many(stack, one, 20)


# Requests that do not end -------------------------------------------------------------------------------------


def test_bodies_that_hardly_come_leave_places_to_others(served):
    """All places of an address, and those kept for operations, are taken by them."""
    with served(ports=FEW) as one, ExitStack() as stack:
        many(stack, one, 40, head("/v1/hash", 30_000) + b" " * 20_000)
        for _ in range(5):
            assert ask(one.address)[0] == 200
            assert ask(one.address, CALL)[0] == 200
            assert ask(one.address, CALL, OTHER)[0] == 200


@pytest.mark.parametrize("sent", [0, 999_000])
def test_stalled_large_bodies_turn_nobody_away(served, sent):
    """Sixteen of them have all the room there is, announced or sent."""
    with served(service_queue_bytes=1 << 24, limits=Limits(queue_bytes=1 << 24)) as one, ExitStack() as stack:
        for source in ("127.0.0.1", OTHER):
            many(stack, one, 16, head("/v1/hash", 1_000_000) + b" " * sent, source)
        for source in ("127.0.0.1", OTHER, "127.0.0.3"):
            assert ask(one.address, CALL, source)[0] == 200
        large = b" " * 900_000 + HASH
        assert ask(one.address, head("/v1/hash", len(large)) + large, "127.0.0.3")[0] == 200
        assert ask(one.address)[0] == 200
    assert one.service.queue.arriving == 0


def test_what_has_come_of_bodies_counts_in_the_queue(served):
    with served() as one, ExitStack() as stack:
        callers = many(stack, one, 3, head("/v1/hash", 50_000) + b" " * 40_000)
        until(lambda: one.service.queue.arriving == 3 * 40_000)
        for caller in callers:
            caller.close()
        until(lambda: one.service.queue.arriving == 0)


def test_a_body_of_an_unknown_length(served):
    whole = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (HASH[:1], b" " * 70_000, HASH[1:]))
    request = b"POST /v1/hash HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + whole
    with served() as one:
        assert ask(one.address, request + b"0\r\n\r\n")[0] == 200
        with connect(one.address) as caller:
            caller.sendall(request)
            until(lambda: one.service.queue.arriving == len(HASH) + 70_000)
        until(lambda: one.service.queue.arriving == 0)


CHUNKED = b"POST /v1/hash HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"a:b\r\n" * 40_000, 431),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\na: " + b"b" * 100_000, 431),
        (b"GET /" + b"a" * 100_000, 431),
        (CHUNKED + b"1\r\n \r\n" * 5_000, 400),
        (CHUNKED + b"2\r\n{}\r\n0\r\n" + b"a: b\r\n" * 20_000, 431),
        (CHUNKED + b"5;" + b"a" * 100_000, 431),
        (CHUNKED + b"zz\r\n", 400),
        (
            CALL[: -len(HASH)].replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n") + b"0\r\n\r\n",
            400,
        ),
        (b"POST /v1/hash HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", 400),
        (b"POST /v1/hash HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /v1/hash HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100, 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"\r\n\r\n\r\n" * 100, 400),
    ],
    ids=lambda value: repr(value[-12:]) if isinstance(value, bytes) else value,
)
def test_what_is_no_http_is_a_problem(served_once, caplog, request_, status):
    before = closed(served_once, "malformed")
    with connect(served_once.address) as caller:
        try:
            caller.sendall(request_)
        except ConnectionError:
            return  # it was refused before all of it was sent
        found, body = answer(caller)
    # What was not read when the connection ended may have taken the answer with it.
    if found:
        assert found == status
        problem = json.loads(body)
        assert (problem["code"], problem["status"]) == ("INVALID_ARGUMENT", status)
        assert len(body) < 500
    until(lambda: closed(served_once, "malformed") == before + 1)
    assert ask(served_once.address)[0] == 200
    assert not caplog.records, "strangers would fill the log"


@pytest.fixture(scope="module")
def served_once(http):
    return http


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "BREW"])
def test_methods_that_there_are_not(http, method):
    assert ask(http.address, f"{method} /healthz HTTP/1.1\r\nHost: x\r\n\r\n".encode())[0] in (404, 405)


def test_an_upgrade_is_no_way_in(http):
    lines = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
    )
    request = "\r\n".join(("GET /healthz HTTP/1.1", "Host: x", *lines, "", ""))
    assert ask(http.address, request.encode()) == (200, b"ready\n")


def test_who_says_that_it_is_somebody_else_is_not_believed(served):
    """The address counts for rates, places and room."""
    body = json.dumps({"function": "sha256", "messages": ["00"] * 100}).encode()
    with served(limits=Limits(client_rate=1)) as one:

        def hashed(name):
            return ask(one.address, head("/v1/hash", len(body), f"X-Forwarded-For: {name}") + body)[0]

        assert hashed("10.0.0.1") == 200
        assert hashed("10.0.0.2") == 429


def test_a_request_after_another(http):
    """In one packet; and with a body that was answered before it was read."""
    with connect(http.address) as caller:
        caller.sendall(CALL + HEALTH + CALL)
        found = b""
        while found.count(b"HTTP/1.1 200 OK") < 3:
            part = caller.recv(1 << 16)
            assert part
            found += part
    with connect(http.address) as caller:
        caller.sendall(
            b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n" + b" " * 300_000
        )
        assert answer(caller)[0] == 404
        caller.sendall(HEALTH)
        assert answer(caller)[0] == 200


def test_who_ends_its_side_is_no_defect(http, caplog):
    with connect(http.address) as caller:
        caller.sendall(HEALTH)
        caller.shutdown(socket.SHUT_WR)
        until(lambda: ended(caller))
    with connect(http.address) as caller:
        caller.shutdown(socket.SHUT_WR)
        until(lambda: ended(caller))
    assert ask(http.address)[0] == 200
    assert not caplog.records


def test_a_body_without_an_end_that_nobody_reads(served, monkeypatch):
    monkeypatch.setattr(protocol, "LINGER_SECONDS", 0.2)
    with served() as one, connect(one.address) as caller:
        caller.sendall(head("/nothing", 1 << 40))
        assert answer(caller)[0] == 404
        until(lambda: ended(caller))


# Answers that nobody reads ------------------------------------------------------------------------------------

MANY = json.dumps({"function": "sha512", "messages": [""] * 60_000}).encode()
"""Whose answer has 8 MB."""


def slow_reader(stack, one, source="127.0.0.1"):
    caller = stack.enter_context(socket.socket())
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    caller.bind((source, 0))
    host, port = one.address.removeprefix("http://").split(":")
    caller.connect((host, int(port)))
    caller.settimeout(PATIENCE)
    caller.sendall(head("/v1/hash", len(MANY)) + MANY)
    return caller


def test_an_answer_that_is_not_read_has_an_end(served, monkeypatch):
    monkeypatch.setattr(protocol, "SEND_SECONDS", 0.3)
    with served() as one, ExitStack() as stack:
        slow_reader(stack, one)
        until(lambda: closed(one, "slow") == 1)
        until(lambda: one.service.queue.unread == 0)


def test_answers_that_are_not_read_give_way(served, monkeypatch):
    """They have half of the queue's bytes, of which one that reads has what it needs."""
    monkeypatch.setattr(answers, "STALLED_SECONDS", 0.1)
    with served(limits=Limits(queue_bytes=1 << 25)) as one, ExitStack() as stack:
        for _ in range(2):
            slow_reader(stack, one)
        until(lambda: one.service.queue.unread > 14_000_000)
        until(lambda: ask(one.address, head("/v1/hash", len(MANY)) + MANY)[0] == 200)
        assert one.service.queue.unread < 1 << 24


# TLS ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """What a port has, and what its callers trust."""
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(folder / "key")
    (folder / "cert").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return ServerTls(folder / "cert", folder / "key"), trusting


def secure(one, trusting):
    return trusting.wrap_socket(connect(one.address), server_hostname="localhost")


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01", HEALTH], ids=["nothing", "half a hello", "no TLS"])
def test_a_handshake_that_does_not_end(served, tls, sent):
    with served(ports=SOON, tls=tls[0]) as one, connect(one.address) as caller:
        if sent:
            caller.sendall(sent)
        until(lambda: ended(caller))
        until(lambda: closed(one, "handshake") == 1)
        with secure(one, tls[1]) as other:
            other.sendall(HEALTH)
            assert answer(other) == (200, b"ready\n")


def test_handshakes_count_as_connections(served, tls):
    with served(ports=FEW, tls=tls[0]) as one, ExitStack() as stack:
        for _ in range(4):
            many(stack, one, 10)
            with secure(one, tls[1]) as caller:
                caller.sendall(CALL + HEALTH)
                assert answer(caller)[0] == 200
        until(lambda: closed(one, "full"))


def test_a_tls_connection_that_asks_nothing(served, tls):
    with served(ports=SOON, tls=tls[0]) as one, secure(one, tls[1]) as caller:
        until(lambda: closed(one, "silent") == 1)
        until(lambda: ended(caller))
