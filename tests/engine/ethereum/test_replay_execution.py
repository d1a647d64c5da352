# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfers by waves and in order, against each other and against Python integers, under full contention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervm.engine.arrays import amounts
from supervm.engine.conflicts import detect
from supervm.engine.ethereum.replay.sequential import execute_sequential
from supervm.engine.ethereum.replay.transfers import (
    NOBODY,
    TRANSFER_GAS,
    Executed,
    Outcome,
    Transfers,
    intern_rows,
)
from supervm.engine.ethereum.replay.waves import execute_waves
from supervm.kernels import get_threads, set_threads

GWEI = 10**9


@pytest.fixture
def restore_threads() -> Iterator[None]:
    before = get_threads()
    yield
    set_threads(before)


def limbs(values: list[int]) -> amounts.Limbs:
    rows = b"".join(value.to_bytes(32, "big") for value in values)
    return amounts.from_big_endian(np.frombuffer(rows, np.uint8).reshape(-1, 32))


def random_block(seed: int) -> Transfers:
    """Up to 40 transactions over a few accounts: transfers, calls, creations, wrong nonces, missing senders,
    prices below the base fee, amounts near what the sender has, sometimes amounts near 2^256."""
    random = np.random.default_rng(seed)
    accounts, count = int(random.integers(1, 9)), int(random.integers(0, 41))
    if seed % 4 == 0:
        accounts = 80
    unit = 2**255 if seed % 7 == 0 else TRANSFER_GAS * 30 * GWEI
    sender = random.integers(0, accounts, count)
    nonce_of: dict[int, int] = {}
    nonces = []
    for who in sender.tolist():
        nonces.append(nonce_of.get(who, 5))
        nonce_of[who] = nonces[-1] + 1
    nonce = np.array(nonces, np.uint64) + (random.random(count) < 0.05).astype(np.uint64)
    recipient = np.where(random.random(count) < 0.1, NOBODY, random.integers(0, accounts, count))
    price = [int(x) * GWEI for x in random.integers(5, 40, count)]
    if seed % 11 == 0 and count:
        price[0] = 2**256 - 1
    return Transfers(
        balances=limbs([int(x) * unit // 4 for x in random.integers(0, 8, accounts)]),
        nonces=np.full(accounts, 5, np.uint64),
        sender=sender,
        recipient=recipient,
        transfer=(random.random(count) < 0.85) & (recipient != NOBODY),
        signed=random.random(count) < 0.97,
        nonce=nonce,
        value=limbs([int(x) * unit // 8 for x in random.integers(0, 8, count)]),
        gas_price=limbs(price),
        base_fee=amounts.from_int(0 if seed % 3 == 0 else 6 * GWEI),
        fee_recipient=int(random.integers(0, accounts)),
    )


def waves(block: Transfers) -> np.ndarray:
    offsets, keys = block.keys()
    return detect(offsets, keys, offsets, keys, rule="locking").wave


def on_python_integers(block: Transfers) -> tuple[list[int], list[int], list[Outcome], int, int]:
    """The rules of `supervm.engine.ethereum.replay.transfers`, read once more."""
    balances = [amounts.to_int(row) for row in block.balances]
    nonces, outcomes = block.nonces.tolist(), []
    base, burned, tips = amounts.to_int(block.base_fee), 0, 0
    for i in range(len(block)):
        sender, recipient = int(block.sender[i]), int(block.recipient[i])
        value, price = amounts.to_int(block.value[i]), amounts.to_int(block.gas_price[i])
        right = nonces[sender] == block.nonce[i]
        if not block.signed[i]:
            outcomes.append(Outcome.NO_SENDER)
        elif not block.transfer[i]:
            outcomes.append(Outcome.CALL if right else Outcome.CALL_WRONG_NONCE)
            nonces[sender] += 1
        elif price < base:
            outcomes.append(Outcome.FEE_BELOW_BASE)
        elif not right:
            outcomes.append(Outcome.WRONG_NONCE)
        elif balances[sender] < value + TRANSFER_GAS * price:
            outcomes.append(Outcome.INSUFFICIENT)
        elif sender != recipient and balances[recipient] + value >= 2**256:
            outcomes.append(Outcome.OVERFLOW)
        else:
            balances[sender] -= value + TRANSFER_GAS * price
            balances[recipient] += value
            nonces[sender] += 1
            burned += TRANSFER_GAS * base
            tips += TRANSFER_GAS * (price - base)
            outcomes.append(Outcome.TRANSFERRED)
    balances[block.fee_recipient] = (balances[block.fee_recipient] + tips) % 2**256
    return balances, nonces, outcomes, burned, tips


def in_integers(run: Executed) -> tuple[list[int], list[int], list[Outcome], int, int]:
    return (
        [amounts.to_int(row) for row in run.balances],
        run.nonces.tolist(),
        [Outcome(code) for code in run.outcome.tolist()],
        run.burned,
        run.fees,
    )


def test_both_ways_against_python_integers() -> None:
    seen: set[Outcome] = set()
    for seed in range(400):
        block = random_block(seed)
        expected = on_python_integers(block)
        seen |= set(expected[2])
        assert in_integers(execute_sequential(block)) == expected, seed
        assert in_integers(execute_waves(block, waves(block))) == expected, seed
    assert seen == set(Outcome)


@pytest.fixture(scope="module")
def executed_in_order() -> list[tuple[Transfers, np.ndarray, Executed]]:
    blocks = [random_block(seed) for seed in range(2000)]
    return [(block, waves(block), execute_sequential(block)) for block in blocks]


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_waves_equal_block_order_at_every_thread_count(
    threads: int, executed_in_order: list[tuple[Transfers, np.ndarray, Executed]], restore_threads: None
) -> None:
    set_threads(threads)
    for seed, (block, wave, in_order) in enumerate(executed_in_order):
        by_waves = execute_waves(block, wave, grain=1)
        assert by_waves.equals(in_order), seed
        if seed % 7:
            assert amounts.total(by_waves.balances) + by_waves.burned == amounts.total(block.balances), seed


def test_grain_does_not_matter() -> None:
    for seed in range(200):
        block = random_block(seed)
        wave = waves(block)
        runs = [execute_waves(block, wave, grain=grain) for grain in (1, 2, 3, 7, 1000)]
        assert all(run.equals(runs[0]) for run in runs)


def test_a_wave_too_few_is_noticed() -> None:
    """The comparison can fail: with waves in the wrong order some block comes out differently."""
    differing = 0
    for seed in range(200):
        block = random_block(seed)
        wave = waves(block)
        turned = (wave.max(initial=0) - wave).astype(np.int32)
        differing += not execute_waves(block, turned).equals(execute_sequential(block))
    assert differing > 50


def test_a_received_amount_is_sent_on_in_the_same_block() -> None:
    """A chain: account 0 has everything, and each next one sends on what it got, less the fee."""
    length, fee = 50, TRANSFER_GAS * GWEI
    whole = 100 * fee
    block = Transfers(
        balances=limbs([whole] + [0] * length),
        nonces=np.zeros(length + 1, np.uint64),
        sender=np.arange(length),
        recipient=np.arange(1, length + 1),
        transfer=np.ones(length, np.bool_),
        signed=np.ones(length, np.bool_),
        nonce=np.zeros(length, np.uint64),
        value=limbs([whole - (k + 1) * fee for k in range(length)]),
        gas_price=limbs([GWEI] * length),
        base_fee=amounts.from_int(0),
        fee_recipient=0,
    )
    run = execute_waves(block, waves(block), grain=1)
    assert run.equals(execute_sequential(block))
    assert not run.outcome.any()
    assert amounts.to_int(run.balances[length]) == whole - length * fee
    assert amounts.to_int(run.balances[0]) == run.fees == length * fee
    turned = {name: getattr(block, name)[::-1].copy() for name in ("sender", "recipient", "value")}
    backwards = replace(block, **turned)
    run = execute_waves(backwards, waves(backwards), grain=1)
    assert run.equals(execute_sequential(backwards))
    assert (run.outcome == Outcome.INSUFFICIENT).sum() == length - 1


def test_conflict_keys_are_sender_and_recipient_once_each() -> None:
    block = random_block(1)
    offsets, keys = block.keys()
    for i in range(len(block)):
        expected = [int(block.sender[i])]
        if block.recipient[i] not in (NOBODY, block.sender[i]):
            expected.append(int(block.recipient[i]))
        assert keys[offsets[i] : offsets[i + 1]].tolist() == expected


def test_rows_are_interned_by_their_bytes() -> None:
    rows = np.random.default_rng(3).integers(0, 2, (300, 20)).astype(np.uint8) * 255
    rows[:, 2:18] = 0
    numbers, count = intern_rows(rows)
    assert count == len({row.tobytes() for row in rows})
    for i in range(0, 300, 7):
        same = (rows == rows[i]).all(axis=1)
        assert np.array_equal(numbers == numbers[i], same)
    assert intern_rows(np.zeros((0, 20), np.uint8))[1] == 0


WORDS = st.lists(
    st.one_of(st.integers(0, 2**256 - 1), st.sampled_from([0, 1, 2**64 - 1, 2**64, 2**256 - 1])),
    min_size=1,
    max_size=9,
)


@given(WORDS, WORDS, st.integers(0, 2**31 - 1))
def test_amounts_are_integers(a: list[int], b: list[int], factor: int) -> None:
    size = min(len(a), len(b))
    a, b = a[:size], b[:size]
    x, y = limbs(a), limbs(b)
    assert [amounts.to_int(row) for row in x] == a
    assert amounts.to_int(amounts.from_int(a[0])) == a[0]
    assert amounts.total(x) == sum(a)
    assert amounts.below(x, y).tolist() == [p < q for p, q in zip(a, b, strict=True)]
    for (rows, over), exact in (
        (amounts.add(x, y), [p + q for p, q in zip(a, b, strict=True)]),
        (amounts.multiply(x, factor), [p * factor for p in a]),
    ):
        assert [amounts.to_int(row) for row in rows] == [value % 2**256 for value in exact]
        assert over.tolist() == [value >= 2**256 for value in exact]
    assert amounts.less(x[0], y[0]) == (a[0] < b[0])
    for function, exact in ((amounts.add_to, a[0] + b[0]), (amounts.subtract_from, a[0] - b[0])):
        row = x[0].copy()
        over = function(row, y[0])
        assert (amounts.to_int(row), over) == (exact % 2**256, not 0 <= exact < 2**256)
