# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums u₁·G + u₂·Q on secp256k1 that a sum of multiples must get right: scalars at edges, and points that collide."""

from __future__ import annotations

import random
from typing import NamedTuple

from supervm.crypto.params.secp256k1 import SECP256K1

N = SECP256K1.scalar_field.modulus
LAMBDA = SECP256K1.endomorphism.lambda_


class Item(NamedTuple):
    """A sum to compute: u₁·G + u₂·Q with Q = q·G."""

    u1: int
    u2: int
    q: int


def extremes() -> list[int]:
    """Scalars at the edges of the split and of the digits."""
    found = [0, 1, 2, 7, 8, 9, N - 1, N - 2, N // 2, N // 2 + 1, LAMBDA, N - LAMBDA, LAMBDA + 1, LAMBDA - 1]
    found += (
        [(1 << 128) + d for d in (-1, 0, 1)]
        + [(1 << 127) + d for d in (-1, 0, 1)]
        + [1 << 255, (1 << 64) - 1]
    )
    found += [
        sum(byte << (8 * i) for i in range(32)) % N
        for byte in (0x7F, 0x80, 0x81, 0xFF, 0x08, 0x88, 0x77, 0x78)
    ]
    found += [sum(digit << (10 * i) for i in range(26)) % N for digit in (511, 512, 513, 1023, 16, 528)]
    found += [
        int.from_bytes(bytes([0x7F] + [0x80] * 31)),
        N // 2 - (0x80 << 120),
        (0x7F << 248) + (0x81 << 120),
    ]
    (a1, b1), (a2, b2) = SECP256K1.basis
    for k1, k2 in ((a1, b1), (a2, b2), (a1 + a2, b1 + b2), (a1 - a2, b1 - b2)):
        # Just inside and outside of the corners of the cell of points that round to (0, 0).
        found += [(k1 // 2 + d + (k2 // 2 + e) * LAMBDA) % N for d in (-1, 0, 1) for e in (-1, 0, 1)]
        found += [-(k1 // 2 + d + (k2 // 2 + e) * LAMBDA) % N for d in (0, 1) for e in (0, 1)]
    return found


def crafted() -> list[Item]:
    """Sums that collide: infinite ones, and points that meet their own multiples on the way."""
    source = random.Random(11)
    u = source.randrange(N)
    found = [Item(0, 0, 3), Item(0, 1, 3), Item(1, 0, 3), Item(u, 0, 3), Item(0, u, 3)]
    for q in (
        1,
        N - 1,
        LAMBDA,
        N - LAMBDA,
        LAMBDA * LAMBDA % N,
        1 << 128,
        N - (1 << 128),
        (1 << 128) * LAMBDA % N,
        1 << 130,
        N - (1 << 130),
        (1 << 130) * LAMBDA % N,
        2,
        3,
        N - 2,
    ):
        inverse = pow(q, -1, N)
        for v in (1, 2, u, N - 1):
            found += [
                Item(v, -v * inverse % N, q),
                Item(v, v * inverse % N, q),
                Item(v, v, q),
                Item(v, N - v, q),
            ]
        found += [
            Item(v, w, q)
            for v in (1, 8, 16, 128, 512, 1 << 128, 129 << 128, 1 << 130, 513 << 130, 1 << 10, 33 << 250)
            for w in (1, 8, 16, 17, 32, 1 << 10, LAMBDA, N - 16)
        ]
    return found
