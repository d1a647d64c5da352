# SPDX-License-Identifier: GPL-3.0-or-later
"""Private transfers for load: proofs as `simulated_proofs` makes them, of a circuit that there is none of."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np

from supervm.crypto.groth16 import Circuits, Key
from supervm.engine.arrays import ragged
from supervm.engine.privacy import shielded_calls
from supervm.engine.privacy.batch_verifier import BatchVerifier
from supervm.engine.privacy.transaction_proofs import TransactionProofs, encode_proofs
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import proof_bindings
from supervm.engine.workloads.signing import Progress
from supervm.engine.workloads.simulated_proofs import Simulator
from supervm.engine.workloads.traffic import generator, random_rows
from supervm.engine.workloads.workload import Parameters
from supervm.kernels.array_types import Bytes, Flags
from supervm.kernels.errors import ArgumentError
from supervm.vm.outcomes import Reason

CIRCUIT = "benchmark_v1"
"""The id of the circuit that there is none of."""

INPUTS = 3
"""Public inputs: the binding, and two numbers that stand for a nullifier and a commitment."""

WRONG_EVERY = 8
"""One in so many proofs is wrong."""

POOL_CIRCUIT, POOL_INPUTS = shielded_calls.CIRCUIT, 1 + shielded_calls.PUBLIC_INPUTS
"""The circuit of shielded pools, whose proofs `pool_calls` makes in the same way."""

SIMULATOR, POOL_SIMULATOR = Simulator(INPUTS), Simulator(POOL_INPUTS)


@functools.cache
def benchmark_key() -> Key:
    """The key that these proofs are made for."""
    return SIMULATOR.key()


@functools.cache
def pool_benchmark_key() -> Key:
    """The key that the proofs of workloads with shielded pools are made for."""
    return POOL_SIMULATOR.key()


def benchmark_verifier(backend: str = "auto") -> TransactionProofs:
    """A verifier of these proofs, and of those of workloads with shielded pools, for the engine of a benchmark."""
    circuits = Circuits()
    circuits.register(CIRCUIT, benchmark_key())
    circuits.register(POOL_CIRCUIT, pool_benchmark_key())
    verifier = BatchVerifier(circuits, backend=backend)
    return TransactionProofs(verifier, [CIRCUIT, POOL_CIRCUIT], allow_benchmark_key=True)


def pool_verifier(key: Key, backend: str = "auto") -> TransactionProofs:
    """A verifier of proofs that a prover made of calls of pools, under the key that it verified them with."""
    circuits = Circuits()
    circuits.register(POOL_CIRCUIT, key)
    return TransactionProofs(BatchVerifier(circuits, backend=backend), [POOL_CIRCUIT])


def chosen(batch: TransactionBatch, parameters: Parameters) -> tuple[Flags, Flags]:
    """Which transactions of a workload are private, and which of those have a wrong proof; bool (n,) both.

    Exactly round(private_share × n) transfers are private, one in `WRONG_EVERY` of them with a wrong proof.

    Raises:
        ArgumentError: fewer transfers than that.
    """
    private, wrong = np.zeros((2, len(batch)), np.bool_)
    count, transfers = (
        round(parameters.private_share * len(batch)),
        np.flatnonzero(np.diff(batch.entry.offsets) == 0),
    )
    if count > len(transfers):
        found = f"{parameters.private_share}, {count:,} transactions"
        raise ArgumentError("private_share", found, f"at most the plain transfers, {len(transfers):,}")
    rows = generator(parameters, "private").permutation(transfers)[:count]
    private[rows] = True
    wrong[rows[: count // WRONG_EVERY]] = True
    return private, wrong


def with_proofs(
    batch: TransactionBatch,
    private: Flags,
    wrong: Flags,
    parameters: Parameters,
    progress: Progress | None = None,
) -> TransactionBatch:
    """The batch with these transactions private, and their proofs.

    Wrong ones are, in turn: another C; another public input than was proven; proven for another transaction; no points.

    Args:
        batch: n transactions that nothing but the signature is missing of.
        private, wrong: bool (n,), as `chosen` says.
        parameters: of the workload.
        progress: called when all proofs are made.
    """
    batch = replace(batch, private=private)
    rows, random = np.flatnonzero(private), generator(parameters, "proofs")
    stated = np.zeros((len(rows), INPUTS, 32), np.uint8)
    stated[:, 0] = proof_bindings(batch)[rows]
    stated[:, 1:, 1:] = random_rows(random, len(rows), 31 * (INPUTS - 1)).reshape(-1, INPUTS - 1, 31)
    another_c, another_input, another_transaction, no_points = (
        wrong[rows] & (np.cumsum(wrong[rows]) % 4 == kind) for kind in range(4)
    )
    proven = stated.copy()
    proven[another_input, 2, 31] ^= 1
    proven[another_transaction, 0, 31] ^= 1
    proofs = SIMULATOR.prove(proven, random, another_c)
    proofs[no_points] = 0xFF
    if progress is not None:
        progress(len(rows), len(rows))
    made = ragged.joined([encode_proofs(CIRCUIT, proofs, stated[:, 1:]), ragged.repeated(b"", 1)])
    places = np.full(len(batch), len(rows), np.int64)
    places[rows] = np.arange(len(rows))
    return replace(batch, proof=ragged.taken(made, places))


def refused_as_made(batch: TransactionBatch, parameters: Parameters, reasons: Bytes) -> bool:
    """Whether the engine refused the proofs of a workload that were made wrong, and no others.

    Args:
        batch, parameters: of the workload.
        reasons: uint8 (n,), from the receipts.
    """
    _, wrong = chosen(batch, parameters)
    return np.array_equal(np.isin(reasons, (Reason.BAD_PROOF, Reason.MALFORMED_PROOF)), wrong)
