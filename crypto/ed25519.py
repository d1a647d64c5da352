# SPDX-License-Identifier: GPL-3.0-or-later
"""Ed25519 signatures: verification of batches, and of one, under three named rules."""

from supervm.crypto.signatures.ed25519 import RULES, verify, verify_batch

__all__ = ["RULES", "verify", "verify_batch"]
