# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine of a worker: one int64 array of words, whose address every compiled function of the EVM gets.

A value of the EVM is 256 bits, as four little-endian 64-bit words at an address that is a multiple of 8; where one lies in
the machine itself it takes `VALUE_WORDS` words. Compiled code never allocates: a buffer that is full makes it answer
`RETRY`, with what is full and how much was asked for in the access set's `NEEDS` and `NEEDED`; the transaction is forgotten,
Python makes room (`Machine.grow`), and it begins again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.kernels.cpu.lanes.addresses import load64, store64
from supervm.kernels.cpu.state.access_set import lacking
from supervm.kernels.keys import aligned
from supervm.vm.context import PLUG_IN_NEEDS

VALUE_WORDS, VALUE_BYTES = 4, 32
"""Of a value of 256 bits."""

(
    WORKER,  # address of the worker whose access set is the state
    FORK,  # address of the fork's rules (int64, numbers of `forks`)
    CODES,  # address of the code store (`code_store`)
    # C functions.
    KECCAK256,  # (data, bytes, out): the Keccak-256 of an area, as bytes
    CALL_PRECOMPILE,  # (machine, number, input, bytes, gas, out) → gas used, −1 failed, −2 no answer
    PRECOMPILE_TABLE,  # address of what that function keeps (`supervm.engine.ethereum.precompiles`)
    LOOP,  # (machine) → status: the interpreter's loop
    OPERATIONS,  # address of the table of the opcodes that are functions, by opcode
    # The frames.
    FRAMES,  # address of the frames, outermost first
    FRAME_CAPACITY,  # how many fit
    FRAME,  # address of the frame at work
    DEPTH,  # its number; the outermost is 0
    STACK,  # address of the operand stacks, those of the frames one behind the other
    STACK_CAPACITY,  # values that fit
    MEMORY,  # address of the memories, likewise
    MEMORY_CAPACITY,  # bytes that fit
    INITCODE,  # address of the initcodes at work, analysed, likewise
    INITCODE_CAPACITY,  # bytes that fit
    INITCODE_USED,  # bytes that are taken
    # What the last call left, the outermost one in the end.
    RETURN_DATA,  # address of the data
    RETURN_CAPACITY,  # bytes that fit
    RETURN_BYTES,  # bytes there
    GAS_LEFT,  # gas that the outermost frame left
    HALT_REASON,  # why the last frame halted, a `HaltReason`; 0: it did not
    # Scratch.
    SCRATCH,  # address of `SCRATCH_BYTES`
    # For traces.
    PAID_GAS,  # gas that a frame had left when its CALL, CREATE or RETURN, or one of their kin, was paid for
) = range(26)
"""Words of the interpreter."""

(
    ORIGIN,  # who signed the transaction, a value
    GAS_PRICE,  # what it pays for a unit of gas, a value
) = (32, 36)
BLOB_HASHES = 40  # address of its blobs' hashes, 32 bytes each
BLOB_COUNT = 41  # how many there are
"""Words of the transaction that opcodes read."""

(
    COINBASE,  # the fee recipient, a value
    BASE_FEE,  # wei, a value
    RANDOM,  # PREVRANDAO, before proof of stake the difficulty, a value
    BLOB_BASE_FEE,  # wei, a value
) = range(48, 64, VALUE_WORDS)
(
    BLOCK_NUMBER,
    TIMESTAMP,  # seconds since 1970
    BLOCK_GAS_LIMIT,
    CHAIN_ID,
    EXCESS_BLOB_GAS,
    BLOCK_HASHES,  # address of `HASH_ROWS` rows by number modulo `HASH_ROWS`: number (−1: unknown), hash as bytes
) = range(64, 70)
"""Words of the block."""

STATE_WORDS = 96
"""Here the words of the transaction's state begin (`supervm.vm.evm.state`)."""

TRANSACTION_WORDS = 160
"""Here the words of whoever executes transactions begin (`supervm.vm.evm.transaction`)."""

MACHINE_WORDS = 256

HASH_ROWS, HASH_ROW_BYTES = 256, 40
"""Ancestors that BLOCKHASH knows, and bytes of the row of each."""

SCRATCH_BYTES = 4096
"""Scratch: the first half belongs to the interpreter, the second to the state and the transaction."""
STATE_SCRATCH = 2048

SUCCESS, REVERT, HALT, RETRY = 0, 1, 2, -1
"""How a frame ends: STOP, RETURN or SELFDESTRUCT; REVERT; an exceptional halt, all gas is lost; or it must be run again."""

CONTINUE, FAILED = 4, 5
"""Answers of an operation: the frame goes on, perhaps as another one; it halts, for `HALT_REASON`. Any other is the status
with which `run` ends."""

ENTERED = 3
"""Answer of `frames.enter_call` and `enter_create`: a frame is there to be run."""

(
    NEEDS_FRAMES,  # frames; there are always enough, as for the next one
    NEEDS_STACK,  # values
    NEEDS_MEMORY,  # bytes
    NEEDS_INITCODE,  # bytes
    NEEDS_RETURN_DATA,  # bytes
    NEEDS_CODES,  # room in the code store: bytes
    NEEDS_CODE,  # a code that the store does not have: its hash lies in the scratch
    NEEDS_BLOCK_HASH,  # the hash of an ancestor: its number
    NEEDS_PRECOMPILE,  # an answer of the engine's C function, which failed on this machine: its number
) = range(PLUG_IN_NEEDS, PLUG_IN_NEEDS + 9)
"""What can be full or missing (`access_set.NEEDS`); the state's own begin at 64, the transaction's at 96."""


@njit(cache=True, inline="always")
def get(machine: Any, index: Any) -> Any:
    """A word of the machine."""
    return load64(machine + 8 * index)


@njit(cache=True, inline="always")
def put(machine: Any, index: Any, value: Any) -> None:
    """Set a word of the machine."""
    store64(machine + 8 * index, value)


@njit(cache=True, inline="always")
def rule(machine: Any, number: Any) -> Any:
    """A rule of the fork, by its number in `forks`."""
    return load64(load64(machine + 8 * FORK) + 8 * number)


@njit(cache=True)
def retry(machine: Any, what: Any, amount: Any) -> Any:
    """Say what is full or missing; `RETRY`."""
    lacking(get(machine, WORKER), what, amount)
    return RETRY


@dataclass(frozen=True)
class Buffer:
    """A buffer of the machine.

    | field | meaning |
    |---|---|
    | `address`, `capacity` | words that hold them |
    | `unit` | bytes of one of what it holds |
    | `least` | how many it holds at first; memory that nothing touches is not taken |
    | `keeps` | whether growing keeps what it holds: of transactions before the one that begins again |
    """

    address: int
    capacity: int
    unit: int
    least: int
    keeps: bool = False


STACK_LIMIT, DEPTH_LIMIT = 1024, 1024
"""Values on the stack of a frame; frames within the outermost one (Yellow Paper, 9.1)."""

FRAME_BYTES = 256
"""Of a frame's record (`frame`)."""

BUFFERS: Mapping[int, Buffer] = {
    NEEDS_STACK: Buffer(STACK, STACK_CAPACITY, VALUE_BYTES, (DEPTH_LIMIT + 1) * (STACK_LIMIT + 2)),
    NEEDS_FRAMES: Buffer(FRAMES, FRAME_CAPACITY, FRAME_BYTES, DEPTH_LIMIT + 1),
    NEEDS_MEMORY: Buffer(MEMORY, MEMORY_CAPACITY, 1, 1 << 26),
    NEEDS_INITCODE: Buffer(INITCODE, INITCODE_CAPACITY, 1, 1 << 24),
    NEEDS_RETURN_DATA: Buffer(RETURN_DATA, RETURN_CAPACITY, 1, 1 << 20),
}
"""What can be full → the interpreter's buffers."""


class Machine:
    """The words and buffers of one worker.

    Args:
        buffers: of all parts of the EVM that are used with it, by need: `BUFFERS`, and those of the state.

    Attributes:
        words: int64 (`MACHINE_WORDS`,); whoever runs code sets those that are no buffers.
        address: of the words, for compiled code.
    """

    def __init__(self, buffers: Mapping[int, Buffer] = BUFFERS) -> None:
        self.words = np.zeros(MACHINE_WORDS, np.int64)
        self.address = int(self.words.ctypes.data)
        self._rows = dict(buffers)
        self._buffers: dict[int, NDArray[np.uint8]] = {}
        self._keep: dict[int, Any] = {}
        for need in self._rows:
            self.grow(need, 0)
        self.point(SCRATCH, aligned(SCRATCH_BYTES, fill=True))

    def grows(self, need: int) -> bool:
        """Whether it is one of this machine's buffers that is full."""
        return need in self._rows

    def grow(self, need: int, amount: int) -> None:
        """Make room for `amount` more units in what was full, at least twice as much as before.

        Unless the buffer `keeps` it, what it held is dropped: a transaction that ran into the end begins again.
        """
        row = self._rows[need]
        old = int(self.words[row.capacity])
        units = max(row.least, 2 * old if amount else old, old + amount)
        buffer = aligned(units * row.unit)
        if row.keeps and old:
            buffer[: old * row.unit] = self._buffers[need]
        self._buffers[need] = buffer
        self.words[row.address], self.words[row.capacity] = buffer.ctypes.data, units

    def buffer(self, need: int) -> NDArray[np.uint8]:
        """All bytes of a buffer, by the need that grows it."""
        return self._buffers[need]

    def point(self, word: int, array: NDArray[Any]) -> None:
        """Let a word hold the address of an array, and keep that alive."""
        self._keep[word] = array
        self.words[word] = array.ctypes.data

    def set_value(self, word: int, value: int) -> None:
        """Write a value of 256 bits into the words."""
        for place in range(VALUE_WORDS):
            limb = (value >> (64 * place)) & ((1 << 64) - 1)
            self.words[word + place] = np.uint64(limb).astype(np.int64)

    def value(self, word: int) -> int:
        """Read a value of 256 bits from the words."""
        return int.from_bytes(self.words[word : word + VALUE_WORDS].tobytes(), "little")
