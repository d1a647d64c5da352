# SPDX-License-Identifier: GPL-3.0-or-later
"""How a private transaction carries its proof (docs/execution-rules.md, "Proofs"), for whoever finds or makes one."""

from __future__ import annotations

import numpy as np

from supervm.kernels.array_types import Bytes
from supervm.kernels.errors import ArgumentError

VERSION = 1

MOST_ID_BYTES = 255
"""Bytes of a circuit's id in UTF-8."""

PROOF_BYTES = {"bn254": 128, "bls12_381": 192}
"""Bytes of a proof in `batch_verifier.FORMAT`, by curve."""


def proof_head(circuit: str, proof_bytes: int) -> Bytes:
    """What stands in a transaction's column before a proof of a circuit, of so many bytes; errors as `encode_proofs`."""
    name = circuit.encode()
    if len(name) > MOST_ID_BYTES:
        raise ArgumentError("circuit", f"an id of {len(name)} bytes", f"at most {MOST_ID_BYTES}")
    if proof_bytes >= 1 << 16:
        raise ArgumentError("proofs", f"{proof_bytes:,} bytes each", "less than 65,536")
    return np.frombuffer(bytes([VERSION, len(name)]) + name + proof_bytes.to_bytes(2), np.uint8)
