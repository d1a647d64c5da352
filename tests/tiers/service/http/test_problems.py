# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused: with which status, which field, and without harm to the next request."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import time
import weakref

import pytest
from patience import PATIENCE, until

from supervm.tiers.errors import ServiceError
from supervm.tiers.service.codes import Code
from supervm.tiers.service.core import Limits
from supervm.tiers.service.http.problems import problem

TOKEN = "0123456789abcdef-token"
HASH = {"function": "sha256", "messages": ["00"]}
KEY, SIGNATURE = "00" * 32, "00" * 64
VERIFY = {"scheme": "ed25519", "public_keys": [KEY], "messages": [""], "signatures": [SIGNATURE]}
ECDSA = {"scheme": "ecdsa", "public_keys": ["02" + KEY], "digests": [KEY], "signatures": [SIGNATURE]}
POINT = "00" * 64


def assert_problem(response, status, code, field=None):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found = response.json()
    assert (found["status"], found["code"], found.get("field")) == (status, code, field)
    assert found["title"]
    assert found["detail"]
    return found


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/verify", VERIFY | {"scheme": "rsa"}, "scheme"),
        ("/v1/verify", VERIFY | {"rule": "lax"}, "rule"),
        ("/v1/verify", VERIFY | {"public_keys": [KEY[2:]]}, "public_keys[0]"),
        ("/v1/verify", VERIFY | {"public_keys": [KEY, KEY]}, "public_keys"),
        ("/v1/verify", VERIFY | {"signatures": [SIGNATURE[:-1] + "g"]}, "signatures[0]"),
        ("/v1/verify", VERIFY | {"signatures": SIGNATURE}, "signatures"),
        ("/v1/verify", VERIFY | {"signatures": [1]}, "signatures[0]"),
        ("/v1/verify", VERIFY | {"messages": None}, "messages"),
        ("/v1/verify", VERIFY | {"digests": [KEY]}, "digests"),
        ("/v1/verify", VERIFY | {"extra": 1}, "extra"),
        ("/v1/verify", VERIFY | {"allow_high_s": 1}, "allow_high_s"),
        ("/v1/verify", ECDSA | {"messages": [""]}, "messages"),
        ("/v1/verify", ECDSA | {"digests": None}, "digests"),
        ("/v1/verify", ECDSA | {"public_keys": [KEY]}, "public_keys"),
        ("/v1/recover", {"digests": [KEY], "signatures": [SIGNATURE]}, "signatures[0]"),
        ("/v1/hash", HASH | {"function": "md5"}, "function"),
        ("/v1/merkle-root", {"hash": "sha256", "leaves": ["12"]}, "leaves[0]"),
        ("/v1/merkle-root", {"hash": "sha256", "leaves": [], "arity": 17}, "arity"),
        ("/v1/merkle-root", {"hash": "poseidon_bn254", "leaves": ["1", "-1"]}, "leaves[1]"),
        ("/v1/merkle-root", {"hash": "poseidon_bn254", "leaves": [str(2**255)]}, "leaves"),
        ("/v1/msm", {"curve": "bn254", "points": [POINT], "scalars": []}, "scalars"),
        ("/v1/msm", {"curve": "bn254", "points": ["00"], "scalars": ["1"]}, "points"),
        ("/v1/msm", {"curve": "bn254", "points": ["01" * 64], "scalars": ["1"]}, "points"),
        ("/v1/msm", {"curve": "bn254", "points": [POINT], "scalars": [str(2**255)]}, "scalars"),
        ("/v1/msm", {"curve": "ed25519", "points": [POINT], "scalars": ["1"]}, "encoding"),
        ("/v1/poseidon", {"field": "bn254", "inputs": [["1"], ["1", "2"]]}, "inputs[1]"),
        ("/v1/poseidon", {"field": "bn254", "inputs": [["1"] * 17]}, "inputs_per_hash"),
        ("/v1/poseidon", {"field": "bn254", "inputs": [[1]]}, "inputs[0][0]"),
        ("/v1/conflicts", {"reads": [[1]], "writes": []}, "writes"),
        ("/v1/conflicts", {"reads": [[-1]], "writes": [[]]}, "reads[0][0]"),
        ("/v1/conflicts", {"reads": [[2**64]], "writes": [[]]}, "reads[0][0]"),
        ("/v1/conflicts", {"reads": [[1.5]], "writes": [[]]}, "reads[0][0]"),
    ],
)
def test_a_wrong_member_is_named(http, path, body, field):
    assert_problem(http.post(path, body), 400, "INVALID_ARGUMENT", field)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"function":"sha256","messages":["00"]} trailing',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"function":"sha256","messages":[' + b"[" * 5000,
        b'{"function":"sha256","messages":[' + b",".join([b"1"] * 200_000) + b"]}",
        b'{"function":"sha256","messages":[' + b"9" * 100_000 + b"]}",
        b'{"function":"sha256","messages":["\\ud800"]}',
        b'{"function":"sha256","messages":[NaN]}',
        b'{"function":"sha256","messages":[-Infinity]}',
        b'{"function":"sha256","messages":[1e999]}',
        b'{"function":"sha256","messages":["\xff"]}',
        b'{"function":"sha256","messages":["\xed\xa0\x80"]}',
        b'{"function":"sha256","mess\xffages":["00"]}',
        b'{"function":"sha256","messages":["\\ud800\\u0041"]}',
        b'{"function":"sha256","messages":["00"],"messages":["11"]}',
        b'{"function":"sha256","messages":["00"],"function":"md5"}',
        b'{"function":"sha256","messages":["00' + b"00" * 20_000 + b'\xff"]}',
        b'\xef\xbb\xbf{"function":"sha256","messages":["00"]}',
        json.dumps(HASH).encode("utf-16"),
    ],
    ids=lambda content: repr(content[:24]),
)
def test_bad_json(http, content):
    labels = {"call": "/v1/hash", "code": "INVALID_ARGUMENT"}
    before = http.metrics.registry.get_sample_value("supervm_requests_total", labels) or 0
    response = http.client.post("/v1/hash", content=content)
    assert_problem(response, 400, "INVALID_ARGUMENT", response.json().get("field"))
    assert http.metrics.registry.get_sample_value("supervm_requests_total", labels) == before + 1
    http.ask("/v1/hash", HASH)


def test_what_the_server_is_not_set_up_for(http):
    body = {"blobs": [], "commitments": [], "proofs": []}
    assert_problem(http.post("/v1/verify-blobs", body), 501, "UNIMPLEMENTED")


def test_other_paths_and_methods(http):
    assert_problem(http.post("/v1/nothing", {}), 404, "UNIMPLEMENTED")
    response = http.client.get("/v1/hash")
    assert_problem(response, 405, "UNIMPLEMENTED")
    assert response.headers["allow"] == "POST"
    response = http.client.post("/healthz")
    assert_problem(response, 405, "UNIMPLEMENTED")
    assert response.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path", ["/", "/status.json", "/metrics", "/healthz", "/readyz", "/openapi.json", "/nothing"]
)
def test_head_is_get_without_a_body(http, path):
    whole, head = http.client.get(path), http.client.head(path)
    assert head.content == b""
    assert whole.content != b""
    assert head.status_code == whole.status_code
    changing = {"date", "content-length"}
    assert {name: value for name, value in head.headers.items() if name not in changing} == {
        name: value for name, value in whole.headers.items() if name not in changing
    }
    assert int(head.headers["content-length"]) > 0


@pytest.mark.parametrize(
    ("path", "allowed"), [("/healthz", "GET, HEAD"), ("/openapi.json", "GET, HEAD"), ("/v1/hash", "POST")]
)
def test_options_says_what_there_is(http, path, allowed):
    response = http.client.options(path)
    assert (response.status_code, response.headers["allow"], response.content) == (204, allowed, b"")


def test_options_of_what_is_not_there(http):
    assert_problem(http.client.options("/v1/nothing"), 404, "UNIMPLEMENTED")
    assert http.client.head("/v1/hash").status_code == 405


def test_tokens(served):
    with served(tokens=(("someone", TOKEN.encode()),)) as one:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
            response = one.post("/v1/hash", HASH, **headers)
            assert_problem(response, 401, "UNAUTHENTICATED", "authorization")
            assert response.headers["www-authenticate"] == "Bearer"
        # Who is not known has no body read.
        response = one.client.post("/v1/hash", content=b"[" * 1000)
        assert response.status_code == 401
        assert one.post("/v1/hash", HASH, Authorization=f"Bearer {TOKEN}").status_code == 200
        document = one.client.get("/openapi.json").json()
        assert document["paths"]["/v1/hash"]["post"]["security"] == [{"bearer": []}]
        assert one.client.get("/healthz").status_code == 200


def test_sizes(served):
    with served(service_message_bytes=2000) as one:
        one.ask("/v1/hash", HASH)
        large = {"function": "sha256", "messages": ["00"] * 1000}
        assert_problem(one.post("/v1/hash", large), 413, "RESOURCE_EXHAUSTED")
        # A body that does not say how long it is, and a short one whose message is long: 8 bytes of offset for each ''.
        parts = iter([json.dumps(large).encode()])
        response = one.client.post("/v1/hash", content=parts)
        assert_problem(response, 413, "RESOURCE_EXHAUSTED")
        small = json.dumps({"function": "sha256", "messages": [""] * 500}, separators=(",", ":"))
        assert len(small) < 2000
        assert_problem(one.client.post("/v1/hash", content=small), 413, "RESOURCE_EXHAUSTED")
        one.ask("/v1/hash", HASH)


def test_room_for_bodies(served):
    """One that stays unfinished takes the room of the next, and loses it when that has waited for a while."""
    with served(service_queue_bytes=1 << 16) as one:
        host, port = one.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as caller:
            head = b"POST /v1/hash HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"
            caller.sendall(head + b" " * 50_000)
            caller.settimeout(PATIENCE)
            padded = b" " * 30_000 + json.dumps(HASH).encode()
            assert one.client.post("/v1/hash", content=padded).status_code == 200
            assert caller.recv(100).startswith(b"HTTP/1.1 429")
            one.ask("/v1/hash", HASH)


def test_a_request_that_never_fits_the_queue(served):
    with served(limits=Limits(queue_items=3)) as one:
        assert_problem(one.post("/v1/hash", HASH | {"messages": [""] * 4}), 413, "RESOURCE_EXHAUSTED")


def test_a_rate(served):
    with served(limits=Limits(client_rate=2)) as one:
        assert one.post("/v1/hash", HASH | {"messages": [""] * 40}).status_code == 200
        response = one.post("/v1/hash", HASH)
        found = assert_problem(response, 429, "RESOURCE_EXHAUSTED")
        assert 1 <= int(response.headers["retry-after"]) <= 20
        assert found["retry_after"] <= int(response.headers["retry-after"])


def test_a_full_queue_says_when_to_come_back(http, monkeypatch):
    async def full(request, caller):
        raise ServiceError(Code.RESOURCE_EXHAUSTED, "", "the queue is full", 0.25)

    # The routes hold the method itself, so that the part below it is replaced.
    monkeypatch.setattr(http.service, "_other", lambda *arguments: full(*arguments[:2]))
    response = http.post("/v1/hash", HASH)
    assert assert_problem(response, 429, "RESOURCE_EXHAUSTED")["retry_after"] == 0.25
    assert response.headers["retry-after"] == "1"


def test_a_deadline(http, monkeypatch):
    seen = []

    async def slow(check, request, caller):
        seen.append(caller.deadline - time.monotonic())
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    monkeypatch.setattr(http.service, "_other", slow)
    response = http.post("/v1/hash", HASH, **{"Request-Timeout": "0.2"})
    assert_problem(response, 504, "DEADLINE_EXCEEDED", "Request-Timeout")
    assert 0 < seen[0] <= 0.2
    until(lambda: len(seen) == 2)  # the answer may be there first
    assert seen[1] == "cancelled"


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "soon", "1e9", ""])
def test_wrong_deadlines(http, timeout):
    labels = {"call": "/v1/hash", "code": "INVALID_ARGUMENT"}
    before = http.metrics.registry.get_sample_value("supervm_requests_total", labels) or 0
    response = http.post("/v1/hash", HASH, **{"Request-Timeout": timeout})
    assert_problem(response, 400, "INVALID_ARGUMENT", "Request-Timeout")
    assert http.metrics.registry.get_sample_value("supervm_requests_total", labels) == before + 1


def test_whoever_goes_away_is_not_worked_for(http, monkeypatch):
    seen = []

    async def slow(check, request, caller):
        seen.append("begun")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    monkeypatch.setattr(http.service, "_other", slow)
    body = json.dumps(HASH).encode()
    host, port = http.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as caller:
        head = f"POST /v1/hash HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        caller.sendall(head.encode() + body)
        until(lambda: seen)
    until(lambda: len(seen) == 2)
    assert seen == ["begun", "cancelled"]


def test_whoever_goes_away_within_a_body_is_no_defect(http, caplog):
    host, port = http.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as caller:
        caller.sendall(b"POST /v1/recover HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        time.sleep(0.05)
    labels = {"call": "/v1/recover", "code": "CANCELLED"}
    until(lambda: http.metrics.registry.get_sample_value("supervm_requests_total", labels))
    assert not caplog.records


def test_a_body_that_does_not_come(served):
    """Its room would be nobody's for as long as its caller likes."""
    with served(service_queue_bytes=1 << 16, service_message_seconds=0.2) as one:
        host, port = one.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as caller:
            head = b"POST /v1/hash HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"
            caller.sendall(head + b" " * 50_000)
            assert caller.recv(100).startswith(b"HTTP/1.1 504")
            padded = b" " * 30_000 + json.dumps(HASH).encode()
            assert one.client.post("/v1/hash", content=padded).status_code == 200


def test_many_unknown_members(http):
    """A finding for each would be a hundred megabytes for a body of 1 MiB."""
    few = HASH | {f"x{index}": 0 for index in range(3)}
    assert_problem(http.post("/v1/hash", few), 400, "INVALID_ARGUMENT", "x0")
    many = HASH | {f"x{index}": 0 for index in range(300)}
    problem = assert_problem(http.post("/v1/hash", many), 400, "INVALID_ARGUMENT")
    assert "300" in problem["detail"]


def test_a_long_member_is_not_sent_back(http):
    assert len(http.post("/v1/hash", HASH | {"x" * 100_000: 0}).content) < 1000


def test_a_refused_request_leaves_nothing_behind(http, monkeypatch):
    """The traceback of a refusal has frames that hold the request, which may be large."""
    refusals = []

    async def full(*arguments):
        error = ServiceError(Code.RESOURCE_EXHAUSTED, "", "full", 0.1)
        refusals.append(weakref.ref(error))
        raise error

    monkeypatch.setattr(http.service, "_other", full)
    gc.collect()
    gc.disable()
    try:
        assert http.post("/v1/hash", HASH).status_code == 429
        until(lambda: refusals[0]() is None)
    finally:
        gc.enable()


def test_an_answer_counts_until_its_caller_has_it(served):
    with served() as one:
        host, port = one.address.removeprefix("http://").split(":")
        body = json.dumps({"function": "sha512", "messages": [""] * 100_000}).encode()
        with socket.socket() as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.connect((host, int(port)))
            head = f"POST /v1/hash HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            caller.sendall(head.encode() + body)
            until(lambda: one.service.queue.unread > 13_000_000)
            assert one.service.queue.requests == 0
        until(lambda: one.service.queue.unread == 0)


def test_an_answer_above_the_limit(served):
    with served(service_message_bytes=20_000) as one:
        body = {"function": "sha512", "messages": [""] * 1000}
        assert_problem(one.post("/v1/hash", body), 413, "RESOURCE_EXHAUSTED")


def test_a_draining_service(served):
    with served() as one:
        one.service.drain()
        response = one.post("/v1/hash", HASH)
        assert_problem(response, 503, "UNAVAILABLE")
        assert response.headers["retry-after"] == "1"


def test_a_defect_is_a_problem_without_its_inside(http, monkeypatch):
    async def broken(*arguments):
        raise RuntimeError("secret")

    monkeypatch.setattr(http.service, "_other", broken)
    response = http.post("/v1/hash", HASH)
    assert_problem(response, 500, "INTERNAL")
    assert "secret" not in response.text
    assert 'code="INTERNAL"' in http.client.get("/metrics").text


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_status(code):
    response = problem(ServiceError(code, "f", "m", 1.5))
    assert 400 <= response.status_code < 600
    assert json.loads(response.body)["field"] == "f"
    assert response.headers["retry-after"] == "2"
