# SPDX-License-Identifier: GPL-3.0-or-later
"""Executes one transaction as its own block, to try out a contract."""

from __future__ import annotations

from dataclasses import dataclass

from supervm.engine.blocks.receipts import Receipt
from supervm.engine.blocks.result import BlockResult
from supervm.engine.engine import Engine
from supervm.engine.transactions.batch import DEFAULT_GAS_LIMIT, TransactionBatch
from supervm.vm.gas import intrinsic_gas
from supervm.vm.outcomes import REASON_WORDS

SENDER = bytes(19) + b"\x01"
"""Who sends where nobody is named."""


@dataclass(frozen=True)
class Called:
    """The outcome of a call.

    Args:
        nonce: that the transaction had.
        intrinsic: the part of its gas that is paid before anything runs.
        block: that it made up.
    """

    nonce: int
    intrinsic: int
    block: BlockResult

    @property
    def receipt(self) -> Receipt:
        """Of the transaction."""
        return self.block.receipts[0]

    @property
    def words(self) -> str:
        """The reason in a sentence."""
        return REASON_WORDS[self.receipt.reason]


def call_contract(
    engine: Engine,
    contract: bytes,
    entry: str,
    *,
    input: bytes = b"",
    sender: bytes = SENDER,
    value: int = 0,
    gas_limit: int = DEFAULT_GAS_LIMIT,
    gas_price: int = 0,
) -> Called:
    """Call a contract with the sender's next nonce, in a block of its own. The engine must not check signatures.

    Args:
        contract: its address, 20 bytes.
        entry: name of the entry point.
        input, value, gas_limit, gas_price: of the transaction.
        sender: its address, 20 bytes.

    Raises:
        MalformedBatch, ArgumentError: a number or a length out of range.
    """
    nonce, _ = engine.account(sender)
    batch = TransactionBatch.of(
        sender=sender,
        nonce=nonce,
        to=contract,
        value=value,
        gas_limit=gas_limit,
        gas_price=gas_price,
        entry=entry.encode(),
        input=input,
        chain_id=engine.config.chain_id,
    )
    return Called(nonce, intrinsic_gas(len(entry.encode()) + len(input)), engine.execute(batch))
