# SPDX-License-Identifier: GPL-3.0-or-later
"""Traces in the form of EIP-3155: one line of JSON for each opcode that a transaction executes, and one for its end.

The interpreter runs one opcode at a time here, and Python reads the frame at work before and after each. That is slow, and
changes nothing of what the transaction does.

A line says what there was before its opcode; `gasCost` alone is known after it. As in other clients a call costs what it
hands on too, whoever is called; a creation does not, nor does the RETURN that ends one cost what storing the code does. An
opcode at which the frame halts costs all the gas that was left, and `error` says why.
"""

from __future__ import annotations

import ctypes
from typing import Any

from supervm.vm.evm import frame as f
from supervm.vm.evm import machine as m
from supervm.vm.evm.machine import CONTINUE, VALUE_BYTES, Machine
from supervm.vm.evm.opcodes import OPCODES
from supervm.vm.evm.outcomes import MEANINGS, HaltReason
from supervm.vm.evm.state.records import REFUND

_NAMES = {number: row.name for number, row in OPCODES.items()}
_UNPAID = -1
"""`PAID_GAS` where no opcode has set it."""

_Loop = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)


class Tracer:
    """Stands in for a machine's loop.

    Args:
        machine: attached to a code store whose blocks have one opcode each; its loop returns after every opcode.
        memory: whether each line has the frame's memory in it.

    Attributes:
        lines: one for each opcode of the last outermost frame.
        failure: what went wrong in Python meanwhile, None if nothing did.
    """

    def __init__(self, machine: Machine, *, memory: bool = False) -> None:
        self._machine, self._memory = machine, memory
        self.lines: list[dict[str, Any]] = []
        self._step: Any = _Loop(int(machine.words[m.LOOP]))
        self._callback = _Loop(self._run)
        self.failure: BaseException | None = None

    def install(self) -> None:
        """Let the machine run through this."""
        self._machine.words[m.LOOP] = ctypes.cast(self._callback, ctypes.c_void_p).value or 0

    def _run(self, machine: int) -> int:
        """Run the frame at work, and those that it calls, to their end; the status."""
        self.lines.clear()  # the transaction may have begun again
        try:
            while True:
                status = self._one(machine)
                if status != CONTINUE:
                    return status
        except BaseException as error:  # ctypes would print it and answer 0, a success
            self.failure = error
            return m.HALT

    def _one(self, machine: int) -> int:
        words = self._machine.words
        depth, frame = int(words[m.DEPTH]), int(words[m.FRAME])
        caller = _word(frame - m.FRAME_BYTES, f.F_GAS) if depth else 0
        line = self._line(frame, depth)
        gas = _word(frame, f.F_GAS)
        words[m.HALT_REASON], words[m.PAID_GAS] = 0, _UNPAID
        status: int = self._step(machine)
        if status == m.RETRY:
            return status
        left = int(words[m.PAID_GAS])
        if left == _UNPAID:
            left = self._left(frame, depth, caller, status)
        line["gasCost"] = hex(max(gas - left, 0))
        reason = int(words[m.HALT_REASON])
        if reason and (status != CONTINUE or int(words[m.DEPTH]) < depth):
            line["error"] = MEANINGS[HaltReason(reason)]
        self.lines.append(line)
        return status

    def _left(self, frame: int, depth: int, caller: int, status: int) -> int:
        """Gas that is left to a frame after its step, which may have ended it."""
        if status != CONTINUE:
            return int(self._machine.words[m.GAS_LEFT])
        if int(self._machine.words[m.DEPTH]) >= depth:
            return _word(frame, f.F_GAS)
        return _word(frame - m.FRAME_BYTES, f.F_GAS) - caller

    def _line(self, frame: int, depth: int) -> dict[str, Any]:
        place = _word(frame, f.F_PLACE) - _word(frame, f.F_CODE)
        size = _word(frame, f.F_CODE_BYTES)
        opcode = ctypes.c_uint8.from_address(_word(frame, f.F_RAW_CODE) + place).value if place < size else 0
        first, top = _word(frame, f.F_STACK) + VALUE_BYTES, _word(frame, f.F_TOP)
        stack = ctypes.string_at(first, max(top + VALUE_BYTES - first, 0))
        values = range(0, len(stack), VALUE_BYTES)
        line = {
            "pc": place,
            "op": opcode,
            "gas": hex(_word(frame, f.F_GAS)),
            "gasCost": "0x0",
            "memSize": _word(frame, f.F_MEMORY_BYTES),
            "stack": [hex(int.from_bytes(stack[at : at + VALUE_BYTES], "little")) for at in values],
            "depth": depth + 1,
            "returnData": "0x" + self._return_data().hex(),
            "refund": hex(int(self._machine.words[REFUND])),
            "opName": _NAMES.get(opcode, "INVALID"),
        }
        if self._memory:
            memory = ctypes.string_at(_word(frame, f.F_MEMORY), _word(frame, f.F_MEMORY_BYTES))
            places = range(0, len(memory), VALUE_BYTES)
            line["memory"] = ["0x" + memory[at : at + VALUE_BYTES].hex() for at in places]
        return line

    def _return_data(self) -> bytes:
        """What the last call of the frame at work returned."""
        words = self._machine.words
        return ctypes.string_at(int(words[m.RETURN_DATA]), int(words[m.RETURN_BYTES]))


def _word(address: int, number: int) -> int:
    return ctypes.c_int64.from_address(address + 8 * number).value
