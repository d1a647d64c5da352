# SPDX-License-Identifier: GPL-3.0-or-later
"""A signal to a node, whatever its callers and its disk do: it ends in time, with exit code 0, and its state is whole."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import grpc
import pytest
from command_line import process
from engine_runs import blocks_of
from node_chains import SMALL, block_files, opened, sequential_roots, write_chain
from patience import PATIENCE, until
from raw_http2 import RawConnection

from supervm.tiers.node.upstream import Upstream
from supervm.tiers.node.wallet import Wallet
from supervm.tiers.service.v1 import node_pb2 as pb

NAME = "transfers"
WORKLOAD = blocks_of(NAME, **SMALL)
LAST = len(WORKLOAD)
SUBMIT = "/supervm.v1.Node/SubmitBlocks"
DRAIN = 3.0


@pytest.fixture(autouse=True)
def _drain(monkeypatch):
    monkeypatch.setenv("SUPERVM_NODE_DRAIN_SECONDS", str(DRAIN))
    monkeypatch.setenv("SUPERVM_NODE_PACK_SECONDS", "0")


def full(folder, *more):
    chain = ("--genesis", folder / "chain" / "genesis.work", "--state", folder / "node")
    return ("node", "--tier", "L2", "--threads", 1, "--no-signatures", *chain, *more)


PORT = ("--grpc", "127.0.0.1:0")


def stops(child, number=signal.SIGTERM):
    """Send the signal, and see the end of the process; what it said."""
    child.send_signal(number)
    _, errors = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, errors
    return errors


def goes_on(folder, number):
    """A node on what was left: it stands at this block at least, and its root is that of its block."""
    roots = sequential_roots(NAME, **SMALL)
    with opened(folder / "node", folder / "chain", directory=False) as node:
        assert node.number >= number
        if node.number:
            assert node.engine.state_root == roots[node.number - 1]


# ------------------------------------------------------------------------------------------------ callers


def drained(calls):
    """Wait for the ends of calls."""
    for each in calls:
        with suppress(grpc.RpcError):
            for _ in each:
                pass


def malformed(address, files, stack):
    """Streams of bytes that are no messages, one after the other, until the node is gone."""
    ended = threading.Event()
    begun = []

    def call():
        while not ended.is_set():
            with grpc.insecure_channel(address) as channel:
                submit = channel.stream_stream(SUBMIT)
                drained([submit(iter([b"\xff" * 10]), timeout=PATIENCE) for _ in range(20)])
                begun.append(20)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for each in threads:
        each.start()

    def end():
        ended.set()
        for each in threads:
            each.join()

    stack.callback(end)
    until(lambda: len(begun) > 10)


def idle(address, files, stack):
    """As many open streams as there may be."""
    channel = stack.enter_context(grpc.insecure_channel(address))
    end = threading.Event()
    stack.callback(end.set)
    calls = [channel.stream_stream(SUBMIT)(iter(end.wait, True)) for _ in range(40)]
    until(lambda: sum(call.done() for call in calls) >= 24)


def unread(address, files, stack):
    """Streams of blocks whose acknowledgements nobody reads."""
    block = pb.SubmitBlocksRequest(block=files[0]).SerializeToString()
    for _ in range(16):
        connection = RawConnection(address, window=0)
        stack.callback(connection.close)
        stream = connection.call(SUBMIT)
        for _ in range(3):
            connection.begin_message(stream, len(block), block)
    time.sleep(0.5)


def headers_alone(address, files, stack):
    """Calls that never send a message."""
    connection = RawConnection(address)
    stack.callback(connection.close)
    for _ in range(30):
        connection.call("/supervm.v1.Node/GetAccounts")
    time.sleep(0.5)


def unfinished(address, files, stack):
    """Messages of which only the first bytes come."""
    for _ in range(16):
        connection = RawConnection(address)
        stack.callback(connection.close)
        connection.begin_message(connection.call(SUBMIT), 1 << 30, bytes(60_000))
    time.sleep(0.5)


def asking(address, files, stack):
    """Proofs without an end, each of which is made between two blocks."""
    ended = threading.Event()
    made = []

    def ask():
        with Upstream(address, seconds=PATIENCE) as upstream, suppress(Exception):
            while not ended.is_set():
                upstream.get_proof(b"\0" + bytes(20))
                made.append(1)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for each in threads:
        each.start()
    until(lambda: len(made) > 20)

    def end():
        ended.set()
        for each in threads:
            each.join()

    stack.callback(end)


@pytest.mark.parametrize("caller", [malformed, idle, unread, headers_alone, unfinished, asking])
def test_whatever_callers_do(tmp_path, caller):
    files = block_files(tmp_path / "chain", WORKLOAD)
    with ExitStack() as stack, process(*full(tmp_path, *PORT)) as (child, ready):
        with Upstream(ready["grpc"]) as upstream:
            requests = (pb.SubmitBlocksRequest(block=data) for data in files[:3])
            assert len(list(upstream._stub.SubmitBlocks(requests, timeout=PATIENCE))) == 3
        caller(ready["grpc"], files, stack)
        stops(child)
    goes_on(tmp_path, 3)


def test_who_asks_for_a_page_and_does_not_read_it(tmp_path):
    block_files(tmp_path / "chain", WORKLOAD)
    with (
        process(*full(tmp_path, "--grpc", "off", "--http", "127.0.0.1:0")) as (child, ready),
        ExitStack() as stack,
    ):
        host, _, port = ready["http"].rpartition(":")
        for sent in (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 500, b"GET /metrics HTTP/1.1\r\nHo", b""):
            asking = stack.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE))
            asking.sendall(sent)
        time.sleep(0.5)
        stops(child)


# ------------------------------------------------------------------------------------------------ what a node waits for


@contextmanager
def silent_upstream():
    """The address of a port where connections are taken, and nothing is ever answered."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        taken = []

        def accept():
            with suppress(OSError):
                while True:
                    taken.append(listening.accept()[0])

        accepting = threading.Thread(target=accept)
        accepting.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", taken
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join()
        for each in taken:
            each.close()


def test_an_edge_node_whose_upstream_is_silent(tmp_path):
    with silent_upstream() as (above, _), ExitStack() as stack:
        edge = ("node", "--tier", "L3", "--threads", 1, "--upstream", above, *PORT)
        with process(*edge) as (child, ready):
            channel = stack.enter_context(grpc.insecure_channel(ready["grpc"]))
            ask = channel.unary_unary("/supervm.v1.Node/GetBlock")
            calls = [ask.future(b"\x08\x01", timeout=PATIENCE) for _ in range(40)]
            time.sleep(1.0)
            assert not any(call.done() for call in calls)
            stops(child)
            assert {call.code().name for call in calls} <= {"UNAVAILABLE", "CANCELLED"}


def test_a_mobile_node_whose_upstream_is_silent(tmp_path):
    with Wallet(tmp_path / "wallet") as wallet:
        wallet.sign(wallet.create(), bytes(20), gas_price=0)
    with silent_upstream() as (above, taken):
        mobile = (
            "node",
            "--tier",
            "L4",
            "--threads",
            1,
            "--wallet",
            tmp_path / "wallet",
            "--upstream",
            above,
        )
        with process(*mobile) as (child, _):
            until(lambda: taken)
            stops(child)
    with Wallet(tmp_path / "wallet") as wallet:
        assert len(wallet.queue()) == 1


def test_while_it_catches_up_with_a_directory(tmp_path):
    write_chain(tmp_path / "chain", WORKLOAD)
    slow = """
from supervm.tiers.node.sources import DirectorySource
import time
take = DirectorySource.take
def slowly(source):
    time.sleep(0.2)
    return take(source)
DirectorySource.take = slowly
"""
    with process(*full(tmp_path, *PORT, "--blocks", tmp_path / "chain"), patch=slow) as (child, ready):
        with Upstream(ready["grpc"]) as upstream:
            until(lambda: upstream.get_status().number >= 2)
        assert "stopped after block" in stops(child)
    goes_on(tmp_path, 2)


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM)])
def test_while_the_disk_takes_a_write_for_ever(tmp_path, signals):
    files = block_files(tmp_path / "chain", WORKLOAD)
    stuck = f"""
from supervm.engine.storage.database import Database
import threading
write, written = Database.write, []
def blocking(database, batch, sync):
    written.append(1)
    if len(written) > 4:
        open({str(tmp_path / "stuck")!r}, "w").close()
        threading.Event().wait()
    write(database, batch, sync=sync)
Database.write = blocking
"""
    with (
        process(*full(tmp_path, *PORT), patch=stuck) as (child, ready),
        grpc.insecure_channel(ready["grpc"]) as channel,
    ):
        acknowledged = threading.Event()

        def requests():
            """The first block alone: with others behind it, the disk could be stuck before its acknowledgement is out."""
            for data in files:
                yield pb.SubmitBlocksRequest(block=data).SerializeToString()
                acknowledged.wait(PATIENCE)

        call = channel.stream_stream(SUBMIT)(requests(), timeout=PATIENCE)
        next(call)
        acknowledged.set()
        until((tmp_path / "stuck").exists)
        for number in signals[:-1]:
            child.send_signal(number)
            time.sleep(0.3)
        errors = stops(child, signals[-1])
        with pytest.raises(grpc.RpcError):
            list(call)
    assert "stopped before it was done" in errors
    goes_on(tmp_path, 1)


def test_while_it_starts(tmp_path):
    """As where kernels are compiled: a long step of the main thread, of which nothing is promised to anybody."""
    block_files(tmp_path / "chain", WORKLOAD)
    program = f"""
import ctypes, sys
from supervm.tiers.node import running
def opening(*_, **__):
    print("opening", flush=True)
    ctypes.CDLL(None).sleep({int(PATIENCE) * 10})
running.FullNode = opening
from supervm.tiers.cli import main
main()
"""
    command = [sys.executable, "-c", program, *map(str, full(tmp_path, *PORT))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout.readline() == "opening\n", child.stderr.read()
            assert "stopped before it was ready" in stops(child)
        finally:
            child.kill()
