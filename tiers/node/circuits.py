# SPDX-License-Identifier: GPL-3.0-or-later
"""The circuits whose proofs a node's private transactions may carry, from the folder of keys that it is given.

They are part of the chain's rules, as its signatures are: nodes with other circuits reject other transactions.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from supervm.engine.privacy.batch_verifier import BatchVerifier
from supervm.engine.privacy.transaction_proofs import TransactionProofs
from supervm.kernels.errors import ArgumentError, BackendUnavailable
from supervm.tiers.errors import SettingError
from supervm.tiers.known_answers import known_answers
from supervm.tiers.service.setups import circuits
from supervm.tiers.settings import Settings

log = logging.getLogger(__name__)

KEYS = "node.groth16.keys"


@dataclass(frozen=True)
class NodeCircuits:
    """What a node verifies proofs with.

    Args:
        verifier: counts what was verified.
        proofs: for `EngineConfig`; None where there are no circuits, and private transactions are rejected.
        digests: id → digest of the key, in hexadecimal.
    """

    verifier: BatchVerifier
    proofs: TransactionProofs | None
    digests: dict[str, str]


def circuits_of(settings: Settings) -> NodeCircuits:
    """The circuits that the settings name.

    The pairings that their proofs rest on answer known questions first, so that a node that computes wrongly does not start.

    Raises:
        BrokenFile: there is no such folder, no key in it, or a file that is no key.
        SettingError: a circuit whose first public input cannot be a transaction's binding.
        BackendUnavailable: the backend cannot verify proofs here, or gave a wrong answer.
    """
    known = circuits(settings.node_groth16_keys, allow_test_only=settings.node_groth16_test_keys == "allow")
    verifier, names = BatchVerifier(known, backend=settings.backend), known.with_keys()
    digests = {name: known.key(name).digest.hex() for name in names}
    if not names:
        return NodeCircuits(verifier, None, digests)
    try:
        proofs = TransactionProofs(verifier, names)
    except ArgumentError as error:
        raise SettingError(settings.origins[KEYS], KEYS, error.found, error.expected) from None
    for curve in sorted({known.key(name).curve for name in names}):
        for operation in (f"{curve}.pairing.miller_loop", f"{curve}.pairing.final_exponentiation"):
            test = known_answers(operation, settings.backend)
            if not test.ok:
                raise BackendUnavailable(settings.backend, f"{operation}: {test.detail}")
    for name, digest in digests.items():
        log.info("private transactions may carry proofs of %s", name, extra={"key": digest})
    return NodeCircuits(verifier, proofs, digests)
