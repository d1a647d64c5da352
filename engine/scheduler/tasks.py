# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be asked of an executor: types of task, the class of work of each, and the operations that implement them."""

from __future__ import annotations

from enum import Enum

from supervm.crypto.params.poseidon import OPERATIONS as POSEIDON
from supervm.crypto.params.poseidon import SPONGES
from supervm.crypto.schemes import SCHEMES
from supervm.engine.work_classes import Work


class TaskType(Enum):
    """A type of task, valued by its name."""

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
    def work(self) -> Work:
        """The class of work that it belongs to.

        Parts of a proof (MSM, NTT) and of a privacy transaction count as the proof they belong to; checking signatures or
        proofs and building the tree of a block are consensus checks; conflict detection is a step of execution.
        """
        return _WORK[self]

    @property
    def cost(self) -> int:
        """The weight of that class, 10 … 95."""
        return self.work.cost


_WORK = {
    TaskType.TRANSACTION: Work.TRANSACTION_EXECUTION,
    TaskType.CONTRACT_CALL: Work.TRANSACTION_EXECUTION,
    TaskType.QUERY: Work.QUERY,
    TaskType.PROOF_GENERATION: Work.ZK_PROOF,
    TaskType.PROOF_VERIFICATION: Work.CONSENSUS,
    TaskType.SIGNATURE_VERIFICATION: Work.CONSENSUS,
    TaskType.MERKLE_BUILD: Work.CONSENSUS,
    TaskType.HASHING: Work.LOCAL_OPERATION,
    TaskType.MSM: Work.ZK_PROOF,
    TaskType.NTT: Work.ZK_PROOF,
    TaskType.CONFLICT_DETECTION: Work.TRANSACTION_EXECUTION,
    TaskType.PRIVACY_TRANSACTION: Work.ZK_PROOF,
}

_OPERATIONS = {
    "sha256": TaskType.HASHING,
    "sha512": TaskType.HASHING,
    "keccak256": TaskType.HASHING,
    "blake2b": TaskType.HASHING,
    "eth_address": TaskType.HASHING,
    **dict.fromkeys((scheme.operation for scheme in SCHEMES), TaskType.SIGNATURE_VERIFICATION),
    "secp256k1.ecdsa_recover": TaskType.SIGNATURE_VERIFICATION,
    "x25519": TaskType.PRIVACY_TRANSACTION,
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
    "bn254.groth16.prove": TaskType.PROOF_GENERATION,
    "bls12_381.groth16.prove": TaskType.PROOF_GENERATION,
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
    "bls12_381.g1.map": TaskType.PROOF_VERIFICATION,
    "bls12_381.g2.map": TaskType.PROOF_VERIFICATION,
    **{
        f"{curve}.pairing.{operation}": TaskType.PROOF_VERIFICATION
        for curve in ("bn254", "bls12_381")
        for operation in ("miller_loop", "final_exponentiation")
    },
    **dict.fromkeys((*POSEIDON, *SPONGES), TaskType.HASHING),
}
"""Operation in the registry → what it is. No operation has the types that only a whole node does."""


def type_of(operation: str) -> TaskType | None:
    """The type of an operation; None if it belongs to none."""
    return _OPERATIONS.get(operation)
