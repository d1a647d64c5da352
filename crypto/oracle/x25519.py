# SPDX-License-Identifier: GPL-3.0-or-later
"""X25519 (RFC 7748, section 5), on Python integers.

1. The secret is clamped: bits 0, 1, 2 and 255 are cleared, bit 254 is set.
2. Bit 255 of the abscissa is ignored; a value of p or above is reduced.
3. The result is the canonical abscissa of the multiple, 0 where it is infinity or (0, 0).
"""

from __future__ import annotations

from supervm.crypto.params.curve25519 import A24, FP

P = FP.modulus


def clamp(secret: bytes) -> int:
    """The scalar of 32 bytes."""
    return int.from_bytes(secret, "little") & ((1 << 254) - 8) | 1 << 254


def multiply(secret: bytes, abscissa: bytes) -> bytes:
    """X25519(secret, abscissa), 32 bytes each."""
    scalar, u = clamp(secret), int.from_bytes(abscissa, "little") % (1 << 255) % P
    x2, z2, x3, z3 = 1, 0, u, 1
    for place in range(254, -1, -1):
        bit = scalar >> place & 1
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a, b * b, d * a, c * b
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + A24 * e) % P
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")
