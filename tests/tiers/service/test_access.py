# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may call: tokens, certificates, and the names that rates go by."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from certificates import Files
from patience import PATIENCE
from served import served
from signed_requests import single

from supervm.tiers.errors import BrokenFile, ServiceError
from supervm.tiers.service.access import Access
from supervm.tiers.service.codes import Code
from supervm.tiers.service.core import Limits
from supervm.tiers.service.security import ServerTls
from supervm.tiers.service.server import Transport

TOKEN = "correct-horse-battery"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# clients\n\nalice {TOKEN}\nbob 0123456789abcdef\n")
    return path


def test_tokens_name_clients(token_file: Path) -> None:
    access = Access.of_file(token_file)
    assert access.needs_token
    assert access.client(f"Bearer {TOKEN}", None, "1.2.3.4") == "token alice"
    assert access.client("bearer 0123456789abcdef", None, "1.2.3.4") == "token bob"
    for wrong in (None, "", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer é"):
        with pytest.raises(ServiceError) as caught:
            access.client(wrong, None, "1.2.3.4")
        assert (caught.value.code, caught.value.field) == (Code.UNAUTHENTICATED, "authorization")
        assert TOKEN not in str(caught.value)


def test_without_tokens_the_subject_or_the_address_is_the_client() -> None:
    assert Access().client("Bearer x", "carol", "1.2.3.4") == "subject carol"
    assert Access().client(None, None, "1.2.3.4") == "address 1.2.3.4"
    assert Access().client(None, None, "unix:") == "address unix:"


def test_addresses_that_cost_nothing_are_one_client() -> None:
    """Whoever has one IPv6 address has 2^64, and a rate for each would be none; IPv4 within IPv6 is IPv4."""
    near = {Access().client(None, None, f"2001:db8:0:1::{host:x}") for host in (1, 2, 0xFFFF)}
    assert near == {"address 2001:db8:0:1::/64"}
    assert Access().client(None, None, "2001:db8:0:2::1") not in near
    assert Access().client(None, None, "fe80::1%eth0") == "address fe80::/64"
    assert Access().client(None, None, "::ffff:1.2.3.4") == "address 1.2.3.4"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# none\n",
        "alice\n",
        "alice short\n",
        f"alice {TOKEN} more\n",
        f"a {TOKEN}\na {TOKEN}x\n",
        f"a {TOKEN}é\n",
    ],
)
def test_a_broken_file_of_tokens(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(BrokenFile) as caught:
        Access.of_file(path)
    assert TOKEN not in str(caught.value)


def test_a_missing_or_binary_file_of_tokens(tmp_path: Path) -> None:
    with pytest.raises(BrokenFile):
        Access.of_file(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(BrokenFile, match="UTF-8"):
        Access.of_file(tmp_path / "binary")


def test_calls_need_a_token_and_health_does_not(token_file: Path) -> None:
    async def test() -> None:
        async with served(access=Access.of_file(token_file)) as to:
            good = (("authorization", f"Bearer {TOKEN}"),)
            assert (await to.stub.Verify(single(1), metadata=good)).verdicts == b"\1"
            stream = to.stub.VerifyStream(metadata=good)
            await stream.write(single(2))
            (reply,) = (await stream.read()).replies
            assert reply.verdicts == b"\1"
            await stream.done_writing()
            for metadata in ((), (("authorization", "Bearer wrong"),)):
                for call in (
                    to.stub.Verify(single(1), metadata=metadata),
                    to.stub.VerifyStream(metadata=metadata).read(),
                ):
                    assert await _code(call) is grpc.StatusCode.UNAUTHENTICATED
            from grpc_health.v1 import health_pb2, health_pb2_grpc

            check = health_pb2_grpc.HealthStub(to.channel).Check(health_pb2.HealthCheckRequest())
            assert (await check).status == 1

    asyncio.run(test())


async def _code(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_tls(files: Files) -> None:
    async def test() -> None:
        transport = Transport(tls=ServerTls(files.certificate, files.key))
        async with served(transport=transport, credentials=files.credentials()) as to:
            assert (await to.stub.Verify(single(1))).verdicts == b"\1"
            async with grpc.aio.insecure_channel(to.address) as plain:
                call = plain.unary_unary("/supervm.v1.Verification/Verify")(b"", timeout=2)
                assert await _code(call) in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)

    asyncio.run(test())


def test_mutual_tls_names_the_client_by_its_certificate(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        transport = Transport(tls=ServerTls(files.certificate, files.key, files.authorities))
        caller = files.authority.issue_cert("dave.example", common_name="dave")
        limits = Limits(client_rate=1000)
        async with served(limits, transport, credentials=files.credentials(caller)) as to:
            names: list[str] = []
            monkeypatch.setattr(to.service._rates, "spend", lambda client, items: names.append(client))
            assert (await to.stub.Verify(single(1))).verdicts == b"\1"
            assert names == ["subject dave"]
            stranger = trustme.CA().issue_cert("eve.example")
            for credentials in (files.credentials(), files.credentials(stranger)):
                address = to.address.replace("127.0.0.1", "localhost")
                async with grpc.aio.secure_channel(address, credentials) as channel:
                    call = channel.unary_unary("/supervm.v1.Verification/Verify")(b"", timeout=PATIENCE)
                    assert await _code(call) is grpc.StatusCode.UNAVAILABLE
            assert names == ["subject dave"]

    asyncio.run(test())


@pytest.mark.parametrize("broken", ["certificate", "key", "other key", "clients"])
def test_broken_certificates(files: Files, tmp_path: Path, broken: str) -> None:
    if broken == "other key":
        trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(files.key)
    elif broken == "clients":
        files.authorities = tmp_path / "none"
    else:
        getattr(files, broken).write_text("no PEM")
    transport = Transport(tls=ServerTls(files.certificate, files.key, files.authorities))

    async def test() -> None:
        with pytest.raises(BrokenFile):
            async with served(transport=transport):
                pass

    asyncio.run(test())
