# SPDX-License-Identifier: GPL-3.0-or-later
"""A key of `ringct_v1` for tests, made once in a process, and a verifier of the proofs that it makes."""

from __future__ import annotations

import functools

from supervm.crypto import circuits
from supervm.crypto.circom_r1cs import load_r1cs
from supervm.crypto.groth16_circuits import Circuits
from supervm.crypto.groth16_prove import ProvingKey, load_zkey
from supervm.crypto.groth16_setup import make_test_key
from supervm.engine.privacy.batch_verifier import BatchVerifier
from supervm.engine.privacy.transaction_proofs import TransactionProofs

CIRCUIT = "ringct_v1"


@functools.cache
def zkey() -> bytes:
    """Its `.zkey`, marked as made for tests."""
    return make_test_key(load_r1cs(circuits.get(CIRCUIT).r1cs()))


@functools.cache
def proving_key() -> ProvingKey:
    """The key itself."""
    return load_zkey(zkey(), allow_test_only=True)


def verifier() -> TransactionProofs:
    """For an engine."""
    known = Circuits()
    known.register(CIRCUIT, proving_key().verification)
    return TransactionProofs(BatchVerifier(known), [CIRCUIT])
