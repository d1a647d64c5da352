# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm node` and its commands, as a user has them."""

from __future__ import annotations

import json
import logging
import signal
import urllib.request
from dataclasses import replace

import pytest
from command_line import process
from engine_runs import blocks_of
from node_chains import SMALL, sequential_roots, write_chain
from patience import PATIENCE

from supervm.engine.config import EngineConfig
from supervm.engine.workloads import Announced, write_workload
from supervm.kernels.threads import set_threads
from supervm.tiers.node.blocks import file_name
from supervm.tiers.node.full_node import FullNode
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.service.v1 import node_pb2 as pb

NAME = "mixed"
WORKLOAD = blocks_of(NAME, **SMALL)
LAST = len(WORKLOAD)


@pytest.fixture(autouse=True)
def _one_thread_afterwards():
    yield
    set_threads(1)


@pytest.fixture
def chain(tmp_path):
    write_chain(tmp_path / "chain", WORKLOAD)
    return tmp_path / "chain"


def options_of(tmp_path, chain, *more):
    given = ["--genesis", chain / "genesis.work", "--state", tmp_path / "node", "--blocks", chain]
    return ["node", "--tier", "L2", "--threads", 1, "--no-signatures", "--grpc", "off", *given, *more]


def test_split_and_follow(run, tmp_path):
    write_workload(tmp_path / "workload", WORKLOAD)
    folder = tmp_path / "blocks"
    result = run("node", "split", tmp_path / "workload", folder, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["blocks"] == LAST
    result = run(*options_of(tmp_path, folder, "--until", LAST, "--json"))
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["number"], answer["blocks"], answer["transactions"]) == (LAST, LAST, 600)
    assert answer["state_root"] == sequential_roots(NAME, **SMALL)[-1].hex()
    assert answer["tps"] > 0
    again = run("node", "split", tmp_path / "workload", folder)
    assert again.exit_code == 2
    assert "which is not empty" in again.stderr


def announced(path, root, blocks=LAST):
    """The workload in a file, announced to come to this root."""
    write_workload(path, replace(WORKLOAD, announced=Announced(blocks, "sha256", root)))
    return path


def test_an_announced_root_is_compared(run, tmp_path):
    root = sequential_roots(NAME, **SMALL)[-1]
    made = run("node", "split", announced(tmp_path / "workload", root), tmp_path / "right", "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["announced_root"] == root.hex()
    for until in (LAST - 1, LAST, LAST):
        result = run(*options_of(tmp_path, tmp_path / "right", "--until", until))
        assert result.exit_code == 0, result.output
    run("node", "split", announced(tmp_path / "workload", bytes(32)), tmp_path / "wrong")
    other = tmp_path / "other"
    before = run(*options_of(other, tmp_path / "wrong", "--until", LAST - 1))
    assert before.exit_code == 0, before.output
    # At the block itself; and at each later start, when that is part of the state.
    for _ in range(2):
        result = run(*options_of(other, tmp_path / "wrong", "--until", LAST, "--json"))
        assert result.exit_code == 1
        assert json.loads(result.stdout)["error"]["type"] == "WrongRoot"
        assert f"block {LAST}: state root {root.hex()}, expected {'00' * 32}" in result.stderr
        assert "--no-signatures" in result.stderr
    result = run("node", "split", announced(tmp_path / "workload", root, LAST + 1), tmp_path / "odd")
    assert result.exit_code == 2
    assert not (tmp_path / "odd").exists()


def test_a_chain_without_signatures_needs_the_option(run, tmp_path):
    root = sequential_roots(NAME, **SMALL)[-1]
    run("node", "split", announced(tmp_path / "workload", root), tmp_path / "chain")
    given = options_of(tmp_path, tmp_path / "chain", "--until", LAST)
    without = [each for each in given if each != "--no-signatures"]
    result = run(*without, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["type"] == "WrongRoot"
    assert "start it with --no-signatures" in result.stderr
    assert not (tmp_path / "node").exists()
    assert run(*given).exit_code == 0


def test_a_block_of_which_all_is_rejected_for_want_of_signatures_is_told(run, tmp_path, chain, caplog):
    """Nothing is announced, so nothing is compared: it is not silent all the same."""
    with (
        caplog.at_level(logging.WARNING),
        FullNode(
            tmp_path / "node", chain / "genesis.work", EngineConfig(signatures=True), blocks=chain
        ) as node,
    ):
        node.run(until=LAST)
        assert node.engine.state_root != sequential_roots(NAME, **SMALL)[-1]
    told = [record.getMessage() for record in caplog.records if "--no-signatures" in record.getMessage()]
    assert told == [
        "block 1: every transaction was rejected, none has a signature; a chain without signatures needs --no-signatures"
    ]


def test_a_wrong_block_is_named(run, tmp_path, chain):
    (chain / file_name(4)).write_bytes(b"SVMBLCK\1")
    result = run(*options_of(tmp_path, chain, "--until", LAST, "--json"))
    assert result.exit_code == 2
    answer = json.loads(result.stdout)
    assert answer["error"]["type"] == "BlockRefused"
    assert file_name(4) in result.stderr
    result = run(*options_of(tmp_path, chain, "--until", 3, "--json"))
    assert (result.exit_code, json.loads(result.stdout)["number"]) == (0, 3)


@pytest.mark.parametrize("tier", ["L3", "L4"])
def test_a_tier_that_does_not_execute_says_who_does(run, tmp_path, chain, tier):
    result = run(
        "node", "--tier", tier, "--genesis", chain / "genesis.work", "--state", tmp_path / "node", "--json"
    )
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"]["type"] == "TaskRefused"
    assert "belongs to L2 or above, no GPU needed" in result.stderr
    assert not (tmp_path / "node").exists()


def test_wallet_commands(run, tmp_path):
    wallet = ("--wallet", tmp_path / "wallet")
    made = json.loads(run("node", "account", *wallet, "--new", "--json").stdout)["accounts"]
    assert [account["nonce"] for account in made] == [0]
    own, other = made[0]["address"], "ab" * 20
    for nonce in range(2):
        result = run("node", "sign", *wallet, "--from", own, "--to", other, "--value", 5, "--json")
        assert result.exit_code == 0, result.output
        signed = json.loads(result.stdout)
        assert (signed["nonce"], signed["state"], signed["block"]) == (nonce, "queued", None)
    result = run("node", "replay", *wallet, "--upstream", "127.0.0.1:1", "--json")
    assert result.exit_code == 3
    assert "upstream 127.0.0.1:1, SubmitTransactions" in result.stderr
    result = run("node", "sign", *wallet, "--from", other, "--to", own)
    assert result.exit_code == 2
    assert "the wallet has no account" in result.stderr
    assert own in run("node", "account", *wallet).stdout


def test_a_genesis_of_balances(run, tmp_path):
    rich, poor = "aa" * 20, "0x" + "bb" * 20
    file = tmp_path / "genesis.work"
    result = run("node", "genesis", file, "--credit", f"{rich}={1 << 200}", "--credit", f"{poor}=7", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["genesis_hash"] == file.read_bytes()[-32:].hex()
    with FullNode(tmp_path / "node", file, EngineConfig()) as node:
        assert node.number == 0
        assert node.engine.account(bytes.fromhex(rich)) == (0, 1 << 200)
        assert node.engine.account(b"\xbb" * 20) == (0, 7)
    for wrong in (rich, f"{rich}=-1", f"{rich}={1 << 256}", "aa=1"):
        result = run("node", "genesis", tmp_path / "other", "--credit", wrong)
        assert result.exit_code == 2
        assert "argument 'credit'" in result.stderr


def test_a_signal_ends_it_in_order_and_it_goes_on(tmp_path, chain):
    last = chain / file_name(LAST)
    data = last.read_bytes()
    last.unlink()
    serving = [*options_of(tmp_path, chain), "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    with process(*serving) as (child, ready):
        assert (ready["tier"], ready["role"], ready["number"]) == ("L2", "full", 0)
        with Upstream(ready["grpc"]) as upstream:
            while upstream.get_status().number < LAST - 1:
                pass
            root = upstream.call("GetBlock", pb.GetBlockRequest(number=3)).state_root
            assert root == sequential_roots(NAME, **SMALL)[2]
        for page, words in (("/readyz", "ready"), ("/metrics", "vm_routing_fast_total"), ("/", "<html")):
            with urllib.request.urlopen(f"http://{ready['http']}{page}", timeout=PATIENCE) as answer:
                assert words in answer.read().decode()
        child.send_signal(signal.SIGTERM)
        _, errors = child.communicate(timeout=PATIENCE)
        assert child.returncode == 0, errors
        assert f"stopped after block {LAST - 1}" in errors
    last.write_bytes(data)
    with process(*options_of(tmp_path, chain, "--until", LAST)) as (child, outcome):
        assert (outcome["number"], outcome["blocks"]) == (LAST, 1)
        assert outcome["state_root"] == sequential_roots(NAME, **SMALL)[-1].hex()
        assert child.wait(60) == 0
