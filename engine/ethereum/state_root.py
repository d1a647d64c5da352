# SPDX-License-Identifier: GPL-3.0-or-later
"""Roots of whole states: of every account's storage, and of the accounts.

Both tries are secure ones: their keys are the Keccak-256 of slots and addresses. Source: the Yellow Paper, section 4.1.
"""

from __future__ import annotations

import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.ethereum.account_leaves import AccountLeaves, encoded_leaves, encoded_words
from supervm.engine.ethereum.rlp_memory import WORD
from supervm.engine.ethereum.tries.building import trie_roots
from supervm.engine.ethereum.tries.nodes import keccak
from supervm.kernels.array_types import Bytes, Offsets
from supervm.kernels.errors import ArgumentError


def storage_roots(offsets: Offsets, slots: Bytes, values: Bytes, *, backend: str = "auto") -> Bytes:
    """The storage root of each of n accounts, uint8 (n, 32), all in one pass.

    Args:
        offsets: int64 (n + 1,); account i has slots `offsets[i]:offsets[i + 1]`.
        slots: uint8 (k, 32), in any order; no slot twice in an account.
        values: uint8 (k, 32), big-endian; slots of zero are none.
        backend: where Keccak-256 runs.

    Raises:
        ArgumentError: another shape or dtype, or a slot twice.
    """
    _check(slots, "slots", len(values), WORD)
    _check(values, "values", len(slots), WORD)
    kept = values.any(axis=1)
    if not kept.all():
        offsets = np.append(0, np.cumsum(kept))[offsets]
        slots, values = slots[kept], values[kept]
    return trie_roots(offsets, keccak(Messages.of(slots), backend), encoded_words(values), backend=backend)


def state_root(addresses: Bytes, accounts: AccountLeaves, *, backend: str = "auto") -> bytes:
    """The root of a state that consists of these accounts.

    Args:
        addresses: uint8 (n, 20), in any order, each once.
        accounts: n accounts; what an empty account is, and whether there are any, is the caller's (EIP-161).
        backend: where Keccak-256 runs.

    Raises:
        ArgumentError: another shape or dtype, or an address twice.
    """
    _check(addresses, "addresses", len(accounts), 20)
    keys = keccak(Messages.of(addresses), backend)
    offsets = np.array([0, len(keys)])
    return trie_roots(offsets, keys, encoded_leaves(accounts), backend=backend).tobytes()


def _check(rows: Bytes, argument: str, count: int, width: int) -> None:
    if rows.dtype != np.uint8 or rows.shape != (count, width):
        raise ArgumentError(argument, f"{rows.dtype} {rows.shape}", f"uint8 ({count}, {width})")
