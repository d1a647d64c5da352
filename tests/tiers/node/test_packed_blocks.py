# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is submitted, every packed block can be read, is within its limits, and has nothing that is rejected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pools import Pool, person

from supervm.crypto.messages import Messages
from supervm.engine import ragged
from supervm.engine.config import EngineConfig
from supervm.engine.contract_calls import TRANSFER, token_transfer_input
from supervm.engine.engine import Engine
from supervm.engine.transactions import TransactionBatch
from supervm.engine.workload_run import place_genesis
from supervm.engine.workloads.parts import deployment, token_entries
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


@st.composite
def transactions(draw: st.DrawFn) -> TransactionBatch:
    """One, right or wrong in any way that does not need a signature."""
    kind = draw(st.sampled_from(["transfer", "transfer", "token", "counter", "nothing", "nobody"]))
    to = person(draw(st.integers(0, PEOPLE + 30)))
    entry, body = b"", draw(st.sampled_from([b"", b"", bytes(100), bytes(2_500)]))
    if kind == "token":
        amount = np.frombuffer(draw(st.integers(0, 60)).to_bytes(32), np.uint8)[None]
        body = token_transfer_input(np.frombuffer(to, np.uint8)[None], amount)[0].tobytes()
        entry, to = TRANSFER, deployment("token").address
    elif kind != "transfer":
        entry = b"nothing" if kind == "nothing" else b"increment"
        to = deployment("counter").address if kind != "nobody" else to
    return TransactionBatch.of(
        sender=person(draw(st.integers(0, PEOPLE))),
        nonce=draw(st.integers(0, 4)) if draw(st.integers(0, 9)) else 2**64 - 1,
        to=to,
        value=draw(st.sampled_from([0, 0, 1, 500, 10_000, 10**9, (1 << 256) - 1])),
        gas_limit=draw(st.sampled_from([999, 1_000, 1_976, 3_000, 20_000, 10**6, 10**9, 10**9 + 1])),
        gas_price=draw(st.sampled_from([0, 1, 1, 2, 3, 1_000, 2**64 - 1])),
        entry=entry,
        input=body,
        chain_id=draw(st.sampled_from([1] * 9 + [2])),
        private=not draw(st.integers(0, 9)),
    )


LIMITS = st.builds(
    InboxLimits,
    block=st.builds(
        BlockLimits,
        transactions=st.integers(1, 9),
        bytes=st.integers(400, 9_000),
        gas=st.sampled_from([5_000, 100_000, 4 * 10**9]),
    ),
    price=st.integers(0, 2),
    transactions=st.integers(1, 30),
    bytes=st.integers(400, 30_000),
    sender_transactions=st.integers(1, 6),
    sender_bytes=st.integers(400, 9_000),
    sender_gap=st.integers(1, 6),
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


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(data=st.data(), limits=LIMITS)
def test_everything_packed_executes(engine, tmp_path_factory, data, limits):
    engine.rollback("genesis")
    made = Pool(tmp_path_factory.mktemp("inbox") / "inbox", engine.accounts)
    made.inbox.limits = limits
    made.inbox._block = np.array([limits.block.transactions, limits.block.bytes - 104, limits.block.gas])
    try:
        for number in range(1, data.draw(st.integers(1, 4)) + 1):
            for batch in data.draw(st.lists(st.lists(transactions(), min_size=1, max_size=8), max_size=5)):
                fit = admitted(engine, TransactionBatch.concatenate(batch))
                if len(fit):
                    made.submit(fit)
                waiting = made.inbox._waiting.rows
                assert len(waiting) <= limits.transactions
                assert int(waiting["bytes"].sum()) <= limits.bytes
            encodings = made.inbox.pack(number, engine.accounts)
            if not encodings:
                continue
            written = pack_block(number, bytes(32), number, Messages.of(encodings))
            assert len(encodings) <= limits.block.transactions
            assert len(written) <= limits.block.bytes
            block = unpack_block(written, "test")
            receipts = engine.execute(block.transactions).receipts
            assert receipts.accepted.all(), [Reason(int(each)) for each in receipts.reason]
            assert int(receipts.gas.sum()) <= limits.block.gas
            made.inbox.reconsider()
    finally:
        made.inbox.close()
