# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of the state (docs/execution-rules.md, "State"), whole columns at a time."""

from __future__ import annotations

import numpy as np

from supervm.kernels.array_types import Bytes

ACCOUNT, STORAGE, CODE, OBJECT = range(4)
"""First byte of a key."""


def account_keys(addresses: Bytes) -> Bytes:
    """uint8 (n, 21) of addresses uint8 (n, 20)."""
    return _prefixed(ACCOUNT, addresses)


def code_keys(addresses: Bytes) -> Bytes:
    """uint8 (n, 21) of contracts' addresses uint8 (n, 20)."""
    return _prefixed(CODE, addresses)


def object_keys(ids: Bytes) -> Bytes:
    """uint8 (n, 33) of object ids uint8 (n, 32)."""
    return _prefixed(OBJECT, ids)


def storage_keys(contract: Bytes, keys: Bytes) -> Bytes:
    """uint8 (n, 21 + k) of one contract's address uint8 (20,) and keys uint8 (n, k) of its storage."""
    return _prefixed(STORAGE, np.concatenate([np.tile(contract, (len(keys), 1)), keys], axis=1))


def _prefixed(kind: int, rows: Bytes) -> Bytes:
    return np.concatenate([np.full((len(rows), 1), kind, np.uint8), rows], axis=1)
