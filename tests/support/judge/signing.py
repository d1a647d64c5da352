# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures of transactions: how the rules check them, and signing for tests."""

from __future__ import annotations

from dataclasses import replace

import coincurve
from nacl.signing import SigningKey

from judge.cryptography import keccak256
from judge.rules import Reason
from judge.transaction import Tx, digest
from supervm.crypto.oracle import ecdsa, ed25519, schnorr, weierstrass

ED25519, ECDSA, BIP340 = 1, 2, 3
LENGTHS = {ED25519: 96, ECDSA: 65, BIP340: 96}


def address_of(scheme: int, key: bytes) -> bytes:
    """Of a key as its scheme writes it: 32 bytes (Ed25519, BIP-340) or 64 (ECDSA)."""
    if scheme == ED25519:
        return keccak256(b"\x01" + key)[-20:]
    if scheme == BIP340:
        point = weierstrass.lift_x(int.from_bytes(key, "big"), 0)
        if point is None:
            raise ValueError("argument 'key': no point has this x")
        key = weierstrass.encode(point)
    return keccak256(key)[-20:]


def verify(tx: Tx) -> int:
    """0, or the number of the reason for which the signature rejects the transaction."""
    if LENGTHS.get(tx.scheme) != len(tx.signature):
        return Reason.MALFORMED_SIGNATURE
    message = digest(tx)
    if tx.scheme == ECDSA:
        recovered, verdict = ecdsa.recover(message, tx.signature)
        key = recovered or b""
        if recovered is not None:
            verdict = ecdsa.verify(key, message, tx.signature[:64], low_s=True)
    else:
        key, signature = tx.signature[:32], tx.signature[32:]
        check = ed25519.verify if tx.scheme == ED25519 else schnorr.verify
        verdict = check(key, message, signature)
    if verdict != 1:
        return Reason.MALFORMED_SIGNATURE if verdict == -1 else Reason.BAD_SIGNATURE
    return Reason.NONE if address_of(tx.scheme, key) == tx.sender else Reason.WRONG_SENDER


def sender_of(scheme: int, secret: bytes) -> bytes:
    """The address that a 32-byte secret signs for."""
    if scheme == ED25519:
        return address_of(scheme, bytes(SigningKey(secret).verify_key))
    raw = coincurve.PrivateKey(secret).public_key.format(compressed=False)[1:]
    return address_of(scheme, raw if scheme == ECDSA else raw[:32])


def sign(tx: Tx, scheme: int, secret: bytes) -> Tx:
    """The transaction under this scheme with its signature; the sender stays what it is."""
    tx = replace(tx, scheme=scheme)
    message = digest(tx)
    if scheme == ED25519:
        key = SigningKey(secret)
        return replace(tx, signature=bytes(key.verify_key) + key.sign(message).signature)
    private = coincurve.PrivateKey(secret)
    if scheme == ECDSA:
        return replace(tx, signature=private.sign_recoverable(message, hasher=None))
    x = private.public_key.format(compressed=False)[1:33]
    return replace(tx, signature=x + private.sign_schnorr(message))
