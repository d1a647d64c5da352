# SPDX-License-Identifier: GPL-3.0-or-later
"""Ed25519 verification (RFC 8032, section 5.1.7) under three named rules.

A is the key, R ‖ s the signature (s little-endian), B the base point, L its order, and
h = SHA-512(R ‖ A ‖ M) mod L over the bytes *as they came*, never re-encoded. h is reduced mod L before it
multiplies A: where A has a torsion part, an unreduced h would give another point.

Common to all rules, in this order:

1. A is decoded as `edwards.decode` says: non-canonical y is reduced, x = 0 with sign 1 is accepted. If it
   does not decode, the verdict is −1.
2. s ≥ L gives −1 (all 256 bits count). s = 0 is allowed.

`dalek` (`VerifyingKey::verify` of ed25519-dalek 2):

3. R' = s·B − h·A. Valid if and only if the canonical encoding of R' equals the 32 bytes of R. R itself is
   never decoded, so a non-canonical R is always invalid. A and R of small or mixed order are allowed.

`strict` (`VerifyingKey::verify_strict` of ed25519-dalek 2; Solana):

3. R must decode (permissively); otherwise 0.
4. R or A of small order gives 0; the test is on the decoded points, so it covers non-canonical encodings.
   Mixed order is allowed, as is a non-canonical A.
5. As rule 3 of `dalek`: encodings are compared, not points.

`zip215` (ZIP-215):

3. R must decode (permissively); otherwise 0.
4. Valid if and only if 8·(s·B) = 8·(R + h·A).

Everything else is 0. Sources: RFC 8032; ZIP-215; ed25519-dalek 2, `src/verifying.rs` and `src/signature.rs`;
curve25519-dalek 4, `src/edwards.rs`; H. de Valence, "It's 255:19AM" (2020).
"""

from __future__ import annotations

import hashlib

from supervm.crypto.oracle import edwards

RULES = ("dalek", "strict", "zip215")


def challenge(r_bytes: bytes, public_key: bytes, message: bytes) -> int:
    """h = SHA-512(R ‖ A ‖ M), little-endian, mod L."""
    return int.from_bytes(hashlib.sha512(r_bytes + public_key + message).digest(), "little") % edwards.L


def verify(public_key: bytes, message: bytes, signature: bytes, rule: str = "dalek") -> int:
    """1 valid, 0 invalid, −1 malformed.

    Args:
        public_key: 32 bytes.
        message: any length.
        signature: 64 bytes, R ‖ s.
        rule: `dalek`, `strict` or `zip215`.

    Raises:
        ValueError: a length or the rule's name is wrong.
    """
    if len(public_key) != 32:
        raise ValueError(f"argument 'public_key': found {len(public_key)} bytes, expected 32")
    if len(signature) != 64:
        raise ValueError(f"argument 'signature': found {len(signature)} bytes, expected 64")
    if rule not in RULES:
        raise ValueError(f"argument 'rule': found {rule!r}, expected one of {', '.join(RULES)}")
    a = edwards.decode(public_key)
    s = int.from_bytes(signature[32:], "little")
    if a is None or s >= edwards.L:
        return -1
    r_bytes = signature[:32]
    h = challenge(r_bytes, public_key, message)
    expected = edwards.multiply_sum(s, edwards.BASE, h, edwards.negate(a))
    if rule == "dalek":
        return int(edwards.encode(expected) == r_bytes)
    r = edwards.decode(r_bytes)
    if r is None:
        return 0
    if rule == "strict":
        if edwards.is_small_order(r) or edwards.is_small_order(a):
            return 0
        return int(edwards.encode(expected) == r_bytes)
    return int(edwards.is_small_order(edwards.add(expected, edwards.negate(r))))
