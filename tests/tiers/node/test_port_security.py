# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may call a node: tokens, TLS and certificates of callers, and what is said to everybody else."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
import trustme
from certificates import Files, write_pair
from command_line import process
from engine_runs import blocks_of
from grpc_health.v1 import health_pb2, health_pb2_grpc
from node_chains import SMALL, block_files
from patience import PATIENCE

from supervm.tiers.client.connection import Tls
from supervm.tiers.errors import BrokenFile
from supervm.tiers.node.account_cache import AccountCache
from supervm.tiers.node.edge_service import EdgeService
from supervm.tiers.node.errors import UpstreamFailed
from supervm.tiers.node.server import SERVICE, NodeServer, status_of
from supervm.tiers.node.tasks import TaskRouter
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.node.wallet import Progress, Wallet
from supervm.tiers.service.access import Access
from supervm.tiers.service.security import ServerTls
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.tiers.tier import L3

TOKEN = "correct-horse-battery"
ACCESS = Access((("edge", TOKEN.encode()),))
QUESTION = ("RouteTask", pb.RouteTaskRequest(task="query"))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def listen():
    """listen(…) starts a server of calls that need no upstream, and is told what it counts."""
    servers = []

    def start(**how):
        edge = EdgeService(SimpleNamespace(), TaskRouter(L3, ("query",)), AccountCache(1 << 12, 1.0))
        counted = []
        server = NodeServer(edge, "127.0.0.1:0", lambda *call: counted.append(call[:2]), **how)
        servers.append(server)
        server.start()
        return server.address, counted

    yield start
    for server in servers:
        server.stop(0)


def code_of(upstream: Upstream) -> str:
    """What a question ends with."""
    try:
        upstream.call(*QUESTION)
    except UpstreamFailed as error:
        return error.code
    return "OK"


def test_calls_need_a_token_and_health_does_not(listen):
    address, counted = listen(access=ACCESS)
    with Upstream(address, token=TOKEN) as known:
        assert code_of(known) == "OK"
    for token in (None, TOKEN[:-1], TOKEN + "x", "edge"):
        with Upstream(address, token=token) as stranger, pytest.raises(UpstreamFailed) as caught:
            stranger.call(*QUESTION)
        assert caught.value.code == "UNAUTHENTICATED"
        assert caught.value.details == (
            "field 'authorization': no known token in it, expected 'Bearer TOKEN'"
        )
    assert counted == [("RouteTask", "OK")] + 4 * [("RouteTask", "UNAUTHENTICATED")]
    with grpc.insecure_channel(address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        assert check.status == health_pb2.HealthCheckResponse.SERVING


def test_of_a_stranger_nothing_is_read(listen):
    """Neither bytes that are no message nor a stream that sends none: who calls is looked at first."""
    address, counted = listen(access=ACCESS)
    with grpc.insecure_channel(address) as channel:
        unary = channel.unary_unary(f"/{SERVICE.full_name}/GetAccounts").future(b"\xff", timeout=PATIENCE)
        stream = channel.stream_stream(f"/{SERVICE.full_name}/SubmitBlocks")
        end = threading.Event()
        idle = stream(iter(end.wait, True), timeout=PATIENCE)
        assert unary.code() is idle.code() is grpc.StatusCode.UNAUTHENTICATED
        end.set()
    assert sorted(counted) == [("GetAccounts", "UNAUTHENTICATED"), ("SubmitBlocks", "UNAUTHENTICATED")]


def test_tls(listen, files):
    address, counted = listen(tls=ServerTls(files.certificate, files.key))
    with Upstream(address, tls=Tls(files.authorities)) as known:
        assert code_of(known) == "OK"
    another = files.authorities.with_name("another")
    trustme.CA().cert_pem.write_to_path(another)
    for tls in (None, Tls(another)):
        with Upstream(address, tls=tls) as wrong:
            assert code_of(wrong) == "UNAVAILABLE"
    assert counted == [("RouteTask", "OK")]


def test_over_tls_to_a_port_in_the_clear(listen, files):
    address, counted = listen()
    with Upstream(address, tls=Tls(files.authorities)) as wrong, pytest.raises(UpstreamFailed) as caught:
        wrong.call(*QUESTION)
    assert caught.value.code == "UNAVAILABLE"
    assert "SSL" in caught.value.details
    assert counted == []


def test_certificates_of_callers(listen, files, tmp_path):
    address, counted = listen(tls=ServerTls(files.certificate, files.key, files.authorities), access=ACCESS)
    stranger = tmp_path / "stranger-cert", tmp_path / "stranger-key"
    write_pair(trustme.CA().issue_cert("eve.example"), *stranger)
    own = Tls(files.authorities, files.caller, files.caller_key)
    for tls, token, code in (
        (own, TOKEN, "OK"),
        (own, None, "UNAUTHENTICATED"),
        (Tls(files.authorities), TOKEN, "UNAVAILABLE"),
        (Tls(files.authorities, *stranger), TOKEN, "UNAVAILABLE"),
    ):
        with Upstream(address, tls=tls, token=token) as caller:
            assert code_of(caller) == code
    assert counted == [("RouteTask", "OK"), ("RouteTask", "UNAUTHENTICATED")]


def test_a_server_whose_files_are_gone(listen, files):
    files.key.unlink()
    with pytest.raises(BrokenFile, match="key"):
        listen(tls=ServerTls(files.certificate, files.key))


def test_an_upstream_that_refuses_the_node_does_not_refuse_its_caller(caplog):
    error = UpstreamFailed("10.0.0.1:50052", "GetStatus", "UNAUTHENTICATED", "no known token")
    code, text = status_of(error)
    assert code is grpc.StatusCode.UNAVAILABLE
    assert "UNAUTHENTICATED: no known token" in text
    assert "the upstream refuses this node" in caplog.text


PORT = ("--tls-certificate", "cert", "--tls-key", "key")
ABOVE = ("--upstream-tls-authorities", "ca")


@pytest.mark.parametrize(
    ("arguments", "setting", "told"),
    [
        (("--tokens", "none"), "node.tokens", "'none': No such file"),
        (("--tokens", "key"), "node.tokens", "line 1: not a new name"),
        (("--tls-certificate", "none", "--tls-key", "key"), "node.tls.certificate", "'none': No such file"),
        (("--tls-certificate", "cert", "--tls-key", "none"), "node.tls.key", "'none': No such file"),
        (("--tls-certificate", "cert", "--tls-key", "caller-key"), "node.tls.certificate", "that key"),
        (("--tls-certificate", "cert"), "node.tls.certificate", "no node.tls.key"),
        (("--tls-key", "key"), "node.tls.key", "no node.tls.certificate"),
        (("--tls-clients", "ca"), "node.tls.clients", "no node.tls.certificate"),
        ((*PORT, "--tls-clients", "none"), "node.tls.clients", "'none': No such file"),
        ((*PORT, "--tls-clients", "key"), "node.tls.clients", "no certificates in it"),
        (("--upstream-token", "none"), "upstream.token", "'none': No such file"),
        (("--upstream-token", "cert"), "upstream.token", "words in it"),
        (("--upstream-tls-authorities", "none"), "upstream.tls.authorities", "'none': No such file"),
        (("--upstream-tls-authorities", "key"), "upstream.tls.authorities", "no certificates in it"),
        (
            ("--upstream-tls-certificate", "cert", "--upstream-tls-key", "key"),
            "upstream.tls.certificate",
            "no upstream.tls.authorities",
        ),
        ((*ABOVE, "--upstream-tls-certificate", "cert"), "upstream.tls.certificate", "no upstream.tls.key"),
        ((*ABOVE, "--upstream-tls-key", "key"), "upstream.tls.key", "no upstream.tls.certificate"),
    ],
)
def test_what_is_wrong_names_the_setting(run, files, tmp_path, monkeypatch, arguments, setting, told):
    monkeypatch.chdir(tmp_path)
    common = ("node", "--tier", "L3", "--grpc", "127.0.0.1:0", "--upstream", "127.0.0.1:1", "--json")
    result = run(*common, *arguments)
    assert result.exit_code == 2, result.output
    flag = setting.removeprefix("node.").replace(".", "-")
    assert f"flag --{flag}: setting '{setting}'" in result.stderr
    assert told in result.stderr


@pytest.mark.parametrize("command", ["replay", "check"])
def test_a_wallet_reaches_a_guarded_node(run, files, tmp_path, serve, command):
    block_files(tmp_path / "chain", blocks_of("transfers", **SMALL))
    reached = {"tls": Tls(files.authorities, files.caller, files.caller_key), "token": TOKEN}
    tls = ServerTls(files.certificate, files.key, files.authorities)
    full = serve(
        tmp_path / "node", tmp_path / "chain", directory=False, tls=tls, access=ACCESS, reached=reached
    )
    with Wallet(tmp_path / "wallet") as wallet:
        wallet.create()
    (tmp_path / "token").write_text(TOKEN + "\n")
    known = ("node", command, "--wallet", tmp_path / "wallet", "--upstream", full.upstream.address)
    given = ("--upstream-tls-authorities", files.authorities, "--upstream-tls-certificate", files.caller)
    given = (*given, "--upstream-tls-key", files.caller_key, "--upstream-token", tmp_path / "token")
    result = run(*known, *given)
    assert result.exit_code == 0, result.output
    if command == "check":
        assert full.node.engine.state_root.hex() in result.stdout
        result = run(*known, *given[:-2])
        assert result.exit_code == 3
        assert "UNAUTHENTICATED" in result.stderr


def test_from_a_wallet_to_a_block_through_guarded_ports(tmp_path, serve, files):
    """L4 to L3 over TLS, L3 to L2 over TLS with a certificate; a token at each port; L3's settings from a file."""
    block_files(tmp_path / "chain", blocks_of("transfers", **SMALL))
    full = serve(
        tmp_path / "node",
        tmp_path / "chain",
        directory=False,
        pack=9,
        limits={"price": 0},
        config={"signatures": True},
        tls=ServerTls(files.certificate, files.key, files.authorities),
        access=ACCESS,
        reached={"tls": Tls(files.authorities, files.caller, files.caller_key), "token": TOKEN},
    )
    (tmp_path / "edge-token").write_text(TOKEN)
    (tmp_path / "tokens").write_text("wallet 0123456789abcdef\n")
    (tmp_path / "wallet-token").write_text("0123456789abcdef")
    (tmp_path / "edge.toml").write_text(f"""
        [node]
        grpc = "127.0.0.1:0"
        upstream = "{full.upstream.address}"
        tokens = "{tmp_path}/tokens"
        [node.tls]
        certificate = "{files.certificate}"
        key = "{files.key}"
        [upstream]
        token = "{tmp_path}/edge-token"
        [upstream.tls]
        authorities = "{files.authorities}"
        certificate = "{files.caller}"
        key = "{files.caller_key}"
    """)
    with Wallet(tmp_path / "wallet") as wallet:
        wallet.sign(wallet.create(), bytes(20), gas_price=0)
    edge = ("node", "--tier", "L3", "--threads", 1, "--config", tmp_path / "edge.toml")
    with process(*edge) as (child, ready):
        assert (ready["role"], ready["tls"], ready["tokens"]) == ("edge", "on", True)
        with Upstream(ready["grpc"], tls=Tls(files.authorities), token=TOKEN) as wrong:
            assert code_of(wrong) == "UNAUTHENTICATED"
        given = ("--upstream", ready["grpc"], "--upstream-tls-authorities", files.authorities)
        mobile = ("node", "--tier", "L4", "--threads", 1, "--wallet", tmp_path / "wallet", *given)
        with (
            process(*mobile, "--upstream-token", tmp_path / "wallet-token") as (sender, _),
            Wallet(tmp_path / "wallet") as wallet,
        ):
            while not wallet.queue((Progress.IN_BLOCK,)):
                assert sender.poll() is None
                assert child.poll() is None
            [account] = wallet.accounts()
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    assert full.node.engine.account(account.address) == (1, 0)
