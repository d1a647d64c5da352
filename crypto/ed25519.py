# SPDX-License-Identifier: GPL-3.0-or-later
"""Ed25519 signatures: batch verification under three named rules."""

from supervm.crypto.signatures.ed25519 import RULES, verify_batch

__all__ = ["RULES", "verify_batch"]
