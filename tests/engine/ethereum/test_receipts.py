# SPDX-License-Identifier: GPL-3.0-or-later
"""Receipts, blooms and requests, against plain Python over the packages `rlp` and `pycryptodome`."""

from __future__ import annotations

import hashlib
import random
from typing import Any, NamedTuple

import numpy as np
import pytest
import rlp
from plain_trie import PlainTrie, keccak256
from trie import HexaryTrie

from supervm.crypto.messages import Messages
from supervm.engine.ethereum.receipts import (
    Logs,
    block_bloom,
    encoded_logs,
    encoded_receipts,
    logs_bloom,
    logs_hash,
    receipts_root,
    requests_hash,
)
from supervm.kernels.array_types import Bytes
from supervm.kernels.errors import ArgumentError

EMPTY_LIST_HASH = "1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"


class Log(NamedTuple):
    address: bytes
    topics: list[bytes]
    data: bytes


def some_logs(chosen: random.Random, transactions: int) -> list[list[Log]]:
    def log() -> Log:
        topics = [chosen.randbytes(32) for _ in range(chosen.randrange(5))]
        return Log(chosen.randbytes(20), topics, chosen.randbytes(chosen.choice([0, 1, 32, 55, 56, 300])))

    return [[log() for _ in range(chosen.choice([0, 0, 1, 2, 7]))] for _ in range(transactions)]


def columns(transactions: list[list[Log]]) -> Logs:
    logs = [log for each in transactions for log in each]
    return Logs(
        np.cumsum([0, *map(len, transactions)]),
        rows([log.address for log in logs], 20),
        np.cumsum([0, *(len(log.topics) for log in logs)]),
        rows([topic for log in logs for topic in log.topics], 32),
        Messages.of([log.data for log in logs]),
    )


def rows(items: list[bytes], width: int) -> Bytes:
    return np.frombuffer(bytearray(b"".join(items)), np.uint8).reshape(-1, width)


def bloom_of(logs: list[Log]) -> bytes:
    """Yellow Paper, section 4.3.1, with one big number."""
    bits = 0
    for log in logs:
        for entry in (log.address, *log.topics):
            digest = keccak256(entry)
            for pair in (0, 2, 4):
                bits |= 1 << (int.from_bytes(digest[pair : pair + 2]) % 2048)
    return bits.to_bytes(256)


def receipt_of(kind: int, outcome: Any, gas: int, logs: list[Log]) -> bytes:
    shown = [[log.address, log.topics, log.data] for log in logs]
    body: bytes = rlp.encode([outcome, gas, bloom_of(logs), shown])
    return (bytes([kind]) if kind else b"") + body


@pytest.mark.parametrize("byzantium", [True, False], ids=["status", "root"])
@pytest.mark.parametrize("count", [0, 1, 2, 50, 200])
def test_receipts(count: int, byzantium: bool) -> None:
    chosen = random.Random(count)
    shown = some_logs(chosen, count)
    logs = columns(shown)
    blooms = logs_bloom(logs)
    types = np.array([chosen.randrange(5) if byzantium else 0 for _ in range(count)], np.uint8)
    gas = np.array([chosen.choice([0, 1, 127, 128, 21_000, 2**64 - 1]) for _ in range(count)], np.uint64)
    outcomes: Any = np.array([chosen.random() < 0.5 for _ in range(count)], np.bool_)
    if not byzantium:
        outcomes = rows([chosen.randbytes(32) for _ in range(count)], 32)
    told = [int(outcome) if byzantium else outcome.tobytes() for outcome in outcomes]
    expected = [receipt_of(*each) for each in zip(types.tolist(), told, gas.tolist(), shown, strict=True)]
    receipts = encoded_receipts(types, outcomes, gas, blooms, logs)
    assert [receipts[i] for i in range(len(receipts))] == expected
    assert [bloom.tobytes() for bloom in blooms] == [bloom_of(each) for each in shown]
    assert block_bloom(blooms).tobytes() == bloom_of([log for each in shown for log in each])
    trie = HexaryTrie({})
    for index, receipt in enumerate(expected):
        trie[rlp.encode(index)] = receipt
    assert receipts_root(types, outcomes, gas, blooms, logs) == trie.root_hash


def test_lists_and_hashes_of_logs() -> None:
    shown = some_logs(random.Random(3), 30)
    expected = [rlp.encode([[log.address, log.topics, log.data] for log in each]) for each in shown]
    encoded = encoded_logs(columns(shown))
    assert [encoded[i] for i in range(len(encoded))] == expected
    assert [digest.tobytes() for digest in logs_hash(columns(shown))] == [
        keccak256(each) for each in expected
    ]
    assert logs_hash(columns([[]])).tobytes().hex() == EMPTY_LIST_HASH


def test_a_known_filter() -> None:
    """Three bits each of the address and the topic, where the number's lowest bit stands last."""
    bloom = logs_bloom(columns([[Log(bytes(20), [bytes(32)], b"")]]))[0]
    assert int(np.unpackbits(bloom).sum()) == 6
    digest = keccak256(bytes(20))
    bit = int.from_bytes(digest[:2]) & 0x7FF
    assert bloom[255 - bit // 8] & (1 << bit % 8)


def test_requests() -> None:
    """Lists of no requests are left out (EIP-7685)."""
    assert requests_hash([]) == hashlib.sha256(b"").digest()
    assert requests_hash([b"\0", b"\1", b"\2"]) == hashlib.sha256(b"").digest()
    one, two = b"\0" + b"d" * 192, b"\2" + b"c" * 116
    inner = hashlib.sha256(one).digest() + hashlib.sha256(two).digest()
    assert requests_hash([one, b"\1", two]) == hashlib.sha256(inner).digest()


@pytest.mark.parametrize("argument", ["types", "outcomes", "cumulative_gas", "blooms"])
def test_columns_of_another_shape(argument: str) -> None:
    logs = columns([[], []])
    given: dict[str, Any] = {
        "types": np.zeros(2, np.uint8),
        "outcomes": np.ones(2, np.bool_),
        "cumulative_gas": np.zeros(2, np.uint64),
        "blooms": logs_bloom(logs),
    }
    given[argument] = given[argument][:1]
    with pytest.raises(ArgumentError) as refused:
        encoded_receipts(**given, logs=logs)
    assert refused.value.argument == argument


def test_the_oracle_agrees_with_itself() -> None:
    """Keys of an ordered trie are not hashed; the plain trie takes such as no other begins with."""
    items = {rlp.encode(i): bytes([i]) * 40 for i in range(1, 100)}
    trie = HexaryTrie({})
    for name, held in items.items():
        trie[name] = held
    assert PlainTrie(items).root == trie.root_hash
