# SPDX-License-Identifier: GPL-3.0-or-later
"""The canonical encoding, byte by byte."""

from __future__ import annotations

from dataclasses import replace

from Crypto.Hash import keccak
from judge import Tx
from judge.transaction import digest, encode, transaction_hash

PLAIN = Tx(b"\xaa" * 20, 5, b"\xbb" * 20, value=6, gas_limit=7, gas_price=8, chain_id=9)
HEAD = "01 00 00 0000000000000009" + "aa" * 20 + "0000000000000005" + "bb" * 20 + "00" * 31 + "06"
MONEY = "0000000000000007 0000000000000008"


def test_a_transfer():
    expected = HEAD + MONEY + "0000" + "00000000" + "0000" + "00000000" + "0000"
    assert encode(PLAIN) == bytes.fromhex(expected)


def test_every_field():
    tx = replace(
        PLAIN,
        entry=b"go",
        input=b"\x01\x02\x03",
        objects=[b"\xcc" * 32],
        private=True,
        proof=b"\x0f",
        scheme=2,
        signature=b"\x11" * 65,
        declared=True,
        reads=[b"\x00\x01", b""],
        writes=[b"\x03"],
    )
    head = "01 03 02" + HEAD[8:]
    middle = "0002 676f 00000003 010203 0001" + "cc" * 32 + "0002 0002 0001 0000 0001 0001 03 00000001 0f"
    unsigned = bytes.fromhex(head + MONEY + middle)
    assert encode(tx) == unsigned + bytes.fromhex("0041" + "11" * 65)
    hashed = keccak.new(digest_bits=256, data=b"supervm/transaction/1" + unsigned).digest()
    assert digest(tx) == hashed == digest(replace(tx, signature=b""))
    assert transaction_hash(tx) == keccak.new(digest_bits=256, data=encode(tx)).digest()


def test_undeclared_sets_are_not_encoded():
    assert encode(replace(PLAIN, reads=[b"x"])) == encode(PLAIN)
    assert encode(replace(PLAIN, declared=True)) != encode(PLAIN)
