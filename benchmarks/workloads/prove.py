# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 proofs of a chain of products, the heaviest circuit of its size: every wire stands in A, B and C, and has a value
of full length. The key is made here, for tests alone; it is as large as any other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from numpy.typing import NDArray

from supervm.crypto import groth16
from supervm.crypto.circom_witness import Witness
from supervm.crypto.groth16_chain import NO_PRODUCTS, chain_circuit, chain_values
from supervm.crypto.groth16_prove import Proof, ProvingKey, load_zkey, prove_batch
from supervm.crypto.groth16_setup import make_test_key

LEAST = 16
"""Rows of the smallest circuit."""


@dataclass(frozen=True)
class Provable:
    """A circuit, its key, and witnesses to prove.

    Args:
        rows: of the domain.
        key: a `.zkey`.
        loaded: the same as it was read.
        witnesses: of the circuit, each with another start.
    """

    rows: int
    key: bytes
    loaded: ProvingKey
    witnesses: list[Witness]

    @property
    def items(self) -> int:
        """Rows that are proved in one call."""
        return self.rows * len(self.witnesses)

    def run(self, backend: str) -> object:
        """All witnesses; proofs are verified, as always."""
        return prove_batch(self.loaded, self.witnesses, backend=backend)

    def answers(self, result: Any) -> list[Any]:
        """The statement of each proof and whether the proof is valid."""
        return [self.answer(proof) for proof in result]

    def answer(self, proof: Proof) -> tuple[int, bool]:
        """The same of one proof."""
        return proof.public[0], self.is_valid(proof.proofs(), proof.public[0])

    def is_valid(self, proofs: groth16.Proofs, stated: int) -> bool:
        """Whether one proof shows that the chain ends in a number."""
        return bool(groth16.verify_batch(self.loaded.verification, proofs, [[stated]])[0] == 1)

    def part(self, start: int, stop: int) -> Provable:
        """The same: a proof has no parts."""
        return self

    def moved(self, copy: Callable[[NDArray[Any]], NDArray[Any]]) -> Provable:
        """The same: keys and witnesses are read by the prover alone."""
        return self


def chains(curve: str, witnesses: int) -> Callable[[int], Provable]:
    """A maker of proofs by the rows of their circuit."""
    return partial(_make, curve, witnesses)


def _make(curve: str, witnesses: int, rows: int) -> Provable:
    rows = 1 << (max(rows, LEAST) - 1).bit_length()
    wires = rows - 2 + NO_PRODUCTS
    values = [Witness(curve, chain_values(curve, wires, start)) for start in range(witnesses)]
    return Provable(rows, *_key(curve, wires), values)


@lru_cache(maxsize=2)
def _key(curve: str, wires: int) -> tuple[bytes, ProvingKey]:
    """A key and how it was read, with the tables that backends made of it; that of a row and that of its check are kept."""
    key = make_test_key(chain_circuit(curve, wires))
    return key, load_zkey(key, allow_test_only=True)
