# SPDX-License-Identifier: GPL-3.0-or-later
"""ECDSA over secp256k1 in batches on the CPU: verification and public key recovery.

The acceptance rules are spelled out in `supervm.crypto.oracle.ecdsa`; this module and that one agree item by item.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto import cuda, schemes
from supervm.crypto.arguments import flag, rows, same_count
from supervm.crypto.calls import compute
from supervm.crypto.params.secp256k1 import SECP256K1
from supervm.crypto.signatures.batch import VERDICT, for_slices
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.kernels.arrays import words
from supervm.kernels.cpu.backends import CPU_BACKENDS, by_name, register_on_cpu
from supervm.kernels.cpu.curves.curve import Curve
from supervm.kernels.cpu.curves.double_scalar_multiply import base_tables
from supervm.kernels.cpu.signatures import ecdsa

VERIFY, RECOVER = schemes.ECDSA.operation, "secp256k1.ecdsa_recover"

CURVES = {backend.name: Curve(SECP256K1, backend.lanes) for backend in CPU_BACKENDS}
"""The marker that compiled code takes, by backend."""


@functools.cache
def table(backend: str) -> Any:
    """The multiples of the generator, as `backend` holds them."""
    return CURVES[backend].table(base_tables(SECP256K1))


def ecdsa_verify_batch(
    public_keys: Bytes, digests: Bytes, signatures: Bytes, *, low_s: bool = True, backend: str = "auto"
) -> Verdicts:
    """Verify n ECDSA signatures over digests (SEC 1, section 4.1.4); nothing is hashed here.

    Args:
        public_keys: uint8 (n, 33) or (n, 65) SEC1 encodings (hybrid 06 and 07 are malformed), or (n, 64) x‖y.
        digests: uint8 (n, 32), reduced modulo n where they are above.
        signatures: uint8 (n, 64), r‖s big-endian; `signatures_from_der` makes them from DER.
        low_s: whether s above n/2 is invalid (BIP-62, EIP-2).
        backend: `auto`, or a name of `kernels.registry.BACKENDS`.

    Returns:
        int8 (n,): 1 valid, 0 invalid, −1 malformed (the key does not decode, r or s outside 1 … n − 1).

    Raises:
        ArgumentError: an argument of another shape, dtype or length.
        BackendUnavailable: the named backend cannot run here.
    """
    keys, signed = rows(public_keys, "public_keys", 33, 64, 65), rows(signatures, "signatures", 64)
    hashed = rows(digests, "digests", 32)
    same_count(len(keys), "public_keys", {"digests": len(hashed), "signatures": len(signed)})
    low = flag(low_s, "low_s")
    columns = (keys, hashed, signed)
    verdicts: Verdicts
    (verdicts,) = compute(VERIFY, columns, len(keys), (VERDICT,), options=(low,), backend=backend)
    return verdicts


def ecdsa_recover_batch(
    digests: Bytes, signatures: Bytes, *, backend: str = "auto"
) -> tuple[Bytes, Verdicts]:
    """Recover n public keys (SEC 1, section 4.1.6). A high s is accepted: whoever forbids it checks it.

    Args:
        digests: uint8 (n, 32).
        signatures: uint8 (n, 65), r‖s‖recovery id (0 to 3; 27, 28 and EIP-155 values are not translated here).
        backend: `auto`, or a name of `kernels.registry.BACKENDS`.

    Returns:
        (uint8 (n, 64) keys x‖y, int8 (n,) verdicts): 1 recovered; −1 with a zero key where r or s is outside 1 … n − 1,
        the recovery id is above 3, or no key exists.

    Raises:
        ArgumentError: an argument of another shape, dtype or length.
        BackendUnavailable: the named backend cannot run here.
    """
    hashed, signed = rows(digests, "digests", 32), rows(signatures, "signatures", 65)
    same_count(len(hashed), "digests", {"signatures": len(signed)})
    results = (((64,), np.uint8), VERDICT)
    keys, verdicts = compute(RECOVER, (hashed, signed), len(hashed), results, backend=backend)
    return keys, verdicts


def _coordinates(keys: Bytes) -> tuple[Bytes, npt.NDArray[np.int8], bool]:
    """Keys as x‖y rows (y zero for compressed ones), their forms as the kernel wants them, whether compressed."""
    if keys.shape[1] == 64:
        return keys, np.zeros(len(keys), np.int8), False
    prefix = keys[:, 0]
    if keys.shape[1] == 65:
        return np.ascontiguousarray(keys[:, 1:]), np.where(prefix == 4, 0, -1).astype(np.int8), False
    points = np.zeros((len(keys), 64), np.uint8)
    points[:, :32] = keys[:, 1:]
    known = (prefix == 2) | (prefix == 3)
    return points, np.where(known, prefix & 1, np.uint8(255)).view(np.int8), True


def _verify(
    backend: str, keys: Bytes, digests: Bytes, signatures: Bytes, low_s: bool, verdicts: Verdicts
) -> None:
    curve, base = CURVES[backend], table(backend)
    points, forms, compressed = _coordinates(keys)
    key_words, digest_words, signature_words = words(points), words(digests), words(signatures)

    def work(start: int, stop: int) -> None:
        ecdsa.verify_slice(
            curve,
            base,
            key_words,
            forms,
            compressed,
            digest_words,
            signature_words,
            low_s,
            start,
            stop,
            verdicts,
        )

    for_slices(len(keys), work)


def _recover(backend: str, digests: Bytes, signatures: Bytes, keys: Bytes, verdicts: Verdicts) -> None:
    curve, base = CURVES[backend], table(backend)
    ids = np.where(signatures[:, 64] < 4, signatures[:, 64], np.uint8(255)).view(np.int8)
    digest_words, signature_words = words(digests), words(np.ascontiguousarray(signatures[:, :64]))
    key_words = keys.reshape(-1).view(np.uint64)

    def work(start: int, stop: int) -> None:
        ecdsa.recover_slice(curve, base, digest_words, signature_words, ids, start, stop, key_words, verdicts)

    for_slices(len(digests), work)


register_on_cpu(VERIFY, by_name(_verify))
register_on_cpu(RECOVER, by_name(_recover))
cuda.register_operation(VERIFY)
cuda.register_operation(RECOVER)
