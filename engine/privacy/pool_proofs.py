# SPDX-License-Identifier: GPL-3.0-or-later
"""Proofs of calls of shielded pools, for whoever makes such calls: witnesses, the prover, and the transactions' column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from supervm.crypto import circuits, witness
from supervm.crypto.groth16_prove import ProvingKey, prove_batch
from supervm.crypto.messages import Messages
from supervm.engine.privacy.shielded_calls import CIRCUIT
from supervm.engine.privacy.transaction_proofs import encode_proofs
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import proof_bindings
from supervm.kernels.errors import ArgumentError
from supervm.kernels.progress import Progress, untold


def require_key(key: ProvingKey) -> None:
    """The key must be one of the pools' circuit, as far as its numbers of wires and of public inputs show.

    Raises:
        ArgumentError: it is of another circuit.
    """
    circuit = circuits.get(CIRCUIT)
    public = sum(int(np.prod(shape, dtype=int)) for shape in circuit.public.values())
    if (key.wires, key.public) != (circuit.wires, public):
        came = f"one of {key.wires} wires and {key.public} public numbers"
        raise ArgumentError("key", came, f"a key of {CIRCUIT}: {circuit.wires} wires")


def prove_calls(
    key: ProvingKey,
    inputs: Sequence[Mapping[str, Any]],
    unsigned: TransactionBatch,
    *,
    progress: Progress = untold,
) -> Messages:
    """The column `proof` of calls.

    Args:
        key: of the pools' circuit.
        inputs: of the circuit, for each call, without the binding.
        unsigned: the calls, one or more, of which nothing but proofs and signatures is missing.
        progress: told of what is done.

    Raises:
        UnsatisfiedWitness, WitnessError: there is no such proof.
    """
    circuit = circuits.get(CIRCUIT)
    bindings = [int.from_bytes(row.tobytes()) for row in proof_bindings(unsigned)]
    rows = [{**each, "binding": binding} for each, binding in zip(inputs, bindings, strict=True)]
    progress("calculating the witness", None)
    witnesses = witness.calculate_many(circuit.calculator(), rows, shapes=circuit.inputs)
    made = prove_batch(key, witnesses, progress=progress)
    proofs = np.stack([np.frombuffer(each.to_arkworks(), np.uint8) for each in made])
    stated = b"".join(number.to_bytes(32) for each in made for number in each.public[1:])
    return encode_proofs(CIRCUIT, proofs, np.frombuffer(stated, np.uint8).reshape(len(made), -1, 32))
