# SPDX-License-Identifier: GPL-3.0-or-later
"""Known answers of Groth16 proofs, for `known_answer_vectors`: keys from known secrets, proofs by the formulas, in Python
integers. Points are hexadecimal bytes of their words: little-endian, c₀ first.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from circom_circuits import Formulas, drawn, group, multiple
from group_answers import raw

from supervm.crypto import groth16_setup
from supervm.crypto.circom_r1cs import load_r1cs

SECRETS = (1234567, 7654321, 13579, 24680)
CONSTRAINTS = 2
BLINDINGS = ((0, 0), (3, 1 << 200))


def proof_answers() -> dict[str, list[dict[str, Any]]]:
    """Operation → rows: a circuit of a few constraints, without blinding and with it."""
    return {f"{curve}.groth16.prove": _rows(curve) for curve in ("bn254", "bls12_381")}


def _rows(curve: str) -> list[dict[str, Any]]:
    circuit = drawn(curve, CONSTRAINTS)
    formulas = Formulas(circuit, *SECRETS)
    with mock.patch.object(groth16_setup, "_drawn", lambda count, order: list(SECRETS[:count])):
        key = groth16_setup.make_test_key(load_r1cs(circuit.r1cs()))
    rows: list[dict[str, Any]] = [
        {
            "description": "blinded" if r else "not blinded",
            "blinding": [hex(r), hex(s)],
            **{
                name: raw(group(curve, number), *multiple(curve, number, scalar))
                for name, number, scalar in zip("abc", (1, 2, 1), formulas.proof(r, s), strict=True)
            },
        }
        for r, s in BLINDINGS
    ]
    rows[0] |= {"key": key.hex(), "witness": circuit.wtns().hex()}
    return rows
