# SPDX-License-Identifier: GPL-3.0-or-later
"""Merkle Patricia tries in columns: built from sorted keys, or opened from the nodes of a witness and changed."""

from supervm.engine.ethereum.tries.building import EMPTY_ROOT, trie_roots
from supervm.engine.ethereum.tries.partial import PartialTries

__all__ = ["EMPTY_ROOT", "PartialTries", "trie_roots"]
