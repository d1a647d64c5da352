# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of a transaction, as bytes one behind the other (`records.LOG_HEADER`); a failed call takes its own back."""

from __future__ import annotations

from typing import Any

from numba import njit

from supervm.kernels.cpu.lanes.addresses import copy, store32
from supervm.vm.evm.machine import RETRY, VALUE_BYTES, get, put, retry
from supervm.vm.evm.state import journal
from supervm.vm.evm.state.records import (
    ADDRESS,
    LOG_ADDRESS,
    LOG_COUNT,
    LOG_DATA_BYTES,
    LOG_HEADER,
    LOG_TOPICS,
    LOGS,
    LOGS_CAPACITY,
    LOGS_USED,
    NEEDS_LOGS,
)
from supervm.vm.evm.words import to_address_bytes, to_bytes


@njit(cache=True)
def log(machine: Any, record: Any, topics: Any, count: Any, data: Any, size: Any) -> Any:
    """Add a log; 0 or `RETRY`.

    Args:
        record: of the account that logs.
        topics: address of the first of `count` topics, values; each next one lies 32 bytes below, as on a stack.
        data, size: address and bytes of the data.
    """
    used = get(machine, LOGS_USED)
    wanted = LOG_HEADER + VALUE_BYTES * count + size
    if wanted > get(machine, LOGS_CAPACITY) - used:
        return retry(machine, NEEDS_LOGS, wanted)
    if journal.set_word(machine, machine + 8 * LOGS_USED, used + wanted) < 0:
        return RETRY
    if journal.set_word(machine, machine + 8 * LOG_COUNT, get(machine, LOG_COUNT) + 1) < 0:
        return RETRY
    at = get(machine, LOGS) + used
    store32(at + LOG_DATA_BYTES, size)
    store32(at + LOG_TOPICS, count)
    to_address_bytes(at + LOG_ADDRESS, record + ADDRESS)
    at += LOG_HEADER
    for place in range(count):
        to_bytes(at, topics - VALUE_BYTES * place)
        at += VALUE_BYTES
    copy(at, data, size)
    return 0


@njit(cache=True)
def put_behind(machine: Any, data: Any, size: Any) -> Any:
    """Copy bytes, such as the output, behind the logs; where they are, counted from the beginning, or `RETRY`."""
    used = get(machine, LOGS_USED)
    if size > get(machine, LOGS_CAPACITY) - used:
        return retry(machine, NEEDS_LOGS, size)
    copy(get(machine, LOGS) + used, data, size)
    put(machine, LOGS_USED, used + size)
    return used
