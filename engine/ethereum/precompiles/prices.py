# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call of a precompiled contract costs, for compiled code: the numbers of `supervm.crypto.precompile_gas`, and those
of the fork where they changed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from supervm.crypto import precompile_gas as prices
from supervm.crypto.precompile_code import (
    BLAKE2F_BYTES,
    ENDLESS,
    MODEXP_HEADER,
    WORD,
    operand_bytes,
    take,
)
from supervm.kernels.cpu.fields.long_integers import leading_zeros
from supervm.kernels.cpu.lanes.addresses import load64, multiply_add, stack_room, swap_bytes
from supervm.vm.evm.forks import (
    BN254_ADD_GAS,
    BN254_MUL_GAS,
    BN254_PAIR_GAS,
    BN254_PAIRING_GAS,
    MODEXP_MAX_BYTES,
    MODEXP_RULE,
)
from supervm.vm.evm.machine import rule
from supervm.vm.evm.precompiles import NUMBERS

# mypy: disallow_untyped_defs=False

TOO_MUCH = -1
"""A price that no gas limit covers, or operands that the fork refuses."""

MODEXP_BYTES = 1 << 24
"""Bytes of base and modulus from which on a modular power counts as `TOO_MUCH`. It would cost 8·10¹¹ gas at least, which no
block has, and this bounds the memory."""

CALL, EACH, UNIT, ROUND_UP = range(4)
"""Columns of a price: of the call, of each unit, bytes of a unit (0: none), 1 if a begun unit counts."""


def _linear() -> np.ndarray[Any, Any]:
    rows = np.zeros((max(NUMBERS.values()) + 1, 4), np.int64)
    for name, gas in prices.FIXED.items():
        rows[NUMBERS[name], CALL] = gas
    for name, (call, each) in prices.PER_WORD.items():
        rows[NUMBERS[name]] = call, each, WORD, 1
    for name, (unit, each, call) in prices.PER_PAIR.items():
        rows[NUMBERS[name]] = call, each, unit, 0
    return rows


LINEAR = _linear()
"""Price by number; those of BN254 are the fork's instead."""

MODEXP = np.array([prices.MODEXP_RULES[name] for name in ("eip198", "eip2565", "eip7883")], np.int64)
"""(least, divisor, long_byte) by `MODEXP_RULE` of the fork."""

EIP198, EIP2565, EIP7883 = range(3)

G1_DISCOUNTS, G2_DISCOUNTS = (np.array(row, np.int64) for row in (prices.G1_DISCOUNTS, prices.G2_DISCOUNTS))
G1_BYTES, G1_EACH, _ = prices.PER_TERM["bls12_g1msm"]
G2_BYTES, G2_EACH, _ = prices.PER_TERM["bls12_g2msm"]
BN254_PAIR_BYTES = prices.BN254_PAIR
BLAKE2F_ROUND = prices.BLAKE2F_ROUND

IS_MODEXP, IS_BLAKE2F = NUMBERS["modexp"], NUMBERS["blake2f"]
IS_ADD, IS_MUL, IS_PAIRING = (NUMBERS[f"bn254_{name}"] for name in ("add", "mul", "pairing_check"))
IS_G1MSM, IS_G2MSM = NUMBERS["bls12_g1msm"], NUMBERS["bls12_g2msm"]


@njit(cache=True)
def price(machine: Any, number: Any, data: Any, size: Any) -> Any:
    """Gas that a call costs under the machine's fork, or `TOO_MUCH`."""
    if number == IS_MODEXP:
        return modexp_price(rule(machine, MODEXP_RULE), rule(machine, MODEXP_MAX_BYTES), data, size)
    if number == IS_BLAKE2F:
        return blake2f_price(data, size)
    if number == IS_ADD:
        return rule(machine, BN254_ADD_GAS)
    if number == IS_MUL:
        return rule(machine, BN254_MUL_GAS)
    if number == IS_PAIRING:
        pairs = size // BN254_PAIR_BYTES
        return rule(machine, BN254_PAIRING_GAS) + rule(machine, BN254_PAIR_GAS) * pairs
    if number == IS_G1MSM:
        return _sum_price(size // G1_BYTES, G1_EACH, G1_DISCOUNTS)
    if number == IS_G2MSM:
        return _sum_price(size // G2_BYTES, G2_EACH, G2_DISCOUNTS)
    unit = LINEAR[number, UNIT]
    units = (size + LINEAR[number, ROUND_UP] * (unit - 1)) // unit if unit else 0
    return LINEAR[number, CALL] + LINEAR[number, EACH] * units


@njit(cache=True)
def _sum_price(terms, each, discounts):
    """EIP-2537: terms · each · discount / 1000."""
    return terms * each * discounts[min(terms, len(discounts)) - 1] // 1000 if terms else 0


@njit(cache=True)
def blake2f_price(data, size):
    """EIP-152: the rounds; an input of another length fails."""
    if size != BLAKE2F_BYTES:
        return 0
    return BLAKE2F_ROUND * ((swap_bytes(load64(data)) >> 32) & 0xFFFFFFFF)


@njit(cache=True)
def modexp_price(which, limit, data, size):
    """EIP-198, EIP-2565 or EIP-7883, with the limit of EIP-7823."""
    base_bytes, exponent_bytes = operand_bytes(data, size, 0), operand_bytes(data, size, 1)
    modulus_bytes = operand_bytes(data, size, 2)
    longest = max(base_bytes, modulus_bytes)
    if longest > limit or exponent_bytes > limit or longest >= MODEXP_BYTES:
        return TOO_MUCH
    least, divisor, long_byte = MODEXP[which, 0], MODEXP[which, 1], MODEXP[which, 2]
    head_bytes = min(WORD, exponent_bytes)
    iterations = max(0, _head_bits(data, size, base_bytes, head_bytes) - 1)
    complexity = _complexity(which, longest)
    if complexity and exponent_bytes >= ENDLESS:
        return TOO_MUCH
    iterations = max(iterations + long_byte * (exponent_bytes - head_bytes), 1)
    low, high = multiply_add(complexity, iterations, 0, 0)
    if high != 0 or low < 0:
        return TOO_MUCH
    return max(least, low // divisor)


@njit(cache=True)
def _head_bits(data, size, base_bytes, head_bytes):
    """Bits of the exponent's first 32 bytes."""
    head = stack_room(WORD)
    # Bytes of the base push it out of the input at most; behind the input there are zeros.
    take(data, size, MODEXP_HEADER + min(base_bytes, size), head, head_bytes)
    take(head, head_bytes, head_bytes, head + head_bytes, WORD - head_bytes)
    for index in range(4):
        word = swap_bytes(load64(head + 8 * index))
        if word != 0:
            return 8 * head_bytes - 64 * index - leading_zeros(word)
    return 0


@njit(cache=True)
def _complexity(which, longest):
    """Of a product of two numbers of so many bytes."""
    words = (longest + 7) // 8
    if which == EIP7883:
        return 2 * words * words if longest > WORD else 16
    if which == EIP2565:
        return words * words
    if longest <= 64:
        return longest * longest
    if longest <= 1024:
        return longest * longest // 4 + 96 * longest - 3072
    return longest * longest // 16 + 480 * longest - 199680
