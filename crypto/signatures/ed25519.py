# SPDX-License-Identifier: GPL-3.0-or-later
"""Ed25519 batch verification on the CPU: hashing, then the curve, slice by slice.

The acceptance rules are spelled out in `supervm.crypto.oracle.ed25519`; this module and that one agree item by item.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from supervm.crypto import cuda, schemes
from supervm.crypto.arguments import rows, same_count
from supervm.crypto.calls import compute
from supervm.crypto.hashes import KERNELS
from supervm.crypto.messages import Messages, MessagesLike
from supervm.crypto.one import backend_of_one, bytes_of, put_back, row_of, take_desk
from supervm.crypto.params.curve25519 import EDWARDS25519
from supervm.crypto.signatures.batch import VERDICT, Challenge, for_challenges
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.kernels.arrays import words
from supervm.kernels.choices import alone_in_one_lane
from supervm.kernels.cpu.backends import CPU_BACKENDS, by_name, register_on_cpu
from supervm.kernels.cpu.bound import Bound
from supervm.kernels.cpu.curves import one_lane_edwards
from supervm.kernels.cpu.curves.curve import Curve
from supervm.kernels.cpu.signatures import eddsa
from supervm.kernels.errors import ArgumentError
from supervm.kernels.work import Ragged

RULES = {"dalek": eddsa.COFACTORLESS, "strict": eddsa.STRICT, "zip215": eddsa.COFACTORED}
"""The named acceptance rules (`docs/verification-rules.md`)."""

OPERATION = schemes.ED25519.operation

_CURVES = {backend.name: Curve(EDWARDS25519, backend.lanes) for backend in CPU_BACKENDS}
_CHALLENGES = {name: Challenge(KERNELS["sha512", name], b"") for name in _CURVES}


def verify_batch(
    public_keys: Bytes,
    messages: MessagesLike,
    signatures: Bytes,
    *,
    rule: str = "dalek",
    backend: str = "auto",
) -> Verdicts:
    """Verify n Ed25519 signatures (RFC 8032), each on its own.

    Args:
        public_keys: uint8 (n, 32); like every array here, of NumPy or on a GPU (CuPy), where the result then is too.
        messages: n messages, in any form that `Messages.of` takes.
        signatures: uint8 (n, 64), R‖s.
        rule: `dalek` (what ed25519-dalek 2 `verify` and most chains accept: no cofactor, the recomputed R must equal
            R's bytes), `strict` (dalek's `verify_strict`, Solana: no small order besides) or `zip215` (cofactored,
            permissive encodings).
        backend: `auto`, or a name of `kernels.registry.BACKENDS`.

    Returns:
        int8 (n,) in the order of the items: 1 valid, 0 invalid, −1 malformed (the key does not decode, or s ≥ L).

    Raises:
        ArgumentError: an argument of another shape, dtype or length, or an unknown rule.
        BackendUnavailable: the named backend cannot run here.

    >>> from supervm.crypto.oracle.ed25519 import verify
    >>> key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    >>> signature = bytes.fromhex(
    ...     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
    ...     "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    ... )
    >>> row = lambda data: np.frombuffer(data, np.uint8).reshape(1, -1)
    >>> verify_batch(row(key), [b""], row(signature)).tolist(), verify(key, b"", signature)
    ([1], 1)
    """
    keys, signed = rows(public_keys, "public_keys", 32), rows(signatures, "signatures", 64)
    batch = Messages.of(messages)
    same_count(len(keys), "public_keys", {"messages": len(batch), "signatures": len(signed)})
    if rule not in RULES:
        raise ArgumentError("rule", repr(rule), ", ".join(map(repr, RULES)))
    verdicts: Verdicts
    if len(keys) == 1 and type(keys) is type(batch.data) is type(signed) is np.ndarray:
        name = backend_of_one(OPERATION, backend)
        if name:
            verdicts = np.empty(1, np.int8)
            verdicts[0] = _verdict(name, keys.tobytes(), batch.only, signed.tobytes(), RULES[rule])
            return verdicts
    columns = (keys, batch.ragged, signed)
    (verdicts,) = compute(OPERATION, columns, len(keys), (VERDICT,), options=(RULES[rule],), backend=backend)
    return verdicts


def verify(
    public_key: bytes, message: bytes, signature: bytes, *, rule: str = "dalek", backend: str = "auto"
) -> bool:
    """Verify one Ed25519 signature: whether `verify_batch` finds it valid.

    Args:
        public_key: 32 bytes.
        message: of any length.
        signature: 64 bytes, R‖s.
        rule, backend: as for `verify_batch`.

    Raises:
        ArgumentError: an argument that is no bytes or of another length, or an unknown rule.
        BackendUnavailable: the named backend cannot run here.

    >>> verify(bytes(32), b"", bytes(64))
    False
    """
    key, signed = bytes_of(public_key, "public_key", 32), bytes_of(signature, "signature", 64)
    message = bytes_of(message, "message")
    if rule not in RULES:
        raise ArgumentError("rule", repr(rule), ", ".join(map(repr, RULES)))
    name = backend_of_one(OPERATION, backend)
    if name:
        return _verdict(name, key, message, signed, RULES[rule]) == 1
    verdicts = verify_batch(row_of(key), [message], row_of(signed), rule=rule, backend=backend)
    return bool(verdicts[0] == 1)


def _verdict(backend: str, key: bytes, message: bytes, signature: bytes, rule: int) -> int:
    """Of one item, on a CPU backend."""
    desk = take_desk()
    try:
        desk.key_view[:32], desk.signature_view[:] = key, signature
        _CHALLENGES[backend].hash_one(desk, key, message, signature)
        _verifier(backend)(desk.key, desk.signature, desk.digest, 0, 1, rule, desk.verdict)
        return desk.verdict_view[0]
    finally:
        put_back(desk)


@functools.cache
def _verifier(backend: str) -> Bound:
    """What verifies a slice, with the multiples of the base point as the backend holds them."""
    curve = _CURVES[backend]
    points = one_lane_edwards.base_table if curve.lanes.width == 1 else eddsa.base_table
    return Bound(eddsa.verify_slice, curve, curve.table(points(EDWARDS25519)))


def _verify(
    backend: str, keys: Bytes, messages: Ragged, signatures: Bytes, rule: int, verdicts: Verdicts
) -> None:
    verify = _verifier(backend)
    key_words, signature_words = words(keys), words(signatures)

    def check(start: int, stop: int, hashes: npt.NDArray[np.uint64]) -> None:
        verify(
            key_words[4 * start : 4 * stop],
            signature_words[8 * start : 8 * stop],
            hashes,
            0,
            stop - start,
            rule,
            verdicts[start:stop],
        )

    for_challenges(_CHALLENGES[backend], keys, messages, signatures, check)


register_on_cpu(OPERATION, by_name(_verify))
cuda.register_operation(OPERATION)
alone_in_one_lane(OPERATION)
