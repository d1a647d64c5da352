# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 proofs of a chain of products, the heaviest circuit of its size: every wire stands in A, B and C, and has a value
of full length. The key is made here, for tests alone; it is as large as any other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from supervm.crypto import groth16
from supervm.crypto.circom_r1cs import ConstraintSystem
from supervm.crypto.circom_witness import Witness
from supervm.crypto.groth16_prove import Proof, ProvingKey, load_zkey, prove_batch
from supervm.crypto.groth16_setup import make_test_key
from supervm.crypto.polynomials.arguments import SPECS
from supervm.crypto.sparse_matrices import SparseMatrix
from supervm.kernels.transform import words_of

LEAST = 16
"""Rows of the smallest circuit."""


@dataclass(frozen=True)
class Provable:
    """A circuit, its key, and witnesses to prove.

    Args:
        rows: of the domain.
        key: a `.zkey`.
        witnesses: of the circuit, each with another start.
    """

    rows: int
    key: bytes
    witnesses: list[Witness]
    _loaded: dict[str, ProvingKey] = field(default_factory=dict)

    @property
    def items(self) -> int:
        """Rows that are proved in one call."""
        return self.rows * len(self.witnesses)

    def run(self, backend: str) -> object:
        """All witnesses, with the key that the first call read; proofs are verified, as always."""
        return prove_batch(self.loaded(backend), self.witnesses, backend=backend)

    def loaded(self, backend: str) -> ProvingKey:
        """The key with tables of this backend."""
        if backend not in self._loaded:
            self._loaded[backend] = load_zkey(self.key, allow_test_only=True, backend=backend)
        return self._loaded[backend]

    def answers(self, result: Any) -> list[Any]:
        """The statement of each proof and whether the proof is valid."""
        return [self.answer(proof) for proof in result]

    def answer(self, proof: Proof) -> tuple[int, bool]:
        """The same of one proof."""
        return proof.public[0], self.is_valid(proof.proofs(), proof.public[0])

    def is_valid(self, proofs: groth16.Proofs, stated: int) -> bool:
        """Whether one proof shows that the chain ends in a number."""
        key = self.loaded("auto").verification
        return bool(groth16.verify_batch(key, proofs, [[stated]])[0] == 1)

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
    circuit, order = _circuit(curve, rows - 2)
    values = [Witness(curve, _values(curve, order, start)) for start in range(witnesses)]
    return Provable(rows, make_test_key(circuit), values)


def _circuit(curve: str, count: int) -> tuple[ConstraintSystem, NDArray[np.int64]]:
    """`count` constraints xᵢ·xᵢ₊₁ = xᵢ₊₂, the last x public; and the wires of x."""
    order = np.append(np.arange(2, count + 3), 1)
    ones = np.tile(words_of([1]), (count, 1))
    a, b, c = (
        SparseMatrix.of_entries(np.arange(count), order[at : at + count], ones, count) for at in range(3)
    )
    labels = np.arange(count + 3, dtype=np.uint64)
    return ConstraintSystem(curve, count + 3, 1, 0, 2, a, b, c, labels), order


def _values(curve: str, order: NDArray[np.int64], start: int) -> NDArray[np.uint64]:
    modulus, chain = SPECS[curve].modulus, [3 + start, 5]
    while len(chain) < len(order):
        chain.append(chain[-2] * chain[-1] % modulus)
    values = np.zeros((len(order) + 1, 4), np.uint64)
    values[0, 0] = 1
    values[order] = words_of(chain).reshape(-1, 4)
    return values
