# SPDX-License-Identifier: GPL-3.0-or-later
"""Encodings and the transactions root, against eth-account's encodings and the packages rlp and trie."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st
from trie import HexaryTrie

from supervm.crypto.hashes import keccak256_batch
from supervm.crypto.messages import Messages
from supervm.engine.ethereum.blocks import decode_block, read_block
from supervm.engine.ethereum.encoding import authorization_payloads, encoded_transactions, signing_payloads
from supervm.engine.ethereum.rlp import LIST, put_header, put_integer, put_string
from supervm.engine.ethereum.trie import ordered_trie_root

ROOT = Path(__file__).resolve().parents[3]
BLOCKS = sorted((ROOT / "benchmarks" / "data" / "ethereum").iterdir(), key=lambda path: int(path.name))
TYPED = json.loads((ROOT / "tests" / "vectors" / "ethereum" / "typed.json").read_text())


def octets(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def typed() -> Any:
    return decode_block(json.dumps(TYPED["block"]).encode(), Path("typed.json"))


@pytest.mark.parametrize("folder", BLOCKS, ids=lambda path: path.name)
def test_hashes_and_root_of_mainnet_blocks(folder: Path) -> None:
    block = read_block(folder)
    encoded = encoded_transactions(block.transactions)
    assert np.array_equal(keccak256_batch(encoded), block.transactions.claimed_hash)
    assert np.array_equal(ordered_trie_root(encoded), block.transactions_root)


def test_every_type_as_eth_account_encodes_it() -> None:
    block = typed()
    encoded = encoded_transactions(block.transactions)
    assert [encoded[i] for i in range(len(encoded))] == [octets(text) for text in TYPED["encoded"]]
    assert np.array_equal(ordered_trie_root(encoded), block.transactions_root)


@pytest.mark.parametrize("dropped", ["v", "yParity"])
def test_a_typed_transaction_may_give_its_parity_in_either_field(dropped: str) -> None:
    block = json.loads(json.dumps(TYPED["block"]))
    for shown in block["transactions"]:
        if shown["type"] != "0x0":
            del shown[dropped]
    encoded = encoded_transactions(decode_block(json.dumps(block).encode(), Path("typed.json")).transactions)
    assert [encoded[i] for i in range(len(encoded))] == [octets(text) for text in TYPED["encoded"]]


def test_what_is_signed_is_the_encoding_without_its_signature() -> None:
    block = typed()
    payloads = signing_payloads(block.transactions)
    for i, text in enumerate(TYPED["encoded"]):
        whole, shown = octets(text), TYPED["block"]["transactions"][i]
        prefix = whole[:1] if shown["type"] != "0x0" else b""
        fields = rlp.decode(whole[len(prefix) :])[:-3]
        if not prefix and "chainId" in shown:
            fields += [rlp.sedes.big_endian_int.serialize(int(shown["chainId"], 16)), b"", b""]
        assert payloads[i] == prefix + rlp.encode(fields)


def test_authorization_payloads() -> None:
    listed = [a for shown in TYPED["block"]["transactions"] for a in shown.get("authorizationList", [])]
    payloads = authorization_payloads(typed().transactions.authorizations)
    assert len(payloads) == len(listed) == 5
    for i, entry in enumerate(listed):
        fields = [int(entry["chainId"], 16), octets(entry["address"]), int(entry["nonce"], 16)]
        assert payloads[i] == b"\x05" + rlp.encode(fields)


@pytest.mark.parametrize("length", [0, 1, 54, 55, 56, 57, 255, 256, 257, 65_535, 65_536, 70_000])
def test_call_data_of_every_header_length(length: int) -> None:
    block = json.loads(json.dumps(TYPED["block"]))
    data = random.Random(length).randbytes(length)
    block["transactions"] = [shown | {"input": "0x" + data.hex()} for shown in block["transactions"]]
    encoded = encoded_transactions(decode_block(json.dumps(block).encode(), Path("typed.json")).transactions)
    for i, text in enumerate(TYPED["encoded"]):
        prefix = b"" if block["transactions"][i]["type"] == "0x0" else octets(text)[:1]
        fields = rlp.decode(octets(text)[len(prefix) :])
        fields[5 if not prefix else 6 if prefix == b"\x01" else 7] = data
        assert encoded[i] == prefix + rlp.encode(fields)


@given(st.binary(max_size=80))
def test_strings_and_lists(item: bytes) -> None:
    out = np.zeros(120, np.uint8)
    data = np.frombuffer(item + b"\0", np.uint8)
    start = put_string(out, 120, data, 0, len(item))
    assert out[start:].tobytes() == rlp.encode(item)
    start = put_header(out, start, 120 - start, LIST)
    assert out[start:].tobytes() == rlp.encode([item])


@given(st.one_of(st.integers(0, 300), st.integers(0, 2**256 - 1)))
def test_integers(number: int) -> None:
    out = np.zeros(40, np.uint8)
    start = put_integer(out, 40, np.frombuffer(number.to_bytes(32, "big"), np.uint8))
    assert out[start:].tobytes() == rlp.encode(number)


def root_by_package(values: list[bytes]) -> bytes:
    trie = HexaryTrie({})
    for index, value in enumerate(values):
        trie[rlp.encode(index)] = value
    return bytes(trie.root_hash)


SIZES = [*range(20), 127, 128, 129, 130, 143, 144, 145, 255, 256, 257, 258, 259, 272, 273, 512, 513, 800]


@pytest.mark.parametrize("lengths", [(1, 5), (20, 40), (100, 300)], ids=str)
@pytest.mark.parametrize("size", SIZES)
def test_root_against_the_trie_package(size: int, lengths: tuple[int, int]) -> None:
    chosen = random.Random(size)
    values = [chosen.randbytes(chosen.randint(*lengths)) for _ in range(size)]
    assert ordered_trie_root(Messages.of(values)).tobytes() == root_by_package(values)


def test_root_changes_with_order_and_with_every_value() -> None:
    values = [bytes([i]) * 40 for i in range(200)]
    right = ordered_trie_root(Messages.of(values)).tobytes()
    values[3], values[150] = values[150], values[3]
    assert ordered_trie_root(Messages.of(values)).tobytes() != right
    values[3], values[150] = values[150], values[3]
    values[199] += b"\0"
    assert ordered_trie_root(Messages.of(values)).tobytes() != right
