# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions and receipts as plain Python values, and the canonical encoding, version 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from Crypto.Hash import keccak


@dataclass(frozen=True)
class Tx:
    """One transaction; every field of the canonical encoding, under the rules' names."""

    sender: bytes
    nonce: int
    to: bytes
    value: int = 0
    gas_limit: int = 1_000_000
    gas_price: int = 0
    entry: bytes = b""
    input: bytes = b""
    objects: list[bytes] = field(default_factory=list)
    chain_id: int = 1
    private: bool = False
    proof: bytes = b""
    scheme: int = 0
    signature: bytes = b""
    declared: bool = False
    reads: list[bytes] = field(default_factory=list)
    writes: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class Receipt:
    """What became of a transaction. The state keys are filled in by a judge that logs access, and are sorted."""

    accepted: bool
    success: bool
    reason: int
    gas: int = 0
    return_value: int = 0
    output: bytes = b""
    events: list[bytes] = field(default_factory=list)
    reads: list[bytes] = field(default_factory=list, compare=False)
    writes: list[bytes] = field(default_factory=list, compare=False)


def _number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def _counted(data: bytes, size: int) -> bytes:
    return _number(len(data), size) + data


def _keys(keys: Sequence[bytes]) -> bytes:
    return _number(len(keys), 2) + b"".join(_counted(key, 2) for key in keys)


def unsigned_bytes(tx: Tx) -> bytes:
    """The canonical encoding without its last field, the signature."""
    flags = int(tx.private) | int(tx.declared) << 1
    parts = [
        b"\x01",
        _number(flags, 1),
        _number(tx.scheme, 1),
        _number(tx.chain_id, 8),
        tx.sender,
        _number(tx.nonce, 8),
        tx.to,
        _number(tx.value, 32),
        _number(tx.gas_limit, 8),
        _number(tx.gas_price, 8),
        _counted(tx.entry, 2),
        _counted(tx.input, 4),
        _number(len(tx.objects), 2),
        *tx.objects,
    ]
    if tx.declared:
        parts += [_keys(tx.reads), _keys(tx.writes)]
    return b"".join([*parts, _counted(tx.proof, 4)])


def encode(tx: Tx) -> bytes:
    """The canonical encoding."""
    return unsigned_bytes(tx) + _counted(tx.signature, 2)


def digest(tx: Tx) -> bytes:
    """What is signed."""
    return _keccak(b"supervm/transaction/1" + unsigned_bytes(tx))


def transaction_hash(tx: Tx) -> bytes:
    """Keccak-256 of the whole encoding."""
    return _keccak(encode(tx))


def _keccak(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()
