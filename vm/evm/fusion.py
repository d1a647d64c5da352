# SPDX-License-Identifier: GPL-3.0-or-later
"""Superinstructions: runs of opcodes that are executed as one, under numbers that no fork uses.

The first opcode's byte in analysed code is replaced; those behind it stay as they are, so that the handler of the first
one is still right. What is fused lies in one block, whose gas and stack do not change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from supervm.kernels.cpu.lanes.addresses import load8, load64, store8
from supervm.vm.evm.opcodes import NUMBERS, OPCODES, PUSH1

_FIRST_FREE = 0xB0

PAIRS: tuple[tuple[str, str], ...] = (
    ("PUSH1", "ADD"),
    ("PUSH1", "SHL"),
    ("PUSH1", "SHR"),
    ("PUSH1", "MLOAD"),
    ("PUSH1", "MSTORE"),
    ("PUSH4", "EQ"),
    ("PUSH20", "AND"),
    ("SWAP1", "POP"),
    ("SWAP2", "POP"),
    ("SWAP3", "POP"),
    ("POP", "POP"),
    ("DUP2", "ADD"),
    ("DUP3", "ADD"),
    ("DUP5", "ADD"),
    ("DUP2", "LT"),
    ("DUP2", "SLT"),
    ("DUP2", "MSTORE"),
    ("ADD", "MLOAD"),
)
"""Pairs that are frequent in contracts."""

FUSED: dict[tuple[str, str], int] = {pair: _FIRST_FREE + place for place, pair in enumerate(PAIRS)}
"""Pair → number."""

PUSH1_JUMP, PUSH2_JUMP, PUSH1_JUMPI, PUSH2_JUMPI, ISZERO_PUSH2_JUMPI = range(
    _FIRST_FREE + len(PAIRS), _FIRST_FREE + len(PAIRS) + 5
)
"""Jumps to a place that the code itself says, and that is a JUMPDEST."""

assert not {*FUSED.values(), *range(PUSH1_JUMP, ISZERO_PUSH2_JUMPI + 1)} & set(OPCODES)

_ISZERO, _JUMP, _JUMPI = NUMBERS["ISZERO"], NUMBERS["JUMP"], NUMBERS["JUMPI"]
_PUSH2, _PUSH32 = PUSH1 + 1, PUSH1 + 31


def _table() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """By the numbers of both: that of the pair, 0 where there is none."""
    table = np.zeros((256, 256), np.uint8)
    for (first, second), number in FUSED.items():
        table[NUMBERS[first], NUMBERS[second]] = number
    return table


_BY_PAIR = _table()


@njit(cache=True)
def _is_destination(words: Any, size: Any, place: Any) -> Any:
    return place < size and load64(words + 8 * place) < 0


@njit(cache=True)
def _jump(code: Any, size: Any, words: Any, place: Any) -> Any:
    """The number of a PUSH1 or PUSH2 with a jump behind it, 0 if it is none or leads nowhere."""
    two = load8(code + place) == _PUSH2
    target = load8(code + place + 1)
    if two:
        target = (target << 8) | load8(code + place + 2)
    follows = load8(code + place + (3 if two else 2))
    if follows not in (_JUMP, _JUMPI) or not _is_destination(words, size, target):
        return 0
    if follows == _JUMP:
        return PUSH2_JUMP if two else PUSH1_JUMP
    return PUSH2_JUMPI if two else PUSH1_JUMPI


@njit(cache=True)
def fuse(code: Any, size: Any, words: Any) -> None:
    """Mark the superinstructions in analysed code of `size` bytes, whose words are complete."""
    place = 0
    while place < size:
        first = load8(code + place)
        behind = place + 1 + (first - PUSH1 + 1 if PUSH1 <= first <= _PUSH32 else 0)
        second = load8(code + behind)
        number: Any = np.int64(_BY_PAIR[first, second])
        if first in (PUSH1, _PUSH2) and number == 0:
            number = _jump(code, size, words, place)
        elif first == _ISZERO and second == _PUSH2 and _jump(code, size, words, behind) == PUSH2_JUMPI:
            number = ISZERO_PUSH2_JUMPI
            behind += 3
        if number:
            store8(code + place, number)
            behind += 1  # no second opcode has bytes behind it
        place = behind
