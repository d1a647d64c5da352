# SPDX-License-Identifier: GPL-3.0-or-later
"""A chain of products, a circuit of any size to measure provers with.

It is the heaviest of its size: every wire stands in A, B and C, and has a value of full length.
"""

from __future__ import annotations

import numpy as np

from supervm.crypto.circom_r1cs import ConstraintSystem
from supervm.crypto.polynomials.arguments import SPECS
from supervm.crypto.sparse_matrices import SparseMatrix
from supervm.kernels.array_types import Indices, Words
from supervm.kernels.transform import words_of

NO_PRODUCTS = 3
"""Wires of a chain without products: the 1 and the first two numbers."""


def chain_circuit(curve: str, wires: int) -> ConstraintSystem:
    """Constraints xᵢ·xᵢ₊₁ = xᵢ₊₂, the last x public; with fewer wires than `NO_PRODUCTS` none, and nothing public.

    Args:
        curve: `bn254` or `bls12_381`.
        wires: the one among them, 1 at least.
    """
    count = max(0, wires - NO_PRODUCTS)
    order, ones = _order(count), np.tile(words_of([1]), (count, 1))
    a, b, c = (
        SparseMatrix.of_entries(np.arange(count), order[at : at + count], ones, count) for at in range(3)
    )
    public = int(wires >= NO_PRODUCTS)
    labels = np.arange(wires, dtype=np.uint64)
    return ConstraintSystem(curve, wires, public, 0, wires - 1 - public, a, b, c, labels)


def chain_values(curve: str, wires: int, start: int = 0) -> Words:
    """A witness of the chain, uint64 (wires, 4).

    Args:
        curve, wires: of the circuit.
        start: which of many.
    """
    modulus, chain = SPECS[curve].modulus, [3 + start, 5]
    while len(chain) < wires - 1:
        chain.append(chain[-2] * chain[-1] % modulus)
    order = _order(max(0, wires - NO_PRODUCTS)) if wires >= NO_PRODUCTS else np.arange(1, wires)
    values = np.zeros((wires, 4), np.uint64)
    values[0, 0] = 1
    values[order] = words_of(chain[: wires - 1]).reshape(-1, 4)
    return values


def _order(count: int) -> Indices:
    """The wires of x, of which the last is public."""
    return np.append(np.arange(2, count + 3), 1)
