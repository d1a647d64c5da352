# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm wallet` against a node whose chain has a pool: from a balance into notes, to somebody else, and out again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from node_chains import write_genesis
from patience import PATIENCE
from ringct_keys import verifier, zkey
from typer.testing import CliRunner

from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.workloads import Genesis, Parameters, Workload
from supervm.tiers import cli
from supervm.tiers.node.light_client import replay_queue
from supervm.tiers.node.upstream import Upstream
from supervm.tiers.node.wallet import OPEN, Wallet

pool_calls = pytest.importorskip("supervm.engine.workloads.pool_calls", reason="this engine has no pools")

UNIT = 10**9
MONEY = 10**15
RECIPIENT = "77" * 20


def run(*arguments, code: int = 0):
    """The JSON that a command prints."""
    ended = CliRunner().invoke(cli.app, [*map(str, arguments), "--json"])
    assert ended.exit_code == code, ended.output
    return json.loads(ended.stdout)


@pytest.fixture
def alice(tmp_path) -> tuple[str, str]:
    """A wallet and its account."""
    folder = str(tmp_path / "alice")
    [account] = run("node", "account", "--wallet", folder, "--new")["accounts"]
    return folder, account["address"]


@pytest.fixture
def node(tmp_path, alice, serve):
    """On whose chain the account has money."""
    state = Genesis(
        np.frombuffer(bytes.fromhex(alice[1]), np.uint8)[None],
        np.frombuffer(MONEY.to_bytes(32), np.uint8)[None],
        deployments=(pool_calls.deployment(),),
    )
    nothing = TransactionBatch.concatenate([])
    workload = Workload("genesis", Parameters(), state, nothing, np.zeros(1, np.int64))
    write_genesis(tmp_path / "chain", workload)
    config = {"signatures": True, "verifier": verifier()}
    return serve(tmp_path / "node", tmp_path / "chain", directory=False, pack=100, config=config)


def test_from_a_balance_to_another(tmp_path, alice, node):
    folder, account = alice
    upstream = ("--upstream", node.upstream.address)
    key = tmp_path / "ringct.zkey"
    key.write_bytes(zkey())
    pay = ("--from", account, "--key", key, "--allow-test-key")
    pool = pool_calls.deployment().address.hex()

    def scan(wallet, *more):
        return run("wallet", "scan", "--wallet", wallet, *upstream, *more)

    def settle():
        """Until a block has it, and the wallet knows; a node that has to compile takes longer than a command waits."""
        with Wallet(Path(folder)) as wallet, Upstream(node.upstream.address, PATIENCE) as patient:
            while wallet.queue(OPEN):
                replay_queue(wallet, patient)
        return scan(folder)

    own = run("wallet", "address", "--wallet", folder, "--new")["address"]
    assert run("wallet", "address", "--wallet", folder)["address"] == own
    bob, auditor = str(tmp_path / "bob"), str(tmp_path / "auditor")
    to_bob = run("wallet", "address", "--wallet", bob, "--new")["address"]
    exported = tmp_path / "view-key"
    exported.write_text(run("wallet", "export-view-key", "--wallet", folder)["view_key"] + "\n")
    assert run("wallet", "import-view-key", exported, "--wallet", auditor)["address"] == own
    for wallet in (folder, bob, auditor):
        scan(wallet, "--pool", pool)

    run("wallet", "shield", "--wallet", folder, "--amount", 100, "--fee", 1, *pay)
    assert settle()["found"] == 1
    assert run("wallet", "balance", "--wallet", folder)["available"] == 100
    supply = node.node.engine.supply
    run("wallet", "send", "--wallet", folder, "--to", to_bob, "--amount", 60, "--memo", "rent", *pay)
    found = run("wallet", "balance", "--wallet", folder)
    assert (found["available"], found["reserved"]) == (0, 100)
    settle()
    scan(bob)
    found = run("wallet", "balance", "--wallet", bob, "--notes")
    assert (found["available"], found["unit"]) == (60, str(UNIT))
    assert [(note["memo"], note["state"]) for note in found["notes"]] == [("rent", "available")]
    out = ("--to", RECIPIENT, "--amount", 30, "--fee", 2)
    [sent] = run("wallet", "unshield", "--wallet", folder, *out, *pay, *upstream)["transactions"]
    assert sent["state"] in ("sent", "in block")
    settle()
    _, balance = node.node.engine.account(bytes.fromhex(RECIPIENT))
    assert balance == 30 * UNIT
    assert node.node.engine.supply == supply
    assert run("wallet", "balance", "--wallet", folder)["available"] == 8
    assert node.node.engine.pool(bytes.fromhex(pool)).held == 68

    scan(auditor)
    found = run("wallet", "balance", "--wallet", auditor, "--notes")
    assert found["available"] == 8
    assert [note["amount"] for note in found["notes"]] == [100, 40, 8]
    seed, restored = tmp_path / "seed", str(tmp_path / "restored")
    seed.write_text(run("wallet", "export-seed", "--wallet", folder)["seed"])
    assert run("wallet", "import-seed", seed, "--wallet", restored)["address"] == own
    scan(restored, "--pool", pool)
    states = [
        [
            (note["amount"], note["state"])
            for note in run("wallet", "balance", "--wallet", each, "--notes")["notes"]
        ]
        for each in (folder, restored)
    ]
    assert states[0] == states[1]
    again = scan(folder, "--again")
    assert again["rolled_back"] == again["blocks"] == again["block"]
    assert (again["found"], run("wallet", "balance", "--wallet", folder)["available"]) == (3, 8)
    settle()
    problem = run(
        "wallet", "scan", "--wallet", str(tmp_path / "lost"), *upstream, "--pool", RECIPIENT, code=2
    )
    assert "no shielded pool stands at" in problem["error"]["message"]
    problem = run("wallet", "unshield", "--wallet", auditor, "--to", RECIPIENT, "--amount", 1, *pay, code=2)
    assert "view key" in problem["error"]["message"]
    problem = run("wallet", "send", "--wallet", folder, "--to", to_bob, "--amount", 9, *pay, code=2)
    assert "9 units are needed, and 8 are available in 1 notes" in problem["error"]["message"]
