# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is submitted, every packed block can be read, is within its limits, and has nothing that is rejected."""

from __future__ import annotations

import random
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pools import Pool, person

from supervm.crypto.messages import Messages
from supervm.engine.arrays import ragged
from supervm.engine.config import EngineConfig
from supervm.engine.engine import Engine
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.contract_calls import TRANSFER, token_transfer_input
from supervm.engine.workloads.parts import deployment, token_entries
from supervm.engine.workloads.run import place_genesis
from supervm.engine.workloads.workload import Genesis
from supervm.tiers.node.blocks import pack_block, unpack_block
from supervm.tiers.node.limits import BlockLimits, InboxLimits
from supervm.tiers.node.quick_check import account_check, stateless_check
from supervm.vm.outcomes import Reason

PEOPLE = 6
BALANCES = (0, 3_000, 20_000, 10**6, 10**9, (1 << 255))


def genesis() -> Genesis:
    owners = np.frombuffer(b"".join(person(number) for number in range(PEOPLE)), np.uint8).reshape(-1, 20)
    money = np.frombuffer(b"".join(amount.to_bytes(32) for amount in BALANCES), np.uint8).reshape(-1, 32)
    token = deployment("token")
    held = np.frombuffer((50).to_bytes(32) * PEOPLE, np.uint8).reshape(-1, 32)
    keys, values = token_entries(np.frombuffer(token.address, np.uint8), owners, held)
    return Genesis(
        owners[1:],
        money[1:],
        deployments=(token, deployment("counter")),
        keys=ragged.joined([Messages.of(rows) for rows in keys]),
        values=ragged.joined([Messages.of(rows) for rows in values]),
    )


def transaction(dice: random.Random, nonces: list[int]) -> TransactionBatch:
    """One, mostly next in line of its sender's and paid for; wrong in any way that does not need a signature, or early."""
    sender = dice.choices(range(PEOPLE + 1), [1, 4, 4, 4, 4, 4, 1])[0]
    kind = dice.choices(["transfer", "token", "counter", "nothing", "nobody"], [8, 4, 2, 1, 1])[0]
    nonce = nonces[sender] + dice.choices([0, 1, 2, -1, 3], [12, 3, 2, 2, 1])[0]
    if nonce == nonces[sender]:
        nonces[sender] += 1
    to = person(dice.randrange(PEOPLE + 30))
    entry, body = b"", dice.choice([b"", b"", b"", bytes(100), bytes(2_500)])
    if kind == "token":
        amount = np.frombuffer(dice.randrange(60).to_bytes(32), np.uint8)[None]
        body = token_transfer_input(np.frombuffer(to, np.uint8)[None], amount)[0].tobytes()
        entry, to = TRANSFER, deployment("token").address
    elif kind != "transfer":
        entry = b"nothing" if kind == "nothing" else b"increment"
        to = deployment("counter").address if kind != "nobody" else to
    return TransactionBatch.of(
        sender=person(sender),
        nonce=max(nonce, 0) if dice.randrange(30) else 2**64 - 1,
        to=to,
        value=dice.choices([0, 1, 500, 10_000, 10**9, (1 << 256) - 1], [6, 4, 4, 2, 1, 1])[0],
        gas_limit=dice.choices(
            [999, 1_000, 1_976, 3_000, 20_000, 10**6, 10**9, 10**9 + 1], [1, 4, 4, 4, 8, 3, 1, 1]
        )[0],
        gas_price=dice.choices([0, 1, 2, 3, 1_000, 2**64 - 1], [1, 6, 6, 6, 2, 1])[0],
        entry=entry,
        input=body,
        chain_id=1 if dice.randrange(30) else 2,
        private=not dice.randrange(30),
    )


def limits_of(dice: random.Random) -> InboxLimits:
    """Mostly with room for a few blocks, some with next to none."""
    return InboxLimits(
        BlockLimits(
            transactions=dice.choice([2, 9, 40, 40]),
            bytes=dice.choice([400, 5_000, 20_000, 20_000]),
            gas=dice.choice([5_000, 100_000, 4 * 10**9, 4 * 10**9, 4 * 10**9]),
        ),
        price=dice.choice([0, 1, 1, 2]),
        transactions=dice.choice([1, 30, 100, 100]),
        bytes=dice.choice([400, 40_000, 40_000]),
        sender_transactions=dice.choice([1, 8, 20]),
        sender_bytes=dice.choice([400, 8_000, 30_000]),
        sender_gap=dice.choice([1, 10, 20]),
    )


@pytest.fixture(scope="module")
def engine():
    with Engine.open(None, EngineConfig()) as opened:
        place_genesis(opened, genesis())
        opened.snapshot("genesis")
        yield opened


def admitted(engine: Engine, batch: TransactionBatch) -> TransactionBatch:
    """What a node's quick check lets through to the inbox."""
    reasons = stateless_check(batch, chain_id=1, signatures=False)
    reasons = np.where(reasons != 0, reasons, engine.refused_calls(batch)).astype(np.uint8)
    return batch.take(account_check(batch, reasons, *engine.accounts(batch.sender)) == 0)


PACKED: Counter[str] = Counter()
"""What all examples packed together: a property of nothing would hold for anything."""


@settings(
    max_examples=80,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 1 << 32))
def check_everything_packed(engine, folder, seed):
    dice = random.Random(seed)
    engine.rollback("genesis")
    made = Pool(folder / f"{seed}-{time.monotonic_ns()}", engine.accounts, limits=limits_of(dice))
    limits = made.inbox.limits
    nonces = [0] * (PEOPLE + 1)
    try:
        for number in range(1, 5):
            for _ in range(4):
                drawn = [transaction(dice, nonces) for _ in range(dice.randrange(1, 12))]
                fit = admitted(engine, TransactionBatch.concatenate(drawn))
                if len(fit):
                    made.submit(fit)
                waiting = made.inbox._waiting.rows
                assert len(waiting) <= limits.transactions
                assert int(waiting["bytes"].sum()) <= limits.bytes
            encodings = made.inbox.pack(number, engine.accounts)
            if encodings:
                check_block(engine, number, encodings, limits)
                made.inbox.reconsider()
            nonces[:PEOPLE] = [engine.account(person(each))[0] for each in range(PEOPLE)]
    finally:
        made.inbox.close()


def check_block(engine, number, encodings, limits):
    written = pack_block(number, bytes(32), number, Messages.of(encodings))
    assert len(encodings) <= limits.block.transactions
    assert len(written) <= limits.block.bytes
    block = unpack_block(written, "test")
    receipts = engine.execute(block.transactions).receipts
    assert receipts.accepted.all(), [Reason(int(each)) for each in receipts.reason]
    assert int(receipts.gas.sum()) <= limits.block.gas
    PACKED.update(["blocks", *(Reason(int(each)).name for each in receipts.reason)])


def test_everything_packed_executes(engine, tmp_path):
    PACKED.clear()
    check_everything_packed(engine, tmp_path)
    assert PACKED["blocks"] > 100
    assert PACKED["NONE"] > 200
    assert PACKED.keys() >= {"OUT_OF_GAS", "CONTRACT_ERROR"}
