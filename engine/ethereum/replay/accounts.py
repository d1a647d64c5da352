# SPDX-License-Identifier: GPL-3.0-or-later
"""From a block, its recovered senders and its pre-state to the balance movements that a replay executes."""

from __future__ import annotations

import numpy as np

from supervm.engine.arrays.amounts import from_big_endian, from_int
from supervm.engine.ethereum.blocks import EthereumBlock
from supervm.engine.ethereum.pre_state import PreState
from supervm.engine.ethereum.replay.transfers import NOBODY, Transfers, intern_rows
from supervm.engine.ethereum.senders import Recovered, SignatureFault
from supervm.engine.ethereum.transactions import Integer


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
