# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/circuits.md fixes of keys, notes and rings: tags, depths, widths of numbers. Over the scalar field of BN254."""

from __future__ import annotations

from supervm.crypto.params import bn254

FIELD = bn254.FR
"""Its elements are keys, commitments and nullifiers."""

TREE_DEPTH = 32
"""Levels of a pool's note tree above the leaves."""

RING_DEPTH = 16
"""Levels of a ring's tree above its members' keys."""

AMOUNT_BITS = 64

NOTE_BYTES = 160
"""What a new note's owner finds and opens it with: ephemeral public key (32) ‖ ciphertext."""

CHAIN_BITS, ADDRESS_BITS = 64, 160
"""A pool is chain id · 2^160 + address."""


def _tag(use: str) -> int:
    """The first input of every hash of four: an ASCII text as a big-endian integer, above any length or index."""
    return int.from_bytes(f"supervm/{use}/1".encode())


SPEND = _tag("spend")
NULLIFIER_KEY = _tag("nullifier-key")
OWNER = _tag("owner")
NOTE = _tag("note")
SERIAL = _tag("serial")
NULLIFIER = _tag("nullifier")
AMOUNT = _tag("amount")
MEMBER = _tag("member")
SIGNATURE = _tag("signature")
