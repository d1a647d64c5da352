# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of EVM code, run by themselves: an account that has the code is called with an input and gas."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from evm_state import Account, EvmWorker, keccak256, pointers, put_world
from numba import njit

from supervm.engine.state.store import StateStore
from supervm.kernels.cpu.state import access_set
from supervm.vm.evm import frame as f
from supervm.vm.evm import machine as m
from supervm.vm.evm.code_store import CodeStore
from supervm.vm.evm.forks import Fork, fork_named
from supervm.vm.evm.frames import enter_call, enter_create, run
from supervm.vm.evm.interpreter import attach
from supervm.vm.evm.machine import CONTINUE, ENTERED, RETRY
from supervm.vm.evm.opcodes import NUMBERS
from supervm.vm.evm.outcomes import HaltReason
from supervm.vm.evm.state.accounts import account, set_code
from supervm.vm.evm.state.contracts import create_address
from supervm.vm.evm.state.lifecycle import begin_transaction

CONTRACT, CALLER, OTHER = 0xC0DE, 0xCA11, 0x0711
"""Addresses: where the code stands, who calls it, an account with code that a test may give."""

BALANCE = 10**18


@njit
def _call(machine: Any, values: Any, number: Any, data: Any, size: Any, gas: Any, creates: Any) -> Any:
    """Values: caller, contract, value, hash of the code, one to write to."""
    begin_transaction(machine)
    if creates:
        create_address(machine, values, 0, values + 128)
        status = enter_create(machine, values, values + 128, values + 64, data, size, gas)
    else:
        record = account(machine, values + 32)
        if record < 0 or set_code(machine, record, number, values + 96) < 0:
            return RETRY
        status = enter_call(machine, values, values + 32, values + 64, data, size, gas)
    return run(machine) if status == ENTERED else status


@dataclass(frozen=True)
class Run:
    """What a run left: status, gas used, output, why it halted, the stack of the outermost frame, lowest first."""

    status: int
    gas: int
    output: bytes
    reason: HaltReason | None
    stack: list[int]

    @property
    def word(self) -> int:
        return int.from_bytes(self.output)


class CodeRunner:
    """Runs code under a fork.

    Args:
        single: one opcode at a time.
        other: code of the account `OTHER`.
    """

    def __init__(self, fork: str | Fork = "Osaka", single: bool = False, other: bytes = b"") -> None:
        store = StateStore()
        put_world(
            store, {CALLER: Account(0, BALANCE), CONTRACT: Account(1, 100), OTHER: Account(1, 0, other)}
        )
        self.worker = EvmWorker(store, fork if isinstance(fork, Fork) else fork_named(fork))
        self.single = single
        if single:
            self.worker.codes = CodeStore(self.worker.codes.fork, single=True)
        attach(self.worker.machine, self.worker.codes, single)
        if other:
            self.worker.add_code(other)
        self.worker.begin_commit()

    def run(
        self, code: bytes, data: bytes = b"", gas: int = 10**7, value: int = 0, creates: bool = False
    ) -> Run:
        """Call the code, or execute it as initcode."""
        machine, worker = self.worker.machine, self.worker
        number = 0 if creates else worker.add_code(code)
        digest = int.from_bytes(keccak256(code))
        values, places = pointers(CALLER, CONTRACT, value, digest, 0)
        area = ctypes.create_string_buffer(code if creates else data, max(len(data), len(code), 1))
        size = len(code) if creates else len(data)
        while True:
            worker.access.forget_all()
            worker.access.words[access_set.NEEDS] = 0
            status = _call(machine.address, places[0], number, ctypes.addressof(area), size, gas, creates)
            while status == CONTINUE:
                status = run(machine.address)
            if status != RETRY:
                break
            worker.make_room()
        del values
        words = machine.words
        output = machine.buffer(m.NEEDS_RETURN_DATA)[: int(words[m.RETURN_BYTES])].tobytes()
        reason = int(words[m.HALT_REASON])
        left = int(words[m.GAS_LEFT])
        return Run(status, gas - left, output, HaltReason(reason) if reason else None, self._stack())

    def _stack(self) -> list[int]:
        frame = self.worker.machine.buffer(m.NEEDS_FRAMES)[: m.FRAME_BYTES].view(np.int64)
        first, top = int(frame[f.F_STACK]) + 32, int(frame[f.F_TOP])
        data = ctypes.string_at(first, max(top + 32 - first, 0))
        return [int.from_bytes(data[at : at + 32], "little") for at in range(0, len(data), 32)]


def push(number: int, size: int = 0) -> bytes:
    """The shortest PUSH of a number, or one of `size` bytes."""
    size = size or max((number.bit_length() + 7) // 8, 1)
    return bytes([0x5F + size]) + number.to_bytes(size)


def op(*names: str) -> bytes:
    """Opcodes by name."""
    return bytes(NUMBERS[name] for name in names)
