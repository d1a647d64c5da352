# SPDX-License-Identifier: GPL-3.0-or-later
"""The adaptive router's target, and that it never changes a state; numbered batches belong to one engine."""

from __future__ import annotations

import numpy as np
import pytest

from supervm.engine import Engine, EngineConfig, Router, TransactionBatch
from supervm.engine.blocks.routing import AdaptiveRouter
from supervm.kernels.errors import ArgumentError

ACCOUNTS = 200


def addresses(first: int, count: int) -> np.ndarray:
    rows = np.zeros((count, 20), np.uint8)
    rows[:, 16:] = np.arange(first, first + count, dtype=">u4")[:, None].view(np.uint8)
    return rows


def fund(engine: Engine) -> None:
    balances = np.zeros((ACCOUNTS, 32), np.uint8)
    balances[:, 20] = 1
    engine.credit(addresses(1, ACCOUNTS), balances)


def block(nonce: int) -> TransactionBatch:
    """Transfers that have nothing to do with each other."""
    return TransactionBatch.of(
        sender=addresses(1, ACCOUNTS), nonce=nonce, to=addresses(1_001, ACCOUNTS), value=1
    )


def test_the_target_rises_without_conflicts_and_states_are_equal():
    with Engine.open(None, EngineConfig(router=Router())) as routed, Engine.open(None) as plain:
        shares = []
        for engine in (routed, plain):
            fund(engine)
        for nonce in range(6):
            result = routed.execute(block(nonce))
            other = plain.execute(block(nonce))
            assert result.state_root == other.state_root
            assert other.stats.fast_target == 1.0
            shares.append(result.stats.fast / len(result.receipts))
            assert result.stats.fast_target == pytest.approx(shares[-1])
        assert shares[0] == pytest.approx(0.70)
        assert shares == sorted(shares)
        assert shares[-1] == pytest.approx(0.90)


def test_the_target_falls_under_conflicts_and_failures_to_its_least():
    router = AdaptiveRouter(Router())
    everything, nothing = np.ones(2_000, np.bool_), np.zeros(2_000, np.bool_)
    router.learn(everything, nothing, everything)
    assert router.target == pytest.approx(0.10)
    router.learn(everything, everything, everything)
    assert router.target == pytest.approx(0.90)
    router.learn(everything, everything, nothing)
    assert router.target == pytest.approx(0.10)


def test_it_admits_the_target_s_share_of_every_stretch():
    router = AdaptiveRouter(Router(target=0.30))
    admitted = router.admit(np.ones(250, np.bool_))
    assert [int(admitted[first : first + 100].sum()) for first in (0, 100, 200)] == [30, 30, 30]


def test_a_batch_that_another_engine_numbered_is_refused():
    with Engine.open(None) as one, Engine.open(None) as other:
        for engine in (one, other):
            fund(engine)
        interned = one.intern(block(0))
        with pytest.raises(ArgumentError, match="another engine"):
            other.execute(interned)
        with pytest.raises(ArgumentError, match="another engine"):
            next(iter(other.run([interned])))
        assert other.execute(block(0)).state_root == one.execute(interned).state_root
