# SPDX-License-Identifier: GPL-3.0-or-later
"""Opcodes that compute, against Python's integers: every pair of edges, and random operands."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
from evm_code import CodeRunner, op, push

M = 1 << 256
EDGES = (
    0,
    1,
    2,
    31,
    32,
    255,
    256,
    1 << 63,
    1 << 64,
    (1 << 128) - 1,
    1 << 192,
    (1 << 255) - 1,
    1 << 255,
    M - 2,
    M - 1,
)


def signed(a: int) -> int:
    return a - M if a >> 255 else a


def truncated(a: int, b: int) -> tuple[int, int]:
    """Quotient towards zero and remainder of signed integers; zeros for a divisor of zero."""
    if b == 0:
        return 0, 0
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return quotient, a - quotient * b


def sign_extended(place: int, a: int) -> int:
    if place > 30:
        return a
    bits = 8 * (place + 1)
    a &= (1 << bits) - 1
    return a - (1 << bits) if a >> (bits - 1) else a


UNARY: dict[str, Callable[[int], int]] = {
    "ISZERO": lambda a: a == 0,
    "NOT": lambda a: ~a,
    "CLZ": lambda a: 256 - a.bit_length(),
}
BINARY: dict[str, Callable[[int, int], int]] = {
    "ADD": lambda a, b: a + b,
    "MUL": lambda a, b: a * b,
    "SUB": lambda a, b: a - b,
    "DIV": lambda a, b: a // b if b else 0,
    "SDIV": lambda a, b: truncated(signed(a), signed(b))[0],
    "MOD": lambda a, b: a % b if b else 0,
    "SMOD": lambda a, b: truncated(signed(a), signed(b))[1],
    "EXP": lambda a, b: pow(a, b, M),
    "SIGNEXTEND": sign_extended,
    "LT": lambda a, b: a < b,
    "GT": lambda a, b: a > b,
    "SLT": lambda a, b: signed(a) < signed(b),
    "SGT": lambda a, b: signed(a) > signed(b),
    "EQ": lambda a, b: a == b,
    "AND": lambda a, b: a & b,
    "OR": lambda a, b: a | b,
    "XOR": lambda a, b: a ^ b,
    "BYTE": lambda a, b: b.to_bytes(32)[a] if a < 32 else 0,
    "SHL": lambda a, b: b << a if a < 256 else 0,
    "SHR": lambda a, b: b >> a if a < 256 else 0,
    "SAR": lambda a, b: signed(b) >> min(a, 255),
}
TERNARY: dict[str, Callable[[int, int, int], int]] = {
    "ADDMOD": lambda a, b, n: (a + b) % n if n else 0,
    "MULMOD": lambda a, b, n: a * b % n if n else 0,
}


@pytest.fixture(scope="module")
def runner() -> CodeRunner:
    return CodeRunner()


def operand(chance: random.Random) -> int:
    """Limbs of all ones, of nothing, of one bit, and of anything; of every length."""
    limbs = (0, (1 << 64) - 1, 1, 1 << 63, chance.getrandbits(64))
    whole = sum(chance.choice(limbs) << (64 * place) for place in range(4))
    return whole >> chance.choice((0, 0, 1, 64, 100, 128, 192, 250))


def computing(name: str, operands: int) -> bytes:
    """Code that takes operands from the input, the first one to the top of the stack, and returns the result."""
    loads = b"".join(push(32 * place) + op("CALLDATALOAD") for place in reversed(range(operands)))
    return loads + op(name) + op("PUSH0", "MSTORE") + push(32) + op("PUSH0", "RETURN")


@pytest.mark.parametrize("name", [*UNARY, *BINARY, *TERNARY])
def test_as_python_computes(runner: CodeRunner, name: str) -> None:
    compute = (UNARY | BINARY | TERNARY)[name]  # type: ignore[operator]
    count = 1 if name in UNARY else 2 if name in BINARY else 3
    chance = random.Random(name)
    cases = list(itertools.product(EDGES if count < 3 else EDGES[::3], repeat=count))
    cases += [tuple(operand(chance) for _ in range(count)) for _ in range(200)]
    if name in ("SHL", "SHR", "SAR", "BYTE", "SIGNEXTEND"):
        patterns = (int("5a" * 32, 16), int("a5" * 32, 16), operand(chance))
        cases += list(itertools.product(range(260), patterns))
    code = computing(name, count)
    for case in cases:
        data = b"".join(number.to_bytes(32) for number in case)
        assert runner.run(code, data).word == compute(*case) % M, (name, [hex(number) for number in case])
