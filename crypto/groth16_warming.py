# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiles what setting up, proving and calculating witnesses takes beyond the operations of the registry."""

from __future__ import annotations

import numpy as np

from supervm.crypto import circuits, groth16_prove, groth16_setup, witness
from supervm.crypto.circom_files import SCALAR_FIELDS
from supervm.crypto.circom_r1cs import ConstraintSystem, load_r1cs
from supervm.crypto.circom_witness import Witness
from supervm.crypto.sparse_matrices import SparseMatrix
from supervm.kernels.transform import words_of


def warm(backend: str = "auto") -> None:
    """Make a key of a small circuit on each curve, prove and verify, and calculate a witness.

    Args:
        backend: of sums, transforms and pairings.
    """
    circuit = circuits.get("multiply_v1")
    inputs = {"binding": 5, "product": 6, "left": 2, "right": 3}
    groth16_prove.check_witness(load_r1cs(circuit.r1cs()), witness.calculate(circuit.calculator(), inputs))
    for curve in SCALAR_FIELDS:
        product = _product(curve)
        key = groth16_prove.load_zkey(
            groth16_setup.make_test_key(product), check="subgroup", allow_test_only=True, backend=backend
        )
        values = Witness(curve, words_of([1, 6, 2, 3]).reshape(4, 4))
        groth16_prove.prove(key, values, r1cs=product, backend=backend)


def _product(curve: str) -> ConstraintSystem:
    """A circuit of one constraint: wire 2 times wire 3 is wire 1, which is public."""
    a, b, c = (
        SparseMatrix.of_entries(
            np.zeros(1, np.int64), np.array([wire], np.uint32), words_of([1]).reshape(1, 4), 1
        )
        for wire in (2, 3, 1)
    )
    return ConstraintSystem(curve, 4, 1, 0, 2, a, b, c, np.arange(4, dtype=np.uint64))
