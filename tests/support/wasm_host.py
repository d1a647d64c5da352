# SPDX-License-Identifier: GPL-3.0-or-later
"""Contracts on wasmtime's ordinary Python API, with host functions over Python dictionaries.

Slow and plain: what `docs/execution-rules.md` says of each host function, written once more for tests to compare with.
Prices of host functions are not charged; fuel is counted, and so is every host call.
"""

from __future__ import annotations

import atexit
import hashlib
from dataclasses import dataclass, field

import coincurve
import nacl.exceptions
import nacl.signing
import wasmtime
from Crypto.Hash import keccak

from supervm.vm.config import make_config
from supervm.vm.instrument import DEPTH_EXPORT, instrument
from supervm.vm.interface import HOST_FUNCTIONS
from supervm.vm.limits import CALL_DEPTH, EVENT_BYTES, EVENTS, KEY_BYTES, OUTPUT_BYTES, VALUE_BYTES
from supervm.vm.module import I64
from supervm.vm.outcomes import Reason
from supervm.vm.validation import inspect

MOST = 2**256 - 1
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ENGINE = wasmtime.Engine(make_config(instances=256))
atexit.register(ENGINE.close)  # wasmtime-py cannot free it once the interpreter takes its modules apart
TRAPS = {
    wasmtime.TrapCode.OUT_OF_FUEL: Reason.OUT_OF_GAS,
    wasmtime.TrapCode.UNREACHABLE: Reason.UNREACHABLE,
    wasmtime.TrapCode.MEMORY_OUT_OF_BOUNDS: Reason.MEMORY_OUT_OF_BOUNDS,
    wasmtime.TrapCode.STACK_OVERFLOW: Reason.STACK_OVERFLOW,
    wasmtime.TrapCode.INTEGER_OVERFLOW: Reason.INTEGER_OVERFLOW,
    wasmtime.TrapCode.INTEGER_DIVISION_BY_ZERO: Reason.DIVISION_BY_ZERO,
    wasmtime.TrapCode.BAD_CONVERSION_TO_INTEGER: Reason.BAD_CONVERSION,
    wasmtime.TrapCode.TABLE_OUT_OF_BOUNDS: Reason.INDIRECT_CALL,
    wasmtime.TrapCode.INDIRECT_CALL_TO_NULL: Reason.INDIRECT_CALL,
    wasmtime.TrapCode.BAD_SIGNATURE: Reason.INDIRECT_CALL,
}


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def address(number: int) -> bytes:
    """An address for tests: 20 bytes that end in this number."""
    return number.to_bytes(20, "big")


def word(number: int, size: int = 32) -> bytes:
    return number.to_bytes(size, "big")


@dataclass
class Outcome:
    """What a call came to: the reason, the returned number, output, events, fuel, names of the host calls."""

    reason: Reason
    returned: int | None
    output: bytes
    events: list[bytes]
    fuel: int
    calls: list[str]

    @property
    def ok(self) -> bool:
        return self.reason == Reason.NONE


class Stop(Exception):
    """A host function that traps."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.name)
        self.reason = reason


@dataclass
class Host:
    """One contract, its storage, everybody's balances, and the block around it."""

    code: bytes
    me: bytes = address(0xC0DE)
    storage: dict[bytes, bytes] = field(default_factory=dict)
    balances: dict[bytes, int] = field(default_factory=dict)
    number: int = 1
    time: int = 1_000
    instrumented: bool = True

    def __post_init__(self) -> None:
        info = inspect(self.code)
        self.module = wasmtime.Module(ENGINE, instrument(self.code, info) if self.instrumented else self.code)

    def call(
        self, entry: str, data: bytes = b"", *, caller: bytes = address(1), value: int = 0, fuel: int = 10**9
    ) -> Outcome:
        """Run an entry point on a fresh instance; storage and balances are put back unless it succeeds."""
        before = dict(self.storage), dict(self.balances)
        if value:
            self.balances[caller] -= value
            self.balances[self.me] = self.balances.get(self.me, 0) + value
        run = Run(self, caller, value, data)
        try:
            outcome = run.entry(entry, fuel)
        finally:
            run.store.close()  # or its place in the pool stays taken until a garbage collection
        if not outcome.ok:
            self.storage, self.balances = before
            outcome.events, outcome.output = [], b""
        return outcome


class Run:
    """One call: the instance and what the host functions keep for it."""

    def __init__(self, host: Host, caller: bytes, value: int, data: bytes) -> None:
        self.host, self.sender, self.amount, self.data = host, caller, value, data
        self.held: bytes | None = None
        self.output = b""
        self.events: list[bytes] = []
        self.calls: list[str] = []
        self.stopped: Reason | None = None
        self.store = wasmtime.Store(ENGINE)
        linker = wasmtime.Linker(ENGINE)
        imported = inspect(host.code).imports
        for function in HOST_FUNCTIONS:
            if (function.module, function.name) not in imported:
                continue
            kind = wasmtime.FuncType(
                [wasmtime.ValType.i32()] * len(function.parameters),
                [wasmtime.ValType.i64() if function.result == I64 else wasmtime.ValType.i32()],
            )
            linker.define_func(function.module, function.name, kind, self._bound(function.name))
        self.store.set_fuel(10**9)  # active data segments are paid for in fuel
        self.exports = linker.instantiate(self.store, host.module).exports(self.store)

    def _bound(self, name: str):
        action = getattr(self, name)

        def bound(*arguments: int) -> int:
            self.calls.append(name)
            try:
                return action(*arguments)
            except Stop as stop:
                self.stopped = stop.reason
                raise

        return bound

    def entry(self, name: str, fuel: int) -> Outcome:
        self.store.set_fuel(fuel)
        returned = None
        try:
            returned = self.exports[name](self.store)
            reason = Reason.CONTRACT_ERROR if returned < 0 else Reason.NONE
        except wasmtime.Trap as trap:
            reason = TRAPS.get(trap.trap_code, Reason.OTHER_TRAP)
            if reason == Reason.UNREACHABLE and self.depth > CALL_DEPTH:
                reason = Reason.STACK_OVERFLOW
        except Stop as stop:
            reason = stop.reason
        used = fuel - self.store.get_fuel()
        return Outcome(reason, returned, self.output, self.events, used, self.calls)

    @property
    def depth(self) -> int:
        return self.exports[DEPTH_EXPORT].value(self.store) if self.host.instrumented else 0

    def read(self, pointer: int, length: int) -> bytes:
        memory = self.exports["memory"]
        pointer, length = pointer & 0xFFFFFFFF, length & 0xFFFFFFFF
        if pointer + length > memory.data_len(self.store):
            raise Stop(Reason.BAD_POINTER)
        return bytes(memory.read(self.store, pointer, pointer + length))

    def write(self, pointer: int, content: bytes) -> None:
        self.read(pointer, len(content))
        self.exports["memory"].write(self.store, content, pointer & 0xFFFFFFFF)

    # storage_api

    def _key(self, pointer: int, length: int, strict: bool) -> bytes | None:
        key = self.read(pointer, length)
        if len(key) > KEY_BYTES:
            if strict:
                raise Stop(Reason.LIMIT_EXCEEDED)
            return None
        return key

    def storage_get(self, pointer: int, length: int) -> int:
        key = self._key(pointer, length, strict=False)
        if key is None:
            return -1
        self.held = self.host.storage.get(key, b"")
        return len(self.held)

    def storage_has(self, pointer: int, length: int) -> int:
        key = self._key(pointer, length, strict=False)
        return -1 if key is None else int(key in self.host.storage)

    def storage_read_value(self, pointer: int, length: int) -> int:
        self.read(pointer, length)
        if self.held is None:
            raise Stop(Reason.NO_HELD_VALUE)
        content = self.held[: length & 0xFFFFFFFF]
        self.write(pointer, content)
        return len(content)

    def storage_set(self, key_pointer: int, key_length: int, pointer: int, length: int) -> int:
        self.read(key_pointer, key_length)
        value = self.read(pointer, length)
        key = self._key(key_pointer, key_length, strict=True)
        if len(value) > VALUE_BYTES:
            raise Stop(Reason.LIMIT_EXCEEDED)
        self.host.storage[key] = value
        return 0

    def storage_delete(self, pointer: int, length: int) -> int:
        self.host.storage.pop(self._key(pointer, length, strict=True), None)
        return 0

    # chain_api

    def block_number(self) -> int:
        return self.host.number

    def timestamp(self) -> int:
        return self.host.time

    def caller(self, out: int) -> int:
        self.write(out, self.sender)
        return 0

    def self_address(self, out: int) -> int:
        self.write(out, self.host.me)
        return 0

    def value(self, out: int) -> int:
        self.write(out, word(self.amount))
        return 0

    def input_len(self) -> int:
        return len(self.data)

    def input_read(self, pointer: int, offset: int, length: int) -> int:
        self.read(pointer, length)
        offset, length = offset & 0xFFFFFFFF, length & 0xFFFFFFFF
        content = self.data[offset : offset + length]
        self.write(pointer, content)
        return len(content)

    def set_output(self, pointer: int, length: int) -> int:
        content = self.read(pointer, length)
        if len(content) > OUTPUT_BYTES:
            raise Stop(Reason.LIMIT_EXCEEDED)
        self.output = content
        return 0

    def balance(self, of: int, out: int) -> int:
        owner = self.read(of, 20)
        self.write(out, word(self.host.balances.get(owner, 0)))
        return 0

    def transfer(self, to: int, amount: int) -> int:
        receiver, moved = self.read(to, 20), int.from_bytes(self.read(amount, 32), "big")
        balances, me = self.host.balances, self.host.me
        if balances.get(me, 0) < moved:
            return -1
        balances[me] = balances.get(me, 0) - moved
        balances[receiver] = balances.get(receiver, 0) + moved
        return 0

    def emit_event(self, pointer: int, length: int) -> int:
        event = self.read(pointer, length)
        total = sum(map(len, self.events)) + len(event)
        if len(self.events) == EVENTS or total > EVENT_BYTES:
            raise Stop(Reason.LIMIT_EXCEEDED)
        self.events.append(event)
        return 0

    def events_len(self) -> int:
        return len(self.events)

    def read_event(self, index: int, pointer: int, length: int) -> int:
        self.read(pointer, length)
        if index & 0xFFFFFFFF >= len(self.events):
            raise Stop(Reason.EVENT_INDEX)
        content = self.events[index][: length & 0xFFFFFFFF]
        self.write(pointer, content)
        return len(content)

    # crypto_api

    def sha256(self, pointer: int, length: int, out: int) -> int:
        self.write(out, hashlib.sha256(self.read(pointer, length)).digest())
        return 0

    def keccak256(self, pointer: int, length: int, out: int) -> int:
        self.write(out, keccak256(self.read(pointer, length)))
        return 0

    def derive_eth_address(self, pointer: int, length: int, out: int) -> int:
        key = self.read(pointer, length)
        self.read(out, 20)
        if len(key) == 65 and key[0] == 4:
            key = key[1:]
        if len(key) != 64:
            return -1
        self.write(out, keccak256(key)[12:])
        return 0

    def verify_ed25519(self, pointer: int, length: int, signature: int, key: int) -> int:
        message, signed, public = self.read(pointer, length), self.read(signature, 64), self.read(key, 32)
        try:
            nacl.signing.VerifyKey(public).verify(message, signed)
        except nacl.exceptions.BadSignatureError:
            return 0
        return 1

    def verify_secp256k1(self, digest: int, signature: int, key: int, key_length: int) -> int:
        hashed, signed, public = self.read(digest, 32), self.read(signature, 64), self.read(key, key_length)
        if len(public) not in (33, 65):
            return -1
        low = int.from_bytes(signed[32:], "big") <= SECP256K1_ORDER // 2
        try:
            point = coincurve.PublicKey(public)
        except ValueError:
            return -1
        encoded = coincurve.ecdsa.cdata_to_der(coincurve.ecdsa.deserialize_compact(signed))
        return int(low and point.verify(encoded, hashed, hasher=None))

    def recover_secp256k1_pubkey(self, digest: int, signature: int, out: int) -> int:
        hashed, signed = self.read(digest, 32), self.read(signature, 65)
        self.read(out, 65)
        try:
            key = coincurve.PublicKey.from_signature_and_message(signed, hashed, hasher=None)
        except ValueError:
            return -1
        self.write(out, key.format(compressed=False))
        return 0
