# SPDX-License-Identifier: GPL-3.0-or-later
"""Receipts in columns: logs, blooms, encodings, and the roots and hashes that a header has of them.

A receipt is the list of an outcome, the gas used up to it in the block, a bloom filter of its logs, and the logs; that of a
typed transaction stands behind its type. The outcome is the state root after the transaction before Byzantium and its status
since. Sources: the Yellow Paper, section 4.3.1; EIP-658 (status), EIP-2718 (types), EIP-7685 (requests).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.ethereum.rlp import LIST, MAX_HEADER
from supervm.engine.ethereum.rlp_memory import WORD, put_header_at, put_integer_at, put_string_at, put_word_at
from supervm.engine.ethereum.trie import ordered_trie_root
from supervm.engine.ethereum.tries.nodes import keccak
from supervm.kernels.array_types import Bytes, Flags, Offsets
from supervm.kernels.cpu.lanes.addresses import copy, store8
from supervm.kernels.errors import ArgumentError

BLOOM_BYTES = 256
_BLOOM_BITS = 8 * BLOOM_BYTES
_ADDRESS = 20
_GAS = 8
_LOG_MOST = 4 * MAX_HEADER + _ADDRESS
"""Bytes of a log at most besides its topics and data."""
_RECEIPT_MOST = 4 * MAX_HEADER + 1 + WORD + _GAS + BLOOM_BYTES
"""Bytes of a receipt at most besides its logs."""


@dataclass(frozen=True)
class Logs:
    """Logs of n transactions, in order: those of transaction i are `offsets[i]:offsets[i + 1]`, the topics of log j are
    `topic_offsets[j]:topic_offsets[j + 1]`. `addresses` uint8 (m, 20), `topics` uint8 (k, 32), `data` m messages."""

    offsets: Offsets
    addresses: Bytes
    topic_offsets: Offsets
    topics: Bytes
    data: Messages

    def __len__(self) -> int:
        return len(self.offsets) - 1


def logs_bloom(logs: Logs, *, backend: str = "auto") -> Bytes:
    """The bloom filter of each transaction's logs, uint8 (n, 256): three bits for each address and topic.

    Args:
        logs: of n transactions.
        backend: where Keccak-256 runs.
    """
    blooms = np.zeros((len(logs), BLOOM_BYTES), np.uint8)
    addresses = keccak(Messages.of(logs.addresses), backend)
    topics = keccak(Messages.of(logs.topics), backend)
    _set_bits(logs.offsets, logs.topic_offsets, addresses, topics, blooms)
    return blooms


def block_bloom(blooms: Bytes) -> Bytes:
    """The bloom filter of a block, uint8 (256,), of those of its transactions."""
    whole: Bytes = np.bitwise_or.reduce(blooms, axis=0, initial=0)
    return whole


def encoded_logs(logs: Logs) -> Messages:
    """The RLP list of each transaction's logs."""
    sizes = _LOG_MOST + np.diff(logs.topic_offsets) * (1 + WORD) + np.diff(logs.data.offsets)
    rooms = np.diff(np.append(0, np.cumsum(sizes))[logs.offsets]) + MAX_HEADER
    out, offsets = np.empty(int(rooms.sum()), np.uint8), np.zeros(len(logs) + 1, np.int64)
    columns = logs.offsets, logs.addresses, logs.topic_offsets, logs.topics, logs.data.data, logs.data.offsets
    end = _write_logs(columns, _scratch(rooms), out, offsets)
    return Messages(out[:end], offsets)


def logs_hash(logs: Logs, *, backend: str = "auto") -> Bytes:
    """The Keccak-256 of the RLP of each transaction's logs, uint8 (n, 32), as state tests state it."""
    return keccak(encoded_logs(logs), backend)


def encoded_receipts(
    types: Bytes, outcomes: Flags | Bytes, cumulative_gas: NDArray[np.uint64], blooms: Bytes, logs: Logs
) -> Messages:
    """The receipts of n transactions, as their trie has them.

    Args:
        types: uint8 (n,), the transactions' types.
        outcomes: bool (n,), whether each succeeded; before Byzantium uint8 (n, 32), the state root after it.
        cumulative_gas: uint64 (n,), used in the block up to and with each.
        blooms: uint8 (n, 256), of `logs_bloom`.
        logs: of n transactions.

    Raises:
        ArgumentError: another shape or dtype.
    """
    n = len(logs)
    _check(types, "types", np.uint8, (n,))
    _check(cumulative_gas, "cumulative_gas", np.uint64, (n,))
    _check(blooms, "blooms", np.uint8, (n, BLOOM_BYTES))
    roots = outcomes.dtype == np.uint8
    _check(outcomes, "outcomes", np.uint8 if roots else np.bool_, (n, WORD) if roots else (n,))
    rows = outcomes if roots else outcomes[:, None].astype(np.uint8)
    gas = np.ascontiguousarray(cumulative_gas.astype(">u8")).view(np.uint8).reshape(n, _GAS)
    encoded = encoded_logs(logs)
    rooms = np.diff(encoded.offsets) + _RECEIPT_MOST
    out, offsets = np.empty(int(rooms.sum()), np.uint8), np.zeros(n + 1, np.int64)
    columns = types, np.ascontiguousarray(rows), gas, blooms, encoded.data, encoded.offsets
    end = _write_receipts(columns, _scratch(rooms), out, offsets)
    return Messages(out[:end], offsets)


def receipts_root(
    types: Bytes,
    outcomes: Flags | Bytes,
    cumulative_gas: NDArray[np.uint64],
    blooms: Bytes,
    logs: Logs,
    *,
    backend: str = "auto",
) -> bytes:
    """The receipts root of a block; arguments and errors as `encoded_receipts`."""
    receipts = encoded_receipts(types, outcomes, cumulative_gas, blooms, logs)
    return ordered_trie_root(receipts, backend=backend).tobytes()


def requests_hash(requests: Sequence[bytes]) -> bytes:
    """The hash of a block's requests (EIP-7685): SHA-256 over the SHA-256 of each list of them that is not empty.

    Args:
        requests: for each type in ascending order, the type's byte and behind it the data of all requests of this type.
    """
    hashed = b"".join(hashlib.sha256(request).digest() for request in requests if len(request) > 1)
    return hashlib.sha256(hashed).digest()


def _scratch(rooms: NDArray[np.int64]) -> Bytes:
    """Where one item at a time is written from its end, before it goes behind those that are done."""
    return np.empty(int(rooms.max(initial=0)), np.uint8)


def _check(array: NDArray[np.generic], argument: str, dtype: type, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ArgumentError(argument, f"{array.dtype} {array.shape}", f"{np.dtype(dtype)} {shape}")


@njit(nogil=True, cache=True)
def _set_bits(offsets, topic_offsets, addresses, topics, blooms):  # type: ignore[no-untyped-def]
    for i in range(len(offsets) - 1):
        for log in range(offsets[i], offsets[i + 1]):
            _set_three(blooms, i, addresses, log)
            for topic in range(topic_offsets[log], topic_offsets[log + 1]):
                _set_three(blooms, i, topics, topic)


@njit(nogil=True, cache=True)
def _set_three(blooms, i, hashes, item):  # type: ignore[no-untyped-def]
    """The low eleven bits of each of the first three pairs of bytes name a bit, counted from the filter's end."""
    for pair in range(0, 6, 2):
        bit = ((np.int64(hashes[item, pair]) << 8) | np.int64(hashes[item, pair + 1])) & (_BLOOM_BITS - 1)
        blooms[i, BLOOM_BYTES - 1 - (bit >> 3)] |= np.uint8(1 << (bit & 7))


@njit(nogil=True, cache=True)
def _write_logs(columns, scratch, out, offsets):  # type: ignore[no-untyped-def]
    """Write every list behind the one before; return the end."""
    log_offsets, addresses, topic_offsets, topics, data, data_offsets = columns
    target, address, topic, datum = (
        out.ctypes.data,
        addresses.ctypes.data,
        topics.ctypes.data,
        data.ctypes.data,
    )
    last = np.int64(scratch.ctypes.data) + len(scratch)
    end = 0
    for i in range(len(log_offsets) - 1):
        p = last
        for log in range(log_offsets[i + 1] - 1, log_offsets[i] - 1, -1):
            log_end = p
            p = put_string_at(p, datum + data_offsets[log], data_offsets[log + 1] - data_offsets[log])
            topics_end = p
            for k in range(topic_offsets[log + 1] - 1, topic_offsets[log] - 1, -1):
                p = put_word_at(p, topic + WORD * k)
            p = put_header_at(p, topics_end - p, LIST)
            p = put_string_at(p, address + _ADDRESS * log, _ADDRESS)
            p = put_header_at(p, log_end - p, LIST)
        p = put_header_at(p, last - p, LIST)
        copy(target + end, p, last - p)
        end += last - p
        offsets[i + 1] = end
    return end


@njit(nogil=True, cache=True)
def _write_receipts(columns, scratch, out, offsets):  # type: ignore[no-untyped-def]
    """As `_write_logs`."""
    types, outcomes, gas, blooms, logs, log_offsets = columns
    target, outcome, used, bloom = out.ctypes.data, outcomes.ctypes.data, gas.ctypes.data, blooms.ctypes.data
    log = logs.ctypes.data
    width = outcomes.shape[1]
    last = np.int64(scratch.ctypes.data) + len(scratch)
    end = 0
    for i in range(len(types)):
        size = log_offsets[i + 1] - log_offsets[i]
        copy(last - size, log + log_offsets[i], size)
        p = put_string_at(last - size, bloom + BLOOM_BYTES * i, BLOOM_BYTES)
        p = put_integer_at(p, used + _GAS * i, _GAS)
        if width == 1:
            p = put_integer_at(p, outcome + i, 1)
        else:
            p = put_word_at(p, outcome + WORD * i)
        p = put_header_at(p, last - p, LIST)
        if types[i] != 0:
            p -= 1
            store8(p, types[i])
        copy(target + end, p, last - p)
        end += last - p
        offsets[i + 1] = end
    return end
