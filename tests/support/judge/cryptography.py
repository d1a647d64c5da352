# SPDX-License-Identifier: GPL-3.0-or-later
"""The answers of the crypto host functions, from hashlib, pycryptodome and the readable oracles."""

from __future__ import annotations

import hashlib

from Crypto.Hash import keccak

from supervm.crypto.oracle import ecdsa, ed25519


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def keccak256(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


def eth_address(key: bytes) -> bytes | None:
    """20 bytes for a key of 64 bytes, or of 65 beginning with 04; None for any other."""
    if len(key) == 65 and key[0] == 4:
        key = key[1:]
    return keccak256(key)[-20:] if len(key) == 64 else None


def verify_ed25519(message: bytes, signature: bytes, key: bytes) -> int:
    """1, 0 or −1 under the rule `dalek`."""
    return ed25519.verify(key, message, signature, rule="dalek")


def verify_secp256k1(digest: bytes, signature: bytes, key: bytes) -> int:
    """1, 0 or −1 with low s; only SEC 1 keys of 33 or 65 bytes decode."""
    return ecdsa.verify(key, digest, signature, low_s=True) if len(key) in (33, 65) else -1


def recover_secp256k1(digest: bytes, signature: bytes) -> bytes | None:
    """65 bytes 04 ‖ x ‖ y, or None."""
    key, _ = ecdsa.recover(digest, signature)
    return None if key is None else b"\x04" + key
