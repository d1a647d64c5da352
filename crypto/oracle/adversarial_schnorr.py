# SPDX-License-Identifier: GPL-3.0-or-later
"""BIP-340 inputs at the edges of secp256k1; the oracle says the verdicts."""

from __future__ import annotations

from typing import NamedTuple

from supervm.crypto.oracle.adversarial_ecdsa import (
    abscissas,
    generator_multiple,
    no_abscissa,
    special_scalars,
)
from supervm.crypto.oracle.schnorr import challenge
from supervm.crypto.oracle.weierstrass import N, P

_SECRET = 0x428A2F98D728AE227137449123EF65CDB5C0FBCFEC4D3B2FE9B5DBA58189DBBC % N
_NONCE = 0x3956C25BF348B53859F111F1B605D019923F82A4AF194F9BAB1C5ED5DA6D8118 % N


class SchnorrCase(NamedTuple):
    """One input of BIP-340 `verify`, and what is special about it."""

    public_key: bytes
    message: bytes
    signature: bytes
    description: str


def cases() -> list[SchnorrCase]:
    """All of them for BIP-340, in a fixed order."""
    found = []
    for length in (0, 1, 17, 31, 32, 33, 55, 56, 63, 64, 65, 100, 119, 120, 1000):
        message = bytes(i * 11 & 255 for i in range(length))
        found.append(_schnorr(_SECRET, _NONCE, message, f"{length}-byte message"))
    for name, secret in special_scalars().items():
        found.append(_schnorr(secret, _NONCE, b"key", f"key {name}·G"))
        found.append(_schnorr(_SECRET, secret, b"nonce", f"R = {name}·G"))
        found.append(_schnorr(secret, secret, b"both", f"key and R {name}·G"))
    for nonce in (_NONCE, _NONCE + 1, _NONCE + 2):
        found.append(_schnorr(_SECRET, nonce, b"parity", "R with odd y", odd=1))
    found += _schnorr_infinity() + _schnorr_ranges()
    return found


def _bytes(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _schnorr(secret: int, nonce: int, message: bytes, description: str, odd: int = 0) -> SchnorrCase:
    """A signature by BIP-340, but with R.y of the parity `odd`; 0 is the rule, 1 its breach."""
    key, commitment = generator_multiple(secret), generator_multiple(nonce)
    d = N - secret if key[1] & 1 else secret
    k = N - nonce if commitment[1] & 1 != odd else nonce
    x, r = _bytes(key[0]), _bytes(commitment[0])
    s = (k + challenge(r, x, message) * d) % N
    return SchnorrCase(x, message, r + _bytes(s), description)


def _schnorr_infinity() -> list[SchnorrCase]:
    found = []
    key = generator_multiple(_SECRET)
    d = N - _SECRET if key[1] & 1 else _SECRET
    for r in (0, 1, key[0], generator_multiple(_NONCE)[0]):
        s = challenge(_bytes(r), _bytes(key[0]), b"infinity") * d % N
        found.append(SchnorrCase(_bytes(key[0]), b"infinity", _bytes(r) + _bytes(s), "s·G − e·P = infinity"))
    return found


def _schnorr_ranges() -> list[SchnorrCase]:
    good = _schnorr(_SECRET, _NONCE, b"ranges", "ordinary signature")
    r, s = good.signature[:32], good.signature[32:]
    found = [good]
    edges = {"0": 0, "1": 1, "n − 1": N - 1, "n": N, "n + 1": N + 1, "p − 1": P - 1, "p": P, "p + 1": P + 1}
    for name, value in (edges | {"2^256 − 1": (1 << 256) - 1, "no abscissa": no_abscissa(5)}).items():
        found.append(good._replace(signature=_bytes(value) + s, description=f"r = {name}"))
        found.append(good._replace(signature=r + _bytes(value), description=f"s = {name}"))
        found.append(good._replace(public_key=_bytes(value), description=f"key x = {name}"))
    negated = _bytes(N - int.from_bytes(s, "big"))
    found.append(good._replace(signature=r + negated, description="s negated"))
    found.append(good._replace(public_key=_bytes(P + abscissas(1, 1)[0]), description="key x + p"))
    found.append(good._replace(public_key=_bytes(P), signature=bytes(64), description="key x = p, r = s = 0"))
    found.append(good._replace(message=b"rangez", description="another message"))
    return found
