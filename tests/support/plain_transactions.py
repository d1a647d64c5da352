# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions one by one in plain Python: the encoding as the rules state it, and batches of such transactions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from supervm.engine.transactions.batch import TransactionBatch


@dataclass(frozen=True)
class Plain:
    """One transaction."""

    chain_id: int = 1
    sender: bytes = bytes(20)
    nonce: int = 0
    to: bytes = bytes(20)
    value: int = 0
    gas_limit: int = 1_000_000
    gas_price: int = 0
    entry: bytes = b""
    input: bytes = b""
    private: bool = False
    proof: bytes = b""
    objects: list[bytes] = field(default_factory=list)
    reads: list[bytes] | None = None
    writes: list[bytes] | None = None
    scheme: int = 0
    signature: bytes = b""

    @property
    def declared(self) -> bool:
        return self.reads is not None

    def unsigned(self) -> bytes:
        """Everything before the signature."""
        parts = [
            b"\x01",
            bytes([self.private * 1 + self.declared * 2]),
            bytes([self.scheme]),
            self.chain_id.to_bytes(8, "big"),
            self.sender,
            self.nonce.to_bytes(8, "big"),
            self.to,
            self.value.to_bytes(32, "big"),
            self.gas_limit.to_bytes(8, "big"),
            self.gas_price.to_bytes(8, "big"),
            len(self.entry).to_bytes(2, "big") + self.entry,
            len(self.input).to_bytes(4, "big") + self.input,
            len(self.objects).to_bytes(2, "big") + b"".join(self.objects),
        ]
        if self.reads is not None and self.writes is not None:
            for keys in (self.reads, self.writes):
                parts.append(len(keys).to_bytes(2, "big"))
                parts += [len(key).to_bytes(2, "big") + key for key in keys]
        parts.append(len(self.proof).to_bytes(4, "big") + self.proof)
        return b"".join(parts)

    def payload(self) -> bytes:
        """What is hashed and signed."""
        return b"supervm/transaction/1" + self.unsigned()

    def encoded(self) -> bytes:
        return self.unsigned() + len(self.signature).to_bytes(2, "big") + self.signature

    def signed(self, scheme: int, signature: bytes) -> Plain:
        return replace(self, scheme=scheme, signature=signature)


def batch_of(transactions: list[Plain]) -> TransactionBatch:
    """The columns of these transactions."""

    def rows(values: list[bytes], width: int) -> Any:
        return np.frombuffer(b"".join(values), np.uint8).reshape(-1, width)

    def lists(values: list[list[bytes]]) -> tuple[Any, list[bytes]]:
        offsets = np.cumsum([0, *map(len, values)]).astype(np.int64)
        return offsets, [item for items in values for item in items]

    def numbers(name: str) -> Any:
        return np.array([getattr(each, name) for each in transactions], np.uint64)

    object_offsets, ids = lists([each.objects for each in transactions])
    return TransactionBatch.of(
        sender=rows([each.sender for each in transactions], 20),
        nonce=numbers("nonce"),
        to=rows([each.to for each in transactions], 20),
        value=rows([each.value.to_bytes(32, "big") for each in transactions], 32),
        chain_id=numbers("chain_id"),
        gas_limit=numbers("gas_limit"),
        gas_price=numbers("gas_price"),
        entry=[each.entry for each in transactions],
        input=[each.input for each in transactions],
        private=np.array([each.private for each in transactions], np.bool_),
        proof=[each.proof for each in transactions],
        objects=(object_offsets, rows(ids, 32)),
        reads=lists([each.reads or [] for each in transactions]),
        writes=lists([each.writes or [] for each in transactions]),
        declared=np.array([each.declared for each in transactions], np.bool_),
        scheme=numbers("scheme"),
        signature=[each.signature for each in transactions],
    )


def _integers(bits: int) -> st.SearchStrategy[int]:
    return st.one_of(
        st.integers(0, (1 << bits) - 1), st.sampled_from([0, 1, (1 << bits) - 1, 1 << (bits - 1)])
    )


@st.composite
def transactions(draw: st.DrawFn) -> Plain:
    """Any transaction that has an encoding, with short strings."""
    keys = st.lists(st.binary(max_size=60), max_size=4)
    declared = draw(st.booleans())
    return Plain(
        chain_id=draw(_integers(64)),
        sender=draw(st.binary(min_size=20, max_size=20)),
        nonce=draw(_integers(64)),
        to=draw(st.binary(min_size=20, max_size=20)),
        value=draw(_integers(256)),
        gas_limit=draw(_integers(64)),
        gas_price=draw(_integers(64)),
        entry=draw(st.binary(max_size=12)),
        input=draw(st.binary(max_size=80)),
        private=draw(st.booleans()),
        proof=draw(st.binary(max_size=40)),
        objects=draw(st.lists(st.binary(min_size=32, max_size=32), max_size=3)),
        reads=draw(keys) if declared else None,
        writes=draw(keys) if declared else None,
        scheme=draw(st.integers(0, 255)),
        signature=draw(st.binary(max_size=100)),
    )
