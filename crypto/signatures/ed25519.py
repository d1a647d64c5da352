# SPDX-License-Identifier: GPL-3.0-or-later
"""Ed25519 batch verification on the CPU: hashing, then the curve, slice by slice.

The acceptance rules are spelled out in `supervm.crypto.oracle.ed25519`; this module and that one agree item by item.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from supervm.crypto import cuda, schemes
from supervm.crypto.arguments import rows, same_count
from supervm.crypto.calls import compute
from supervm.crypto.hashes import KERNELS
from supervm.crypto.messages import Messages, MessagesLike
from supervm.crypto.params.curve25519 import EDWARDS25519
from supervm.crypto.signatures.batch import VERDICT, Challenge, for_challenges
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.kernels.arrays import words
from supervm.kernels.cpu.backends import CPU_BACKENDS, by_name, register_on_cpu
from supervm.kernels.cpu.curves.curve import Curve
from supervm.kernels.cpu.signatures import eddsa
from supervm.kernels.errors import ArgumentError
from supervm.kernels.work import Ragged

RULES = {"dalek": eddsa.COFACTORLESS, "strict": eddsa.STRICT, "zip215": eddsa.COFACTORED}
"""The named acceptance rules (`docs/verification-rules.md`)."""

OPERATION = schemes.ED25519.operation

_CURVES = {backend.name: Curve(EDWARDS25519, backend.lanes) for backend in CPU_BACKENDS}
_CHALLENGES = {name: Challenge(KERNELS["sha512", name], np.empty(0, np.uint8)) for name in _CURVES}


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
    columns = (keys, batch.ragged, signed)
    verdicts: Verdicts
    (verdicts,) = compute(OPERATION, columns, len(keys), (VERDICT,), options=(RULES[rule],), backend=backend)
    return verdicts


@functools.cache
def _table(backend: str) -> Any:
    return _CURVES[backend].table(eddsa.base_table(EDWARDS25519))


def _verify(
    backend: str, keys: Bytes, messages: Ragged, signatures: Bytes, rule: int, verdicts: Verdicts
) -> None:
    curve, table = _CURVES[backend], _table(backend)
    key_words, signature_words = words(keys), words(signatures)

    def check(start: int, stop: int, hashes: npt.NDArray[np.uint64]) -> None:
        eddsa.verify_slice(
            curve,
            table,
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
