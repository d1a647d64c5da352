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
from supervm.crypto.signatures.batch import VERDICT, Challenge, for_challenges
from supervm.crypto.signatures.ecdsa import CURVES, table
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.kernels.arrays import words
from supervm.kernels.cpu.backends import by_name, register_on_cpu
from supervm.kernels.cpu.signatures import schnorr
from supervm.kernels.work import Ragged

OPERATION = schemes.SCHNORR.operation

_TAG = hashlib.sha256(b"BIP0340/challenge").digest()
_PREFIX = np.frombuffer(_TAG + _TAG, np.uint8).copy()
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
    columns = (keys, batch.ragged, signed)
    verdicts: Verdicts
    (verdicts,) = compute(OPERATION, columns, len(keys), (VERDICT,), backend=backend)
    return verdicts


def _verify(backend: str, keys: Bytes, messages: Ragged, signatures: Bytes, verdicts: Verdicts) -> None:
    curve, base = CURVES[backend], table(backend)
    key_words, signature_words = words(keys), words(signatures)

    def check(start: int, stop: int, hashes: npt.NDArray[np.uint64]) -> None:
        schnorr.verify_slice(
            curve,
            base,
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
