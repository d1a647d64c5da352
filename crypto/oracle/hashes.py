# SPDX-License-Identifier: GPL-3.0-or-later
"""The hashes: Keccak-256 written out, the others from the standard library's `hashlib`.

Keccak-256 is Keccak[c = 512] with the padding of the 2011 submission (a 1 bit, zeros, a 1 bit), as Ethereum
uses it, not SHA3-256 of FIPS 202, which appends 01 first. Steps θ, ρ, π, χ, ι: FIPS 202, section 3.2.
"""

from __future__ import annotations

import hashlib

_MASK = (1 << 64) - 1
_RATE = 136


def sha256(message: bytes) -> bytes:
    """SHA-256 (FIPS 180-4): 32 bytes."""
    return hashlib.sha256(message).digest()


def sha512(message: bytes) -> bytes:
    """SHA-512 (FIPS 180-4): 64 bytes."""
    return hashlib.sha512(message).digest()


def blake2b(message: bytes) -> bytes:
    """BLAKE2b with 64 bytes of output and no key (RFC 7693)."""
    return hashlib.blake2b(message).digest()


def keccak256(message: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it: 32 bytes."""
    padded = bytearray(message) + b"\x01" + bytes(-(len(message) + 1) % _RATE)
    padded[-1] |= 0x80
    state = [0] * 25
    for start in range(0, len(padded), _RATE):
        for lane in range(_RATE // 8):
            state[lane] ^= int.from_bytes(padded[start + 8 * lane : start + 8 * lane + 8], "little")
        state = _permute(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[:4])


def eth_address(public_key: bytes) -> bytes:
    """The last 20 bytes of Keccak-256 of the 64 bytes x ‖ y (Yellow Paper, appendix F)."""
    if len(public_key) != 64:
        raise ValueError(f"argument 'public_key': found {len(public_key)} bytes, expected 64")
    return keccak256(public_key)[12:]


def _rotate(lane: int, by: int) -> int:
    return (lane << by | lane >> (64 - by)) & _MASK


def _rho_offsets() -> list[int]:
    """Rotation of lane x + 5y: FIPS 202, algorithm 2."""
    offsets = [0] * 25
    x, y = 1, 0
    for t in range(24):
        offsets[x + 5 * y] = (t + 1) * (t + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    return offsets


def _round_constants() -> list[int]:
    """RC of the 24 rounds, from the linear feedback shift register of FIPS 202, algorithm 5."""
    constants, register = [], 1
    for _ in range(24):
        constant = 0
        for j in range(7):
            constant |= (register & 1) << (2**j - 1)
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return constants


_RHO = _rho_offsets()
_RC = _round_constants()


def _permute(a: list[int]) -> list[int]:
    """Keccak-f[1600]; lane (x, y) is a[x + 5y]."""
    for constant in _RC:
        c = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        d = [c[(x + 4) % 5] ^ _rotate(c[(x + 1) % 5], 1) for x in range(5)]
        b = [0] * 25
        for x in range(5):
            for y in range(5):
                b[y + 5 * ((2 * x + 3 * y) % 5)] = _rotate(a[x + 5 * y] ^ d[x], _RHO[x + 5 * y])
        a = [b[i] ^ ~b[(i + 1) % 5 + i // 5 * 5] & b[(i + 2) % 5 + i // 5 * 5] & _MASK for i in range(25)]
        a[0] ^= constant
    return a
