# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions: every rule of validity at its edge, intrinsic gas, who pays what, authorizations."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import pytest
from evm_state import Account, EvmWorker, World, keccak256, pointers, put_world, read_world
from evm_transactions import Authorization, Transaction, transaction_columns

from supervm.engine.state.store import StateStore
from supervm.vm.evm import columns as c
from supervm.vm.evm import machine as m
from supervm.vm.evm import transaction_words as w
from supervm.vm.evm.forks import FORKS, fork_named
from supervm.vm.evm.machine import RETRY
from supervm.vm.evm.rules import MEANINGS, Rule
from supervm.vm.evm.transaction import NO_CODE, execute_system_call, execute_transaction

SENDER, TARGET, COINBASE = 0xAAA1, 0xEE, 0xC01
ETHER = 10**18
BLOB = b"\1" + bytes(31)
WORKERS: dict[str, EvmWorker] = {}


class Outcome:
    """What one transaction did to a world.

    Args:
        base_fee, blob_fee, gas_left, blobs_left: the block.
    """

    def __init__(
        self,
        fork: str,
        world: World,
        transaction: Transaction,
        *,
        base_fee: int = 0,
        blob_fee: int = 1,
        gas_left: int = 2**63 - 1,
        blobs_left: int = 99,
        small: bool = False,
    ) -> None:
        store = StateStore()
        put_world(store, world)
        worker = EvmWorker(store, fork_named(fork), small, runs=True)
        words = worker.machine.words
        worker.machine.set_value(m.COINBASE, COINBASE)
        worker.machine.set_value(m.BASE_FEE, base_fee)
        worker.machine.set_value(m.BLOB_BASE_FEE, blob_fee)
        words[m.CHAIN_ID] = 1
        words[w.BLOCK_GAS_LEFT], words[w.BLOCK_BLOBS_LEFT] = gas_left, blobs_left
        for account in world.values():
            if account.code:
                worker.add_code(account.code)
        columns = transaction_columns([transaction])
        worker.begin_commit()
        while execute_transaction(worker.address, columns.address, 0) == RETRY:
            worker.make_room()
        worker.apply()
        worker.end_commit()
        self.rule = Rule(int(columns[c.RULES][0]))
        self.success = bool(columns[c.SUCCESS][0])
        self.gas = int(columns[c.GAS_USED][0])
        self.blob_gas = int(columns[c.BLOB_GAS][0])
        self.fee = int.from_bytes(columns[c.FEES][0].tobytes(), "little")
        self.created = columns[c.CREATED][0].tobytes()
        self.world = read_world(store)
        if self.rule != Rule.VALID:
            assert self.world == world
            assert (self.success, self.gas, self.blob_gas, self.fee) == (False, 0, 0, 0)


def rich(**extra: Account) -> World:
    return {SENDER: Account(0, 2**255)}


# ---------------------------------------------------------------------------------------------------------
# Intrinsic gas

LIST = ((0x11, ()), (0x12, (1, 2, 3)))
INTRINSIC = [
    # fork, transaction, gas: Yellow Paper, appendix G, and the EIP named.
    ("Frontier", Transaction(SENDER), 21_000),
    ("Frontier", Transaction(SENDER, data=b"\0\0\1"), 21_000 + 4 * 2 + 68),
    ("Frontier", Transaction(SENDER, to=None), 21_000),
    ("Homestead", Transaction(SENDER, to=None), 53_000),  # EIP-2
    ("ConstantinopleFix", Transaction(SENDER, data=b"\1" * 9 + b"\0"), 21_000 + 9 * 68 + 4),
    ("Istanbul", Transaction(SENDER, data=b"\1" * 9 + b"\0"), 21_000 + 9 * 16 + 4),  # EIP-2028
    ("Istanbul", Transaction(SENDER, data=b"\x80\0\xff\0\0\0\0\1" + b"\0\7"), 21_000 + 4 * 16 + 6 * 4),
    ("Berlin", Transaction(SENDER, type=1, access_list=LIST), 21_000 + 2 * 2_400 + 3 * 1_900),  # EIP-2930
    ("London", Transaction(SENDER, type=2, access_list=LIST), 21_000 + 2 * 2_400 + 3 * 1_900),
    ("Paris", Transaction(SENDER, to=None, data=b"\0" * 33), 53_000 + 4 * 33),
    ("Shanghai", Transaction(SENDER, to=None, data=b"\0" * 32), 53_000 + 4 * 32 + 2),  # EIP-3860
    ("Shanghai", Transaction(SENDER, to=None, data=b"\0" * 33), 53_000 + 4 * 33 + 4),
    (
        "Prague",
        Transaction(SENDER, type=4, authorizations=(Authorization(1, None),) * 3),
        21_000 + 3 * 25_000,
    ),
]
FLOORS = [
    # EIP-7623: 10 gas a token, of which a byte that is not zero has four.
    ("Prague", Transaction(SENDER, data=b"\0" * 10 + b"\1" * 5), 21_000 + 10 * 30),
    ("Osaka", Transaction(SENDER, data=b"\1" * 100), 21_000 + 4_000),
]


@pytest.mark.parametrize(("fork", "transaction", "gas"), INTRINSIC)
def test_intrinsic_gas(fork, transaction, gas):
    if transaction.to is not None:
        assert Outcome(fork, rich(), replace(transaction, gas=gas)).gas == gas
    else:
        assert Outcome(fork, rich(), replace(transaction, gas=gas + 40_000)).rule == Rule.VALID
    assert Outcome(fork, rich(), replace(transaction, gas=gas - 1)).rule == Rule.INTRINSIC_GAS_TOO_LOW


@pytest.mark.parametrize(("fork", "transaction", "gas"), FLOORS)
def test_floor_gas(fork, transaction, gas):
    for limit in (gas, gas + 5_000):
        assert Outcome(fork, rich(), replace(transaction, gas=limit)).gas == gas
    assert Outcome(fork, rich(), replace(transaction, gas=gas - 1)).rule == Rule.FLOOR_GAS_TOO_LOW
    assert Outcome("Cancun", rich(), replace(transaction, gas=gas - 1)).rule == Rule.VALID


# ---------------------------------------------------------------------------------------------------------
# Validity

BLOBS = Transaction(SENDER, type=3, blobs=(BLOB,), blob_fee=1)
SET_CODE = Transaction(SENDER, type=4, gas=46_000, authorizations=(Authorization(1, None),))
EDGES = [
    # rule, fork, a transaction that keeps it, what breaks it, the block
    (Rule.TYPE_NOT_SUPPORTED, "Berlin", Transaction(SENDER, type=1), {"type": 2}, {}),
    (Rule.TYPE_NOT_SUPPORTED, "Shanghai", Transaction(SENDER, type=2), {"type": 3, "blobs": (BLOB,)}, {}),
    (Rule.TYPE_NOT_SUPPORTED, "Cancun", BLOBS, {"type": 4}, {}),
    (Rule.TYPE_NOT_SUPPORTED, "Osaka", Transaction(SENDER), {"type": 5}, {}),
    (Rule.TYPE_NOT_SUPPORTED, "Osaka", Transaction(SENDER), {"type": 255}, {}),
    (Rule.NONCE_TOO_HIGH, "Frontier", Transaction(SENDER), {"nonce": 1}, {}),
    (Rule.NONCE_TOO_HIGH, "Osaka", Transaction(SENDER), {"nonce": 2**64 - 2}, {}),
    (Rule.NONCE_IS_MAX, "Frontier", Transaction(SENDER), {"nonce": 2**64 - 1}, {}),
    (Rule.MAX_FEE_BELOW_BASE_FEE, "London", Transaction(SENDER, fee=7), {"fee": 6}, {"base_fee": 7}),
    (Rule.MAX_FEE_BELOW_BASE_FEE, "London", Transaction(SENDER, type=2, fee=7, priority=0), {"fee": 6},
     {"base_fee": 7}),
    (Rule.PRIORITY_ABOVE_MAX_FEE, "London", Transaction(SENDER, type=2, fee=7, priority=7), {"priority": 8}, {}),
    (Rule.INSUFFICIENT_FUNDS, "Frontier", Transaction(SENDER, value=2**255), {"value": 2**255 + 1}, {}),
    (Rule.INSUFFICIENT_FUNDS, "Frontier", Transaction(SENDER, fee=1, value=2**255 - 21_000), {"gas": 21_001}, {}),
    (Rule.INSUFFICIENT_FUNDS, "Frontier", Transaction(SENDER), {"fee": 2**256 - 1}, {}),
    (Rule.INSUFFICIENT_FUNDS, "Frontier", Transaction(SENDER), {"gas": 2**62, "fee": 2**200}, {}),
    (Rule.INSUFFICIENT_FUNDS, "London",
     Transaction(SENDER, type=2, fee=9, priority=0, value=2**255 - 9 * 21_000), {"fee": 10}, {"base_fee": 1}),
    (Rule.INSUFFICIENT_FUNDS, "Cancun", replace(BLOBS, value=2**255 - 2**17), {"value": 2**255 - 2**17 + 1}, {}),
    (Rule.INSUFFICIENT_FUNDS, "Cancun", replace(BLOBS, value=2**255 - 2**17), {"blob_fee": 2**240}, {}),
    (Rule.GAS_ABOVE_BLOCK, "Frontier", Transaction(SENDER, gas=30_000), {"gas": 30_001}, {"gas_left": 30_000}),
    (Rule.GAS_ABOVE_BLOCK, "Frontier", Transaction(SENDER), {"gas": 2**64 - 1}, {"gas_left": 30_000}),
    (Rule.GAS_ABOVE_CAP, "Osaka", Transaction(SENDER, gas=2**24), {"gas": 2**24 + 1}, {}),
    (Rule.GAS_ABOVE_CAP, "Osaka", Transaction(SENDER, gas=2**24), {"gas": 2**63}, {}),
    (Rule.INITCODE_TOO_LARGE, "Shanghai", Transaction(SENDER, to=None, gas=10**6, data=bytes(49_152)),
     {"data": bytes(49_153)}, {}),
    (Rule.NO_BLOBS, "Cancun", BLOBS, {"blobs": ()}, {}),
    (Rule.TOO_MANY_BLOBS, "Cancun", replace(BLOBS, blobs=(BLOB,) * 6), {"blobs": (BLOB,) * 7}, {}),
    (Rule.TOO_MANY_BLOBS, "Prague", replace(BLOBS, blobs=(BLOB,) * 9), {"blobs": (BLOB,) * 10}, {}),
    (Rule.TOO_MANY_BLOBS, "Osaka", replace(BLOBS, blobs=(BLOB,) * 6), {"blobs": (BLOB,) * 7}, {}),
    (Rule.BLOBS_ABOVE_BLOCK, "Cancun", replace(BLOBS, blobs=(BLOB,) * 2), {"blobs": (BLOB,) * 3},
     {"blobs_left": 2}),
    (Rule.BLOB_HASH_VERSION, "Cancun", replace(BLOBS, blobs=(BLOB,) * 2), {"blobs": (BLOB, bytes(32))}, {}),
    (Rule.BLOB_HASH_VERSION, "Cancun", BLOBS, {"blobs": (b"\2" + bytes(31),)}, {}),
    (Rule.BLOB_CREATION, "Cancun", BLOBS, {"to": None, "gas": 60_000}, {}),
    (Rule.BLOB_FEE_TOO_LOW, "Cancun", replace(BLOBS, blob_fee=5), {"blob_fee": 4}, {"blob_fee": 5}),
    (Rule.NO_AUTHORIZATIONS, "Prague", SET_CODE, {"authorizations": ()}, {}),
    (Rule.SET_CODE_CREATION, "Prague", SET_CODE, {"to": None, "gas": 90_000}, {}),
    (Rule.WRONG_CHAIN_ID, "Prague", Transaction(SENDER), {"rejected": int(Rule.WRONG_CHAIN_ID)}, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "fork", "good", "change", "block"), EDGES, ids=lambda value: str(value)[:40]
)
def test_rules_at_their_edges(rule, fork, good, change, block):
    assert Outcome(fork, rich(), good, **block).rule == Rule.VALID
    assert Outcome(fork, rich(), replace(good, **change), **block).rule == rule


def test_every_rule_that_is_not_the_signatures_has_an_edge_here():
    seen = {rule for rule, *_ in EDGES} | {Rule.NONCE_TOO_LOW, Rule.SENDER_HAS_CODE}
    seen |= {Rule.INTRINSIC_GAS_TOO_LOW, Rule.FLOOR_GAS_TOO_LOW}
    assert seen | {Rule.VALID, Rule.INVALID_SIGNATURE} == set(Rule) == set(MEANINGS)


def test_a_nonce_below_the_senders_is_too_low():
    world = {SENDER: Account(2**63 + 1, ETHER)}
    assert Outcome("Osaka", world, Transaction(SENDER, nonce=2**63 + 1)).rule == Rule.VALID
    assert Outcome("Osaka", world, Transaction(SENDER, nonce=2**63)).rule == Rule.NONCE_TOO_LOW
    assert Outcome("Osaka", world, Transaction(SENDER, nonce=2**63 + 2)).rule == Rule.NONCE_TOO_HIGH


@pytest.mark.parametrize(
    ("fork", "code", "rule"),
    [
        ("Frontier", b"\0", Rule.SENDER_HAS_CODE),
        ("Cancun", b"\xef\1\0" + bytes(20), Rule.SENDER_HAS_CODE),
        ("Prague", b"\xef\1\0" + bytes(19) + b"\x77", Rule.VALID),
        ("Prague", b"\xef\1\0" + bytes(19), Rule.SENDER_HAS_CODE),
        ("Prague", b"\xef\1\1" + bytes(20), Rule.SENDER_HAS_CODE),
    ],
)
def test_senders_with_code(fork, code, rule):
    """EIP-3607, and its exception of EIP-7702."""
    assert Outcome(fork, {SENDER: Account(0, ETHER, code)}, Transaction(SENDER)).rule == rule


# ---------------------------------------------------------------------------------------------------------
# Who pays what


@pytest.mark.parametrize("small", [False, True], ids=["roomy", "narrow"])
@pytest.mark.parametrize("fork", [fork.name for fork in FORKS])
def test_a_transfer_moves_value_and_fees(fork, small):
    london = fork_named(fork).number >= fork_named("London").number
    base = 7 if london else 0
    done = Outcome(
        fork,
        {SENDER: Account(5, ETHER)},
        Transaction(SENDER, TARGET, nonce=5, value=99, gas=50_000, fee=10),
        base_fee=7,
        small=small,
    )
    assert (done.rule, done.success, done.gas) == (Rule.VALID, True, 21_000)
    assert done.fee == 21_000 * (10 - base)
    assert done.world == {
        SENDER: Account(6, ETHER - 99 - 210_000),
        TARGET: Account(0, 99),
        COINBASE: Account(0, done.fee),
    }


def test_the_price_is_the_base_fee_and_the_priority_fee_at_most_the_maximum():
    for fee, priority, price in ((100, 3, 13), (12, 3, 12), (10, 0, 10), (2**256 - 1, 2**256 - 1, None)):
        world = {SENDER: Account(0, 2**255)}
        transaction = Transaction(SENDER, type=2, fee=fee, priority=priority)
        done = Outcome("London", world, transaction, base_fee=10)
        if price is None:
            assert done.rule == Rule.INSUFFICIENT_FUNDS
        else:
            assert done.world[SENDER].balance == 2**255 - 21_000 * price
            assert done.fee == 21_000 * (price - 10)


def test_blobs_are_paid_at_the_blocks_price_and_burnt():
    transaction = replace(BLOBS, blobs=(BLOB,) * 2, blob_fee=50, fee=1)
    done = Outcome("Cancun", rich(), transaction, blob_fee=3)
    assert done.blob_gas == 2 * 2**17
    assert done.world[SENDER].balance == 2**255 - 21_000 - 3 * 2 * 2**17
    assert done.world[COINBASE].balance == 21_000


@pytest.mark.parametrize("nonce", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 2**32, 2**63, 2**64 - 2])
def test_a_creation_is_at_the_address_of_sender_and_nonce(nonce):
    sender = bytes(range(20))
    size = (nonce.bit_length() + 7) // 8
    item = nonce.to_bytes(size) if 0 < nonce < 0x80 else bytes([0x80 + size]) + nonce.to_bytes(size)
    payload = b"\x94" + sender + item
    address = keccak256(bytes([0xC0 + len(payload)]) + payload)[12:]
    world = {int.from_bytes(sender): Account(nonce, ETHER)}
    done = Outcome(
        "London", world, Transaction(int.from_bytes(sender), None, nonce=nonce, gas=60_000, value=5)
    )
    assert done.created == address
    assert done.world[int.from_bytes(address)] == Account(1, 5)


def test_a_collision_takes_all_gas():
    address = int.from_bytes(keccak256(b"\xd6\x94" + SENDER.to_bytes(20) + b"\x80")[12:])
    for there in (Account(nonce=1), Account(code=b"\0"), Account(storage={5: 6}), Account(balance=7)):
        done = Outcome("London", rich() | {address: there}, Transaction(SENDER, None, gas=60_000))
        assert done.rule == Rule.VALID
        assert done.success == (there.balance == 7)
        assert done.gas == (53_000 if done.success else 60_000)
        assert done.world[SENDER].nonce == 1
        assert done.world[address] == (Account(1, 7) if done.success else there)


@pytest.mark.parametrize("empty", [TARGET, 3, COINBASE])
def test_touched_empty_accounts_are_deleted_since_spurious_dragon(empty):
    for fork, stays in (("EIP150", True), ("EIP158", False), ("Osaka", False)):
        done = Outcome(
            fork, rich() | {empty: Account(), 0x99: Account()}, Transaction(SENDER, empty, gas=70_000)
        )
        assert (empty in done.world, 0x99 in done.world) == (stays, True)
    # Before, whoever is called is there from then on.
    assert TARGET in Outcome("EIP150", rich(), Transaction(SENDER, TARGET)).world
    assert TARGET not in Outcome("EIP158", rich(), Transaction(SENDER, TARGET)).world


def test_the_touch_of_ripemd160_is_never_undone():
    """On mainnet in block 2,675,119: the call of 0x3 fails, and the empty account goes all the same."""
    world = rich() | {2: Account(), 3: Account()}
    for number, stays in ((2, True), (3, False)):
        for gas, success in ((21_599, False), (21_600, True)):
            done = Outcome("EIP158", world, Transaction(SENDER, number, gas=gas))
            assert (done.success, done.gas) == (success, gas)
            assert (number in done.world) == (stays and not success)


# ---------------------------------------------------------------------------------------------------------
# Authorizations (EIP-7702)

AUTHORITY, CODE_AT = 0xBEEF, 0xC0DE
DESIGNATOR = b"\xef\1\0" + CODE_AT.to_bytes(20)


def authorized(world: World, *authorizations: Authorization) -> Outcome:
    gas = 21_000 + 25_000 * len(authorizations)
    transaction = Transaction(SENDER, TARGET, type=4, gas=gas, authorizations=authorizations)
    return Outcome("Prague", rich() | world, transaction)


def test_an_authorization_delegates():
    done = authorized({}, Authorization(CODE_AT, AUTHORITY))
    assert done.world[AUTHORITY] == Account(1, 0, DESIGNATOR)
    assert done.gas == 46_000
    # One that is there already has half of the price back, of which a fifth of the gas at most.
    done = authorized({AUTHORITY: Account(0, 1)}, Authorization(CODE_AT, AUTHORITY))
    assert done.world[AUTHORITY] == Account(1, 1, DESIGNATOR)
    assert done.gas == 46_000 - 46_000 // 5
    done = authorized({AUTHORITY: Account(4, 0, DESIGNATOR)}, Authorization(0, AUTHORITY, nonce=4))
    assert done.world[AUTHORITY] == Account(5)
    # The sender has sent this transaction already.
    done = authorized({}, Authorization(CODE_AT, SENDER, nonce=1))
    assert done.world[SENDER].code == DESIGNATOR
    assert done.world[SENDER].nonce == 2


@pytest.mark.parametrize(
    ("there", "authorization"),
    [
        (Account(1), Authorization(CODE_AT, AUTHORITY, nonce=0)),
        (Account(1), Authorization(CODE_AT, AUTHORITY, nonce=2)),
        (Account(1), Authorization(CODE_AT, AUTHORITY, nonce=1, chain=2)),
        (Account(1), Authorization(CODE_AT, AUTHORITY, nonce=1, chain=2**64 + 1)),
        (Account(1), Authorization(CODE_AT, None, nonce=1)),
        (Account(1, 0, b"\0"), Authorization(CODE_AT, AUTHORITY, nonce=1)),
        (Account(2**64 - 1), Authorization(CODE_AT, AUTHORITY, nonce=2**64 - 1)),
    ],
)
def test_authorizations_that_are_passed_over(there, authorization):
    done = authorized({AUTHORITY: there}, authorization)
    assert done.rule == Rule.VALID
    assert done.gas == 46_000
    assert done.world[AUTHORITY] == there


def test_of_two_authorizations_the_last_counts_and_zero_names_every_chain():
    first = Authorization(0x1234, AUTHORITY, nonce=0, chain=0)
    done = authorized({}, first, Authorization(CODE_AT, AUTHORITY, nonce=1), first)
    assert done.world[AUTHORITY] == Account(2, 0, DESIGNATOR)
    assert done.gas == 96_000 - 12_500


# ---------------------------------------------------------------------------------------------------------
# Calls of the system

STORES_CALLER_AND_INPUT = bytes.fromhex("335f555f356001555f355f5260205ff3")
CONTRACT, SYSTEM = 0x5757, 2**160 - 2


def system_call(fork: str, world: World, target: int, data: bytes) -> tuple[int, bytes, World]:
    """Status, output, and the world afterwards."""
    store = StateStore()
    put_world(store, world)
    worker = EvmWorker(store, fork_named(fork), runs=True)
    for account in world.values():
        if account.code:
            worker.add_code(account.code)
    worker.begin_commit()
    _memory, (at,) = pointers(target)
    area = ctypes.create_string_buffer(data, len(data))
    while True:
        status = execute_system_call(worker.address, at, ctypes.addressof(area), len(data))
        if status != RETRY:
            break
        worker.make_room()
    words = worker.machine.words
    output = ctypes.string_at(int(words[m.RETURN_DATA]), int(words[m.RETURN_BYTES]))
    worker.apply()
    worker.end_commit()
    return int(status), output, read_world(store)


def test_the_system_calls_contracts_under_its_own_address():
    """EIP-4788: no fee, no nonce, and the caller is not there afterwards."""
    world = {CONTRACT: Account(1, 0, STORES_CALLER_AND_INPUT), 0x99: Account()}
    data = (7).to_bytes(32)
    status, output, after = system_call("Prague", world, CONTRACT, data)
    assert (status, output) == (m.SUCCESS, data)
    stored = Account(1, 0, STORES_CALLER_AND_INPUT, {0: SYSTEM, 1: 7})
    assert after == {CONTRACT: stored, 0x99: Account()}


def test_a_system_call_that_fails_or_finds_no_code_changes_nothing():
    world = {CONTRACT: Account(1, 0, bytes.fromhex("60015f555f5ffd")), 0x99: Account(0, 1)}
    assert system_call("Prague", world, CONTRACT, bytes(32)) == (m.REVERT, b"", world)
    assert system_call("Prague", world, 0x99, bytes(32))[::2] == (NO_CODE, world)
