# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads: the same for the same seed, as hot as asked, and running through in block order in plain Python."""

from __future__ import annotations

import builtins
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wasm_host import Host

from supervm.engine.arrays.ranks import ranks_within
from supervm.engine.blocks.authentication import authenticate
from supervm.engine.errors import MissingPackage
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.workloads import NAMES, Keys, Parameters, Workload, generate, mainnet
from supervm.engine.workloads.generate import MIXED
from supervm.engine.workloads.traffic import passed_on
from supervm.kernels.errors import ArgumentError
from supervm.vm import contracts

ROOT = Path(__file__).resolve().parents[3]
BLOCKS = sorted((ROOT / "benchmarks" / "data" / "ethereum").iterdir(), key=lambda path: int(path.name))
SMALL = Parameters(
    transactions=400,
    accounts=30,
    hot_keys=3,
    hot_share=0.4,
    block_size=150,
    seed=5,
    declared=True,
    object_share=0.25,
)


class Tracked(dict):  # type: ignore[type-arg]
    """Storage that notes which keys are asked for and set."""

    def __init__(self, entries: dict[bytes, bytes]) -> None:
        super().__init__(entries)
        self.asked: set[bytes] = set()
        self.put: set[bytes] = set()

    def get(self, key: bytes, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.put.add(key)
        super().__setitem__(key, value)


class Chain:
    """The rules of execution for what workloads contain, one transaction after the other; no gas is charged."""

    def __init__(self, workload: Workload) -> None:
        genesis = workload.genesis
        self.balances: Counter[bytes] = Counter()
        for owner, amount in zip(genesis.addresses, genesis.balances, strict=True):
            assert owner.tobytes() not in self.balances
            self.balances[owner.tobytes()] = int.from_bytes(amount.tobytes(), "big")
        self.nonces: Counter[bytes] = Counter()
        self.objects = {
            item.tobytes(): owner.tobytes()
            for item, owner in zip(genesis.object_ids, genesis.object_owners, strict=True)
        }
        assert not genesis.object_kinds.any()
        self.hosts = {
            each.address: Host(contracts.load(each.contract), me=each.address) for each in genesis.deployments
        }
        stored: dict[bytes, dict[bytes, bytes]] = {address: {} for address in self.hosts}
        for i in range(len(genesis.keys)):
            key = genesis.keys[i]
            assert key[:1] == b"\x01"
            assert key[21:] not in stored[key[1:21]]
            stored[key[1:21]][key[21:]] = genesis.values[i]
        for address, host in self.hosts.items():
            host.storage = Tracked(stored[address])
        self.short_of_money = 0

    def run(self, batch: TransactionBatch, i: int) -> tuple[set[bytes], set[bytes]]:
        """Execute a transaction, which must succeed; what it read and wrote."""
        sender, to = batch.sender[i].tobytes(), batch.to[i].tobytes()
        value = int.from_bytes(batch.value[i].tobytes(), "big")
        assert batch.nonce[i] == self.nonces[sender]
        cost = value + int(batch.gas_limit[i]) * int(batch.gas_price[i])
        if self.balances[sender] < cost:
            self.short_of_money += 1
            return set(), set()
        self.nonces[sender] += 1
        self.balances[sender] -= cost
        self.balances[to] += value
        entry = batch.entry[i]
        if not entry:
            touched = {b"\0" + sender, b"\0" + to}
            for k in range(batch.object_offsets[i], batch.object_offsets[i + 1]):
                item = batch.object_ids[k].tobytes()
                assert self.objects[item] == sender
                self.objects[item] = to
                touched.add(b"\x03" + item)
            return touched, touched
        assert value == 0
        host = self.hosts[to]
        storage: Any = host.storage
        storage.asked, storage.put = set(), set()
        outcome = host.call(entry.decode(), batch.input[i], caller=sender)
        assert outcome.ok, (entry, outcome)
        reads = {b"\0" + sender, b"\x02" + to} | {b"\x01" + to + key for key in storage.asked}
        return reads, {b"\0" + sender} | {b"\x01" + to + key for key in storage.put}


def declared(batch: TransactionBatch, i: int) -> tuple[set[bytes], set[bytes]]:
    reads = [batch.read_keys[k] for k in range(batch.read_offsets[i], batch.read_offsets[i + 1])]
    writes = [batch.write_keys[k] for k in range(batch.write_offsets[i], batch.write_offsets[i + 1])]
    assert len(set(reads)) == len(reads)
    assert len(set(writes)) == len(writes)
    return set(reads), set(writes)


@pytest.mark.parametrize("name", NAMES)
def test_every_transaction_succeeds_and_declares_what_it_touches(name: str) -> None:
    workload = generate(name, SMALL)
    chain = Chain(workload)
    sizes = []
    for block in workload.blocks:
        sizes.append(len(block))
        block.check()
        for i in range(len(block)):
            assert block.declared[i]
            assert declared(block, i) == chain.run(block, i)
    assert sizes == [150, 150, 100]
    assert len(workload) == 3
    assert not chain.short_of_money


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_workloads(name: str) -> None:
    first = generate(name, SMALL)
    assert first.equals(generate(name, SMALL))
    assert not first.equals(generate(name, replace(SMALL, seed=6)))
    plain = generate(name, replace(SMALL, declared=False))
    assert not plain.transactions.declared.any()
    assert len(plain.transactions.read_keys) == len(plain.transactions.write_keys) == 0
    assert np.array_equal(plain.transactions.sender, first.transactions.sender)
    assert plain.genesis.equals(first.genesis)


@pytest.mark.parametrize(("share", "hot"), [(0.0, 0), (0.3, 1), (0.3573, 7), (1.0, 2)])
def test_hot_accounts_have_their_share(share: float, hot: int) -> None:
    parameters = Parameters(transactions=3_000, accounts=200, hot_keys=hot, hot_share=share, seed=1)
    wanted = round(3_000 * share)
    for name in ("transfers", "token"):
        workload = generate(name, parameters)
        batch, addresses = workload.transactions, workload.genesis.addresses
        hottest = {row.tobytes() for row in addresses[:hot]}
        senders = [row.tobytes() for row in batch.sender]
        to = [row.tobytes() for row in batch.to]
        recipients = to if name == "transfers" else [batch.input[i][:20] for i in range(len(batch))]
        assert not [a for a, b in zip(senders, recipients, strict=True) if a == b]
        sends = sum(sender in hottest for sender in senders)
        receives = sum(recipient in hottest for recipient in recipients)
        assert sends + receives == wanted
        if wanted:
            assert 0.4 < sends / wanted < 0.6
        assert set(senders) | set(recipients) <= {row.tobytes() for row in addresses}
    batch = generate("nft", parameters).transactions
    items = Counter(batch.input[i][20:] for i in range(len(batch)))
    assert sum(count for _, count in items.most_common(hot)) == pytest.approx(wanted, abs=60 * hot)
    workload = generate("amm", parameters)
    hottest = {row.tobytes() for row in workload.genesis.addresses[:hot]}
    assert sum(row.tobytes() in hottest for row in workload.transactions.sender) == wanted


def test_shares_of_mixed() -> None:
    workload = generate("mixed", replace(SMALL, transactions=1_003))
    batch = workload.transactions
    by_address = {each.address: each.contract for each in workload.genesis.deployments}
    counts = Counter(by_address.get(row.tobytes(), "transfers") for row in batch.to)
    assert sum(MIXED.values()) == pytest.approx(1)
    assert counts == {"transfers": 402, "token": 401, "nft": 100, "amm": 100}
    calls = (np.diff(batch.entry.offsets) > 0).astype(int)
    assert np.abs(np.diff(calls)).sum() > 300, "kinds are at random places"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [0, 1])
def test_few_transactions(name: str, count: int) -> None:
    workload = generate(name, replace(SMALL, transactions=count))
    assert len(workload.transactions) == sum(len(block) for block in workload.blocks) == count


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"transactions": -1}, "transactions"),
        ({"transactions": 1.5}, "transactions"),
        ({"accounts": 1}, "accounts"),
        ({"block_size": 0}, "block_size"),
        ({"hot_share": 1.1}, "hot_share"),
        ({"hot_share": float("nan")}, "hot_share"),
        ({"hot_keys": 0}, "hot_keys"),
        ({"seed": True}, "seed"),
        ({"gas_price": 1 << 32}, "gas_price"),
        ({"declared": 1}, "declared"),
        ({"hot_keys": 29}, "accounts"),
    ],
)
def test_parameters_that_are_refused(changed: dict[str, Any], name: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        generate("transfers", replace(SMALL, **changed))
    assert caught.value.argument == name


def test_more_accounts_than_the_market_has_units_for() -> None:
    with pytest.raises(ArgumentError, match="for the market"):
        generate("amm", Parameters(transactions=1, accounts=9_100_000))


def test_an_unknown_name() -> None:
    with pytest.raises(ArgumentError, match="'game'"):
        generate("game", SMALL)


def test_signed_workloads() -> None:
    seen: list[tuple[int, int]] = []
    parameters = replace(SMALL, transactions=1_200, signed=True)
    workload = generate("mixed", parameters, lambda done, of: seen.append((done, of)))
    assert seen == [(1_000, 1_200), (1_200, 1_200)]
    assert not authenticate(workload.transactions).any()
    assert workload.equals(generate("mixed", parameters))
    other = replace(workload.transactions, nonce=workload.transactions.nonce + np.uint64(1))
    assert authenticate(other).all()


def test_a_sender_without_a_key() -> None:
    keys = Keys(1, 3)
    batch = TransactionBatch.of(sender=np.zeros((2, 20), np.uint8), nonce=0, to=bytes(20))
    with pytest.raises(ArgumentError, match="00000000"):
        keys.sign(batch)
    assert len(keys.sign(batch.slice(0, 0))) == 0
    assert not np.array_equal(keys.public, Keys(2, 3).public)
    assert np.array_equal(keys.public, Keys(1, 5).public[:3])


def test_signing_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackage, match=r"'cryptography'.*pip install"):
        generate("transfers", replace(SMALL, signed=True))


@settings(max_examples=60)
@given(st.lists(st.integers(0, 5), max_size=40))
def test_ranks(groups: list[int]) -> None:
    expected = [groups[:i].count(group) for i, group in enumerate(groups)]
    assert ranks_within(np.array(groups, np.int64)).tolist() == expected


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=40))
def test_items_are_passed_on_by_who_holds_them(sent: list[tuple[int, int]]) -> None:
    items = np.array([item for item, _ in sent], np.int64)
    holders = np.array([holder for _, holder in sent], np.int64)
    recipients, first = passed_on(items, holders, np.full(len(sent), 99))
    held = {items[k]: holders[k] for k in first}
    assert sorted(held) == sorted(set(items.tolist()))
    for item, holder, recipient in zip(items, holders, recipients, strict=True):
        assert held[item] == holder
        held[item] = recipient
    assert set(held.values()) <= {99}


def test_mainnet_runs_through() -> None:
    """Every transfer of the bundled blocks succeeds, of tokens and of ether."""
    workload, left_out = mainnet(BLOCKS)
    assert len(workload) == len(BLOCKS)
    assert left_out + len(workload.transactions) == 3_207
    chain, batch = Chain(workload), workload.transactions
    assert not batch.gas_price.any()
    for i in range(len(batch)):
        chain.run(batch, i)
    assert chain.short_of_money == 0
