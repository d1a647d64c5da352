# SPDX-License-Identifier: GPL-3.0-or-later
"""The quick check: what of a batch of transactions needs no execution to be refused.

It knows signatures, the proofs of private transactions, and nonce and balance of each sender as they were a moment ago.
Reasons are those that a block would give (docs/execution-rules.md, Rejection), in their order; a nonce ahead of the sender's
may fit by then, and passes. Proofs cost the most, and are looked at last: only where a transaction can be paid for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from supervm.engine.arrays import amounts
from supervm.engine.blocks.authentication import authenticate, check_proofs
from supervm.engine.blocks.layout import intrinsic_gas
from supervm.engine.config import OnVerified, Verifier
from supervm.engine.ethereum.carried import most_prices
from supervm.engine.transactions.batch import TransactionBatch
from supervm.kernels.array_types import Bytes
from supervm.vm.limits import GAS_LIMIT
from supervm.vm.outcomes import Reason

STALE_REASONS = (Reason.BAD_NONCE, Reason.INSUFFICIENT_BALANCE)
"""Reasons that come from the senders' accounts, and may be gone once those are read anew."""

_LAST_NONCE = np.uint64((1 << 64) - 1)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def stateless_check(
    batch: TransactionBatch,
    *,
    chain_id: int,
    signatures: bool = True,
    private: bool = False,
    backend: str = "auto",
    on_verified: OnVerified | None = None,
) -> Bytes:
    """What no account can save, `Reason` or 0, uint8 (n,).

    Args:
        batch: n transactions.
        chain_id: of the chain.
        signatures: whether signatures are checked, as the engine's setting.
        private: whether there is a verifier of proofs; without, private transactions are refused.
        backend, on_verified: as of `authenticate`.

    Raises: as `authenticate`.
    """
    if signatures:
        reasons = authenticate(batch, backend=backend, on_verified=on_verified)
    else:
        reasons = np.zeros(len(batch), np.uint8)
    intrinsic, large = intrinsic_gas(batch)
    later = np.select(
        [
            batch.chain_id != np.uint64(chain_id),
            batch.private & (not private),
            large,
            batch.gas_limit > np.uint64(GAS_LIMIT),
            batch.gas_limit < intrinsic,
        ],
        [
            Reason.WRONG_CHAIN,
            Reason.NO_VERIFIER,
            Reason.TOO_LARGE,
            Reason.GAS_LIMIT_TOO_HIGH,
            Reason.GAS_LIMIT_TOO_LOW,
        ],
        Reason.NONE,
    )
    return np.where(reasons != 0, reasons, later).astype(np.uint8)


def account_check(
    batch: TransactionBatch, reasons: Bytes, nonces: NDArray[np.uint64], balances: Bytes
) -> Bytes:
    """What the senders' accounts refuse besides, uint8 (n,): `Reason` or 0.

    Args:
        batch: n transactions.
        reasons: what `stateless_check` said.
        nonces, balances: of each transaction's sender, uint64 (n,) and uint8 (n, 32) big-endian.
    """
    spent = (batch.nonce < nonces) | (batch.nonce == _LAST_NONCE)
    needed, overflows = most_cost(batch)
    poor = overflows | amounts.below(amounts.from_big_endian(balances), needed)
    later = np.select([spent, poor], [Reason.BAD_NONCE, Reason.INSUFFICIENT_BALANCE], Reason.NONE)
    return np.where(reasons != 0, reasons, later).astype(np.uint8)


def proof_check(batch: TransactionBatch, reasons: Bytes, verifier: Verifier | None) -> Bytes:
    """What the proofs of private transactions refuse besides, uint8 (n,): `Reason` or 0.

    Args:
        batch: n transactions.
        reasons: what the other checks said; what they refuse is not looked at.
        verifier: of proofs, as of `EngineConfig`.

    Raises: as `check_proofs`.
    """
    rows, found = np.flatnonzero(batch.private & (reasons == 0)), reasons.copy()
    if rows.size:
        found[rows] = check_proofs(batch.take(rows), verifier)
    return found


def most_cost(batch: TransactionBatch) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """What the sender's balance must hold: value + gas limit × highest gas price, limbs (n, 4); whether it reaches 2^256."""
    return amounts.add(amounts.from_big_endian(batch.value), _most_fees(batch))


def _most_fees(batch: TransactionBatch) -> NDArray[np.uint64]:
    """Gas limit × highest gas price, limbs (n, 4); gas limits that no block takes count as the highest that one does."""
    limit, price = np.minimum(batch.gas_limit, np.uint64(GAS_LIMIT)), most_prices(batch)
    low, high = (price & _LOW) * limit, (price >> _HALF) * limit
    fees = np.zeros((len(batch), 4), np.uint64)
    fees[:, 0] = low + (high << _HALF)
    fees[:, 1] = (high >> _HALF) + (fees[:, 0] < low)
    return fees
