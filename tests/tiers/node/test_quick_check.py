# SPDX-License-Identifier: GPL-3.0-or-later
"""The quick check against what an engine says of each transaction when it is the next one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from supervm.crypto.messages import Messages
from supervm.engine.config import EngineConfig
from supervm.engine.engine import Engine
from supervm.engine.transactions.batch import TransactionBatch
from supervm.engine.transactions.encoding import signing_digests
from supervm.engine.workloads import Keys
from supervm.tiers.node.quick_check import account_check, stateless_check
from supervm.vm.outcomes import Reason

KEYS = Keys(3, 40)
CHAIN = 7
RICH = 1 << 200


def quick(engine: Engine, batch: TransactionBatch) -> np.ndarray:
    reasons = stateless_check(batch, chain_id=CHAIN)
    return account_check(batch, reasons, *engine.accounts(batch.sender))


def rows() -> TransactionBatch:
    """Transfers of 40 accounts; some of each kind of wrong ones, and those at the edge."""
    count = 40
    nonce = np.full(count, 5)
    value = [10] * count
    gas_limit, gas_price = np.full(count, 2_000, np.uint64), np.ones(count, np.uint64)
    chain, private = np.full(count, CHAIN), np.zeros(count, np.bool_)
    nonce[0], nonce[1], nonce[2] = 4, 0, 6
    chain[3] = 8
    gas_limit[4], gas_limit[5], gas_limit[6] = 999, 1_000_000_001, (1 << 64) - 1
    # Balances: account k has 1,000,000 + k, accounts 20 to 29 have RICH.
    value[7], value[8] = 1_000_000 + 7 - 2_000, 1_000_000 + 8 - 1_999
    value[9], value[20] = (1 << 256) - 1, (1 << 256) - 1
    gas_price[21], gas_limit[21] = (1 << 64) - 1, 1_000_000_000
    value[21] = RICH - ((1 << 64) - 1) * 1_000_000_000
    gas_price[22], gas_limit[22] = (1 << 64) - 1, 1_000_000_000
    value[22] = RICH - ((1 << 64) - 1) * 1_000_000_000 + 1
    gas_price[10], gas_limit[10] = 1 << 63, 2_000
    private[11] = True
    amounts = np.frombuffer(b"".join(each.to_bytes(32) for each in value), np.uint8).reshape(-1, 32)
    batch = KEYS.sign(
        TransactionBatch.of(
            sender=KEYS.addresses, nonce=nonce, to=bytes(19) + b"\x77", value=amounts, gas_limit=gas_limit,
            gas_price=gas_price, chain_id=chain, private=private,
        )
    )  # fmt: skip
    signatures = [batch.signature[row] for row in range(count)]
    signatures[12] = signatures[12][:-1] + bytes([signatures[12][-1] ^ 1])
    signatures[13] = signatures[14]
    signatures[15] = signatures[15][:-1]
    signatures[16] = signatures[16][:40] + bytes([signatures[16][40] ^ 1]) + signatures[16][41:]
    scheme = batch.scheme.copy()
    scheme[17] = 0
    scheme[18] = 9
    # Account 19's key signs what account 30 is said to send.
    sender = batch.sender.copy()
    sender[19] = sender[30]
    digest = signing_digests(replace(batch, sender=sender))[19].tobytes()
    signatures[19] = KEYS.public[19].tobytes() + KEYS._keys[19].sign(digest)
    return replace(batch, signature=Messages.of(signatures), scheme=scheme, sender=sender)


@pytest.fixture(scope="module")
def engine():
    with Engine.open(None, EngineConfig(signatures=True, chain_id=CHAIN)) as opened:
        amounts = [RICH if 20 <= row < 30 else 1_000_000 + row for row in range(40)]
        spare = 5 * 1_000  # what the first five transactions of each cost
        paid = [(amount + spare).to_bytes(32) for amount in amounts]
        opened.credit(KEYS.addresses, np.frombuffer(b"".join(paid), np.uint8).reshape(-1, 32))
        for nonce in range(5):
            first = TransactionBatch.of(
                sender=KEYS.addresses, nonce=nonce, to=bytes(20), gas_limit=1_000, gas_price=1, chain_id=CHAIN
            )
            assert opened.execute(KEYS.sign(first)).stats.committed == 40
        assert [opened.account(each.tobytes()) for each in KEYS.addresses] == [(5, each) for each in amounts]
        yield opened


def test_reasons_are_the_engines(engine):
    batch = rows()
    said = quick(engine, batch)
    engine.snapshot("before")
    for row in range(len(batch)):
        [reason] = engine.execute(batch.slice(row, row + 1)).receipts.reason.tolist()
        engine.rollback("before")
        if row == 2:
            # A nonce ahead may fit when its block comes.
            assert (said[row], reason) == (Reason.NONE, Reason.BAD_NONCE)
        else:
            assert Reason(int(said[row])) == Reason(reason), row
    engine.forget("before")
    assert {Reason(int(reason)) for reason in said} >= {
        Reason.MALFORMED_SIGNATURE,
        Reason.BAD_SIGNATURE,
        Reason.WRONG_SENDER,
        Reason.WRONG_CHAIN,
        Reason.NO_VERIFIER,
        Reason.GAS_LIMIT_TOO_HIGH,
        Reason.GAS_LIMIT_TOO_LOW,
        Reason.BAD_NONCE,
        Reason.INSUFFICIENT_BALANCE,
    }
    # At the edge: exactly what there is, and one more.
    assert said[[7, 8, 21, 22]].tolist() == [0, 12, 0, 12]


def test_the_last_nonce_is_never_right():
    batch = TransactionBatch.of(sender=bytes(20), nonce=(1 << 64) - 1, to=bytes(20))
    nothing = np.zeros(1, np.uint8)
    found = account_check(batch, nothing, np.zeros(1, np.uint64), np.full((1, 32), 255, np.uint8))
    assert found.tolist() == [Reason.BAD_NONCE]


def test_a_whole_batch_is_what_each_is_alone(engine):
    batch = rows()
    alone = [int(quick(engine, batch.slice(row, row + 1))[0]) for row in range(len(batch))]
    assert quick(engine, batch).tolist() == alone
    assert quick(engine, batch.slice(0, 0)).tolist() == []
