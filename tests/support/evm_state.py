# SPDX-License-Identifier: GPL-3.0-or-later
"""One worker of the EVM over a store, driven from Python, and the store's EVM state as plain dicts."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from access_worker import AccessWorker
from Crypto.Hash import keccak

from supervm.crypto.messages import Messages
from supervm.engine.state.store import StateStore
from supervm.kernels.cpu.state import access_set
from supervm.vm.evm import machine as m
from supervm.vm.evm.code_store import CodeStore
from supervm.vm.evm.forks import Fork
from supervm.vm.evm.interpreter import attach
from supervm.vm.evm.machine import BUFFERS, Machine
from supervm.vm.evm.state import keys, records

ABSENT_HASH = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def _keccak_area(data: int, size: int, out: int) -> int:
    ctypes.memmove(out, keccak256(ctypes.string_at(data, size)), 32)
    return 0


KECCAK = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(_keccak_area)

PRECOMPILE_GAS = 600


def _say_nothing(machine: int, number: int, data: int, size: int, gas: int, out: int) -> int:
    return PRECOMPILE_GAS if gas >= PRECOMPILE_GAS else -1


PRECOMPILE = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_int64] * 6)(_say_nothing)
"""Stands for every precompiled contract: takes its gas and answers nothing."""


@dataclass
class Account:
    """An account as tests write it down: `storage` has no zeros."""

    nonce: int = 0
    balance: int = 0
    code: bytes = b""
    storage: dict[int, int] = field(default_factory=dict)

    def copy(self) -> Account:
        return Account(self.nonce, self.balance, self.code, dict(self.storage))


World = dict[int, Account]
"""Address → account that is there."""


def world_entries(world: World) -> dict[bytes, bytes]:
    """Keys and values of a state whose accounts are all of incarnation 0."""
    entries = {}
    for address, account in world.items():
        name = address.to_bytes(20)
        entries[bytes([keys.ACCOUNT]) + name] = account.nonce.to_bytes(8) + account.balance.to_bytes(32)
        if account.code:
            digest = keccak256(account.code)
            entries[bytes([keys.CODE_HASH]) + name] = digest
            entries[bytes([keys.CODE]) + digest] = account.code
        for slot, value in account.storage.items():
            key = bytes([keys.STORAGE]) + name + bytes(keys.INCARNATION_BYTES) + slot.to_bytes(32)
            entries[key] = value.to_bytes(32)
        if account.storage and not account.code and not account.nonce:
            entries[bytes([keys.INCARNATION]) + name] = bytes(keys.INCARNATION_BYTES) + b"\1"
    return entries


def put_world(store: StateStore, world: World) -> None:
    """Make a state the next commit of a store that has none of it."""
    entries = world_entries(world)
    numbers = store.intern(Messages.of(list(entries)).ragged)
    store.put(numbers, Messages.of(list(entries.values())).ragged, np.ones(len(entries), np.bool_))
    store.publish()


def read_world(store: StateStore) -> World:
    """The state of a store's last commit."""
    numbers = np.arange(len(store.keys))
    names = Messages(*store.keys.strings(numbers))
    values, present = store.values(numbers, store.watermark)
    entries = {
        bytes(names[number]): bytes(Messages(*values)[number])
        for number in numbers.tolist()
        if present[number]
    }
    world: World = {}
    incarnations: dict[int, bytes] = {}
    for key, value in entries.items():
        if key[0] == keys.INCARNATION:
            incarnations[int.from_bytes(key[1:21])] = value[: keys.INCARNATION_BYTES]
        if key[0] == keys.ACCOUNT:
            found = world.setdefault(int.from_bytes(key[1:21]), Account())
            found.nonce, found.balance = int.from_bytes(value[:8]), int.from_bytes(value[8:])
        if key[0] == keys.CODE_HASH:
            found = world.setdefault(int.from_bytes(key[1:21]), Account())
            found.code = entries[bytes([keys.CODE]) + value]
            assert keccak256(found.code) == value
    for key, value in entries.items():
        if key[0] != keys.STORAGE:
            continue
        address, incarnation = int.from_bytes(key[1:21]), key[21 : 21 + keys.INCARNATION_BYTES]
        if incarnations.get(address, bytes(keys.INCARNATION_BYTES)) == incarnation and any(value):
            assert address in world, hex(address)
            world[address].storage[int.from_bytes(key[-32:])] = int.from_bytes(value)
    return world


class EvmWorker:
    """A machine over the access set of a store, that grows what is full.

    Args:
        store: whose versions it reads and writes.
        fork: whose rules it follows.
        small: whether buffers hold next to nothing at first, so that everything is full sooner or later.
        runs: whether it runs code; the loop is compiled then.
    """

    def __init__(self, store: StateStore, fork: Fork, small: bool = False, runs: bool = False) -> None:
        self.store = store
        sizes: dict[str, int] = {"entries": 2, "values": 64} if small else {}
        self.access = AccessWorker(store, **sizes)
        buffers = {**BUFFERS, **records.STATE_BUFFERS}
        if small:
            buffers |= {need: _small(row) for need, row in records.STATE_BUFFERS.items()}
        self.machine = Machine(buffers)
        self._grown: list[Any] = []
        self.machine.words[m.WORKER] = self.access.address
        self.machine.words[m.KECCAK256] = ctypes.cast(KECCAK, ctypes.c_void_p).value
        self.machine.words[m.CALL_PRECOMPILE] = ctypes.cast(PRECOMPILE, ctypes.c_void_p).value
        self.machine.point(m.FORK, fork.rules)
        self.codes = CodeStore(fork)
        self.machine.words[m.CODES] = self.codes.address
        if runs:
            attach(self.machine, self.codes)

    @property
    def address(self) -> int:
        return self.machine.address

    def add_code(self, code: bytes) -> int:
        """Give the code store a code; its number."""
        digest = np.frombuffer(keccak256(code), np.uint8).reshape(1, 32)
        return int(self.codes.add([code], digest)[0])

    def begin_commit(self) -> None:
        self.access.begin_commit()
        self.access.forget_all()

    def apply(self) -> None:
        """What the transaction at work wrote becomes the newest."""
        while not self.access.apply():
            self.make_room()
        self.access.forget_all()

    def end_commit(self) -> None:
        """The commit is complete."""
        self.store.seal(self.access.again(), int(self.access.words[access_set.REPLACED]))
        self.store.publish()

    def make_room(self) -> int:
        """Grow what was full; what that was."""
        words = self.access.words
        need, amount = int(words[access_set.NEEDS]), int(words[access_set.NEEDED])
        if self.machine.grows(need):
            self.machine.grow(need, amount)
        elif need == m.NEEDS_CODES:
            self.codes.make_room(amount)
        elif need == access_set.NEEDS_KEYS:
            self.store.make_room(len(self.store.keys) // 2 + 1, amount)
        elif need == access_set.NEEDS_CELLS:
            self.store.grow_cells(amount + 256)
        elif need == access_set.NEEDS_ENTRIES:
            self._grow(access_set.ENTRIES, access_set.ENTRY_CAPACITY, access_set.ENTRY_BYTES, amount)
        elif need == access_set.NEEDS_VALUES:
            self._grow(access_set.VALUES, access_set.VALUES_CAPACITY, 1, amount)
        else:
            raise AssertionError(f"need {need} of {amount}")
        words[access_set.NEEDS] = 0
        return need

    def _grow(self, word: int, capacity: int, unit: int, amount: int) -> None:
        words = self.access.words
        words[capacity] += max(int(words[capacity]), amount)
        buffer = np.zeros(int(words[capacity]) * unit + 64, np.uint8)
        self._grown.append(buffer)
        words[word] = buffer.ctypes.data + (-buffer.ctypes.data % 64)


def _small(row: m.Buffer) -> m.Buffer:
    least = 256 if row.unit == 4 else 100 if row.unit == 1 else 1
    return m.Buffer(row.address, row.capacity, row.unit, least, row.keeps)


def pointers(*values: int) -> tuple[np.ndarray[Any, Any], list[int]]:
    """Values in memory, and the address of each."""
    data = b"".join(value.to_bytes(32, "little") for value in values)
    array = np.frombuffer(data, np.uint8).copy()
    # NumPy aligns to 16 bytes at least.
    return array, [array.ctypes.data + 32 * place for place in range(len(values))]


def value_at(address: int) -> int:
    return int.from_bytes(ctypes.string_at(address, 32), "little")


def word_at(address: int) -> int:
    return int.from_bytes(ctypes.string_at(address, 8), "little", signed=True)
