# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of shielded pools as columns (docs/privacy-pool.md, "Transactions"): found by their form, without a state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from supervm.crypto.params.notes import NOTE_BYTES
from supervm.engine.arrays import ragged
from supervm.engine.privacy.proof_form import PROOF_BYTES, proof_head
from supervm.engine.transactions.batch import TransactionBatch
from supervm.kernels.array_types import Bytes, Flags, Indices
from supervm.kernels.arrays import borrow

CIRCUIT = "ringct_v1"
"""The circuit that calls of pools are proven with."""

ENTRY = b"transact"
"""The entry point of pools."""

NOTES = 2
"""New notes of a call, and spent ones."""

INPUT_BYTES = NOTES * NOTE_BYTES

(POOL, ROOT, NULLIFIER, _, COMMITMENT, _, PUBLIC_IN, PUBLIC_OUT, FEE, RECIPIENT) = range(10)
"""Places of the public inputs behind the binding; there are two nullifiers and two commitments."""

PUBLIC_INPUTS = RECIPIENT + 1

_PROOF_BYTES = PROOF_BYTES["bn254"]
_HEAD = proof_head(CIRCUIT, _PROOF_BYTES)
_WIDTH = len(_HEAD) + _PROOF_BYTES + 32 * PUBLIC_INPUTS


@dataclass(frozen=True, eq=False)
class ShieldedCalls:
    """The k private calls of a batch of n whose entry point, input and proof have the form of a pool's.

    Nothing is known of the pool that each names, and nothing of its proof.

    Args:
        rows: int64 (k,), which they are, ascending.
        inputs: uint8 (k, `PUBLIC_INPUTS`, 32), the public inputs behind the binding, big-endian.
        notes: uint8 (k, 2, `NOTE_BYTES`), of the new notes.
    """

    rows: Indices
    inputs: Bytes
    notes: Bytes

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, places: Indices) -> ShieldedCalls:
        """Some of the calls, by their places here."""
        return ShieldedCalls(self.rows[places], self.inputs[places], self.notes[places])


def find(batch: TransactionBatch) -> ShieldedCalls:
    """The calls of pools in a batch, by their form."""
    rows = np.flatnonzero(has_circuit(batch) & has_notes(batch) & enters(batch))
    proofs = ragged.taken_rows(batch.proof, rows, _WIDTH)
    inputs = proofs[:, len(_HEAD) + _PROOF_BYTES :].reshape(-1, PUBLIC_INPUTS, 32)
    notes = ragged.taken_rows(batch.input, rows, INPUT_BYTES).reshape(-1, NOTES, NOTE_BYTES)
    return ShieldedCalls(rows, inputs, notes)


def has_circuit(batch: TransactionBatch) -> Flags:
    """Which transactions are private with a proof of the pools' circuit, by its form; bool (n,)."""
    return batch.private & _begins(batch, "proof", _HEAD, _WIDTH)


def has_notes(batch: TransactionBatch) -> Flags:
    """Which transactions have as many bytes of input as two notes; bool (n,)."""
    fits: Flags = ragged.lengths(batch.input) == INPUT_BYTES
    return fits


def enters(batch: TransactionBatch) -> Flags:
    """Which transactions call the pools' entry point; bool (n,)."""
    return _begins(batch, "entry", np.frombuffer(ENTRY, np.uint8), len(ENTRY))


def _begins(batch: TransactionBatch, name: str, head: Bytes, width: int) -> Flags:
    """Of which transactions a column of strings has this width and beginning."""
    column = getattr(batch, name)
    found: Flags = ragged.lengths(column) == width
    rows = np.flatnonzero(found)
    if len(rows):
        starts = column.offsets[rows]
        found[rows] = (borrow(column.data)[starts[:, None] + np.arange(len(head))] == head).all(axis=1)
    return found
