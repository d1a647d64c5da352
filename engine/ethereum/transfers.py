# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a mainnet block that the engine can execute itself: plain transfers and token transfers.

The code of mainnet's contracts does not run here. A block's transaction becomes

- a *transfer*, if it has a recipient without code, and no input;
- a *call* of one token contract of the engine's, if it calls a contract by `transfer(address,uint256)` of ERC-20, with
  exactly the 68 bytes that the ABI gives it, no value, and an amount below 2^224 (so that no sum of fewer than 2^32 of
  them reaches 2^256). All tokens become one, whose senders are given what they will send;
- nothing otherwise, also where no sender could be recovered: it is counted as not executed.

Since transactions are left out, those that stay are numbered anew: the k-th of a sender has the sender's nonce before the
block plus k. The gas price is zero, for mainnet's prices pay for mainnet's gas. Sources: EIP-20; Solidity's ABI
specification, "Function Selector" and "Argument Encoding".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.arrays import amounts, ragged
from supervm.engine.arrays.ranks import ranks_within
from supervm.engine.ethereum.blocks import EthereumBlock
from supervm.engine.ethereum.pre_state import PreState
from supervm.engine.ethereum.replay.transfers import intern_rows
from supervm.engine.ethereum.senders import Recovered, SignatureFault
from supervm.engine.ethereum.transactions import Integer
from supervm.engine.transactions.addresses import ADDRESS_BYTES
from supervm.engine.transactions.batch import DEFAULT_GAS_LIMIT, TransactionBatch
from supervm.engine.transactions.contract_calls import TRANSFER, token_transfer_input
from supervm.kernels.array_types import Bytes, Flags
from supervm.kernels.errors import ArgumentError

SELECTOR = bytes.fromhex("a9059cbb")
"""The first bytes of Keccak-256("transfer(address,uint256)")."""

_INPUT_BYTES = 68
_RECIPIENT, _AMOUNT = slice(16, 36), slice(36, 68)
_SMALL_AMOUNT = slice(36, 40)
"""The bytes of an amount that are zero below 2^224."""


class Kind(IntEnum):
    """What became of a block's transaction."""

    NOT_EXECUTED = 0
    TRANSFER = 1
    TOKEN_TRANSFER = 2


@dataclass(frozen=True, eq=False)
class Translated:
    """A block in the engine's form, and what the engine's state must hold before it.

    | field | dtype, shape | meaning |
    |---|---|---|
    | `batch` | `TransactionBatch` (m) | what is executed, in block order, unsigned |
    | `kinds` | uint8 (n,) | `Kind` of each of the block's n transactions |
    | `accounts`, `balances` | uint8 (k, 20), uint8 (k, 32) | pre-state balances that are not zero |
    | `holders`, `tokens` | uint8 (t, 20), uint8 (t, 32) | what each sender of tokens sends in this block |

    Amounts are big-endian.
    """

    batch: TransactionBatch
    kinds: Bytes
    accounts: Bytes
    balances: Bytes
    holders: Bytes
    tokens: Bytes

    @property
    def executed(self) -> Flags:
        """bool (n,): which of the block's transactions are in the batch."""
        found: Flags = self.kinds != Kind.NOT_EXECUTED
        return found

    @property
    def not_executed(self) -> int:
        """How many of the block's transactions are not."""
        return int(np.count_nonzero(~self.executed))


def translate_block(
    block: EthereumBlock,
    recovered: Recovered,
    state: PreState,
    token: bytes,
    *,
    chain_id: int = 1,
    gas_limit: int = DEFAULT_GAS_LIMIT,
) -> Translated:
    """Turn a block into the engine's transactions.

    Args:
        block: as read by `read_block`.
        recovered: its senders, by `recover_senders`.
        state: the accounts before it. One that is missing holds nothing, has nonce 0 and no code.
        token: address, 20 bytes, of the engine's token contract that stands for all tokens.
        chain_id: the engine's.
        gas_limit: of each transaction.

    Raises:
        ArgumentError: `token` has another length.
        MalformedBatch: `chain_id` or `gas_limit` does not fit its column.
    """
    if len(token) != ADDRESS_BYTES:
        raise ArgumentError("token", f"{len(token)} bytes", f"an address of {ADDRESS_BYTES} bytes")
    source = block.transactions
    numbers, accounts = intern_rows(np.concatenate([state.addresses, recovered.senders, source.to]))
    known, sender, to = np.split(numbers, np.cumsum([len(state), len(source)]))
    has_code, nonces = np.zeros(accounts, np.bool_), np.zeros(accounts, np.uint64)
    has_code[known], nonces[known] = state.has_code, state.nonces
    kinds = _kinds(block, recovered.faults == SignatureFault.NONE, has_code[to])
    rows = np.flatnonzero(kinds)
    calls = kinds[rows] == Kind.TOKEN_TRANSFER
    inputs = ragged.taken_rows(source.input, rows[calls], _INPUT_BYTES)
    target = source.to[rows]
    target[calls] = np.frombuffer(token, np.uint8)
    batch = TransactionBatch.of(
        sender=recovered.senders[rows],
        nonce=nonces[sender[rows]] + ranks_within(sender[rows]).astype(np.uint64),
        to=target,
        value=np.ascontiguousarray(source.words(Integer.VALUE)[rows]),
        chain_id=chain_id,
        gas_limit=gas_limit,
        entry=_where(calls, np.tile(np.frombuffer(TRANSFER, np.uint8), (len(inputs), 1))),
        input=_where(calls, token_transfer_input(inputs[:, _RECIPIENT], inputs[:, _AMOUNT])),
    )
    funded = state.balances.any(axis=1)
    holders, tokens = _sent(recovered.senders[rows[calls]], inputs[:, _AMOUNT])
    return Translated(batch, kinds, state.addresses[funded], state.balances[funded], holders, tokens)


def _kinds(block: EthereumBlock, signed: Flags, to_contract: Flags) -> Bytes:
    source = block.transactions
    sizes = ragged.lengths(source.input)
    kinds = np.full(len(source), Kind.NOT_EXECUTED, np.uint8)
    kinds[signed & source.has_to & (sizes == 0) & ~to_contract] = Kind.TRANSFER
    may = signed & source.has_to & (sizes == _INPUT_BYTES) & to_contract
    rows = np.flatnonzero(may & ~source.words(Integer.VALUE).any(axis=1))
    inputs = ragged.taken_rows(source.input, rows, _INPUT_BYTES)
    fits = (inputs[:, :4] == np.frombuffer(SELECTOR, np.uint8)).all(axis=1)
    fits &= ~inputs[:, 4 : _RECIPIENT.start].any(axis=1) & ~inputs[:, _SMALL_AMOUNT].any(axis=1)
    kinds[rows[fits]] = Kind.TOKEN_TRANSFER
    return kinds


def _where(flags: NDArray[np.bool_], rows: Bytes) -> Messages:
    """A column that has the next of `rows`, uint8 (m, width), where the flag is set, and nothing elsewhere."""
    return Messages(rows.reshape(-1), ragged.offsets_of(flags * np.int64(rows.shape[1])))


def _sent(senders: Bytes, sent: Bytes) -> tuple[Bytes, Bytes]:
    """Each sender once, and the sum of what it sends."""
    numbers, count = intern_rows(senders)
    holders = np.zeros((count, 20), np.uint8)
    holders[numbers] = senders
    sums, _ = amounts.totals(amounts.from_big_endian(sent), numbers, count)
    return holders, amounts.to_big_endian(sums)
