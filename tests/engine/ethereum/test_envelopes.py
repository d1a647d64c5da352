# SPDX-License-Identifier: GPL-3.0-or-later
"""Encodings of Ethereum transactions: those of recorded blocks give what the blocks' JSON says; harmed ones are refused."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import rlp
from eth_account import Account
from eth_utils import to_checksum_address

from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.engine.ethereum.blocks import read_block
from supervm.engine.ethereum.encoding import encoded_transactions
from supervm.engine.ethereum.envelopes import read_envelopes
from supervm.engine.ethereum.transactions import EthereumTransactions, Integer, TransactionType

DATA = Path(__file__).resolve().parents[3] / "benchmarks" / "data"
BLOCKS = sorted(path.parent for path in DATA.glob("e*/*/block.json"))
KEY = Account.from_key(bytes(31) + b"\7")


def same(one: EthereumTransactions, other: EthereumTransactions) -> bool:
    arrays = ("type", "integers", "to", "has_to", "blob_offsets", "blob_hashes", "protected", "recovery_id")
    pairs = [(getattr(one, name), getattr(other, name)) for name in arrays]
    for part, names in (
        ("access_lists", ("offsets", "addresses", "key_offsets", "keys")),
        ("authorizations", ("offsets", "integers", "addresses")),
    ):
        pairs += [(getattr(getattr(one, part), name), getattr(getattr(other, part), name)) for name in names]
    return all(np.array_equal(*pair) for pair in pairs) and ragged.equal(one.input, other.input)


@pytest.mark.parametrize("folder", BLOCKS, ids=lambda folder: f"{folder.parent.name} {folder.name}")
def test_a_recorded_block_comes_back(folder: Path) -> None:
    given = read_block(folder).transactions
    found, wrong = read_envelopes(encoded_transactions(given))
    assert not wrong.any()
    # The JSON has a gas price for every type, and the parity beside v; an encoding has one of each.
    typed = given.type != TransactionType.LEGACY
    given.integers[~typed, Integer.Y_PARITY] = 0
    given.integers[given.type >= TransactionType.DYNAMIC_FEE, Integer.GAS_PRICE] = 0
    given.integers[typed, Integer.V] = 0
    assert same(found, given)


def made(random: Random, kind: int) -> bytes:
    """A signed transaction of a type."""
    to: Any = to_checksum_address(random.randbytes(20))
    fields: dict[str, Any] = {
        "nonce": random.choice((0, 1, 127, 128, 1 << 40)),
        "gas": random.choice((21_000, 10**6)),
        "value": random.choice((0, 1, 10**18)),
        "data": random.randbytes(random.choice((0, 1, 55, 56, 300))),
        "chainId": random.choice((1, 1337)),
        "to": to if kind > TransactionType.DYNAMIC_FEE or random.random() < 0.7 else b"",
    }
    if kind <= TransactionType.ACCESS_LIST:
        fields["gasPrice"] = random.choice((0, 7, 10**10))
    else:
        fields |= {"maxFeePerGas": 10**9, "maxPriorityFeePerGas": random.choice((0, 5, 10**9))}
    if kind:
        fields["type"] = kind
        fields["accessList"] = [
            {
                "address": to_checksum_address(random.randbytes(20)),
                "storageKeys": [f"0x{random.randbytes(32).hex()}" for _ in range(random.randrange(4))],
            }
            for _ in range(random.randrange(4))
        ]
    if kind == TransactionType.BLOB:
        hashes = [b"\1" + random.randbytes(31) for _ in range(random.randrange(1, 4))]
        fields |= {"maxFeePerBlobGas": 9, "blobVersionedHashes": hashes}
    if kind == TransactionType.SET_CODE:
        fields["authorizationList"] = [
            KEY.sign_authorization({"chainId": chain, "address": to, "nonce": random.choice((0, 300))})
            for chain in range(random.randrange(1, 4))
        ]
    return bytes(KEY.sign_transaction(fields).raw_transaction)


def test_types_of_all_kinds_are_read_and_harmed_ones_refused() -> None:
    random = Random(3)
    whole = [made(random, kind) for kind in list(TransactionType) * 8]
    found, wrong = read_envelopes(Messages.of(whole))
    assert not wrong.any()
    assert found.type.tolist() == [int(kind) for kind in TransactionType] * 8
    for row, encoding in enumerate(whole):
        fields = rlp.decode(encoding[1:] if found.type[row] else encoding)
        nonce = fields[1] if found.type[row] else fields[0]
        assert int(found.uint64(Integer.NONCE)[row]) == int.from_bytes(nonce)
    harmed = []
    for encoding in whole:
        for _ in range(25):
            data, place = bytearray(encoding), random.randrange(len(encoding))
            match random.randrange(3):
                case 0:
                    data[place] ^= 1 << random.randrange(8)
                case 1:
                    del data[place:]
                case _:
                    data.insert(place, random.randrange(256))
            harmed.append(bytes(data))
    _, wrong = read_envelopes(Messages.of(harmed))
    assert 0 < wrong.sum() < len(harmed)
    for encoding, refused in zip(harmed, wrong, strict=True):
        if not refused:
            body = encoding if encoding[0] >= 0xC0 else encoding[1:]
            assert rlp.encode(rlp.decode(body, strict=True)) == body


def test_what_is_no_transaction_is_refused() -> None:
    whole = made(Random(1), TransactionType.DYNAMIC_FEE)
    wrong = [b"", b"\0" + whole[1:], b"\5" + whole[1:], b"\xc0", whole + b"\0", b"\2" + rlp.encode([])]
    found, refused = read_envelopes(Messages.of([*wrong, whole]))
    assert refused.tolist() == [True] * len(wrong) + [False]
    assert found.uint64(Integer.CHAIN_ID)[-1] in (1, 1337)
