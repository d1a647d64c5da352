# SPDX-License-Identifier: GPL-3.0-or-later
"""The canonical encoding, byte by byte; and signatures of each scheme: accepted, malformed, bad, of another sender."""

from __future__ import annotations

from dataclasses import replace

import pytest
from Crypto.Hash import keccak
from judge import Judge, Reason, Tx
from judge.signing import BIP340, ECDSA, ED25519, sender_of, sign, verify
from judge.transaction import digest, encode, transaction_hash

from supervm.crypto.oracle.weierstrass import N

PLAIN = Tx(b"\xaa" * 20, 5, b"\xbb" * 20, value=6, gas_limit=7, gas_price=8, chain_id=9)
HEAD = "01 00 00 0000000000000009" + "aa" * 20 + "0000000000000005" + "bb" * 20 + "00" * 31 + "06"
MONEY = "0000000000000007 0000000000000008"

SECRET, OTHER = b"\x11" * 32, b"\x12" * 32
SCHEMES = (ED25519, ECDSA, BIP340)


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


def _signed(scheme: int) -> Tx:
    return sign(Tx(sender_of(scheme, SECRET), 0, b"\x09" * 20, value=1, input=b"abc"), scheme, SECRET)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_verdicts(scheme: int):
    tx = _signed(scheme)
    assert verify(tx) == Reason.NONE
    changed = verify(replace(tx, value=2))
    # Another digest recovers another key.
    assert changed == (Reason.WRONG_SENDER if scheme == ECDSA else Reason.BAD_SIGNATURE)
    assert verify(sign(tx, scheme, OTHER)) == Reason.WRONG_SENDER
    for signature in (b"", tx.signature[:-1], tx.signature + b"\0", b"\xff" * len(tx.signature)):
        assert verify(replace(tx, signature=signature)) == Reason.MALFORMED_SIGNATURE
    for other in (0, 4, 255):
        assert verify(replace(tx, scheme=other)) == Reason.MALFORMED_SIGNATURE


def test_a_high_s_is_a_bad_signature():
    tx = _signed(ECDSA)
    r, s, id = tx.signature[:32], int.from_bytes(tx.signature[32:64], "big"), tx.signature[64]
    high = r + (N - s).to_bytes(32, "big") + bytes([id ^ 1])
    assert verify(replace(tx, signature=high)) == Reason.BAD_SIGNATURE


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_judge_that_checks(scheme: int):
    judge = Judge(verify=verify)
    tx = _signed(scheme)
    judge.credit(tx.sender, 10)
    assert [r.reason for r in judge.execute([replace(tx, scheme=0), tx, tx])] == [1, 0, Reason.BAD_NONCE]
