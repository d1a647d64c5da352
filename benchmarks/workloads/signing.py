# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures to measure with, made in Python integers; nobody's secret.

Keys and nonces follow one another, k, k + 1, k + 2, …, so that each point is the one before plus the base point: an addition
where a signature in earnest takes a whole multiplication. Whoever sees two such signatures has the key; what a verifier
computes is the same. Sources: RFC 8032, section 5.1.6; SEC 1, section 4.1.3; BIP-340, "Default Signing".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from supervm.crypto.oracle import edwards, schnorr, weierstrass
from supervm.crypto.oracle.ed25519 import challenge

KEYS = 256
"""Different keys; message i is signed with key i modulo this."""


class Signed(NamedTuple):
    """One key and one signature a message."""

    keys: list[bytes]
    signatures: list[bytes]


def ed25519(messages: Sequence[bytes]) -> Signed:
    """32-byte keys, R‖s."""
    secret, nonce = _scalar("ed25519 key", edwards.L), _scalar("ed25519 nonce", edwards.L)
    keys = [edwards.encode(point) for point in _edwards_points(secret, KEYS)]
    found = []
    for index, (message, point) in enumerate(
        zip(messages, _edwards_points(nonce, len(messages)), strict=True)
    ):
        r = edwards.encode(point)
        h = challenge(r, keys[index % KEYS], message)
        s = (nonce + index + h * (secret + index % KEYS)) % edwards.L
        found.append(r + s.to_bytes(32, "little"))
    return Signed([keys[index % KEYS] for index in range(len(messages))], found)


def ecdsa(digests: Sequence[bytes]) -> Signed:
    """65-byte SEC1 keys, r‖s‖recovery id with a low s."""
    n = weierstrass.N
    secret, nonce = _scalar("secp256k1 key", n), _scalar("ecdsa nonce", n)
    keys = [weierstrass.encode_sec1(point, compressed=False) for point in _points(secret, KEYS)]
    found = []
    for index, (digest, (x, y)) in enumerate(zip(digests, _points(nonce, len(digests)), strict=True)):
        r = x % n
        s = pow(nonce + index, -1, n) * (int.from_bytes(digest, "big") + r * (secret + index % KEYS)) % n
        identity = (x >= n) << 1 | y & 1
        if s > n // 2:
            s, identity = n - s, identity ^ 1
        found.append(_bytes(r) + _bytes(s) + bytes([identity]))
    return Signed([keys[index % KEYS] for index in range(len(digests))], found)


def bip340(messages: Sequence[bytes]) -> Signed:
    """32-byte x-only keys, r‖s."""
    n = weierstrass.N
    secret, nonce = _scalar("secp256k1 key", n), _scalar("bip340 nonce", n)
    public = list(_points(secret, KEYS))
    even = [n - secret - index if y & 1 else secret + index for index, (_, y) in enumerate(public)]
    keys, found = [_bytes(x) for x, _ in public], []
    for index, (message, (x, y)) in enumerate(zip(messages, _points(nonce, len(messages)), strict=True)):
        k = n - nonce - index if y & 1 else nonce + index
        e = schnorr.challenge(_bytes(x), keys[index % KEYS], message)
        found.append(_bytes(x) + _bytes((k + e * even[index % KEYS]) % n))
    return Signed([keys[index % KEYS] for index in range(len(messages))], found)


def _bytes(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _scalar(name: str, order: int) -> int:
    """A fixed number from 2^200 up to about half the order: counting on from it meets neither zero nor the order."""
    return int.from_bytes(hashlib.sha512(name.encode()).digest(), "big") % (order // 2) | 1 << 200


def _edwards_points(scalar: int, count: int) -> Iterator[edwards.Point]:
    """scalar·B, (scalar + 1)·B, …"""
    point = edwards.multiply(scalar, edwards.BASE)
    for _ in range(count):
        yield point
        point = edwards.add(point, edwards.BASE)


def _points(scalar: int, count: int) -> Iterator[weierstrass.Point]:
    """scalar·G, (scalar + 1)·G, …"""
    point = weierstrass.multiply(scalar, weierstrass.BASE)
    for _ in range(count):
        assert point is not None  # scalars lie between zero and the order
        yield point
        point = weierstrass.add(point, weierstrass.BASE)
