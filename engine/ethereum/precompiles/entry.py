# SPDX-License-Identifier: GPL-3.0-or-later
"""The C function that the machine calls: the price first, then the contract; and what it calls that through.

A contract that is a compiled function is compiled, or loaded from the cache, at its first call; those with large kernels
(pairings, sums of multiples, maps, KZG) stay Python functions that call compiled ones. A first call, and every call of the
latter, goes through `_called`, whose errors mean that there is no answer (`supervm.engine.host_callbacks`).
"""

from __future__ import annotations

import ctypes
import functools
import threading
from typing import Any

import numpy as np
from numba import cfunc

from supervm.crypto import precompile_code, precompiles
from supervm.engine.ethereum.precompiles.prices import IS_MODEXP, price
from supervm.engine.host_callbacks import callback
from supervm.kernels.cpu.lanes.addresses import acquire64, call_address, copy
from supervm.kernels.errors import ArgumentError
from supervm.vm.context import NO_ANSWER
from supervm.vm.evm.machine import PRECOMPILE_TABLE, RETURN_BYTES, RETURN_CAPACITY, get, put
from supervm.vm.evm.precompiles import NUMBERS, PRECOMPILES

BACKENDS = dict.fromkeys(
    ("bn254_pairing_check", "bls12_pairing_check", "bls12_g1msm", "bls12_g2msm", "point_evaluation"), "auto"
)
"""Of contracts that are Python functions, where not `ONE_LANE`: a pairing spreads over lanes, and a sum has many terms."""

ONE_LANE = "scalar"

FAILED, RETRY = -1, -2
"""Answers beside the gas used: all gas is lost; the transaction must be run again."""

IS_IDENTITY = NUMBERS["identity"]

MOST_OUTPUT = 256
"""Bytes of an output at most, but those of `identity` and `modexp`: a point of G2 of BLS12-381."""

(
    ASK,  # address of `_called`
    RECOVERY,  # address of the multiples that ecRecover takes, and how many words they have
    _,
    FUNCTIONS,  # from here on, by number: address of the compiled function, 0 before its first call and where there is none
) = range(4)
"""Words of what `machine.PRECOMPILE_TABLE` points at, int64."""

COMPILED_SIGNATURE = "int64(int64, int64, int64, int64)"
"""Of the functions of `supervm.crypto.precompile_code`."""

ENTRY_SIGNATURE = "int64(int64, int64, int64, int64, int64, int64)"

_table = np.zeros(FUNCTIONS + max(NUMBERS.values()) + 1, np.int64)
_lock = threading.Lock()
_compiled: dict[int, Any] = {}
_BY_NUMBER = {row.number: row.name for row in PRECOMPILES}


def call_precompile(machine: Any, number: Any, data: Any, size: Any, gas: Any, out: Any) -> Any:
    """Call a precompiled contract; the gas used, `FAILED` or `RETRY`.

    Args:
        number: of `supervm.vm.evm.precompiles`.
        data, size: address and bytes of the input.
        gas: what the call has; nothing is computed that costs more.
        out: address of `machine.RETURN_CAPACITY` bytes, for the output; they do not overlap the input.

    The machine's `RETURN_BYTES` is the output's length; where that is larger than the capacity, `RETRY` asks for room, else
    for an answer that could not be computed.
    """
    put(machine, RETURN_BYTES, 0)
    cost = price(machine, number, data, size)
    if cost < 0 or cost > gas:
        return FAILED
    room = MOST_OUTPUT
    if number == IS_IDENTITY:
        room = size
    elif number == IS_MODEXP:
        room = precompile_code.operand_bytes(data, size, 2)
    if room > get(machine, RETURN_CAPACITY):
        put(machine, RETURN_BYTES, room)
        return RETRY
    if number == IS_IDENTITY:
        copy(out, data, size)
        put(machine, RETURN_BYTES, size)
        return cost
    table = get(machine, PRECOMPILE_TABLE)
    function = acquire64(table + 8 * (FUNCTIONS + number))
    if function:
        answer = call_address(function, data, size, out, table + 8 * RECOVERY)
    else:
        answer = call_address(acquire64(table + 8 * ASK), machine, number, data, size, out)
    if answer == 0 or answer == NO_ANSWER:
        return RETRY
    if answer < 0:
        return FAILED
    put(machine, RETURN_BYTES, answer - 1)
    return cost


@callback
def _called(number: int, data: int, size: int, out: int) -> int:
    """What a function of `precompile_code` answers, of any contract."""
    name = _BY_NUMBER[number]
    if name in precompile_code.FUNCTIONS:
        call = _function(number, name).ctypes
        return int(call(data, size, out, _table[RECOVERY:].ctypes.data))
    try:
        made = getattr(precompiles, name)(ctypes.string_at(data, size), backend=BACKENDS.get(name, ONE_LANE))
    except ArgumentError as error:
        if error.argument != "input":  # not the caller's fault
            raise
        return precompile_code.FAILED
    ctypes.memmove(out, made, len(made))
    return len(made) + 1


def _function(number: int, name: str) -> Any:
    """The C function of a contract, compiled or loaded, and from now on in the table."""
    with _lock:
        if number not in _compiled:
            found = cfunc(COMPILED_SIGNATURE, cache=True)(precompile_code.FUNCTIONS[name].py_func)
            if name == "ecrecover":
                multiples = precompile_code.recovery_table()
                _table[RECOVERY : RECOVERY + 2] = multiples.ctypes.data, multiples.size
            _compiled[number] = found
            _table[FUNCTIONS + number] = found.address
        return _compiled[number]


@functools.cache
def addresses() -> tuple[int, int]:
    """What belongs in the machine's `CALL_PRECOMPILE` and `PRECOMPILE_TABLE`, the same in every machine of the process."""
    _table[ASK] = ctypes.cast(_called, ctypes.c_void_p).value or 0
    return int(_entry().address), int(_table.ctypes.data)


@functools.cache
def _entry() -> Any:
    return cfunc(ENTRY_SIGNATURE, cache=True)(call_precompile)
