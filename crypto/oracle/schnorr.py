# SPDX-License-Identifier: GPL-3.0-or-later
"""BIP-340 Schnorr verification over secp256k1, messages of any length.

A key is 32 bytes, x alone, and stands for the point with even y; a signature is r ‖ s, 32 bytes each,
big-endian.

1. The key's x is below p and an abscissa of the curve; otherwise −1.
2. r < p and s < n; otherwise −1. Zero is allowed for both: BIP-340 names no lower bound.
3. e = SHA-256(t ‖ t ‖ r ‖ x ‖ m) mod n with t = SHA-256("BIP0340/challenge").
4. R = s·G − e·P. Valid if and only if R is not infinity, R.y is even and R.x = r; otherwise 0. That r is no
   abscissa of the curve is therefore 0, not −1.
"""

from __future__ import annotations

import hashlib

from supervm.crypto.oracle import weierstrass
from supervm.crypto.oracle.weierstrass import BASE, N, P

_TAG = hashlib.sha256(b"BIP0340/challenge").digest()


def challenge(r_bytes: bytes, public_key: bytes, message: bytes) -> int:
    """e, the tagged hash of r ‖ x ‖ m, mod n."""
    return int.from_bytes(hashlib.sha256(_TAG + _TAG + r_bytes + public_key + message).digest(), "big") % N


def verify(public_key: bytes, message: bytes, signature: bytes) -> int:
    """1 valid, 0 invalid, −1 malformed.

    Args:
        public_key: 32 bytes, the x coordinate.
        message: any length.
        signature: 64 bytes, r ‖ s.
    """
    if len(public_key) != 32:
        raise ValueError(f"argument 'public_key': found {len(public_key)} bytes, expected 32")
    if len(signature) != 64:
        raise ValueError(f"argument 'signature': found {len(signature)} bytes, expected 64")
    key = weierstrass.lift_x(int.from_bytes(public_key, "big"), 0)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if key is None or r >= P or s >= N:
        return -1
    e = challenge(signature[:32], public_key, message)
    point = weierstrass.multiply_sum(s, BASE, -e, key)
    return int(point is not None and point[1] & 1 == 0 and point[0] == r)
