# SPDX-License-Identifier: GPL-3.0-or-later
"""What host functions share: the guest's memory, its arguments, charging, trapping."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from numba import cfunc, njit

from supervm.kernels.cpu.lanes.addresses import call_address, copy, load32, store8, store32, store64
from supervm.kernels.cpu.state.access_set import TOO_MANY, find_key, get, lacking, put
from supervm.vm.context import (
    ACCOUNT_KEY,
    GAS_CHARGED,
    GAS_LIMIT,
    KEY_RECORD,
    MEMORY,
    MEMORY_BYTES,
    NEEDS_ANSWER,
    NO_ANSWER,
    REASON,
    RETRY,
    SCRATCH,
    TRAP_NEW,
    refresh_memory,
)
from supervm.vm.gas import PRICES
from supervm.vm.outcomes import Reason

OUT_OF_GAS = int(Reason.OUT_OF_GAS)
BAD_POINTER = int(Reason.BAD_POINTER)
LIMIT_EXCEEDED = int(Reason.LIMIT_EXCEEDED)
NO_HELD_VALUE = int(Reason.NO_HELD_VALUE)
EVENT_INDEX = int(Reason.EVENT_INDEX)


def priced(name: str) -> tuple[int, int]:
    """Base and price a byte of a host function."""
    price = PRICES[name]
    assert price.unit == 1, name
    return price.base, price.each


HOST_SIGNATURE = "int64(int64, int64, int64, int64)"
"""wasmtime_func_unchecked_callback_t: environment (the worker), caller, arguments and results, their number; a trap."""


class HostCode:
    """The machine code of a host function: compiled, or loaded from the cache, when its address is first asked for.

    Attributes:
        py_func: the function as it is written.
    """

    def __init__(self, py_func: Callable[..., Any]) -> None:
        self.py_func = py_func
        self._lock = threading.Lock()
        self._code: Any = None

    @property
    def address(self) -> int:
        """Of the C function; good for as long as the process lives."""
        with self._lock:
            if self._code is None:
                self._code = cfunc(HOST_SIGNATURE, cache=True)(self.py_func)
            return int(self._code.address)


def host_function(function: Callable[..., Any]) -> HostCode:
    """Make a function of (worker, caller, arguments, count) a host function, which guests call as a C function."""
    return HostCode(function)


VALUE_SLOT = 16
"""Bytes of an argument or result: wasmtime_val_raw_t."""

ADDRESS_BYTES = 20
PREFIX_BYTES = 1 + ADDRESS_BYTES
"""Of a storage key: what stands before the contract's own part. An account's key has as many bytes in all."""


@njit(cache=True, inline="always")
def argument(arguments: Any, index: Any) -> Any:
    """An i32 argument, unsigned."""
    return load32(arguments + VALUE_SLOT * index)


@njit(cache=True, inline="always")
def answer32(arguments: Any, value: Any) -> Any:
    """Return an i32."""
    store32(arguments, value)
    return 0


@njit(cache=True, inline="always")
def answer64(arguments: Any, value: Any) -> Any:
    """Return an i64."""
    store64(arguments, value)
    return 0


@njit(cache=True)
def trap(worker: Any, reason: Any) -> Any:
    """End the call for this reason; the trap to return."""
    put(worker, REASON, reason)
    message = get(worker, SCRATCH)
    store8(message, 0)
    return call_address(get(worker, TRAP_NEW), message, 1)


@njit(cache=True)
def trap_for(worker: Any, problem: Any) -> Any:
    """End the call since an access set was full, which is tried again, or larger than the rules allow."""
    return trap(worker, LIMIT_EXCEEDED if problem == TOO_MANY else RETRY)


@njit(cache=True)
def told(worker: Any, arguments: Any, answer: Any) -> Any:
    """Return what a callback of the engine answered, an i32; end the call, to be tried again, where it answered nothing."""
    if answer == NO_ANSWER:
        lacking(worker, NEEDS_ANSWER, 0)
        return trap(worker, RETRY)
    return answer32(arguments, answer)


@njit(cache=True, inline="always")
def at(worker: Any, pointer: Any) -> Any:
    """The address of a place in the guest's memory."""
    return get(worker, MEMORY) + pointer


@njit(cache=True, inline="always")
def charge(worker: Any, price: Any) -> bool:
    """Charge; whether the gas limit is still kept."""
    total = get(worker, GAS_CHARGED) + price
    put(worker, GAS_CHARGED, total)
    return total <= get(worker, GAS_LIMIT)


@njit(cache=True)
def opening(
    worker: Any,
    price: Any,
    pointer: Any = None,
    length: Any = 0,
    second: Any = 0,
    second_length: Any = 0,
    third: Any = 0,
    third_length: Any = 0,
) -> Any:
    """What every host function begins with: areas that must lie in the guest's memory, then the price.

    Returns:
        0, or the trap to return: `BAD_POINTER`, with nothing charged, or `OUT_OF_GAS`.
    """
    if pointer is not None:
        refresh_memory(worker)  # once: it asks wasmtime
        end = get(worker, MEMORY_BYTES)
        if pointer + length > end or second + second_length > end or third + third_length > end:
            return trap(worker, BAD_POINTER)
    if not charge(worker, price):
        return trap(worker, OUT_OF_GAS)
    return 0


@njit(cache=True)
def account_number(worker: Any, address: Any) -> Any:
    """The key number of the account of an address, or `FULL`."""
    key = get(worker, ACCOUNT_KEY)
    copy(key + 1, address, ADDRESS_BYTES)
    return find_key(worker, get(worker, KEY_RECORD), key, PREFIX_BYTES)
