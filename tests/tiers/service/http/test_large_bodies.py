# SPDX-License-Identifier: GPL-3.0-or-later
"""Large bodies and answers leave the event loop free, and give their room back, whoever goes away meanwhile."""

from __future__ import annotations

import gc
import json
import socket
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from patience import PATIENCE, until

from supervm.crypto import hashes
from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.http import calls
from supervm.tiers.service.http.offloading import LARGE_BYTES

SMALL = {"function": "sha256", "messages": ["00"]}
MESSAGES = [index.to_bytes(16, "little") for index in range(2000)]
LARGE = json.dumps({"function": "sha512", "messages": [message.hex() for message in MESSAGES]}).encode()
ROOM = 2 * len(LARGE) - 1
"""For one such body."""


class Held:
    """Takes the place of a function that works on texts: it notes its threads, and holds large work until it is let go on.

    Args:
        work: the function.
        size: of its arguments.
    """

    def __init__(self, work, size):
        self._work, self._size = work, size
        self.threads, self.begun, self.go_on = [], threading.Semaphore(0), threading.Event()

    def __call__(self, *arguments):
        if self._size(*arguments) > LARGE_BYTES:
            self.threads.append(threading.current_thread().name)
            self.begun.release()
            assert self.go_on.wait(PATIENCE)
        return self._work(*arguments)


@pytest.fixture
def parsing(monkeypatch):
    held = Held(calls.parse, lambda model, content: len(content))
    monkeypatch.setattr(calls, "parse", held)
    yield held
    held.go_on.set()


@pytest.fixture
def writing(monkeypatch):
    held = Held(calls.written, lambda members: sum(len(value.data) for value in members.values()))
    monkeypatch.setattr(calls, "written", held)
    yield held
    held.go_on.set()


@contextmanager
def posting(one, content=LARGE, **headers):
    """Sends a body from another thread; the response, later."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(one.client.post, "/v1/hash", content=content, headers=headers)


@contextmanager
def caller_of(one, content=LARGE):
    """A connection that sent a body."""
    host, port = one.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as caller:
        caller.sendall(
            f"POST /v1/hash HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        )
        caller.sendall(content)
        yield caller


def waiting(one):
    """Large bodies that are not parsed yet."""
    (pool,) = (pool for pool in one.service._pools if pool.name == "supervm-bodies")
    return pool.waiting


def status(one, content=LARGE):
    return one.client.post("/v1/hash", content=content).status_code


def cancelled(one):
    labels = {"call": "/v1/hash", "code": "CANCELLED"}
    return one.metrics.registry.get_sample_value("supervm_requests_total", labels) or 0


def check(response):
    assert response.status_code == 200, response.text
    expected = ["0x" + bytes(row).hex() for row in hashes.sha512_batch(MESSAGES)]
    assert response.json() == {"digests": expected}


def test_while_a_large_body_is_parsed_others_are_answered(served, parsing):
    with served() as one, posting(one) as response:
        assert parsing.begun.acquire(timeout=PATIENCE)
        assert one.client.get("/readyz").text == "ready\n"
        one.ask("/v1/hash", SMALL)
        assert not response.done()
        parsing.go_on.set()
        check(response.result(PATIENCE))
    assert parsing.threads == ["supervm-bodies"]


def test_while_a_large_answer_is_written_others_are_answered(served, writing):
    with served() as one, posting(one) as response:
        assert writing.begun.acquire(timeout=PATIENCE)
        one.ask("/v1/hash", SMALL)
        assert one.service.queue.requests == 0
        assert one.service.queue.unread > 64 * len(MESSAGES)  # the reply, while it becomes a text
        assert not response.done()
        writing.go_on.set()
        check(response.result(PATIENCE))
        until(lambda: one.service.queue.unread == 0)
    assert writing.threads == ["supervm-answers"]


def test_one_large_body_at_a_time(served, parsing):
    with served() as one, posting(one) as first:
        assert parsing.begun.acquire(timeout=PATIENCE)
        with posting(one) as second:
            until(lambda: waiting(one) == 2)
            assert not parsing.begun.acquire(timeout=0.05)
            parsing.go_on.set()
            check(second.result(PATIENCE))
        check(first.result(PATIENCE))


def test_who_goes_away_while_it_is_parsed_keeps_its_room_until_then(served, parsing):
    """The thread still has the body: without its room, any number of bodies could follow it."""
    with served(service_queue_bytes=ROOM) as one:
        with caller_of(one):
            assert parsing.begun.acquire(timeout=PATIENCE)
        until(lambda: cancelled(one) == 1)
        assert status(one) == 429
        parsing.go_on.set()
        until(lambda: status(one) == 200)


def test_who_goes_away_before_its_turn_is_not_parsed(served, parsing):
    with served() as one, posting(one) as first:
        assert parsing.begun.acquire(timeout=PATIENCE)
        for gone in range(1, 5):
            with caller_of(one):
                until(lambda: waiting(one) == gone + 1)  # noqa: B023
            until(lambda: cancelled(one) == gone)  # noqa: B023
        parsing.go_on.set()
        check(first.result(PATIENCE))
        until(lambda: waiting(one) == 0)
        assert len(parsing.threads) == 1


def test_waiting_bodies_have_the_room_of_bodies(served, parsing):
    """Of which an address takes half."""
    with served(service_queue_bytes=4 * len(LARGE)) as one:
        with posting(one) as first, posting(one) as second:
            until(lambda: waiting(one) == 2)
            assert status(one) == 429
            parsing.go_on.set()
            check(first.result(PATIENCE))
            check(second.result(PATIENCE))
        assert status(one) == 200


def test_who_goes_away_while_its_answer_is_written(served, writing):
    with served() as one:
        with caller_of(one):
            assert writing.begun.acquire(timeout=PATIENCE)
        until(lambda: cancelled(one) == 1)
        assert one.service.queue.unread > 0
        writing.go_on.set()
        until(lambda: one.service.queue.unread == 0)


def test_a_deadline_while_a_body_waits(served, parsing):
    with served(service_queue_bytes=ROOM) as one:
        with posting(one, **{"Request-Timeout": "0.1"}) as response:
            assert response.result(PATIENCE).status_code == 504
        parsing.go_on.set()
        until(lambda: status(one) == 200)


def test_the_end_of_the_service(served, parsing):
    """What was begun is answered; what waits is told."""
    with served() as one, posting(one) as first:
        assert parsing.begun.acquire(timeout=PATIENCE)
        rest = [posting(one) for _ in range(3)]
        responses = [each.__enter__() for each in rest]
        until(lambda: waiting(one) == 4)
        one.service._loop.call_soon_threadsafe(one.service.close)
        until(lambda: any(each.done() for each in responses))
        parsing.go_on.set()
        found = [each.result(PATIENCE).status_code for each in (first, *responses)]
        for each in rest:
            each.__exit__(None, None, None)
    assert found == [503] * 4


@pytest.mark.parametrize("messages", [["0g"], [1], ["00,"], ["000"]], ids=str)
def test_faults_of_large_bodies_are_those_of_small_ones(http, messages):
    small = http.post("/v1/hash", {"function": "sha256", "messages": [*messages, "00"]})
    filled = ["00"] * LARGE_BYTES
    large = http.post("/v1/hash", {"function": "sha256", "messages": [*filled, *messages, *filled]})
    assert large.status_code == small.status_code == 400
    place = f"[{len(filled)}]"
    assert large.json() == small.json() | {"field": small.json()["field"].replace("[0]", place)}


def test_a_refused_body_leaves_nothing_behind(http, monkeypatch):
    """The refusal's traceback has frames that hold the body, and the thread waits for another one."""
    refusals = []

    def refused(model, content):
        error = ServiceError(Code.INVALID_ARGUMENT, "f", "wrong")
        refusals.append(weakref.ref(error))
        raise error

    monkeypatch.setattr(calls, "parse", refused)
    gc.collect()
    gc.disable()
    try:
        assert status(http) == 400
        until(lambda: refusals[0]() is None)
    finally:
        gc.enable()


def test_an_answered_body_leaves_nothing_behind(http, monkeypatch):
    found = []
    parse = calls.parse

    def noted(model, content):
        body = parse(model, content)
        if len(content) > LARGE_BYTES:
            found.append(weakref.ref(body.messages))
        return body

    monkeypatch.setattr(calls, "parse", noted)
    gc.collect()
    gc.disable()
    try:
        assert status(http) == 200
        until(lambda: found[0]() is None)
    finally:
        gc.enable()


def test_a_defect_of_the_thread_is_a_problem_without_its_inside(http, monkeypatch):
    def broken(members):
        raise RuntimeError("secret")

    monkeypatch.setattr(calls, "written", broken)
    response = http.client.post("/v1/hash", content=LARGE)
    assert response.status_code == 500
    assert "secret" not in response.text
