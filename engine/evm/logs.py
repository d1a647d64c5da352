# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs as execution leaves them, one behind the other, → logs in columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from supervm.crypto.messages import Messages
from supervm.engine.ethereum.receipts import Logs
from supervm.kernels.array_types import Numbers
from supervm.kernels.cpu.lanes.addresses import copy, load32
from supervm.vm.evm.state.records import LOG_ADDRESS, LOG_DATA_BYTES, LOG_HEADER, LOG_TOPICS

_ADDRESS, _WORD = 20, 32


def logs_of_records(places: Numbers, counts: Numbers) -> Logs:
    """The logs of n transactions, as `supervm.vm.evm.state.logs` writes them.

    Args:
        places: int64 (n,), addresses where each transaction's logs begin.
        counts: int64 (n,), how many it has.
    """
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=offsets[1:])
    total = int(offsets[-1])
    topic_offsets, data_offsets = np.zeros(total + 1, np.int64), np.zeros(total + 1, np.int64)
    _measure(places, counts, topic_offsets, data_offsets)
    addresses = np.empty((total, _ADDRESS), np.uint8)
    topics = np.empty((int(topic_offsets[-1]), _WORD), np.uint8)
    data = np.empty(int(data_offsets[-1]), np.uint8)
    places_of = addresses.ctypes.data, topics.ctypes.data, data.ctypes.data
    _copy_parts(places, counts, topic_offsets, data_offsets, *places_of)
    return Logs(offsets, addresses, topic_offsets, topics, Messages(data, data_offsets))


def equal_logs(one: Logs, other: Logs) -> bool:
    """Whether both are the same, transaction by transaction."""
    pairs = (
        (one.offsets, other.offsets),
        (one.addresses, other.addresses),
        (one.topic_offsets, other.topic_offsets),
        (one.topics, other.topics),
        (one.data.offsets, other.data.offsets),
        (one.data.data, other.data.data),
    )
    return all(np.array_equal(*pair) for pair in pairs)


@njit(nogil=True, cache=True)
def _measure(places: Any, counts: Any, topic_offsets: Any, data_offsets: Any) -> None:
    log = 0
    for item in range(counts.size):
        at = places[item]
        for _ in range(counts[item]):
            topics, size = load32(at + LOG_TOPICS), load32(at + LOG_DATA_BYTES)
            topic_offsets[log + 1] = topic_offsets[log] + topics
            data_offsets[log + 1] = data_offsets[log] + size
            at += LOG_HEADER + _WORD * topics + size
            log += 1


@njit(nogil=True, cache=True)
def _copy_parts(
    places: Any,
    counts: Any,
    topic_offsets: Any,
    data_offsets: Any,
    addresses: Any,
    topics: Any,
    data: Any,
) -> None:
    log = 0
    for item in range(counts.size):
        at = places[item]
        for _ in range(counts[item]):
            of_topics = _WORD * (topic_offsets[log + 1] - topic_offsets[log])
            size = data_offsets[log + 1] - data_offsets[log]
            copy(addresses + _ADDRESS * log, at + LOG_ADDRESS, _ADDRESS)
            at += LOG_HEADER
            copy(topics + _WORD * topic_offsets[log], at, of_topics)
            copy(data + data_offsets[log], at + of_topics, size)
            at += of_topics + size
            log += 1
