# SPDX-License-Identifier: GPL-3.0-or-later
"""Gas that a transaction costs before it runs, and the least that it costs in all.

Yellow Paper, 6.2; EIP-2 (creations), EIP-2028 (input), EIP-2930 (access lists), EIP-3860 (initcode), EIP-7623 (floor),
EIP-7702 (authorizations). All of it fits 63 bits: a list of 2^31 entries would not fit a transaction.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from supervm.kernels.cpu.lanes.addresses import load8, load64
from supervm.kernels.cpu.lanes.lanes import I64, call_llvm
from supervm.vm.evm import columns as c
from supervm.vm.evm.columns import item8, item64
from supervm.vm.evm.forks import CREATION_GAS, FLOOR_TOKEN_GAS, INITCODE_WORD_GAS, INPUT_NONZERO_GAS
from supervm.vm.evm.machine import VALUE_BYTES, rule

TRANSACTION_GAS = 21_000
INPUT_ZERO_GAS = 4
ACCESS_ADDRESS_GAS, ACCESS_SLOT_GAS = 2_400, 1_900
NEW_AUTHORITY_GAS, KNOWN_AUTHORITY_GAS = 25_000, 12_500
"""Gas of an authorization, whose refund leaves the second where the authority is there (`PER_EMPTY_ACCOUNT_COST`,
`PER_AUTH_BASE_COST`)."""

NONZERO_TOKENS = 4
"""Tokens of a byte of input that is not zero; one of a zero byte (EIP-7623)."""

_SEVENS = 0x7F7F7F7F7F7F7F7F


@intrinsic
def _nonzero_bytes(typingctx: Any, word: Any) -> Any:
    """How many of the eight bytes of a word are not zero."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sevens = ir.Constant(I64, _SEVENS)
        # The highest bit of each byte: whether the others carry into it, or it is set itself.
        carried = builder.or_(builder.add(builder.and_(args[0], sevens), sevens), args[0])
        highest = builder.and_(carried, builder.not_(sevens))
        return call_llvm(builder, "llvm.ctpop.i64", I64, [highest])

    return types.int64(types.int64), codegen


@njit(cache=True)
def nonzero_bytes(data: Any, size: Any) -> Any:
    """How many bytes of an area are not zero."""
    count = 0
    whole = size & ~7
    for at in range(0, whole, 8):
        count += _nonzero_bytes(load64(data + at))
    for at in range(whole, size):
        count += 1 if load8(data + at) else 0
    return count


@njit(cache=True)
def input_bytes(columns: Any, item: Any) -> Any:
    """How many bytes of input a transaction has."""
    return item64(columns, c.INPUT_OFFSETS, item + 1) - item64(columns, c.INPUT_OFFSETS, item)


@njit(cache=True)
def _nonzero_input(columns: Any, item: Any) -> Any:
    data = c.column(columns, c.INPUT) + item64(columns, c.INPUT_OFFSETS, item)
    return nonzero_bytes(data, input_bytes(columns, item))


@njit(cache=True)
def intrinsic_gas(machine: Any, columns: Any, item: Any) -> Any:
    """The intrinsic gas of a transaction."""
    size, nonzero = input_bytes(columns, item), _nonzero_input(columns, item)
    gas = TRANSACTION_GAS + INPUT_ZERO_GAS * (size - nonzero) + rule(machine, INPUT_NONZERO_GAS) * nonzero
    if not item8(columns, c.HAS_TO, item):
        words = (size + VALUE_BYTES - 1) // VALUE_BYTES
        gas += rule(machine, CREATION_GAS) + rule(machine, INITCODE_WORD_GAS) * words
    first, last = item64(columns, c.ACCESS_OFFSETS, item), item64(columns, c.ACCESS_OFFSETS, item + 1)
    if last > first:
        slots = item64(columns, c.ACCESS_KEY_OFFSETS, last) - item64(columns, c.ACCESS_KEY_OFFSETS, first)
        gas += ACCESS_ADDRESS_GAS * (last - first) + ACCESS_SLOT_GAS * slots
    authorizations = item64(columns, c.AUTHORIZATION_OFFSETS, item + 1) - item64(
        columns, c.AUTHORIZATION_OFFSETS, item
    )
    return gas + NEW_AUTHORITY_GAS * authorizations


@njit(cache=True)
def floor_gas(machine: Any, columns: Any, item: Any) -> Any:
    """The least gas that a transaction costs, 0 where the fork has no floor."""
    per_token = rule(machine, FLOOR_TOKEN_GAS)
    if per_token == 0:
        return 0
    size, nonzero = input_bytes(columns, item), _nonzero_input(columns, item)
    return TRANSACTION_GAS + per_token * (size - nonzero + NONZERO_TOKENS * nonzero)
