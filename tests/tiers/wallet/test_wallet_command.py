# SPDX-License-Identifier: GPL-3.0-or-later
"""`supervm wallet` where no node is needed: keys behind a passphrase, view keys, and what it refuses."""

from __future__ import annotations

import json
import stat

import pytest
from ringct_keys import zkey
from simulated_pool import ADDRESS, CHAIN, PoolChain
from typer.testing import CliRunner

from supervm.crypto.shielded_keys import Address, Seed, ViewKey
from supervm.tiers import cli
from supervm.tiers.node.errors import UpstreamFailed, WalletError
from supervm.tiers.node.wallet import Wallet
from supervm.tiers.wallet.note_store import NoteStore
from supervm.tiers.wallet.scanning import start_following
from supervm.tiers.wallet.sealing import seal, unseal
from supervm.tiers.wallet.shielded_key import ShieldedKey

PASSPHRASE = "correct horse"


def run(*arguments, code: int = 0):
    """The JSON that a command prints."""
    ended = CliRunner().invoke(cli.app, ["wallet", *map(str, arguments), "--json"])
    assert ended.exit_code == code, ended.output
    return json.loads(ended.stdout)


@pytest.fixture
def protected(tmp_path, monkeypatch):
    monkeypatch.setenv("SUPERVM_WALLET_PASSPHRASE", PASSPHRASE)
    return tmp_path / "wallet"


def test_keys_lie_behind_the_passphrase(protected, monkeypatch):
    address = run("address", "--wallet", protected, "--new")["address"]
    view_key = ViewKey.from_text(run("export-view-key", "--wallet", protected)["view_key"])
    assert view_key.address == Address.from_text(address)
    with Wallet(protected, PASSPHRASE) as wallet:
        seed = ShieldedKey(wallet.database, PASSPHRASE).seed()
    file = protected / "wallet.sqlite"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for secret in (seed.data, view_key.viewing_secret, view_key.authority.to_bytes(32)):
        assert secret not in file.read_bytes()
    for wrong in ("", "another"):
        monkeypatch.setenv("SUPERVM_WALLET_PASSPHRASE", wrong)
        problem = run("export-view-key", "--wallet", protected, code=2)["error"]["message"]
        assert "SUPERVM_WALLET_PASSPHRASE" in problem
        assert run("address", "--wallet", protected)["address"] == address
        assert run("balance", "--wallet", protected)["available"] == 0


def test_a_second_key_is_refused(protected, monkeypatch):
    run("address", "--wallet", protected, "--new")
    assert "has a shielded key" in run("address", "--wallet", protected, "--new", code=2)["error"]["message"]


def test_accounts_and_shielded_keys_have_one_passphrase(protected, monkeypatch):
    with Wallet(protected, PASSPHRASE) as wallet:
        wallet.create()
    monkeypatch.setenv("SUPERVM_WALLET_PASSPHRASE", "another")
    assert "does not open" in run("address", "--wallet", protected, "--new", code=2)["error"]["message"]


@pytest.mark.parametrize("passphrase", ["", PASSPHRASE])
def test_sealing(passphrase):
    secret = b"s" * 32
    sealed = seal(secret, passphrase)
    assert unseal(sealed, passphrase) == secret
    assert (seal(secret, passphrase) == sealed) == (not passphrase)
    places = (0, 1, 17, len(sealed) - 1)
    spoiled = [sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :] for place in places]
    for data in (*spoiled, b"", sealed[:10]) if passphrase else (spoiled[0], b""):
        with pytest.raises(WalletError, match="does not open"):
            unseal(data, passphrase)
    with pytest.raises(WalletError, match="does not open"):
        unseal(sealed, passphrase + "x")


def test_a_wallet_without_a_key(tmp_path):
    for command in ("address", "export-view-key"):
        problem = run(command, "--wallet", tmp_path / "new", code=2)["error"]["message"]
        assert "address --new" in problem


def test_view_keys(tmp_path):
    file, seed = tmp_path / "key", Seed(b"s" * 32)
    file.write_text(seed.view_key.to_text())
    found = run("import-view-key", file, "--wallet", tmp_path / "auditor")
    assert found["address"] == seed.view_key.address.to_text()
    assert run("export-view-key", "--wallet", tmp_path / "auditor")["view_key"] == seed.view_key.to_text()
    pay = ("--from", "00" * 20, "--amount", 1, "--key", tmp_path / "none.zkey")
    for command in (("shield", *pay), ("export-seed",)):
        problem = run(*command, "--wallet", tmp_path / "auditor", code=2)["error"]["message"]
        assert "view key, which shows notes and spends none" in problem
    text = seed.view_key.to_text()
    for wrong in (text[:-1], text[:9] + ("q" if text[9] != "q" else "p") + text[10:], "svpay1lqfn3a", "é"):
        file.write_text(wrong)
        problem = run("import-view-key", file, "--wallet", tmp_path / "other", code=2)["error"]["message"]
        assert str(file) in problem
        assert text[10:40] not in problem


def test_seeds(protected, tmp_path, monkeypatch):
    """A seed makes the same wallet elsewhere; nobody gets it without the passphrase, and it replaces no key."""
    own = run("address", "--wallet", protected, "--new")["address"]
    ended = CliRunner().invoke(cli.app, ["wallet", "export-seed", "--wallet", str(protected), "--json"])
    assert "whoever has the seed spends everything" in " ".join(ended.stderr.split())
    text = json.loads(ended.stdout)["seed"]
    assert Seed.from_text(text).view_key.address.to_text() == own
    file, other = tmp_path / "seed", tmp_path / "other"
    file.write_text(text + "\n")
    assert run("import-seed", file, "--wallet", other) == {"address": own}
    assert run("export-seed", "--wallet", other)["seed"] == text
    assert Seed.from_text(text).data not in (other / "wallet.sqlite").read_bytes()
    assert "has a shielded key" in run("import-seed", file, "--wallet", other, code=2)["error"]["message"]
    third = tmp_path / "third"
    wrong_ones = (
        text[:-1],
        text[:9] + ("q" if text[9] != "q" else "p") + text[10:],
        own,
        "svseed1lqfn3a",
        "é",
    )
    for wrong in wrong_ones:
        file.write_text(wrong)
        problem = run("import-seed", file, "--wallet", third, code=2)["error"]["message"]
        assert str(file) in problem
        assert text[10:40] not in problem
    assert "address --new" in run("export-seed", "--wallet", third, code=2)["error"]["message"]
    monkeypatch.setenv("SUPERVM_WALLET_PASSPHRASE", "another")
    problem = run("export-seed", "--wallet", protected, code=2)["error"]["message"]
    assert "SUPERVM_WALLET_PASSPHRASE" in problem


def test_a_seed_and_the_passphrase_of_accounts(protected, tmp_path, monkeypatch):
    with Wallet(protected, PASSPHRASE) as wallet:
        wallet.create()
    file = tmp_path / "seed"
    file.write_text(Seed(b"s" * 32).to_text())
    monkeypatch.setenv("SUPERVM_WALLET_PASSPHRASE", "another")
    problem = run("import-seed", file, "--wallet", protected, code=2)["error"]["message"]
    assert "does not open" in problem


def test_a_payment_whose_upstream_does_not_answer_stays_queued(tmp_path, monkeypatch):
    """And it says so, lest it is paid again."""
    folder, key = tmp_path / "wallet", tmp_path / "ringct.zkey"
    key.write_bytes(zkey())
    run("address", "--wallet", folder, "--new")
    with Wallet(folder) as wallet:
        account = wallet.create().hex()
        start_following(NoteStore(wallet.database), PoolChain(), ADDRESS, CHAIN)

    def silent(*_):
        raise UpstreamFailed("nowhere:1", "SubmitTransactions", "UNAVAILABLE", "nobody is there")

    monkeypatch.setattr("supervm.tiers.commands.wallet.replay_queue", silent)
    pay = ("--from", account, "--amount", 5, "--key", key, "--upstream", "nowhere:1")
    ended = CliRunner().invoke(
        cli.app, ["wallet", "shield", "--wallet", str(folder), *map(str, pay), "--allow-test-key"]
    )
    assert ended.exit_code == 3
    assert "do not pay it another time" in " ".join(ended.stderr.split())
    with Wallet(folder) as wallet:
        assert len(wallet.queue()) == 1
    problem = run("shield", "--wallet", folder, *pay, code=2)["error"]["message"]
    assert "test" in problem
