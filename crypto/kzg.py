# SPDX-License-Identifier: GPL-3.0-or-later
"""KZG commitments to blobs (EIP-4844) and to their cells (EIP-7594), under a trusted setup."""

from supervm.crypto.kzg_blobs import (
    blob_to_commitment,
    compute_blob_proof,
    compute_proof,
    verify_blob,
    verify_blob_batch,
    verify_proof,
)
from supervm.crypto.kzg_cells import (
    compute_cells,
    compute_cells_and_proofs,
    recover_cells_and_proofs,
    verify_cell_batch,
)
from supervm.crypto.kzg_setup import TrustedSetup, insecure_setup, load_trusted_setup

__all__ = [
    "TrustedSetup",
    "blob_to_commitment",
    "compute_blob_proof",
    "compute_cells",
    "compute_cells_and_proofs",
    "compute_proof",
    "insecure_setup",
    "load_trusted_setup",
    "recover_cells_and_proofs",
    "verify_blob",
    "verify_blob_batch",
    "verify_cell_batch",
    "verify_proof",
]
