# SPDX-License-Identifier: GPL-3.0-or-later
"""The market: against a model in Python integers, and nothing of either token is made or lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wasm_host import Host, address, word

from supervm.vm import contracts

A, B = address(1), address(2)
TOP = 2**53 - 1


def amounts(*numbers: int) -> bytes:
    return b"".join(word(number, 8) for number in numbers)


class Market:
    """The contract with entry points as methods; each returns the number, or what was paid out."""

    def __init__(self) -> None:
        self.host = Host(contracts.load("amm"))

    def call(self, entry: str, data: bytes, caller: bytes):
        outcome = self.host.call(entry, data, caller=caller)
        self.events = outcome.events
        self.conserve()
        if not outcome.ok:
            return outcome.returned
        return [int.from_bytes(outcome.output[at : at + 8], "big") for at in range(0, len(outcome.output), 8)]

    def deposit(self, caller: bytes, side: int, amount: int):
        return self.call("deposit", bytes([side]) + amounts(amount), caller)

    def add(self, caller: bytes, zero: int, most: int, least: int = 0):
        return self.call("add_liquidity", amounts(zero, most, least), caller)

    def remove(self, caller: bytes, shares: int, zero: int = 0, one: int = 0):
        return self.call("remove_liquidity", amounts(shares, zero, one), caller)

    def swap(self, caller: bytes, side: int, given: int, least: int = 0):
        return self.call("swap", bytes([side]) + amounts(given, least), caller)

    def balance(self, owner: bytes, side: int) -> int:
        return int.from_bytes(self.host.call("balance", bytes([side]) + owner).output, "big")

    def pool(self) -> list[int]:
        output = self.host.call("reserves").output
        return [int.from_bytes(output[at : at + 8], "big") for at in (0, 8, 16)]

    def conserve(self) -> None:
        """Balances and reserve of each token are what was deposited; balances of shares are all shares."""
        storage = self.host.storage
        pool, deposited = storage.get(b"p", bytes(24)), storage.get(b"t", bytes(16)) + bytes(8)
        for side in (0, 1, 2):
            held = sum(
                int.from_bytes(value, "little")
                for key, value in storage.items()
                if len(key) == 21 and key[0] == side
            )
            at = slice(8 * side, 8 * side + 8)
            reserve, total = int.from_bytes(pool[at], "little"), int.from_bytes(deposited[at], "little")
            assert held == reserve if side == 2 else held + reserve == total


@pytest.fixture
def market():
    market = Market()
    for side in (0, 1):
        assert market.deposit(A, side, 1_000_000) == []
        assert market.deposit(B, side, 5_000) == []
    assert market.add(A, 100_000, 400_000) == [100_000]
    return market


def test_first_liquidity_sets_the_price(market):
    assert market.pool() == [100_000, 400_000, 100_000]
    assert market.balance(A, 0) == 900_000
    assert market.balance(A, 1) == 600_000
    assert market.balance(A, 2) == 100_000


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("given_amount", [1, 2, 999, 5_000])
def test_swap(market, side, given_amount):
    pool = market.pool()
    net = given_amount * 997
    expected = pool[1 - side] * net // (pool[side] * 1000 + net)
    assert market.swap(B, side, given_amount, expected + 1) == -3
    assert market.swap(B, side, given_amount, expected) == [expected]
    assert market.events == [b"\1" + B + bytes([side]) + amounts(given_amount, expected)]
    after = market.pool()
    assert (after[side], after[1 - side]) == (pool[side] + given_amount, pool[1 - side] - expected)
    assert after[0] * after[1] >= pool[0] * pool[1]
    assert market.balance(B, 1 - side) == 5_000 + expected


def test_swap_refusals(market):
    assert market.swap(B, 0, 5_001) == -2
    assert market.swap(B, 0, 0) == -4
    assert market.swap(B, 0, TOP + 1) == -4
    assert market.swap(B, 2, 5) == -1
    assert market.swap(B, 0, TOP) == -2
    assert Market().swap(B, 0, 5) == -5


def test_liquidity(market):
    market.swap(B, 0, 777)
    pool = market.pool()
    one = -(-1_000 * pool[1] // pool[0])
    shares = 1_000 * pool[2] // pool[0]
    assert market.add(B, 1_000, one - 1) == -3
    assert market.add(B, 1_000, one, shares + 1) == -3
    assert market.add(B, 1_000, 5_000, shares) == [shares]
    assert market.events == [b"\2" + B + amounts(1_000, one, shares)]
    assert market.add(B, 100_000, TOP) == -2
    assert market.add(B, 3_000, TOP) == -2
    assert market.add(B, 0, 5) == -4
    assert market.add(B, 5, 0) == -4
    pool = market.pool()
    zero, one = shares * pool[0] // pool[2], shares * pool[1] // pool[2]
    assert market.remove(B, shares, zero + 1) == -3
    assert market.remove(B, shares, 0, one + 1) == -3
    assert market.remove(B, shares + 1) == -2
    assert market.remove(B, 0) == -4
    assert market.remove(B, shares, zero, one) == [zero, one]
    assert market.events == [b"\3" + B + amounts(zero, one, shares)]
    pool = market.pool()
    assert market.remove(A, pool[2]) == pool[:2]
    assert market.pool() == [0, 0, 0]
    assert market.remove(A, 1) == -5


def test_deposits_have_a_limit():
    market = Market()
    assert market.deposit(A, 0, 0) == -4
    assert market.deposit(A, 0, TOP + 1) == -4
    assert market.deposit(A, 2, 1) == -1
    assert market.deposit(A, 0, TOP - 5) == []
    assert market.events == [b"\0" + A + b"\0" + amounts(TOP - 5)]
    assert market.deposit(B, 0, 6) == -4
    assert market.deposit(B, 0, 5) == []


def test_the_largest_reserves():
    market = Market()
    market.deposit(A, 0, TOP)
    market.deposit(A, 1, TOP)
    assert market.add(A, TOP - 9, TOP - 9) == [TOP - 9]
    assert market.swap(A, 1, 5) == [4]
    assert market.add(A, 1, TOP) == [1]


@pytest.mark.parametrize(
    ("entry", "length"),
    [
        ("deposit", 9),
        ("add_liquidity", 24),
        ("remove_liquidity", 24),
        ("swap", 17),
        ("balance", 21),
        ("reserves", 0),
    ],
)
def test_other_lengths_of_input(market, entry, length):
    for wrong in {length - 1, length + 1} - {-1}:
        assert market.host.call(entry, bytes(wrong)).returned == -1
    assert market.host.call("balance", b"\3" + A).returned == -1


SIZES = st.one_of(st.integers(1, 50), st.integers(1, 10**6), st.integers(1, TOP))


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "remove", "0", "1"]), st.sampled_from([A, B]), SIZES), max_size=10
    ),
    st.tuples(SIZES, SIZES),
)
def test_nothing_is_made_or_lost(steps, first):
    market = Market()
    for side in (0, 1):
        market.deposit(A, side, TOP // 2)
        market.deposit(B, side, TOP // 2)
    market.add(A, *first)
    for kind, who, amount in steps:
        before = market.pool()
        if kind == "add":
            market.add(who, amount, TOP)
        elif kind == "remove":
            market.remove(who, amount)
        else:
            market.swap(who, int(kind), amount)
            after = market.pool()
            assert after[0] * after[1] >= before[0] * before[1]
        # A share is never worth less of the product than it was.
        after = market.pool()
        assert after[0] * after[1] * before[2] ** 2 >= before[0] * before[1] * after[2] ** 2
