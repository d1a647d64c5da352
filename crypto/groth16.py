# SPDX-License-Identifier: GPL-3.0-or-later
"""Groth16 on BN254 and BLS12-381: verification of batches, keys and proofs of other tools, circuits by their ids.

>>> circuits = Circuits()
>>> circuits.names()
['multiply_v1', 'range_proof_v1', 'ring_signature_v1', 'ringct_v1']
"""

from supervm.crypto.groth16_batch import verify_batch
from supervm.crypto.groth16_circuits import Circuits
from supervm.crypto.groth16_columns import Key, Proofs
from supervm.crypto.groth16_formats import (
    load_arkworks_key,
    load_arkworks_proof,
    load_ethereum_proof,
    load_gnark_key,
    load_gnark_proof,
    load_proofs,
)
from supervm.crypto.groth16_json import (
    load_snarkjs_key,
    load_snarkjs_proof,
    load_snarkjs_proofs,
    load_snarkjs_public,
)

__all__ = [
    "Circuits",
    "Key",
    "Proofs",
    "load_arkworks_key",
    "load_arkworks_proof",
    "load_ethereum_proof",
    "load_gnark_key",
    "load_gnark_proof",
    "load_proofs",
    "load_snarkjs_key",
    "load_snarkjs_proof",
    "load_snarkjs_proofs",
    "load_snarkjs_public",
    "verify_batch",
]
