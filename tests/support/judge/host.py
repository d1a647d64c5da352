# SPDX-License-Identifier: GPL-3.0-or-later
"""The host functions, one method each: pointers first, then the price, then the deed.

Every method takes the guest's memory and the parameters as unsigned numbers, and returns the wasm result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from judge import cryptography, precompiles, rules
from judge.rules import ACCOUNT, PRICES, STORAGE, Reason
from judge.view import View


class HostTrap(Exception):
    """A host function stopped the call."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.name)
        self.reason = reason


class Memory(Protocol):
    """The guest's exported memory during one host call."""

    def size(self) -> int: ...
    def read(self, pointer: int, length: int) -> bytes: ...
    def write(self, pointer: int, data: bytes) -> None: ...


@dataclass(frozen=True)
class Surroundings:
    """What a call can ask about itself and its block."""

    block_number: int
    timestamp: int
    caller: bytes
    contract: bytes
    value: int
    input: bytes
    gas_limit: int
    intrinsic: int


def _within(memory: Memory, *ranges: tuple[int, int]) -> None:
    if any(pointer + length > memory.size() for pointer, length in ranges):
        raise HostTrap(Reason.BAD_POINTER)


class Host:
    """The host's side of one call."""

    def __init__(self, view: View, around: Surroundings) -> None:
        self._view = view
        self._around = around
        self._held: bytes | None = None
        self.spent = 0
        self.output = b""
        self.events: list[bytes] = []

    def _charge(self, function: str, size: int = 0) -> None:
        price, per_byte = PRICES[function]
        self._spend(price + per_byte * size)

    def _spend(self, gas: int) -> None:
        self.spent += gas
        if self._around.intrinsic + self.spent > self._around.gas_limit:
            raise HostTrap(Reason.OUT_OF_GAS)

    def _touch(self, key: bytes) -> None:
        if not self._view.has_room(key):
            raise HostTrap(Reason.LIMIT_EXCEEDED)
        self._view.touched.add(key)

    def _stored(self, key: bytes) -> bytes | None:
        state_key = STORAGE + self._around.contract + key
        self._touch(state_key)
        return self._view.get(state_key)

    def _balance(self, address: bytes) -> int:
        self._touch(ACCOUNT + address)
        return self._view.account(address)[1]

    # storage_api

    def storage_get(self, memory: Memory, key_ptr: int, key_len: int) -> int:
        _within(memory, (key_ptr, key_len))
        self._charge("storage_get", key_len)
        if key_len > rules.MOST_KEY_BYTES:
            return -1
        value = self._stored(memory.read(key_ptr, key_len)) or b""
        self._spend(PRICES["storage_get"][1] * len(value))
        self._held = value
        return len(value)

    def storage_has(self, memory: Memory, key_ptr: int, key_len: int) -> int:
        _within(memory, (key_ptr, key_len))
        self._charge("storage_has", key_len)
        if key_len > rules.MOST_KEY_BYTES:
            return -1
        return int(self._stored(memory.read(key_ptr, key_len)) is not None)

    def storage_read_value(self, memory: Memory, ptr: int, length: int) -> int:
        _within(memory, (ptr, length))
        copied = (self._held or b"")[:length]
        self._charge("storage_read_value", len(copied))
        if self._held is None:
            raise HostTrap(Reason.NO_HELD_VALUE)
        memory.write(ptr, copied)
        return len(copied)

    def storage_set(self, memory: Memory, key_ptr: int, key_len: int, value_ptr: int, value_len: int) -> int:
        _within(memory, (key_ptr, key_len), (value_ptr, value_len))
        self._charge("storage_set", key_len + value_len)
        if key_len > rules.MOST_KEY_BYTES or value_len > rules.MOST_VALUE_BYTES:
            raise HostTrap(Reason.LIMIT_EXCEEDED)
        key, value = memory.read(key_ptr, key_len), memory.read(value_ptr, value_len)
        state_key = STORAGE + self._around.contract + key
        self._spend(rules.growth_gas(state_key, self._stored(key), value))
        self._view.set(state_key, value)
        return 0

    def storage_delete(self, memory: Memory, key_ptr: int, key_len: int) -> int:
        _within(memory, (key_ptr, key_len))
        self._charge("storage_delete", key_len)
        if key_len > rules.MOST_KEY_BYTES:
            raise HostTrap(Reason.LIMIT_EXCEEDED)
        state_key = STORAGE + self._around.contract + memory.read(key_ptr, key_len)
        self._touch(state_key)
        self._view.set(state_key, None)
        return 0

    # chain_api

    def block_number(self, memory: Memory) -> int:
        self._charge("block_number")
        return self._around.block_number

    def timestamp(self, memory: Memory) -> int:
        self._charge("timestamp")
        return self._around.timestamp

    def caller(self, memory: Memory, out_ptr: int) -> int:
        return self._tell("caller", memory, out_ptr, self._around.caller)

    def self_address(self, memory: Memory, out_ptr: int) -> int:
        return self._tell("self_address", memory, out_ptr, self._around.contract)

    def value(self, memory: Memory, out_ptr: int) -> int:
        return self._tell("value", memory, out_ptr, self._around.value.to_bytes(32, "big"))

    def _tell(self, function: str, memory: Memory, out_ptr: int, answer: bytes) -> int:
        _within(memory, (out_ptr, len(answer)))
        self._charge(function)
        memory.write(out_ptr, answer)
        return 0

    def input_len(self, memory: Memory) -> int:
        self._charge("input_len")
        return len(self._around.input)

    def input_read(self, memory: Memory, ptr: int, offset: int, length: int) -> int:
        _within(memory, (ptr, length))
        copied = self._around.input[offset : offset + length]
        self._charge("input_read", len(copied))
        memory.write(ptr, copied)
        return len(copied)

    def set_output(self, memory: Memory, ptr: int, length: int) -> int:
        _within(memory, (ptr, length))
        self._charge("set_output", length)
        if length > rules.MOST_OUTPUT_BYTES:
            raise HostTrap(Reason.LIMIT_EXCEEDED)
        self.output = memory.read(ptr, length)
        return 0

    def balance(self, memory: Memory, addr_ptr: int, out_ptr: int) -> int:
        _within(memory, (addr_ptr, 20), (out_ptr, 32))
        self._charge("balance")
        memory.write(out_ptr, self._balance(memory.read(addr_ptr, 20)).to_bytes(32, "big"))
        return 0

    def transfer(self, memory: Memory, to_ptr: int, amount_ptr: int) -> int:
        _within(memory, (to_ptr, 20), (amount_ptr, 32))
        self._charge("transfer")
        to, amount = memory.read(to_ptr, 20), int.from_bytes(memory.read(amount_ptr, 32), "big")
        if not amount:
            return 0
        if self._balance(self._around.contract) < amount:
            return -1
        self._touch(ACCOUNT + to)
        if to != self._around.contract:
            self._spend(rules.growth_gas(ACCOUNT + to, self._view.get(ACCOUNT + to), bytes(40)))
        self._view.add(self._around.contract, -amount)
        self._view.add(to, amount)
        return 0

    def emit_event(self, memory: Memory, ptr: int, length: int) -> int:
        _within(memory, (ptr, length))
        self._charge("emit_event", length)
        total = sum(len(event) for event in self.events) + length
        if len(self.events) + 1 > rules.MOST_EVENTS or total > rules.MOST_EVENT_BYTES:
            raise HostTrap(Reason.LIMIT_EXCEEDED)
        self.events.append(memory.read(ptr, length))
        return 0

    def events_len(self, memory: Memory) -> int:
        self._charge("events_len")
        return len(self.events)

    def read_event(self, memory: Memory, index: int, ptr: int, length: int) -> int:
        _within(memory, (ptr, length))
        event = self.events[index] if index < len(self.events) else None
        copied = (event or b"")[:length]
        self._charge("read_event", len(copied))
        if event is None:
            raise HostTrap(Reason.EVENT_INDEX)
        memory.write(ptr, copied)
        return len(copied)

    # crypto_api

    def sha256(self, memory: Memory, ptr: int, length: int, out_ptr: int) -> int:
        _within(memory, (ptr, length), (out_ptr, 32))
        self._charge("sha256", length)
        memory.write(out_ptr, cryptography.sha256(memory.read(ptr, length)))
        return 0

    def keccak256(self, memory: Memory, ptr: int, length: int, out_ptr: int) -> int:
        _within(memory, (ptr, length), (out_ptr, 32))
        self._charge("keccak256", length)
        memory.write(out_ptr, cryptography.keccak256(memory.read(ptr, length)))
        return 0

    def derive_eth_address(self, memory: Memory, pubkey_ptr: int, pubkey_len: int, out_ptr: int) -> int:
        _within(memory, (pubkey_ptr, pubkey_len), (out_ptr, 20))
        self._charge("derive_eth_address")
        address = cryptography.eth_address(memory.read(pubkey_ptr, pubkey_len))
        if address is None:
            return -1
        memory.write(out_ptr, address)
        return 0

    def verify_ed25519(
        self, memory: Memory, msg_ptr: int, msg_len: int, sig_ptr: int, pubkey_ptr: int
    ) -> int:
        _within(memory, (msg_ptr, msg_len), (sig_ptr, 64), (pubkey_ptr, 32))
        self._charge("verify_ed25519", msg_len)
        message, signature = memory.read(msg_ptr, msg_len), memory.read(sig_ptr, 64)
        return cryptography.verify_ed25519(message, signature, memory.read(pubkey_ptr, 32))

    def verify_secp256k1(
        self, memory: Memory, digest_ptr: int, sig_ptr: int, pubkey_ptr: int, pubkey_len: int
    ) -> int:
        _within(memory, (digest_ptr, 32), (sig_ptr, 64), (pubkey_ptr, pubkey_len))
        self._charge("verify_secp256k1")
        digest, signature = memory.read(digest_ptr, 32), memory.read(sig_ptr, 64)
        return cryptography.verify_secp256k1(digest, signature, memory.read(pubkey_ptr, pubkey_len))

    def recover_secp256k1_pubkey(self, memory: Memory, digest_ptr: int, sig_ptr: int, out_ptr: int) -> int:
        _within(memory, (digest_ptr, 32), (sig_ptr, 65), (out_ptr, 65))
        self._charge("recover_secp256k1_pubkey")
        key = cryptography.recover_secp256k1(memory.read(digest_ptr, 32), memory.read(sig_ptr, 65))
        if key is None:
            return -1
        memory.write(out_ptr, key)
        return 0


def _precompile(name: str) -> Callable[[Host, Memory, int, int, int], int]:
    """The host function that is this precompiled contract."""
    function, size = precompiles.FUNCTIONS[name]
    base, each, unit = rules.PRECOMPILES[name]

    def called(self: Host, memory: Memory, in_ptr: int, in_len: int, out_ptr: int) -> int:
        _within(memory, (in_ptr, in_len), (out_ptr, size))
        self._spend(base + each * (in_len // unit))
        try:
            made = function(memory.read(in_ptr, in_len))
        except precompiles.Fails:
            return -1
        memory.write(out_ptr, made)
        return 0

    return called


for _name in precompiles.FUNCTIONS:
    setattr(Host, _name, _precompile(_name))
