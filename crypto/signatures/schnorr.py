# SPDX-License-Identifier: GPL-3.0-or-later
"""BIP-340 Schnorr signatures over secp256k1 in batches on the CPU.

The acceptance rule is spelled out in `supervm.crypto.oracle.schnorr`; this module and that one agree item by item.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from supervm.crypto import cuda, schemes
from supervm.crypto.arguments import rows, same_count
from supervm.crypto.calls import compute
from supervm.crypto.hashes import KERNELS
from supervm.crypto.messages import Messages, MessagesLike
from supervm.crypto.one import backend_of_one, bytes_of, put_back, row_of, take_desk
from supervm.crypto.signatures.batch import VERDICT, Challenge, for_challenges
from supervm.crypto.signatures.ecdsa import CURVES, on_curve
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.kernels.arrays import words
from supervm.kernels.choices import alone_in_one_lane
from supervm.kernels.cpu.backends import by_name, register_on_cpu
from supervm.kernels.cpu.signatures import schnorr
from supervm.kernels.work import Ragged

OPERATION = schemes.SCHNORR.operation

_TAG = hashlib.sha256(b"BIP0340/challenge").digest()
_PREFIX = _TAG + _TAG
"""What a tagged hash starts with: the tag's digest, twice (BIP-340, "Tagged Hashes")."""

_CHALLENGES = {name: Challenge(KERNELS["sha256", name], _PREFIX) for name in CURVES}


def schnorr_verify_batch(
    public_keys: Bytes, messages: MessagesLike, signatures: Bytes, *, backend: str = "auto"
) -> Verdicts:
    """Verify n BIP-340 signatures.

    Args:
        public_keys: uint8 (n, 32), x-only.
        messages: n messages of any length, in any form that `Messages.of` takes.
        signatures: uint8 (n, 64), r‖s.
        backend: `auto`, or a name of `kernels.registry.BACKENDS`.

    Returns:
        int8 (n,): 1 valid, 0 invalid, −1 malformed (no point has the key as x, r ≥ p, or s ≥ n).

    Raises:
        ArgumentError: an argument of another shape, dtype or length.
        BackendUnavailable: the named backend cannot run here.
    """
    keys, signed = rows(public_keys, "public_keys", 32), rows(signatures, "signatures", 64)
    batch = Messages.of(messages)
    same_count(len(keys), "public_keys", {"messages": len(batch), "signatures": len(signed)})
    verdicts: Verdicts
    if len(keys) == 1 and type(keys) is type(batch.data) is type(signed) is np.ndarray:
        name = backend_of_one(OPERATION, backend)
        if name:
            verdicts = np.empty(1, np.int8)
            verdicts[0] = _verdict(name, keys.tobytes(), batch.only, signed.tobytes())
            return verdicts
    columns = (keys, batch.ragged, signed)
    (verdicts,) = compute(OPERATION, columns, len(keys), (VERDICT,), backend=backend)
    return verdicts


def schnorr_verify(public_key: bytes, message: bytes, signature: bytes, *, backend: str = "auto") -> bool:
    """Verify one BIP-340 signature: whether `schnorr_verify_batch` finds it valid.

    Args:
        public_key: 32 bytes, x-only.
        message: of any length.
        signature: 64 bytes, r‖s.
        backend: as for `schnorr_verify_batch`.

    Raises:
        ArgumentError: an argument that is no bytes or of another length.
        BackendUnavailable: the named backend cannot run here.
    """
    key, signed = bytes_of(public_key, "public_key", 32), bytes_of(signature, "signature", 64)
    message = bytes_of(message, "message")
    name = backend_of_one(OPERATION, backend)
    if name:
        return _verdict(name, key, message, signed) == 1
    return bool(schnorr_verify_batch(row_of(key), [message], row_of(signed), backend=backend)[0] == 1)


def _verdict(backend: str, key: bytes, message: bytes, signature: bytes) -> int:
    """Of one item, on a CPU backend."""
    desk = take_desk()
    try:
        desk.key_view[:32], desk.signature_view[:] = key, signature
        _CHALLENGES[backend].hash_one(desk, key, message, signature)
        on_curve(schnorr.verify_slice, backend)(desk.key, desk.digest, desk.signature, 0, 1, desk.verdict)
        return desk.verdict_view[0]
    finally:
        put_back(desk)


def _verify(backend: str, keys: Bytes, messages: Ragged, signatures: Bytes, verdicts: Verdicts) -> None:
    verify = on_curve(schnorr.verify_slice, backend)
    key_words, signature_words = words(keys), words(signatures)

    def check(start: int, stop: int, hashes: npt.NDArray[np.uint64]) -> None:
        verify(
            key_words[4 * start : 4 * stop],
            hashes,
            signature_words[8 * start : 8 * stop],
            0,
            stop - start,
            verdicts[start:stop],
        )

    for_challenges(_CHALLENGES[backend], keys, messages, signatures, check)


register_on_cpu(OPERATION, by_name(_verify))
cuda.register_operation(OPERATION)
alone_in_one_lane(OPERATION)
