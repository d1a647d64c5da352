# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm node` on a chain with the EVM: contracts are created and called, beside everything else, and survive kill -9."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import process
from eth_account import Account
from ethereum_mix import CONTRACTS, MONEY, address, creations, mixed, raw
from node_chains import opened, write_chain
from patience import PATIENCE

from supervm.crypto.messages import Messages
from supervm.engine.blocks.receipts import Path as Way
from supervm.engine.blocks.receipts import Receipts
from supervm.engine.config import EngineConfig
from supervm.engine.ethereum.carried import carry
from supervm.engine.workloads.run import run_workload
from supervm.kernels.threads import set_threads
from supervm.tiers.node.light_client import check_slot
from supervm.tiers.node.quick_check import account_check, most_cost, stateless_check
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.node.waiting import rows_of
from supervm.tiers.node.wallet import Wallet
from supervm.tiers.service.v1 import node_pb2 as pb
from supervm.vm.outcomes import Reason

ELSE = bytes(19) + b"\x77"


@pytest.fixture(autouse=True)
def _one_thread_afterwards():
    yield
    set_threads(1)


def told(result: Any) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def in_time(ask: Callable[[], Any], good: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """What a command says of transactions once it is good; a node that compiles kernels meanwhile lets callers wait."""
    deadline = time.monotonic() + PATIENCE
    while True:
        result = ask()
        if result.exit_code == 0 and good(found := json.loads(result.stdout)["transactions"]):
            return found
        assert time.monotonic() < deadline, result.output


def in_blocks(found: list[dict[str, Any]]) -> bool:
    return {each["state"] for each in found} == {"in block"}


def test_a_started_node_executes_ethereum_transactions(run: Any, tmp_path: Path) -> None:
    """Two wallets of ours and one of others; kill -9 and on; and a second node comes to the same from the files."""
    wallet, file, blocks = tmp_path / "wallet", tmp_path / "genesis.work", tmp_path / "blocks"
    (plain,) = told(run("node", "account", "--wallet", wallet, "--new", "--json"))["accounts"]
    made = told(run("node", "account", "--wallet", wallet, "--new", "--ethereum", "--json"))
    ours = made["accounts"][1]["address"]
    owners = [plain["address"], ours, *(address(number).hex() for number in range(3))]
    credits = [part for each in owners for part in ("--credit", f"{each}={MONEY}")]
    run("node", "genesis", file, *credits, "--evm", "osaka")
    config = tmp_path / "node.toml"
    config.write_text("[node.pack]\ntransactions = 10\nseconds = 0\n")
    blocks.mkdir()
    options = ["node", "--tier", "L2", "--genesis", file, "--blocks", blocks, "--config", config]
    serving = [*options, "--threads", 2, "--state", tmp_path / "state", "--grpc", "127.0.0.1:0"]

    def send(to: str, *encodings: bytes) -> list[dict[str, Any]]:
        """What becomes of transactions in the end."""
        texts = [f"0x{each.hex()}" for each in encodings]
        return in_time(
            lambda: run("node", "send", *texts, "--upstream", to, "--json"),
            lambda found: all(each["state"] != "waiting" for each in found),
        )

    with process(*serving) as (child, ready):
        at = ready["grpc"]
        first = [*creations(), raw(1, 0, CONTRACTS["count"]), raw(1, 1, CONTRACTS["halt"])]
        found = send(at, *first)
        assert in_blocks(found)
        assert [each["reason"] for each in found] == [None] * (len(first) - 1) + ["EVM_HALTED"]
        child.send_signal(signal.SIGKILL)
    with process(*serving) as (child, ready):
        at = ready["grpc"]
        assert ready["number"] >= found[-1]["block"]
        signing = ["node", "sign", "--wallet", wallet, "--from", ours, "--json"]
        created = told(run(*signing, "--input", "600a600c600039600a6000f3" + "5f54600101805f555f00"))
        run(*signing, "--to", created["contract"])
        run("node", "sign", "--wallet", wallet, "--from", plain["address"], "--to", ours, "--value", 5)
        replay = ["node", "replay", "--wallet", wallet, "--upstream", at, "--json"]
        in_time(lambda: run(*replay), lambda left: not left)
        last = send(at, raw(1, 2, CONTRACTS["count"]), raw(2, 0, CONTRACTS["bank"], value=9))
        assert in_blocks(last)
        slot = told(run("node", "storage", CONTRACTS["count"].hex(), 0, "--upstream", at, "--json"))
        assert slot["value"] == "0x2"
        assert told(run("node", "storage", created["contract"], "0x0", "--upstream", at, "--json"))[
            "value"
        ] == ("0x1")
        with Upstream(at) as upstream:
            kept = upstream.call("GetReceipts", pb.GetReceiptsRequest(number=last[0]["block"])).receipts
            receipt = next(each for each in _each(kept) if each.events)
            assert receipt.events == (CONTRACTS["count"] + b"\1" + bytes(12) + address(1) + (2).to_bytes(32),)
            assert receipt.path == Way.EVM
            assert check_slot(upstream, CONTRACTS["bank"], int.from_bytes(address(2))).value == 9
            assert upstream.get_accounts(CONTRACTS["bank"]).balances == (9).to_bytes(32)
        refused = send(at, raw(1, 0, CONTRACTS["count"]), raw(1, 3, CONTRACTS["count"], chainId=7))
        assert [(each["state"], each["reason"]) for each in refused] == [
            ("in block", None),
            ("refused", "WRONG_CHAIN"),
        ]
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    number = max(int(each.stem) for each in blocks.glob("*.block"))
    following = ["--threads", 1, "--grpc", "off", "--until", number, "--json"]
    ends = [
        told(run(*options, "--state", tmp_path / state, *following))["state_root"]
        for state in ("state", "other")
    ]
    assert ends[0] == ends[1]


def _each(kept: bytes) -> list[Any]:
    receipts = Receipts.from_bytes(kept)
    return [receipts[row] for row in range(len(receipts))]


def test_a_node_ends_where_one_by_one_ends(tmp_path: Path) -> None:
    """Every block from its own start of the node, on two threads."""
    workload = mixed(11, 60, 20)
    write_chain(tmp_path / "chain", workload)
    roots = [each.state_root for each in run_workload(workload, EngineConfig(mode="sequential")).results]
    for number, root in enumerate(roots, 1):
        with opened(tmp_path / "node", tmp_path / "chain", config={"threads": 2}) as node:
            node.run(until=number)
            assert (node.number, node.engine.state_root) == (number, root)


def test_the_quick_check_knows_what_a_transaction_may_cost() -> None:
    batch = carry(
        Messages.of([raw(1, 0, ELSE, value=7, gas=50_000), raw(1, 0, ELSE, gasPrice=2, gas=50_000)])
    )
    assert batch.gas_price.tolist() == [2, 2]
    cost, overflows = most_cost(batch)
    assert cost[:, 0].tolist() == [3 * 50_000 + 7, 2 * 50_000]
    assert not overflows.any()
    rows = rows_of(batch, np.full(2, 200), np.arange(2), 0.0)
    assert rows["gas"].tolist() == [50_000, 50_000]
    balances = np.tile(np.frombuffer((3 * 50_000 + 6).to_bytes(32), np.uint8), (2, 1))
    reasons = account_check(batch, np.zeros(2, np.uint8), np.zeros(2, np.uint64), balances)
    assert reasons.tolist() == [Reason.INSUFFICIENT_BALANCE, 0]


def test_an_edge_node_checks_signatures_without_knowing_the_fork() -> None:
    good = carry(Messages.of([raw(1, 0, ELSE, value=7)]))
    cases = [
        (good, Reason.NONE),
        (replace(good, sender=good.sender + 1), Reason.WRONG_SENDER),
        (replace(good, nonce=good.nonce + 1), Reason.MALFORMED_ETHEREUM),
        (carry(Messages.of([raw(1, 0, ELSE, chainId=2)])), Reason.WRONG_CHAIN),
    ]
    for batch, reason in cases:
        assert stateless_check(batch, chain_id=1).tolist() == [reason]


def test_a_wallet_signs_as_others_do(tmp_path: Path) -> None:
    with Wallet(tmp_path) as wallet:
        own = wallet.create(ethereum=True)
        to, new = (
            wallet.sign_ethereum(own, target, value=3, input=b"\1\2", gas_price=4) for target in (ELSE, None)
        )
        assert [each.nonce for each in (to, new)] == [0, 1]
        for queued in (to, new):
            encoding = _carried(queued.data)
            assert bytes.fromhex(Account.recover_transaction(encoding)[2:]) == own
            assert carry(Messages.of([encoding])).sender[0].tobytes() == own


def _carried(data: bytes) -> bytes:
    """The input of the engine's transaction, by hand."""
    size = int.from_bytes(data[109:113])
    return data[113 : 113 + size]
