# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be asked of an executor: types of task, what each costs, and the operations that implement them.

The cost of a unit of work is a weight on one scale (consensus 90, ZK proof 95, transaction execution 60, query 20, local
operation 10). It says how heavy a type of task is for a node, which is what tiers and admission ask; how long a batch takes
is measured, see `cost.py`.
"""

from __future__ import annotations

from enum import Enum

from supervm.crypto.params.poseidon import OPERATIONS as POSEIDON
from supervm.crypto.params.poseidon import SPONGES
from supervm.crypto.schemes import SCHEMES
from supervm.kernels import registry

CONSENSUS, ZK_PROOF, EXECUTION, QUERY, LOCAL = 90, 95, 60, 20, 10


class TaskType(Enum):
    """A type of task, valued by its name; `cost` is its weight."""

    TRANSACTION = "transaction"
    CONTRACT_CALL = "contract call"
    QUERY = "query"
    PROOF_GENERATION = "proof generation"
    PROOF_VERIFICATION = "proof verification"
    SIGNATURE_VERIFICATION = "signature verification"
    MERKLE_BUILD = "merkle build"
    HASHING = "hashing"
    MSM = "msm"
    NTT = "ntt"
    CONFLICT_DETECTION = "conflict detection"
    PRIVACY_TRANSACTION = "privacy transaction"

    @property
    def cost(self) -> int:
        """Cost of one unit of work, 10 … 95.

        Parts of a proof (MSM, NTT) and of a privacy transaction count as the proof they belong to; checking signatures or
        proofs and building the tree of a block are consensus checks; conflict detection is a step of execution.
        """
        return _COSTS[self]


_COSTS = {
    TaskType.TRANSACTION: EXECUTION,
    TaskType.CONTRACT_CALL: EXECUTION,
    TaskType.QUERY: QUERY,
    TaskType.PROOF_GENERATION: ZK_PROOF,
    TaskType.PROOF_VERIFICATION: CONSENSUS,
    TaskType.SIGNATURE_VERIFICATION: CONSENSUS,
    TaskType.MERKLE_BUILD: CONSENSUS,
    TaskType.HASHING: LOCAL,
    TaskType.MSM: ZK_PROOF,
    TaskType.NTT: ZK_PROOF,
    TaskType.CONFLICT_DETECTION: EXECUTION,
    TaskType.PRIVACY_TRANSACTION: ZK_PROOF,
}

_OPERATIONS = {
    "sha256": TaskType.HASHING,
    "sha512": TaskType.HASHING,
    "keccak256": TaskType.HASHING,
    "blake2b": TaskType.HASHING,
    "eth_address": TaskType.HASHING,
    **dict.fromkeys((scheme.operation for scheme in SCHEMES), TaskType.SIGNATURE_VERIFICATION),
    "secp256k1.ecdsa_recover": TaskType.SIGNATURE_VERIFICATION,
    "merkle.sha256": TaskType.MERKLE_BUILD,
    "merkle.keccak256": TaskType.MERKLE_BUILD,
    "bn254.ntt": TaskType.NTT,
    "bls12_381.ntt": TaskType.NTT,
    "merkle.poseidon_bn254": TaskType.MERKLE_BUILD,
    "merkle.poseidon_bls12_381": TaskType.MERKLE_BUILD,
    "bn254.g1.msm": TaskType.MSM,
    "bn254.g2.msm": TaskType.MSM,
    "bls12_381.g1.msm": TaskType.MSM,
    "bls12_381.g2.msm": TaskType.MSM,
    "ed25519.msm": TaskType.MSM,
    "conflicts.detect": TaskType.CONFLICT_DETECTION,
    **{
        f"{group}.{operation}": task
        for group in ("bn254.g1", "bn254.g2", "bls12_381.g1", "bls12_381.g2")
        for operation, task in (
            ("decode", TaskType.PROOF_VERIFICATION),
            ("subgroup", TaskType.PROOF_VERIFICATION),
            ("add", TaskType.MSM),
            ("multiply", TaskType.MSM),
            ("normalise", TaskType.MSM),
        )
    },
    **dict.fromkeys((*POSEIDON, *SPONGES), TaskType.HASHING),
}
"""Operation in the registry → what it is. A type that no operation has is declared, and no executor supports it."""

Task = TaskType | str
"""A type of task, or the name of one operation."""


def type_of(operation: str) -> TaskType | None:
    """The type of an operation; None if it belongs to none."""
    return _OPERATIONS.get(operation)


def operations_of(task: Task) -> tuple[str, ...]:
    """The registered operations that make up a task: those of its type, or the one that is named."""
    listed = registry.operations()
    if isinstance(task, str):
        return (task,) if task in listed else ()
    return tuple(name for name in listed if _OPERATIONS.get(name) is task)
