# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of Ethereum's mainnet as a workload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from supervm.crypto.messages import Messages
from supervm.engine.arrays import amounts, ragged
from supervm.engine.arrays.ranks import ranks_within
from supervm.engine.errors import ForgedBlock
from supervm.engine.ethereum import (
    EthereumBlock,
    encoded_transactions,
    ordered_trie_root,
    read_block,
    read_pre_state,
    recover_senders,
)
from supervm.engine.ethereum.header import check_header
from supervm.engine.ethereum.replay.transfers import intern_rows
from supervm.engine.ethereum.transfers import translate_block
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.workloads.parts import deployment, token_entries
from supervm.engine.workloads.workload import Genesis, Parameters, Workload
from supervm.kernels.array_types import Bytes


def mainnet(folders: Sequence[Path | str]) -> tuple[Workload, int]:
    """The transfers of mainnet blocks, in the order given, each block a block (`supervm.engine.ethereum.transfers`).

    The blocks need not follow each other. So that one state carries all of them, an account is credited with the sum of
    what it has before each, and given the sum of the tokens that it sends in each; nonces count up from 0, since credits
    set none. A block's transfer that was paid for by something that is left out may then lack the money, as may what its
    sender sends after it.

    Args:
        folders: each with `block.json` and `pre_state.json`.

    Returns:
        (the workload, unsigned and with gas price 0; how many transactions of the blocks are not in it).

    Raises:
        InputFileError: a file that cannot be used.
        ForgedBlock: a block whose hash is not that of its header, or whose roots are not those of what it holds.
    """
    blocks = [read_block(folder) for folder in folders]
    for block in blocks:
        _check(block)
    states = [read_pre_state(folder) for folder in folders]
    token = deployment("token")
    translated = [
        translate_block(block, recovered, state, token.address)
        for block, recovered, state in zip(blocks, recover_senders(blocks).blocks, states, strict=True)
    ]
    batch = TransactionBatch.concatenate([each.batch for each in translated])
    senders, _ = intern_rows(batch.sender)
    batch = replace(batch, nonce=ranks_within(senders).astype(np.uint64))
    addresses, balances = _summed([(each.accounts, each.balances) for each in translated])
    holders, tokens = _summed([(each.holders, each.tokens) for each in translated])
    keys, values = token_entries(np.frombuffer(token.address, np.uint8), holders, tokens)
    sizes = np.array([len(each.batch) for each in translated], np.int64)
    parameters = Parameters(
        transactions=len(batch),
        accounts=max(2, len(addresses)),
        block_size=int(max(1, sizes.max(initial=1))),
        gas_price=0,
    )
    genesis = Genesis(
        addresses,
        balances,
        deployments=(token,),
        keys=ragged.joined([Messages.of(rows) for rows in keys]),
        values=ragged.joined([Messages.of(rows) for rows in values]),
    )
    workload = Workload("mainnet", parameters, genesis, batch, ragged.offsets_of(sizes))
    return workload, sum(each.not_executed for each in translated)


def _check(block: EthereumBlock) -> None:
    """Take nothing from a block's word: its hash commits to the header, the header to the transactions."""
    root = ordered_trie_root(encoded_transactions(block.transactions)).tobytes()
    stated = block.transactions_root.tobytes()
    if root != stated:
        raise ForgedBlock(block.number, "transactionsRoot", f"0x{root.hex()}", f"0x{stated.hex()}")
    for claim in check_header(block.header, block.hash.tobytes()):
        if claim.ok is False:
            found, stated = claim.found or b"", claim.stated
            raise ForgedBlock(block.number, claim.field, f"0x{found.hex()}", f"0x{stated.hex()}")


def _summed(parts: Sequence[tuple[Bytes, Bytes]]) -> tuple[Bytes, Bytes]:
    """Each address once, with the sum of its amounts."""
    owners = np.concatenate([np.zeros((0, 20), np.uint8), *(owners for owners, _ in parts)])
    held = np.concatenate([np.zeros((0, 32), np.uint8), *(held for _, held in parts)])
    numbers, count = intern_rows(owners)
    distinct = np.zeros((count, 20), np.uint8)
    distinct[numbers] = owners
    sums, _ = amounts.totals(amounts.from_big_endian(held), numbers, count)
    return distinct, amounts.to_big_endian(sums)
