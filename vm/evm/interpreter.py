# SPDX-License-Identifier: GPL-3.0-or-later
"""The interpreter: the loop, compiled twice (as it is, and returning after every opcode), and the operations it calls.

Common opcodes are emitted (`handlers`), the rest are C functions in groups that are compiled apart (`operations_memory` and
its neighbours): the loop reaches them by address, so that no part is compiled again because another one changes its size.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic

from supervm.vm.evm import operations_calls, operations_memory, operations_state
from supervm.vm.evm.code_store import CodeStore
from supervm.vm.evm.compiled import CompiledFunction
from supervm.vm.evm.emitter import (
    OP_BAD_JUMP,
    OP_GROW,
    OP_HALT,
    OP_REFUSE,
    OPERATION_COUNT,
    Emission,
    Handler,
    Loop,
    after_enter,
    after_next,
)
from supervm.vm.evm.fused_handlers import FUSED_HANDLERS
from supervm.vm.evm.handlers import HANDLERS
from supervm.vm.evm.machine import CODES, FORK, LOOP, OPERATIONS, Machine
from supervm.vm.evm.opcodes import NUMBERS

OPERATION = "int64(int64, int64)"
"""C type of an operation: machine, its number in the table; `CONTINUE`, `FAILED`, or the status with which `run` ends."""

_NUMBERS = CompiledFunction(operations_memory.on_numbers, OPERATION)
_MEMORY = CompiledFunction(operations_memory.on_memory, OPERATION)
_REFUSE = CompiledFunction(operations_memory.refuse, OPERATION)
_READS = CompiledFunction(operations_state.on_accounts, OPERATION)
_STORAGE = CompiledFunction(operations_state.on_storage, OPERATION)
_CALLS = CompiledFunction(operations_calls.on_calls, OPERATION)
_ENDS = CompiledFunction(operations_calls.on_ends, OPERATION)

_GROUPS: tuple[tuple[CompiledFunction, Emission, str], ...] = (
    (_NUMBERS, after_next, "DIV SDIV MOD SMOD ADDMOD MULMOD EXP"),
    (_MEMORY, after_next, "KECCAK256 CALLDATACOPY CODECOPY RETURNDATACOPY MCOPY"),
    (_REFUSE, after_enter, "INVALID"),
    (_READS, after_next, "BALANCE SELFBALANCE EXTCODESIZE EXTCODECOPY EXTCODEHASH BLOCKHASH BLOBHASH"),
    (_STORAGE, after_next, "SLOAD TLOAD TSTORE LOG0 LOG1 LOG2 LOG3 LOG4"),
    (_STORAGE, after_enter, "SSTORE"),
    (_CALLS, after_enter, "CALL CALLCODE DELEGATECALL STATICCALL CREATE CREATE2"),
    (_ENDS, after_enter, "STOP RETURN REVERT SELFDESTRUCT"),
)
"""Compiled function, how the loop goes on after it, and its opcodes."""

_OTHERS: Mapping[int, CompiledFunction] = MappingProxyType(
    {
        OP_REFUSE: _REFUSE,
        OP_BAD_JUMP: _REFUSE,
        OP_GROW: _MEMORY,
        OP_HALT: _ENDS,
        NUMBERS["CALLDATALOAD"]: _MEMORY,
    }
)
"""Operations that no opcode's handler is: number → function."""


def emissions() -> dict[int, Emission]:
    """Opcode → how the loop goes on after its operation; all bytes that are no opcode are INVALID."""
    found: dict[int, Emission] = {number: after_enter for number in range(256) if number not in HANDLERS}
    for _, emission, names in _GROUPS:
        found.update((NUMBERS[name], emission) for name in names.split())
    return found


def _looping(single: bool) -> Any:
    """An intrinsic of (machine): run the frame at work; the status."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        loop = Loop(builder.module, HANDLERS | FUSED_HANDLERS, emissions(), single)
        return Handler.outside(loop, builder, args[0])

    @intrinsic
    def loop(typingctx: Any, machine: Any) -> Any:
        return types.int64(types.int64), codegen

    return loop


_run_all, _run_one = _looping(False), _looping(True)


def _all(machine: Any) -> Any:
    """Run until the outermost frame ends."""
    return _run_all(machine)


def _one(machine: Any) -> Any:
    """Run one opcode; `CONTINUE` unless the outermost frame ends."""
    return _run_one(machine)


_ALL = CompiledFunction(_all, "int64(int64)")
_ONE = CompiledFunction(_one, "int64(int64)")


def _table() -> Any:
    """Addresses of the operations by number."""
    table = np.zeros(OPERATION_COUNT, np.int64)
    table[:256] = _REFUSE.address
    for function, _, names in _GROUPS:
        for name in names.split():
            table[NUMBERS[name]] = function.address
    for number, function in _OTHERS.items():
        table[number] = function.address
    return table


def attach(machine: Machine, codes: CodeStore, single: bool = False) -> None:
    """Let a machine run code under the fork of a code store.

    Args:
        machine: its words `WORKER`, `KECCAK256`, `CALL_PRECOMPILE` are set by the caller.
        codes: where code comes from.
        single: return after every opcode; the store must have blocks of one opcode.
    """
    machine.point(OPERATIONS, _table())
    machine.point(FORK, codes.fork.rules)
    machine.words[CODES] = codes.address
    machine.words[LOOP] = (_ONE if single else _ALL).address
