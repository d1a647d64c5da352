# SPDX-License-Identifier: GPL-3.0-or-later
"""Ethereum transactions inside of the engine's (docs/execution-rules.md, "Ethereum transactions").

The engine's transaction has scheme `ETHEREUM` and the Ethereum transaction's encoding as its input; what both say is the
same, so that whoever routes, packs and numbers keys need not know what an Ethereum transaction is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from supervm.crypto import hashes, secp256k1
from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.engine.ethereum.encoding import signing_payloads
from supervm.engine.ethereum.envelopes import read_envelopes
from supervm.engine.ethereum.rlp import encoded_list, shortest
from supervm.engine.ethereum.senders import above_half_order
from supervm.engine.ethereum.transactions import EthereumTransactions, Integer, TransactionType, low_uint64
from supervm.engine.transactions.batch import Scheme, TransactionBatch
from supervm.kernels.array_types import Bytes, Flags, Verdicts
from supervm.kernels.errors import ArgumentError

_LOW = 24
"""Bytes of a word before its last eight."""


def read_carried(batch: TransactionBatch) -> tuple[EthereumTransactions, Flags]:
    """The Ethereum transactions in n transactions of scheme `ETHEREUM`, and which of those are malformed, bool (n,).

    Malformed is what is no encoding, what says something else than the transaction that carries it, and what has anything
    that no Ethereum transaction has. A malformed one's row means nothing.
    """
    found, wrong = read_envelopes(batch.input)
    prices = np.stack([found.words(Integer.MAX_FEE), offered(found)])
    for name, words in (
        ("chain_id", found.words(Integer.CHAIN_ID)),
        ("nonce", found.words(Integer.NONCE)),
        ("gas_limit", found.words(Integer.GAS)),
        ("gas_price", prices[1]),
    ):
        wrong |= getattr(batch, name) != low_uint64(words)
    wrong |= prices[:, :, :_LOW].any(axis=(0, 2))
    wrong |= (batch.to != found.to).any(axis=1) | (batch.value != found.words(Integer.VALUE)).any(axis=1)
    wrong |= batch.private | batch.declared | (np.diff(batch.object_offsets) > 0)
    for column in (batch.entry, batch.proof, batch.signature):
        wrong |= ragged.lengths(column) > 0
    return found, wrong


def offered(transactions: EthereumTransactions) -> Bytes:
    """What each pays for a unit of gas where there is no base fee, words (n, 32): the less of both fees."""
    single = transactions.type <= TransactionType.ACCESS_LIST
    most, tip = transactions.words(Integer.MAX_FEE), transactions.words(Integer.MAX_PRIORITY_FEE)
    less = low_uint64(most) < low_uint64(tip)
    less |= tip[:, :_LOW].any(axis=1)
    price = np.where(less[:, None], most, tip)
    return np.where(single[:, None], transactions.words(Integer.GAS_PRICE), price)


def most_prices(batch: TransactionBatch) -> NDArray[np.uint64]:
    """The most that each transaction of a batch, of any scheme, may pay for a unit of gas, uint64 (n,)."""
    rows = np.flatnonzero(batch.scheme == Scheme.ETHEREUM)
    if not rows.size:
        return batch.gas_price
    found, _ = read_envelopes(ragged.taken(batch.input, rows))
    prices = batch.gas_price.copy()
    prices[rows] = np.maximum(prices[rows], low_uint64(found.words(Integer.MAX_FEE)))
    return prices


def recover_carried(transactions: EthereumTransactions, *, backend: str = "auto") -> tuple[Bytes, Verdicts]:
    """Senders, uint8 (n, 20), and verdicts, int8 (n,): 1, 0 where s is high, -1 where there is nothing to recover."""
    digests = hashes.keccak256_batch(signing_payloads(transactions), backend=backend)
    keys, verdicts = secp256k1.ecdsa_recover_batch(digests, transactions.signatures(), backend=backend)
    verdicts[(verdicts == 1) & above_half_order(transactions.words(Integer.S))] = 0
    return hashes.eth_address_batch(keys, backend=backend), verdicts


def carry(envelopes: Messages, *, backend: str = "auto") -> TransactionBatch:
    """Transactions that carry these encodings of signed Ethereum transactions.

    Raises:
        ArgumentError: one that is no encoding, names no chain, pays more than the engine can count, or whose signature gives
            no sender.
    """
    found, wrong = read_envelopes(envelopes)
    _refuse(wrong, "no encoding of an Ethereum transaction")
    unprotected: Flags = (found.type == TransactionType.LEGACY) & ~found.protected
    _refuse(unprotected, "one that names no chain (EIP-155)")
    price = offered(found)
    large: Flags = price[:, :_LOW].max(axis=1, initial=0) > 0
    _refuse(large, "a gas price of 2^64 or more")
    senders, verdicts = recover_carried(found, backend=backend)
    unsigned: Flags = verdicts != 1
    _refuse(unsigned, "one whose signature gives no sender")
    return TransactionBatch.of(
        sender=senders,
        nonce=found.uint64(Integer.NONCE),
        to=found.to,
        value=np.ascontiguousarray(found.words(Integer.VALUE)),
        chain_id=found.uint64(Integer.CHAIN_ID),
        gas_limit=found.uint64(Integer.GAS),
        gas_price=low_uint64(price),
        input=envelopes,
        scheme=Scheme.ETHEREUM,
    )


def created_address(sender: bytes, nonce: int) -> bytes:
    """The address, 20 bytes, of the contract that a transaction without a recipient creates."""
    digest = hashes.keccak256_batch(Messages.of([encoded_list([sender, shortest(nonce)])]))[0]
    address: bytes = digest[-len(sender) :].tobytes()
    return address


def _refuse(wrong: Flags, words: str) -> None:
    if wrong.any():
        raise ArgumentError(
            "transaction", f"number {int(wrong.argmax())}, {words}", "a signed Ethereum transaction"
        )
