# SPDX-License-Identifier: GPL-3.0-or-later
"""Code made ready for the interpreter, once: its bytes with room behind them, and one word for each byte.

The word of a byte where a basic block begins says what the whole block costs and needs, so that it is checked once:

    bits 0 to 15   bytes of stack that it takes from what was there before
    bits 16 to 31  bytes of stack that it adds at most
    bits 32 to 62  static gas of its opcodes
    bit 63         1: it begins with JUMPDEST, so that a jump may come here

All other words are 0. A block ends before a JUMPDEST and after whatever jumps, ends the frame, or lets code see how much
gas is left. Opcodes that the fork lacks become INVALID. What changes an opcode's meaning is its fork alone, and with it
the static gas, so that analysed code belongs to one fork.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.kernels.cpu.lanes.addresses import copy, fill, load8, load64, store8, store64
from supervm.vm.evm import forks
from supervm.vm.evm.fusion import fuse
from supervm.vm.evm.machine import STACK_LIMIT, VALUE_BYTES
from supervm.vm.evm.opcodes import NUMBERS, opcodes_of

_ROW_GAS, _ROW_POPS, _ROW_GROWS, _ROW_IMMEDIATE, _ROW_ENDS, _ROW_BECOMES = range(6)
ROW_WORDS = 8
"""Words of an opcode's row for the analysis: static gas, values taken, values more than before, bytes behind it, whether the
block ends after it, the opcode that is executed."""

ENDS = frozenset(
    NUMBERS[name]
    for name in [
        "STOP",
        "JUMP",
        "JUMPI",
        "RETURN",
        "REVERT",
        "INVALID",
        "SELFDESTRUCT",
        "GAS",
        "SSTORE",
        "CALL",
        "CALLCODE",
        "DELEGATECALL",
        "STATICCALL",
        "CREATE",
        "CREATE2",
    ]
)
"""Opcodes after which a block ends."""

JUMPDEST, INVALID = NUMBERS["JUMPDEST"], NUMBERS["INVALID"]

PADDING = 40
"""Bytes behind the code, all STOP: the longest immediate, and the opcode after it."""

IS_DESTINATION = -(1 << 63)
MOST_GAS = (1 << 31) - 1
"""Static gas that a block's word can say; more is as good as all."""

_MOST_STACK = STACK_LIMIT + 1
"""Values that a block can need or add; more is as good as that, which fails in any case."""


def rows(fork: forks.Fork) -> NDArray[np.int64]:
    """What the analysis knows of the opcodes under a fork: int64 (256, `ROW_WORDS`)."""
    table = np.zeros((256, ROW_WORDS), np.int64)
    table[:, _ROW_ENDS], table[:, _ROW_BECOMES] = 1, INVALID
    for number, row in opcodes_of(fork).items():
        known = (row.static_gas(fork), row.pops, row.pushes - row.pops, row.immediate, number in ENDS, number)
        table[number, : len(known)] = known
    return table


@njit(cache=True)
def analysed_bytes(size: Any) -> Any:
    """Bytes that analysed code takes; a multiple of 8."""
    return ((size + PADDING + 7) & ~7) + 8 * (size + PADDING)


@njit(cache=True)
def words_of(code: Any, size: Any) -> Any:
    """The address of the words of the analysed code at `code`."""
    return code + ((size + PADDING + 7) & ~7)


@njit(cache=True)
def _close(place: Any, word: Any, gas: Any, needs: Any, adds: Any) -> None:
    """Write the word of a block."""
    gas, needs, adds = min(gas, MOST_GAS), min(needs, _MOST_STACK), min(adds, _MOST_STACK)
    store64(place, word | (gas << 32) | ((VALUE_BYTES * adds) << 16) | (VALUE_BYTES * needs))


@njit(cache=True)
def analyse(table: Any, code: Any, size: Any, target: Any, single: Any) -> None:
    """Make code ready.

    Args:
        table: address of `rows`.
        code, size: address and bytes.
        target: where `analysed_bytes` are for it, at a multiple of 8.
        single: 1 for blocks of one opcode each, 0 for the longest ones.
    """
    words = words_of(target, size)
    copy(target, code, size)
    fill(target + size, 0, words + 8 * (size + PADDING) - target - size)
    place, first, word = 0, 0, 0
    gas, needs, height, adds = 0, 0, 0, 0
    while place < size:
        opcode = load8(target + place)
        if (opcode == JUMPDEST or single) and place != first:
            _close(words + 8 * first, word, gas, needs, adds)
            first, word, gas, needs, height, adds = place, 0, 0, 0, 0, 0
        if opcode == JUMPDEST:
            word = IS_DESTINATION
        row = table + 8 * ROW_WORDS * opcode
        gas += load64(row + 8 * _ROW_GAS)
        needs = max(needs, load64(row + 8 * _ROW_POPS) - height)
        height += load64(row + 8 * _ROW_GROWS)
        adds = max(adds, height)
        store8(target + place, load64(row + 8 * _ROW_BECOMES))
        place += 1 + load64(row + 8 * _ROW_IMMEDIATE)
        if load64(row + 8 * _ROW_ENDS):
            _close(words + 8 * first, word, gas, needs, adds)
            first, word, gas, needs, height, adds = place, 0, 0, 0, 0, 0
    if first < size:
        _close(words + 8 * first, word, gas, needs, adds)
    if not single:
        fuse(target, size, words)
