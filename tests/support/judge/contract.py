# SPDX-License-Identifier: GPL-3.0-or-later
"""One call of a contract: a new store, a new instance, the host functions, and what the trap was, if there was one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import wasmtime
from wasmtime import TrapCode, ValType

from judge import rules
from judge.host import Host, HostTrap
from judge.rules import Reason

LONG_RESULTS = ("storage_get", "block_number", "timestamp")
SETUP_FUEL = 10**12
"""Fuel while the instance is made; the call's own fuel replaces what is left of it."""

CONVERSIONS = (0xA8, 0xA9, 0xAA, 0xAB, 0xAE, 0xAF, 0xB0, 0xB1)
"""Opcodes of the trapping conversions. wasmtime calls their range errors integer overflows, the rules do not."""

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
    config = wasmtime.Config()
    config.consume_fuel = True
    return wasmtime.Engine(config)


class _GuestMemory:
    """The exported memory, as long as one host call lasts."""

    def __init__(self, caller: wasmtime.Caller) -> None:
        memory = caller["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self._memory, self._caller = memory, caller

    def size(self) -> int:
        return self._memory.data_len(self._caller)

    def read(self, pointer: int, length: int) -> bytes:
        return bytes(self._memory.read(self._caller, pointer, pointer + length))

    def write(self, pointer: int, data: bytes) -> None:
        if data:
            self._memory.write(self._caller, bytearray(data), pointer)


@dataclass(frozen=True)
class Ended:
    """How a call ended: `returned` counts only where the reason is NONE."""

    reason: Reason
    returned: int
    fuel: int


class Contract:
    """A deployed module: compiled once, instantiated for every call."""

    def __init__(self, code: bytes) -> None:
        self._form = code
        self._module = wasmtime.Module(_engine(), self._form)
        self.entries = frozenset(
            export.name.encode()
            for export in wasmtime.Module(_engine(), code).exports
            if _is_entry(export.type)
        )
        self._instance()

    def _instance(self, host: Host | None = None) -> tuple[wasmtime.Store, wasmtime.Instance]:
        store = wasmtime.Store(_engine())
        store.set_limits(memory_size=rules.MOST_MEMORY_BYTES)
        store.set_fuel(SETUP_FUEL)
        functions = [_function(store, entry, host) for entry in self._module.imports]
        return store, wasmtime.Instance(store, self._module, functions)

    def call(self, entry: bytes, host: Host, fuel: int) -> Ended:
        """Run an entry point on a new instance with so much fuel."""
        store, instance = self._instance(host)
        store.set_fuel(fuel)
        function = instance.exports(store)[entry.decode()]
        assert isinstance(function, wasmtime.Func)
        reason, returned = Reason.NONE, 0
        try:
            returned = function(store)
        except HostTrap as trap:
            reason = trap.reason
        except wasmtime.Trap as trap:
            reason = self._reason(trap)
        if returned < 0:
            reason = Reason.CONTRACT_ERROR
        return Ended(reason, returned, fuel - store.get_fuel())

    def _reason(self, trap: wasmtime.Trap) -> Reason:
        code = trap.trap_code
        if code is TrapCode.INTEGER_OVERFLOW and self._form[trap.frames[0].module_offset] in CONVERSIONS:
            return Reason.BAD_CONVERSION
        return Reason.OTHER_TRAP if code is None else REASONS.get(code, Reason.OTHER_TRAP)


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
