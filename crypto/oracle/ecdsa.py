# SPDX-License-Identifier: GPL-3.0-or-later
"""ECDSA over secp256k1 on a 32-byte digest: verification and key recovery (SEC 1, version 2.0, 4.1.4, 4.1.6).

The digest is big-endian and taken mod n; it is never hashed again, and every value is allowed, 0 included.
A signature is r ‖ s, 32 bytes each, big-endian.

`verify`:

1. The key decodes as `weierstrass.decode` says; otherwise −1.
2. r and s lie in [1, n − 1]; otherwise −1. (The order of 1 and 2 does not show: both give −1, before any 0.)
3. Under `low_s`, s > (n − 1)/2 gives 0 (BIP-62, BIP-146; EIP-2).
4. X = (z/s)·G + (r/s)·Q. Infinity gives 0. Valid if and only if X.x mod n = r, with X.x taken as an integer.

`recover` (a signature has a 65th byte, the recovery id):

1. The id is 0 to 3; otherwise −1. Bit 0 is the parity of R.y, bit 1 says that R.x = r + n.
2. r and s lie in [1, n − 1]; otherwise −1. A high s is accepted.
3. R.x is below p and an abscissa of the curve; otherwise −1.
4. Q = (s·R − z·G)/r. Infinity gives −1; any other point is the key, with verdict 1.

There is no verdict 0 in `recover`: what is recovered verifies.
"""

from __future__ import annotations

from supervm.crypto.oracle import weierstrass
from supervm.crypto.oracle.weierstrass import BASE, N


def verify(public_key: bytes, digest: bytes, signature: bytes, low_s: bool = True) -> int:
    """1 valid, 0 invalid, −1 malformed.

    Args:
        public_key: 33 or 65 bytes SEC 1, or 64 bytes x ‖ y.
        digest: 32 bytes.
        signature: 64 bytes, r ‖ s.
        low_s: refuse s > (n − 1)/2.
    """
    _check(digest, signature, 64)
    key = weierstrass.decode(public_key)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if key is None or not 0 < r < N or not 0 < s < N:
        return -1
    if low_s and s > (N - 1) // 2:
        return 0
    inverse = pow(s, -1, N)
    point = weierstrass.multiply_sum(int.from_bytes(digest, "big") * inverse, BASE, r * inverse, key)
    return int(point is not None and point[0] % N == r)


def recover(digest: bytes, signature: bytes) -> tuple[bytes | None, int]:
    """(64-byte key, 1), or (None, −1) where nothing can be recovered.

    Args:
        digest: 32 bytes.
        signature: 65 bytes, r ‖ s ‖ recovery id.
    """
    _check(digest, signature, 65)
    r, s, recovery_id = (
        int.from_bytes(signature[:32], "big"),
        int.from_bytes(signature[32:64], "big"),
        signature[64],
    )
    if recovery_id > 3 or not 0 < r < N or not 0 < s < N:
        return None, -1
    commitment = weierstrass.lift_x(r + N if recovery_id & 2 else r, recovery_id & 1)
    if commitment is None:
        return None, -1
    inverse = pow(r, -1, N)
    key = weierstrass.multiply_sum(-int.from_bytes(digest, "big") * inverse, BASE, s * inverse, commitment)
    return (None, -1) if key is None else (weierstrass.encode(key), 1)


def _check(digest: bytes, signature: bytes, length: int) -> None:
    if len(digest) != 32:
        raise ValueError(f"argument 'digest': found {len(digest)} bytes, expected 32")
    if len(signature) != length:
        raise ValueError(f"argument 'signature': found {len(signature)} bytes, expected {length}")
