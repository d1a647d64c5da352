# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of a contract: a new store, a new instance, the host functions, and what the trap was, if there was one.

What is compiled is the engine's instrumented form under the engine's configuration: fuel is counted on those bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import wasmtime
from wasmtime import TrapCode, ValType

from judge import rules
from judge.host import Host, HostTrap
from judge.rules import Reason
from supervm.vm.binary import decode
from supervm.vm.config import make_config
from supervm.vm.instrument import DEPTH_EXPORT, instrument
from supervm.vm.validation import inspect

LONG_RESULTS = ("storage_get", "block_number", "timestamp")
SETUP_FUEL = 10**12
"""Fuel while the instance is made; the call's own fuel replaces what is left of it."""

EXPORTS = 7
"""Number of a module's section of exports (WebAssembly core specification, 5.5.2)."""

REASONS = {
    TrapCode.OUT_OF_FUEL: Reason.OUT_OF_GAS,
    TrapCode.UNREACHABLE: Reason.UNREACHABLE,
    TrapCode.MEMORY_OUT_OF_BOUNDS: Reason.MEMORY_OUT_OF_BOUNDS,
    TrapCode.STACK_OVERFLOW: Reason.STACK_OVERFLOW,
    TrapCode.INTEGER_OVERFLOW: Reason.INTEGER_OVERFLOW,
    TrapCode.INTEGER_DIVISION_BY_ZERO: Reason.DIVISION_BY_ZERO,
    TrapCode.BAD_CONVERSION_TO_INTEGER: Reason.BAD_CONVERSION,
    TrapCode.TABLE_OUT_OF_BOUNDS: Reason.INDIRECT_CALL,
    TrapCode.INDIRECT_CALL_TO_NULL: Reason.INDIRECT_CALL,
    TrapCode.BAD_SIGNATURE: Reason.INDIRECT_CALL,
}


@functools.cache
def _engine() -> wasmtime.Engine:
    return wasmtime.Engine(make_config())


class _GuestMemory:
    """The exported memory, as long as one host call lasts.

    It is looked up when it is asked for: no function needs it to tell the block's number.
    """

    def __init__(self, caller: wasmtime.Caller) -> None:
        self._caller = caller

    def _exported(self) -> wasmtime.Memory:
        memory = self._caller["memory"]
        assert isinstance(memory, wasmtime.Memory)
        return memory

    def size(self) -> int:
        return self._exported().data_len(self._caller)

    def read(self, pointer: int, length: int) -> bytes:
        return bytes(self._exported().read(self._caller, pointer, pointer + length))

    def write(self, pointer: int, data: bytes) -> None:
        if data:
            self._exported().write(self._caller, bytearray(data), pointer)


@dataclass(frozen=True)
class Ended:
    """How a call ended: `returned` counts only where the reason is NONE; `growth` is paid for memory that grew."""

    reason: Reason
    returned: int
    fuel: int
    growth: int


class Contract:
    """A deployed module: compiled once, instantiated for every call.

    Raises:
        ContractRejected: the module breaks a rule.
        ValueError: an active segment does not fit, so that no instance can be made.
    """

    def __init__(self, code: bytes) -> None:
        info, elements = inspect(code), decode(code).elements
        self._module = wasmtime.Module(_engine(), instrument(code, info))
        plain = wasmtime.Module(_engine(), code)
        imported = sum(isinstance(entry.type, wasmtime.FuncType) for entry in plain.imports)
        own = {name for name, index in _exported_indices(code) if index >= imported}
        self.entries = frozenset(
            export.name.encode()
            for export in plain.exports
            if _is_entry(export.type) and export.name.encode() in own
        )
        passive = [len(item.functions) for item in elements if item.place is None and not item.declared]
        set_ones = len(set(info.globals_set) & set(info.mutable_globals))
        self._facts = (len(self.entries), set_ones, len(passive), sum(passive))
        self._initial = info.memory_initial
        self._new_for_each_call = not 0 < self._initial <= rules.MOST_RESTORED_BYTES or bool(
            info.stateful & rules.NEVER_RESTORED
        )
        self.before = rules.restored_gas(set_ones)
        if self._new_for_each_call:
            self.before += rules.instance_gas(*self._facts, self._initial)
        try:
            self._instance()
        except wasmtime.Trap as trap:
            raise ValueError(f"argument 'code': no instance can be made of it: {trap.message}") from trap

    def _instance(self, host: Host | None = None) -> tuple[wasmtime.Store, wasmtime.Instance]:
        store = wasmtime.Store(_engine())
        store.set_limits(memory_size=rules.MOST_MEMORY_BYTES)
        store.set_fuel(SETUP_FUEL)
        functions = [_function(store, entry, host) for entry in self._module.imports]
        return store, wasmtime.Instance(store, self._module, functions)

    def call(self, entry: bytes, host: Host, fuel: int, most_memory: int) -> Ended:
        """Run an entry point on a new instance with so much fuel; its memory grows to so many bytes at most."""
        store, instance = self._instance(host)
        store.set_fuel(fuel)
        store.set_limits(memory_size=most_memory)
        function = instance.exports(store)[entry.decode()]
        assert isinstance(function, wasmtime.Func)
        reason, returned = Reason.NONE, 0
        try:
            returned = function(store)
        except HostTrap as trap:
            reason = trap.reason
        except wasmtime.Trap as trap:
            reason = _reason(trap, _depth(store, instance))
        if returned < 0:
            reason = Reason.CONTRACT_ERROR
        used = fuel - store.get_fuel()
        return Ended(reason, returned, used, self._growth(store, instance))

    def _growth(self, store: wasmtime.Store, instance: wasmtime.Instance) -> int:
        """What is paid at the end for a memory that is larger than it was at first."""
        memory = instance.exports(store)["memory"]
        assert isinstance(memory, wasmtime.Memory)
        size = memory.data_len(store)
        if size == self._initial:
            return 0
        paid = rules.instance_gas(*self._facts, self._initial) if self._new_for_each_call else 0
        return rules.instance_gas(*self._facts, size) - paid


def _reason(trap: wasmtime.Trap, depth: int) -> Reason:
    code = trap.trap_code
    if code is TrapCode.UNREACHABLE and depth > rules.MOST_DEPTH:
        return Reason.STACK_OVERFLOW
    return Reason.OTHER_TRAP if code is None else REASONS.get(code, Reason.OTHER_TRAP)


def _depth(store: wasmtime.Store, instance: wasmtime.Instance) -> int:
    """The counter that the instrumented form leaves above the limit where calls were nested too deep."""
    counter = instance.exports(store)[DEPTH_EXPORT]
    assert isinstance(counter, wasmtime.Global)
    return int(counter.value(store))


def _number(code: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number, and where it ends."""
    number = shift = 0
    while True:
        number |= (code[at] & 0x7F) << shift
        shift += 7
        at += 1
        if code[at - 1] < 0x80:
            return number, at


def _exported_indices(code: bytes) -> list[tuple[bytes, int]]:
    """Name and index of every exported function; wasmtime does not tell the indices."""
    at, found = 8, []
    while at < len(code):
        section = code[at]
        size, at = _number(code, at + 1)
        end = at + size
        if section == EXPORTS:
            count, at = _number(code, at)
            for _ in range(count):
                length, at = _number(code, at)
                name, kind = code[at : at + length], code[at + length]
                index, at = _number(code, at + length + 1)
                if kind == 0:
                    found.append((name, index))
        at = end
    return found


def _is_entry(kind: object) -> bool:
    return isinstance(kind, wasmtime.FuncType) and not kind.params and kind.results == [ValType.i32()]


def _function(store: wasmtime.Store, entry: wasmtime.ImportType, host: Host | None) -> wasmtime.Func:
    kind = entry.type
    assert isinstance(kind, wasmtime.FuncType)
    method: Callable[..., int] = getattr(host, str(entry.name)) if host is not None else _nobody

    def called(caller: wasmtime.Caller, *parameters: int) -> int:
        return _signed64(method(_GuestMemory(caller), *(number & 0xFFFFFFFF for number in parameters)))

    return wasmtime.Func(store, kind, called, access_caller=True)


def _nobody(*_: object) -> int:
    raise AssertionError("an instance without a host was called")


def _signed64(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number
