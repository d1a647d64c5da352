# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of keys and of contracts (docs/execution-rules.md, "State")."""

from __future__ import annotations

import numpy as np

from supervm.crypto import hashes, secp256k1
from supervm.crypto.params.secp256k1 import FN, FP
from supervm.engine.arrays import amounts
from supervm.kernels.array_types import Bytes

ADDRESS_BYTES = 20
_ED25519_TAG, _CONTRACT_TAG = 1, 2

_ORDER = np.frombuffer(FN.modulus.to_bytes(32), np.uint8)
_MINUS_ORDER = amounts.from_int((1 << 256) - FN.modulus)[None]
"""Adding it modulo 2^256 takes the order away, with a carry where it is not above."""


def ed25519_addresses(public_keys: Bytes, *, backend: str = "auto") -> Bytes:
    """The last 20 bytes of Keccak-256(`01` ‖ key), uint8 (n, 20), of keys uint8 (n, 32)."""
    tagged = np.empty((len(public_keys), 33), np.uint8)
    tagged[:, 0] = _ED25519_TAG
    tagged[:, 1:] = public_keys
    return _last(hashes.keccak256_batch(tagged, backend=backend))


def secp256k1_addresses(public_keys: Bytes, *, backend: str = "auto") -> Bytes:
    """The last 20 bytes of Keccak-256 of each key, uint8 (n, 20), of keys x‖y uint8 (n, 64)."""
    return hashes.eth_address_batch(public_keys, backend=backend)


def contract_addresses(salts: Bytes, code_hashes: Bytes, *, backend: str = "auto") -> Bytes:
    """The last 20 bytes of Keccak-256(`02` ‖ salt ‖ SHA-256(code)), uint8 (n, 20), of two times uint8 (n, 32)."""
    tag = np.full((len(salts), 1), _CONTRACT_TAG, np.uint8)
    return _last(hashes.keccak256_batch(np.concatenate([tag, salts, code_hashes], axis=1), backend=backend))


def even_keys(x_only: Bytes, *, backend: str = "auto") -> Bytes:
    """BIP-340's lift_x: the key with this x and an even y, as x‖y.

    No kernel of its own is needed: ECDSA recovery computes Q = r⁻¹(s·R − z·G), where R is the point whose x is r, or r + n
    under recovery ids 2 and 3, and whose y is even under ids 0 and 2 (SEC 1, section 4.1.6). With z = 0 and s = r that is
    Q = R exactly. So r = s = x with id 0 where x < n, and r = s = x − n with id 2 where n ≤ x < p. For x = n, which is the x
    of a point, r would be zero: that one key is computed here.

    Args:
        x_only: uint8 (n, 32).
        backend: where the recovery runs.

    Returns:
        uint8 (n, 64); zeros where no point has this x.
    """
    reduced, above = amounts.add(amounts.from_big_endian(x_only), _MINUS_ORDER)
    signatures = np.zeros((len(x_only), 65), np.uint8)
    signatures[:, :32] = np.where(above[:, None], amounts.to_big_endian(reduced), x_only)
    signatures[:, 32:64] = signatures[:, :32]
    signatures[above, 64] = 2
    digests = np.zeros((len(x_only), 32), np.uint8)
    keys, _ = secp256k1.ecdsa_recover_batch(digests, signatures, backend=backend)
    at_order = (x_only == _ORDER).all(axis=1)
    if at_order.any():
        keys[at_order] = _key_at_order()
    return keys


def _last(digests: Bytes) -> Bytes:
    return np.ascontiguousarray(digests[:, -ADDRESS_BYTES:])


def _key_at_order() -> Bytes:
    """The key with x = n and an even y: a square root modulo p, p ≡ 3 (mod 4)."""
    p, x = FP.modulus, FN.modulus
    y = pow(x**3 + 7, (p + 1) // 4, p)
    key = x.to_bytes(32) + (y if y % 2 == 0 else p - y).to_bytes(32)
    return np.frombuffer(key, np.uint8)
