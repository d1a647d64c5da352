# SPDX-License-Identifier: GPL-3.0-or-later
"""The proofs that private transactions carry: their encoding, what binds them, and the verifier that an engine is given.

A transaction's column `proof` holds, version 1 (docs/execution-rules.md, "Proofs"):

    01 ‖ length of the circuit's id (1) ‖ id ‖ length of the proof (2) ‖ proof ‖ public inputs (32 each)

The first public input is not among them. It is the transaction's own binding (`encoding.proof_bindings`), which the verifier
computes: a proof that was made for another transaction is invalid, whoever sends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from supervm.crypto.groth16 import Key
from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.engine.privacy.batch_verifier import BatchVerifier
from supervm.engine.privacy.proof_form import PROOF_BYTES, proof_head
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import proof_bindings
from supervm.kernels.array_types import Bytes, Verdicts
from supervm.kernels.errors import ArgumentError

BENCHMARK_KEYS = frozenset(
    {
        "91b8d0d8553656855e35ae2b48a20df8377bd3b72259c52e0e30cd39f9dbc33f",
        "136f7b1bef2fdf35648f9b3f0db3332464da285ac1cee4d7d458507d27d3a7b9",
    }
)
"""The digests of the keys that benchmarks make proofs with (`supervm.engine.workloads.private_transfers`). Their secrets are
public: whoever reads them proves whatever they like."""


@dataclass(frozen=True, eq=False)
class _Form:
    """How the proofs of one circuit begin, what they hold, and how long they are."""

    circuit: str
    head: Bytes
    proof_bytes: int
    width: int


class TransactionProofs:
    """Verifies the private transactions of a block in one batch for each circuit: a verifier for `EngineConfig`.

    All nodes of a chain need the same circuits under the same keys, or they disagree about what is rejected; so the circuits
    are fixed when this is made.

    Attributes:
        verifier: which verifies, and counts what it did.

    Args:
        verifier: which has the keys.
        circuits: ids of those whose proofs a transaction may carry. Each leaves its first public input to the binding; one
            whose first public input has a meaning of its own must not be among them.
        allow_benchmark_key: take the keys of benchmarks, too.

    Raises:
        UnknownCircuit, CircuitWithoutKey: as `Circuits.key`.
        ArgumentError: an id of more than 255 bytes, a circuit without public inputs or whose key ignores one, a key of
            benchmarks.
    """

    def __init__(
        self, verifier: BatchVerifier, circuits: Sequence[str], *, allow_benchmark_key: bool = False
    ) -> None:
        self.verifier = verifier
        self._forms = []
        for circuit in dict.fromkeys(circuits):
            key = verifier.circuits.key(circuit)
            if key.digest.hex() in BENCHMARK_KEYS and not allow_benchmark_key:
                found = f"{circuit!r} with the key of benchmarks, whose secrets are public"
                raise ArgumentError("circuits", found, "a key from a setup")
            self._forms.append(_form(circuit, key))

    def __call__(self, batch: TransactionBatch) -> Verdicts:
        """Verdicts of the proofs of n transactions.

        Returns:
            int8 (n,): 1 valid, 0 invalid, −1 malformed, which is also a proof of a circuit that is not among these.

        Raises:
            BackendUnavailable: the verifier's backend cannot run here.
        """
        verdicts = np.full(len(batch), -1, np.int8)
        sizes, bindings = ragged.lengths(batch.proof), proof_bindings(batch)
        for form in self._forms:
            rows = np.flatnonzero(sizes == form.width)
            data = ragged.taken_rows(batch.proof, rows, form.width)
            head, proofs, stated = np.split(data, (len(form.head), len(form.head) + form.proof_bytes), axis=1)
            meant = (head == form.head).all(axis=1)
            rows = rows[meant]
            if len(rows):
                first = bindings[rows][:, None]
                inputs = np.concatenate((first, stated[meant].reshape(len(rows), -1, 32)), axis=1)
                verdicts[rows] = self.verifier.verify_batch(form.circuit, proofs[meant], inputs)
        return verdicts


def encode_proofs(circuit: str, proofs: Bytes, public_inputs: Bytes) -> Messages:
    """The column `proof` of n private transactions.

    Args:
        circuit: its id.
        proofs: uint8 (n, p), in `batch_verifier.FORMAT`.
        public_inputs: uint8 (n, k, 32), big-endian, without the first, the binding.

    Raises:
        ArgumentError: an id of more than 255 bytes, or proofs of 65,536 bytes and more.
    """
    head = np.tile(proof_head(circuit, proofs.shape[1]), (len(proofs), 1))
    stated = public_inputs.reshape(len(proofs), 32 * public_inputs.shape[1])
    return Messages.of(np.concatenate((head, proofs, stated), axis=1))


def _form(circuit: str, key: Key) -> _Form:
    free = np.flatnonzero(~key.ic[1:].any(axis=(1, 2)))
    if not key.inputs or len(free):
        found = f"{circuit!r}, whose proofs do not depend on public input {free[0] + 1 if len(free) else 1}"
        raise ArgumentError(
            "circuits",
            found,
            "circuits that bind every public input, the transaction's binding first",
        )
    size = PROOF_BYTES[key.curve]
    head = proof_head(circuit, size)
    return _Form(circuit, head, size, len(head) + size + 32 * (key.inputs - 1))
