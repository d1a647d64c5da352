# SPDX-License-Identifier: GPL-3.0-or-later
"""Authentication: verifies the signatures of a batch of transactions, one batch per scheme, and proofs of private ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from supervm.crypto import ed25519, schemes, secp256k1
from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.engine.config import OnVerified, Verifier
from supervm.engine.ethereum.carried import read_carried, recover_carried
from supervm.engine.ethereum.senders import above_half_order
from supervm.engine.transactions.addresses import ed25519_addresses, even_keys, secp256k1_addresses
from supervm.engine.transactions.batch import Scheme, TransactionBatch
from supervm.engine.transactions.encoding import signing_digests
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.kernels.backend_trace import witness
from supervm.kernels.errors import ArgumentError
from supervm.vm.outcomes import Reason

Check = Callable[[Bytes, Bytes, str], tuple[Verdicts, Bytes]]

_KEY_BYTES = 32
_SIGNATURE_BYTES = {Scheme.ED25519: 96, Scheme.ECDSA: 65, Scheme.BIP340: 96}


def authenticate(
    batch: TransactionBatch, *, backend: str = "auto", on_verified: OnVerified | None = None
) -> Bytes:
    """Check every signature, and that its key is the sender's (docs/execution-rules.md, "Rejection").

    Args:
        batch: n transactions.
        backend: `auto`, which asks the scheduler if one is installed, or a backend that every operation has.
        on_verified: told of the verdicts of each scheme, and which backend they are from.

    Returns:
        uint8 (n,) in the order of the transactions: 0 if the sender signed it, else the first that applies of
        `Reason.MALFORMED_SIGNATURE` (unknown scheme, scheme 0, wrong length, a signature or key that does not decode,
        nothing to recover), `Reason.BAD_SIGNATURE` (it does not verify; ECDSA: a high s) and `Reason.WRONG_SENDER`; before
        all of them `Reason.MALFORMED_ETHEREUM`, of scheme `ETHEREUM`.

    Raises:
        MalformedBatch: a column was changed, after the batch was built, into what `TransactionBatch` refuses.
        BackendUnavailable: the named backend cannot run here.
    """
    reasons = np.full(len(batch), Reason.MALFORMED_SIGNATURE, np.uint8)
    carried = np.flatnonzero(batch.scheme == Scheme.ETHEREUM)
    if carried.size:
        reasons[carried] = _authenticate_carried(batch.take(carried), backend, on_verified)
    if carried.size == len(batch):
        return reasons
    digests = signing_digests(batch, backend=backend)
    sizes = ragged.lengths(batch.signature)
    for scheme, (operation, check) in _CHECKS.items():
        width = _SIGNATURE_BYTES[scheme]
        rows = np.flatnonzero((batch.scheme == scheme) & (sizes == width))
        if not len(rows):
            continue
        signatures = ragged.taken_rows(batch.signature, rows, width)
        with witness() as seen:
            verdicts, addresses = check(signatures, np.ascontiguousarray(digests[rows]), backend)
        if on_verified is not None:
            on_verified(_LABELS[scheme], seen.backend(operation), verdicts)
        wrong = (addresses != batch.sender[rows]).any(axis=1)
        reasons[rows] = np.select(
            [verdicts == -1, verdicts == 0, wrong],
            [Reason.MALFORMED_SIGNATURE, Reason.BAD_SIGNATURE, Reason.WRONG_SENDER],
            Reason.NONE,
        )
    return reasons


def _authenticate_carried(batch: TransactionBatch, backend: str, on_verified: OnVerified | None) -> Bytes:
    """`authenticate`, of transactions that carry Ethereum transactions."""
    found, wrong = read_carried(batch)
    with witness() as seen:
        senders, verdicts = recover_carried(found, backend=backend)
    if on_verified is not None:
        on_verified(_LABELS[Scheme.ECDSA], seen.backend(_CHECKS[Scheme.ECDSA][0]), verdicts)
    strangers = (senders != batch.sender).any(axis=1)
    return np.select(
        [wrong, verdicts == -1, verdicts == 0, strangers],
        [
            Reason.MALFORMED_ETHEREUM,
            Reason.MALFORMED_SIGNATURE,
            Reason.BAD_SIGNATURE,
            Reason.WRONG_SENDER,
        ],
        Reason.NONE,
    ).astype(np.uint8)


def check_proofs(batch: TransactionBatch, verifier: Verifier | None) -> Bytes:
    """Check the proofs of private transactions: what the verifier does not call valid is refused.

    Args:
        batch: n transactions, all of them private.
        verifier: as of `EngineConfig`; None refuses all of them.

    Returns:
        uint8 (n,): 0, `Reason.NO_VERIFIER`, `Reason.BAD_PROOF` or `Reason.MALFORMED_PROOF`.

    Raises:
        ArgumentError: a verifier whose verdicts have another dtype or shape; whatever it raises itself.
    """
    reasons = np.full(len(batch), Reason.NO_VERIFIER, np.uint8)
    if verifier is None:
        return reasons
    verdicts = np.asarray(verifier(batch))
    if verdicts.dtype not in (np.int8, np.bool_) or verdicts.shape != reasons.shape:
        found = f"verdicts {verdicts.dtype} {verdicts.shape}"
        raise ArgumentError("verifier", found, f"one that gives int8 or bool {reasons.shape}")
    reasons[:] = Reason.BAD_PROOF
    reasons[verdicts == -1] = Reason.MALFORMED_PROOF
    reasons[verdicts == 1] = Reason.NONE
    return reasons


def _ed25519(signatures: Bytes, digests: Bytes, backend: str) -> tuple[Verdicts, Bytes]:
    keys, signed = _split(signatures)
    messages = Messages.of(digests)
    verdicts = ed25519.verify_batch(keys, messages, signed, rule="dalek", backend=backend)
    return verdicts, ed25519_addresses(keys, backend=backend)


def _ecdsa(signatures: Bytes, digests: Bytes, backend: str) -> tuple[Verdicts, Bytes]:
    keys, verdicts = secp256k1.ecdsa_recover_batch(digests, signatures, backend=backend)
    # Recovery accepts a high s; what cannot be recovered stays malformed, whatever its s.
    verdicts[(verdicts == 1) & above_half_order(signatures[:, 32:64])] = 0
    return verdicts, secp256k1_addresses(keys, backend=backend)


def _bip340(signatures: Bytes, digests: Bytes, backend: str) -> tuple[Verdicts, Bytes]:
    keys, signed = _split(signatures)
    verdicts = secp256k1.schnorr_verify_batch(keys, Messages.of(digests), signed, backend=backend)
    return verdicts, secp256k1_addresses(even_keys(keys, backend=backend), backend=backend)


def _split(signatures: Bytes) -> tuple[Bytes, Bytes]:
    """Key and signature of key ‖ signature."""
    return (
        np.ascontiguousarray(signatures[:, :_KEY_BYTES]),
        np.ascontiguousarray(signatures[:, _KEY_BYTES:]),
    )


_CHECKS: dict[Scheme, tuple[str, Check]] = {
    Scheme.ED25519: (schemes.ED25519.operation, _ed25519),
    Scheme.ECDSA: ("secp256k1.ecdsa_recover", _ecdsa),
    Scheme.BIP340: (schemes.SCHNORR.operation, _bip340),
}
"""The operation that decides, and the whole check."""

_LABELS = {
    Scheme.ED25519: schemes.ED25519.name,
    Scheme.ECDSA: schemes.ECDSA.name,
    Scheme.BIP340: schemes.SCHNORR.name,
}
"""Names of schemes outside of transactions."""
