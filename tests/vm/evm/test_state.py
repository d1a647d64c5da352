# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a transaction against plain dicts, over random sequences with checkpoints, in rooms of every size."""

from __future__ import annotations

import ctypes
import random
from typing import Any

import pytest
from evm_model import Model, storage_gas
from evm_state import Account, EvmWorker, World, keccak256, pointers, put_world, read_world, value_at, word_at
from numba import njit

from supervm.engine.state.store import StateStore
from supervm.kernels.cpu.state import access_set
from supervm.vm.evm import machine as m
from supervm.vm.evm.forks import CONTRACT_NONCE, FORKS, SELFDESTRUCT_REFUND, Fork, fork_named
from supervm.vm.evm.machine import RETRY
from supervm.vm.evm.state import accounts, contracts, journal, lifecycle, logs, records, slots, transient
from supervm.vm.evm.state.storage_gas import sstore_gas
from supervm.vm.evm.words import copy_value

(
    BEGIN, CHECKPOINT, REVERT, TOUCH, ADD, TRANSFER, NONCE, CODE, NO_CODE, LOAD, STORE, WARM, WARM_SLOT,
    T_GET, T_SET, CREATE, DESTROY, LOG, EXISTS, EMPTY, LOOK, FINISH,
) = range(22)  # fmt: skip


@njit
def _on_account(machine: Any, step: Any, record: Any, a: Any, b: Any, c: Any) -> Any:
    if step == TOUCH:
        return accounts.touch(machine, record)
    if step == ADD:
        return accounts.add_balance(machine, record, a)
    if step == NONCE:
        return accounts.set_nonce(machine, record, a)
    if step == CODE:
        return accounts.set_code(machine, record, a, b)
    if step == NO_CODE:
        return accounts.remove_code(machine, record)
    if step == WARM:
        return accounts.warm_account(machine, record)
    if step == T_GET:
        transient.transient_get(machine, record, a, b)
        return 0
    if step == T_SET:
        return transient.transient_set(machine, record, a, b)
    if step == CREATE:
        return contracts.begin_create(machine, record)
    if step == LOG:
        return logs.log(machine, record, a, b, a, c)
    if step == EXISTS:
        return 1 if accounts.exists(machine, record) else 0
    if step == EMPTY:
        return 1 if accounts.is_empty(record) else 0
    if step == LOOK:
        return record
    place = slots.slot(machine, record, a)
    if place < 0:
        return place
    if step == WARM_SLOT:
        return slots.warm_slot(machine, place)
    if step == LOAD:
        copy_value(b, place + records.CURRENT)
        return 0
    gas = sstore_gas(machine, place, b)
    return gas if gas < 0 or slots.set_slot(machine, place, b) == 0 else RETRY


@njit
def take_step(machine: Any, step: Any, address: Any, a: Any, b: Any, c: Any) -> Any:
    """One operation; what it answers."""
    if step == BEGIN:
        lifecycle.begin_transaction(machine)
        return 0
    if step == CHECKPOINT:
        return journal.checkpoint(machine)
    if step == REVERT:
        journal.revert_to(machine, a)
        return 0
    if step == FINISH:
        return lifecycle.finish_transaction(machine)
    record = accounts.account(machine, address)
    if record < 0:
        return record
    if step in (TRANSFER, DESTROY):
        other = accounts.account(machine, a)
        if other < 0:
            return other
        if step == DESTROY:
            return contracts.destroy(machine, record, other)
        return accounts.transfer(machine, record, other, b)
    return _on_account(machine, step, record, a, b, c)


ADDRESSES = (3, 0xA0, 0xB1 << 152, 2**160 - 1, 0xC0FFEE, 0xDD)
KEYS = (0, 1, 2**255 + 5)
VALUES = (0, 0, 1, 2, 2**256 - 1)
AMOUNTS = (0, 1, 7, 2**200)
CODES = (b"\x60\x00", b"\x00" * 40, bytes(range(1, 200)))
COINBASE = ADDRESSES[1]


class Full(Exception):
    """There was no room: the transaction begins again."""


class Driver:
    """Runs sequences on the machine and on the model."""

    def __init__(self, fork: Fork, world: World, seed: int, small: bool) -> None:
        self.random = random.Random(seed)
        self.store = StateStore()
        put_world(self.store, world)
        self.worker = EvmWorker(self.store, fork, small)
        self.worker.machine.set_value(m.COINBASE, COINBASE)
        self.codes = [self.worker.add_code(code) for code in CODES]
        self.fork, self.world = fork, world
        self.full = 0

    def model(self) -> Model:
        fork, name = self.fork, "frontier"
        for since, eip in (("Constantinople", "1283"), ("ConstantinopleFix", "frontier"), ("Istanbul", "2200"),
                           ("Berlin", "2929"), ("London", "3529")):  # fmt: skip
            if fork.number >= fork_named(since).number:
                name = eip
        model = Model(
            self.world,
            fork.number >= fork_named("SpuriousDragon").number,
            fork.number >= fork_named("Cancun").number,
            name,
            fork[SELFDESTRUCT_REFUND],
        )
        model.warm |= {3}
        if fork.number >= fork_named("Shanghai").number:
            model.warm |= {COINBASE}
        return model

    def step(self, step: int, address: int = 0, a: int = 0, b: int = 0, c: int = 0) -> int:
        """One operation on the machine; `a` and `b` are numbers or addresses."""
        _memory, (at,) = pointers(address)
        signed = a - (a >> 63 << 64)  # a nonce may have 64 bits
        answer = int(take_step(self.worker.address, step, at, signed, b, c))
        if answer == RETRY:
            raise Full
        return answer

    def transaction(self, length: int) -> None:
        """One random transaction, from its beginning as often as something is full; it becomes part of the world."""
        seed = self.random.random()
        while True:
            try:
                model = self._attempt(random.Random(seed), length)
            except Full:
                self.full += 1
                self.worker.make_room()
                lifecycle_forget(self.worker)
                continue
            break
        self.worker.apply()
        self.world = model.finish()

    def _attempt(self, moments: random.Random, length: int) -> Model:
        model = self.model()
        marks: list[tuple[int, Any]] = []
        self.step(BEGIN)
        for _ in range(length):
            self._random_step(moments, model, marks)
        words = self.worker.machine.words
        assert words[records.REFUND] == model.refund
        assert words[records.LOG_COUNT] == len(model.logs)
        first, used = int(words[records.LOGS_FIRST]), int(words[records.LOGS_USED])
        assert ctypes.string_at(int(words[records.LOGS]) + first, used - first) == b"".join(model.logs)
        for address in ADDRESSES:
            record = self.step(LOOK, address)
            found = model.get(address)
            assert value_at(record + records.BALANCE) == found.balance
            assert word_at(record + records.NONCE) % 2**64 == found.nonce
            assert value_at(record + records.CODE_HASH) == int.from_bytes(keccak256(found.code))
        self.step(FINISH)
        return model

    def _random_step(self, moments: random.Random, model: Model, marks: list[tuple[int, Any]]) -> None:
        address, other = moments.choice(ADDRESSES), moments.choice(ADDRESSES)
        key, value, amount = moments.choice(KEYS), moments.choice(VALUES), moments.choice(AMOUNTS)
        _memory, (at_other, at_key, at_value, at_amount, out) = pointers(other, key, value, amount, 0)
        step = moments.randrange(CHECKPOINT, LOOK)
        runs = bool(model.get(address).code or model.get(address).nonce or address in model.created)
        if step == CHECKPOINT:
            marks.append((self.step(CHECKPOINT), model.checkpoint()))
        elif step == REVERT and marks:
            del marks[moments.randrange(1, len(marks) + 1) :]
            mark, copied = marks[-1]
            self.step(REVERT, a=mark)
            model.revert_to(copied)
        elif step == TOUCH:
            assert self.step(TOUCH, address) == 0
            model.touch(address)
        elif step == ADD:
            assert self.step(ADD, address, at_amount) == 0
            model.add_balance(address, amount)
        elif step == TRANSFER:
            assert self.step(TRANSFER, address, at_other, at_amount) == model.transfer(address, other, amount)
        elif step == NONCE:
            nonce = model.get(address).nonce + 1
            assert self.step(NONCE, address, nonce) == 0
            model.make(address).nonce = nonce
        elif step == CODE and runs:
            number = moments.randrange(len(CODES))
            _memory, (digest,) = pointers(int.from_bytes(keccak256(CODES[number])))
            assert self.step(CODE, address, self.codes[number], digest) == 0
            model.make(address).code = CODES[number]
        elif step == NO_CODE and model.get(address).nonce:
            assert self.step(NO_CODE, address) == 0
            model.make(address).code = b""
        elif step == LOAD:
            assert self.step(LOAD, address, at_key, out) == 0
            assert value_at(out) == model.load(address, key)
        elif step == STORE and runs:
            assert self.step(STORE, address, at_key, at_value) == model.store(address, key, value)
        elif step == WARM:
            assert self.step(WARM, address) == model.warms(address)
        elif step == WARM_SLOT:
            assert self.step(WARM_SLOT, address, at_key) == model.warms((address, key))
        elif step == T_SET:
            assert self.step(T_SET, address, at_key, at_value) == 0
            model.transient[address, key] = value
        elif step == T_GET:
            assert self.step(T_GET, address, at_key, out) == 0
            assert value_at(out) == model.transient.get((address, key), 0)
        elif step == CREATE and address not in model.created:
            assert self.step(CREATE, address) == model.create(address, self.fork[CONTRACT_NONCE])
        elif step == DESTROY and runs:
            assert self.step(DESTROY, address, at_other) == 0
            model.destroy(address, other)
        elif step == LOG:
            self._log(moments, model, address)
        elif step == EXISTS:
            assert self.step(EXISTS, address) == model.exists(address)
        elif step == EMPTY:
            assert self.step(EMPTY, address) == model.is_empty(address)

    def _log(self, moments: random.Random, model: Model, address: int) -> None:
        count, size = moments.randrange(5), moments.choice((0, 1, 33, 160))
        topics = [moments.getrandbits(256) for _ in range(5)]
        memory, places = pointers(*topics)
        # As on a stack: the first topic lies highest. The data is what lies from there on.
        data = memory.tobytes()[32 * count :][: min(size, 160 - 32 * count)]
        assert self.step(LOG, address, places[count] if count < 5 else places[4], 0, 0) == 0
        model.logs.append((0).to_bytes(8) + address.to_bytes(20))
        if count:
            size = len(data)
            assert self.step(LOG, address, places[count - 1], count, size) == 0
            found = memory.tobytes()[32 * (count - 1) :][:size]
            header = size.to_bytes(4, "little") + count.to_bytes(4, "little") + address.to_bytes(20)
            wanted = b"".join(topic.to_bytes(32) for topic in reversed(topics[:count]))
            model.logs.append(header + wanted + found)


def lifecycle_forget(worker: EvmWorker) -> None:
    """What whoever executes transactions does when there was no room."""
    worker.access.words[access_set.ENTRY_COUNT] = 0
    words = worker.machine.words
    words[records.LOGS_USED] = words[records.LOGS_FIRST]


def random_world(moments: random.Random, fork: Fork) -> World:
    world: World = {}
    for address in ADDRESSES:
        if moments.random() < 0.3:
            continue
        code = moments.choice((b"", *CODES))
        nonce = moments.choice((0, 1, 2**63 - 2)) if code or moments.random() < 0.5 else 0
        storage = {key: moments.choice(VALUES[2:]) for key in KEYS if moments.random() < 0.5}
        if not code and nonce == 0 and moments.random() < 0.7:
            storage = {}
        world[address] = Account(nonce, moments.choice(AMOUNTS), code, storage)
    return world


@pytest.mark.parametrize("small", [False, True], ids=["roomy", "narrow"])
@pytest.mark.parametrize("fork", FORKS[:18], ids=lambda fork: fork.name)
def test_random_transactions_are_those_of_the_model(fork, small):
    sequences, transactions = (3, 4) if small else (10, 6)
    for seed in range(sequences):
        moments = random.Random(f"{fork.name} {seed}")
        driver = Driver(fork, random_world(moments, fork), seed, small)
        for _ in range(transactions):
            driver.worker.begin_commit()
            for _ in range(moments.randrange(1, 3)):
                driver.transaction(moments.choice((5, 30, 80)))
            driver.worker.end_commit()
            assert read_world(driver.store) == driver.world
        assert driver.full if small else True


# Used gas and refunds that the EIPs themselves list: of two or three SSTOREs on one slot by its original value and the
# values written; four gas units of each write are PUSH1s that are counted with it.
CASES = ((0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 2), (0, 1, 1), (1, 0, 0), (1, 0, 1), (1, 0, 2), (1, 2, 0),
         (1, 2, 3), (1, 2, 1), (1, 2, 2), (1, 1, 0), (1, 1, 2), (1, 1, 1), (0, 1, 0, 1), (1, 0, 1, 0))  # fmt: skip
LISTED = {
    "Constantinople": (  # EIP-1283, Test Cases
        (412, 0), (20212, 0), (20212, 19800), (20212, 0), (20212, 0), (5212, 15000), (5212, 4800), (5212, 0),
        (5212, 15000), (5212, 0), (5212, 4800), (5212, 0), (5212, 15000), (5212, 0), (412, 0), (40218, 19800),
        (10218, 19800),
    ),
    "Istanbul": (  # EIP-2200, Test Cases
        (1612, 0), (20812, 0), (20812, 19200), (20812, 0), (20812, 0), (5812, 15000), (5812, 4200), (5812, 0),
        (5812, 15000), (5812, 0), (5812, 4200), (5812, 0), (5812, 15000), (5812, 0), (1612, 0), (40818, 19200),
        (10818, 19200),
    ),
    "London": (  # EIP-3529, With reduced refunds
        (212, 0), (20112, 0), (20112, 19900), (20112, 0), (20112, 0), (3012, 4800), (3012, 2800), (3012, 0),
        (3012, 4800), (3012, 0), (3012, 2800), (3012, 0), (3012, 4800), (3012, 0), (212, 0), (40118, 19900),
        (5918, 7600),
    ),
}  # fmt: skip
PUSHES = 6


@pytest.mark.parametrize("fork", list(LISTED))
def test_storage_gas_is_what_the_eips_list(fork):
    for (original, *writes), (gas, refund) in zip(CASES, LISTED[fork], strict=True):
        storage = {0: original} if original else {}
        driver = Driver(fork_named(fork), {1: Account(nonce=1, storage=storage)}, 0, False)
        driver.step(BEGIN)
        used = 0
        for written in writes:
            _memory, (key, value) = pointers(0, written)
            used += driver.step(STORE, 1, key, value) + PUSHES
        assert (used, int(driver.worker.machine.words[records.REFUND])) == (gas, refund), (original, writes)


@pytest.mark.parametrize("eip", ["frontier", "1283", "2200", "2929", "3529"])
def test_storage_gas_of_the_model_is_complete(eip):
    """The model itself: refunds taken back never exceed those given, so that the counter never ends below zero."""
    for original in (0, 1):
        for writes in [(a, b, c) for a in (0, 1, 2) for b in (0, 1, 2) for c in (0, 1, 2)]:
            current, refund = original, 0
            for value in writes:
                refund += storage_gas(eip, original, current, value)[1]
                current = value
            assert refund >= 0


WARM_AT_FIRST = {
    # Precompiled contracts by fork, as the EIPs place them.
    "Berlin": range(1, 10),
    "Shanghai": range(1, 10),
    "Cancun": range(1, 11),
    "Prague": range(1, 18),
    "Osaka": (*range(1, 18), 0x100),
}


@pytest.mark.parametrize("fork", list(WARM_AT_FIRST))
def test_precompiled_contracts_and_the_recipient_are_warm_from_the_beginning(fork):
    driver = Driver(fork_named(fork), {}, 0, False)
    driver.step(BEGIN)
    for address in (*range(24), 0xFF, 0x100, 0x101, 2**64 + 1, 2**159 + 1):
        assert driver.step(WARM, address) == (address not in WARM_AT_FIRST[fork]), hex(address)
    assert driver.step(WARM, COINBASE) == (fork == "Berlin")
