# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes of every tier from their settings: L1 and L2 on hardware that is made up, L3 and L4 as processes."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from command_line import process
from engine_runs import blocks_of
from node_chains import SMALL, block_files, opened, sequential_roots, write_chain

from supervm.kernels.threads import set_threads
from supervm.tiers import Gpu, Hardware
from supervm.tiers.node.errors import NotKept
from supervm.tiers.node.running import Places, run_edge, run_full
from supervm.tiers.node.server import NodeServer
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.node.wallet import Progress, Wallet
from supervm.tiers.settings import load

GB = 10**9
NAME = "mixed"
WORKLOAD = blocks_of(NAME, **SMALL)
LAST = len(WORKLOAD)
MACHINES = {
    "L1": Hardware(cores=64, memory=512 * GB, gpus=(Gpu("H100", 80 * GB, "9.0"),)),
    "L2": Hardware(cores=16, memory=64 * GB),
}


@pytest.fixture(autouse=True)
def _one_thread_afterwards():
    yield
    set_threads(1)


@pytest.mark.parametrize(
    ("tier", "flags", "kept"),
    [("L1", {}, LAST), ("L2", {}, LAST), ("L2", {"storage.blocks": 3}, 3), ("L1", {"storage.blocks": 5}, 5)],
)
def test_what_a_tier_keeps(tmp_path, tier, flags, kept):
    """The pruning of L2, with fewer blocks than its 10,000; L1 keeps all."""
    write_chain(tmp_path / "chain", WORKLOAD)
    given = {"workers": 1, "backend": "scalar", "node.grpc": "off", **flags}
    settings = load(MACHINES[tier], flags=given, environment={})
    assert settings.tier.name == tier
    assert flags or settings.storage_blocks == {"L1": 0, "L2": 10_000}[tier]
    places = Places(tmp_path / "chain" / "genesis.work", tmp_path / "node", tmp_path / "chain")
    seen = []
    outcome = run_full(settings, MACHINES[tier], places, seen.append, signatures=False, until=LAST)
    assert (outcome.number, outcome.blocks, outcome.transactions) == (LAST, LAST, 600)
    assert outcome.state_root == sequential_roots(NAME, **SMALL)[-1].hex()
    assert [(ready.tier, ready.role, ready.number) for ready in seen] == [(tier, "full", 0)]
    keep = {"config": {"keep_receipts": 1 << 40}, "keep_blocks": 1 << 40}
    with opened(tmp_path / "node", tmp_path / "chain", **keep) as node:
        for number in range(1, LAST + 1):
            receipts = node.engine.receipts(node.height_of(number))
            assert (receipts is not None) == (number > LAST - kept)
        if kept < LAST:
            with pytest.raises(NotKept):
                node.records.block(LAST - kept)
        assert node.records.block(LAST - kept + 1).number == LAST - kept + 1


def test_an_edge_node_as_a_process(tmp_path, serve):
    block_files(tmp_path / "chain", WORKLOAD)
    full = serve(tmp_path / "node", tmp_path / "chain", directory=False)
    options = ("--upstream", full.upstream.address, "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0")
    with process("node", "--tier", "L3", "--threads", 1, *options) as (child, ready):
        assert (ready["tier"], ready["role"]) == ("L3", "edge")
        with Upstream(ready["grpc"]) as asked:
            addresses = WORKLOAD.genesis.addresses
            reply = asked.get_accounts(addresses.tobytes())
            nonces, balances = full.node.engine.accounts(addresses)
            assert (np.array(reply.nonces) == nonces).all()
            assert reply.balances == balances.tobytes()
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0


def test_a_mobile_node_as_a_process(tmp_path, serve):
    block_files(tmp_path / "chain", WORKLOAD)
    with Wallet(tmp_path / "wallet") as wallet:
        wallet.sign(wallet.create(), bytes(20), gas_price=0)
    options = ("node", "--tier", "L4", "--threads", 1, "--wallet", tmp_path / "wallet")
    with process(*options, "--upstream", "127.0.0.1:1") as (child, ready):
        assert (ready["tier"], ready["role"], ready["grpc"]) == ("L4", "mobile", None)
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    full = serve(
        tmp_path / "node",
        tmp_path / "chain",
        directory=False,
        pack=9,
        config={"signatures": True},
        limits={"price": 0},
    )
    with (
        process(*options, "--upstream", full.upstream.address) as (child, _),
        Wallet(tmp_path / "wallet") as wallet,
    ):
        while not wallet.queue((Progress.IN_BLOCK,)):
            assert child.poll() is None
        [account] = wallet.accounts()
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    assert full.node.engine.account(account.address) == (1, 0)


class Told:
    """An order in which things happen: what a signal would meet when a server starts and when it stops."""

    def __init__(self, monkeypatch):
        self.handlers = []
        for name in ("start", "stop"):
            monkeypatch.setattr(NodeServer, name, self._telling(getattr(NodeServer, name)))

    def _telling(self, method):
        def tell(server, *arguments):
            self.handlers.append(signal.getsignal(signal.SIGTERM))
            return method(server, *arguments)

        return tell


@pytest.mark.parametrize("role", ["full", "edge"])
def test_signals_are_caught_for_as_long_as_anybody_is_served(tmp_path, monkeypatch, role):
    block_files(tmp_path / "chain", WORKLOAD)
    told = Told(monkeypatch)
    flags = {"workers": 1, "backend": "scalar", "node.grpc": "127.0.0.1:0", "node.upstream": "127.0.0.1:1"}
    before = signal.getsignal(signal.SIGTERM)

    def ready(found):
        signal.raise_signal(signal.SIGTERM)

    if role == "full":
        settings = load(MACHINES["L2"], flags=flags, environment={})
        places = Places(tmp_path / "chain" / "genesis.work", tmp_path / "node")
        run_full(settings, MACHINES["L2"], places, ready, signatures=False)
    else:
        hardware = Hardware(cores=4, memory=8 * GB)
        run_edge(load(hardware, flags=flags, environment={}), hardware, ready)
    assert len(told.handlers) == 2
    assert signal.getsignal(signal.SIGTERM) is before
    assert before not in told.handlers
