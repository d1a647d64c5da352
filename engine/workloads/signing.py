# SPDX-License-Identifier: GPL-3.0-or-later
"""Ed25519 keys and signatures for load: made through `cryptography`, one signature after the other.

Keys follow from the seed, so everybody has them: they are good for load and for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.crypto import hashes
from supervm.crypto.messages import Messages
from supervm.engine.errors import MissingPackage
from supervm.engine.transactions.addresses import ed25519_addresses
from supervm.engine.transactions.batch import Scheme, TransactionBatch
from supervm.engine.transactions.encoding import signing_digests
from supervm.kernels.array_types import Bytes
from supervm.kernels.errors import ArgumentError

Progress = Callable[[int, int], None]
"""Called with how many are done and how many there are."""

_TAG = b"supervm/workload/key"
_STEP = 1_000
"""Signatures between two reports of progress."""


class Keys:
    """`count` Ed25519 keys of a seed: `public` uint8 (count, 32), `addresses` uint8 (count, 20).

    The secret of key i is SHA-256(`supervm/workload/key` ‖ seed (8) ‖ i (8)).

    Raises:
        ArgumentError: a seed that does not fit 8 bytes.
        MissingPackage: `cryptography` is not installed.
    """

    def __init__(self, seed: int, count: int) -> None:
        private, encoding, public_format = _library()
        if seed >= 1 << 64:
            raise ArgumentError("seed", str(seed), "below 2^64")
        head = np.frombuffer(_TAG + seed.to_bytes(8), np.uint8)
        indices = np.arange(count, dtype=">u8").view(np.uint8).reshape(count, 8)
        secrets = hashes.sha256_batch(np.concatenate([np.tile(head, (count, 1)), indices], axis=1))
        self._keys = [private.from_private_bytes(secret.tobytes()) for secret in secrets]
        raw = [key.public_key().public_bytes(encoding.Raw, public_format.Raw) for key in self._keys]
        self.public: Bytes = np.frombuffer(b"".join(raw), np.uint8).reshape(count, 32)
        self.addresses: Bytes = ed25519_addresses(self.public)

    def sign(self, batch: TransactionBatch, progress: Progress | None = None) -> TransactionBatch:
        """The batch with scheme Ed25519 and the signatures of its senders.

        Args:
            batch: n transactions, each of an account of these keys.
            progress: called after every 1,000 signatures and at the end.

        Raises:
            ArgumentError: a sender that has no key here.
        """
        signers = self._signers(batch.sender)
        unsigned = replace(batch, scheme=np.full(len(batch), Scheme.ED25519, np.uint8))
        digests = signing_digests(unsigned)
        signatures = np.empty((len(batch), 96), np.uint8)
        signatures[:, :32] = self.public[signers]
        for start in range(0, len(batch), _STEP):
            stop = min(start + _STEP, len(batch))
            signed = [
                self._keys[signer].sign(digest.tobytes())
                for signer, digest in zip(signers[start:stop].tolist(), digests[start:stop], strict=True)
            ]
            signatures[start:stop, 32:] = np.frombuffer(b"".join(signed), np.uint8).reshape(-1, 64)
            if progress is not None:
                progress(stop, len(batch))
        return replace(unsigned, signature=Messages.of(signatures))

    def _signers(self, senders: Bytes) -> NDArray[np.int64]:
        """The key of each address."""
        whole = np.dtype((np.void, 20))
        known = np.ascontiguousarray(self.addresses).view(whole)[:, 0]
        order = np.argsort(known)
        wanted = np.ascontiguousarray(senders).view(whole)[:, 0]
        places = np.searchsorted(known, wanted, sorter=order).clip(max=max(0, len(known) - 1))
        found = order[places] if len(known) else np.zeros(len(wanted), np.int64)
        if len(wanted) and not (len(known) and (known[found] == wanted).all()):
            stranger = int(np.argmin(known[found] == wanted)) if len(known) else 0
            raise ArgumentError(
                "batch", f"sender {senders[stranger].tobytes().hex()}", "an account of these keys"
            )
        return found


def _library() -> tuple[Any, Any, Any]:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    except ImportError as error:
        raise MissingPackage("cryptography", "signing a workload") from error
    return Ed25519PrivateKey, Encoding, PublicFormat
