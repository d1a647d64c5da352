# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures of each scheme: accepted, malformed, bad, of another sender."""

from __future__ import annotations

from dataclasses import replace

import pytest
from judge import Judge, Reason, Tx
from judge.signing import BIP340, ECDSA, ED25519, sender_of, sign, verify

from supervm.crypto.oracle.weierstrass import N

SECRET, OTHER = b"\x11" * 32, b"\x12" * 32
SCHEMES = (ED25519, ECDSA, BIP340)


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
