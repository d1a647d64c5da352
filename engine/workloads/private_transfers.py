# SPDX-License-Identifier: GPL-3.0-or-later
"""Private transfers for load: real Groth16 proofs on BN254 under a key whose secrets are in this file.

There is no circuit. Whoever knows α, β, γ and δ of a key proves every statement (eprint 2016/260, section 3.1, the
simulator): A and B are multiples a and b of the generators at will, and C is the multiple
(a·b − α·β − γ·(u₀ + Σ xⱼ·uⱼ))/δ, where ICⱼ is the multiple uⱼ. Such proofs cost a verifier what those of a circuit cost. The
key is good for load and for nothing else: `TransactionProofs` refuses it unless it is told to take it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from supervm.crypto import curves
from supervm.crypto.groth16 import Circuits, Key
from supervm.engine.arrays import ragged
from supervm.engine.privacy.batch_verifier import FORMAT, PROOF_BYTES, BatchVerifier
from supervm.engine.privacy.transaction_proofs import TransactionProofs, encode_proofs
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import proof_bindings
from supervm.engine.workloads.signing import Progress
from supervm.engine.workloads.traffic import generator, random_rows
from supervm.engine.workloads.workload import Parameters
from supervm.kernels.array_types import Bytes, Flags, Words
from supervm.kernels.errors import ArgumentError
from supervm.vm.outcomes import Reason

CIRCUIT = "benchmark_v1"
"""The id of the circuit that there is none of."""

INPUTS = 3
"""Public inputs: the binding, and two numbers that stand for a nullifier and a commitment."""

WRONG_EVERY = 8
"""One in so many proofs is wrong."""

_TAG = b"supervm/workload/proof"
_CURVE = curves.get("bn254")
_ORDER = _CURVE.order


def _secret(name: str) -> int:
    """A number of the key that everybody knows: SHA-256(`supervm/workload/proof` ‖ name) modulo r."""
    return int.from_bytes(hashlib.sha256(_TAG + name.encode()).digest()) % _ORDER


ALPHA, BETA, GAMMA, DELTA = map(_secret, ("alpha", "beta", "gamma", "delta"))
IC = [_secret(f"ic{place}") for place in range(INPUTS + 1)]


@functools.cache
def benchmark_key() -> Key:
    """The key that these proofs are made for."""
    alpha, *ic = _multiples(_CURVE.g1, [ALPHA, *IC])
    beta, gamma, delta = _multiples(_CURVE.g2, [BETA, GAMMA, DELTA])
    return Key(_CURVE.name, alpha, beta, gamma, delta, np.stack(ic))


def benchmark_verifier(backend: str = "auto") -> TransactionProofs:
    """A verifier of these proofs for the engine of a benchmark."""
    circuits = Circuits()
    circuits.register(CIRCUIT, benchmark_key())
    verifier = BatchVerifier(circuits, backend=backend)
    return TransactionProofs(verifier, [CIRCUIT], allow_benchmark_key=True)


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
    proofs = _proofs(proven, another_c, random)
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


def _proofs(inputs: Bytes, another_c: Flags, random: np.random.Generator) -> Bytes:
    """Proofs of statements, uint8 (n, INPUTS, 32), big-endian and below r; where told, with another C than the right one."""
    if not len(inputs):
        return np.zeros((0, PROOF_BYTES[_CURVE.name]), np.uint8)
    first, second = (_integers(random_rows(random, len(inputs), 31)) for _ in range(2))
    thirds, inverse = [], pow(DELTA, -1, _ORDER)
    for a, b, row, spoilt in zip(first, second, inputs, another_c.tolist(), strict=True):
        stated = IC[0] + sum(x * u for x, u in zip(_integers(row), IC[1:], strict=True))
        thirds.append(((a * b - ALPHA * BETA - GAMMA * stated) * inverse + spoilt) % _ORDER)
    columns = [
        group.to_bytes(_multiples(group, scalars), FORMAT)
        for group, scalars in ((_CURVE.g1, first), (_CURVE.g2, second), (_CURVE.g1, thirds))
    ]
    return np.concatenate(columns, axis=1)


def _integers(rows: Bytes) -> list[int]:
    return [int.from_bytes(row.tobytes()) for row in rows]


def _multiples(group: curves.Group, scalars: Sequence[int]) -> Words:
    """Multiples of a group's generator."""
    words = np.frombuffer(b"".join(scalar.to_bytes(32, "little") for scalar in scalars), np.uint64)
    generators = np.tile(group.generator, (len(scalars), *[1] * group.generator.ndim))
    return group.multiply(generators, words.reshape(-1, 4))
