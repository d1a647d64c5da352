# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures over secp256k1: ECDSA verification and recovery, BIP-340, strict DER; of batches, and of one."""

from supervm.crypto.signatures.der import signatures_from_der
from supervm.crypto.signatures.ecdsa import (
    ecdsa_recover,
    ecdsa_recover_batch,
    ecdsa_verify,
    ecdsa_verify_batch,
)
from supervm.crypto.signatures.schnorr import schnorr_verify, schnorr_verify_batch

__all__ = [
    "ecdsa_recover",
    "ecdsa_recover_batch",
    "ecdsa_verify",
    "ecdsa_verify_batch",
    "schnorr_verify",
    "schnorr_verify_batch",
    "signatures_from_der",
]
