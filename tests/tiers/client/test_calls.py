# SPDX-License-Identifier: GPL-3.0-or-later
"""What both clients send, and when they send it again; against a server under script."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import trustme
from patience import PATIENCE
from scripted_service import Refusal, Script, serving

from supervm.kernels.errors import ArgumentError
from supervm.tiers.client import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    Retry,
    ServiceRefused,
    ServiceUnavailable,
    Tls,
)
from supervm.tiers.client.connection import Connection
from supervm.tiers.service.v1 import verification_pb2 as pb

FULL, GONE = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE
QUICK = Retry(attempts=4, first=0.001, longest=0.002)


@pytest.fixture
def pauses(monkeypatch):
    """Seconds of every pause of this thread before a retry; they are not waited."""
    waited = []
    here, sleep, sleep_async = threading.get_ident(), time.sleep, asyncio.sleep

    def note(seconds):
        if threading.get_ident() == here:
            waited.append(seconds)
        else:
            sleep(seconds)

    async def note_async(seconds):
        if threading.get_ident() == here:
            waited.append(seconds)
            seconds = 0
        await sleep_async(seconds)

    monkeypatch.setattr("supervm.tiers.client.client.time.sleep", note)
    monkeypatch.setattr("supervm.tiers.client.aio_client.asyncio.sleep", note_async)
    return waited


def rows_of(request):
    """Messages of a request, read as the protocol says."""
    bounds = np.frombuffer(request.messages.offsets, "<u8").tolist()
    return [request.messages.data[start:stop] for start, stop in itertools.pairwise(bounds)]


@pytest.mark.parametrize("form", ["arrays", "lists", "packed"])
def test_a_batch_in_every_form(call, address, script, signatures, form):
    keys, messages, signed, verdicts = signatures(5)
    given = {
        "arrays": (keys, messages, signed),
        "lists": ([row.tobytes() for row in keys], messages, [row.tobytes() for row in signed]),
        "packed": (keys.tobytes(), messages, bytearray(signed.tobytes())),
    }[form]
    found = call(address, "verify_ed25519", *given, call={"rule": "zip215"})
    assert found.dtype == np.int8
    assert found.tolist() == verdicts
    found[0] = 7  # the caller's own, as with the library
    (request,) = script.requests
    assert (request.scheme, request.rule) == (1, 2)
    assert request.public_keys == keys.tobytes()
    assert request.signatures == signed.tobytes()
    assert rows_of(request) == messages


def test_a_large_batch_is_cut_and_joined_in_order(call, address, script, signatures):
    keys, messages, signed, verdicts = signatures(1000)
    found = call(address, "verify_schnorr", keys, messages, signed, message_bytes=10_000, in_flight=7)
    assert found.tolist() == verdicts
    assert len(script.requests) > 20
    assert max(request.ByteSize() for request in script.requests) <= 10_000
    sent = sorted(script.requests, key=lambda request: messages.index(rows_of(request)[0]))
    assert b"".join(request.public_keys for request in sent) == keys.tobytes()
    assert [message for request in sent for message in rows_of(request)] == messages


def test_an_empty_batch(call, address):
    none = np.zeros((0, 32), np.uint8)
    found = call(address, "verify_ed25519", none, [], np.zeros((0, 64), np.uint8))
    assert found.shape == (0,)
    assert found.dtype == np.int8


@pytest.mark.parametrize(
    ("method", "arguments", "argument"),
    [
        ("verify_ed25519", ([bytes(31)], [b""], [bytes(64)]), "public_keys"),
        ("verify_ed25519", ([bytes(32), bytes(31)], [b"", b""], bytes(128)), "public_keys"),
        ("verify_ed25519", ([bytes(32)], [b"", b""], [bytes(64)]), "messages"),
        ("verify_ed25519", ([bytes(32)], [b""], bytes(63)), "signatures"),
        ("verify_ed25519", ("0" * 32, [b""], bytes(64)), "public_keys"),
        ("verify_ecdsa", (bytes(34), bytes(32), bytes(64)), "public_keys"),
        ("verify_ecdsa", (bytes(33), bytes(64), bytes(64)), "digests"),
        ("recover", (np.zeros((1, 32), np.int8), bytes(65)), "digests"),
        ("hash", ("md5", [b""]), "function"),
        ("merkle_root", (np.zeros((1, 5), np.uint64), "sha256"), "leaves"),
        ("msm", ("bn254", np.zeros((1, 3, 4), np.uint64), np.zeros((1, 4), np.uint64)), "points"),
        ("msm", ("bn254", np.zeros((2, 2, 4), np.uint64), np.zeros((1, 4), np.uint64)), "scalars"),
        ("poseidon", ("bn254", np.zeros((1, 4), np.uint64)), "inputs"),
    ],
)
def test_wrong_arguments_are_not_sent(call, address, script, method, arguments, argument):
    with pytest.raises(ArgumentError) as error:
        call(address, method, *arguments)
    assert error.value.argument == argument
    assert not script.requests


def test_what_cannot_be_cut_is_not_sent(call, address, script):
    with pytest.raises(ArgumentError, match="message_bytes"):
        call(address, "verify_ed25519", bytes(32), [bytes(5000)], bytes(64), message_bytes=4096)
    with pytest.raises(ArgumentError, match="message_bytes"):
        call(address, "merkle_root", bytes(32 * 200), "sha256", message_bytes=4096)
    assert not script.requests


def test_a_full_service_is_asked_again_after_its_push_back(call, address, script, signatures, pauses):
    script.refusals.extend([Refusal(FULL, 30), Refusal(FULL, 70)])
    keys, messages, signed, verdicts = signatures(3)
    found = call(address, "verify_ed25519", keys, messages, signed, retry=QUICK)
    assert found.tolist() == verdicts
    assert len(script.requests) == 3
    assert 0.03 <= pauses[0] <= 0.032
    assert 0.07 <= pauses[1] <= 0.072


def test_an_unavailable_service_is_asked_again(call, address, script, signatures, pauses):
    script.refusals.extend([Refusal(GONE)] * 2)
    keys, messages, signed, verdicts = signatures(3)
    assert call(address, "verify_ed25519", keys, messages, signed, retry=QUICK).tolist() == verdicts
    assert len(script.requests) == 3
    assert all(pause <= 0.002 for pause in pauses)


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(FULL, None, "Concurrent RPC limit exceeded!"),
        Refusal(FULL, None, "Too many pending requests for this server"),
        Refusal(FULL, None, "Bandwidth exhausted HTTP/2 error code: ENHANCE_YOUR_CALM"),
        Refusal(GONE, 1, "no message came within 30 seconds"),
    ],
    ids=lambda refusal: refusal.message,
)
def test_what_grpc_has_no_room_for_is_asked_again(call, address, script, signatures, refusal):
    script.refusals.extend([refusal] * 2)
    keys, messages, signed, verdicts = signatures(3)
    assert call(address, "verify_ed25519", keys, messages, signed, retry=QUICK).tolist() == verdicts
    assert len(script.requests) == 3


def test_attempts_are_bounded(call, address, script, signatures, pauses):
    script.refusals.extend([Refusal(FULL, 1, "the queue is full")] * 9)
    with pytest.raises(ServiceRefused) as error:
        call(address, "verify_ed25519", *signatures(1)[:3], retry=QUICK)
    assert (error.value.code, error.value.message) == ("RESOURCE_EXHAUSTED", "the queue is full")
    assert error.value.retry_after == 0.001
    assert len(script.requests) == 4


def test_a_pause_that_outlasts_the_deadline_is_not_begun(call, address, script, signatures, pauses):
    script.refusals.extend([Refusal(FULL, 60_000)])
    with pytest.raises(ServiceRefused) as error:
        call(address, "verify_ed25519", *signatures(1)[:3], timeout=10.0)
    assert error.value.retry_after == 60
    assert len(script.requests) == 1
    assert not pauses


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(FULL, None, "never fits"),
        Refusal(FULL, -1, "do not try again"),
        Refusal(grpc.StatusCode.INVALID_ARGUMENT, None, "found 3 rows", "public_keys"),
        Refusal(grpc.StatusCode.UNAUTHENTICATED, 5),
        Refusal(grpc.StatusCode.INTERNAL, 5),
    ],
    ids=lambda refusal: f"{refusal.code.name} {refusal.retry_after_ms}",
)
def test_what_another_attempt_cannot_change_is_final(call, address, script, signatures, refusal):
    script.refusals.append(refusal)
    with pytest.raises(ServiceRefused) as error:
        call(address, "verify_ed25519", *signatures(1)[:3])
    assert error.value.code == refusal.code.name
    assert len(script.requests) == 1
    assert (error.value.field, error.value.message) == (refusal.field, refusal.message)


def test_one_refused_request_of_a_cut_batch(call, address, script, signatures):
    script.refusals.extend([Refusal(GONE), Refusal(FULL, 1)])
    keys, messages, signed, verdicts = signatures(500)
    found = call(address, "verify_ed25519", keys, messages, signed, message_bytes=10_000, retry=QUICK)
    assert found.tolist() == verdicts


def test_a_deadline(call, address, script, signatures):
    script.silent = True
    with pytest.raises(DeadlineExceeded):
        call(address, "verify_ed25519", *signatures(1)[:3], call={"timeout": 0.05})
    with pytest.raises(TimeoutError):
        call(address, "verify_ed25519", *signatures(1)[:3], timeout=0.05)


def test_nobody_there(call, nobody, signatures):
    with pytest.raises(ServiceUnavailable) as error:
        call(nobody, "verify_ed25519", *signatures(1)[:3], retry=QUICK)
    assert isinstance(error.value, ConnectionError)


def test_a_token_goes_with_every_call(call, address, script, signatures):
    call(address, "verify_ed25519", *signatures(200)[:3], token="s3cret", message_bytes=10_000)
    assert len(script.metadata) > 2
    assert {entry["authorization"] for entry in script.metadata} == {"Bearer s3cret"}


def test_cancelling_a_task_cancels_its_requests(address, script, signatures):
    script.silent = True

    async def main():
        async with AsyncClient(address) as client:
            task = asyncio.create_task(client.verify_ed25519(*signatures(1)[:3]))
            while not script.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Files of a certificate authority, a server and a client."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "root.pem")
    for name in ("127.0.0.1", "verifier.example", "client.example"):
        issued = authority.issue_cert(name)
        issued.private_key_pem.write_to_path(folder / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    return folder


def _server_credentials(folder, name, mutual):
    pair = ((folder / f"{name}.key").read_bytes(), (folder / f"{name}.pem").read_bytes())
    root = (folder / "root.pem").read_bytes() if mutual else None
    return grpc.ssl_server_credentials([pair], root, mutual)


def test_tls(call, authority, signatures):
    keys, messages, signed, verdicts = signatures(2)
    with serving(Script(), _server_credentials(authority, "127.0.0.1", mutual=False)) as address:
        tls = Tls(root=authority / "root.pem")
        assert call(address, "verify_ed25519", keys, messages, signed, tls=tls).tolist() == verdicts
        for wrong in (None, Tls()):
            with pytest.raises(ServiceUnavailable):
                call(address, "verify_ed25519", keys, messages, signed, tls=wrong, retry=Retry(attempts=1))


def test_mutual_tls_and_a_named_server(call, authority, signatures):
    keys, messages, signed, verdicts = signatures(2)
    root = authority / "root.pem"
    own = (authority / "client.example.pem", authority / "client.example.key")
    with serving(Script(), _server_credentials(authority, "verifier.example", mutual=True)) as address:
        tls = Tls(root, *own, server_name="verifier.example")
        assert call(address, "verify_ed25519", keys, messages, signed, tls=tls).tolist() == verdicts
        for wrong in (Tls(root, server_name="verifier.example"), Tls(root, *own)):
            with pytest.raises(ServiceUnavailable):
                call(address, "verify_ed25519", keys, messages, signed, tls=wrong, retry=Retry(attempts=1))


def test_wrong_options(nobody):
    with pytest.raises(ArgumentError):
        Tls(certificate="client.pem")
    with pytest.raises(ArgumentError):
        Retry(attempts=0)
    with pytest.raises(ArgumentError):
        Client(nobody, in_flight=0)
    with Client(nobody, timeout=0) as client, pytest.raises(ArgumentError):
        client.hash("sha256", [b""])


def test_pauses_grow_and_are_cut():
    retry = Retry(attempts=9, first=1.0, longest=5.0)
    longest = [max(retry.pause(attempt, None) for _ in range(2000)) for attempt in (1, 2, 3, 9)]
    assert [round(seconds) for seconds in longest] == [1, 2, 4, 5]
    assert min(retry.pause(1, 3.0) for _ in range(100)) >= 3.0


@pytest.mark.parametrize("limit", [1, 100, 300])
def test_a_limit_below_one_item_is_refused(call, address, script, limit):
    """It was an empty array of verdicts, for any number of signatures, or an index out of bounds."""
    with pytest.raises(ArgumentError, match="message_bytes"):
        call(address, "verify_ecdsa", bytes(3 * 33), bytes(3 * 32), bytes(3 * 64), message_bytes=limit)
    with pytest.raises(ArgumentError, match="message_bytes"):
        call(address, "verify_ed25519", bytes(64), [b"", b""], bytes(128), message_bytes=limit)
    assert not script.requests


def test_a_reply_of_another_number_of_items(monkeypatch, call, script, signatures):
    """Two replies, a verdict too few and one too many, would give verdicts to the wrong signatures."""

    def shifted(self, request, context):
        script.requests.append(request)
        verdicts = request.signatures[::64]
        return pb.VerifyReply(verdicts=verdicts[1:] if len(script.requests) == 1 else b"\1" + verdicts)

    monkeypatch.setattr("scripted_service.ScriptedService.Verify", shifted)
    keys, _, signed, _ = signatures(20)
    with serving(script) as address, pytest.raises(ServiceRefused) as caught:
        call(address, "verify_schnorr", keys, [b""] * 20, signed, message_bytes=1500, in_flight=1)
    assert caught.value.code == "INTERNAL"
    assert len(script.requests) == 2


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "ipv4:127.0.0.1", "dns:///localhost"])
def test_a_proxy_is_not_asked_for_this_machine(monkeypatch, call, address, signatures, nobody, name):
    monkeypatch.setenv("http_proxy", f"http://{nobody}")
    monkeypatch.setenv("grpc_proxy", f"http://{nobody}")
    keys, messages, signed, verdicts = signatures(3)
    target = address.replace("127.0.0.1", name)
    assert call(target, "verify_ed25519", keys, messages, signed).tolist() == verdicts


def test_a_proxy_is_asked_for_other_machines():
    options = dict(Connection("[2001:db8::1]:50051", None, None)._options())
    assert "grpc.enable_http_proxy" not in options
    assert Connection("[::1]:50051", None, None)._options()[-1] == ("grpc.enable_http_proxy", 0)


def test_a_closed_client(address, script):
    script.silent = True
    arguments = (bytes(32), [b""], bytes(64))
    client = Client(address)
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(client.verify_ed25519, *arguments)
        while not script.requests:
            time.sleep(0.01)
        client.close()
        with pytest.raises(ServiceUnavailable):
            under_way.result(PATIENCE)
    with pytest.raises(ServiceUnavailable, match="closed"):
        client.verify_ed25519(*arguments)


def test_a_closed_client_of_asyncio(address, script):
    """What is under way ends with an error, and not as if its task had been cancelled."""
    script.silent = True
    arguments = (bytes(32), [b""], bytes(64))

    async def main():
        client = AsyncClient(address)
        under_way = asyncio.create_task(client.verify_ed25519(*arguments))
        while not script.requests:
            await asyncio.sleep(0.01)
        await client.close()
        with pytest.raises(ServiceUnavailable, match="closed"):
            await under_way
        with pytest.raises(ServiceUnavailable, match="closed"):
            await client.verify_ed25519(*arguments)

    asyncio.run(main())
