# SPDX-License-Identifier: GPL-3.0-or-later
"""Circuits by their ids, each with the verification key that its proofs are checked with."""

from __future__ import annotations

from typing import Any

from supervm.crypto.errors import CircuitWithoutKey, MalformedInputs, MalformedProof, UnknownCircuit
from supervm.crypto.groth16_batch import verify_batch
from supervm.crypto.groth16_columns import Key, Proofs
from supervm.kernels.array_types import Verdicts
from supervm.kernels.errors import ArgumentError

KNOWN = ("multiply_v1", "range_proof_v1", "ring_signature_v1", "ringct_v1")
"""Circuits of the earlier system. Their names are known from the start; their keys come from their setups."""


class Circuits:
    """A registry of circuits. Nothing passes for a circuit whose key nobody set."""

    def __init__(self) -> None:
        self._keys: dict[str, Key | None] = dict.fromkeys(KNOWN)

    def register(self, circuit: str, key: Key) -> None:
        """Set the key of a known circuit, or of one's own.

        Raises:
            ArgumentError: an empty id, no `Key`, or a circuit that already has another key: a new setup takes a new id.
        """
        if not isinstance(circuit, str) or not circuit:
            raise ArgumentError("circuit", repr(circuit), "an id, a text")
        if not isinstance(key, Key):
            raise ArgumentError("key", type(key).__name__, "a Key")
        kept = self._keys.get(circuit)
        if kept is not None and kept.digest != key.digest:
            raise ArgumentError("circuit", f"{circuit!r}, which has another key", "a new id for a new key")
        self._keys[circuit] = key

    def names(self) -> list[str]:
        """The ids, those without a key among them."""
        return list(self._keys)

    def with_keys(self) -> list[str]:
        """The ids of those that have a key."""
        return [circuit for circuit, key in self._keys.items() if key is not None]

    def key(self, circuit: str) -> Key:
        """The key of a circuit.

        Raises:
            UnknownCircuit: an id that nobody registered.
            CircuitWithoutKey: a known circuit without a key.
        """
        if circuit not in self._keys:
            raise UnknownCircuit(circuit)
        key = self._keys[circuit]
        if key is None:
            raise CircuitWithoutKey(circuit)
        return key

    def verify(self, circuit: str, proofs: Any, public_inputs: Any, *, backend: str = "auto") -> Verdicts:
        """`verify_batch` with the circuit's key.

        Raises:
            ArgumentError, BackendUnavailable: as `verify_batch`.
            UnknownCircuit, CircuitWithoutKey: as `key`.
        """
        return verify_batch(self.key(circuit), proofs, public_inputs, backend=backend)

    def verify_one(self, circuit: str, proof: Proofs, public_inputs: Any, *, backend: str = "auto") -> bool:
        """Whether one proof is valid.

        Args:
            circuit: its id.
            proof: of one row.
            public_inputs: a list of integers.
            backend: `auto`, or a name of `kernels.registry.BACKENDS`.

        Raises:
            MalformedProof, MalformedInputs: what is the verdict −1 in a batch.
            ArgumentError, BackendUnavailable, UnknownCircuit, CircuitWithoutKey: as `verify`.
        """
        key = self.key(circuit)
        if not isinstance(proof, Proofs) or len(proof) != 1:
            raise ArgumentError("proof", type(proof).__name__, "Proofs of one row")
        (verdict,) = verify_batch(key, proof, [public_inputs], backend=backend).tolist()
        if verdict < 0:
            raise MalformedInputs(circuit) if proof.well_formed[0] else MalformedProof(circuit)
        return bool(verdict)
