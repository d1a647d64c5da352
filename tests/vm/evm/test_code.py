# SPDX-License-Identifier: GPL-3.0-or-later
"""Analysed code against a plain reading of it: jump destinations, blocks, superinstructions; the table of opcodes."""

from __future__ import annotations

import random

import numpy as np
import pytest
from evm_code import op, push

from supervm.vm.evm import code as c
from supervm.vm.evm.code import ENDS, PADDING, analyse, analysed_bytes, rows, words_of
from supervm.vm.evm.forks import Fork, fork_named
from supervm.vm.evm.fusion import FUSED, ISZERO_PUSH2_JUMPI, PUSH1_JUMP, PUSH2_JUMPI
from supervm.vm.evm.opcodes import NUMBERS, OPCODES, opcodes_of

JUMPDEST, INVALID = NUMBERS["JUMPDEST"], NUMBERS["INVALID"]


def plain_blocks(code: bytes, fork: Fork, single: bool) -> dict[int, tuple[bool, int, int, int]]:
    """First byte of every block → whether it is a destination, its gas, values needed, values added at most."""
    there, found, place, first = opcodes_of(fork), {}, 0, 0
    block: list[int] = []

    def close(behind: int) -> None:
        nonlocal first, block
        height = least = most = 0
        for number in block:
            if number in there:
                least = min(least, height - there[number].pops)
                height += there[number].pushes - there[number].pops
                most = max(most, height)
        gas = sum(there[number].static_gas(fork) for number in block if number in there)
        if block:
            found[first] = (block[0] == JUMPDEST, gas, min(-least, 1025), min(most, 1025))
        first, block = behind, []

    while place < len(code):
        number = code[place]
        if number == JUMPDEST or single:
            close(place)
        block.append(number)
        place += 1 + (there[number].immediate if number in there else 0)
        if number not in there or number in ENDS:
            close(place)
    close(place)
    return found


def analysed(code: bytes, fork: Fork, single: bool) -> tuple[bytes, np.ndarray]:
    size = int(analysed_bytes(len(code)))
    target, source, table = (
        np.full(size // 8, -1, np.int64),
        np.frombuffer(code + b"\0", np.uint8),
        rows(fork),
    )
    analyse(table.ctypes.data, source.ctypes.data, len(code), target.ctypes.data, int(single))
    words = (int(words_of(target.ctypes.data, len(code))) - target.ctypes.data) // 8
    return target.tobytes()[: len(code) + PADDING], target[words:]


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("name", ["Frontier", "Istanbul", "Osaka"])
def test_blocks(name: str, single: bool) -> None:
    fork, chance = fork_named(name), random.Random(name)
    known = list(OPCODES)
    for _ in range(300):
        size = chance.choice((0, 1, 2, 40, 400, 3000))
        code = bytes(chance.choice((*known, JUMPDEST, 0x60, 0x7F)) for _ in range(size))
        if chance.random() < 0.2:
            code = chance.randbytes(size)
        if chance.random() < 0.1:
            code = bytes([chance.choice((0x5F, 0x80, 0x50, 0x01))]) * size
        text, words = analysed(code, fork, single)
        expected = plain_blocks(code, fork, single)
        assert len(words) == len(code) + PADDING
        assert set(np.flatnonzero(words).tolist()) <= set(expected)
        for place, (destination, gas, needs, adds) in expected.items():
            word = int(words[place]) & ((1 << 64) - 1)
            assert word == destination << 63 | gas << 32 | adds * 32 << 16 | needs * 32, (code.hex(), place)
        assert text[len(code) :] == bytes(PADDING)


def test_opcodes_that_the_fork_lacks_become_invalid() -> None:
    fork = fork_named("Frontier")
    text, _ = analysed(bytes([NUMBERS["PUSH1"], NUMBERS["PUSH0"], NUMBERS["PUSH0"], 0xEF]), fork, True)
    assert text[:4] == bytes([NUMBERS["PUSH1"], NUMBERS["PUSH0"], INVALID, INVALID])


def test_words_do_not_overflow() -> None:
    """More gas than a word of a block can say is as good as all of it."""
    size = 2_000_000
    _, words = analysed(bytes([NUMBERS["LOG4"]]) * size, fork_named("Osaka"), False)
    assert (int(words[0]) >> 32) & 0x7FFFFFFF == c.MOST_GAS


def test_table_of_opcodes() -> None:
    """Counts of the forks, as execution-specs' `Ops` of each has them."""
    counts = {
        "Frontier": 129,
        "Homestead": 130,
        "Byzantium": 134,
        "Constantinople": 139,
        "Istanbul": 141,
        "London": 142,
        "Shanghai": 143,
        "Cancun": 148,
        "Osaka": 149,
    }
    for name, count in counts.items():
        assert len(set(opcodes_of(fork_named(name))) - {INVALID}) == count, name


def test_what_is_fused() -> None:
    """The first byte of a known run becomes the superinstruction's; jumps only where they lead to a JUMPDEST."""
    fork = fork_named("Osaka")
    text, _ = analysed(
        op("JUMPDEST") + push(0x40) + op("MLOAD", "SWAP1", "POP") + push(0) + op("JUMP"), fork, False
    )
    assert text[1] == FUSED["PUSH1", "MLOAD"]
    assert text[4] == FUSED["SWAP1", "POP"]
    assert text[6] == PUSH1_JUMP
    for target in (1, 6, 9):
        code = op("JUMPDEST") + push(target) + op("JUMP", "ISZERO") + push(target, 2) + op("JUMPI")
        text, _ = analysed(code, fork, False)
        assert text[: len(code)] == code
    code = op("JUMPDEST", "ISZERO") + push(0, 2) + op("JUMPI") + push(0, 2) + op("JUMPI")
    assert analysed(code, fork, False)[0][1] == ISZERO_PUSH2_JUMPI
    assert analysed(code, fork, False)[0][6] == PUSH2_JUMPI
    # Data of a PUSH is nothing of the kind.
    data = push(int.from_bytes(op("SWAP1", "POP")), 2)
    assert analysed(data, fork, False)[0][:3] == data
