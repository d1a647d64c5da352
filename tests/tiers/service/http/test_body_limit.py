# SPDX-License-Identifier: GPL-3.0-or-later
"""How large a body may be, and what bodies that are as large as they may be leave to others."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from http_callers import HEALTH, answer, ask, connect, ended, head
from patience import PATIENCE, until

from supervm.tiers.service.core import Limits
from supervm.tiers.service.http import app
from supervm.tiers.service.http.bodies import Bodies

LIMIT = 1 << 20
HASH = json.dumps({"function": "sha256", "messages": ["00"]}).encode()
CHUNKED = b"POST /v1/hash HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = 1 << 16


def padded(size):
    return HASH[:1] + b" " * (size - len(HASH)) + HASH[1:]


def in_chunks(content):
    parts = (content[first : first + CHUNK] for first in range(0, len(content), CHUNK))
    return CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def refused(found, limit=LIMIT):
    status, body = found
    assert status == 413
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (413, "RESOURCE_EXHAUSTED")
    assert problem["title"]
    assert "retry_after" not in problem
    for said in (f"at most {limit}:", "gRPC", "service.body.bytes"):
        assert said in problem["detail"]


def test_a_length_above_the_limit(http):
    """Nobody waits for the body."""
    for size in (LIMIT + 1, 1 << 40):
        refused(ask(http.address, head("/v1/hash", size)))
    refused(ask(http.address, head("/v1/hash", LIMIT + 1) + padded(LIMIT + 1)))
    until(lambda: http.service.queue.arriving == 0)


def test_chunks_above_the_limit(http):
    """It is refused at the first byte that is too much, without an end."""
    refused(ask(http.address, in_chunks(padded(LIMIT + 1))))
    refused(ask(http.address, in_chunks(padded(LIMIT + 1)) + b"0\r\n\r\n"))
    with connect(http.address) as caller:
        caller.sendall(in_chunks(padded(LIMIT)))
        until(lambda: http.service.queue.arriving == LIMIT)
        assert not ended(caller)
        caller.sendall(b"1\r\n \r\n")
        refused(answer(caller))
    until(lambda: http.service.queue.arriving == 0)


def test_a_body_of_the_limit(http):
    whole = padded(LIMIT)
    assert ask(http.address, head("/v1/hash", LIMIT) + whole)[0] == 200
    assert ask(http.address, in_chunks(whole) + b"0\r\n\r\n")[0] == 200


def test_the_limit_is_a_setting(served):
    with served(service_body_bytes=2000) as one:
        assert ask(one.address, head("/v1/hash", 2000) + padded(2000))[0] == 200
        refused(ask(one.address, head("/v1/hash", 2001) + padded(2001)), 2000)
    with served(service_body_bytes="3 MiB") as one:
        assert ask(one.address, head("/v1/hash", 3 * LIMIT) + padded(3 * LIMIT))[0] == 200
        refused(ask(one.address, head("/v1/hash", 3 * LIMIT + 1)), 3 * LIMIT)


# Many of them -------------------------------------------------------------------------------------------------

BEGIN, END = b'{"writes":[],"reads":[', b'[1,"x"]]}'
LISTS = BEGIN + b"[1]," * ((LIMIT - len(BEGIN) - len(END)) // 4) + END
"""What takes most memory for its bytes: marks, places and lengths of the lists."""

ROOM = 8 * LIMIT
CALLERS, ROUNDS = 40, 2
MOST_GROWTH = 96 * LIMIT
"""The room, and the arrays of one body; those of all bodies would be a gigabyte."""


@pytest.fixture
def room(monkeypatch):
    """The bodies of the application, once there is one."""
    found = []

    def noted(*arguments):
        found.append(Bodies(*arguments))
        return found[0]

    monkeypatch.setattr(app, "Bodies", noted)
    return found


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def statuses(one, caller, stop):
    """Of bodies that one caller sends until all of them are answered, or others have been."""
    request = memoryview(head("/v1/conflicts", len(LISTS)) + LISTS)
    left, found = ROUNDS, []
    while left and not stop.is_set():
        found.append(ask(one.address, request, f"127.0.1.{caller + 1}")[0])
        left -= found[-1] == 400
        if found[-1] != 400:
            time.sleep(0.05)
    return found


def test_many_bodies_of_the_limit_have_the_room_of_bodies(served, room):
    with served(service_queue_bytes=ROOM, limits=Limits(queue_bytes=ROOM)) as one:
        assert statuses(one, 0, threading.Event()) == [400] * ROUNDS  # what is loaded once is there
        before, most = resident(), 0
        with ThreadPoolExecutor(CALLERS) as pool:
            stop = threading.Event()
            callers = [pool.submit(statuses, one, caller, stop) for caller in range(CALLERS)]
            last = time.monotonic() + PATIENCE
            while not all(caller.done() for caller in callers):
                assert room[0].held <= ROOM
                most = max(most, resident() - before)
                if time.monotonic() > last:
                    stop.set()
                time.sleep(0.005)
        found = [status for caller in callers for status in caller.result()]
        assert not stop.is_set(), found
        assert set(found) <= {400, 429}
        assert most < MOST_GROWTH
        assert room[0].held == one.service.queue.arriving == 0
        assert ask(one.address, head("/v1/hash", len(HASH)) + HASH)[0] == 200


def test_health_is_answered_beside_bodies_of_the_limit(served):
    with served() as one, ThreadPoolExecutor(8) as pool:
        stop = threading.Event()
        request = memoryview(head("/v1/conflicts", len(LISTS)) + LISTS)

        def send(caller):
            answered = 0
            while not stop.is_set():
                answered += ask(one.address, request, f"127.0.1.{caller + 1}")[0] == 400
            return answered

        callers = [pool.submit(send, caller) for caller in range(8)]
        try:
            for _ in range(50):
                assert ask(one.address, HEALTH) == (200, b"ready\n")
        finally:
            stop.set()
        assert sum(caller.result() for caller in callers) >= 8
