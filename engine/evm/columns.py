# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions as they were read → columns as the EVM's compiled code takes them."""

from __future__ import annotations

import numpy as np

from supervm.engine.ethereum.senders import Recovered, SignatureFault
from supervm.engine.ethereum.transactions import (
    AuthorizationInteger,
    EthereumTransactions,
    Integer,
    TransactionType,
    low_uint64,
)
from supervm.kernels.array_types import Bytes
from supervm.vm.evm import columns as c
from supervm.vm.evm.columns import TransactionColumns, to_words
from supervm.vm.evm.rules import Rule

MOST_NONCE = (1 << 64) - 1
"""A nonce that no account has; an authorization with a larger one, which no 64 bits hold, fails like one with this."""


def transaction_columns(
    batch: EthereumTransactions, recovered: Recovered, *, chain_id: int, broken: Bytes | None = None
) -> TransactionColumns:
    """The columns of these transactions.

    Args:
        batch: as read.
        recovered: their senders and authorities; a transaction without a sender is rejected.
        chain_id: of the block; a transaction that names another one is rejected.
        broken: uint8 (n,), `Rule` that is known to be broken already, 0 for none.
    """
    types = batch.type
    priced = (types == TransactionType.LEGACY) | (types == TransactionType.ACCESS_LIST)
    price = batch.words(Integer.GAS_PRICE)
    rejected = np.zeros(len(batch), np.uint8) if broken is None else broken.copy()
    named = (types != TransactionType.LEGACY) | batch.protected
    other = named & (batch.uint64(Integer.CHAIN_ID) != np.uint64(chain_id))
    rejected[(rejected == 0) & other] = Rule.WRONG_CHAIN_ID
    rejected[(rejected == 0) & (recovered.faults != SignatureFault.NONE)] = Rule.INVALID_SIGNATURE
    lists, listed = batch.access_lists, batch.authorizations
    return TransactionColumns(
        {
            c.REJECTED: rejected,
            c.TYPES: np.ascontiguousarray(types),
            c.SENDERS: np.ascontiguousarray(recovered.senders),
            c.HAS_TO: batch.has_to.astype(np.uint8),
            c.TARGETS: np.ascontiguousarray(batch.to),
            c.NONCES: batch.uint64(Integer.NONCE),
            c.VALUES: to_words(batch.words(Integer.VALUE)),
            c.GAS_LIMITS: batch.uint64(Integer.GAS),
            c.MAX_FEES: to_words(np.where(priced[:, None], price, batch.words(Integer.MAX_FEE))),
            c.PRIORITY_FEES: to_words(
                np.where(priced[:, None], price, batch.words(Integer.MAX_PRIORITY_FEE))
            ),
            c.BLOB_FEES: to_words(batch.words(Integer.MAX_BLOB_FEE)),
            c.INPUT: np.ascontiguousarray(batch.input.data),
            c.INPUT_OFFSETS: np.ascontiguousarray(batch.input.offsets),
            c.ACCESS_OFFSETS: lists.offsets,
            c.ACCESS_ADDRESSES: np.ascontiguousarray(lists.addresses),
            c.ACCESS_KEY_OFFSETS: lists.key_offsets,
            c.ACCESS_KEYS: np.ascontiguousarray(lists.keys),
            c.BLOB_OFFSETS: batch.blob_offsets,
            c.BLOB_HASHES: np.ascontiguousarray(batch.blob_hashes),
            c.AUTHORIZATION_OFFSETS: listed.offsets,
            c.AUTHORITIES: np.ascontiguousarray(recovered.authorities),
            c.AUTHORIZATION_VALID: recovered.authority_found.astype(np.uint8),
            c.AUTHORIZATION_CHAINS: to_words(listed.integers[:, AuthorizationInteger.CHAIN_ID]),
            c.AUTHORIZATION_NONCES: _nonces(listed.integers[:, AuthorizationInteger.NONCE]),
            c.AUTHORIZATION_TARGETS: np.ascontiguousarray(listed.addresses),
        }
    )


def _nonces(words: Bytes) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    nonces = low_uint64(words)
    nonces[words[:, :24].any(axis=1)] = MOST_NONCE
    return nonces
