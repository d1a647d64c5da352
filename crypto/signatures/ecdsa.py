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
from supervm.crypto.one import backend_of_one, bytes_of, put_back, row_of, take_desk
from supervm.crypto.params.secp256k1 import SECP256K1
from supervm.crypto.signatures.batch import VERDICT, for_slices
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.kernels.arrays import words
from supervm.kernels.choices import alone_in_one_lane
from supervm.kernels.cpu.backends import CPU_BACKENDS, by_name, register_on_cpu
from supervm.kernels.cpu.bound import Bound
from supervm.kernels.cpu.curves import one_lane_weierstrass
from supervm.kernels.cpu.curves.curve import Curve
from supervm.kernels.cpu.curves.double_scalar_multiply import base_tables
from supervm.kernels.cpu.signatures import ecdsa

VERIFY, RECOVER = schemes.ECDSA.operation, "secp256k1.ecdsa_recover"

CURVES = {backend.name: Curve(SECP256K1, backend.lanes) for backend in CPU_BACKENDS}
"""The marker that compiled code takes, by backend."""


@functools.cache
def table(backend: str) -> Any:
    """The multiples of the generator, as `backend` holds them."""
    curve = CURVES[backend]
    points = one_lane_weierstrass.base_tables if curve.lanes.width == 1 else base_tables
    return curve.table(points(SECP256K1))


@functools.cache
def on_curve(function: Any, backend: str) -> Bound:
    """A kernel with its first arguments, the marker of secp256k1 and the multiples of the generator."""
    return Bound(function, CURVES[backend], table(backend))


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
    verdicts: Verdicts
    if len(keys) == 1 and type(keys) is type(hashed) is type(signed) is np.ndarray:
        name = backend_of_one(VERIFY, backend)
        if name:
            verdicts = np.empty(1, np.int8)
            verdicts[0] = _verdict(name, keys.tobytes(), hashed.tobytes(), signed.tobytes(), low)
            return verdicts
    columns = (keys, hashed, signed)
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
    if len(hashed) == 1 and type(hashed) is type(signed) is np.ndarray:
        name = backend_of_one(RECOVER, backend)
        if name:
            key, verdict = _recovered(name, hashed.tobytes(), signed.tobytes())
            return row_of(bytearray(key)), np.array((verdict,), np.int8)
    results = (((64,), np.uint8), VERDICT)
    keys, verdicts = compute(RECOVER, (hashed, signed), len(hashed), results, backend=backend)
    return keys, verdicts


def ecdsa_verify(
    public_key: bytes, digest: bytes, signature: bytes, *, low_s: bool = True, backend: str = "auto"
) -> bool:
    """Verify one ECDSA signature over a digest: whether `ecdsa_verify_batch` finds it valid.

    Args:
        public_key: 33 or 65 bytes, a SEC1 encoding, or 64, x‖y.
        digest: 32 bytes.
        signature: 64 bytes, r‖s big-endian.
        low_s, backend: as for `ecdsa_verify_batch`.

    Raises:
        ArgumentError: an argument that is no bytes or of another length.
        BackendUnavailable: the named backend cannot run here.
    """
    key, signed = bytes_of(public_key, "public_key", 33, 64, 65), bytes_of(signature, "signature", 64)
    hashed, low = bytes_of(digest, "digest", 32), flag(low_s, "low_s")
    name = backend_of_one(VERIFY, backend)
    if name:
        return _verdict(name, key, hashed, signed, low) == 1
    columns = row_of(key), row_of(hashed), row_of(signed)
    return bool(ecdsa_verify_batch(*columns, low_s=low, backend=backend)[0] == 1)


def ecdsa_recover(digest: bytes, signature: bytes, *, backend: str = "auto") -> bytes | None:
    """Recover one public key: the 64 bytes x‖y that `ecdsa_recover_batch` finds, or None.

    Args:
        digest: 32 bytes.
        signature: 65 bytes, r‖s‖recovery id.
        backend: as for `ecdsa_recover_batch`.

    Raises:
        ArgumentError: an argument that is no bytes or of another length.
        BackendUnavailable: the named backend cannot run here.
    """
    hashed, signed = bytes_of(digest, "digest", 32), bytes_of(signature, "signature", 65)
    name = backend_of_one(RECOVER, backend)
    if name:
        key, verdict = _recovered(name, hashed, signed)
        return key if verdict == 1 else None
    keys, verdicts = ecdsa_recover_batch(row_of(hashed), row_of(signed), backend=backend)
    return keys[0].tobytes() if verdicts[0] == 1 else None


def _verdict(backend: str, key: bytes, digest: bytes, signature: bytes, low_s: bool) -> int:
    """Of one item, on a CPU backend."""
    desk = take_desk()
    try:
        desk.digest_view[:32], desk.signature_view[:] = digest, signature
        desk.form[0] = 0
        if len(key) == 64:
            desk.key_view[:] = key
        elif len(key) == 65:
            desk.key_view[:], desk.form[0] = key[1:], 0 if key[0] == 4 else -1
        else:
            desk.key_view[:32], desk.form[0] = key[1:], key[0] & 1 if key[0] in (2, 3) else -1
        on_curve(ecdsa.verify_slice, backend)(
            desk.key, desk.form, len(key) == 33, desk.digest, desk.signature, low_s, 0, 1, desk.verdict
        )
        return desk.verdict_view[0]
    finally:
        put_back(desk)


def _recovered(backend: str, digest: bytes, signature: bytes) -> tuple[bytes, int]:
    """Key and verdict of one item, on a CPU backend."""
    desk = take_desk()
    try:
        desk.digest_view[:32], desk.signature_view[:] = digest, signature[:64]
        desk.form[0] = signature[64] if signature[64] < 4 else -1
        on_curve(ecdsa.recover_slice, backend)(
            desk.digest, desk.signature, desk.form, 0, 1, desk.result, desk.verdict
        )
        return desk.result_view.tobytes(), desk.verdict_view[0]
    finally:
        put_back(desk)


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
    verify = on_curve(ecdsa.verify_slice, backend)
    points, forms, compressed = _coordinates(keys)
    key_words, digest_words, signature_words = words(points), words(digests), words(signatures)

    def work(start: int, stop: int) -> None:
        verify(key_words, forms, compressed, digest_words, signature_words, low_s, start, stop, verdicts)

    for_slices(len(keys), work)


def _recover(backend: str, digests: Bytes, signatures: Bytes, keys: Bytes, verdicts: Verdicts) -> None:
    recover = on_curve(ecdsa.recover_slice, backend)
    ids = np.where(signatures[:, 64] < 4, signatures[:, 64], np.uint8(255)).view(np.int8)
    digest_words, signature_words = words(digests), words(np.ascontiguousarray(signatures[:, :64]))
    key_words = keys.reshape(-1).view(np.uint64)

    def work(start: int, stop: int) -> None:
        recover(digest_words, signature_words, ids, start, stop, key_words, verdicts)

    for_slices(len(digests), work)


register_on_cpu(VERIFY, by_name(_verify))
register_on_cpu(RECOVER, by_name(_recover))
cuda.register_operation(VERIFY)
alone_in_one_lane(VERIFY)
cuda.register_operation(RECOVER)
alone_in_one_lane(RECOVER)
