# SPDX-License-Identifier: GPL-3.0-or-later
"""A block whose state root is known: transfers, calls of two contracts, some that fail or are rejected.

The root was computed by the judge of the tests, which follows docs/execution-rules.md one transaction after the other and
shares no code with the engine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.engine.arrays.ranks import ranks_within
from supervm.engine.config import EngineConfig, Mode
from supervm.engine.engine import Engine
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.columns import big_endian
from supervm.engine.transactions.contract_calls import TRANSFER, token_transfer_input
from supervm.engine.workloads.parts import deployment, token_entries
from supervm.engine.workloads.run import place_genesis
from supervm.engine.workloads.workload import Genesis

ACCOUNTS, TRANSACTIONS = 96, 144
BALANCE, TOKENS = 10**9, 1_000
INCREMENT = b"increment"

STATE_ROOT = "e2502c891b031f9faa3e946f2286d58ee5367d660930b93841c2df8bc82bfadf"
"""After the genesis and the block, in hexadecimal."""


def accounts() -> NDArray[np.uint8]:
    """uint8 (ACCOUNTS, 20): account i is 20 times the byte i + 1."""
    return np.repeat(np.arange(1, ACCOUNTS + 1, dtype=np.uint8)[:, None], 20, axis=1)


def genesis() -> Genesis:
    """Every account has the same balance and as many tokens."""
    token, counter, owners = deployment("token"), deployment("counter"), accounts()
    money, tokens = (big_endian(np.full(ACCOUNTS, each, np.uint64)) for each in (BALANCE, TOKENS))
    keys, values = token_entries(np.frombuffer(token.address, np.uint8), owners, tokens)
    return Genesis(
        owners,
        money,
        deployments=(token, counter),
        keys=ragged.joined([Messages.of(rows) for rows in keys]),
        values=ragged.joined([Messages.of(rows) for rows in values]),
    )


def block() -> TransactionBatch:
    """Transaction i is sent by account 7 i; every third is a transfer, every 24th counts, the others send tokens.

    Amounts grow up to more than some senders have; every 30th nonce is one too high.
    """
    token, counter, owners = deployment("token"), deployment("counter"), accounts()
    number = np.arange(TRANSACTIONS)
    senders, recipients = 7 * number % ACCOUNTS, (5 * number + 3) % ACCOUNTS
    transfers, counts = number % 3 == 0, number % 24 == 1
    calls = ~transfers & ~counts
    to = owners[recipients]
    to[calls], to[counts] = (np.frombuffer(each.address, np.uint8) for each in (token, counter))
    inputs = token_transfer_input(owners[recipients], big_endian((8 * number).astype(np.uint64)))
    nonces = ranks_within(senders) + (number % 30 == 29)
    return TransactionBatch.of(
        sender=owners[senders],
        nonce=nonces.astype(np.uint64),
        to=to,
        value=np.where(transfers, number, 0),
        gas_limit=100_000,
        gas_price=2,
        entry=[
            TRANSFER if call else INCREMENT if count else b""
            for call, count in zip(calls, counts, strict=True)
        ],
        input=[row.tobytes() if call else b"" for call, row in zip(calls, inputs, strict=True)],
    )


def state_root(mode: Mode, threads: int = 1) -> bytes:
    """The root that an engine comes to."""
    with Engine.open(None, EngineConfig(mode=mode, threads=threads)) as engine:
        place_genesis(engine, genesis())
        return engine.execute(block()).state_root


def wrong(mode: Mode, threads: int = 1) -> str:
    """How an engine's answer differs from the known one; '' if it does not."""
    found = state_root(mode, threads).hex()
    return "" if found == STATE_ROOT else f"the state root is {found}, expected {STATE_ROOT}"
