# SPDX-License-Identifier: GPL-3.0-or-later
"""A block's balance movements in columns, how they come from it, and the rules by which they are executed.

The rules of a replay, where contract code does not run:

- A *transfer* has a recipient, empty input, and no code at the recipient before the block. It pays its value
  to the recipient and 21,000 × gas price in fees, of which 21,000 × base fee are burned.
- Every other transaction is a *call*: it only advances its sender's nonce, and is counted.
- A transfer without a sender, at another nonce than the sender's, with a gas price below the base fee, with
  too small a balance, or that would lift the recipient to 2^256, fails and changes nothing.
- The fee recipient's share is paid once, after the last transaction: what it earns in a block it cannot
  spend in the same block.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from supervm.engine.arrays.amounts import Limbs, from_big_endian, from_int
from supervm.engine.ethereum.blocks import EthereumBlock
from supervm.engine.ethereum.pre_state import PreState
from supervm.engine.ethereum.senders import Recovered, SignatureFault
from supervm.engine.ethereum.transactions import Integer
from supervm.kernels.array_types import Flags, Indices

TRANSFER_GAS = 21_000
"""Gas of a transaction that only moves value (Yellow Paper, appendix G, G_transaction)."""

NOBODY = -1
"""The recipient of a transaction that creates a contract."""


class Outcome(IntEnum):
    """What became of a transaction. From `NO_SENDER` on, it changed nothing."""

    TRANSFERRED = 0
    CALL = 1
    CALL_WRONG_NONCE = 2
    NO_SENDER = 3
    FEE_BELOW_BASE = 4
    WRONG_NONCE = 5
    INSUFFICIENT = 6
    OVERFLOW = 7


@dataclass(frozen=True)
class Transfers:
    """n transactions over m accounts, which are numbered from 0.

    | column | dtype, shape | meaning |
    |---|---|---|
    | `balances`, `nonces` | uint64 (m, 4), uint64 (m,) | accounts before the block |
    | `sender`, `recipient` | int64 (n,) | account numbers; `NOBODY` where a contract is created |
    | `transfer` | bool (n,) | false for a call |
    | `signed` | bool (n,) | false where no sender could be recovered |
    | `nonce` | uint64 (n,) | |
    | `value`, `gas_price` | uint64 (n, 4) | wei |
    | `base_fee` | uint64 (4,) | wei per gas, 0 before London |
    | `fee_recipient` | int | account number |

    Amounts are limbs, least significant first.
    """

    balances: Limbs
    nonces: NDArray[np.uint64]
    sender: Indices
    recipient: Indices
    transfer: Flags
    signed: Flags
    nonce: NDArray[np.uint64]
    value: Limbs
    gas_price: Limbs
    base_fee: Limbs
    fee_recipient: int

    def __len__(self) -> int:
        return len(self.sender)

    def keys(self) -> tuple[Indices, NDArray[np.uint64]]:
        """The accounts that each transaction touches, in CSR form: sender and recipient, once each.

        Balances and nonces are read and written, so these are its reads and its writes. The fee recipient is
        among them only where it is itself the sender or the recipient.
        """
        both = (self.recipient != NOBODY) & (self.recipient != self.sender)
        offsets = np.zeros(len(self) + 1, np.int64)
        np.cumsum(1 + both, out=offsets[1:])
        keys = np.zeros(int(offsets[-1]), np.uint64)
        keys[offsets[:-1]] = self.sender
        keys[offsets[1:][both] - 1] = self.recipient[both]
        return offsets, keys


@dataclass(frozen=True)
class Executed:
    """Accounts after the block, the outcome of each transaction (uint8 (n,), `Outcome`), and the sums of what
    was burned and what the fee recipient got, in wei."""

    balances: Limbs
    nonces: NDArray[np.uint64]
    outcome: NDArray[np.uint8]
    burned: int
    fees: int

    def equals(self, other: Executed) -> bool:
        """Whether every account, outcome and sum is the same."""
        return (
            np.array_equal(self.balances, other.balances)
            and np.array_equal(self.nonces, other.nonces)
            and np.array_equal(self.outcome, other.outcome)
            and (self.burned, self.fees) == (other.burned, other.fees)
        )


def intern_rows(rows: NDArray[np.uint8]) -> tuple[Indices, int]:
    """Number the rows of a byte matrix, equal rows alike: the number of each, and how many numbers there are.

    Equality is decided on the bytes.
    """
    whole = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1])))[:, 0]
    distinct, numbers = np.unique(whole, return_inverse=True)
    return numbers.astype(np.int64), len(distinct)


def balance_movements(block: EthereumBlock, recovered: Recovered, state: PreState) -> Transfers:
    """Number the accounts of the pre-state and of the block, and lay the transactions out over them.

    An account that the pre-state lacks holds nothing. A transaction whose sender could not be recovered keeps
    the claimed one as its key and is not executed.
    """
    batch = block.transactions
    signed = recovered.faults == SignatureFault.NONE
    senders = np.where(signed[:, None], recovered.senders, batch.claimed_sender)
    numbers, accounts = intern_rows(np.concatenate([state.addresses, senders, batch.to, block.miner[None]]))
    known, sender, to, miner = np.split(numbers, np.cumsum([len(state), len(batch), len(batch)]))
    balances = np.zeros((accounts, 4), np.uint64)
    balances[known] = from_big_endian(state.balances)
    nonces = np.zeros(accounts, np.uint64)
    nonces[known] = state.nonces
    has_code = np.zeros(accounts, np.bool_)
    has_code[known] = state.has_code
    empty_input = np.diff(batch.input.offsets) == 0
    return Transfers(
        balances=balances,
        nonces=nonces,
        sender=sender,
        recipient=np.where(batch.has_to, to, NOBODY),
        transfer=batch.has_to & empty_input & ~has_code[to],
        signed=signed,
        nonce=batch.uint64(Integer.NONCE),
        value=from_big_endian(batch.words(Integer.VALUE)),
        gas_price=from_big_endian(batch.words(Integer.GAS_PRICE)),
        base_fee=from_int(block.base_fee or 0),
        fee_recipient=int(miner[0]),
    )
